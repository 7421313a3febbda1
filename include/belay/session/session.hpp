// SPDX-License-Identifier: MIT
/// \file belay/session/session.hpp
/// Session: delivers each operation of a durable queue exactly once, in order, over any outages.
/// SessionOptions, SessionStatus: its options and its state. SessionQueueLike: the queues that it
/// takes.
#pragma once

#include <concepts>     // std::same_as
#include <cstdint>      // std::uint32_t, std::uint64_t, std::uint8_t
#include <string_view>  // std::string_view
#include <type_traits>  // std::is_same_v, std::remove_cvref_t
#include <utility>      // std::declval, std::exchange, std::move

#include <belay/core/detail/expect_options.hpp>
#include <belay/core/observer.hpp>
#include <belay/core/order.hpp>
#include <belay/journal/id.hpp>
#include <belay/journal/log_like.hpp>
#include <belay/link/detail/link_user.hpp>
#include <belay/link/heartbeat_options.hpp>
#include <belay/link/status.hpp>
#include <belay/link/supervisor.hpp>
#include <belay/link/supervisor_core.hpp>
#include <belay/link/transport_like.hpp>
#include <belay/link/validated.hpp>
#include <belay/queue/queue.hpp>
#include <belay/session/detail/sender_core.hpp>
#include <belay/session/detail/session_core.hpp>
#include <belay/session/session_format.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {
/// The payload of an ACK: two limits.
inline constexpr std::uint32_t ack_bytes = 16;
}  // namespace detail

/// The options of a Session.
struct SessionOptions {
    /// The id of the stream of work, not of the process. It never changes. Required.
    Id id{};
    /// The maximum size of a payload that is accepted from the receiver: 16, the size of an ACK, to
    /// 16 MiB (session_format::payload_bytes_ceiling).
    std::uint32_t payload_bytes_max = 1U << 20U;
    /// A token that is sent in HELLO, if the transport has not authenticated already;
    /// Session::renew_token replaces it. It has at most 4 KiB (session_format::token_bytes_max).
    /// With a longer one, each attempt fails with SessionErrc::token_too_long, and sends nothing.
    Bytes token{};
    /// The time within which HELLO and START must be answered. If this session's driver is late,
    /// for example because of a slow disk, the receiver gets the time once more.
    Duration greeting_max = std::chrono::seconds{10};
    /// The time after which on_stalled is called, with unacknowledged operations and without
    /// progress. Only the time with a connection counts. After three connections that the receiver
    /// has answered, and that ended without progress, the time between them counts, too.
    Duration stalled_after = std::chrono::seconds{60};
    /// The maximum size of a message with several DATA frames. A longer operation is a message of
    /// its own, with the 24 bytes of its frame. > 0.
    std::size_t batch_bytes = std::size_t{32} << 10U;
    /// When a silent receiver is pinged and given up, over any transport.
    HeartbeatOptions heartbeat{};
    /// Those of the Supervisor.
    SupervisorOptions link{};
    /// As a service of a Fleet: the priority among services that want to dial; see
    /// ServiceOptions::priority.
    std::uint8_t priority = 0;

    /// Returns the rule that these options break, as a sentence; an empty text if they break none.
    [[nodiscard]] std::string_view check() const noexcept {
        if (id == no_id) return "SessionOptions: id must be set";
        if (greeting_max <= Duration::zero() || stalled_after <= Duration::zero()) {
            return "SessionOptions: greeting_max and stalled_after must be > 0ns";
        }
        if (payload_bytes_max < detail::ack_bytes ||
            payload_bytes_max > session_format::payload_bytes_ceiling) {
            return "SessionOptions: payload_bytes_max must be from 16 to 16777216";
        }
        if (batch_bytes == 0) {
            return "SessionOptions: batch_bytes must be > 0, or no operation is sent";
        }
        return heartbeat.check();
    }
};

