// SPDX-License-Identifier: MIT
/// \file belay/link/supervisor.hpp
/// Supervisor: keeps one connection open through all outages, as its policy decides.
#pragma once

#include <concepts>     // std::convertible_to, std::same_as
#include <cstddef>      // std::size_t
#include <cstdint>      // std::uint32_t
#include <string_view>  // std::string_view
#include <utility>      // std::exchange, std::move, std::forward

#include <belay/core/assert.hpp>
#include <belay/core/bytes.hpp>
#include <belay/core/detail/memory.hpp>
#include <belay/core/detail/scope_exit.hpp>
#include <belay/core/machine_like.hpp>
#include <belay/core/observer.hpp>
#include <belay/core/order.hpp>
#include <belay/link/link.hpp>
#include <belay/link/link_errc.hpp>
#include <belay/link/part.hpp>
#include <belay/link/status.hpp>
#include <belay/link/supervisor_core.hpp>
#include <belay/link/transport_like.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {
/// Neither a message of type M, nor a text for one.
template <class T, class M>
concept NoMessage = !std::convertible_to<const T&, const M&> && !TextForBytes<T, M>;

template <class T>
SendResult accepts_message_type() noexcept {
    static_assert(
        !std::same_as<T, T>,
        "Supervisor::send: the message must be of the transport's message_type; convert a view "
        "of bytes with belay::to_bytes(view)");
    return SendResult::rejected;
}

BELAY_DETAIL_HOOK(OnRoundTrip, on_round_trip);
BELAY_DETAIL_HOOK(OnPolicyConflict, on_policy_conflict);
BELAY_DETAIL_HOOK(LookAtWaiters, look_at_waiters);

/// on_message with the parameters A, the last of which is the message. The lane follows them; the
/// observer may leave it out.
template <class S, class... A>
struct MessageHook {
    using Long = Hook<OnMessage, S, A..., Lane>;
    using Short = Hook<OnMessage, S, A...>;
    template <class O>
    static constexpr bool callable_on =
        Long::template callable_on<O> || Short::template callable_on<O>;
    template <class O>
    static constexpr bool right =
        Long::template callable_on<O> || !Short::template callable_on<O> ? Long::template right<O>
                                                                         : Short::template right<O>;
    /// The lane comes first, so that the others are a pack.
    template <class O, class... B>
    static constexpr void call(O& o, S& machine, Lane lane, B&&... b) {
        if constexpr (Long::template callable_on<O>) {
            Long::call(o, machine, static_cast<B&&>(b)..., Lane{lane});
        } else {
            Short::call(o, machine, static_cast<B&&>(b)...);
        }
    }
};

/// The hooks of a Supervisor S of messages M.
template <class S, class M>
struct SupervisorHooks {
    using State = Hook<OnState, S, const Transition&>;
    using Message = MessageHook<S, M>;
    using Writable = Hook<OnWritable, S, Lane>;
    using Unsent = Hook<OnUnsent, S, M, Lane>;
    using RoundTrip = Hook<OnRoundTrip, S, Duration, Lane>;
    using PolicyConflict = Hook<OnPolicyConflict, S, Duration, Lane>;
    using Look = Hook<LookAtWaiters, S>;  // only LinkAwaits has it

    template <class O>
    [[nodiscard]] static consteval bool explain() {
        static_assert(State::template right<O>,
                      "Supervisor: the observer's on_state must be 'on_state(const "
                      "belay::Transition&)', or have 'auto& link' in front of that");
        static_assert(Message::template right<O>,
                      "Supervisor: the observer's on_message must be 'on_message(message_type)', "
                      "or have 'auto& link' in front of that, a 'belay::Lane' after it, or both");
        static_assert(Writable::template right<O>,
                      "Supervisor: the observer's on_writable must be 'on_writable(belay::Lane)', "
                      "or have 'auto& link' in front of that");
        static_assert(Unsent::template right<O>,
                      "Supervisor: the observer's on_unsent must be 'on_unsent(message_type, "
                      "belay::Lane)', or have 'auto& link' in front of that");
        static_assert(RoundTrip::template right<O>,
                      "Supervisor: the observer's on_round_trip must be "
                      "'on_round_trip(belay::Duration, belay::Lane)', or have 'auto& link' in "
                      "front of that");
        static_assert(PolicyConflict::template right<O>,
                      "Supervisor: the observer's on_policy_conflict must be "
                      "'on_policy_conflict(belay::Duration, belay::Lane)', or have 'auto& link' "
                      "in front of that");
        static_assert(
            has_any_hook_of<O, State, Message, Writable, Unsent, RoundTrip, PolicyConflict>,
            "Supervisor: the observer has no hook: it needs one of on_state, on_message, "
            "on_writable, on_unsent, on_round_trip, on_policy_conflict. Derive an "
            "observer without hooks from belay::NoObserver");
        return true;
    }
};

