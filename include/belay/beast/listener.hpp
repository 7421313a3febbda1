// SPDX-License-Identifier: MIT
/// \file belay/beast/listener.hpp
/// beast::Listener and beast::Accepted: the server side of beast::WebSocket; needs Boost 1.74 or
/// later.
#pragma once

#include <concepts>     // std::invocable
#include <memory>       // std::shared_ptr, std::enable_shared_from_this
#include <optional>     // std::optional
#include <string>       // std::string
#include <type_traits>  // std::remove_cvref
#include <utility>      // std::move; before asio, which in Boost 1.74 uses std::exchange without

#include <belay/asio/detail/asio_of.hpp>
#include <belay/asio/loop.hpp>
#include <belay/beast/any_listener.hpp>
#include <belay/beast/detail/pending_upgrade.hpp>
#include <belay/beast/detail/stream.hpp>
#include <belay/beast/listener_options.hpp>
#include <belay/core/observer.hpp>
#include <belay/link/transport_like.hpp>
#include <belay/posix/detail/socket.hpp>
#include <belay/posix/endpoint.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Accepts connections while it listens. Handlers hold it. `Accepted` is the argument type of `F`.
///
/// Thread safety: the thread that runs the context.
template <class F, class Accepted, class Stream, class Observer, class Hooks>
class BeastAcceptor final
    : public BeastListenerState<Stream>,
      public std::enable_shared_from_this<BeastAcceptor<F, Accepted, Stream, Observer, Hooks>> {
    using ListenerState = BeastListenerState<Stream>;
    using PendingUpgrade = BeastPendingUpgrade<Stream>;
    using Asio = AsioOf<boost::asio::io_context>;
    using Error = Asio::Error;
    using Tcp = Asio::Tcp;
    using Reason = beast::RejectedUpgrade::Reason;

public:
    BeastAcceptor(boost::asio::io_context& runs_in, typename ListenerState::TlsContext* certified,
                  F on_accept, beast::ListenerOptions options, Observer observer)
        : ListenerState{runs_in, certified, std::move(options)},
          on_accept_{std::move(on_accept)},
          observer_{std::move(observer)},
          acceptor_{runs_in},
          pause_{runs_in} {}

    std::error_code listen(const posix::Endpoint& endpoint) override {
        if (!is_valid()) return std::make_error_code(std::errc::invalid_argument);
        Error error;
        Tcp::resolver resolver{this->context};
        const auto found =
            resolver.resolve(endpoint.host, std::to_string(endpoint.port),
                             Tcp::resolver::passive | Tcp::resolver::numeric_service, error);
        for (const auto& one : found) {
            if ((error = bind(one.endpoint())); !error) {
                accept();
                return {};
            }
            Error ignored;
            acceptor_.close(ignored);
        }
        return Asio::standard(error);
    }
    void close() noexcept override {
        Error ignored;
        ++listens_;
        acceptor_.close(ignored);
        pause_.cancel();
        while (!this->pending_upgrades.empty()) {
            const auto pending = this->pending_upgrades.front()->shared_from_this();
            pending->end(Reason::closed);
        }
    }
    std::uint16_t port() const noexcept override {
        Error error;
        const auto here = acceptor_.local_endpoint(error);
        return error ? std::uint16_t{0} : here.port();
    }

    beast::ListenerCounters counters() const noexcept override { return this->limiter->counters; }

    void arrived(std::shared_ptr<PendingUpgrade> pending) override {
        on_accept_(Accepted{std::move(pending)});
    }
    void report(const beast::RejectedUpgrade& rejected) override {
        notify<typename Hooks::Rejected>(observer_, no_machine, rejected);
    }

private:
    /// Whether the options are valid: their limits admit clients, and each origin and each proxy
    /// can be parsed. One that cannot be parsed would never match.
    [[nodiscard]] bool is_valid() {
        const beast::ListenerOptions& options = this->limiter->options();
        if (!possible(options)) return false;
        for (const std::string& one : options.origins) {
            if (one != "*" && !WebOrigin::parse(one)) return false;
        }
        this->forwarded = {};
        return this->forwarded.trust(options.proxies);
    }
    [[nodiscard]] Error bind(const Tcp::endpoint& at) {
        Error error;
        acceptor_.open(at.protocol(), error);
        close_on_exec(acceptor_);
        // Allows a restarted server to bind before the kernel has forgotten the old connections.
        if (!error) acceptor_.set_option(Tcp::acceptor::reuse_address{true}, error);
        if (!error) acceptor_.bind(at, error);
        if (!error) acceptor_.listen(this->limiter->options().backlog, error);
        return error;
    }
    void accept() {
        acceptor_.async_accept([self = this->shared_from_this(), mine = listens_](
                                   const Error& error, Tcp::socket socket) {
            if (mine != self->listens_) return;
            if (error && !posix::detail::is_transient(error.value())) return self->exhausted(error);
            self->accept();
            if (!error) self->admit(std::move(socket));
        });
    }
    void admit(Tcp::socket socket) {
        Error error;
        const auto from = socket.remote_endpoint(error);
        const auto ip = error ? std::nullopt : IpAddress::parse(from.address().to_string());
        socket.set_option(Tcp::no_delay{true}, error);
        close_on_exec(socket);
        beast::ListenerCounters& counters = this->limiter->counters;
        ++counters.accepted;
        // The kernel has no address of a peer that has closed before the accept.
        if (!ip) return static_cast<void>(++counters.upgrades_aborted);
        if (const auto why = enter(*ip)) {
            ++counters.turned_away;
            counters.reasons.add(*why);
            return this->report_bounded(over_limit(*ip, *why));
        }
        IpPermit permit{this->limiter};
        // A connection through a proxy is counted later, when the client's address is known.
        const auto why = this->forwarded.is_proxy(*ip) ? std::nullopt : permit.claim(*ip);
        if (why) {
            permit.turned_away(*why);
            return this->report_bounded(over_limit(*ip, *why));
        }
        std::make_shared<PendingUpgrade>(this->shared_from_this(), std::move(socket),
                                         std::move(permit))
            ->start(*ip);
    }
    /// Counts a connection. If too many wait, or are there, it takes the place of one whose request
    /// is not complete.   Returns: the limit that is reached; nothing if it was counted.
    [[nodiscard]] std::optional<Reason> enter(const IpAddress& ip) {
        const auto total = this->limiter->enter();
        if (!total) return std::nullopt;
        const bool counts_later = this->forwarded.is_proxy(ip);
        const auto own =
            counts_later ? std::nullopt : this->limiter->why_not(ip, SteadyClock{}.now());
        if (own) return own;
        PendingUpgrade* const least = this->silent.least_important();
        if (least == nullptr) return total;
        const auto alive = least->shared_from_this();
        const auto other = IpAddress::parse(alive->ip());
        alive->give_up();
        if (other) this->report_bounded(over_limit(*other, Reason::given_up));
        return this->limiter->enter();
    }
    [[nodiscard]] static beast::RejectedUpgrade over_limit(const IpAddress& ip, Reason why) {
        return {
            .error = beast::WebSocketErrc::too_many_upgrades, .ip = ip.to_string(), .reason = why};
    }
    /// Pauses accepting. The connection that cannot be accepted stays in the queue, and retrying at
    /// once would keep the loop busy.
    void exhausted(const Error& error) {
        pause_.expires_after(this->limiter->options().exhausted_pause);
        pause_.async_wait([self = this->shared_from_this(), mine = listens_](const Error&) {
            if (mine == self->listens_) self->accept();
        });
        this->limiter->counters.reasons.add(Reason::exhausted);
        this->report_bounded({.error = Asio::standard(error), .reason = Reason::exhausted});
    }
    F on_accept_;
    Observer observer_;
    /// Counts listen() and close(); a handler of an earlier count does nothing.
    std::uint64_t listens_ = 0;
    Tcp::acceptor acceptor_;
    Asio::Timer pause_;
};

}}}  // namespace belay::detail

