// SPDX-License-Identifier: MIT
/// \file belay/session/outbox.hpp
/// Outbox: a queue in front of any server, which sends its messages while the connection is open.
#pragma once

#include <concepts>      // std::same_as
#include <string_view>   // std::string_view
#include <system_error>  // std::error_code
#include <type_traits>   // std::conditional_t, std::remove_cvref_t
#include <utility>       // std::forward, std::move

#include <belay/core/order.hpp>
#include <belay/link/detail/drain_limit.hpp>
#include <belay/link/supervisor.hpp>
#include <belay/link/validated.hpp>
#include <belay/queue/queue.hpp>
#include <belay/session/detail/log_failure.hpp>
#include <belay/session/detail/outbox_window.hpp>
#include <belay/session/outbox_observer.hpp>
#include <belay/session/outbox_options.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {
/// A queue over a log, or over memory. Messages that an outbox takes out of another durable storage
/// would be lost in a crash.
template <class Q>
concept OutboxQueue =
    requires(Q& queue) { queue.storage(); } &&
    (LogLike<typename Q::storage_type> ||
     !(HasStorageCommit<typename Q::storage_type> || HasFlush<typename Q::storage_type>));
}  // namespace detail

/// A queue in front of any server: accepts messages while the connection is down, and sends them in
/// order when it is open.
///
/// With `at_most_once`, each message is sent at most once: a cut may lose the messages that the
/// connection had taken. With `at_least_once`, each message is sent again on the next connection
/// until you acknowledge it. Over a journal, an accepted message is sent after it is durable, and
/// survives a crash from then on. The outbox owns the queue and the supervisor of its connection.
///
/// The queue's overflow policy decides about a push into a full queue. It never drops a message
/// that was sent on this connection and is not acknowledged: the push returns queue_full.
///
/// Models:        MachineLike.
/// Thread safety: home thread, as its supervisor; handle() for other threads.
/// Source:        docs/reference/outbox.md.
template <class Transport, class Policy, class Queue, class Observer = NoObserver>
class Outbox {
    // Not constraints: the compiler's message for a failed constraint would hide these sentences.
    static_assert(explain::transport_like<Transport>());
    static_assert(explain::rule_like<Policy>());
    static_assert(detail::OutboxQueue<Queue>,
                  "Outbox: the queue must be a Queue over a Journal, or over a storage in memory");
    static_assert(std::same_as<typename Queue::value_type, typename Transport::message_type>,
                  "Outbox: the queue must hold what the transport carries, its message_type");

    using Window = detail::OutboxWindow<Queue>;
    static constexpr bool is_log = Window::is_log;

public:
    using message_type = typename Transport::message_type;
    using Handle = detail::LinkCommands<message_type>;

    /// Opens nothing: attach the outbox to a driver, then call start().
    ///
    /// Pre: options.check() is empty: a promise is chosen, and the limits are > 0.
    Outbox(Transport transport, Policy policy, Queue queue, OutboxOptions options,
           Observer observer = {})
        : options_{detail::checked(options)},
          observer_{std::move(observer)},
          queue_{std::move(queue)},
          window_{queue_, options_},
          link_{make_transport(std::move(transport)), std::move(policy), options_.link, Tap{this}} {
        static_assert(detail::explain_observer<Hooks, Observer>());
        // A queue that was filled before.
        dirty_ = is_log;
    }
    /// Does not compile: an outbox needs a promise.
    template <class... Other>
        requires(sizeof...(Other) <= 1 &&
                 !(std::same_as<std::remove_cvref_t<Other>, OutboxOptions> || ...))
    Outbox(Transport transport, Policy policy, Queue queue, Other&&...)
        : Outbox{std::move(transport), std::move(policy), std::move(queue), OutboxOptions{}} {
        static_assert(sizeof...(Other) > 1,
                      "Outbox: pass OutboxOptions after the queue, because an outbox needs a "
                      "promise: OutboxOptions{.promise = OutboxOptions::at_least_once}");
    }
    Outbox(const Outbox&) = delete;
    Outbox& operator=(const Outbox&) = delete;

    // ---- for the driver ------------------------------------------------------------------------

    void attach(Waker waker) {
        link_.attach(waker.nested(0));
        waker_ = std::move(waker);
    }

    [[nodiscard]] Instant deadline() const noexcept {
        if (dirty_ || !deferred_.empty() || has_work() || is_drained() || tells_undeliverable_) {
            return always;
        }
        const Instant sends = waits_alone() ? sends_from_ : never;
        return detail::smaller(detail::smaller(link_.deadline(), drain_.ends()),
                               detail::smaller(flush_again_, sends));
    }

