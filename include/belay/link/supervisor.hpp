// SPDX-License-Identifier: MIT
/// \file belay/link/supervisor.hpp
/// Supervisor: keeps one connection alive, through all outages, as its policy says.
#pragma once

#include <cstddef>  // std::size_t
#include <utility>  // std::move, std::exchange

#include <belay/core/machine_like.hpp>
#include <belay/core/order.hpp>
#include <belay/link/detail/live_connection.hpp>
#include <belay/link/detail/pending_events.hpp>
#include <belay/link/detail/supervisor_mistakes.hpp>
#include <belay/link/link_handle.hpp>
#include <belay/link/observer.hpp>
#include <belay/link/supervisor_options.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Says what is wrong with the types it is given. The real one is specialised below.
template <class Transport, class Policy, class Observer = NoObserver>
class Supervisor {
    static_assert(explain::transport_like<Transport>());
    static_assert(explain::rule_like<Policy>());

public:
    template <class... A>
    explicit Supervisor(A&&...) {}
    void start() {}
    void stop() {}
};

/// Keeps a connection of a transport alive.
///
/// A Machine: attach it to a driver, which runs it on one thread, its home. All commands are for
/// that thread; other threads use a handle(). Commands take effect in the next turn, except stop().
///
/// The observer is told of every transition, in order; each attempt that it sees begin, it sees
/// end. It may call everything, and destroy the supervisor, in every hook. Destruction is silent.
///
/// Models:        MachineLike.
/// Thread safety: home thread only, which is the thread of the first advance(); see handle().
/// Source:        the order of a turn and the rule of epochs are explained in docs/link.md.
template <TransportLike Transport, RuleLike Policy, class Observer>
class Supervisor<Transport, Policy, Observer> {
public:
    using message_type = typename Transport::message_type;
    using Handle = LinkHandle<message_type, detail::HasProbe<part::ConnectionOf<Transport>>>;

    explicit Supervisor(Transport transport, Policy policy, SupervisorOptions options = {},
                        Observer observer = {})
        : linger_max_{detail::checked(options).linger_max},
          events_per_turn_max_{options.events_per_turn_max},
          observer_{std::move(observer)},
          core_{std::move(policy), options.core},
          live_{std::move(transport), options.messages_max} {
        static_assert(detail::explain_observer<Hooks, Observer>());
    }
    Supervisor(const Supervisor&) = delete;
    Supervisor& operator=(const Supervisor&) = delete;
    ~Supervisor() {
        BELAY_PRECONDITION(!live_.in_part() && !decides_,
                           "~Supervisor: must not run inside a transport or a check, nor a rule");
        live_.abort();
        decides_ = true;
        // Nobody is told, but permits go back.
        Turn turn{detail::larger(now_, box().waker().now()), bits_};
        static_cast<void>(core_.step({.input = timeline::Input::stop}, turn));
        box().close();
    }

    // ---- for the driver ------------------------------------------------------------------------

    void attach(Waker waker) {
        bits_ = Random{waker.seed()};
        box().attach(std::move(waker));
    }

    [[nodiscard]] Instant deadline() const noexcept {
        if (has_untold() || !box().empty() || box().refused()) return always;
        return detail::smaller(core_.deadline(), live_.deadline());
    }

    /// One turn: events first, then timers; see docs/link.md for the order.
    void advance(Instant now) {
        BELAY_PRECONDITION(!line_.in_turn(), "Supervisor::advance: must not be called in a hook");
        box().begin_turn();
        now_ = detail::larger(now_, now);
        driver::TurnGuard guard{line_};
        if (!tell(guard)) return;
        unsigned left = events_per_turn_max_;
        if (!run_events(left, guard)) return;
        Turn turn{now_, bits_};
        live_.run_timers(turn);
        if (!run_events(left, guard)) return;
        // Events before timers: what arrived in time counts although the driver is late; and a
        // flood of events, which cuts the turn short, cannot starve the timer.
        if (core_.deadline() <= now_) {
            step({.input = timeline::Input::tick});
            if (!tell(guard)) return;
        }
        if (box().take_refusal()) live_.resume_reading();
    }

    // ---- commands ------------------------------------------------------------------------------

