// SPDX-License-Identifier: MIT
/// \file belay/sync/detail/bridge_engine.hpp
/// BridgeEngine: synchronizes sessions in rounds: fetch, decide, apply or push. Its parts are the
/// sides, the health of the remote, the sessions, the calls, and the events to be reported.
#pragma once

#include <cstddef>       // std::size_t
#include <cstdint>       // std::uint8_t, std::uint64_t
#include <deque>         // std::deque
#include <exception>     // std::uncaught_exceptions
#include <functional>    // std::function, std::less
#include <map>           // std::map
#include <memory>        // std::unique_ptr
#include <optional>      // std::optional
#include <set>           // std::set
#include <string>        // std::string
#include <string_view>   // std::string_view
#include <system_error>  // std::error_code
#include <utility>       // std::exchange, std::forward, std::move
#include <vector>        // std::vector

#include <belay/call/retry.hpp>
#include <belay/core/detail/memory.hpp>
#include <belay/core/detail/scope_exit.hpp>
#include <belay/core/random.hpp>
#include <belay/link/status.hpp>
#include <belay/sync/bridge_options.hpp>
#include <belay/sync/detail/scene_reconciliation.hpp>
#include <belay/sync/scene.hpp>
#include <belay/sync/sync_errc.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

using OutageWait = decltype(BridgeOptions::outage_wait);

/// A plain value that decides by the results of calls.
///
/// The scheduling depends on calls, and the view on attempts.
class RemoteHealth {
public:
    using Kind = Connectivity::Kind;

    explicit RemoteHealth(const OutageWait& wait) noexcept : wait_{wait} {}

    void start(Instant now) noexcept { view_.since = now; }
    /// The remote has answered, possibly with a rejection.   Returns: whether the view has changed.
    bool answered(Turn& turn) noexcept {
        away_ = false;
        if (view_.kind == Kind::connected) return false;
        wait_.succeeded(turn);
        view_ = {Kind::connected, turn.now, {}, 0};
        return true;
    }
    /// An attempt of a call has failed because of the remote. The call may still succeed, but a
    /// remote that hangs must not be shown as connected until all attempts of a call are over.
    void attempt_failed(const Failure& failure, Instant now) noexcept {
        if (view_.kind == Kind::connected) {
            view_ = {Kind::disconnected, now, failure, 0};
            return;
        }
        if (view_.reason.cause != Cause::none) {
            view_.kind = Kind::reconnecting;
            if (view_.attempt != ~std::uint32_t{0}) ++view_.attempt;
        }
        view_.reason = failure;
    }
    /// The policy has given up a call because of the remote.
    void failed(const Failure& failure, Turn& turn) noexcept {
        retry_at_ = wait_.failed(failure, turn).until;
        away_ = true;
    }
    /// The bridge has ended.
    void end(Instant now) noexcept { view_ = {Kind::disconnected, now, {Cause::planned}, 0}; }

    /// Returns whether no call is likely to succeed soon.
    [[nodiscard]] bool away() const noexcept { return away_; }
    /// Returns when the next call may begin, while the remote is unavailable.
    [[nodiscard]] Instant retry_at() const noexcept { return retry_at_; }
    [[nodiscard]] const Connectivity& view() const noexcept { return view_; }

private:
    OutageWait wait_;
    Connectivity view_{};
    Instant retry_at_ = always;
    bool away_ = false;
};

/// Whether a failure belongs to the session that was requested, and not to the remote.
[[nodiscard]] constexpr bool is_of_session(Cause cause) noexcept {
    return cause >= Cause::protocol && cause <= Cause::forbidden;
}

/// Calls the local side. During that, and during calls of the remote, `inside()` returns true.
template <class Local, class Remote>
class BridgeSides {
public:
    using Content = typename Local::content_type;
    struct Marked {
        Scene<Content> scene;
        SceneMark mark;
    };

    /// Whether scenes can be deleted on both sides.
    static constexpr bool removes = RemovesScenes<Local> && HasRemoveRemote<Remote>;

    /// Whether the local side stores bases.
    static constexpr bool remembers = RemembersBases<Local>;

    BridgeSides(Local& l, Remote& r) noexcept : remote{r}, local_{l} {}

    [[nodiscard]] bool inside() const noexcept { return inside_; }
    [[nodiscard]] FlagScope enter() noexcept { return FlagScope{inside_}; }

