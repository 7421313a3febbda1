// SPDX-License-Identifier: MIT
/// \file belay/sync/detail/bridge_sessions.hpp
/// BridgeSessions: a bridge's state of each session, the sessions that are ready, and the times of
/// the others.
#pragma once

#include <cstdint>      // std::uint8_t, std::uint64_t
#include <map>          // std::map
#include <optional>     // std::optional
#include <set>          // std::set
#include <string>       // std::string
#include <string_view>  // std::string_view
#include <utility>      // std::exchange

#include <belay/core/detail/memory.hpp>
#include <belay/sync/detail/remote_health.hpp>
#include <belay/sync/detail/scene_reconciliation.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// One session.
struct BridgeSession {
    BridgeSession(std::string_view given, std::uint64_t o) : name{given}, order{o} {}

    static constexpr std::uint8_t outrun_most = 5;

    const std::string name;
    const std::uint64_t order;
    SceneMemory memory{};
    /// Set while its calls fail for a reason of its own.
    std::optional<OutageWait> wait{};
    /// When it gets ready by itself.
    Instant due = never;
    /// The local scene must be pushed: the local side reported a change, or a push has failed.
    bool edited = false;
    /// The local side reported a change, and the remote has not confirmed it. A scene that is
    /// pushed to a remote which has lost it is not an edit, even if that push fails.
    bool reported = false;
    /// The session must be pulled.
    bool wanted = false;
    /// A round is under way.
    bool busy = false;
    /// It got ready during its own round.
    bool again = false;
    /// The local side lists it.
    bool listed = false;
    /// How often in a row the remote had changed before a push came.
    std::uint8_t outrun = 0;
    /// How many of its calls in a row found the remote unavailable, although it had answered
    /// another call since the one before.
    std::uint8_t failed_alone = 0;
    /// BridgeSessions::count_answer() at the last of them.
    std::uint64_t answers = 0;
    /// The stamp of the remote scene that a push replaces, Stamp{} if there is none; none if it is
    /// not known.
    std::optional<Stamp> replaces{};
    /// The hash of a scene whose author had not seen that one; see Scene::unaware.
    std::optional<std::uint64_t> unaware{};
    /// The local side stores bases, and had none: both sides had never had the same scene.
    bool is_new = false;
    /// The stored base was read.
    bool recalled = false;
    /// The knowledge of the stamp that the remote has given the base.
    enum class Stamped : std::uint8_t {
        known,
        pushed,  ///< nothing: it was not fetched since the push
        fetched  ///< it was fetched after a push; at most once for each pull and each edit
    } stamped = Stamped::known;
    void may_fetch_again() noexcept {
        if (stamped == Stamped::fetched) stamped = Stamped::known;
    }
    /// The queue of ready sessions that it is in; see BridgeSessions.
    enum class ReadyQueue : std::uint8_t { none, edits, pulls } queue = ReadyQueue::none;
    BridgeSession* previous = nullptr;
    BridgeSession* next = nullptr;
};

/// All sessions, two queues of those that are ready, and the times of the others.
///
/// Complexity: O(log n) each.   Thread safety: one thread.
class BridgeSessions {
    using ReadyQueue = BridgeSession::ReadyQueue;
    struct Times {
        bool operator()(const BridgeSession* a, const BridgeSession* b) const noexcept {
            return a->due != b->due ? a->due < b->due : a->order < b->order;
        }
    };

public:
    BridgeSessions() = default;
    BridgeSessions(const BridgeSessions&) = delete;
    BridgeSessions& operator=(const BridgeSessions&) = delete;