/// Transitions, in their order, and the messages that rose before `connected`, which come behind
/// them.
///
/// Thread safety: home thread of the supervisor.
template <class M>
class PendingEvents {
public:
    struct Early {
        M message;
        Lane lane;
    };

    void add(const Transition& change) {
        if (!has_change()) {
            first_ = change;
            has_first_ = true;
            return;
        }
        BELAY_INVARIANT(
            !has_last_ && change.to.state == LinkState::stopped,
            "PendingEvents::add: a second change before the observer is notified must be a stop");
        last_from_ = change.from;
        has_last_ = true;
    }
    [[nodiscard]] bool has_change() const noexcept { return has_first_ || has_last_; }
    /// `now`: the status, to which the last transition has led.
    [[nodiscard]] Transition take_change(const LinkStatus& now) noexcept {
        if (std::exchange(has_first_, false)) return first_;
        has_last_ = false;
        return {last_from_, now};
    }

    /// A greeting that came before the last lane was open.   Returns: false if there is no memory.
    [[nodiscard]] bool add(M message, Lane lane) noexcept {
        return early_.try_push({std::move(message), lane});
    }
    [[nodiscard]] std::size_t early_count() const noexcept { return early_.size(); }
    [[nodiscard]] Early take_early() noexcept { return early_.pop(); }
    /// Their connection is over.
    void drop_early() noexcept { early_.clear(); }

private:
    EventRing<Early> early_;
    // At most two between two looks. The second is the end of a drain without a close, or a stop()
    // in a transport, check or rule. Nothing follows it without a command.
    Transition first_{};
    bool has_first_ = false;
    bool has_last_ = false;
    LinkState last_from_ = LinkState::stopped;
};

/// Owns the mailbox, the transport and at most one connection. The connection is in one of these
/// states:
/// - alive;
/// - closing: its epoch is void, and its end is still to come;
/// - dead: it waits until its own call has returned.
///
/// Thread safety: home thread of the supervisor.
template <TransportLike Transport>
class LiveConnection {
    using M = typename Transport::message_type;
    using Connection = part::ConnectionOf<Transport>;
    using Box = LinkBox<M>;

public:
    /// `messages_max` is the limit of its mailbox.
    LiveConnection(Transport transport, std::size_t messages_max)
        : box_{Ref<Box>::make(messages_max)}, transport_{std::move(transport)} {}

    /// Returns the mailbox that receives its events, and outlives it.
    [[nodiscard]] const Ref<Box>& box() const noexcept { return box_; }
    [[nodiscard]] Transport& transport() noexcept { return transport_; }
    /// Returns whether it has taken a whole message.
    [[nodiscard]] bool has_taken() const noexcept { return has_taken_; }
    [[nodiscard]] bool exists() const noexcept { return connection_.get() != nullptr; }
    /// Returns whether only its end is still handled: open() or a decorator threw.
    [[nodiscard]] bool broken() const noexcept { return !exists() || broken_; }
    /// Returns whether one of its calls is on the call stack, so that it must not be destroyed.
    [[nodiscard]] bool in_part() const noexcept { return in_part_ || in_send_; }
    [[nodiscard]] std::uint32_t epoch() const noexcept {
        return box_->epoch.load(std::memory_order_relaxed);
    }
    /// Returns the epoch that is closing, or 0.
    [[nodiscard]] std::uint32_t lingering() const noexcept {
        return box_->lingering.load(std::memory_order_relaxed);
    }