    [[nodiscard]] Result<std::vector<std::string>> sessions() {
        return ask([&]() -> Result<std::vector<std::string>> { return local_.sessions(); });
    }
    [[nodiscard]] Result<std::optional<Marked>> read(std::string_view session) {
        return ask([&]() -> Result<std::optional<Marked>> {
            Result<std::optional<Scene<Content>>> scene = local_.read(session);
            return scene ? marked(*std::move(scene)) : scene.error();
        });
    }
    [[nodiscard]] std::error_code apply(std::string_view session, Scene<Content>&& scene) {
        return ask([&]() -> std::error_code {
            if constexpr (removes) {
                if (scene.removed) return local_.remove_scene(session, Origin::remote);
            }
            return local_.apply(session, std::move(scene), Origin::remote);
        });
    }
    /// Returns the base that the local side has stored; none if it stores none.
    [[nodiscard]] Result<std::optional<SceneMark>> stored_base(std::string_view session) {
        if constexpr (RemembersBases<Local>) {
            return ask(
                [&]() -> Result<std::optional<SceneMark>> { return local_.stored_base(session); });
        } else {
            return std::optional<SceneMark>{};
        }
    }
    [[nodiscard]] std::error_code store_base(std::string_view session, const SceneMark& base) {
        if constexpr (RemembersBases<Local>) {
            return ask([&]() -> std::error_code { return local_.store_base(session, base); });
        } else {
            return {};
        }
    }
    /// Returns a remote scene with its mark. Its hash is computed by the user's code.
    [[nodiscard]] Result<std::optional<Marked>> marked(std::optional<Scene<Content>>&& s) {
        return ask([&]() -> Result<std::optional<Marked>> {
            if (!s) return std::optional<Marked>{};
            const SceneMark mark = s->removed ? tombstone(s->stamp)
                                              : SceneMark{s->stamp, hash_of_value(s->content, 0)};
            return std::optional<Marked>{Marked{*std::move(s), mark}};
        });
    }

    Remote& remote;

private:
    template <class Call>
    [[nodiscard]] auto ask(Call&& call) -> decltype(call()) {
        const FlagScope guard{inside_};
        return ask_user(call, SyncErrc::local_threw);
    }

    Local& local_;
    bool inside_ = false;
};

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
        ScopeExit undo{[&s] { s.due = never; }};
        times_.insert(&s);
        undo.release();
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

/// The clock and the random numbers of a call's policy.
struct CallClock {
    Instant time = always;
    Random chance{};

    [[nodiscard]] Instant now() const noexcept { return time; }
    [[nodiscard]] Random& bits() noexcept { return chance; }
};

/// One call at a time. The object is used again and again.
///
/// It uses the core of `retry`. A turn of the bridge asks the core for its next step, where `retry`
/// would block.
template <class Content, class Policy, class Observer>
class BridgeCall {
public:
    using Got = std::optional<Scene<Content>>;
    using Reply = part::Answer<Got>;
    enum class Kind : std::uint8_t { fetch, push };

    BridgeCall(const Waker& waker, Random bits) noexcept : clock_{always, bits} {
        fetched_.attach(waker);
        pushed_.attach(waker);
    }

    void begin(BridgeSession& session, Kind kind, const Policy& policy, Observer& observer) {
        core_.emplace(as_policy(policy), clock_, observer, Attempt{});
        session_ = &session;
        kind_ = kind;
        wake_ = always;
        failure_.reset();
        ended_by_.reset();
        probe = false;
    }
    /// Ends the call: an answer is ignored, and the policy is notified of the end.
    void end() noexcept {
        core_.reset();
        fetched_.drop();
        pushed_.drop();
        question_.open = false;
        session_ = nullptr;
    }

    [[nodiscard]] BridgeSession* session() const noexcept { return session_; }
    [[nodiscard]] Kind kind() const noexcept { return kind_; }
    /// Returns when there is something to do; see collect() and next().
    [[nodiscard]] Instant deadline() const noexcept {
        if (!question_.open) return wake_;
        return fetched_.answered() || pushed_.answered() ? always : question_.answer_by;
    }

    // ---- one attempt ---------------------------------------------------------------------------

    /// Returns the next step of the policy.   Pre: no question is open, and deadline() has passed.
    RetryStep next(Instant now) {
        clock_.time = now;
        const RetryStep step = core_->next(false);
        if (step == RetryStep::wait) wake_ = core_->until();
        return step;
    }
    /// Starts an attempt by `call(completion)`. An exception of `call` is a failure, too.
    template <class F>
    void ask(Instant now, Duration within, F&& call) {
        question_.open = question_.at_once = true;
        question_.answer_by = smaller(after(now, within), core_->attempt().deadline);
#if defined(__cpp_exceptions)
        try {
            put(call);
            question_.at_once = fetched_.answered() || pushed_.answered();
        } catch (...) {
            // `call` may have stopped the bridge before it threw.
            if (!std::exchange(question_.open, false)) return;
            took(now, Reply::none(CallErrc::call_failed, failure_of_exception()));
        }
#else
        put(call);
        question_.at_once = fetched_.answered() || pushed_.answered();
#endif
    }
    /// Takes the answer if it has arrived. If its time is over instead, this ends the attempt and
    /// sets `dropped`.
    /// Returns: whether no question is open any more.
    bool collect(Instant now, bool& dropped) {
        if (!question_.open) return true;
        if (fetched_.answered()) {
            question_.open = false;
            took(now, reply_of(fetched_.take()));
        } else if (pushed_.answered()) {
            question_.open = false;
            took(now, reply_of(pushed_.take()));
        } else if (question_.answer_by <= now) {
            question_.open = false;
            dropped = true;
            const std::error_code why = std::make_error_code(std::errc::timed_out);
            took(now, Reply::none(why, Failure::from(why)));
        }
        return !question_.open;
    }
    /// Returns the failure of the last attempt, if the next attempt is more than `most` away.
    [[nodiscard]] std::optional<Failure> long_wait(Instant now, Duration most) const noexcept {
        if (!failure_ || wake_ <= after(now, most)) return std::nullopt;
        Failure why = *failure_;
        why.retry_after = larger(why.retry_after, elapsed(now, wake_));
        return why;
    }
    /// Returns the failure of the attempt that collect() has ended, once; none if it succeeded.
    [[nodiscard]] std::optional<Failure> take_attempt_failure() noexcept {
        return std::exchange(ended_by_, std::nullopt);
    }
    /// Returns the reply. It counts as rejected if the last attempt ended inside of the call,
    /// because no server can have answered then.
    /// Pre: next() returned finished.
    [[nodiscard]] Reply& reply() noexcept {
        Reply& last = core_->answer();
        last.rejected = last.rejected || question_.at_once;
        return last;
    }

