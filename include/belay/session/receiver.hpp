// SPDX-License-Identifier: MIT
/// \file belay/session/receiver.hpp
/// Receiver: the other end of sessions; applies each operation exactly once, in order.
#pragma once

#include <algorithm>     // std::all_of
#include <concepts>      // std::default_initializable, std::same_as
#include <cstddef>       // std::ptrdiff_t, std::size_t
#include <system_error>  // std::error_code
#include <type_traits>   // std::is_same_v
#include <utility>       // std::exchange, std::move
#include <vector>        // std::vector

#include <belay/core/detail/scope_exit.hpp>
#include <belay/core/machine_like.hpp>
#include <belay/core/observer.hpp>
#include <belay/core/order.hpp>
#include <belay/journal/id.hpp>
#include <belay/link/transport_like.hpp>
#include <belay/session/detail/receiver_core.hpp>
#include <belay/session/detail/receiver_peers.hpp>
#include <belay/session/ledger_like.hpp>
#include <belay/session/session_format.hpp>

namespace belay { inline namespace BELAY_ABI {

struct Progress;

namespace detail {

BELAY_DETAIL_HOOK(OnAttached, on_attached);
BELAY_DETAIL_HOOK(OnCommitted, on_committed);
BELAY_DETAIL_HOOK(OnSenderFailed, on_sender_failed);
BELAY_DETAIL_HOOK(OnLedgerFailed, on_ledger_failed);

/// The hooks of a Receiver R.
template <class R>
struct ReceiverHooks {
    using Attached = Hook<OnAttached, R, const Id&, const Progress&>;
    using Committed = Hook<OnCommitted, R, const Id&, const Progress&>;
    using JournalReplaced = Hook<OnJournalReplaced, R, const Id&, const Progress&>;
    using Rejected = Hook<OnRejected, R, SessionErrc, const Id&>;
    using SenderFailed = Hook<OnSenderFailed, R, const Id&, std::error_code>;
    using LedgerFailed = Hook<OnLedgerFailed, R, std::error_code>;

    template <class O>
    [[nodiscard]] static consteval bool explain() {
        static_assert(Attached::template right<O>,
                      "Receiver: the observer's on_attached must be 'on_attached(const belay::Id&, "
                      "const belay::Progress&)', or have 'auto& receiver' in front of that");
        static_assert(Committed::template right<O>,
                      "Receiver: the observer's on_committed must be 'on_committed(const "
                      "belay::Id&, const belay::Progress&)', or have 'auto& receiver' in front of "
                      "that");
        static_assert(JournalReplaced::template right<O>,
                      "Receiver: the observer's on_journal_replaced must be 'on_journal_replaced("
                      "const belay::Id&, const belay::Progress&)', or have 'auto& receiver' in "
                      "front of that");
        static_assert(
            Rejected::template right<O>,
            "Receiver: the observer's on_rejected must be 'on_rejected(belay::SessionErrc, "
            "const belay::Id&)', or have 'auto& receiver' in front of that");
        static_assert(SenderFailed::template right<O>,
                      "Receiver: the observer's on_sender_failed must be 'on_sender_failed(const "
                      "belay::Id&, std::error_code)', or have 'auto& receiver' in front of that");
        static_assert(LedgerFailed::template right<O>,
                      "Receiver: the observer's on_ledger_failed must be 'on_ledger_failed("
                      "std::error_code)', or have 'auto& receiver' in front of that");
        static_assert(
            has_any_hook_of<O, Attached, Committed, JournalReplaced, Rejected, SenderFailed,
                            LedgerFailed>,
            "Receiver: the observer has no hook: it needs one of on_attached, "
            "on_committed, on_journal_replaced, on_rejected, on_sender_failed, on_ledger_failed. "
            "Derive an observer without hooks from belay::NoObserver");
        return true;
    }
};

struct ReceiverEvent {
    enum class Kind : std::uint8_t {
        attached,
        committed,
        replaced,
        rejected,
        sender_failed,
        failed
    } kind;
    Id sender{};
    Progress progress{};
    std::error_code error{};
};

/// Calls the hook for an event.   Throws: what the hook throws.
template <class O, class R>
void notify_of(O& observer, R& receiver, const ReceiverEvent& n) {
    using Kind = ReceiverEvent::Kind;
    using Hooks = ReceiverHooks<R>;
    switch (n.kind) {
        case Kind::attached:
            return notify<typename Hooks::Attached>(observer, receiver, n.sender, n.progress);
        case Kind::committed:
            return notify<typename Hooks::Committed>(observer, receiver, n.sender, n.progress);
        case Kind::replaced:
            return notify<typename Hooks::JournalReplaced>(observer, receiver, n.sender,
                                                           n.progress);
        case Kind::rejected:
            return notify<typename Hooks::Rejected>(
                observer, receiver, static_cast<SessionErrc>(n.error.value()), n.sender);
        case Kind::sender_failed:
            return notify<typename Hooks::SenderFailed>(observer, receiver, n.sender,
                                                        std::error_code{n.error});
        case Kind::failed:
            return notify<typename Hooks::LedgerFailed>(observer, receiver,
                                                        std::error_code{n.error});
    }
}

/// A bounded, sorted table.   Thread safety: home thread of the receiver.
class SenderTable {
public:
    struct Sender {
        Id id;
        ReceiverCore core;
        bool begun = false;  ///< some of its operations are applied, and not committed
    };

