// SPDX-License-Identifier: MIT
/// \file belay/session/detail/basic_session.hpp
/// BasicSession: the body of a Session.
#pragma once

#include <utility>  // std::move, std::exchange

#include <belay/core/order.hpp>
#include <belay/link/supervisor.hpp>
#include <belay/link/validated.hpp>
#include <belay/session/detail/sender_core.hpp>
#include <belay/session/detail/session_core.hpp>
#include <belay/session/session_observer.hpp>
#include <belay/session/session_options.hpp>
#include <belay/session/session_queue.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// What Session is, told of as `Self` to its observer. belay's own tests derive from it with a rule
/// of the protocol left out (see planted_fault.hpp), and must find the damage.
template <class Self, class Fault, class Transport, class Policy, class Queue, class Observer>
class BasicSession {
    // Not constraints: the compilers' words for a failed one would hide the sentences.
    static_assert(explain::transport_like<Transport>());
    static_assert(explain::rule_like<Policy>());
    static_assert(explain::session_queue<Queue>());
    static_assert(std::is_same_v<typename Transport::message_type, Bytes>,
                  "Session: the transport must carry belay::Bytes");

    using Journal = JournalOf<Queue>;
    using Sender = SenderCore<Journal, Fault>;
    using Notice = SessionCore::Notice;

public:
    using Handle = LinkCommands<Bytes>;

    BasicSession(Transport transport, Policy policy, Queue queue, SessionOptions options,
                 Observer observer = {})
        : options_{checked(std::move(options))},
          observer_{std::move(observer)},
          queue_{std::move(queue)},
          sender_{queue_.storage(),
                  {options_.id, options_.payload_bytes_max, std::move(options_.token)}},
          core_{{options_.greeting_max, options_.stalled_after, options_.heartbeat},
                facts(LinkState::stopped)},
          released_{sender_.acked()},
          link_{Validated{std::move(transport), Check{this}}, std::move(policy), options_.link,
                Tap{this}} {
        static_assert(explain_observer<Hooks, Observer>());
    }
    BasicSession(const BasicSession&) = delete;
    BasicSession& operator=(const BasicSession&) = delete;

    // ---- for the driver ------------------------------------------------------------------------

    void attach(Waker waker) {
        link_.attach(waker.nested(0));
        waker_ = std::move(waker);
    }

    [[nodiscard]] Instant deadline() const noexcept {
        if (dirty_ || !deferred_.empty() || can_send() || is_drained()) return always;
        return smaller(smaller(link_.deadline(), core_.deadline(facts())), drain_ends_);
    }

    void advance(Instant now) {
        const driver::TurnGuard guard{line_};
        now_ = larger(now_, now);
        link_.advance(now_);
        if (guard.gone()) return;
        // What waited for its turn was no start.
        if (link_.status().state == LinkState::stopped) drain_ends_ = never;
        run_timers();
        make_durable();
        pump();
        tell(guard);
        // Last: the observer may destroy the session when it hears of it.
        if (guard.gone() || (!is_drained() && now_ < drain_ends_)) return;
        drain_ends_ = never;
        stop();
    }

    // ---- commands ------------------------------------------------------------------------------

    /// Takes an operation.
    ///
    /// Returns: its number. It is not durable yet: see on_accepted and commit().
    /// Errors:  QueueErrc::queue_full, queue_suspended, too_large; SessionErrc::takes_no_more while
    ///          it is being drained; of the medium. Then it is not
    ///          taken; but after a failure of the medium in Flush::each it may be delivered by the
    ///          next Session over the journal, and this one is blocked.
    [[nodiscard]] Result<std::uint64_t> send(BytesView operation) {
        if (sender_.blocked() == Blocked::journal_failed) return SessionErrc::journal_failed;
        if (drain_ends_ != never) return SessionErrc::takes_no_more;
        const std::error_code e = queue_.push(operation);
        // In Flush::each the push flushes: the next turn, or commit(), finds that it has failed.
        if (!e || journal().failed()) {
            dirty_ = true;
            waker_.touch();
        }
        if (e) return e;
        return journal().last();
    }

    /// Makes everything that send() has taken durable, as the journal's mode promises.
    ///
    /// Errors: of the medium; then nothing can be promised any more, and the session is blocked.
    /// Blocks: for one flush of the medium.
    [[nodiscard]] std::error_code commit() {
        std::error_code error = make_durable();
        waker_.touch();
        if (error || sender_.blocked() != Blocked::journal_failed) return error;
        error = journal().failed();
        return error ? error : SessionErrc::journal_failed;
    }