    /// The scene that is being pushed.
    SceneMark pushing{};
    /// Whether the call checks if an unavailable remote is available again.
    bool probe = false;

private:
    template <class F>
    void put(F& call) {
        if constexpr (std::is_invocable_v<F&, Completion<Failure>>) {
            call(pushed_.ask());
        } else {
            call(fetched_.ask());
        }
    }
    void took(Instant now, Reply&& reply) {
        fetched_.drop();
        pushed_.drop();
        clock_.time = now;
        wake_ = always;
        ended_by_ = failure_ = reply.failure;
        core_->took(std::move(reply));
    }
    static Reply unanswered() {
        return Reply::none(SyncErrc::unanswered, Failure::from(SyncErrc::unanswered));
    }
    static Reply reply_of(std::optional<Result<std::optional<Scene<Content>>, Failure>>&& got) {
        if (!got) return unanswered();
        if (got->has_value()) return Reply::success(*std::move(*got));
        // A failure without a cause would count as a success.
        Failure failure = got->error();
        if (failure.cause == Cause::none) failure.cause = Cause::lost;
        return Reply::none(CallErrc::call_failed, failure);
    }
    static Reply reply_of(std::optional<Failure>&& got) {
        if (!got) return unanswered();
        if (got->cause == Cause::none) return Reply::success(std::nullopt);
        return Reply::none(CallErrc::call_failed, *got);
    }

    CallClock clock_;
    driver::Question<Result<std::optional<Scene<Content>>, Failure>> fetched_;
    driver::Question<Failure> pushed_;
    std::optional<RetryCore<AsPolicy<Policy>, CallClock, Reply, Observer>> core_;
    std::optional<Failure> failure_{};
    std::optional<Failure> ended_by_{};
    BridgeSession* session_ = nullptr;
    Instant wake_ = always;
    Kind kind_{};
    struct {
        Instant answer_by = never;
        bool open = false;
        /// Whether the attempt ended inside of the call that started it.
        bool at_once = false;
    } question_{};
};

/// The calls that are under way, and objects for the next ones.
template <class Content, class Policy, class Observer>
class BridgeCalls {
public:
    using Call = BridgeCall<Content, Policy, Observer>;

    explicit BridgeCalls(const Waker& waker) noexcept : waker_{waker} {}

    void begin_turn() noexcept { left_ = attempts_per_turn; }
    /// Returns whether this turn may start another attempt.
    [[nodiscard]] bool has_left() const noexcept { return left_ != 0; }
    void count_attempt() noexcept { --left_; }

    /// Throws: std::bad_alloc.
    [[nodiscard]] Call& begin(BridgeSession& session, typename Call::Kind kind,
                              const Policy& policy, Observer& observer, Random& bits) {
        Call& call = free_call(bits);
        call.begin(session, kind, policy, observer);
        ++busy_;
        return call;
    }
    void release(Call& call) noexcept {
        call.end();
        --busy_;
    }
    /// Releases a call whose answer is not needed.
    void drop(Call& call) noexcept {
        release(call);
        dropped_ = true;
    }
    /// See BridgeCall::collect.
    [[nodiscard]] bool collect(Call& call, Instant now) { return call.collect(now, dropped_); }

    /// Returns the number of objects. One without a session is not under way.
    [[nodiscard]] std::size_t size() const noexcept { return all_.size(); }
    [[nodiscard]] Call& operator[](std::size_t i) noexcept { return *all_[i]; }
    [[nodiscard]] std::size_t busy() const noexcept { return busy_; }
    /// Returns whether a call checks if an unavailable remote is available again.
    [[nodiscard]] bool probing() const noexcept {
        for (const auto& call : all_) {
            if (call->session() != nullptr && call->probe) return true;
        }
        return false;
    }
    [[nodiscard]] Instant deadline() const noexcept {
        Instant due = never;
        for (const auto& call : all_) {
            if (call->session() != nullptr) due = smaller(due, call->deadline());
        }
        return due;
    }
    /// Returns whether calls were dropped since it was called last.
    [[nodiscard]] bool take_dropped() noexcept { return std::exchange(dropped_, false); }
    [[nodiscard]] const Waker& waker() const noexcept { return waker_; }

private:
    // An answer may arrive at once, so a turn has a limit.
    static constexpr unsigned attempts_per_turn = 4096;

    [[nodiscard]] Call& free_call(Random& bits) {
        for (const auto& call : all_) {
            if (call->session() == nullptr) return *call;
        }
        all_.push_back(std::make_unique<Call>(waker_, Random{Seed{bits()}}));
        return *all_.back();
    }

    const Waker& waker_;
    std::size_t busy_ = 0;
    unsigned left_ = 0;
    bool dropped_ = false;
    std::vector<std::unique_ptr<Call>> all_;
};