    /// Returns null if there is none.   Complexity: O(log n).
    [[nodiscard]] Sender* find(const Id& id) {
        const std::size_t i = place_of(id);
        return i < senders_.size() && senders_[i].id == id ? &senders_[i] : nullptr;
    }
    /// Returns the sender, and adds it if there is none. If there are `most`, it first forgets one
    /// that is idle, because all its durable state is in the ledger. Returns null if all of them
    /// are busy. Other senders may move in memory.
    [[nodiscard]] Sender* find_or_add(const Id& id, std::size_t most, const ReceiverCore& fresh) {
        if (Sender* const s = find(id)) return s;
        if (senders_.size() >= most && !forget_idle()) return nullptr;
        const auto place = senders_.begin() + static_cast<std::ptrdiff_t>(place_of(id));
        return &*senders_.insert(place, Sender{id, fresh});
    }
    /// Records that a sender has operations that wait for their commit.   Throws: std::bad_alloc;
    /// then nothing is recorded.
    void begin(Sender& sender) {
        if (sender.begun) return;
        begun_.push_back(sender.id);
        sender.begun = true;
    }
    /// Returns whether operations of a sender wait for their commit.
    [[nodiscard]] bool has_begun() const noexcept { return !begun_.empty(); }
    /// Returns whether `f(sender)` holds for each sender whose operations wait for their commit.
    template <class F>
    [[nodiscard]] bool all_begun(F&& f) const {
        return std::all_of(senders_.begin(), senders_.end(),
                           [&](const Sender& s) { return !s.begun || f(s); });
    }
    /// All operations of the listed senders are committed: calls `f(sender)` for each. If `f`
    /// throws, the next call continues with that sender.
    template <class F>
    void committed(F&& f) {
        for (const Id& id : begun_) {
            // Those that an earlier call has reported may be forgotten since then.
            Sender* const sender = find(id);
            if (sender == nullptr || !sender->begun) continue;
            f(*sender);
            sender->begun = false;
        }
        begun_.clear();
    }
    void clear() noexcept {
        senders_.clear();
        begun_.clear();
    }

private:
    bool forget_idle() {
        for (auto i = senders_.begin(); i != senders_.end(); ++i) {
            if (i->begun || i->core.attached() != 0) continue;
            senders_.erase(i);
            return true;
        }
        return false;
    }
    [[nodiscard]] std::size_t place_of(const Id& id) const {
        return first_after(senders_, [&id](const Sender& s) { return s.id < id; });
    }

