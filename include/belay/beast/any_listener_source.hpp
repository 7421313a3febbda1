// SPDX-License-Identifier: MIT
/// \file belay/beast/any_listener_source.hpp
/// The definition of beast::AnyListener: exactly one source file of a program includes it.
#pragma once

#include <belay/beast/any_listener.hpp>
#include <belay/beast/listener.hpp>

// The program is compiled with this macro of Boost, so that asio, too, is compiled once. A program
// that has the code of asio in another file defines the second macro.
#if defined(BOOST_ASIO_SEPARATE_COMPILATION) && !defined(BELAY_WITHOUT_ASIO_SOURCE)
#    include <boost/asio/impl/src.hpp>
#endif

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// An accepted client that is neither opened nor rejected.
class AnyUpgradeOf final : public AnyUpgrade {
public:
    explicit AnyUpgradeOf(beast::Accepted<> accepted) : accepted_{std::move(accepted)} {}

    UpgradeRequest request() const override { return accepted_.request(); }
    std::string header(std::string_view name) const override { return accepted_.header(name); }
    void reject(int status, Duration retry_after) noexcept override {
        accepted_.reject(status, retry_after);
    }
    BeastConnection<AnyConnection> open(const Link<Bytes>& link) override {
        return accepted_.open(link);
    }

private:
    beast::Accepted<> accepted_;
};

/// A listener that hides its type.
class AnyAcceptorOf final : public AnyAcceptor {
    struct Accept {
        std::function<void(std::unique_ptr<AnyUpgrade>)> f;
        void operator()(beast::Accepted<> accepted) {
            f(std::make_unique<AnyUpgradeOf>(std::move(accepted)));
        }
    };
    struct Observer {
        std::function<void(const beast::RejectedUpgrade&)> f;
        void on_rejected(const beast::RejectedUpgrade& what) { f(what); }
    };

public:
    AnyAcceptorOf(AsioLoop<boost::asio::io_context>& loop, beast::ListenerOptions options,
                  AnyAcceptorCalls calls)
        : listener_{loop, Accept{std::move(calls.accept)}, std::move(options),
                    Observer{std::move(calls.rejected)}} {}

    std::error_code listen(const posix::Endpoint& endpoint) override {
        return listener_.listen(endpoint);
    }
    void close() noexcept override { listener_.close(); }
    std::uint16_t port() const noexcept override { return listener_.port(); }
    beast::ListenerCounters counters() const noexcept override { return listener_.counters(); }

private:
    beast::Listener<Accept, boost::beast::tcp_stream, Observer> listener_;
};

// Not inline: a second source file that includes this is an error of the linker.
std::unique_ptr<AnyAcceptor> any_listener_source_hpp_must_be_included_by_exactly_one_file(
    AsioLoop<boost::asio::io_context>& loop, beast::ListenerOptions options,
    AnyAcceptorCalls calls) {
    return std::make_unique<AnyAcceptorOf>(loop, std::move(options), std::move(calls));
}

}}}  // namespace belay::detail