/// Stores events until no part of the bridge is running, so that hooks may call anything.
///
/// It drops events for which the observer has no hook. It is also the observer of the bridge's
/// retries.
template <class Self, class Content, class Observer>
class BridgePendingEvents {
    using Hooks = BridgeHooks<Self, Content>;
    using Retry = RetryRunHooks;

public:
    static constexpr bool has_conflict_hook = has_hook_of<typename Hooks::OfConflict, Observer>;

    void state(const Connectivity& view) {
        add<typename Hooks::State>(
            [view](Observer& o, Self& bridge) { notify<typename Hooks::State>(o, bridge, view); });
    }
    void pushed(std::string_view session, const Stamp& stamp) {
        add<typename Hooks::Pushed>(
            [name = std::string{session}, stamp](Observer& o, Self& bridge) {
                notify<typename Hooks::Pushed>(o, bridge, std::string_view{name}, stamp);
            });
    }
    // NOLINTNEXTLINE(bugprone-easily-swappable-parameters): in the order of BridgeConflict
    void conflict(std::string_view session, Scene<Content>&& local, Scene<Content>&& remote,
                  Origin kept, bool open) {
        add<typename Hooks::OfConflict>([name = std::string{session}, local = std::move(local),
                                         remote = std::move(remote), kept,
                                         open](Observer& o, Self& bridge) {
            const BridgeConflict<Content> lost{name, local, remote, kept, open};
            notify<typename Hooks::OfConflict>(o, bridge, lost);
        });
    }
    void error(std::string_view session, BridgeError::Step step, const Failure& failure) {
        add<typename Hooks::Error>(
            [name = std::string{session}, step, failure](Observer& o, Self& bridge) {
                const BridgeError reported{name, step, failure};
                notify<typename Hooks::Error>(o, bridge, reported);
            });
    }
    void on_attempt(const Attempt& attempt) { add_of_retry<Retry::Begun>(attempt); }
    void on_success(const Attempt& attempt) { add_of_retry<Retry::Success>(attempt); }
    void on_retry(const RetryPlanned& planned) { add_of_retry<Retry::Planned>(planned); }
    void on_rejection(const CallRejected& rejected) { add_of_retry<Retry::Rejection>(rejected); }
    void on_give_up(const RetryEnded& ended) { add_of_retry<Retry::GaveUp>(ended); }

    [[nodiscard]] bool empty() const noexcept { return all_.empty(); }
    /// Notifies the observer of the first event.   Pre: not empty.   Throws: what the hook throws.
    void notify_first(Observer& observer, Self& bridge) {
        const auto report = std::move(all_.front());
        all_.pop_front();
        report(observer, bridge);
    }

private:
    template <class H, class Report>
    void add(Report&& report) {
        if constexpr (has_hook_of<H, Observer>) all_.push_back(std::forward<Report>(report));
    }
    template <class H, class Event>
    void add_of_retry(const Event& event) {
        add<H>([event](Observer& o, Self&) { notify<H>(o, no_machine, event); });
    }

    std::deque<std::function<void(Observer&, Self&)>> all_;
};

/// Runs the rounds of all sessions. A round first fetches the remote scene, unless there are no
/// pulls. It then compares the remote scene with the local one, and applies it, or pushes. A
/// session has one round at a time, with one call at a time.
///
/// The engine calls no hooks. It adds events to its pending_events().
template <class Self, class Local, class Remote, class Policy, class Observer>
class BridgeEngine {
public:
    using Sides = BridgeSides<Local, Remote>;
    using Content = typename Sides::Content;
    using PendingEvents = BridgePendingEvents<Self, Content, Observer>;
    using Calls = BridgeCalls<Content, Policy, PendingEvents>;
    using Call = typename Calls::Call;
    using ReadyQueue = BridgeSession::ReadyQueue;

    BridgeEngine(const Sides& sides, Policy policy, const BridgeOptions& options,
                 const Waker& waker)
        : sides_{sides},
          policy_{std::move(policy)},
          options_{options},
          health_{options.outage_wait},
          calls_{waker} {}

    void start(Instant now) noexcept {
        bits_ = Random{calls_.waker().seed()};
        health_.start(now);
        // A random delay, or all clients of a restarted server would connect at the same moment.
        if (options_.pull.enabled) tick_ = after(now, within_interval());
    }

    /// The local side reported a change.
    void changed(std::string_view name, Instant now) {
        BridgeSession& s = sessions_.at(name);
        s.edited = s.reported = true;
        s.may_fetch_again();
        if ((s.wait && s.due != never) || s.queue == ReadyQueue::edits) return;
        sessions_.set_due(s, smaller(s.due, after(now, options_.push.debounce)));
    }

    [[nodiscard]] Instant deadline() const noexcept {
        const Instant due = smaller(smaller(tick_, sessions_.next_due()), calls_.deadline());
        if (!sessions_.has_ready()) return due;
        if (!health_.away()) return calls_.busy() < options_.calls_max ? always : due;
        return calls_.probing() ? due : smaller(due, health_.retry_at());
    }

    void advance(Instant now) {
        now_ = now;
        calls_.begin_turn();
        for (std::size_t i = 0; i < calls_.size(); ++i) {
            run(calls_[i]);
        }
        if (tick_ <= now_) pull_all();
        while (sessions_.next_due() <= now_) get_ready(sessions_.take_due());
        launch();
    }