    [[nodiscard]] Instant deadline() const noexcept {
        const Connection* const c = connection_.get();
        if (c == nullptr) return never;
        if (lingering() != 0) return linger_ends_;
        return broken_ ? never : part::deadline(*c);
    }
    /// Returns: false if a decorator kept the event.
    /// Throws: what a decorator throws. The connection then ends, and no decorator is called again.
    [[nodiscard]] bool sift(part::Event<M>& event, Turn& turn) {
        if (broken()) return true;
        const FlagScope in{in_part_};
        auto guard = end_if_thrown(event.kind == part::EventKind::closed ? &event : nullptr);
        const bool rose = part::sift(*connection_.get(), event, turn);
        guard.release();
        return rose;
    }
    [[nodiscard]] SendResult send(const M& message, Lane lane) noexcept {
        if (!exists() || lingering() != 0) return SendResult::down;
        SendResult result;
        {
            const FlagScope in{in_send_};
            result = part::send<M>(*connection_.get(), lane, message);
        }
        if (result == SendResult::sent) has_taken_ = true;
        // Also outside a turn, because no turn might follow soon.
        reap();
        return result;
    }
    /// Passes new credentials to the transport.
    template <class... A>
    void credentials(A&&... values) {
        {
            const FlagScope in{in_send_};
            transport_.credentials(std::forward<A>(values)...);
        }
        reap();
    }
    void run_timers(Turn& turn) {
        if (!exists()) return;
        if (lingering() != 0) {
            if (linger_ends_ <= turn.now) end_linger();
            return;
        }
        if (broken_) return;
        const FlagScope in{in_part_};
        auto guard = end_if_thrown();
        part::advance(*connection_.get(), turn);
        guard.release();
    }
    void probe(Turn& turn, Duration within) noexcept {
        if (!exists() || lingering() != 0) return;
        const FlagScope in{in_part_};
        part::probe(*connection_.get(), turn, within);
    }
    /// Closes the connection while its epoch continues.
    /// Returns: false if it has no close(): everything sent was handed over.
    [[nodiscard]] bool drain() noexcept {
        if constexpr (HasClose<Connection>) {
            if (exists()) {
                begin_close();
                return true;
            }
        }
        return false;
    }
    void resume_reading() noexcept {
        if (!exists() || lingering() != 0) return;
        const FlagScope in{in_part_};
        part::resume_reading(*connection_.get());
    }

    /// Opens the next connection.
    /// Throws: what open() throws; the attempt then ends like any other.
    void dial() {
        end_linger();
        dead_ = parting_ = has_taken_ = broken_ = false;
        if (++last_epoch_ == 0) ++last_epoch_;
        box_->epoch.store(last_epoch_, std::memory_order_release);
        const Link<M> link{box_, last_epoch_};
        open_connection(link, connection_, [&] {
            const FlagScope in{in_part_};
            return transport_.open(link);
        });
    }

    /// Ends the epoch, and the connection with it: at once, or with a close until `linger_ends`.
    void teardown(bool graceful, Instant linger_ends) noexcept {
        const std::uint32_t old = epoch();
        // A connection that is already closing continues to do so.
        if (old == 0) return;
        void_epoch();
        box_->held_lanes = 0;
        box_->forget_rejection();
        if (in_part_) {
            dead_ = true;
            return;
        }
        if constexpr (HasClose<Connection>) {
            if (graceful && exists()) {
                box_->lingering.store(old, std::memory_order_release);
                linger_ends_ = linger_ends;
                return begin_close();
            }
        }
        if (in_send_) {
            dead_ = true;
            return;
        }
        connection_.reset();
    }
    void end_linger() noexcept {
        box_->lingering.store(0, std::memory_order_release);
        connection_.reset();
    }
    /// Destroys a connection that was given up inside one of its own calls.
    void reap() noexcept {
        if (dead_ && !in_part()) {
            dead_ = false;
            connection_.reset();
        }
    }
    /// Ends everything, without a close.
    void abort() noexcept {
        void_epoch();
        connection_.reset();
    }

private:
    /// Ends the connection if a decorator throws, unless released. `end` is the event of its end if
    /// that was passed to the decorator: it must not be lost.
    [[nodiscard]] auto end_if_thrown(part::Event<M>* end = nullptr) noexcept {
        return ScopeExit{[this, end] {
            broken_ = true;
            if (end != nullptr) {
                box_->post_end(std::move(*end));
            } else {
                // Read before the copy, after which GCC 12 warns of a null pointer at -O3.
                const std::uint32_t old = epoch();
                Link<M>{box_, old}.closed(failure_of(LinkErrc::decorator_threw));
            }
        }};
    }