    std::vector<Sender> senders_;
    std::vector<Id> begun_;
};

}  // namespace detail

/// Serves sessions over connections that a listener hands to it, and applies their operations to
/// one ledger.
///
/// If a sender has several connections, the receiver serves only the newest. It closes the others
/// ("fencing"), so that a frozen process that wakes up again does no harm. The receiver answers
/// with a sender's progress only after that progress is durable.
///
/// The observer may have these hooks, each of which may leave out the receiver:
/// - `on_attached(auto& receiver, const Id& sender, const Progress&)`: it starts to serve a
///   connection of this sender.
/// - `on_committed(auto& receiver, const Id& sender, const Progress&)`: operations of this sender
///   are durable up to there.
/// - `on_journal_replaced(auto& receiver, const Id& sender, const Progress& old)`: the sender has
///   another journal now. Accepted operations above `old.applied` are lost.
/// - `on_rejected(auto& receiver, SessionErrc, const Id& sender)`: it rejects or fences
///   (`superseded`) a connection, or the transport has rejected a sender's input (`protocol`).
///   Before HELLO the id is all zeros.
/// - `on_sender_failed(auto& receiver, const Id& sender, std::error_code)`: the ledger could not
///   apply an operation of this sender, or adopt its journal. The sender waits, and sends it again
///   at the times of its policy. The others are served.
/// - `on_ledger_failed(auto& receiver, std::error_code)`: the ledger has failed. The receiver
///   serves no connection until you call resume().
///
/// Models:        MachineLike.
/// Thread safety: home thread only.
/// Source:        docs/reference/formats/session-protocol.md, section 5.2.
template <class Transport, class Ledger, class Authorize = AllowAll, class Observer = NoObserver>
class Receiver {
    // Not constraints: the compiler's message for a failed constraint would hide these sentences.
    static_assert(explain::transport_like<Transport>());
    static_assert(explain::ledger_like<Ledger>());
    static_assert(
        detail::Authorizes<Authorize>,
        "Receiver: the authorizer must be callable as (const Id& sender, BytesView token) "
        "-> std::error_code");
    static_assert(std::is_same_v<typename Transport::message_type, Bytes>,
                  "Receiver: the transport must carry belay::Bytes");
    static_assert(
        detail::carries_any_bytes<Transport>,
        "Receiver: the framing of the transport must carry any bytes, and Lines carries only "
        "text; use LengthPrefixed");
    static_assert(detail::has_one_lane<Transport>,
                  "Receiver: the transport must not contain a Bundle, because a session has one "
                  "lane; run the "
                  "other connections in ServedLinks of their own");
    using Core = detail::ReceiverCore;
    using Sender = detail::SenderTable::Sender;
    using Notice = detail::ReceiverEvent;
    using Peers = detail::ServedPeers<Transport, detail::ReceiverPeer, Receiver>;
    using Peer = typename Peers::Peer;
    using Phase = detail::PeerPhase;
    friend Peers;

public:
    /// Authorizes senders by a default-constructed Authorize.
    template <class A = Authorize>
        requires std::default_initializable<A>
    explicit Receiver(Ledger ledger, ReceiverOptions options = {}, Observer observer = {})
        : Receiver{std::move(ledger), A{}, options, std::move(observer)} {}
    /// Authorizes each sender by `authorize(id, token)` before it answers the sender's HELLO.
    Receiver(Ledger ledger, Authorize authorize, ReceiverOptions options = {},
             Observer observer = {})
        : options_{detail::checked(options)},
          observer_{std::move(observer)},
          authorize_{std::move(authorize)},
          ledger_{std::move(ledger)} {
        static_assert(detail::explain_observer<detail::ReceiverHooks<Receiver>, Observer>());
        check_store_id();
    }
    /// Takes an observer without the options.
    template <std::same_as<Observer> O>
        requires std::default_initializable<Authorize>
    Receiver(Ledger ledger, O observer)
        : Receiver{std::move(ledger), Authorize{}, ReceiverOptions{}, std::move(observer)} {}
    // An A, so that {} in front of an observer means the options.
    template <std::same_as<Authorize> A, std::same_as<Observer> O>
    Receiver(Ledger ledger, A authorize, O observer)
        : Receiver{std::move(ledger), std::move(authorize), ReceiverOptions{},
                   std::move(observer)} {}
    Receiver(const Receiver&) = delete;
    Receiver& operator=(const Receiver&) = delete;