    // ---- the end -------------------------------------------------------------------------------

    /// From now on the bridge handles only local edits.
    void wind_down(Instant now) {
        now_ = now;
        stopping_ = true;
        tick_ = never;
        sessions_.for_each([this](BridgeSession& s) {
            sessions_.clear_due(s);
            sessions_.leave(s);
            s.again = s.busy && s.edited;
            if (s.edited && !s.wait && !s.busy) sessions_.ready(s, ReadyQueue::edits);
        });
        for (std::size_t i = 0; i < calls_.size(); ++i) {
            const BridgeSession* const s = calls_[i].session();
            if (s != nullptr && calls_[i].kind() == Call::Kind::fetch && !s->edited)
                drop(calls_[i]);
        }
    }
    /// Whether nothing is left to do, or nothing can be done.
    [[nodiscard]] bool is_wound_down() const noexcept {
        return health_.away() || (calls_.busy() == 0 && !sessions_.has_ready());
    }
    void drop_all() noexcept {
        for (std::size_t i = 0; i < calls_.size(); ++i) {
            if (calls_[i].session() != nullptr) drop(calls_[i]);
        }
    }
    void end(Instant now) {
        drop_all();
        health_.end(now);
        pending_events_.state(health_.view());
    }

    [[nodiscard]] PendingEvents& pending_events() noexcept { return pending_events_; }
    [[nodiscard]] const PendingEvents& pending_events() const noexcept { return pending_events_; }
    [[nodiscard]] Sides& sides() noexcept { return sides_; }
    [[nodiscard]] const RemoteHealth& health() const noexcept { return health_; }
    /// Returns whether calls were dropped since it was called last.
    [[nodiscard]] bool take_dropped() noexcept { return calls_.take_dropped(); }

private:
    using Move = SceneDecision::Move;
    using Step = BridgeError::Step;
    using Marked = typename Sides::Marked;

    // ---- scheduling -----------------------------------------------------------------------------

    [[nodiscard]] Duration within_interval() noexcept {
        const auto most = static_cast<std::uint64_t>(options_.pull.interval.count()) - 1;
        return Duration{static_cast<std::int64_t>(uniform_upto(bits_, most))};
    }
    void pull_all() {
        if (tick_ <= now_) tick_ = after(tick_, options_.pull.interval);
        if (tick_ <= now_) tick_ = after(now_, options_.pull.interval);
        Result<std::vector<std::string>> names = sides_.sessions();
        if (!names) return pending_events_.error({}, Step::list, Failure::from(names.error()));
        sessions_.for_each([](BridgeSession& s) { s.listed = false; });
        for (const std::string& name : *names) {
            BridgeSession& s = sessions_.at(name);
            s.listed = true;
            s.may_fetch_again();
            // A session that waits after a failure of its own gets ready by itself.
            if (s.busy || (s.wait && s.due != never)) continue;
            s.wanted = true;
            sessions_.ready(s, ReadyQueue::pulls);
        }
        sessions_.forget_unlisted();
    }
    void get_ready(BridgeSession& s) noexcept {
        s.wanted = s.wanted && (s.edited || s.listed);  // or it is gone here
        if (s.busy) return static_cast<void>(s.again = true);
        sessions_.ready(s, s.edited ? ReadyQueue::edits : ReadyQueue::pulls);
    }
    [[nodiscard]] bool may_call() const noexcept {
        if (!calls_.has_left()) return false;
        if (!health_.away()) return calls_.busy() < options_.calls_max;
        return !calls_.probing() && health_.retry_at() <= now_;
    }
    void launch() {
        while (sessions_.has_ready() && may_call()) begin(sessions_.next());
    }

    // ---- a round --------------------------------------------------------------------------------

    /// If an exception leaves a round, such as std::bad_alloc, its session is called again.
    class Round {
    public:
        Round(BridgeEngine& engine, BridgeSession& session) noexcept
            : engine_{engine}, session_{session} {}
        Round(const Round&) = delete;
        Round& operator=(const Round&) = delete;
        ~Round() {
            if (std::uncaught_exceptions() != exceptions_) engine_.call_again(session_);
        }

    private:
        BridgeEngine& engine_;
        BridgeSession& session_;
        const int exceptions_ = std::uncaught_exceptions();
    };
    void call_again(BridgeSession& s) noexcept {
        for (std::size_t i = 0; i < calls_.size(); ++i) {
            if (calls_[i].session() == &s) return give_back(calls_[i]);
        }
        s.busy = s.again = false;
        (options_.pull.enabled ? s.wanted : s.edited) = true;
        if (!stopping_) sessions_.ready(s, ReadyQueue::pulls);
    }

