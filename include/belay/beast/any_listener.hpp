// SPDX-License-Identifier: MIT
/// \file belay/beast/any_listener.hpp
/// beast::AnyListener and beast::AnyAccepted: a listener that is compiled in a source file of its
/// own; needs Boost 1.74 or later.
#pragma once

#include <functional>   // std::function
#include <memory>       // std::unique_ptr, std::make_shared
#include <string>       // std::string
#include <string_view>  // std::string_view
#include <utility>      // std::move

#include <belay/asio/boost.hpp>
#include <belay/asio/loop.hpp>
#include <belay/beast/any_websocket.hpp>
#include <belay/beast/listener_options.hpp>
#include <belay/core/bytes.hpp>
#include <belay/link/link.hpp>
#include <belay/link/status.hpp>
#include <belay/room/room_request.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// A beast::Accepted.
class AnyUpgrade {
public:
    virtual ~AnyUpgrade() = default;

    virtual UpgradeRequest request() const = 0;
    virtual std::string header(std::string_view name) const = 0;
    virtual void reject(int status, Duration retry_after) noexcept = 0;
    virtual BeastConnection<AnyConnection> open(const Link<Bytes>& link) = 0;
};

/// A beast::Listener.
class AnyAcceptor {
public:
    virtual ~AnyAcceptor() = default;

    virtual std::error_code listen(const posix::Endpoint& endpoint) = 0;
    virtual void close() noexcept = 0;
    virtual std::uint16_t port() const noexcept = 0;
    virtual beast::ListenerCounters counters() const noexcept = 0;
};

/// The functions that an AnyAcceptor calls.
struct AnyAcceptorCalls {
    std::function<void(std::unique_ptr<AnyUpgrade>)> accept;
    std::function<void(const beast::RejectedUpgrade&)> rejected;
};

/// Makes the listener. Defined in belay/beast/any_listener_source.hpp; the linker reports this name
/// if no file of the program includes it, or more than one.
[[nodiscard]] std::unique_ptr<AnyAcceptor>
any_listener_source_hpp_must_be_included_by_exactly_one_file(
    AsioLoop<boost::asio::io_context>& loop, beast::ListenerOptions options,
    AnyAcceptorCalls calls);

}}}  // namespace belay::detail

namespace belay { inline namespace BELAY_ABI { namespace beast {

/// A client of an AnyListener that has requested a WebSocket, as a transport that can be opened
/// once. It behaves as Accepted does.
///
/// Models:        TransportLike, move-only.
/// Thread safety: the thread that runs the context.
class AnyAccepted {
public:
    using message_type = Bytes;

    /// A connection of the client; see WebSocket.   Models: ConnectionLike.
    using Connection = detail::BeastConnection<detail::AnyConnection>;

    /// Called by the listener.
    explicit AnyAccepted(std::unique_ptr<detail::AnyUpgrade> upgrade) noexcept
        : upgrade_{std::move(upgrade)} {}

    /// As Accepted::request.   Throws: std::bad_alloc.
    [[nodiscard]] UpgradeRequest request() const { return upgrade_->request(); }
    /// As Accepted::header.   Throws: std::bad_alloc.
    [[nodiscard]] std::string header(std::string_view name) const { return upgrade_->header(name); }
    /// As Accepted::reject.   Pre: 400 <= status <= 599.
    void reject(int status, Duration retry_after = {}) noexcept {
        upgrade_->reject(status, retry_after);
    }
    /// As Accepted::open.   Throws: std::bad_alloc.
    [[nodiscard]] Connection open(const Link<Bytes>& link) {
        if (upgrade_) return upgrade_->open(link);
        detail::report_unavailable(link);
        return Connection{nullptr};
    }

private:
    std::unique_ptr<detail::AnyUpgrade> upgrade_;
};

/// A Listener whose code is compiled once, in a source file of its own.
///
/// A change of your server then compiles without Beast. That source file has one line:
///
///     #include <belay/beast/any_listener_source.hpp>
///
/// Compile it with the same compiler, options and macros as the others. If all are compiled with
/// BOOST_ASIO_SEPARATE_COMPILATION, that file has the code of asio, too. If another file of the
/// program includes <boost/asio/impl/src.hpp>, define BELAY_WITHOUT_ASIO_SOURCE where the program
/// includes any_listener_source.hpp. The code of asio's TLS is never in it: a program with TLS
/// includes <boost/asio/ssl/impl/src.hpp> in one source file.
///
/// `on_accept` is called with an `AnyAccepted`. Options, observer, limits and guarantees are those
/// of Listener, without TLS: use Listener for TLS, or a proxy.
///
/// Thread safety: as Listener.
/// Costs:         an allocation for each client.
class AnyListener {
    using Loop = AsioLoop<boost::asio::io_context>;

public:
    template <class Observer = NoObserver>
    AnyListener(Loop& loop, std::function<void(AnyAccepted)> on_accept,
                ListenerOptions options = {}, Observer observer = {})
        : acceptor_{detail::any_listener_source_hpp_must_be_included_by_exactly_one_file(
              loop, std::move(options), calls(std::move(on_accept), std::move(observer)))} {
        static_assert(detail::explain_observer<detail::ListenerHooks, Observer>());
    }

    /// As Listener::listen.   Blocks: while a name is looked up.   Throws: std::bad_alloc.
    [[nodiscard]] std::error_code listen(const posix::Endpoint& endpoint) {
        return acceptor_->listen(endpoint);
    }
    /// As Listener::close.   Errors: none.
    void close() noexcept { acceptor_->close(); }
    /// As Listener::port.
    [[nodiscard]] std::uint16_t port() const noexcept { return acceptor_->port(); }
    /// As Listener::counters.
    [[nodiscard]] ListenerCounters counters() const noexcept { return acceptor_->counters(); }

private:
    template <class Observer>
    static detail::AnyAcceptorCalls calls(std::function<void(AnyAccepted)> on_accept,
                                          Observer observer) {
        return {
            .accept =
                [f = std::move(on_accept)](std::unique_ptr<detail::AnyUpgrade> one) {
                    f(AnyAccepted{std::move(one)});
                },
            // Shared, because a function must be copyable.
            .rejected =
                [to =
                     std::make_shared<Observer>(std::move(observer))](const RejectedUpgrade& what) {
                    detail::notify<detail::ListenerHooks::Rejected>(*to, detail::no_machine, what);
                }};
    }

    std::unique_ptr<detail::AnyAcceptor> acceptor_;
};

}}}  // namespace belay::beast