    // ---- for the driver ------------------------------------------------------------------------

    void attach(Waker waker) {
        bits_ = Random{(waker_ = std::move(waker)).seed()};
        peers_.attach(waker_.nested(0));
    }

    [[nodiscard]] Instant deadline() const noexcept {
        if (!notices_.empty()) return always;
        return detail::smaller(commit_at_, peers_.deadline());
    }

    void advance(Instant now) {
        BELAY_PRECONDITION(!lifetime_.in_turn(), "Receiver::advance: a hook must not call it");
        const driver::TurnGuard guard{lifetime_};
        now_ = detail::larger(now_, now);
        peers_.advance(now_);
        if (commit_at_ <= now_) commit();
        acknowledge();
        reap();
        notify_all(guard);
    }

    // ---- commands ------------------------------------------------------------------------------

    /// Serves a connection that a listener has accepted.   Pre: attached to a driver.
    ///
    /// If ReceiverOptions::connections_max connections are open, the new connection replaces one
    /// that is closing, or else one that has sent nothing. If there is none, the new one is closed.
    void accept(Transport transport) {
        if (peers_.full(options_.connections_max) && !make_space()) return;
        Peer& peer =
            peers_.add(std::move(transport), options_.messages_max, options_.heartbeat, waker_);
        // Before its HELLO a client must not make the transport hold more than a greeting.
        peer.link.limit_messages(session_format::frame_header_bytes +
                                 session_format::greeting_bytes_max);
        peer.greeting.begin(detail::larger(now_, waker_.now()), options_.greeting_max);
    }

    /// Continues with a new ledger after the old one has failed.   Pre: failed().
    void resume(Ledger ledger) {
        BELAY_PRECONDITION(static_cast<bool>(failed_),
                           "Receiver::resume: the current ledger must have failed");
        ledger_ = std::move(ledger);
        check_store_id();
        failed_.clear();
        senders_.clear();
        commit_at_ = never;
    }

    /// Commits the ledger, acknowledges, and closes all connections.
    void stop() {
        if (must_commit()) {
            // Inside the ledger, the turn commits after the ledger's function has returned.
            if (in_ledger_) {
                commit_at_ = always;
            } else {
                commit();
            }
        }
        acknowledge();
        peers_.for_each([this](Peer& peer) { peer.close(options_.linger_max); });
        waker_.touch();
    }

    // ---- observers -----------------------------------------------------------------------------

    /// Returns the ledger.
    [[nodiscard]] Ledger& ledger() noexcept { return ledger_; }
    [[nodiscard]] auto& observer() noexcept { return detail::unwrap(observer_); }
    /// Returns the number of connections, including those that are being closed.
    [[nodiscard]] std::size_t connections() const noexcept { return peers_.count(); }
    /// Returns the error of the ledger, after which no sender is served until resume(); else none.
    [[nodiscard]] std::error_code failed() const noexcept { return failed_; }

private:
    friend struct detail::LifetimeFlagOf;

    bool make_space() {
        Peer* const out = peers_.to_displace(
            bits_, [](const Peer& p) { return p.rank(std::is_same_v<Authorize, AllowAll>); });
        const bool known_to_go = out != nullptr && out->link.closing();
        if (!known_to_go) note({Notice::Kind::rejected, no_id, {}, SessionErrc::overloaded});
        if (out != nullptr) out->link.abort();
        waker_.touch();
        return out != nullptr;
    }