    void begin(BridgeSession& s) {
        const Round round{*this, s};
        s.busy = true;
        s.again = false;
        sessions_.clear_due(s);
        if (!recall(s)) return;
        const std::optional<SceneMark>& base = s.memory.base();
        if (!s.wanted) {
            // The change came from this bridge, or the edit was undone.
            if (!s.edited) return finish(s);
            if (base && !s.memory.sent.any()) {
                const auto local = sides_.read(s.name);
                if (!local) return fail_here(s, Step::read, local.error());
                const auto mark = mark_of_local(s, *local);
                if (!mark || mark->hash == base->hash) {
                    s.edited = s.reported = false;
                    return finish(s);
                }
            }
        }
        call(s, options_.pull.enabled ? Call::Kind::fetch : Call::Kind::push);
    }
    /// Reads the base that the local side has stored, once.
    /// Returns: false if the round has ended.
    [[nodiscard]] bool recall(BridgeSession& s) {
        if (s.recalled) return true;
        auto base = sides_.stored_base(s.name);
        if (!base) {
            fail_here(s, Step::base, base.error());
            return false;
        }
        s.recalled = true;
        if (*base) {
            s.memory.recover(**base);
        } else if (Sides::remembers) {
            s.is_new = true;
        }
        return true;
    }
    /// Returns the mark of the local scene; a tombstone if the local side has deleted it.
    [[nodiscard]] static std::optional<SceneMark> mark_of_local(
        const BridgeSession& s, const std::optional<Marked>& local) noexcept {
        if (local) return local->mark;
        const std::optional<SceneMark>& base = s.memory.base();
        if (!Sides::removes || !base) return std::nullopt;
        return base->removed ? *base : tombstone(next_stamp(base->stamp));
    }
    void finish(BridgeSession& s) {
        if (s.memory.unstored()) {
            const std::error_code error = sides_.store_base(s.name, *s.memory.base());
            if (!error) s.memory.set_stored();
            if (error) pending_events_.error(s.name, Step::base, Failure::from(error));
        }
        s.busy = false;
        s.wait.reset();
        s.failed_alone = 0;
        if (std::exchange(s.again, false) && (s.edited || s.wanted)) get_ready(s);
    }
    /// Ends the round. The next one begins after a wait.
    void hold(BridgeSession& s, const Failure& failure) {
        s.busy = s.again = false;
        if (stopping_) return;
        if (!s.wait) s.wait.emplace(options_.outage_wait);
        Turn turn{now_, bits_};
        sessions_.set_due(s, s.wait->failed(bounded(failure), turn).until);
    }
    /// Returns a failure whose `retry_after` is within its limit.
    [[nodiscard]] Failure bounded(Failure failure) const noexcept {
        failure.retry_after = smaller(failure.retry_after, options_.retry_after_max);
        return failure;
    }
    void fail_here(BridgeSession& s, Step step, const std::error_code& error) {
        const Failure failure = Failure::from(error);
        pending_events_.error(s.name, step, failure);
        // Otherwise the next round would find nothing to do.
        s.wanted = s.wanted || options_.pull.enabled;
        hold(s, failure);
    }

    // ---- a call ---------------------------------------------------------------------------------

    void call(BridgeSession& s, typename Call::Kind kind) {
        Call& call = calls_.begin(s, kind, policy_, pending_events_, bits_);
        call.probe = health_.away();
        run(call);
    }
    /// Drops a call: its answer is not needed.
    void drop(Call& call) noexcept {
        call.session()->busy = false;
        calls_.drop(call);
    }

    void run(Call& call) {
        if (call.session() == nullptr) return;
        const Round round{*this, *call.session()};
        while (call.session() != nullptr) {
            if (!calls_.collect(call, now_)) return;
            const auto failure = call.take_attempt_failure();
            if (failure && !is_of_session(failure->cause)) {
                health_.attempt_failed(*failure, now_);
                pending_events_.state(health_.view());
            }
            if (call.deadline() > now_ || !calls_.has_left()) return;
            switch (call.next(now_)) {
                case RetryStep::wait:
                    // A remote that asks for a long wait, such as ten minutes, does not count as
                    // connected.
                    if (const auto why = call.long_wait(now_, options_.answer_within)) {
                        settle(call, Call::Reply::none(CallErrc::call_failed, *why));
                    }
                    return;
                case RetryStep::call:
                    calls_.count_attempt();
                    call.kind() == Call::Kind::fetch ? ask_fetch(call) : ask_push(call);
                    break;
                case RetryStep::finished:
                    return settle(call, std::move(call.reply()));
            }
        }
    }
    void ask_fetch(Call& call) {
        call.ask(now_, options_.answer_within,
                 [&](Completion<Result<std::optional<Scene<Content>>, Failure>> done) {
                     const FlagScope inside = sides_.enter();
                     sides_.remote.fetch(call.session()->name, std::move(done));
                 });
    }
    void ask_push(Call& call) {
        BridgeSession& s = *call.session();
        // Each attempt pushes the newest scene.
        auto local = sides_.read(s.name);
        if (!local) {
            calls_.release(call);
            s.edited = true;  // also if an earlier attempt has sent it
            return fail_here(s, Step::read, local.error());
        }
        s.edited = false;
        const auto mark = mark_of_local(s, *local);
        if (!mark) {
            calls_.release(call);
            return finish(s);
        }
        call.pushing = *mark;
        s.memory.sent.add(call.pushing.hash);
        if (mark->removed) return ask_remove(call);
        call.ask(now_, options_.answer_within, [&](Completion<Failure> done) {
            const FlagScope inside = sides_.enter();
            Scene<Content> scene = (*std::move(*local)).scene;
            if (s.replaces) scene.saw = s.replaces;
            scene.unaware = s.replaces && s.unaware == mark->hash;
            sides_.remote.push(s.name, std::move(scene), std::move(done));
        });
    }