    /// Returns the session of this name, which may be new.   Throws: std::bad_alloc.
    [[nodiscard]] BridgeSession& at(std::string_view name) {
        const auto found = all_.find(name);
        if (found != all_.end()) return found->second;
        return all_.try_emplace(std::string{name}, name, ++last_order_).first->second;
    }
    /// Calls `f` for each session. After its call, a session may be forgotten.
    template <class F>
    void for_each(F&& f) {
        for (auto& [name, session] : all_) f(session);
    }
    /// Forgets sessions that the local side no longer lists, unless they have something left to do.
    void forget_unlisted() noexcept {
        for (auto at = all_.begin(); at != all_.end();) {
            BridgeSession& s = at->second;
            const bool idle = !s.busy && !s.edited && s.queue == BridgeSession::ReadyQueue::none &&
                              s.due == never;
            at = !s.listed && idle ? all_.erase(at) : std::next(at);
        }
    }

    // ---- sessions that fail alone ---------------------------------------------------------------

    void count_answer() noexcept { ++answers_; }
    /// Counts a call that found the remote unavailable.
    /// Returns: whether the session may be the reason, because the remote answers others.
    [[nodiscard]] bool fails_alone(BridgeSession& s) noexcept {
        constexpr std::uint8_t reported_from = 3;
        if (std::exchange(s.answers, answers_) == answers_) return false;
        if (s.failed_alone < reported_from) ++s.failed_alone;
        return s.failed_alone == reported_from;
    }

    // ---- ready sessions -------------------------------------------------------------------------

    /// Puts a session at the end of a queue. A session with edits moves from the queue of the pulls
    /// to that of the edits.
    void ready(BridgeSession& s, ReadyQueue queue) noexcept {
        if (s.queue == queue || s.queue == ReadyQueue::edits) return;
        leave(s);
        s.queue = queue;
        sessions_in(queue).push(s);
    }
    void leave(BridgeSession& s) noexcept {
        if (s.queue == ReadyQueue::none) return;
        sessions_in(s.queue).remove(s);
        s.queue = ReadyQueue::none;
    }
    [[nodiscard]] bool has_ready() const noexcept {
        return edits_.front() != nullptr || pulls_.front() != nullptr;
    }
    /// Takes the next session out of its queue.   Pre: has_ready().
    [[nodiscard]] BridgeSession& next() noexcept {
        BridgeSession& s = edits_.front() != nullptr ? *edits_.front() : *pulls_.front();
        leave(s);
        return s;
    }

    // ---- times ----------------------------------------------------------------------------------

    /// Sets when a session gets ready by itself; with `never` it does not.
    /// Throws: std::bad_alloc.
    void set_due(BridgeSession& s, Instant due) {
        clear_due(s);
        if (due == never) return;
        s.due = due;
        struct Undo {
            BridgeSession& session;
            Instant to = never;
            ~Undo() { session.due = to; }
        } undo{s};
        times_.insert(&s);
        undo.to = due;
    }
    void clear_due(BridgeSession& s) noexcept {
        if (s.due == never) return;
        times_.erase(&s);
        s.due = never;
    }
    [[nodiscard]] Instant next_due() const noexcept {
        return times_.empty() ? never : (*times_.begin())->due;
    }
    /// Takes out the session that is due first.   Pre: next_due() != never.
    [[nodiscard]] BridgeSession& take_due() noexcept {
        BridgeSession& s = **times_.begin();
        clear_due(s);
        return s;
    }

    /// The remote returns stamps as they were pushed, or none. If it gives its own, a change of
    /// another client cannot be compared with a base whose new stamp is not known. So each push is
    /// followed by a fetch: two bridges that pull in turn would push over each other for ever.
    bool keeps_stamps = false;

private:
    [[nodiscard]] IntrusiveList<BridgeSession>& sessions_in(ReadyQueue queue) noexcept {
        return queue == ReadyQueue::edits ? edits_ : pulls_;
    }

    std::map<std::string, BridgeSession, std::less<>> all_;
    std::set<BridgeSession*, Times> times_;
    IntrusiveList<BridgeSession> edits_;
    IntrusiveList<BridgeSession> pulls_;
    std::uint64_t last_order_ = 0;
    std::uint64_t answers_ = 0;  // of the remote
};

}}}  // namespace belay::detail