    /// Runs the turn of one connection.
    void serve(Peer& peer, Instant) {
        if (peer.ack_due) acks_.add(peer);  // there may be space for it now
        peer.link.advance(now_, options_.events_per_turn_max,
                          [&](const Bytes& message, Lane) { on_message(peer, message); });
        watch(peer);
        // One PONG for all PINGs of a turn: a client must not be able to ask for more.
        if (std::exchange(peer.pong_due, false) || owes_sign(peer))
            send_frame(peer, session_format::FrameType::pong, peer.pong, now_);
    }
    /// Returns whether the peer must get a sign of life. While a long frame arrives there is
    /// nothing to answer, and the sender's PING waits behind that frame. The sender's `dead_after`
    /// may be shorter than this receiver's `every`.
    [[nodiscard]] bool owes_sign(const Peer& peer) const noexcept {
        if (peer.phase != Phase::attached || peer.pulse.last_sign_at() != now_) return false;
        const Duration each = detail::smaller(options_.heartbeat.every, peer.sign_every());
        if (elapsed(peer.sent_at, now_) < each) return false;
        const bool ack_follows =
            peer.ack_due && (!must_commit() || elapsed(now_, commit_at_) < each);
        return !ack_follows && !peer.link.closing();
    }
    void watch(Peer& peer) {
        if (peer.greeting.is_over(now_, options_.greeting_max))
            return reject(peer, SessionErrc::protocol, 0);
        const detail::Pulse::Due due = peer.check_pulse(now_, peer.greeted());
        if (due == detail::Pulse::Due::lost) peer.give_up();
        if (due == detail::Pulse::Due::ping)
            send_frame(peer, session_format::FrameType::ping, ++pings_, now_);
    }
    void on_message(Peer& peer, const Bytes& message) {
        const bool greeted = peer.phase == Phase::attached;
        session_format::FrameReader reader{message, greeted ? options_.limits.payload_bytes_max
                                                            : session_format::greeting_bytes_max};
        while (!peer.link.closing()) {
            const auto next = reader.next();
            if (!next) return reject(peer, SessionErrc::protocol, reader.bad_type());
            if (!*next) return;
            on_frame(peer, **next);
        }
    }

    void on_frame(Peer& peer, const session_format::Frame& frame) {
        const auto type = static_cast<std::uint8_t>(frame.type);
        if (frame.lane != 0) return reject(peer, SessionErrc::protocol, type);
        if (peer.phase == Phase::expecting_hello) {
            if (frame.type == session_format::FrameType::hello) return on_hello(peer, frame);
            return reject(peer, SessionErrc::protocol, type);
        }
        switch (frame.type) {
            case session_format::FrameType::start:
                if (frame.number != peer.hello.attach) break;
                if (peer.phase == Phase::pending) on_start(peer);
                return;
            case session_format::FrameType::data:
                if (peer.phase != Phase::attached) break;
                return on_data(peer, frame);
            case session_format::FrameType::ping:
                return peer.schedule_pong(frame.number);
            case session_format::FrameType::pong:
                return;
            case session_format::FrameType::error:
                return peer.link.close(failure_of(SessionErrc::protocol), Duration{});
            default:
                break;
        }
        reject(peer, SessionErrc::protocol, type);
    }