    /// Runs one turn: the connection's events, one flush, and then messages to send.
    void advance(Instant now) {
        const driver::TurnGuard guard{lifetime_};
        now_ = detail::larger(now_, now);
        drain_.on_turn(now_);
        // Left over after a hook threw. They precede the changes of this turn.
        if (!deferred_.empty() && !call<typename Hooks::State>(guard, deferred_.pop())) return;
        link_.advance(now_);
        if (guard.gone() || !tell_undeliverable(guard)) return;
        // The command that waited for this turn was no start().
        if (link_.status().state == LinkState::stopped) end_drain();
        dirty_ = dirty_ || flush_again_ <= now_;
        if (!pump(guard)) return;
        notify_queue();
        if (guard.gone()) return;
        // Last: stop() calls on_state, in which the observer may destroy the outbox.
        if (is_drained()) return finish_drain();
        if (now_ < drain_.ends()) return;
        end_drain();
        stop();
    }

    // ---- commands ------------------------------------------------------------------------------

    /// Accepts a message, connected or not, and puts it into the queue.
    ///
    /// Over a journal it is durable after the flush of the next turn, or after commit().
    /// Errors: those of the queue: queue_full, queue_suspended, too_large, errors of the medium;
    ///         too_large above message_bytes_max; SessionErrc::takes_no_more while a drain() runs;
    ///         after the journal has failed, its error. The message was then not accepted.
    /// Throws: as Queue::push.
    template <class V = message_type>
        requires detail::TakesPush<typename Queue::storage_type, V> &&
                 (!detail::TextForBytes<std::remove_cvref_t<V>, message_type>)
    [[nodiscard]] std::error_code push(V&& message) {
        if (failed_) return failed_;
        if (drain_.runs()) return SessionErrc::takes_no_more;
        if constexpr (requires { message.size() > std::size_t{0}; }) {
            if (message.size() > options_.message_bytes_max) return QueueErrc::too_large;
        }
        window_.before_push();
        const std::error_code error = queue_.push(std::forward<V>(message));
        if constexpr (is_log) {
            // In Flush::each the push flushes: the next turn finds that it has failed.
            dirty_ = dirty_ || !error || queue_.storage().failed();
        }
        waker_.touch();
        return error;
    }
    /// Accepts a text as bytes.
    template <detail::TextForBytes<message_type> T>
    [[nodiscard]] std::error_code push(const T& text) {
        const BytesView bytes = as_bytes(std::string_view{text});
        if constexpr (detail::TakesPush<typename Queue::storage_type, BytesView>) {
            return push(bytes);
        } else {
            return push(to_bytes(bytes));
        }
    }

    /// Removes the messages up to a number, which on_sent has reported. A number that was
    /// acknowledged before has no effect, and neither has the connection on which it was sent.
    ///
    /// Errors: SessionErrc::not_sent for a number that this outbox has not sent, and with
    ///         at_most_once; those of the journal. Nothing was then removed.
    [[nodiscard]] std::error_code acknowledge(std::uint64_t up_to) noexcept {
        return acknowledged(window_.acknowledge(up_to));
    }
    /// Removes the first message that was sent on this connection and is not acknowledged. For a
    /// server that answers each message, in order: call it in on_message, once for each answer.
    ///
    /// Errors: SessionErrc::not_sent if there is no such message; as above.
    [[nodiscard]] std::error_code acknowledge() noexcept {
        return acknowledged(window_.acknowledge_first());
    }

    /// Makes all accepted messages durable, as the journal's mode promises.
    ///
    /// Errors: of the medium. After one the outbox sends nothing until a flush has succeeded. It
    ///         flushes again each second, unless the journal has failed.
    /// Blocks: for one flush of the medium.
    [[nodiscard]] std::error_code commit()
        requires(is_log)
    {
        dirty_ = true;
        waker_.touch();
        return make_durable();
    }