    void ask_remove(Call& call) {
        if constexpr (Sides::removes) {
            call.ask(now_, options_.answer_within, [&](Completion<Failure> done) {
                const FlagScope inside = sides_.enter();
                const BridgeSession& s = *call.session();
                sides_.remote.remove_scene(
                    s.name, part::SceneRemoval{call.pushing.stamp, s.replaces}, std::move(done));
            });
        }
    }

    /// Drops a call. Its session is called again later.
    void give_back(Call& call) noexcept {
        BridgeSession& s = *call.session();
        (call.kind() == Call::Kind::push ? s.edited : s.wanted) = true;
        s.again = false;
        drop(call);
        if (!stopping_) sessions_.ready(s, ReadyQueue::pulls);
    }
    void settle(Call& call, typename Call::Reply reply) {
        BridgeSession& s = *call.session();
        const typename Call::Kind kind = call.kind();
        const bool probe = call.probe;
        const SceneMark pushed = call.pushing;
        calls_.release(call);
        if (reply.failure) return fail(s, kind, reply, probe);
        remote_answered();
        if (kind == Call::Kind::fetch) return reconcile(s, *std::move(reply.returned));
        s.memory.pushed(pushed);
        s.outrun = 0;
        s.reported = s.edited;  // an edit during the push
        pending_events_.pushed(s.name, pushed.stamp);
        finish(s);
        fetch_pushed(s, pushed);
    }
    /// Fetches a pushed scene, if the remote may have given it another stamp.
    void fetch_pushed(BridgeSession& s, const SceneMark& pushed) {
        if (!options_.pull.enabled || stopping_ || s.stamped != BridgeSession::Stamped::known) {
            return;
        }
        s.stamped = BridgeSession::Stamped::pushed;
        if (sessions_.keeps_stamps) return;
        s.wanted = true;
        if (s.unaware != pushed.hash) return sessions_.ready(s, ReadyQueue::pulls);
        // Another bridge may push its scene again over this one, with the same interval.
        if (!s.busy) sessions_.set_due(s, smaller(s.due, after(now_, within_interval())));
    }
    /// The first fetch after a push returns the stamp that the remote gave the scene.
    void learn_stamps(BridgeSession& s, const SceneMark& remote) noexcept {
        if (s.stamped != BridgeSession::Stamped::pushed) return;
        s.stamped = BridgeSession::Stamped::fetched;
        const std::optional<SceneMark>& base = s.memory.base();
        if (!base || base->hash != remote.hash) return;
        sessions_.keeps_stamps = remote.stamp == base->stamp || remote.stamp == Stamp{};
    }
    void remote_answered() {
        sessions_.count_answer();
        Turn turn{now_, bits_};
        if (health_.answered(turn)) pending_events_.state(health_.view());
    }
    void fail(BridgeSession& s, typename Call::Kind kind, const typename Call::Reply& reply,
              bool probe) {
        const bool push = kind == Call::Kind::push;
        (push ? s.edited : s.wanted) = true;
        const Failure& failure = *reply.failure;
        const Step step = push ? Step::push : Step::fetch;
        if (is_of_session(failure.cause)) {
            if (!reply.rejected) remote_answered();
            if (push && failure.error() == SyncErrc::scene_changed &&
                s.outrun < BridgeSession::outrun_most) {
                // Another client was faster. The next round decides with its scene in view.
                ++s.outrun;
                s.busy = s.again = false;
                s.wanted = options_.pull.enabled;
                return sessions_.ready(s, ReadyQueue::edits);
            }
            pending_events_.error(s.name, step, failure);
            return hold(s, failure);
        }
        if (sessions_.fails_alone(s)) pending_events_.error(s.name, step, failure);
        s.busy = s.again = false;
        if (!health_.away() || probe) {
            Turn turn{now_, bits_};
            health_.failed(bounded(failure), turn);
        }
        // At the end of the pulls, because this session may be what makes the remote fail.
        if (!stopping_) sessions_.ready(s, ReadyQueue::pulls);
    }

