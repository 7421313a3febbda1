// SPDX-License-Identifier: MIT
/// \file belay/beast/detail/acceptor.hpp
/// BeastAcceptor: the listening socket of a beast::Listener.
#pragma once

#include <memory>    // std::enable_shared_from_this
#include <optional>  // std::optional
#include <utility>   // std::move; before asio, which in Boost 1.74 uses std::exchange without

#include <belay/asio/detail/close_on_exec.hpp>
#include <belay/beast/detail/pending_upgrade.hpp>
#include <belay/core/observer.hpp>
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

    [[nodiscard]] std::error_code listen(const posix::Endpoint& endpoint) {
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
    void close() noexcept {
        Error ignored;
        ++listens_;
        acceptor_.close(ignored);
        pause_.cancel();
        while (!this->pending_upgrades.empty()) {
            const auto pending = this->pending_upgrades.front()->shared_from_this();
            pending->end(Reason::closed);
        }
    }
    [[nodiscard]] std::uint16_t port() const noexcept {
        Error error;
        const auto here = acceptor_.local_endpoint(error);
        return error ? std::uint16_t{0} : here.port();
    }

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
            if (error && !is_transient(error)) return self->exhausted(error);
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
    /// Whether further connections may be waiting after this error. Source: accept(2), "Error
    /// handling".
    [[nodiscard]] static bool is_transient(const Error& error) noexcept {
        const std::error_code code = Asio::standard(error);
        for (const std::errc one :
             {std::errc::interrupted, std::errc::connection_aborted, std::errc::protocol_error,
              std::errc::network_down, std::errc::no_protocol_option, std::errc::host_unreachable,
              std::errc::network_unreachable}) {
            if (code == one) return true;
        }
        return false;
    }

    F on_accept_;
    Observer observer_;
    /// Counts listen() and close(); a handler of an earlier count does nothing.
    std::uint64_t listens_ = 0;
    Tcp::acceptor acceptor_;
    Asio::Timer pause_;
};

}}}  // namespace belay::detail