    /// Closes at most once: a drain that is given up at this end has already called close().
    void begin_close() noexcept
        requires HasClose<Connection>
    {
        const FlagScope in{in_part_};
        if (!parting_) {
            parting_ = true;
            connection_.get()->close(Failure{.cause = Cause::planned});
        }
    }
    void void_epoch() noexcept {
        box_->epoch.store(0, std::memory_order_release);
        box_->lingering.store(0, std::memory_order_release);
    }

    Ref<Box> box_;
    std::uint32_t last_epoch_ = 0;
    bool in_part_ = false;
    bool in_send_ = false;  // or credentials(): it may close all the same
    bool dead_ : 1 = false;
    bool parting_ : 1 = false;  // its close() was called
    bool has_taken_ : 1 = false;
    bool broken_ : 1 = false;  // a decorator threw
    Instant linger_ends_ = never;
    Transport transport_;
    part::Slot<Connection> connection_;
};

}  // namespace detail

/// Keeps one connection of a transport open, as a policy decides. This primary template only
/// rejects unsuitable types; the specialisation below is the supervisor.
template <class Transport, class Policy, class Observer = NoObserver>
class Supervisor {
    static_assert(!RuleLike<Transport>, "Supervisor: pass the transport first, then the policy");
    static_assert(explain::transport_like<Transport>());
    static_assert(explain::rule_like<Policy>());

public:
    template <class... A>
    explicit Supervisor(A&&...) {}
    void start() {}
    void stop() {}
};

/// Keeps one connection of a transport open, as a policy decides.
///
/// A machine: attach it to a driver, which runs it on its home thread. Commands are for that
/// thread, and take effect in the next turn, except stop(). Other threads use a handle().
///
/// The destructor is silent. In a checked build it prints a line if commands were given, and the
/// supervisor was never attached.
///
/// The observer sees every transition, in order, and the end of each attempt that it saw begin. It
/// has any of these hooks:
/// - `on_state(auto& link, const Transition&)`: after every transition.
/// - `on_message(auto& link, message_type [, Lane])`: a message, only while connected or draining.
/// - `on_writable(auto& link, Lane)`: there is capacity after `busy`, only while connected.
/// - `on_unsent(auto& link, message_type, Lane)`: a message that a Handle posted could not be sent.
/// - `on_round_trip(auto& link, Duration, Lane)`: a Heartbeat's ping was answered.
/// - `on_policy_conflict(auto& link, Duration, Lane)`: the peer's wish for fewer pings overrides
///   `dead_after` of the Heartbeat. From now on a loss goes unnoticed for that duration.
///
/// Each hook may leave out the supervisor `link`. Hooks run on the home thread, one at a time, and
/// never under a lock. They may call every command of the supervisor, and may destroy it. An
/// exception from a hook leaves the `advance` that ran it.
///
/// Models:        MachineLike.
/// Thread safety: home thread only, which is the thread of the first advance(); see handle().
/// Source:        docs/explanation/links.md explains the order of a turn.
template <TransportLike Transport, RuleLike Policy, class Observer>
class Supervisor<Transport, Policy, Observer> {
public:
    using message_type = typename Transport::message_type;
    /// Commands from other threads.
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
    /// With the usual options.
    template <detail::ObserverArgument<Observer> O>
        requires(!std::convertible_to<O, SupervisorOptions>)
    Supervisor(Transport transport, Policy policy, O&& observer)
        : Supervisor{std::move(transport), std::move(policy), SupervisorOptions{},
                     std::forward<O>(observer)} {}
    Supervisor(const Supervisor&) = delete;
    Supervisor& operator=(const Supervisor&) = delete;
    ~Supervisor() {
        BELAY_PRECONDITION(!live_.in_part() && !decides_,
                           "~Supervisor: a transport, a check or a rule must not destroy it");
        // Not a precondition: a program may give up between start() and attach().
        if (BELAY_ASSERTIONS && !box().was_driven() && !box().empty()) {
            detail::report_misuse(
                "~Supervisor: start() or another command was given, and no driver ever carried it "
                "out; call 'loop.attach(supervisor)'");
        }
        live_.abort();
        decides_ = true;
        // The observer is not notified, but the policy gets its permits back.
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
        if (has_pending() || !box().empty() || box().rejected()) return always;
        return detail::smaller(core_.deadline(), live_.deadline());
    }