    void start() { handle().start(); }
    /// Ends everything. Outside a turn the observer has seen the end when this returns. Inside a
    /// turn, and inside of what the transport is told, the status changes at once, and the observer
    /// is told when that has returned, before anything else; nothing follows it but what a later
    /// start() brings. Inside a rule, or the observer of a breaker, it is the next decision.
    void stop() {
        // What was queued before the stop is void, but a connection that has ended already must
        // not linger.
        box().discard_unless([this](const part::Event<message_type>& event) {
            if (event.kind == part::EventKind::closed) {
                return event.epoch == live_.epoch() && !event.goodbye;
            }
            return event.kind == part::EventKind::command && detail::outlives_stop(event.code);
        });
        if (decides_) return static_cast<void>(stops_ = true);
        if (line_.in_turn()) return step({.input = timeline::Input::stop});
        now_ = detail::larger(now_, box().waker().now());
        driver::TurnGuard guard{line_};
        step({.input = timeline::Input::stop});
        // Before a hook can throw.
        box().waker().touch();
        // A hook may destroy what a send() is running in.
        if (!live_.in_part()) static_cast<void>(tell(guard));
    }

    /// Shuts a gate. With a grace nothing happens before that is over, and nothing at all if the
    /// gate is opened again before. Of several calls the one whose grace ends first counts.
    void shut(Gate gate, Duration grace = {}) { handle().shut(gate, grace); }
    void open(Gate gate) { handle().open(gate); }

    /// Sends no more, lets leave what was sent, and ends `stopped`: when the goodbye is over, or
    /// the connection is, or after `within`. Until then messages are still received, send()
    /// answers down, and start() does nothing. Where nothing is connected it is stop(). A second
    /// call can only shorten the time. The status' failure says whether all went well: it has
    /// Cause::none then, LinkErrc::not_drained if the time was over, or what ended the connection.
    void drain(Duration within) { handle().drain(within); }

    /// Asks for a sign of life now, as after a change of networks; without one within that long
    /// the connection has failed. Does nothing unless one is open.
    /// Pre: within > 0ns; there is a Heartbeat in the transport.
    template <class T = Transport>
    void probe_now(Duration within = std::chrono::seconds{5}) {
        static_assert(detail::HasProbe<part::ConnectionOf<T>>,
                      "Supervisor::probe_now: nobody would ask: put a Heartbeat around the "
                      "transport");
        handle().probe_now(within);
    }

    /// Hands new credentials to the transport (WithToken and its source take them), and leaves
    /// blocked_auth. With SupervisorCoreOptions::recycle a connection that was made with the old
    /// ones is closed as planned, and made anew.
    template <class... A>
    void credentials(A&&... values) {
        if constexpr (sizeof...(A) != 0) live_.credentials(std::forward<A>(values)...);
        handle().credentials();
    }

    /// Overrides the backoff, not the gate, an open breaker, nor the wait that a server asked for;
    /// granted once per second. With `force` it goes as the one probe that an open breaker lets
    /// through. From failed and blocked_auth it starts afresh; a live connection is closed and
    /// dialled again.
    Reconnect reconnect_now(bool force = false) {
        const Instant now = detail::larger(now_, box().waker().now());
        const Instant at = core_.manual_attempt_at(now, force);
        detail::LinkCommandsOf::give(handle(),
                                     force ? detail::Command::force : detail::Command::reconnect);
        return {at <= now, at};
    }

    /// Closes the live connection on outside evidence; a failure like any other. What was sent on
    /// it still leaves, until the next attempt and for `linger_max` at most. Else does nothing.
    void report_unhealthy(Failure failure = {}) noexcept {
        if (live_.epoch() == 0) return;
        if (failure.cause == Cause::none) failure = failure_of(LinkErrc::reported_unhealthy);
        part::Event<message_type> event;
        event.kind = part::EventKind::closed;
        event.epoch = live_.epoch();
        event.failure = failure;
        event.goodbye = core_.status().state == LinkState::connected;
        box().post_end(std::move(event));
    }

    /// Sends on the live connection.   Complexity: of the transport.   Throws: nothing.
    [[nodiscard]] SendResult send(const message_type& message, Lane lane = 0) noexcept {
        if (core_.status().state != LinkState::connected) return SendResult::down;
        return live_.send(message, lane);
    }
    template <detail::NoMessage<message_type> T>
    SendResult send(const T&, Lane = 0) noexcept {
        return detail::accepts_message_type<T>();
    }