    /// Connects, and reconnects after each outage.
    void start() { link_.start(); }
    /// Disconnects; see Supervisor::stop. Messages that are not sent, or with at_least_once not
    /// acknowledged, stay.
    void stop() { link_.stop(); }
    /// Accepts no more messages, and stops when all are done, or after `within`.
    ///
    /// A message is done when it is acknowledged; with at_most_once, when it has left. Until then
    /// the outbox reconnects as usual. Messages that are left at the end (`depth()`) stay. If
    /// drain() is called several times, the earliest end counts. A time below 0ns counts as 0ns.
    void drain(Duration within) {
        // A start() that waits for the next turn is drained, too.
        const bool waits = link_.deadline() == always;
        if (link_.status().state == LinkState::stopped && !waits) return;
        drain_.begin(detail::larger(now_, waker_.now()), within);
        waker_.touch();
    }
    /// Shuts a gate; see Supervisor::shut.
    void shut(Gate gate, Duration grace = {}) { link_.shut(gate, grace); }
    /// Opens a gate; see Supervisor::open.
    void open(Gate gate) { link_.open(gate); }
    /// Hands new credentials to the transport; see Supervisor::credentials.
    template <class... A>
    void credentials(A&&... values) {
        link_.credentials(std::forward<A>(values)...);
    }
    /// Connects now; see Supervisor::reconnect_now.
    Reconnect reconnect_now(bool force = false) { return link_.reconnect_now(force); }
    /// Ends the connection on outside evidence, for example a server that does not acknowledge.
    void report_unhealthy(Failure failure = {}) noexcept {
        ends_here_ = true;
        link_.report_unhealthy(failure);
    }

    // ---- observers -----------------------------------------------------------------------------

    /// Returns the state of the connection and the counters, as one consistent value.
    [[nodiscard]] OutboxStatus status() const {
        OutboxStatus status = window_.counters();
        status.link = link_.status();
        status.error = failed_;
        return status;
    }
    /// Returns how many messages were accepted, and are not done with.
    [[nodiscard]] std::uint64_t depth() const noexcept {
        const OutboxStatus status = window_.counters();
        return status.waiting + status.in_flight;
    }
    /// Returns the commands that other threads may give. Call `push` on the home thread only.
    [[nodiscard]] Handle handle() const { return link_.handle(); }
    [[nodiscard]] auto& observer() noexcept { return detail::unwrap(observer_); }
    /// Returns the queue, to look at it. Push through the outbox, and do not pop.
    [[nodiscard]] const Queue& queue() const noexcept { return queue_; }
    [[nodiscard]] Instant now() const noexcept { return now_; }

private:
    using Hooks = detail::OutboxHooks<Outbox, message_type>;
    static constexpr int sends_per_turn_max = 256;
    static constexpr Duration flush_again_after = std::chrono::seconds{1};
    // A connection that a proxy cannot continue usually ends within a second, and at the latest
    // after the proxy's own attempts, which rarely take longer than 30 s.
    static constexpr Duration quiet_min = std::chrono::seconds{1};
    static constexpr Duration quiet_max = std::chrono::seconds{30};

    /// Rejects a connection while the journal cannot be flushed, so that the wait for the next
    /// attempt grows.
    struct Check {
        Outbox* me;
        Verdict begin(const auto&) {
            const std::error_code error = me->failed_ ? me->failed_ : me->flush();
            return error ? Verdict::rejected(me->failure(error)) : Verdict::passed();
        }
        // A message that arrives before the transport is open does not replace begin().
        Verdict judge(const message_type&, const auto&) { return Verdict::deferred(); }
    };
    /// Receives the supervisor's events.
    struct Tap {
        Outbox* me;
        void on_state(const Transition& change) { me->on_state(change); }
        void on_message(message_type message, Lane lane) {
            detail::notify<typename Hooks::Message>(me->observer_, *me, Lane{lane},
                                                    std::move(message));
        }
        void on_writable(Lane lane) {
            if (lane == 0) me->busy_ = false;
        }
    };
    using Guarded =
        typename std::conditional_t<is_log, std::type_identity<Validated<Transport, Check>>,
                                    std::type_identity<Transport>>::type;
    using Link = Supervisor<Guarded, Policy, Tap>;

    Guarded make_transport(Transport&& transport) {
        if constexpr (is_log) {
            return Guarded{std::move(transport), Check{this}};
        } else {
            return std::move(transport);
        }
    }

    void on_state(const Transition& change) {
        if (change.to.state == LinkState::stopped) end_drain();
        busy_ = false;
        if (change.to.state != LinkState::connected) {
            const bool closed = change.from == LinkState::connected && is_closed_by_peer(change.to);
            tells_undeliverable_ = window_.restart(closed) || tells_undeliverable_;
            release_rejected();
        } else if (change.from != LinkState::connected) {
            ends_here_ = false;
            sent_at_ = never;
            sends_from_ = window_.is_alone() ? after(now_, quiet_) : now_;
        }
        // stop() was called inside a hook: on_state waits until that hook has returned.
        if (notifying_) {
            deferred_.push(Transition{change});
        } else {
            detail::notify<typename Hooks::State>(observer_, *this, change);
        }
    }