    void on_hello(Peer& peer, const session_format::Frame& frame) {
        const auto read = session_format::read_hello(frame);
        if (!read) {
            const bool version = read.error() == SessionErrc::version;
            return reject(peer, version ? SessionErrc::version : SessionErrc::protocol,
                          version ? (std::uint64_t{session_format::frame_version} << 32U) |
                                        session_format::frame_version
                                  : 1);
        }
        const session_format::Hello& h = *read;
        peer.hello = h;
        peer.hello.token = {};  // only the authorizer sees it
        // Before any other answer, and before the fence; otherwise any client could fence another.
        if (const std::error_code e = authorize_(h.sender, h.token)) {
            return reject(
                peer,
                e == SessionErrc::unauthorized ? SessionErrc::unauthorized : SessionErrc::forbidden,
                0);
        }
        if (peer.link.closing()) return;  // the authorizer accepted other connections
        if (failed_) return reject(peer, SessionErrc::storage, 0);
        const Core fresh = fresh_core();
        const Sender* const known = senders_.find(h.sender);
        const Core& core = known != nullptr ? known->core : fresh;
        const auto record = progress_of(h.sender);
        if (peer.link.closing()) return;
        const auto answer = core.check_hello(h, record);
        if (answer.greeting == Core::Greeting::reject)
            return reject(peer, answer.error, answer.detail);
        if (answer.greeting == Core::Greeting::pend) {
            if (!may_pend(peer)) return;
            peer.phase = Phase::pending;
            peer.greeting.begin(now_, options_.greeting_max);
            peer.pulse.sign_of_life(now_);
            return welcome(peer, core.pend(h, record));
        }
        Sender* const sender = senders_.find_or_add(h.sender, options_.senders_max, fresh);
        // No time is known. A constant one would replace the growing waits of all senders.
        if (sender == nullptr) return reject(peer, SessionErrc::overloaded, 0);
        fence(peer);
        if (!settle()) return;
        const auto settled = progress_of(h.sender);
        if (peer.link.closing()) return;
        admit(peer);
        welcome(peer, sender->core.attach(peer.id, h, settled.value_or(Progress{})));
        note({Notice::Kind::attached, h.sender, sender->core.progress(), {}});
    }

    [[nodiscard]] Core fresh_core() const noexcept {
        return {ledger_.store_id(), options_.limits, !std::is_same_v<Authorize, AllowAll>};
    }

    void on_start(Peer& peer) {
        if (failed_) return reject(peer, SessionErrc::storage, 0);
        Sender* const sender =
            senders_.find_or_add(peer.hello.sender, options_.senders_max, fresh_core());
        if (sender == nullptr) return reject(peer, SessionErrc::overloaded, 0);
        const auto record = progress_of(peer.hello.sender);
        if (peer.link.closing()) return;
        // Between HELLO and START a newer connection may have been attached.
        const auto answer = sender->core.check_hello(peer.hello, record);
        if (answer.greeting == Core::Greeting::reject)
            return reject(peer, answer.error, answer.detail);
        if (answer.greeting == Core::Greeting::attach)
            return reject(peer, SessionErrc::superseded, 0);
        adopt(peer, *sender);
    }

    /// A sender may have one pending connection at a time.
    /// Returns: whether this connection may be pending.
    bool may_pend(Peer& peer) {
        Peer* const other = peers_.find(
            [&](const Peer& p) { return p.pends(peer.hello.sender) && !p.link.closing(); });
        if (other == nullptr) return true;
        if constexpr (std::is_same_v<Authorize, AllowAll>) {
            // Either of the two may have borrowed the id. The other one ends soon.
            const auto wait =
                std::chrono::ceil<std::chrono::milliseconds>(elapsed(now_, other->greeting.ends()));
            reject(peer, SessionErrc::overloaded, static_cast<std::uint64_t>(wait.count()));
            return false;
        } else {
            reject(*other, SessionErrc::superseded, peer.hello.attach);
            return true;
        }
    }

    void admit(Peer& peer) noexcept {
        peer.phase = Phase::attached;
        peer.greeting.end();
        peer.pulse.sign_of_life(now_);
        peer.link.limit_messages(~std::size_t{0});
    }

    void adopt(Peer& peer, Sender& sender) {
        fence(peer);
        if (!settle()) return;
        const auto old = progress_of(sender.id);
        if (peer.link.closing()) return;
        const Progress record = Core::adoption(peer.hello);
        if (const std::error_code e = in_ledger([&] { return ledger_.adopt(sender.id, record); })) {
            return fail_sender(peer, e, progress_of(sender.id) == old);
        }
        BELAY_PRECONDITION(progress_of(sender.id) == record,
                           "Receiver: after adopt(sender, p), the ledger's progress(sender) must "
                           "return p; store all four fields unchanged");
        sender.core.adopted(peer.id, peer.hello, record);
        if (old) note({Notice::Kind::replaced, sender.id, *old, {}});
        if (peer.link.closing()) return;
        admit(peer);
        note({Notice::Kind::attached, sender.id, record, {}});
        acks_.add(peer);
    }