    /// Runs one turn: events first, then timers; see docs/explanation/links.md for the order.
    void advance(Instant now) {
        BELAY_PRECONDITION(!lifetime_.in_turn(), "Supervisor::advance: a hook must not call it");
        box().begin_turn();
        now_ = detail::larger(now_, now);
        driver::TurnGuard guard{lifetime_};
        if (!notify_pending(guard)) return;
        unsigned left = events_per_turn_max_;
        if (!run_events(left, guard)) return;
        Turn turn{now_, bits_};
        live_.run_timers(turn);
        if (!run_events(left, guard)) return;
        // Events come before timers, so what arrived in time counts even if the driver is late. A
        // flood of events cannot starve the timer, because it cuts the turn short.
        if (core_.deadline() <= now_) {
            step({.input = timeline::Input::tick});
            if (!notify_pending(guard)) return;
        }
        if (box().take_rejection()) live_.resume_reading();
    }

    // ---- commands ------------------------------------------------------------------------------

    /// Begins to connect.
    void start() { handle().start(); }
    /// Stops the supervisor and ends its connection. Outside a turn, the observer has been notified
    /// when this returns. Inside a turn, or a call to the transport, the status changes at once.
    /// The observer is notified after that hook or call, before anything else. Inside a rule, or
    /// the observer of a breaker, stopping is the next decision. No other hook follows until a
    /// later start().
    void stop() {
        // Events queued before the stop are discarded, except the end of the live connection: a
        // connection that has ended already must not linger.
        box().discard_unless([this](const part::Event<message_type>& event) {
            if (event.kind == part::EventKind::closed) {
                return event.epoch == live_.epoch() && !event.closed_locally;
            }
            return event.kind == part::EventKind::command && detail::outlives_stop(event.code);
        });
        if (decides_) return static_cast<void>(stops_ = true);
        if (lifetime_.in_turn()) return step({.input = timeline::Input::stop});
        now_ = detail::larger(now_, box().waker().now());
        driver::TurnGuard guard{lifetime_};
        step({.input = timeline::Input::stop});
        // Before the hooks, because one may throw.
        box().waker().touch();
        // A hook may destroy the supervisor, so none runs while a send() is on the stack.
        if (!live_.in_part()) static_cast<void>(notify_pending(guard));
    }

    /// Shuts a gate, at once or after a grace. If the gate is opened again within the grace,
    /// nothing happens. If several calls shut the same gate, the grace that ends first counts. A
    /// grace below 0ns counts as 0ns.
    void shut(Gate gate, Duration grace = {}) { handle().shut(gate, grace); }
    /// Opens what shuts the gate; the opposite of shut.
    void open(Gate gate) { handle().open(gate); }

    /// Stops sending, and stops the supervisor when everything that was sent has left. The state
    /// becomes `stopped` when the graceful close or the connection ends, or after `within`. Until
    /// then send() returns `down`, and start() does nothing. Messages may still be received, but a
    /// stream drops them. If no connection is open, this is stop(). A second call can only shorten
    /// the time. A time below 0ns, the rest of a deadline that has passed, counts as 0ns. The
    /// status' failure then has Cause::none if all was sent. It is LinkErrc::not_drained if the
    /// time was over, else what ended the connection.
    void drain(Duration within) { handle().drain(within); }

    /// Requests a sign of life now, for example after a change of networks. The connection has
    /// failed if none arrives within `within`. Does nothing if no connection is open, or if
    /// `within` is 0ns or less, because no answer could arrive in time.
    /// Pre: the transport contains a Heartbeat.
    template <class T = Transport>
    void probe_now(Duration within = std::chrono::seconds{5}) {
        static_assert(
            detail::HasProbe<part::ConnectionOf<T>>,
            "Supervisor::probe_now: the transport must send pings; put a Heartbeat around it");
        handle().probe_now(within);
    }

    /// Passes new credentials to the transport (WithToken and its source take them), and leaves
    /// blocked_auth. Without values, a source that has `credentials()` forgets its own. With
    /// SupervisorCoreOptions::recycle, a connection that was made with the old ones is closed
    /// gracefully, and opened again.
    template <class... A>
    void credentials(A&&... values) {
        if constexpr (sizeof...(A) != 0 || requires(Transport& t) { t.credentials(); }) {
            live_.credentials(std::forward<A>(values)...);
        }
        handle().credentials();
    }