namespace detail {
/// Returns the options; options that no session can satisfy end the program at construction.
[[nodiscard]] inline SessionOptions&& checked(SessionOptions&& options) {
    expect_options(options.check(),
                   {{"greeting_max", options.greeting_max},
                    {"stalled_after", options.stalled_after},
                    {"payload_bytes_max", std::uint64_t{options.payload_bytes_max}},
                    {"batch_bytes", std::uint64_t{options.batch_bytes}},
                    {"heartbeat.every", options.heartbeat.every},
                    {"heartbeat.dead_after", options.heartbeat.dead_after}});
    return static_cast<SessionOptions&&>(options);
}
/// Returns the time, in milliseconds, within which a session needs a sign of life while it sends a
/// long frame. It is a third of `dead_after`, so that two late signs end no connection. It is 0 if
/// that is 1 s or more, because a receiver sends one each second anyway.
[[nodiscard]] constexpr std::uint16_t sign_within_ms(const HeartbeatOptions& heartbeat) noexcept {
    const auto third = heartbeat.dead_after.count() / 3 / 1'000'000;
    return third >= 1000 ? 0 : static_cast<std::uint16_t>(third > 0 ? third : 1);
}
}  // namespace detail

/// The state of a session, as one consistent value.
struct SessionStatus {
    LinkStatus link{};                ///< `connected` means that the session has resumed and
                                      ///< operations flow
    Blocked blocked = Blocked::none;  ///< why nothing is sent; none if operations may be sent
    BlockedDetails details{};         ///< the facts about that
    std::uint64_t taken = 0;          ///< the highest number that send() returned
    std::uint64_t accepted = 0;       ///< operations up to this number are durable and will be
                                      ///< delivered
    std::uint64_t acknowledged = 0;   ///< operations up to this number are delivered
    std::error_code flush_error{};    ///< of the last flush, for example on a full disk; none if
                                      ///< it succeeded
};

namespace detail {

BELAY_DETAIL_HOOK(OnAccepted, on_accepted);
BELAY_DETAIL_HOOK(OnAcknowledged, on_acknowledged);
BELAY_DETAIL_HOOK(OnBlocked, on_blocked);
BELAY_DETAIL_HOOK(OnStalled, on_stalled);

/// The hooks of a Session S.
template <class S>
struct SessionHooks {
    using State = Hook<OnState, S, const Transition&>;
    using Accepted = Hook<OnAccepted, S, std::uint64_t>;
    using Acknowledged = Hook<OnAcknowledged, S, std::uint64_t>;
    using IsBlocked = Hook<OnBlocked, S, Blocked, const BlockedDetails&>;
    using JournalReplaced = Hook<OnJournalReplaced, S, const BlockedDetails&>;
    using Stalled = Hook<OnStalled, S>;

    template <class O>
    [[nodiscard]] static consteval bool explain() {
        static_assert(State::template right<O>,
                      "Session: the observer's on_state must be 'on_state(const "
                      "belay::Transition&)', or have 'auto& session' in front of that");
        static_assert(Accepted::template right<O>,
                      "Session: the observer's on_accepted must be 'on_accepted(std::uint64_t)', "
                      "or have 'auto& session' in front of that");
        static_assert(Acknowledged::template right<O>,
                      "Session: the observer's on_acknowledged must be 'on_acknowledged("
                      "std::uint64_t)', or have 'auto& session' in front of that");
        static_assert(IsBlocked::template right<O>,
                      "Session: the observer's on_blocked must be 'on_blocked(belay::Blocked, "
                      "const belay::BlockedDetails&)', or have 'auto& session' in front of that");
        static_assert(JournalReplaced::template right<O>,
                      "Session: the observer's on_journal_replaced must be 'on_journal_replaced("
                      "const belay::BlockedDetails&)', or have 'auto& session' in front of that");
        static_assert(Stalled::template right<O>,
                      "Session: the observer's on_stalled must be 'on_stalled()', or "
                      "'on_stalled(auto& session)'");
        static_assert(
            has_any_hook_of<O, State, Accepted, Acknowledged, IsBlocked, JournalReplaced, Stalled>,
            "Session: the observer has no hook: it needs one of on_state, on_accepted, "
            "on_acknowledged, on_blocked, on_journal_replaced, on_stalled. Derive an observer "
            "without hooks from belay::NoObserver");
        return true;
    }
};

template <class Q>
using JournalOf = std::remove_cvref_t<decltype(std::declval<Q&>().storage())>;

template <class Q>
concept HasJournal = requires(Q& queue) { queue.storage(); } && LogLike<JournalOf<Q>>;
template <class Q>
concept NeverDrops = requires {
    { Q::drops } -> std::same_as<const bool&>;
} && !Q::drops;
template <class Q>
concept PushesBytes = requires(Q& queue, BytesView operation) {
    { queue.push(operation) } -> std::same_as<std::error_code>;
};

/// The queue of a Session: `Queue<Journal<...>>`, with a limit, and with an overflow policy that
/// rejects or blocks.
template <class Q>
concept SessionQueueLike = HasJournal<Q> && NeverDrops<Q> && PushesBytes<Q>;

}  // namespace detail