    /// Returns whether the peer has ended a connection, after a message was sent on it.
    bool is_closed_by_peer(const LinkStatus& status) noexcept {
        const auto origin = status.failure.origin;
        if (ends_here_ || status.withdrawn || origin == Failure::Origin::local ||
            origin == Failure::Origin::silent || sent_at_ == never) {
            return false;
        }
        // A proxy whose server is down may close each connection after a fixed time. A message that
        // would be sent later than that is not sent, and so not blamed.
        quiet_ = detail::smaller(detail::larger(2 * elapsed(sent_at_, now_), quiet_min), quiet_max);
        return true;
    }
    /// Returns: false if the outbox was destroyed.
    bool tell_undeliverable(const driver::TurnGuard& guard) {
        if (!std::exchange(tells_undeliverable_, false)) return true;
        if constexpr (detail::has_hook_of<typename Hooks::Undeliverable, Observer>) {
            const std::uint64_t number = window_.counters().undeliverable;
            if (number == 0) return true;
            const typename Window::HookMessage held{window_, number, guard};
            return call<typename Hooks::Undeliverable>(guard, number, held.message());
        } else {
            return true;
        }
    }

    std::error_code acknowledged(const std::error_code& error) noexcept {
        if constexpr (is_log) {
            // In Flush::each the acknowledgement flushes: the next turn finds that it has failed.
            dirty_ = dirty_ || queue_.storage().failed();
        }
        release_rejected();
        waker_.touch();
        return error;
    }
    /// Releases rejected messages. If the journal does not release one, the outbox tries again
    /// later, because there may be no push or acknowledgement that would.
    void release_rejected() noexcept {
        if (window_.release_rejected()) return;
        flush_again_ = detail::smaller(flush_again_, after(now_, flush_again_after));
    }

    // ---- the storage ---------------------------------------------------------------------------

    /// Flushes the journal: once for all messages that were accepted since the last flush. After an
    /// error it does so again later, because there may be no attempt to connect that would.
    std::error_code flush() noexcept {
        dirty_ = false;
        flush_failed_ = false;
        flush_again_ = never;
        if constexpr (is_log) {
            auto& log = queue_.storage();
            std::error_code error = log.commit();
            if constexpr (requires { log.acked_durable(); }) {
                // No error of commit(): there was only space for what was appended.
                if (!error && log.acked_durable() < window_.removed()) {
                    error = std::make_error_code(std::errc::no_space_on_device);
                }
            }
            flush_failed_ = static_cast<bool>(error);
            if (error && !log.failed()) flush_again_ = after(now_, flush_again_after);
            return error;
        } else {
            return {};
        }
    }
    std::error_code make_durable() {
        if (!dirty_) return {};
        const std::error_code error = flush();
        if (!error) {
            release_rejected();
            return error;
        }
        const Failure why = failure(error);
        // A dial goes on while the disk is full, because it may take longer than the time between
        // two flushes. Check flushes again when the connection is open.
        const bool dials = link_.status().state == LinkState::connecting;
        if (!dials || why.cause == Cause::permanent) report_unhealthy(why);
        return error;
    }
    /// Returns what the storage's error means for the connection: another attempt, or its end.
    Failure failure(const std::error_code& error) noexcept {
        bool passes = false;
        if constexpr (is_log) {
            const std::error_code failed = queue_.storage().failed();
            passes = detail::may_pass(error, static_cast<bool>(failed));
            if (!passes) failed_ = failed ? failed : error;
        }
        return detail::log_failure(error, passes);
    }

    // ---- sending -------------------------------------------------------------------------------

    [[nodiscard]] bool can_send() const noexcept {
        return link_.status().state == LinkState::connected && !busy_ && !flush_failed_ &&
               !failed_ && !waits_alone();
    }
    /// Whether the first message waits until the connection has been open for a while.
    [[nodiscard]] bool waits_alone() const noexcept {
        return now_ < sends_from_ && window_.is_alone() &&
               link_.status().state == LinkState::connected;
    }
    [[nodiscard]] bool has_work() const noexcept {
        return can_send() && (window_.next() != nullptr || window_.can_fill());
    }

    /// Takes messages from the queue.   Returns: whether they may be sent.
    bool fill() {
        const std::error_code error = window_.fill();
        if (error) report_unhealthy(failure(error));
        return !error;
    }