    /// Attempts now instead of after the backoff; from a connection or a wait at most once in a
    /// second.
    /// A gate, an open breaker and the wait that a server asked for still hold. With `force`, that
    /// wait and the gap do not hold, and the attempt is the one probe that an open breaker lets
    /// through. From failed and blocked_auth it starts afresh. A live connection is closed and
    /// dialled again.
    Reconnect reconnect_now(bool force = false) {
        const Instant now = detail::larger(now_, box().waker().now());
        const Instant at = core_.manual_attempt_at(now, force);
        detail::LinkCommandsOf::give(handle(),
                                     force ? detail::Command::force : detail::Command::reconnect);
        return {at <= now, at};
    }

    /// Ends the live connection, if any, on outside evidence: a failure like any other. Messages
    /// sent on it still leave, until the next attempt and for at most `linger_max`. From this call
    /// on, send() returns `down`.
    void report_unhealthy(Failure failure = {}) noexcept {
        if (failure.cause == Cause::none) failure = failure_of(LinkErrc::reported_unhealthy);
        give_up(failure, false);
    }

    /// Sends a message on the live connection.   Complexity: of the transport.   Throws: nothing.
    [[nodiscard]] SendResult send(const message_type& message, Lane lane = 0) noexcept {
        if (core_.status().state != LinkState::connected || is_given_up_) return SendResult::down;
        return live_.send(message, lane);
    }
    /// Sends a text as bytes.   Throws: std::bad_alloc.
    template <detail::TextForBytes<message_type> T>
    [[nodiscard]] SendResult send(const T& text, Lane lane = 0) {
        const BytesView bytes = as_bytes(std::string_view{text});
        return send(to_bytes(bytes), lane);
    }
    /// Sends a message, or returns why it cannot.
    template <detail::NoMessage<message_type> T>
    SendResult send(const T&, Lane = 0) noexcept {
        return detail::accepts_message_type<T>();
    }

    /// Returns the state, and what it waits for.
    [[nodiscard]] const LinkStatus& status() const noexcept { return core_.status(); }
    /// Returns the core that decides, to look at.
    [[nodiscard]] const timeline::SupervisorCore<Policy>& core() const noexcept { return core_; }
    /// Returns a handle by which other threads give commands.
    [[nodiscard]] Handle handle() const { return Handle{live_.box()}; }
    [[nodiscard]] auto& observer() noexcept { return detail::unwrap(observer_); }
    /// Returns the transport.
    [[nodiscard]] Transport& transport() noexcept { return live_.transport(); }
    /// Returns when the peer last sent anything: a message, a part of one, an answered ping.
    [[nodiscard]] Instant received_at() const noexcept { return received_.anything; }
    /// Returns when the peer last sent a message or a part of one. An answered ping does not count,
    /// because a load balancer between the two sides may have answered it.
    [[nodiscard]] Instant data_at() const noexcept { return received_.data; }
    /// Returns how often that has happened. The number also shows a message at the same instant as
    /// the one before.
    [[nodiscard]] std::uint64_t data_count() const noexcept { return received_.data_count; }
    /// Returns the time of the turn in progress, or of the last one.
    [[nodiscard]] Instant now() const noexcept { return now_; }

protected:
    /// Ends the live connection, if any, in the next turn. If `withdrawn`, it is no failure.
    void give_up(const Failure& failure, bool withdrawn) noexcept {
        if (live_.epoch() == 0) return;
        part::Event<message_type> event;
        event.kind = part::EventKind::closed;
        event.epoch = live_.epoch();
        event.failure = failure;
        event.closed_locally = core_.status().state == LinkState::connected;
        event.withdrawn = withdrawn;
        is_given_up_ = true;
        box().post_end(std::move(event));
    }

private:
    friend struct detail::LifetimeFlagOf;
    using Box = detail::LinkBox<message_type>;
    using Hooks = detail::SupervisorHooks<Supervisor, message_type>;

    [[nodiscard]] Box& box() const noexcept { return *live_.box(); }

    /// Returns: false if the supervisor is gone.
    bool run_events(unsigned& left, const driver::TurnGuard& guard) {
        if (guard.gone() || !notify_pending(guard)) return false;
        while (left != 0 && box().size() != 0) {
            --left;
            dispatch(box().pop());
            if (guard.gone() || !notify_pending(guard)) return false;
        }
        return true;
    }