    void on_data(Peer& peer, const session_format::Frame& frame) {
        if (failed_) return reject(peer, SessionErrc::storage, 0);
        Sender* const sender = senders_.find(peer.hello.sender);
        switch (sender->core.check_data(peer.id, frame)) {
            case Core::Data::skip:
                acks_.add(peer);
                return;
            case Core::Data::gap:
                return reject(peer, SessionErrc::gap, sender->core.progress().applied + 1);
            case Core::Data::protocol:
                return reject(peer, SessionErrc::protocol, 4);
            case Core::Data::apply:
                break;
        }
        const Progress after_it = sender->core.progress_after(frame);
        // Before apply(): if it throws, nothing may be acknowledged before the next commit.
        senders_.begin(*sender);
        commit_at_ = detail::smaller(commit_at_, after(now_, options_.commit_within));
        // The sender sends an operation that threw again only on a new connection, and none may
        // follow that would show the gap.
        detail::ScopeExit guard{[&] { peer.link.abort(); }};
        const std::error_code e =
            in_ledger([&] { return ledger_.apply(sender->id, after_it, frame.payload); });
        BELAY_PRECONDITION(e || progress_of(sender->id) == after_it,
                           "Receiver: after apply(sender, p, operation), the ledger's "
                           "progress(sender) must return p; store all four fields unchanged");
        guard.release();
        if (e) return fail_sender(peer, e, true);
        sender->core.applied(after_it);
        acks_.add(peer);
    }

    /// Calls the ledger, which may call stop(). Then the connection that is served is closing.
    template <class F>
    auto in_ledger(F&& f) {
        const detail::FlagScope inside{in_ledger_};
        return f();
    }
    [[nodiscard]] std::optional<Progress> progress_of(const Id& sender) {
        return in_ledger([&] { return ledger_.progress(sender); });
    }
    // A session rejects such an id, and so it would connect again for ever.
    void check_store_id() const {
        BELAY_OPTION(!detail::is_no_id(ledger_.store_id()),
                     "Receiver: the ledger's store_id() must not be all zeros; draw it once with "
                     "make_id(bits), and store it with the ledger");
    }

    /// Closes all other connections of this sender. Frames that they sent and that are not yet
    /// applied are dropped.
    void fence(const Peer& newest) {
        peers_.for_each([&](Peer& other) {
            if (other.id != newest.id && other.greeted() &&
                other.hello.sender == newest.hello.sender)
                reject(other, SessionErrc::superseded, newest.hello.attach);
        });
    }

    /// Returns whether operations wait for a commit. The time of that commit does not show it: with
    /// a long commit_within it is `never`.
    [[nodiscard]] bool must_commit() const noexcept { return !failed_ && senders_.has_begun(); }

    /// Commits everything that an older connection began.   Returns: false if the ledger failed.
    bool settle() {
        if (must_commit()) commit();
        return !failed_;
    }

    void commit() {
        if (const std::error_code e = in_ledger([&] { return ledger_.commit(); })) return fail(e);
        senders_.committed([this](const Sender& s) {
            note({Notice::Kind::committed, s.id, s.core.progress(), {}});
        });
        // Last: if there is no memory for a notice, the next turn continues.
        commit_at_ = never;
    }

    /// Sends the ACKs that are due, unless a commit is outstanding.
    void acknowledge() {
        if (failed_ || must_commit()) return;
        acks_.pay([this](Peer& peer) {
            Core& core = senders_.find(peer.hello.sender)->core;
            const detail::Credit credit = core.grant();
            Bytes ack;
            session_format::append_ack(ack, core.progress().applied, credit.number_limit,
                                       credit.byte_limit);
            peer.sent_at = now_;
            return peer.send(ack, now_) != SendResult::busy;
        });
    }