    [[nodiscard]] const LinkStatus& status() const noexcept { return core_.status(); }
    [[nodiscard]] const timeline::SupervisorCore<Policy>& core() const noexcept { return core_; }
    [[nodiscard]] Handle handle() const { return Handle{live_.box()}; }
    [[nodiscard]] auto& observer() noexcept { return detail::unwrap(observer_); }
    [[nodiscard]] Transport& transport() noexcept { return live_.transport(); }
    /// When the live connection last said anything: a message, a part of one, an answered ping.
    [[nodiscard]] Instant heard_at() const noexcept { return heard_at_; }
    /// The time of the turn in progress, or of the last one.
    [[nodiscard]] Instant now() const noexcept { return now_; }

private:
    friend struct detail::LifelineOf;
    using Box = detail::LinkBox<message_type>;
    using Hooks = detail::SupervisorHooks<Supervisor, message_type>;

    [[nodiscard]] Box& box() const noexcept { return *live_.box(); }

    /// Returns: false if the supervisor is gone.
    bool run_events(unsigned& left, const driver::TurnGuard& guard) {
        if (guard.gone() || !tell(guard)) return false;
        while (left != 0 && box().size() != 0) {
            --left;
            dispatch(box().pop());
            if (guard.gone() || !tell(guard)) return false;
        }
        return true;
    }

    void dispatch(part::Event<message_type> event) {
        if (event.kind == part::EventKind::command) return obey(event);
        Turn turn{now_, bits_};
        if (live_.lingering() != 0 && event.epoch == live_.lingering()) {
            const bool ends = event.kind == part::EventKind::closed && !event.goodbye;
            if (ends && live_.sift(event, turn)) live_.end_linger();
            return;
        }
        if (event.epoch != live_.epoch()) return;
        // An open() that threw left only its end.
        if (!live_.exists() && event.kind != part::EventKind::closed) return;
        if (!live_.sift(event, turn)) return;
        if (event.epoch != live_.epoch()) return;  // a check called stop()
        // Room for our own sending proves nothing of the peer.
        const bool heard =
            event.kind == part::EventKind::received || event.kind == part::EventKind::pong;
        if (heard) heard_at_ = now_;
        switch (event.kind) {
            case part::EventKind::opened:
                return step({.input = timeline::Input::opened});
            case part::EventKind::closed:
                box().join_ends(event);
                return step({.input = timeline::Input::closed,
                             .failure = event.failure,
                             .goodbye = event.goodbye});
            case part::EventKind::received:
                return deliver(std::move(*event.message), event.lane);
            case part::EventKind::writable:
                if (core_.status().state != LinkState::connected) return;
                return detail::notify<typename Hooks::Writable>(observer_, *this, Lane{event.lane});
            case part::EventKind::report:
                return tell_report(event);
            default:
                return;
        }
    }

    void tell_report(const part::Event<message_type>& event) {
        const Duration time = event.failure.retry_after;
        switch (static_cast<part::Report>(event.code)) {
            case part::Report::round_trip:
                return detail::notify<typename Hooks::RoundTrip>(observer_, *this, Duration{time},
                                                                 Lane{event.lane});
            case part::Report::policy_conflict:
                return detail::notify<typename Hooks::PolicyConflict>(
                    observer_, *this, Duration{time}, Lane{event.lane});
        }
    }

    void deliver(message_type message, Lane lane) {
        const LinkState state = core_.status().state;
        if (state == LinkState::connected || state == LinkState::draining) {
            return detail::notify<typename Hooks::Message>(observer_, *this, std::move(message),
                                                           Lane{lane});
        }
        const bool has_room = pending_events_.early_count() < box().messages_max();
        if (has_room && pending_events_.add(std::move(message), lane)) return;
        // Without one of them the others would be another conversation.
        step({.input = timeline::Input::closed, .failure = {.cause = Cause::overloaded}});
    }

    void shut_gate(std::uint32_t bit, Duration grace) {
        const std::uint32_t others = core_.gates() & ~bit;
        // Anew, if that makes it sooner: a gate in its grace is as good as open.
        if (core_.grace_ends(Gate{bit}) > after(now_, grace)) {
            step({.input = timeline::Input::gates, .gates = others});
        }
        step({.input = timeline::Input::gates, .gates = others | bit, .within = grace});
    }