    void dispatch(part::Event<message_type> event) {
        if (event.kind == part::EventKind::command) return obey(event);
        Turn turn{now_, bits_};
        if (live_.lingering() != 0 && event.epoch == live_.lingering()) {
            const bool ends = event.kind == part::EventKind::closed && !event.closed_locally;
            if (ends && live_.sift(event, turn)) live_.end_linger();
            return;
        }
        if (event.epoch != live_.epoch()) return;
        // After an open() or a decorator that threw, only the end of the attempt is handled.
        if (live_.broken() && event.kind != part::EventKind::closed) return;
        if (!live_.sift(event, turn)) {
            // A decorator holds the end back, so the connection continues. But if this was another
            // end, the one that was reported still waits.
            if (event.kind == part::EventKind::closed && is_given_up_) {
                is_given_up_ = box().has_end_of(event.epoch);
            }
            return;
        }
        if (event.epoch != live_.epoch()) return;  // a check called stop()
        // `writable` is about our own sending and proves nothing about the peer.
        const bool sign_of_life =
            event.kind == part::EventKind::received || event.kind == part::EventKind::pong;
        if (sign_of_life) {
            received_.anything = now_;
            const bool answer = event.kind == part::EventKind::pong && event.code == 0;
            if (!answer) {
                received_.data = now_;
                ++received_.data_count;
            }
        }
        if (sign_of_life && event.proof && !core_.alive()) {
            step({.input = timeline::Input::alive});
            if (event.epoch != live_.epoch()) return;  // a rule's `succeeded` called stop()
        }
        switch (event.kind) {
            case part::EventKind::queued:
                return step({.input = timeline::Input::queued, .withdrawn = event.withdrawn});
            case part::EventKind::begun:
                return step({.input = timeline::Input::begun});
            case part::EventKind::opened:
                return step({.input = timeline::Input::opened, .proof = event.proof});
            case part::EventKind::closed:
                join_ends(event, turn);
                return step({.input = timeline::Input::closed,
                             .failure = event.failure,
                             .closed_locally = event.closed_locally,
                             .withdrawn = event.withdrawn,
                             .has_alternative = event.has_alternative,
                             .wrote = live_.has_taken() && !found_here(event),
                             .unprobed = !found_here(event) &&
                                         !detail::HasProbe<part::ConnectionOf<Transport>>});
            case part::EventKind::received:
                return deliver(std::move(*event.message), event.lane);
            case part::EventKind::writable:
                if (core_.status().state != LinkState::connected) return;
                return detail::notify<typename Hooks::Writable>(observer_, *this, Lane{event.lane});
            case part::EventKind::report:
                return notify_report(event);
            default:
                return;
        }
    }

    /// Merges several failures of one turn into one loss, with the most severe cause. A more severe
    /// one passes up through the decorators first, which may change it. A connection that has ended
    /// by itself is not closed gracefully.
    void join_ends(part::Event<message_type>& end, Turn& turn) {
        for (std::size_t i = 0; i < box().size(); ++i) {
            const part::Event<message_type>& next = box().peek(i);
            if (next.kind != part::EventKind::closed || next.epoch != end.epoch) continue;
            end.closed_locally = end.closed_locally && next.closed_locally;
            end.withdrawn = end.withdrawn && next.withdrawn;
            if (next.failure.cause <= end.failure.cause) continue;
            // It stays in the mailbox, and is dropped with the other events of the attempt.
            part::Event<message_type> other;
            other.kind = next.kind;
            other.depth = next.depth;
            other.lane = next.lane;
            other.epoch = next.epoch;
            other.failure = next.failure;
            other.closed_locally = next.closed_locally;
            other.withdrawn = next.withdrawn;
            if (!live_.sift(other, turn) || other.failure.cause <= end.failure.cause) continue;
            end.failure = other.failure;
            end.has_alternative = other.has_alternative;
        }
    }

    /// Returns whether this end found that the connection is dead, so that messages that it took
    /// prove nothing.
    [[nodiscard]] static bool found_here(const part::Event<message_type>& end) noexcept {
        return end.closed_locally || end.failure.error() == LinkErrc::heartbeat_lost;
    }