    void reconcile(BridgeSession& s, std::optional<Scene<Content>>&& got) {
        s.wanted = false;
        auto remote = sides_.marked(std::move(got));
        if (!remote) return fail_here(s, Step::fetch, remote.error());
        if (!Sides::removes && *remote && (*remote)->mark.removed) {
            return fail_here(s, Step::fetch, std::make_error_code(std::errc::not_supported));
        }
        SceneMemory& memory = s.memory;
        if (*remote) learn_stamps(s, (*remote)->mark);
        if (*remote && memory.base() && !memory.recovered() && !s.edited &&
            (*remote)->mark.hash == memory.base()->hash) {
            memory.in_step((*remote)->mark);
            return finish(s);
        }
        auto local = sides_.read(s.name);
        if (!local) return fail_here(s, Step::read, local.error());
        const auto here = mark_of_local(s, *local);
        if (*remote && s.reported && here && memory.open &&
            memory.open->is_decided(*here, (*remote)->mark)) {
            memory.rebase((*remote)->mark);
            memory.open.reset();
        }
        SceneSides sides{.base = memory.base(),
                         .edited = s.reported,
                         .recovered = memory.recovered(),
                         .is_new = s.is_new && !memory.base()};
        sides.local = here;
        if (*remote) {
            sides.remote = (*remote)->mark;
            sides.sent = memory.sent.has((*remote)->mark.hash);
            const Scene<Content>& scene = (*remote)->scene;
            if (!scene.unaware) sides.remote_saw = scene.saw;
            sides.base_to_remote = memory.compare((*remote)->mark, scene.saw, scene.unaware);
            sides.stays = scene.unaware || memory.has_replaced((*remote)->mark);
        }
        if (*local) sides.local_saw = (*local)->scene.saw;
        report_missing_base(s, sides);
        carry_out(s, sides, std::move(*local), std::move(*remote));
    }
    void report_missing_base(const BridgeSession& s, const SceneSides& sides) {
        if (missing_base_reported_ || sides.base || !sides.local || !sides.remote) return;
        if (sides.local->hash == sides.remote->hash) return;
        missing_base_reported_ = true;
        pending_events_.error(s.name, Step::base, Failure{});
    }
    void carry_out(BridgeSession& s, const SceneSides& sides, std::optional<Marked>&& local,
                   std::optional<Marked>&& remote) {
        const SceneDecision decision = reconcile_scenes(sides);
        if (decision.move == Move::apply) {
            if (!apply(s, decision.conflict, std::move(local), std::move(*remote))) return;
            if (sides.local) s.memory.replaced_here(sides.local->hash);
            s.memory.pulled(*sides.remote);
            return finish(s);
        }
        if (decision.move == Move::leave) return leave(s, std::move(*local), std::move(*remote));
        const bool is_push = decision.move == Move::push;
        if (decision.rebase && is_push) s.memory.rebase(*sides.remote);
        if (is_push && options_.push.enabled) {
            if (sides.base_to_remote == Relation::mine_newer && wait_after_undone(s)) return;
            if (decision.conflict) {
                report_conflict(s, std::move(local), std::move(remote), Origin::local);
            }
            s.memory.sending_over(sides.remote);
            const Stamp over = sides.remote ? sides.remote->stamp : Stamp{};
            if (s.replaces != over) s.unaware.reset();  // another push
            // A change is replaced by the base again, whose author had not seen that change.
            const bool is_base = sides.base && sides.base->hash == sides.local->hash;
            if (decision.conflict && is_base) s.unaware = sides.local->hash;
            s.replaces = over;
            // A remote that returns no stamps cannot compare them.
            if (sides.remote && s.replaces == Stamp{}) s.replaces.reset();
            return call(s, Call::Kind::push);
        }
        s.edited = s.reported = false;
        // Neither side has the scene, so the deletion is known. A former base would hide it if the
        // remote gets that scene again.
        const bool both_lack = !sides.remote && sides.local && sides.local->removed;
        if (both_lack) s.memory.in_step_without_scene(*sides.local);
        if (decision.rebase) s.memory.in_step(*sides.remote);
        finish(s);
    }
    /// Reports a conflict, and overwrites neither side.
    void leave(BridgeSession& s, Marked&& local, Marked&& remote) {
        const SceneMemory::Open open{local.mark.hash, remote.mark.hash};
        s.edited = s.reported = false;
        if (s.memory.open != open) {
            s.memory.open = open;
            report_conflict(s, std::move(local), std::move(remote), Origin::local, true);
        }
        finish(s);
    }
    /// Another push would be undone again.   Returns: whether the round has ended.
    [[nodiscard]] bool wait_after_undone(BridgeSession& s) {
        const unsigned times = s.memory.count_undone();
        if (times == 0) return false;
        Failure failure{.cause = Cause::permanent};
        const unsigned doubled = times - SceneMemory::undone_before_wait;
        failure.retry_after =
            part::saturating_multiply(options_.pull.interval, std::uint64_t{1} << doubled);
        pending_events_.error(s.name, Step::undone, bounded(failure));
        s.wanted = true;
        hold(s, failure);
        return true;
    }
    [[nodiscard]] bool apply(BridgeSession& s, bool conflict, std::optional<Marked>&& local,
                             Marked&& remote) {
        std::optional<Marked> reported;
        if constexpr (PendingEvents::has_conflict_hook) {
            if (conflict) reported.emplace(remote);
        }
        // Before the call, because a merged edit may be made during the call.
        const bool was_edited = std::exchange(s.edited, false);
        sessions_.clear_due(s);
        // The next edit here is one of the scene itself, not of what its author saw.
        remote.scene.saw.reset();
        remote.scene.unaware = false;
        if (const std::error_code error = sides_.apply(s.name, std::move(remote.scene))) {
            s.edited = s.edited || was_edited;
            fail_here(s, Step::apply, error);
            return false;
        }
        s.reported = s.edited;
        if (conflict) report_conflict(s, std::move(local), std::move(reported), Origin::remote);
        return true;
    }
    void report_conflict(BridgeSession& s, std::optional<Marked>&& local,
                         std::optional<Marked>&& remote, Origin kept, bool open = false) {
        if constexpr (PendingEvents::has_conflict_hook) {
            pending_events_.conflict(s.name, std::move(local->scene), std::move(remote->scene),
                                     kept, open);
        }
    }

    Sides sides_;
    Policy policy_;
    const BridgeOptions options_;
    Random bits_{};
    PendingEvents pending_events_;
    RemoteHealth health_;
    BridgeSessions sessions_;
    Instant now_ = always;
    Instant tick_ = never;
    bool stopping_ = false;
    bool missing_base_reported_ = false;
    Calls calls_;  // last: they refer to all above
};

}}}  // namespace belay::detail