    void obey(part::Event<message_type>& event) {
        const auto bit = event.epoch;
        const Duration within = event.failure.retry_after;
        switch (static_cast<detail::Command>(event.code)) {
            case detail::Command::start:
                return step({.input = timeline::Input::start});
            case detail::Command::stop:
                // Not stop(): what comes behind it counts.
                return step({.input = timeline::Input::stop});
            case detail::Command::shut:
                return shut_gate(bit, within);
            case detail::Command::open:
                return step({.input = timeline::Input::gates, .gates = core_.gates() & ~bit});
            case detail::Command::credentials:
                return step({.input = timeline::Input::credentials});
            case detail::Command::reconnect:
                return step({.input = timeline::Input::reconnect_now});
            case detail::Command::force:
                return step({.input = timeline::Input::reconnect_now, .force = true});
            case detail::Command::drain:
                return step({.input = timeline::Input::drain, .within = within});
            case detail::Command::probe: {
                Turn turn{now_, bits_};
                return live_.probe(turn, within);
            }
            case detail::Command::look:
                return detail::notify<typename Hooks::Look>(observer_, *this);
            case detail::Command::send:
                if (send(*event.message, event.lane) != SendResult::sent) {
                    detail::notify<typename Hooks::Unsent>(
                        observer_, *this, std::move(*event.message), Lane{event.lane});
                }
                return;
        }
    }

    /// Lets the core decide, and carries it out; the observer is told by tell().
    void step(const timeline::Step& s) {
        Turn turn{now_, bits_};
        decides_ = true;
        const timeline::Actions actions = core_.step(s, turn);
        decides_ = false;
        // First noted: a transport that is told to close may call stop(), which comes behind it.
        if (actions.notify) pending_events_.add(actions.change);
        box().publish(core_.status(), actions.dial);
        if (actions.teardown) {
            pending_events_.drop_early();
            const bool open = s.goodbye || actions.change.from == LinkState::connected;
            live_.teardown(actions.graceful && open, after(now_, linger_max_));
        }
        if (std::exchange(stops_, false)) return step({.input = timeline::Input::stop});
        if (actions.dial && core_.status().state == LinkState::connecting) live_.dial();
        if (actions.drain && !live_.drain()) {
            step({.input = timeline::Input::closed, .failure = {.cause = Cause::planned}});
        }
    }

    [[nodiscard]] bool has_untold() const noexcept {
        return pending_events_.has_change() ||
               (pending_events_.early_count() != 0 && core_.status().state == LinkState::connected);
    }
    /// Tells the observer what has happened.   Returns: false if the supervisor is gone.
    bool tell(const driver::TurnGuard& guard) {
        live_.reap();
        while (has_untold()) {
            if (pending_events_.has_change()) {
                const Transition change = pending_events_.take_change(core_.status());
                detail::notify<typename Hooks::State>(observer_, *this, change);
            } else {
                auto early = pending_events_.take_early();
                detail::notify<typename Hooks::Message>(observer_, *this, std::move(early.message),
                                                        Lane{early.lane});
            }
            if (guard.gone()) return false;
        }
        return true;
    }

    const Duration linger_max_;
    const unsigned events_per_turn_max_;
    [[no_unique_address]] Observer observer_;
    bool decides_ = false;  // the core is: rules run
    bool stops_ = false;    // as soon as it has decided
    Random bits_;
    driver::Lifeline line_;
    timeline::SupervisorCore<Policy> core_;
    detail::PendingEvents<message_type> pending_events_;
    Instant now_ = always;
    Instant heard_at_ = always;
    detail::LiveConnection<Transport> live_;  // last: it dies first
};

template <class Transport, class Policy>
Supervisor(Transport, Policy) -> Supervisor<Transport, Policy, NoObserver>;
template <class Transport, class Policy>
Supervisor(Transport, Policy, SupervisorOptions) -> Supervisor<Transport, Policy, NoObserver>;
template <class Transport, class Policy, class Observer>
Supervisor(Transport, Policy, SupervisorOptions, Observer)
    -> Supervisor<Transport, Policy, Observer>;

}}  // namespace belay