    void notify_report(const part::Event<message_type>& event) {
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
            return detail::notify<typename Hooks::Message>(observer_, *this, Lane{lane},
                                                           std::move(message));
        }
        // A lane of a bundle waits, because the other lanes can open without its messages. If there
        // is only one, its check may wait for a message behind these.
        constexpr bool may_hold = !detail::has_one_lane<Transport>;
        const bool has_space = pending_events_.early_count() < box().messages_max();
        if (may_hold && !has_space) box().held_lanes |= 1U << (lane % 32U);
        if ((may_hold || has_space) && pending_events_.add(std::move(message), lane)) return;
        // Without one message the others would be another conversation.
        step({.input = timeline::Input::closed, .failure = {.cause = Cause::overloaded}});
    }

    void shut_gate(std::uint32_t bit, Duration grace) {
        const std::uint32_t others = core_.gates() & ~bit;
        // Anew, if that makes it sooner: a gate in its grace counts as open.
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
                // Not stop(), which would discard the commands that were posted after this one.
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
                // The rest of a deadline that has passed is no evidence against the peer.
                if (within <= Duration::zero()) return;
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

    /// Runs a decision of the core and carries it out. The observer is notified later.
    void step(const timeline::Step& s) {
        Turn turn{now_, bits_};
        decides_ = true;
        const timeline::Actions actions = core_.step(s, turn);
        decides_ = false;
        // Recorded first: a transport's close() may call stop(), whose transition comes after this.
        if (actions.notify) pending_events_.add(actions.change);
        box().publish(core_.status(), actions);
        if (core_.status().state == LinkState::connected && box().held_lanes.exchange(0) != 0) {
            box().note_rejection();
        }
        if (actions.teardown) {
            is_given_up_ = false;
            pending_events_.drop_early();
            const bool open = s.closed_locally || actions.change.from == LinkState::connected;
            live_.teardown(actions.graceful && open, after(now_, linger_max_));
        }
        if (std::exchange(stops_, false)) return step({.input = timeline::Input::stop});
        if (actions.dial && core_.status().state == LinkState::connecting) live_.dial();
        if (actions.drain && !live_.drain()) {
            step({.input = timeline::Input::closed, .withdrawn = true});
        }
    }

    [[nodiscard]] bool has_pending() const noexcept {
        return pending_events_.has_change() ||
               (pending_events_.early_count() != 0 && core_.status().state == LinkState::connected);
    }
    /// Notifies the observer of what has happened.   Returns: false if the supervisor is gone.
    bool notify_pending(const driver::TurnGuard& guard) {
        live_.reap();
        while (has_pending()) {
            if (pending_events_.has_change()) {
                const Transition change = pending_events_.take_change(core_.status());
                detail::notify<typename Hooks::State>(observer_, *this, change);
            } else {
                auto early = pending_events_.take_early();
                detail::notify<typename Hooks::Message>(observer_, *this, Lane{early.lane},
                                                        std::move(early.message));
            }
            if (guard.gone()) return false;
        }
        return true;
    }

    const Duration linger_max_;
    const unsigned events_per_turn_max_;
    // The flags fill the space between a 32-bit number and an aligned observer.
    bool decides_ = false;      // the core decides: rules run
    bool stops_ = false;        // stop as soon as the core has decided
    bool is_given_up_ = false;  // the live connection was reported, and is about to end
    [[no_unique_address]] Observer observer_;
    Random bits_;
    driver::LifetimeFlag lifetime_;
    timeline::SupervisorCore<Policy> core_;
    detail::PendingEvents<message_type> pending_events_;
    Instant now_ = always;
    struct {
        Instant anything = always;            ///< when the peer last sent anything
        Instant data = always;                ///< when it last sent a message or a part of one
        std::uint64_t data_count = 0;         ///< how often that has happened
    } received_;                              // when, and how often
    detail::LiveConnection<Transport> live_;  // last: it is destroyed first
};

template <class Transport, class Policy>
Supervisor(Transport, Policy) -> Supervisor<Transport, Policy, NoObserver>;
template <class Transport, class Policy>
Supervisor(Transport, Policy, SupervisorOptions) -> Supervisor<Transport, Policy, NoObserver>;
template <class Transport, class Policy, class Observer>
    requires(!std::convertible_to<Observer, SupervisorOptions>)
Supervisor(Transport, Policy, Observer) -> Supervisor<Transport, Policy, Observer>;
template <class Transport, class Policy, class Observer>
Supervisor(Transport, Policy, SupervisorOptions, Observer)
    -> Supervisor<Transport, Policy, Observer>;

}}  // namespace belay