    /// Connects, and stays connected; operations may be sent before.
    void start() { link_.start(); }
    /// Disconnects; see Supervisor::stop. What was taken stays in the queue.
    void stop() { link_.stop(); }
    /// Takes no more operations, and stops when all that were taken are acknowledged, or when the
    /// time is over; until then it connects again as ever. What is left then (`depth()`) stays in
    /// the queue. Of several calls the one that ends first counts.
    void drain(Duration within) {
        // A start that waits for its turn is drained, too.
        const bool waits = link_.deadline() == always;
        if (link_.status().state == LinkState::stopped && !waits) return;
        const Instant ends = after(larger(now_, waker_.now()), within);
        drain_ends_ = smaller(drain_ends_, smaller(ends, before(never, Duration{1})));
        waker_.touch();
    }
    void shut(Gate gate, Duration grace = {}) { link_.shut(gate, grace); }
    void open(Gate gate) { link_.open(gate); }
    template <class... A>
    void credentials(A&&... values) {
        link_.credentials(std::forward<A>(values)...);
    }
    /// See Supervisor::reconnect_now. A blocked session looks again when it is connected: what is
    /// still wrong is found again.
    Reconnect reconnect_now(bool force = false) { return link_.reconnect_now(force); }

    /// Asks for a sign of life now, as after a change of networks; without one within that long the
    /// connection has failed. Does nothing unless it is connected.   Pre: within > 0ns.
    void probe_now(Duration within = std::chrono::seconds{5}) {
        BELAY_PRECONDITION(within > Duration::zero(), "Session::probe_now: within must be > 0ns");
        if (core_.probe(larger(now_, waker_.now()), within)) ping();
        waker_.touch();
    }

    // ---- observers -----------------------------------------------------------------------------

    [[nodiscard]] SessionStatus status() const {
        return {link_.status(),   sender_.blocked(),   sender_.details(),
                journal().last(), journal().durable(), sender_.acked()};
    }
    /// Operations that are taken and not yet acknowledged.
    [[nodiscard]] std::uint64_t depth() const noexcept {
        return journal().last() - sender_.acked();
    }
    /// Commands for other threads; operations are given to `send` on the home thread.
    [[nodiscard]] Handle handle() const { return link_.handle(); }
    [[nodiscard]] auto& observer() noexcept { return unwrap(observer_); }
    [[nodiscard]] Queue& queue() noexcept { return queue_; }
    [[nodiscard]] Instant now() const noexcept { return now_; }

private:
    friend struct LifelineOf;
    using Hooks = SessionHooks<Self>;
    static constexpr int batches_per_turn_max = 16;

    /// Stands between opening and connected: greets, and passes when the receiver has resumed us.
    struct Check {
        BasicSession* me;
        Verdict begin(const auto& say) { return me->greet(say); }
        Verdict judge(const Bytes& message, const auto& say) { return me->judge(message, say); }
    };
    /// What the supervisor tells; user code is told later, when the session is consistent.
    struct Tap {
        BasicSession* me;
        void on_state(const Transition& change) { me->on_state(change); }
        void on_message(Bytes message) { me->on_message(message); }
        void on_writable(Lane) { me->busy_ = false; }
    };
    using Link = Supervisor<Validated<Transport, Check>, Policy, Tap>;

    [[nodiscard]] Self& self() noexcept { return static_cast<Self&>(*this); }
    [[nodiscard]] Journal& journal() noexcept { return queue_.storage(); }
    [[nodiscard]] const Journal& journal() const noexcept { return queue_.storage(); }

    Verdict greet(const auto& say) {
        Bytes hello;
        busy_ = false;
        unsent_.clear();
        core_.greeting(now_);
        if (const std::error_code e = sender_.hello(hello)) return Verdict::refused(failure(e));
        // A full disk may have room again.
        dirty_ = journal().durable() != journal().last();
        return say(hello) == SendResult::sent ? Verdict::pending() : Verdict::refused();
    }

    Verdict judge(const Bytes& message, const auto& say) {
        Bytes reply;
        const std::error_code e = sender_.take(message, reply);
        const bool said = reply.empty() || say(reply) == SendResult::sent;
        if (e) return Verdict::refused(failure(e));
        if (!said) return Verdict::refused();
        if (sender_.phase() != Sender::Phase::flowing) return Verdict::pending();
        core_.resumed(now_);
        return Verdict::passed();
    }

    void on_message(const Bytes& message) {
        Bytes reply;
        const std::error_code e = sender_.take(message, reply);
        if (!reply.empty()) static_cast<void>(link_.send(reply));
        if (e) link_.report_unhealthy(failure(e));
    }

    void on_state(const Transition& change) {
        if (change.to.state == LinkState::stopped) drain_ends_ = never;
        if (change.to.state != LinkState::connected) {
            sender_.close();
            core_.disconnected(change.to.state);
        }
        // stop() inside one of our own hooks: its hook waits until that one has returned.
        if (telling_) {
            deferred_.push(Transition{change});
        } else {
            notify<typename Hooks::State>(observer_, self(), change);
        }
    }

    Failure failure(const std::error_code& e) {
        if (e.category() != session_category()) {
            sender_.journal_failed();
            Failure f = Failure::from(e);
            f.cause = Cause::permanent;
            return f;
        }
        return Failure::from(e, sender_.take_retry_after());
    }

