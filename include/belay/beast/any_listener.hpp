// SPDX-License-Identifier: MIT
/// \file belay/beast/any_listener.hpp
/// beast::AnyListener and beast::AnyAccepted: a listener that is compiled in a source file of its
/// own; needs Boost 1.74 or later.
#pragma once

#include <functional>    // std::function
#include <memory>        // std::shared_ptr, std::make_shared
#include <string>        // std::string
#include <string_view>   // std::string_view
#include <system_error>  // std::make_error_code
#include <utility>       // std::move, std::swap

#include <belay/asio/boost.hpp>
#include <belay/asio/loop.hpp>
#include <belay/beast/any_websocket.hpp>
#include <belay/beast/listener_options.hpp>
#include <belay/core/assert.hpp>
#include <belay/core/bytes.hpp>
#include <belay/core/failure.hpp>
#include <belay/link/link.hpp>
#include <belay/link/status.hpp>
#include <belay/room/authorizer_like.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// A client that is neither opened nor rejected, of a stream of any type.
class AnyUpgrade {
public:
    virtual ~AnyUpgrade() = default;

    virtual UpgradeRequest request() const = 0;
    virtual std::string header(std::string_view name) const = 0;
    virtual void reject(int status, Duration retry_after) noexcept = 0;
    /// Returns the connection that answers the upgrade. At most one call succeeds.
    virtual std::shared_ptr<AnyConnection> take(const Link<Bytes>& link) = 0;
    /// The user has dropped the client.
    virtual void drop() noexcept = 0;
};

}}}  // namespace belay::detail

namespace belay { inline namespace BELAY_ABI { namespace beast {

/// A client that has requested a WebSocket, as a transport that can be opened once.
///
/// Look at request() first, for as long as you like, also after the end of the listener. Then
/// open() accepts the upgrade, or reject() rejects it. Give the client to a ServedLink or a
/// RoomManager, alone or in a Heartbeat.
///
/// If the peer closes before the answer, it is counted, and the link ends with
/// LinkErrc::closed_by_peer. A second attempt fails with Cause::permanent. If the client is neither
/// opened nor rejected, the destructor closes the connection.
///
/// Models:        TransportLike, move-only; its connections are those of WebSocket.
/// Thread safety: the thread that runs the context.
class AnyAccepted {
public:
    using message_type = Bytes;
    /// The connection that it becomes.   Models: ConnectionLike.
    using Connection = detail::BeastConnection<detail::AnyConnection>;

    /// Called by the listener.
    explicit AnyAccepted(std::shared_ptr<detail::AnyUpgrade> upgrade) noexcept
        : upgrade_{std::move(upgrade)} {}
    AnyAccepted(AnyAccepted&&) noexcept = default;
    AnyAccepted& operator=(AnyAccepted&& other) noexcept {
        AnyAccepted{std::move(other)}.upgrade_.swap(upgrade_);
        return *this;
    }
    ~AnyAccepted() {
        if (upgrade_) upgrade_->drop();
    }

    /// Returns the target, the ip, the user agent and the origin of the request.
    ///
    /// Once the client is open, only the ip is left. Only the ip is proven, and the origin of a
    /// page if the client is a browser.   Throws: std::bad_alloc.
    [[nodiscard]] UpgradeRequest request() const { return upgrade_->request(); }
    /// Returns a header of the request; several with one name are joined by commas. Empty if there
    /// is none.   Throws: std::bad_alloc.
    [[nodiscard]] std::string header(std::string_view name) const { return upgrade_->header(name); }

    /// Answers with an HTTP status instead of the upgrade.
    ///
    /// A browser does not report the status to its page, only the code 1006. So if the page must
    /// know the reason, open the client, and close it with a code.
    ///
    /// Pre: 400 <= status <= 599; neither opened nor rejected before, else it does nothing.
    void reject(int status, Duration retry_after = {}) noexcept {
        BELAY_PRECONDITION(status >= 400 && status <= 599,
                           "beast::Accepted::reject: the status must be one of an error");
        upgrade_->reject(status, retry_after);
    }
    /// Accepts the upgrade; reports the result by `link`.   Throws: std::bad_alloc.
    [[nodiscard]] Connection open(const Link<Bytes>& link) {
        auto stream = upgrade_ ? upgrade_->take(link) : nullptr;
        if (!stream) {
            // An accepted connection cannot be opened a second time.
            Failure failure = Failure::from(std::make_error_code(std::errc::bad_file_descriptor));
            failure.cause = Cause::permanent;
            Link<Bytes>{link}.closed(failure);
        }
        return Connection{std::move(stream)};
    }

private:
    std::shared_ptr<detail::AnyUpgrade> upgrade_;
};

}}}  // namespace belay::beast

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The functions of a listener of any type. BeastListener describes them.
class AnyAcceptor {
public:
    virtual ~AnyAcceptor() = default;