namespace explain {

/// Names every requirement of SessionQueueLike that Q lacks.
template <class Q>
consteval bool session_queue() {
    static_assert(detail::HasJournal<Q>,
                  "Session: the queue must be a Queue over a LogLike storage, such as Journal");
    static_assert(
        detail::NeverDrops<Q>,
        "Session: the queue must not drop operations, because each must be delivered exactly once");
    static_assert(!detail::HasJournal<Q> || detail::PushesBytes<Q>,
                  "Session: the queue must take belay::BytesView");
    return detail::SessionQueueLike<Q>;
}

}  // namespace explain

namespace detail {

/// Puts a check into a transport. It is specialised for a decorator that must stay the outermost.
template <class Transport, class Check>
struct CheckedTransport {
    using type = Validated<Transport, Check>;
    [[nodiscard]] static type make(Transport transport, Check check) {
        return {std::move(transport), std::move(check)};
    }
};

template <class Transport, class Policy, class Queue, class Observer>
class SessionService;
}  // namespace detail

/// Sends operations to a Receiver, which applies each exactly once and in order, also after crashes
/// of either side and failures of the network.
///
/// `send` takes an operation. The operation is durable, and will be delivered, once the observer's
/// on_accepted(up_to) has covered its number or commit() has returned without an error. One flush
/// serves all operations of a turn. The session owns the queue and the supervisor of its
/// connection. It never drops an operation, so a queue whose overflow policy drops does not
/// compile.
///
/// No protocol can repair a side that lost what it had made durable. The session detects such a
/// loss, stops sending, and reports it with the facts by on_blocked. The queue continues to take
/// operations up to its limit, except after Blocked::journal_failed.
///
/// The observer may have these hooks, each of which may leave out the session:
/// - `on_state(auto& session, const Transition&)`: after every transition of the link.
/// - `on_accepted(auto& session, std::uint64_t up_to)`: operations are durable and will be
///   delivered. It comes before any of them is acknowledged.
/// - `on_acknowledged(auto& session, std::uint64_t up_to)`: operations are delivered, also if the
///   session learns it from a new connection.
/// - `on_blocked(auto& session, Blocked, const BlockedDetails&)`: a loss, about which the session
///   must not guess, has stopped it.
/// - `on_journal_replaced(auto& session, const BlockedDetails&)`: the receiver replaced another
///   journal of this sender by this one.
/// - `on_stalled(auto& session)`: the receiver can be reached, but there is no progress; see
///   SessionOptions::stalled_after.
///
/// In one turn, on_state comes first, then one flush, then operations are sent, and then the other
/// hooks follow in the order of this list; on_journal_replaced comes before on_blocked.
///
/// Models:        MachineLike.
/// Thread safety: home thread, as its supervisor; handle() for other threads.
/// Source:        docs/reference/formats/session-protocol.md.
template <class Transport, class Policy, class Queue, class Observer = NoObserver>
class Session
    : private detail::LinkUser<Session<Transport, Policy, Queue, Observer>, Bytes, Observer> {
    using Base = detail::LinkUser<Session, Bytes, Observer>;
    friend Base;
    using Base::busy_, Base::deferred_, Base::drain_, Base::lifetime_, Base::now_, Base::observer_,
        Base::waker_;

    // Not constraints: the compiler's message for a failed constraint would hide these sentences.
    static_assert(explain::transport_like<Transport>());
    static_assert(explain::rule_like<Policy>());
    static_assert(explain::session_queue<Queue>());
    static_assert(std::is_same_v<typename Transport::message_type, Bytes>,
                  "Session: the transport must carry belay::Bytes");
    static_assert(
        detail::carries_any_bytes<Transport>,
        "Session: the framing of the transport must carry any bytes, and Lines carries only "
        "text; use LengthPrefixed");
    static_assert(
        detail::has_one_lane<Transport>,
        "Session: the transport must not contain a Bundle, because a session has one lane; run the "
        "other connections in Supervisors of their own");

    using Journal = detail::JournalOf<Queue>;
    using Sender = detail::SenderCore<Journal>;
    using Core = detail::SessionCore;
    using Notice = Core::Notice;

public:
    /// Commands from other threads.
    using Handle = detail::LinkCommands<Bytes>;
    /// This session as a service of a Fleet; see session/session_service.hpp.
    using Service = detail::SessionService<Transport, Policy, Queue, Observer>;

    /// Opens nothing: attach the session to a driver, then call start().
    ///
    /// Pre: options.id is not no_id; greeting_max and stalled_after are > 0ns.
    Session(Transport transport, Policy policy, Queue queue, SessionOptions options,
            Observer observer = {})
        : Base{std::move(observer)},
          options_{detail::checked(std::move(options))},
          queue_{std::move(queue)},
          sender_{queue_.storage(),
                  {options_.id, options_.payload_bytes_max, std::move(options_.token),
                   detail::sign_within_ms(options_.heartbeat)}},
          core_{{options_.greeting_max, options_.stalled_after, options_.heartbeat},
                facts(LinkState::stopped)},
          released_{sender_.acked()},
          link_{Checked::make(std::move(transport), Check{this}), std::move(policy), options_.link,
                typename Base::Tap{this}} {
        static_assert(detail::explain_observer<Hooks, Observer>());
        // A queue that was filled before.
        dirty_ = journal().durable() != journal().last();
    }
    /// Does not compile: a session needs an id.
    template <class... Other>
        requires(sizeof...(Other) <= 1 &&
                 !(std::same_as<std::remove_cvref_t<Other>, SessionOptions> || ...))
    Session(Transport transport, Policy policy, Queue queue, Other&&...)
        : Session{std::move(transport), std::move(policy), std::move(queue), SessionOptions{}} {
        static_assert(sizeof...(Other) > 1,
                      "Session: pass SessionOptions after the queue, because a session needs an "
                      "id: Session{transport, policy, queue, SessionOptions{.id = id}}");
    }

    // ---- for the driver ------------------------------------------------------------------------

    void attach(Waker waker) { this->attach_link(std::move(waker)); }

    [[nodiscard]] Instant deadline() const noexcept {
        if (dirty_ || !deferred_.empty() || can_send() || is_drained()) return always;
        return detail::smaller(detail::smaller(link_.deadline(), core_.deadline(facts())),
                               detail::smaller(drain_.ends(), flush_again_));
    }

    void advance(Instant now) {
        const driver::TurnGuard guard{lifetime_};
        if (!this->advance_link(now, guard)) return;
        run_timers();
        make_durable();
        pump();
        notify_all(guard);
        // Last: stop() calls on_state, in which the observer may destroy the session.
        if (guard.gone() || (!is_drained() && now_ < drain_.ends())) return;
        drain_.end();
        stop();
    }

    // ---- commands ------------------------------------------------------------------------------

    /// Takes an operation and puts it into the queue.
    ///
    /// Returns: the operation's number. The operation is durable in Flush::each, and otherwise not
    ///          yet: see on_accepted and commit().
    /// Errors:  QueueErrc::queue_full, queue_suspended, too_large; SessionErrc::takes_no_more while
    ///          a drain() runs, and journal_failed; errors of the medium. After an error the
    ///          operation is not taken, with one exception: if the medium fails in Flush::each,
    ///          this session is blocked, and the next Session over the same journal may deliver
    ///          the operation.
    [[nodiscard]] Result<std::uint64_t> send(BytesView operation) {
        if (sender_.blocked() == Blocked::journal_failed) return SessionErrc::journal_failed;
        if (drain_.runs()) return SessionErrc::takes_no_more;
        const std::error_code e = queue_.push(operation);
        // In Flush::each the push flushes: the next turn, or commit(), finds that it has failed.
        if (!e || journal().failed()) {
            dirty_ = true;
            waker_.touch();
        }
        if (e) return e;
        return journal().last();
    }

    /// Takes a text as bytes.
    template <detail::TextForBytes<Bytes> T>
    [[nodiscard]] Result<std::uint64_t> send(const T& text) {
        return send(as_bytes(std::string_view{text}));
    }

    /// Makes all operations that send() has taken durable, as the journal's mode promises.
    ///
    /// Errors: of the medium. After one the session is blocked and promises nothing more, unless
    /// the journal has lost nothing. After a lack of space, the session flushes again each second.
    /// After QueueErrc::displaced it reconnects, and continues when the journal's files are at
    /// their path again.
    /// Blocks: for one flush of the medium.
    [[nodiscard]] std::error_code commit() {
        dirty_ = dirty_ || displaced_ || flush_again_ != never;
        std::error_code error = make_durable();
        waker_.touch();
        if (error || sender_.blocked() != Blocked::journal_failed) return error;
        error = journal().failed();
        return error ? error : SessionErrc::journal_failed;
    }

    /// Connects, and reconnects after each outage. send() may be called before start().
    void start() { link_.start(); }
    /// Disconnects; see Supervisor::stop. Operations that were taken stay in the queue.
    void stop() { link_.stop(); }
    /// Takes no more operations, and stops when all operations are acknowledged, or after `within`.
    ///
    /// Until then the session reconnects as usual. Operations that are left at the end (`depth()`)
    /// stay in the queue. A stopped session takes operations again, for its next start. If drain()
    /// is called several times, the earliest end counts. A time below 0ns, the rest of a deadline
    /// that has passed, counts as 0ns.
    void drain(Duration within) { this->begin_drain(within); }
    /// Shuts a gate; see Supervisor::shut.
    void shut(Gate gate, Duration grace = {}) { link_.shut(gate, grace); }
    /// Opens a gate; see Supervisor::open.
    void open(Gate gate) { link_.open(gate); }
    /// Hands new credentials to the transport; see Supervisor::credentials. A token of HELLO is
    /// replaced by renew_token().
    template <class... A>
    void credentials(A&&... values) {
        link_.credentials(std::forward<A>(values)...);
    }
    /// Replaces SessionOptions::token from the next HELLO on, and then leaves blocked_auth as
    /// credentials() does. The transport keeps its credentials.
    void renew_token(Bytes token) {
        sender_.renew_token(std::move(token));
        static_cast<void>(handle().credentials());
    }
    /// Connects now; see Supervisor::reconnect_now. A blocked session checks again when it is
    /// connected, and is blocked again if the cause persists.
    Reconnect reconnect_now(bool force = false) { return link_.reconnect_now(force); }

    /// Pings the receiver now, for example after a change of networks. If nothing arrives within
    /// `within`, the connection has failed. Does nothing unless the session is connected, or if
    /// `within` is 0ns or less, because no answer could arrive in time.
    void probe_now(Duration within = std::chrono::seconds{5}) {
        if (within <= Duration::zero()) return;
        note_signs();  // what has arrived before is no answer
        if (core_.probe(this->time(), within)) ping();
        waker_.touch();
    }

    // ---- observers -----------------------------------------------------------------------------

    /// Returns the state of the connection and the numbers reached, as one consistent value.
    [[nodiscard]] SessionStatus status() const {
        return {link_.status(),      sender_.blocked(), sender_.details(), journal().last(),
                journal().durable(), sender_.acked(),   flush_error_};
    }
    /// Returns how many operations are taken and not yet acknowledged.
    [[nodiscard]] std::uint64_t depth() const noexcept {
        return journal().last() - sender_.acked();
    }
    /// Returns the commands that other threads may give. Call `send` and `renew_token` on the home
    /// thread only.
    [[nodiscard]] Handle handle() const { return link_.handle(); }
    [[nodiscard]] auto& observer() noexcept { return detail::unwrap(observer_); }
    /// Returns the queue of operations.
    [[nodiscard]] Queue& queue() noexcept { return queue_; }
    [[nodiscard]] Instant now() const noexcept { return now_; }

protected:
    /// Returns the supervisor of the connection.
    [[nodiscard]] auto& link() noexcept { return link_; }
    [[nodiscard]] const auto& link() const noexcept { return link_; }
    /// Returns whether one of its turns or hooks, or a call of its transport, is on the call stack.
    [[nodiscard]] bool in_turn() const noexcept {
        return lifetime_.in_turn() || detail::LifetimeFlagOf::in_turn(link_);
    }

private:
    friend struct detail::LifetimeFlagOf;
    using Hooks = detail::SessionHooks<Session>;
    static constexpr int batches_per_turn_max = 16;
    static constexpr Duration flush_again_after = std::chrono::seconds{1};

    /// Greets the receiver on a new connection; passes once the receiver has resumed this session.
    struct Check {
        static constexpr std::size_t message_bytes_max =
            session_format::frame_header_bytes + session_format::greeting_bytes_max;
        Session* me;
        Verdict begin(const auto& say) { return me->greet(say); }
        Verdict judge(const Bytes& message, const auto& say) {
            return me->check_reply(message, say);
        }
    };
    using Checked = detail::CheckedTransport<Transport, Check>;
    using Link = Supervisor<typename Checked::type, Policy, typename Base::Tap>;

    [[nodiscard]] Journal& journal() noexcept { return queue_.storage(); }
    [[nodiscard]] const Journal& journal() const noexcept { return queue_.storage(); }

    Verdict greet(const auto& say) {
        Bytes hello;
        busy_ = false;
        unsent_.clear();
        core_.greeting(now_);
        if (const std::error_code e = sender_.hello(hello)) return Verdict::rejected(failure(e));
        // Nothing is sent before, so the wait for the next attempt grows until the files are back.
        if (displaced_) {
            const std::error_code e = flush();
            if (displaced_ || journal().failed()) return Verdict::rejected(failure(e));
        }
        // A disk that was full may have space again.
        dirty_ = journal().durable() != journal().last();
        const SendResult said = say(hello);
        if (said == SendResult::rejected) {
            return Verdict::rejected(failure(SessionErrc::hello_rejected));
        }
        return said == SendResult::sent ? Verdict::pending() : Verdict::rejected();
    }

    Verdict check_reply(const Bytes& message, const auto& say) {
        Bytes reply;
        core_.answered();
        const bool waited = sender_.phase() == Sender::Phase::greeting;
        const std::error_code e = sender_.take(message, reply);
        const bool sent = reply.empty() || say(reply) == SendResult::sent;
        if (e) return Verdict::rejected(failure(e));
        if (!sent) return Verdict::rejected();
        if (waited && sender_.phase() == Sender::Phase::adopting) core_.welcomed(now_);
        if (sender_.phase() != Sender::Phase::flowing) return Verdict::pending();
        core_.resumed(now_);
        return Verdict::passed();
    }

    void on_message(const Bytes& message, Lane) {
        Bytes reply;
        const std::error_code e = sender_.take(message, reply);
        if (!reply.empty()) static_cast<void>(link_.send(reply));
        if (e) link_.report_unhealthy(failure(e));
    }

    void on_state(const Transition& change) {
        if (change.to.state != LinkState::connected) {
            sender_.close();
            core_.disconnected(change.to.state, now_);
        }
        this->notify_state(change);
    }

    Failure failure(const std::error_code& e) {
        if (e.category() == detail::session_category()) {
            return Failure::from(e, sender_.take_retry_after());
        }
        const bool passes = detail::may_pass(e, static_cast<bool>(journal().failed()));
        if (!passes) sender_.journal_failed();
        return detail::log_failure(e, passes);
    }

    /// Another host may answer pings of the transport, so they are no sign of the receiver.
    void note_signs() { core_.sign_of_life(link_.data_at(), link_.data_count()); }

    void run_timers() {
        note_signs();
        switch (core_.check_timers(now_)) {
            case Core::Due::nothing:
                return;
            case Core::Due::silent:
                return link_.report_unhealthy(failure_of(SessionErrc::silent));
            case Core::Due::lost:
                return link_.report_unhealthy(failure_of(LinkErrc::heartbeat_lost));
            case Core::Due::ping:
                return ping();
        }
    }
    void ping() {
        Bytes frame;
        session_format::append_frame(frame,
                                     {.type = session_format::FrameType::ping, .number = ++pings_});
        // If there is no space for it, the receiver does not read; the heartbeat finds that.
        static_cast<void>(link_.send(frame));
    }

    /// Flushes the journal: once for all operations that were taken since the last flush.
    std::error_code make_durable() {
        if (!std::exchange(dirty_, false) && now_ < flush_again_) return {};
        const std::error_code e = flush();
        if (displaced_ || journal().failed()) link_.report_unhealthy(failure(e));
        return e;
    }
    /// If the disk is full, the connection stays: what is durable can be delivered.
    std::error_code flush() {
        flush_again_ = never;
        flush_error_ = journal().commit();
        displaced_ = flush_error_ == QueueErrc::displaced;
        if (flush_error_ && !displaced_ && !journal().failed()) {
            flush_again_ = after(now_, flush_again_after);
        }
        return flush_error_;
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
            if (result == SendResult::rejected) {
                return link_.report_unhealthy(failure_of(LinkErrc::message_rejected));
            }
            // `down`: the connection has ended, and its end is reported later.
            busy_ = result != SendResult::sent;
            if (!busy_) unsent_.clear();
        }
    }

    [[nodiscard]] bool is_drained() const noexcept { return drain_.runs() && depth() == 0; }
    [[nodiscard]] bool can_send() const noexcept {
        const bool up = link_.status().state == LinkState::connected && !busy_;
        return up && (!unsent_.empty() || sender_.wants_to_send());
    }

    [[nodiscard]] detail::SessionFacts facts(LinkState link) const noexcept {
        return {link, journal().durable(), sender_.acked(), sender_.replacements(),
                sender_.blocked()};
    }
    [[nodiscard]] detail::SessionFacts facts() const noexcept {
        return facts(link_.status().state);
    }

    /// Notifies the queue's observer, because the sender acknowledges in the journal directly.
    void notify_queue() {
        const std::uint64_t left = sender_.acked() - std::exchange(released_, sender_.acked());
        if constexpr (requires { queue_.notify_released(std::size_t{1}); }) {
            if (left != 0) queue_.notify_released(static_cast<std::size_t>(left));
        }
    }

    /// Calls the hooks that are due. The session is consistent: a hook may do anything, and also
    /// destroy the session.
    void notify_all(const driver::TurnGuard& guard) {
        notify_queue();
        if (guard.gone()) return;
        for (Notice notice = Notice::none;;) {
            notice = core_.take_notice(notice, now_, facts());
            if (notice == Notice::none || !notify_of(notice, guard)) return;
        }
    }
    /// Returns: false if the session was destroyed.
    bool notify_of(Notice notice, const driver::TurnGuard& guard) {
        switch (notice) {
            case Notice::accepted:
                return this->template call<typename Hooks::Accepted>(guard, journal().durable());
            case Notice::acknowledged:
                return this->template call<typename Hooks::Acknowledged>(guard, sender_.acked());
            case Notice::journal_replaced:
                return this->template call<typename Hooks::JournalReplaced>(
                    guard, BlockedDetails{sender_.details()});
            case Notice::blocked:
                return this->template call<typename Hooks::IsBlocked>(
                    guard, sender_.blocked(), BlockedDetails{sender_.details()});
            case Notice::stalled:
                return this->template call<typename Hooks::Stalled>(guard);
            case Notice::none:
                break;
        }
        return true;
    }

    const SessionOptions options_;
    Queue queue_;
    Sender sender_;
    Core core_;
    std::uint64_t released_;  // acknowledged, and reported to the queue's observer
    Bytes unsent_;
    bool dirty_ = false;
    bool displaced_ = false;  // the last flush found other files, or none, at the journal's path
    Instant flush_again_ = never;  // after a flush that has failed, and lost nothing
    std::error_code flush_error_;  // of the last flush
    std::uint64_t pings_ = 0;
    Link link_;
};

}}  // namespace belay