    void run_timers() {
        core_.heard(link_.heard_at());
        switch (core_.judge(now_)) {
            case SessionCore::Due::nothing:
                return;
            case SessionCore::Due::silent:
                return link_.report_unhealthy(failure_of(SessionErrc::silent));
            case SessionCore::Due::lost:
                return link_.report_unhealthy(failure_of(LinkErrc::heartbeat_lost));
            case SessionCore::Due::ping:
                return ping();
        }
    }
    void ping() {
        Bytes frame;
        session_format::append_frame(frame,
                                     {.type = session_format::FrameType::ping, .number = ++pings_});
        // With no room for it nobody reads at the other end, and that shows in time.
        static_cast<void>(link_.send(frame));
    }

    /// One flush serves every operation that was taken since the last.
    std::error_code make_durable() {
        if (!std::exchange(dirty_, false)) return {};
        const std::error_code e = journal().commit();
        if (e) link_.report_unhealthy(failure(e));
        return e;
    }

    void pump() {
        if (!can_send()) return;
        for (int i = 0; i < batches_per_turn_max && can_send(); ++i) {
            if (unsent_.empty()) {
                if (const std::error_code e = sender_.fill(unsent_, options_.batch_bytes)) {
                    return link_.report_unhealthy(failure(e));
                }
                if (unsent_.empty()) return;
            }
            const SendResult result = link_.send(unsent_);
            if (result == SendResult::refused) {
                return link_.report_unhealthy(failure_of(LinkErrc::message_refused));
            }
            busy_ = result == SendResult::busy;
            if (!busy_) unsent_.clear();
        }
    }

    [[nodiscard]] bool is_drained() const noexcept { return drain_ends_ != never && depth() == 0; }
    [[nodiscard]] bool can_send() const noexcept {
        const bool up = link_.status().state == LinkState::connected && !busy_;
        return up && (!unsent_.empty() || sender_.wants_to_send());
    }

    [[nodiscard]] SessionFacts facts(LinkState link) const noexcept {
        return {link, journal().durable(), sender_.acked(), sender_.replacements(),
                sender_.blocked()};
    }
    [[nodiscard]] SessionFacts facts() const noexcept { return facts(link_.status().state); }

    /// Calls a hook, and then, in turn, on_state for what it has done to the connection.
    /// Returns: false if the session is gone.
    template <class Hook, class... A>
    bool call(const driver::TurnGuard& guard, A&&... a) {
        struct Telling {
            const driver::TurnGuard& guard;
            bool& flag;
            ~Telling() {
                if (!guard.gone()) flag = false;
            }
        } telling{guard, telling_};
        telling_ = true;
        notify<Hook>(observer_, self(), std::forward<A>(a)...);
        while (!guard.gone() && !deferred_.empty()) {
            const Transition change = deferred_.pop();
            notify<typename Hooks::State>(observer_, self(), change);
        }
        return !guard.gone();
    }

    /// The sender acknowledges in the journal itself: the queue's observer is told here.
    void tell_queue() {
        const std::uint64_t left = sender_.acked() - std::exchange(released_, sender_.acked());
        if constexpr (requires { queue_.tell_released(std::size_t{1}); }) {
            if (left != 0) queue_.tell_released(static_cast<std::size_t>(left));
        }
    }

    /// The session is consistent: user code may do what it likes, also destroy it.
    void tell(const driver::TurnGuard& guard) {
        // Left over from a hook that threw.
        if (!deferred_.empty() && !call<typename Hooks::State>(guard, deferred_.pop())) return;
        tell_queue();
        if (guard.gone()) return;
        for (Notice notice = Notice::none;;) {
            notice = core_.tell(notice, now_, facts());
            if (notice == Notice::none || !tell(notice, guard)) return;
        }
    }
    /// Returns: false if the session is gone.
    bool tell(Notice notice, const driver::TurnGuard& guard) {
        switch (notice) {
            case Notice::accepted:
                return call<typename Hooks::Accepted>(guard, journal().durable());
            case Notice::acknowledged:
                return call<typename Hooks::Acknowledged>(guard, sender_.acked());
            case Notice::journal_replaced:
                return call<typename Hooks::JournalReplaced>(guard,
                                                             BlockedDetails{sender_.details()});
            case Notice::blocked:
                return call<typename Hooks::IsBlocked>(guard, sender_.blocked(),
                                                       BlockedDetails{sender_.details()});
            case Notice::stalled:
                return call<typename Hooks::Stalled>(guard);
            case Notice::none:
                break;
        }
        return true;
    }

    const SessionOptions options_;
    [[no_unique_address]] Observer observer_;
    Queue queue_;
    Sender sender_;
    SessionCore core_;
    std::uint64_t released_;  // of what is acknowledged, what the queue's observer knows
    driver::Lifeline line_;
    Waker waker_;
    Bytes unsent_;
    bool dirty_ = false;
    bool busy_ = false;
    bool telling_ = false;
    EventRing<Transition> deferred_;  // of the connection, while one of our own hooks runs
    std::uint64_t pings_ = 0;
    Instant now_ = always;
    Instant drain_ends_ = never;  // `never`: it is not being drained
    Link link_;
};

}}}  // namespace belay::detail