namespace belay { inline namespace BELAY_ABI { namespace beast {

/// A client of a Listener for this kind of stream. AnyAccepted has its functions.
template <class Stream = boost::beast::tcp_stream>
class Accepted : public AnyAccepted {
public:
    /// The Listener makes these.
    using AnyAccepted::AnyAccepted;
};

}}}  // namespace belay::beast

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The parameter type of a callable, if it is declared.
template <class Call>
struct TakenByCall;
template <class C, class R, class A>
struct TakenByCall<R (C::*)(A)> : std::remove_cvref<A> {};
template <class C, class R, class A>
struct TakenByCall<R (C::*)(A) const> : std::remove_cvref<A> {};
template <class C, class R, class A>
struct TakenByCall<R (C::*)(A) noexcept> : std::remove_cvref<A> {};
template <class C, class R, class A>
struct TakenByCall<R (C::*)(A) const noexcept> : std::remove_cvref<A> {};

template <class T>
struct StreamOf {};
template <class S>
struct StreamOf<beast::Accepted<S>> {
    using Type = S;
};
/// The stream of the accepted connections that a callable takes.
template <class F>
struct StreamTakenBy : StreamOf<beast::Accepted<>> {};
template <class F>
    requires requires { typename TakenByCall<decltype(&F::operator())>::type; }