    virtual std::error_code listen(const posix::Endpoint& endpoint) = 0;
    virtual void close() noexcept = 0;
    virtual std::uint16_t port() const noexcept = 0;
    virtual beast::ListenerCounters counters() const noexcept = 0;
};

/// A listener, of a type that it hides.
class BeastListener {
public:
    explicit BeastListener(std::shared_ptr<AnyAcceptor> acceptor) noexcept
        : acceptor_{std::move(acceptor)} {}
    BeastListener(BeastListener&&) noexcept = default;
    BeastListener& operator=(BeastListener&& other) noexcept {
        BeastListener{std::move(other)}.acceptor_.swap(acceptor_);
        return *this;
    }
    ~BeastListener() {
        if (acceptor_) close();
    }

    /// Starts to listen; a listener that listens already stops first.
    ///
    /// Errors: those of the system, above all std::errc::address_in_use; invalid_argument if the
    ///         options name an invalid origin or proxy, or if a duration or limit is not > 0.
    /// Blocks: while a name is looked up.   Throws: std::bad_alloc.
    [[nodiscard]] std::error_code listen(const posix::Endpoint& endpoint) {
        close();
        return acceptor_->listen(endpoint);
    }
    /// Stops listening.
    ///
    /// Clients whose request has not been read are closed; clients that were passed to on_accept
    /// stay.   Errors: none.
    void close() noexcept { acceptor_->close(); }

    /// Returns the port on which it listens, also if port 0 was requested; 0 if it does not listen.
    [[nodiscard]] std::uint16_t port() const noexcept { return acceptor_->port(); }
    /// Returns the counters since the listener was made.
    [[nodiscard]] beast::ListenerCounters counters() const noexcept {
        return acceptor_->counters();
    }

private:
    std::shared_ptr<AnyAcceptor> acceptor_;
};

/// The functions that an AnyAcceptor calls.
struct AnyAcceptorCalls {
    std::function<void(beast::AnyAccepted)> accept;
    std::function<void(const beast::RejectedUpgrade&)> rejected;
};

/// Makes the listener. Defined in belay/beast/any_listener_source.hpp; the linker reports this name
/// if no file of the program includes it, or more than one.
[[nodiscard]] std::shared_ptr<AnyAcceptor>
any_listener_source_hpp_must_be_included_by_exactly_one_file(
    AsioLoop<boost::asio::io_context>& loop, beast::ListenerOptions options,
    AnyAcceptorCalls calls);

}}}  // namespace belay::detail

namespace belay { inline namespace BELAY_ABI { namespace beast {

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
class AnyListener : public detail::BeastListener {
    using Loop = AsioLoop<boost::asio::io_context>;

public:
    template <class Observer = NoObserver>
    AnyListener(Loop& loop, std::function<void(AnyAccepted)> on_accept,
                ListenerOptions options = {}, Observer observer = {})
        : BeastListener{detail::any_listener_source_hpp_must_be_included_by_exactly_one_file(
              loop, std::move(options), calls(std::move(on_accept), std::move(observer)))} {
        static_assert(detail::explain_observer<detail::ListenerHooks, Observer>());
    }

private:
    template <class Observer>
    static detail::AnyAcceptorCalls calls(std::function<void(AnyAccepted)> on_accept,
                                          Observer observer) {
        return {.accept = std::move(on_accept),
                // Shared, because a function must be copyable.
                .rejected = [to = std::make_shared<Observer>(std::move(observer))](
                                const RejectedUpgrade& what) {
                    detail::notify<detail::ListenerHooks::Rejected>(*to, detail::no_machine, what);
                }};
    }
};

}}}  // namespace belay::beast