    /// Flushes, and sends what may be sent.   Returns: false if the outbox was destroyed.
    bool pump(const driver::TurnGuard& guard) {
        if (window_.removes_before_sending() && can_send() && window_.can_fill()) {
            dirty_ = true;
            if (!fill()) return true;
        }
        if (make_durable()) return true;
        for (int i = 0; i < sends_per_turn_max && can_send(); ++i) {
            if (window_.next() == nullptr) {
                if (window_.removes_before_sending() || !fill()) break;
                if (window_.next() == nullptr) break;
            }
            if (!send_next(guard)) return false;
        }
        return true;
    }

    /// Returns: false if the outbox was destroyed.
    bool send_next(const driver::TurnGuard& guard) {
        const auto& item = *window_.next();
        const std::uint64_t number = item.number;
        switch (link_.send(*item.message)) {
            case SendResult::busy:
                busy_ = true;
                return true;
            case SendResult::down:
                return true;
            case SendResult::rejected: {
                message_type message = window_.reject();
                release_rejected();
                return call<typename Hooks::Unsent>(guard, number, std::move(message));
            }
            case SendResult::sent:
                break;
        }
        if (sent_at_ == never) sent_at_ = now_;
        std::optional<message_type> removed = window_.sent();
        if constexpr (detail::has_hook_of<typename Hooks::Sent, Observer>) {
            if (removed) return call<typename Hooks::Sent>(guard, number, std::as_const(*removed));
            const typename Window::HookMessage held{window_, number, guard};
            return call<typename Hooks::Sent>(guard, number, held.message());
        }
        return true;
    }

    /// Calls a hook, and then on_state for each change of the connection that the hook has caused.
    /// Returns: false if the outbox was destroyed.
    template <class Hook, class... A>
    bool call(const driver::TurnGuard& guard, A&&... a) {
        struct Notifying {
            const driver::TurnGuard& guard;
            bool& flag;
            ~Notifying() {
                if (!guard.gone()) flag = false;
            }
        } notifying{guard, notifying_};
        notifying_ = true;
        detail::notify<Hook>(observer_, *this, std::forward<A>(a)...);
        while (!guard.gone() && !deferred_.empty()) {
            const Transition change = deferred_.pop();
            detail::notify<typename Hooks::State>(observer_, *this, change);
        }
        return !guard.gone();
    }

    /// Notifies the queue's observer of what was removed in the journal directly.
    void notify_queue() {
        const std::size_t released = window_.take_released();
        if (released != 0) queue_.notify_released(released);
    }

    [[nodiscard]] bool is_drained() const noexcept {
        return drain_.runs() && !closing_ && depth() == 0;
    }
    void finish_drain() {
        const Instant ends = drain_.ends();
        if (options_.promise == OutboxOptions::at_least_once) {
            end_drain();
            return stop();
        }
        // Messages that the connection has taken still leave.
        closing_ = true;
        link_.drain(elapsed(now_, ends));
    }
    void end_drain() noexcept {
        drain_.end();
        closing_ = false;
    }

    const OutboxOptions options_;
    [[no_unique_address]] Observer observer_;
    Queue queue_;
    Window window_;
    std::error_code failed_{};  // the journal's failure, which is final
    driver::LifetimeFlag lifetime_;
    Waker waker_;
    bool dirty_ = false;
    bool flush_failed_ = false;
    bool busy_ = false;
    bool notifying_ = false;
    bool closing_ = false;                    // a drain: everything was sent
    bool ends_here_ = false;                  // this side ended the connection
    bool tells_undeliverable_ = false;        // on_undeliverable is due
    detail::EventRing<Transition> deferred_;  // of the connection, while a hook runs
    Instant now_ = always;
    detail::DrainLimit drain_;
    Instant flush_again_ = never;  // after a flush that has failed
    Instant sent_at_ = never;      // when the first message on this connection was sent
    Instant sends_from_ = always;  // when a message that is alone may be sent on it
    Duration quiet_ = quiet_min;   // how long such a message waits
    Link link_;
};

template <class Transport, class Policy, class Queue>
Outbox(Transport, Policy, Queue, OutboxOptions) -> Outbox<Transport, Policy, Queue>;
template <class Transport, class Policy, class Queue, class Observer>
Outbox(Transport, Policy, Queue, OutboxOptions, Observer)
    -> Outbox<Transport, Policy, Queue, Observer>;

}}  // namespace belay