struct StreamTakenBy<F> : StreamOf<typename TakenByCall<decltype(&F::operator())>::type> {};

}}}  // namespace belay::detail

namespace belay { inline namespace BELAY_ABI { namespace beast {

/// Listens for WebSockets, and calls `on_accept(Accepted<Stream>)` for each valid request.
///
/// The call comes before the request is answered.
///
///     Listener listener{loop, [&](Accepted<> client) { serve(std::move(client)); }};
///     Listener secure{loop, tls, [&](Accepted<Tls> client) { ... }, {}, Log{}};
///     if (const auto error = listener.listen({"0.0.0.0", 8080})) ...
///
/// The parameter of on_accept selects the stream. For TLS, include <belay/beast/tls.hpp>;
/// the context has the certificate and the key.
///
/// The listener rejects a request that is late, too long or wrong, and calls the observer's
/// `on_rejected(const RejectedUpgrade&)`. A peer that gives up is counted, without a call.
/// Connections beyond a limit are closed without reading, and counted. For 60 of them at once, and
/// then for 60 per minute, the hook is called, too. So it is for rejections through a proxy that
/// has not named its client yet. `Audited::rejections()` is an observer that writes rejections
/// into an audit.
///
/// on_accept and on_rejected may do everything, even destroy the listener. If one of them throws,
/// the exception leaves the context's run().
///
/// Thread safety: the thread that runs the context, which must outlive it. The loop, the listener
///                and the clients that it passed on may be destroyed in any order.
/// Costs:         15 to 25 seconds, and 1 GB, to compile. AnyListener is compiled once, in a source
///                file of its own.
template <class F, class Stream = typename detail::StreamTakenBy<F>::Type,
          class Observer = NoObserver>
class Listener : public detail::BeastListener {
    static_assert(
        std::invocable<F&, Accepted<Stream>>,
        "beast::Listener: on_accept must be callable with a belay::beast::Accepted<Stream>");
    static_assert(std::is_void_v<std::invoke_result_t<F&, Accepted<Stream>>>,
                  "beast::Listener: on_accept must return void, because a result would be ignored "
                  "and a coroutine would never run");
    static_assert(detail::explain_observer<detail::ListenerHooks, Observer>());
    using Loop = AsioLoop<boost::asio::io_context>;
    using TlsContext = typename detail::TlsContextOf<Stream>::Type;

public:
    Listener(Loop& loop, F on_accept, ListenerOptions options = {}, Observer observer = {})
        requires(!detail::NeedsTls<Stream>)
        : BeastListener{std::make_shared<State>(loop.context(), nullptr, std::move(on_accept),
                                                std::move(options), std::move(observer))} {}
    Listener(Loop& loop, TlsContext& tls, F on_accept, ListenerOptions options = {},
             Observer observer = {})
        requires detail::NeedsTls<Stream>
        : BeastListener{std::make_shared<State>(loop.context(), &tls, std::move(on_accept),
                                                std::move(options), std::move(observer))} {}

private:
    using State =
        detail::BeastAcceptor<F, Accepted<Stream>, Stream, Observer, detail::ListenerHooks>;
};

}}}  // namespace belay::beast