    void welcome(Peer& peer, const session_format::Welcome& g) {
        Bytes message;
        session_format::append_welcome(message, g);
        peer.sent_at = now_;
        static_cast<void>(peer.send(message, now_));
    }

    void reject(Peer& peer, SessionErrc code, std::uint64_t number) {
        peer.stop_limits();
        if (peer.link.closing()) return;
        Bytes message;
        const bool names_store =
            code == SessionErrc::store_changed || code == SessionErrc::unknown_journal;
        session_format::append_error(message, code, number,
                                     names_store ? BytesView{ledger_.store_id()} : BytesView{});
        static_cast<void>(peer.link.send(message));
        peer.link.close(failure_of(code), options_.linger_max);
        note({Notice::Kind::rejected, peer.hello.sender, {}, make_error_code(code)});
    }

    /// The ledger did not take the operation or the journal of a sender, and no trace of it is
    /// left: the sender sends it again on its next connection.
    void fail_sender(Peer& peer, const std::error_code& error, bool no_trace) {
        reject(peer, SessionErrc::storage, 0);
        note({Notice::Kind::sender_failed, peer.hello.sender, {}, error});
        // A database may have withdrawn the operations of others with it.
        const bool intact = no_trace && senders_.all_begun([this](const Sender& s) {
            return progress_of(s.id) == s.core.progress();
        });
        if (!intact) return fail(error);
        // At once: a medium that fails shows it here, before the ledger takes more.
        commit();
    }

    void fail(const std::error_code& error) {
        failed_ = error;
        commit_at_ = never;
        peers_.for_each([this](Peer& peer) { reject(peer, SessionErrc::storage, 0); });
        note({Notice::Kind::failed, {}, {}, error});
    }

    /// Reports a sender whose input the transport has rejected, because a message was too long for
    /// the framing, for example: the sender repeats it on each connection.
    void report_bad_input(const Peer& peer) {
        const Failure& why = peer.link.failure();
        if (!peer.greeted() || why.cause != Cause::protocol) return;
        if (why.category == &detail::session_category()) return;  // reject() has reported it
        note({Notice::Kind::rejected, peer.hello.sender, {}, SessionErrc::protocol});
    }

    void reap() {
        peers_.reap([this](Peer& peer) {
            acks_.forget(peer);
            report_bad_input(peer);
            if (Sender* const sender = senders_.find(peer.hello.sender)) {
                sender->core.ended(peer.id);
            }
        });
    }

    void note(Notice notice) { notices_.push(std::move(notice)); }

    /// Calls the hooks that are due. The receiver is consistent: a hook may do anything, and also
    /// destroy the receiver.
    void notify_all(const driver::TurnGuard& guard) {
        while (!notices_.empty()) {
            const Notice n = notices_.pop();
            detail::notify_of(observer_, *this, n);
            if (guard.gone()) return;
        }
    }

    const ReceiverOptions options_;
    [[no_unique_address]] Observer observer_;
    [[no_unique_address]] Authorize authorize_;
    Ledger ledger_;
    driver::LifetimeFlag lifetime_;
    Waker waker_;
    Random bits_;
    std::error_code failed_;
    Instant now_ = always;
    Instant commit_at_ = never;
    bool in_ledger_ = false;  // a function of the ledger is on the call stack
    std::uint64_t pings_ = 0;
    detail::EventRing<Notice> notices_;
    detail::SenderTable senders_;
    detail::AckList<Peer> acks_;
    Peers peers_{*this};
};

namespace detail {

template <class Ledger>
struct TransportOfLedger {
    static_assert(
        !sizeof(Ledger),
        "Receiver: name the transport and the ledger: Receiver<posix::Accepted<>, Ledger> "
        "receiver{std::move(ledger)}; see docs/how-to/ledger.md");
};

}  // namespace detail

/// Does not compile, because a ledger does not determine the transport.
template <LedgerLike Ledger, class... More>
Receiver(Ledger, More...) -> Receiver<detail::TransportOfLedger<Ledger>, Ledger>;

}}  // namespace belay
