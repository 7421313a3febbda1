// SPDX-License-Identifier: MIT
/// \file belay/breaker/circuit_breaker.hpp
/// CircuitBreaker: one breaker that several threads share, with permits, events for an observer,
/// and counters.
#pragma once

#include <atomic>    // std::atomic
#include <concepts>  // std::derived_from, std::same_as
#include <cstddef>   // std::size_t
#include <cstdint>
#include <type_traits>  // std::conditional_t, std::is_final_v
#include <utility>      // std::exchange, std::move

#include <belay/breaker/breaker.hpp>
#include <belay/breaker/breaker_state.hpp>
#include <belay/breaker/detail/breaker_core.hpp>
#include <belay/breaker/trips.hpp>
#include <belay/core/assert.hpp>
#include <belay/core/clocks.hpp>
#include <belay/core/detail/spin_mutex.hpp>
#include <belay/core/failure.hpp>
#include <belay/core/observer.hpp>
#include <belay/core/order.hpp>
#include <belay/policy/detail/permit.hpp>

namespace belay { inline namespace BELAY_ABI {

/// One change of a CircuitBreaker.
struct BreakerEvent {
    /// The kinds of changes: none, opened, half_opened, reopened, closed, probe_lost, would_open
    /// and mode_set. `to_string` returns the name of one.
    using Change = detail::BreakerChange;
    /// The change that is reported.
    Change change = Change::none;
    /// The state and the mode after the change.
    BreakerState state = BreakerState::closed;
    /// The mode after it.
    BreakerMode mode = BreakerMode::automatic;
    /// The last failure before it was `opened`, `reopened`, or would have opened: its cause and its
    /// code. They are `none` and 0 for other changes, and if the failure was reported without its
    /// reason.
    Cause cause = Cause::none;
    /// The code of the failure that caused it; 0: none did.
    std::int32_t code = 0;
    /// When it happened, by the clock of the call that made it. Events are in order, but the
    /// instants of several threads may not be.
    Instant at{};
    /// When callers may probe: `at` or later. It has no meaning unless `opened` or `reopened`.
    Instant open_until{};
    /// 1, 2, 3, ...; a gap means that a slow observer lost the oldest events.
    std::uint64_t number = 0;
};

/// Counts what happened to a CircuitBreaker since it was made. No number ever falls.
///
/// The share of failures is `failures / (failures + successes)`, each as a difference of two
/// readings.
struct BreakerCounters {
    std::uint64_t successes = 0;   ///< verdicts `success` that counted, slow ones included
    std::uint64_t failures = 0;    ///< verdicts `failure` that counted; no slow successes
    std::uint64_t rejected = 0;    ///< calls that got no permit, also by the check of a policy
    std::uint64_t probes = 0;      ///< permits given while half-open
    std::uint64_t lost = 0;        ///< times that probes were given up as lost
    std::uint64_t stale = 0;       ///< failures and successes that came too late to count
    std::uint64_t opened = 0;      ///< times it opened
    std::uint64_t reopened = 0;    ///< times its probes failed
    std::uint64_t closed = 0;      ///< times its probes succeeded
    std::uint64_t would_open = 0;  ///< times it would have opened (metrics only)

    friend constexpr bool operator==(const BreakerCounters&,
                                     const BreakerCounters&) noexcept = default;
};

namespace detail {

BELAY_DETAIL_HOOK(OnBreaker, on_breaker);

constexpr void count(BreakerCounters& counters, BreakerChange change) noexcept {
    counters.lost += change == BreakerChange::probe_lost ? 1U : 0U;
    counters.opened += change == BreakerChange::opened ? 1U : 0U;
    counters.reopened += change == BreakerChange::reopened ? 1U : 0U;
    counters.closed += change == BreakerChange::closed ? 1U : 0U;
    counters.would_open += change == BreakerChange::would_open ? 1U : 0U;
}

/// The hooks that a CircuitBreaker B calls.
template <class B>
struct BreakerHooks {
    using Event = Hook<OnBreaker, B, const BreakerEvent&>;

    template <class O>
    [[nodiscard]] static consteval bool explain() {
        static_assert(Event::template right<O> && Event::template never_throws<O>(),
                      "CircuitBreaker: the observer's on_breaker must be 'on_breaker(const "
                      "belay::BreakerEvent&) noexcept', or have 'auto& breaker' in front of that");
        static_assert(has_any_hook_of<O, Event>,
                      "CircuitBreaker: the observer has no hook: it needs on_breaker. Derive an "
                      "observer without hooks from belay::NoObserver");
        return true;
    }
};

/// Events on their way to an observer.
///
/// They are written under the breaker's lock. The observer receives them without the lock, in
/// order, from one thread at a time.
template <class Breaker, class Observer>
class BreakerEvents {
public:
    constexpr BreakerEvents(Breaker& breaker, Observer observer) noexcept
        : breaker_{breaker}, observer_{std::move(observer)} {}

    /// Call it under the lock. A full ring drops its oldest event, which the numbers show.
    constexpr void push(BreakerEvent event) noexcept {
        event.number = ++last_;
        ring_[event.number % capacity] = event;
    }
    /// Call it without the lock. It returns at once if another call is already notifying, on
    /// another thread or further up on this thread's stack. That call passes on what was pushed
    /// before it ends.
    void notify(detail::SpinMutex& mutex) noexcept {
        for (bool notifying = false;; notifying = true) {
            BreakerEvent next;
            {
                const detail::SpinLock lock{mutex};
                if (!notifying && notifying_) return;
                notifying_ = notified_ != last_;
                if (!notifying_) return;
                notified_ = last_ - notified_ > capacity ? last_ - capacity + 1 : notified_ + 1;
                next = ring_[notified_ % capacity];
            }
            detail::notify<typename BreakerHooks<Breaker>::Event>(observer_, breaker_, next);
        }
    }

    /// Call it under the lock.
    [[nodiscard]] constexpr bool is_notifying() const noexcept { return notifying_; }

private:
    static constexpr std::size_t capacity = 8;

    Breaker& breaker_;
    [[no_unique_address]] Observer observer_;
    BreakerEvent ring_[capacity]{};
    std::uint64_t last_ = 0;
    std::uint64_t notified_ = 0;
    bool notifying_ = false;
};
template <class Breaker, std::derived_from<NoObserver> Observer>
    requires(!has_hook<OnBreaker, Observer>())
class BreakerEvents<Breaker, Observer> {
public:
    constexpr BreakerEvents(Breaker&, const Observer&) noexcept {}
    constexpr void push(const BreakerEvent&) noexcept {}
    void notify(detail::SpinMutex&) noexcept {}
    [[nodiscard]] constexpr bool is_notifying() const noexcept { return false; }
};

/// All that `acquire` needs about a breaker, and whether a success would change its trip.
struct BreakerWord {
    enum class Gate : std::uint8_t {
        closed,   ///< permits without the lock; verdicts count
        guarded,  ///< permits and verdicts need the lock
        watched,  ///< permits without the lock; verdicts need it (metrics only)
        ignored   ///< permits without the lock; verdicts do not count (disabled)
    };

    bool has_failed = false;       // with ConsecutiveFailures: the last verdict was a failure
    std::uint32_t generation = 0;  // 30 bits
    Gate gate = Gate::closed;

    [[nodiscard]] constexpr std::uint64_t packed() const noexcept {
        return std::uint64_t{has_failed} << 32 | std::uint64_t{generation} << 2 |
               static_cast<std::uint64_t>(gate);
    }
    [[nodiscard]] static constexpr BreakerWord unpacked(std::uint64_t bits) noexcept {
        return {bits >> 32 != 0, static_cast<std::uint32_t>(bits) >> 2,
                static_cast<Gate>(bits & 3U)};
    }
};

/// A BreakerWord that threads share. It changes only under the breaker's lock.
///
/// The generation changes with every change of the core's generation. The word publishes no other
/// data (the rest is read under the lock), so relaxed order is enough.
class AtomicBreakerWord {
public:
    [[nodiscard]] BreakerWord load() const noexcept {
        return BreakerWord::unpacked(bits_.load(std::memory_order_relaxed));
    }
    [[nodiscard]] bool is(BreakerWord word) const noexcept {
        return bits_.load(std::memory_order_relaxed) == word.packed();
    }
    void store(BreakerWord word) noexcept { bits_.store(word.packed(), std::memory_order_relaxed); }

private:
    std::atomic<std::uint64_t> bits_{0};
};

/// Counts the successes of a closed breaker.
///
/// The first thread that comes to a line owns it, and writes nothing that threads share. A thread
/// whose line has an owner shares it, so the sum is exact for any number of threads. After its
/// thread has ended, a line belongs to the next thread at its address.
/// Thread safety: any thread.
class SuccessCount {
public:
    void add() noexcept {
        const void* const me = this_thread();
        // The addresses of threads differ by their stacks, and those by a guard page at least.
        Line& line = lines_[reinterpret_cast<std::uintptr_t>(me) >> 12U & (count - 1)];
        if (line.owner.load(std::memory_order_relaxed) != me) return add_shared(line, me);
        const std::uint64_t seen = line.of_owner.load(std::memory_order_relaxed);
        line.of_owner.store(seen + 1, std::memory_order_relaxed);
    }
    [[nodiscard]] std::uint64_t read() const noexcept {
        std::uint64_t sum = 0;
        for (const Line& line : lines_) {
            sum += line.of_owner.load(std::memory_order_relaxed) +
                   line.of_others.load(std::memory_order_relaxed);
        }
        return sum;
    }

private:
    static constexpr std::size_t count = 8;
    struct alignas(64) Line {
        std::atomic<const void*> owner{nullptr};
        std::atomic<std::uint64_t> of_owner{0};
        std::atomic<std::uint64_t> of_others{0};
    };
    [[gnu::cold, gnu::noinline]] static void add_shared(Line& line, const void* me) noexcept {
        const void* none = nullptr;
        line.owner.compare_exchange_strong(none, me, std::memory_order_relaxed);
        line.of_others.fetch_add(1, std::memory_order_relaxed);
    }

    Line lines_[count];
};

/// The number of outstanding permits. Counted in checked builds only, because it costs a shared
/// write.
class PermitCount {
public:
#if BELAY_ASSERTIONS
    void take() noexcept { out_.fetch_add(1, std::memory_order_relaxed); }
    void give_back() noexcept { out_.fetch_sub(1, std::memory_order_relaxed); }
    [[nodiscard]] bool all_back() const noexcept {
        return out_.load(std::memory_order_relaxed) == 0;
    }

private:
    std::atomic<std::uint64_t> out_{0};
#else
    void take() noexcept {}
    void give_back() noexcept {}
    [[nodiscard]] bool all_back() const noexcept { return true; }
#endif
};

/// The engine's reply to a request for a permit.
struct BreakerGrant {
    bool granted;
    /// If granted: the generation of the permit.
    std::uint32_t generation;
    /// If granted: the time, if the trip times calls. If rejected: when to ask again.
    Instant at;
};

/// Makes the decisions of BreakerCore for any number of threads. `time` is a callable that returns
/// the turn, or a reference to it. The engine calls it only if it needs the time or random bits.
///
/// While closed, `acquire` is one load (and a clock read if the trip times calls), and so is a
/// success that ConsecutiveFailures do not heed. The core does everything else under the lock.
///
/// `Breaker` is the type that the engine passes to the observer.
template <class Breaker, class Trip, class OpenWait, class Observer>
class BreakerEngine {
public:
    constexpr BreakerEngine(Breaker& breaker, Trip trip, OpenWait open_wait,
                            HalfOpenOptions half_open, Observer observer) noexcept
        : core_{trip, open_wait, half_open}, events_{breaker, std::move(observer)} {}

    template <class Time>
    [[nodiscard]] BreakerGrant acquire(Time time) noexcept {
        const Word word = word_.load();
        if (word.gate == Gate::guarded) {
            // Copied by members, so that the usual grant is in registers.
            const BreakerGrant grant = acquire_guarded(Instant{time().now});
            return {grant.granted, grant.generation, grant.at};
        }
        if constexpr (RecordsTimedCalls<Trip>) {
            return {true, word.generation, Instant{time().now}};
        } else {
            return {true, word.generation, always};
        }
    }

    template <class Time>
    [[gnu::always_inline]] void success(std::uint32_t generation, Instant began,
                                        Time time) noexcept {
        if constexpr (counts_in_row<Trip>) {
            // Usually there is nothing to clear. A failure that another thread reports meanwhile
            // counts as later.
            if (word_.is({false, generation, Gate::closed})) return unlocked_.successes.add();
        }
        record(false, generation, began, time, Failure{});
    }
    /// Records the end of a call that needs more than success() does.
    template <class Time>
    [[gnu::noinline]] void record(bool failed, std::uint32_t generation, Instant began, Time time,
                                  const Failure& why) noexcept {
        const Word word = word_.load();
        if (word.generation != generation) {
            unlocked_.stale.fetch_add(1, std::memory_order_relaxed);
            return;
        }
        if (word.gate == Gate::ignored) return;
        if constexpr (needs_no_time) {
            if (word.gate == Gate::closed) {
                if (decide(failed, generation, began, time, why)) events_.notify(mutex_);
                return;
            }
        }
        // Reads the clock before taking the lock, because a clock may be slow.
        auto&& turn = time();
        const auto read = [&turn]() -> Turn& { return turn; };
        if (decide(failed, generation, began, read, why)) events_.notify(mutex_);
    }
    /// Returns what such a failure shows about the peer.
    [[nodiscard]] PeerEvidence evidence_of(const Failure& why) const noexcept {
        if constexpr (HasCounts<Trip>) {
            const detail::SpinLock lock{mutex_};
            return detail::evidence_of(core_.trip(), why);
        } else {
            return peer_evidence(why);
        }
    }
    void neutral(std::uint32_t generation, const Failure& why = {}) noexcept {
        if (!word_.is({false, generation, Gate::guarded})) return;
        const detail::SpinLock lock{mutex_};
        core_.neutral(generation, why);
    }

    [[nodiscard]] Advice admit(Instant now) const noexcept {
        if (!is_guarded()) return Advice::go();
        return admit_guarded(now);
    }
    /// `now` is a callable that returns the time.
    template <class Now>
    [[nodiscard]] BreakerState state(Now now) const noexcept {
        if (!is_guarded()) return BreakerState::closed;
        const Instant read = now();
        const detail::SpinLock lock{mutex_};
        return core_.state(read);
    }
    /// Returns the length of the last open wait, or one of the rules; 0ns before the first.
    [[nodiscard]] Duration open_wait() const noexcept {
        const detail::SpinLock lock{mutex_};
        // Callers of a breaker that is held open ask often, so that they notice the end.
        if (core_.mode() != BreakerMode::forced_open) return open_wait_;
        return detail::smaller(open_wait_, breaker_recheck);
    }
    /// Returns whether the breaker decides, or its operator.
    [[nodiscard]] BreakerMode mode() const noexcept {
        const detail::SpinLock lock{mutex_};
        return core_.mode();
    }
    /// Counts a call that a rule's check rejected, and that requested no permit.
    void rejected() noexcept {
        const detail::SpinLock lock{mutex_};
        ++counters_.rejected;
    }
    [[nodiscard]] BreakerCounters counters() const noexcept {
        const detail::SpinLock lock{mutex_};
        BreakerCounters all = counters_;
        all.stale = unlocked_.stale.load(std::memory_order_relaxed);
        if constexpr (counts_in_row<Trip>) all.successes += unlocked_.successes.read();
        return all;
    }

    struct Use {
        bool is_notifying;
        std::uint32_t isolations;
    };
    /// Returns what must have ended before the breaker may be destroyed, except its permits.
    [[nodiscard]] Use in_use() const noexcept {
        const detail::SpinLock lock{mutex_};
        return {events_.is_notifying(), isolations_};
    }

    enum class ModeCommand : std::uint8_t { set, isolate, end_isolation };
    /// Sets the mode, or begins or ends one of the isolations, which force the breaker open.
    ///
    /// `mode` is for `set` only. While the breaker is isolated, it applies from the end on.
    void change_mode(ModeCommand command, Instant now,
                     BreakerMode mode = BreakerMode::forced_open) noexcept {
        {
            const detail::SpinLock lock{mutex_};
            const bool was_isolated = isolations_ != 0;
            if (command == ModeCommand::isolate) {
                BELAY_PRECONDITION(isolations_ < 65535,
                                   "CircuitBreaker::isolate: at most 65535 isolations at once");
                if (isolations_++ == 0) mode_after_ = core_.mode();
            } else if (command == ModeCommand::set) {
                mode_after_ = mode;
            } else {
                --isolations_;
                mode = mode_after_;
            }
            if (was_isolated && (isolations_ != 0 || command == ModeCommand::isolate)) return;
            settle(core_.set_mode(mode), now);
            // A person may hold it open before it has opened for the first time.
            if (open_wait_ == Duration::zero()) spread_at_least(now, 1);
        }
        events_.notify(mutex_);
    }
    void set_rules(const Trip& trip, const OpenWait& open_wait,
                   HalfOpenOptions half_open) noexcept {
        const detail::SpinLock lock{mutex_};
        core_.set_rules(trip, open_wait, half_open);
        // Callers that begin to wait for the next probe are spread over a wait of these rules.
        if (open_wait_ != Duration::zero()) open_wait_ = nominal_wait(open_wait, 1);
        word_.store({false, core_.generation(), gate()});
    }
    [[nodiscard]] BreakerSnapshot snapshot(Instant now) const noexcept {
        const detail::SpinLock lock{mutex_};
        if (isolations_ == 0) return core_.snapshot(now);
        // No code would end the isolation of a restarted program.
        const bool is_forced = mode_after_ == BreakerMode::forced_open;
        return {mode_after_, is_forced ? BreakerState::open : BreakerState::closed, 0, Duration{}};
    }
    [[nodiscard]] bool restore(const BreakerSnapshot& snapshot, Turn turn) noexcept {
        {
            const detail::SpinLock lock{mutex_};
            if (isolations_ != 0) return false;
            if (!core_.restore(snapshot, turn)) return false;
            open_wait_ = snapshot.remaining;
            // Without a rest, all callers that wait for the first probe would return at once.
            spread_at_least(turn.now, snapshot.openings);
            settle(BreakerChange::mode_set, turn.now);
        }
        events_.notify(mutex_);
        return true;
    }

private:
    using Word = BreakerWord;
    using Gate = BreakerWord::Gate;
    // The fields of a Failure that events report.
    struct Last {
        Cause cause = Cause::none;
        std::int32_t code = 0;
    };
    // Counted without the lock.
    struct NotInRow {};
    struct Unlocked {
        std::atomic<std::uint64_t> stale{0};
        [[no_unique_address]] std::conditional_t<counts_in_row<Trip>, SuccessCount, NotInRow>
            successes{};
    };

    static constexpr bool needs_no_time =
        !counts_in_row<Trip> && !RecordsTimedCalls<Trip> && !RecordsAtInstants<Trip>;

    // Returns the wait of an opening by these rules, without a known failure.
    [[nodiscard]] static Duration nominal_wait(OpenWait rules, std::uint32_t openings) noexcept {
        Random bits{Seed{0}};
        if constexpr (HasReset<OpenWait>) rules.reset();
        Duration wait;
        do {
            wait = detail::next_wait(rules, bits, Failure{}, CallCounts{1, 1});
        } while (HasReset<OpenWait> && openings-- > 1);
        return wait;
    }
    void spread_at_least(Instant now, std::uint32_t openings) noexcept {
        if (core_.state(now) == BreakerState::closed) return;
        Duration wait = nominal_wait(core_.open_wait(), openings);
        // For a caller that was rejected while the breaker was held open, and asks after the end.
        if (core_.mode() == BreakerMode::forced_open) wait = detail::smaller(wait, breaker_recheck);
        open_wait_ = detail::larger(open_wait_, wait);
    }

    [[nodiscard]] bool is_guarded() const noexcept { return word_.load().gate == Gate::guarded; }
    [[nodiscard, gnu::noinline]] Advice admit_guarded(Instant now) const noexcept {
        const detail::SpinLock lock{mutex_};
        return bounded(core_.admit(now), now);
    }
    // After a probe that was cut short, no caller waits longer than for a new open wait.
    [[nodiscard]] Advice bounded(Advice advice, Instant now) const noexcept {
        if (advice.verb == Advice::Verb::go || core_.state(now) != BreakerState::half_open) {
            return advice;
        }
        const Duration most = detail::larger(open_wait_, breaker_recheck);
        advice.until = detail::smaller(advice.until, after_time(now, most));
        return advice;
    }
    [[nodiscard, gnu::noinline]] BreakerGrant acquire_guarded(Instant now) noexcept {
        BreakerGrant grant{true, 0, now};
        bool changed = false;
        {
            const detail::SpinLock lock{mutex_};
            const auto answer = core_.acquire(now);
            if (answer.advice.verb != Advice::Verb::go) {
                ++counters_.rejected;
                return {false, 0, bounded(answer.advice, now).until};
            }
            // Another thread may have closed the breaker before this one had the lock.
            if (core_.state(now) != BreakerState::closed) ++counters_.probes;
            changed = settle(answer.change, now);
            grant.generation = core_.generation();
        }
        if (changed) events_.notify(mutex_);
        return grant;
    }

    template <class Time>
    [[nodiscard]] bool decide(bool failed, std::uint32_t generation, Instant began, Time time,
                              const Failure& why) noexcept {
        const detail::SpinLock lock{mutex_};
        if (core_.generation() != generation) {
            unlocked_.stale.fetch_add(1, std::memory_order_relaxed);
            return false;
        }
        if (!failed) {
            ++counters_.successes;
        } else if (!core_.is_neutral(why)) {
            ++counters_.failures;
            last_ = {why.cause, why.code};
        }
        if constexpr (needs_no_time) {
            // Only a call that opens the breaker reads the clock, not a call that changes nothing.
            if (word_.load().gate == Gate::closed) {
                if (!core_.record(failed, Instant{}, Duration{})) return false;
                auto&& turn = time();
                return settle(core_.trip_now(turn, why), turn.now);
            }
        }
        auto&& turn = time();
        const Duration took = RecordsTimedCalls<Trip> ? elapsed(began, turn.now) : Duration{};
        if (settle(core_.verdict(failed, generation, turn, took, why), turn.now)) return true;
        if constexpr (counts_in_row<Trip>) {
            if (gate() == Gate::closed) word_.store({failed, generation, Gate::closed});
        }
        return false;
    }

    // Updates the word, the counters and the events after core_ has changed. Call it under the
    // lock. Returns whether there is an event to report.
    bool settle(BreakerChange change, Instant now) noexcept {
        if (change == BreakerChange::none) return false;
        word_.store({false, core_.generation(), gate()});
        detail::count(counters_, change);
        // The event reports `open` even if the wait is 0ns and the next caller may already probe.
        const bool opens = change == BreakerChange::opened || change == BreakerChange::reopened;
        if (opens) open_wait_ = elapsed(now, core_.open_until());
        const BreakerState state = opens ? BreakerState::open : core_.state(now);
        const bool failed = opens || change == BreakerChange::would_open;
        const Last last = failed ? last_ : Last{};
        events_.push({change, state, core_.mode(), last.cause, last.code, now, core_.open_until()});
        last_ = {};
        return true;
    }
    [[nodiscard]] Gate gate() const noexcept {
        if (core_.mode() == BreakerMode::disabled) return Gate::ignored;
        if (core_.mode() == BreakerMode::metrics_only) return Gate::watched;
        // Asks for the state at `always`, because an open breaker whose wait is over is still not
        // closed.
        return core_.state(always) == BreakerState::closed ? Gate::closed : Gate::guarded;
    }

    AtomicBreakerWord word_;
    mutable detail::SpinMutex mutex_;
    // These two fill the space behind the mutex.
    BreakerMode mode_after_ = BreakerMode::automatic;  // when the last isolation ends
    std::uint16_t isolations_ = 0;
    BreakerCore<Trip, OpenWait> core_;
    BreakerCounters counters_{};
    Duration open_wait_{};
    Last last_{};  // the last failure since the last change; protected by the lock
    Unlocked unlocked_;
    [[no_unique_address]] BreakerEvents<Breaker, Observer> events_;
};

// Is not the clock of a breaker, and so its observer. In a final class, such as a Tee, has_hook
// does not find every hook.
template <class O>
concept BreakerObserver =
    has_hook<OnBreaker, Unwrapped<O>>() || std::derived_from<Unwrapped<O>, NoObserver> ||
    (std::is_final_v<Unwrapped<O>> && !requires(Unwrapped<O>& clock) { clock.now(); });

template <class Clock>
[[nodiscard]] consteval bool explain_breaker_clock() {
    if constexpr (requires(const Clock& clock) { clock.now(); }) {
        return explain::clock_like<Clock>();
    } else {
        static_assert(!sizeof(Clock*),
                      "CircuitBreaker: this argument is neither a clock, which has now(), nor an "
                      "observer, which has on_breaker");
        return false;
    }
}
}  // namespace detail

/// A circuit breaker that many callers share. It makes the same decisions as Breaker.
///
///     CircuitBreaker<SteadyClock> breaker{ConsecutiveFailures{5}, OpenFor{300s}};
///     if (auto permit = breaker.acquire()) { ask(peer) ? permit.success() : permit.failure(); }
///
/// A permit that is dropped counts as neutral. A verdict on a permit from before the last change of
/// state is void. Calls from that time must not close or reopen the breaker. The breaker cannot be
/// copied or moved. It must outlive its permits, including those that other threads hold, and every
/// call of its functions. A checked build stops in the destructor if a permit is still out.
///
/// An observer has `on_breaker(const BreakerEvent&) noexcept`, with an optional `auto& breaker` as
/// the first parameter. It is the last argument; a clock and HalfOpenOptions may be left out before
/// it. The breaker notifies it after every change, in order, from one thread at a time, and
/// never under a lock. The observer may call every function of the breaker, but must not destroy
/// it. The thread that notifies may be another one than the thread that made the change.
///
/// Thread safety: any thread.
/// Blocks:        `acquire` never blocks while the breaker is closed. With ConsecutiveFailures, a
///                success after a success does not block then either. Otherwise a call blocks for a
///                few instructions of another caller, and for those of the trip and the open wait,
///                which run under the lock. The clock also runs under the lock, once, for the
///                verdict that opens a breaker whose trip requires no time. A thread that makes a
///                change runs the observer for it, and for changes that other threads make
///                meanwhile.
/// Complexity:    O(1). With ConsecutiveFailures, while closed, a call that succeeds writes nothing
///                that is shared (in unchecked builds), and reads no clock.
template <class Clock = SteadyClock, class Trip = ConsecutiveFailures, class OpenWait = OpenFor,
          class Observer = NoObserver>
class CircuitBreaker {
    // Not constraints, because the compiler's message for a failed one would hide the sentence.
    static_assert(detail::explain_breaker_clock<Clock>());
    struct PermitData {
        std::uint32_t generation = 0;
    };

public:
    static constexpr std::string_view name = "CircuitBreaker";
    /// The results of its calls decide; see ShareableLike.
    static constexpr bool judges_results = true;

    /// The right to make one call, and the duty to report its result.
    ///
    /// It also takes verdicts without a turn, by the breaker's own clock. The breaker may count a
    /// known failure as a success, or not at all, depending on what the failure means for the peer;
    /// see CountOnly.
    using Permit = detail::Permit<CircuitBreaker, PermitData, true>;

    /// Keeps a breaker forced open while it lives.
    ///
    /// Thread safety: distinct objects safe; it may end on any thread.
    class [[nodiscard]] Isolation {
    public:
        constexpr Isolation(Isolation&& other) noexcept
            : breaker_{std::exchange(other.breaker_, nullptr)} {}
        /// Ends the isolation that was held.
        Isolation& operator=(Isolation&& other) noexcept {
            if (this != &other) {
                end();
                breaker_ = std::exchange(other.breaker_, nullptr);
            }
            return *this;
        }
        ~Isolation() { end(); }

        /// Ends this isolation. A second call does nothing.
        void end() noexcept {
            if (auto* const breaker = std::exchange(breaker_, nullptr)) {
                breaker->engine_.change_mode(Command::end_isolation, breaker->clock_.now());
            }
        }

    private:
        friend class CircuitBreaker;
        constexpr explicit Isolation(CircuitBreaker& owner) noexcept : breaker_{&owner} {}

        CircuitBreaker* breaker_;
    };

    template <class C = Clock>
        requires std::default_initializable<C>
    constexpr CircuitBreaker(Trip trip, OpenWait open_wait, HalfOpenOptions half_open = {}) noexcept
        : CircuitBreaker{trip, open_wait, C{}, half_open} {}
    constexpr CircuitBreaker(Trip trip, OpenWait open_wait, Clock clock,
                             HalfOpenOptions half_open = {}, Observer observer = {}) noexcept
        : engine_{*this, trip, open_wait, half_open, std::move(observer)}, clock_{clock} {
        static_assert(detail::explain_observer<detail::BreakerHooks<CircuitBreaker>, Observer>());
    }
    /// Takes an observer without the options, the clock, or both.
    template <std::same_as<Clock> C, std::same_as<Observer> O>
    constexpr CircuitBreaker(Trip trip, OpenWait open_wait, C clock, O observer) noexcept
        : CircuitBreaker{trip, open_wait, clock, HalfOpenOptions{}, std::move(observer)} {}
    template <std::same_as<Observer> O>
        requires std::default_initializable<Clock>
    constexpr CircuitBreaker(Trip trip, OpenWait open_wait, HalfOpenOptions half_open,
                             O observer) noexcept
        : CircuitBreaker{trip, open_wait, Clock{}, half_open, std::move(observer)} {}
    template <std::same_as<Observer> O>
        requires std::default_initializable<Clock>
    constexpr CircuitBreaker(Trip trip, OpenWait open_wait, O observer) noexcept
        : CircuitBreaker{trip, open_wait, Clock{}, HalfOpenOptions{}, std::move(observer)} {}
    CircuitBreaker(const CircuitBreaker&) = delete;
    CircuitBreaker& operator=(const CircuitBreaker&) = delete;
    /// Pre: every permit has had its verdict, or was dropped; every isolation has ended; no call is
    ///      in progress, so the observer does not destroy the breaker.
    ~CircuitBreaker() {
        BELAY_PRECONDITION(
            !engine_.in_use().is_notifying,
            "CircuitBreaker::~CircuitBreaker: the breaker must outlive its observer's calls");
        BELAY_PRECONDITION(permits_.all_back(),
                           "CircuitBreaker::~CircuitBreaker: the breaker must outlive its permits");
        BELAY_PRECONDITION(
            isolations() == 0,
            "CircuitBreaker::~CircuitBreaker: the breaker must outlive its isolations");
    }

    /// Requests a permit for a call now, by the breaker's own clock.   Errors: a rejected permit.
    Permit acquire() noexcept { return acquire_by(own_time()); }
    /// Requests a permit for a call at the turn's time.   Errors: a rejected permit.
    Permit acquire(Turn& turn) noexcept {
        // A copy, so that the turn of a caller need not be in memory.
        return acquire_by([turn]() noexcept { return turn; });
    }

    /// Counts an attempt that a Shared rule's check of this breaker rejected.
    void rejected() noexcept { engine_.rejected(); }

    /// Returns whether a call at `now` would be let through, and takes nothing.   Errors: none.
    [[nodiscard]] Advice admit(Instant now) const noexcept { return engine_.admit(now); }
    /// Returns the state at `now`.   Errors: none.
    [[nodiscard]] BreakerState state(Instant now) const noexcept {
        return engine_.state([now] { return now; });
    }
    /// Returns the state now, by the breaker's own clock.
    [[nodiscard]] BreakerState state() const noexcept {
        return engine_.state([this] { return Instant{clock_.now()}; });
    }
    /// Returns the length of the last open wait, over which Shared rules spread waiting callers.
    ///
    /// It is 0ns until the breaker opens for the first time. While the breaker is held open, it is
    /// at most 1 s. After `set_rules` it is a wait of the new rules. After `restore` of a breaker
    /// that is not closed, it is a wait of the rules, or the rest of the restored one. The longer
    /// one counts.   Errors: none.
    [[nodiscard]] Duration spread() const noexcept { return engine_.open_wait(); }
    /// Returns whether the breaker decides, or its operator.
    [[nodiscard]] BreakerMode mode() const noexcept { return engine_.mode(); }
    /// Returns the counts, which are exact when no call is under way.
    ///
    /// The counts of calls under way on other threads may lag behind each other.   Errors: none.
    [[nodiscard]] BreakerCounters counters() const noexcept { return engine_.counters(); }

    /// Sets the source of decisions, and starts afresh.
    ///
    /// All counts are cleared, and permits that are out become void. Setting `automatic` again
    /// closes the breaker. While the breaker is isolated, the mode applies from the end of the last
    /// isolation on.
    /// Errors: none.
    void set_mode(BreakerMode mode) noexcept {
        engine_.change_mode(Command::set, clock_.now(), mode);
    }
    /// Changes when the breaker opens, for how long, and how it probes, while callers use it:
    ///
    ///     breaker.set_rules(ConsecutiveFailures{10}, OpenFor{5s}, {.successes = 3});
    ///
    /// The mode and the isolations stay. A closed breaker stays closed. One that is open or
    /// half-open lets its next callers probe now, by the new options. All counts are cleared, and
    /// permits that are out become void, as in set_mode. A retry that already waits asks at the
    /// time that it was given.
    ///
    /// Pre: that of HalfOpenOptions.   Errors: none.
    void set_rules(Trip trip, OpenWait open_wait, HalfOpenOptions half_open = {}) noexcept {
        engine_.set_rules(trip, open_wait, half_open);
    }
    /// Forces the breaker open until the isolation ends, and all other isolations have ended.
    ///
    /// So independent parts of a program can each hold the breaker open, for instance during their
    /// maintenance. Then the breaker starts afresh in the mode that it had before, as after
    /// set_mode. Observers are notified of the first and of the last change, as of set_mode.
    ///
    /// Pre: fewer than 65535 isolations.   Errors: none.
    /// Source: `isolate()` of cockatiel's CircuitBreakerPolicy.
    [[nodiscard]] Isolation isolate() noexcept {
        engine_.change_mode(Command::isolate, clock_.now());
        return Isolation{*this};
    }
    /// Returns the number of isolations that have not ended.   Errors: none.
    [[nodiscard]] std::uint32_t isolations() const noexcept { return engine_.in_use().isolations; }
    /// Makes its generator, which draws open waits, seed itself again; see
    /// Random::reseed_after_fork.
    ///
    /// Pre: no other thread uses the breaker, as in the child just after a fork.   Errors: none.
    void reseed_after_fork() noexcept { bits_.reseed_after_fork(); }
    /// Returns the state that a restarted program needs, now by the breaker's own clock.
    ///
    /// An isolation is not part of it.   Errors: none.
    [[nodiscard]] BreakerSnapshot snapshot() const noexcept { return snapshot(clock_.now()); }
    /// Returns the same at `now`, for a breaker whose permits come by turns of another clock.
    [[nodiscard]] BreakerSnapshot snapshot(Instant now) const noexcept {
        return engine_.snapshot(now);
    }
    /// Continues from a snapshot, now by the breaker's own clock and generator; permits that are
    /// out become void.
    ///
    /// A snapshot holds no instants, so it may be from another process, host or clock.
    ///
    /// Errors: returns false, and changes nothing, if the snapshot is not valid, or while the
    ///         breaker is isolated.
    /// Complexity: O(openings) for a wait that grows, O(1) for others.
    [[nodiscard]] bool restore(const BreakerSnapshot& snapshot) noexcept {
        return engine_.restore(snapshot, Turn{clock_.now(), bits_});
    }
    /// Does the same by the caller's turn: the rest of an open wait begins at its time.
    ///
    /// Use it if the permits come by turns, as those of a Shared rule do, and the turns have
    /// another clock than the breaker. Such are the turns in a simulated world.
    [[nodiscard]] bool restore(const BreakerSnapshot& snapshot, Turn& turn) noexcept {
        return engine_.restore(snapshot, turn);
    }

private:
    friend Permit;

    // Returns what reads the time and the random bits of a call if they are needed. The engine
    // draws from the bits under its lock.
    [[nodiscard]] auto own_time() noexcept {
        return [this]() noexcept { return Turn{clock_.now(), bits_}; };
    }
    [[nodiscard]] detail::PeerEvidence evidence_of(const Failure& why) const noexcept {
        return engine_.evidence_of(why);
    }
    template <detail::PermitEnd end, class Time>
    [[gnu::always_inline]] void on_end(PermitData data, Instant began, Time time,
                                       const Failure& why) noexcept {
        if constexpr (end == detail::PermitEnd::neutral) {
            engine_.neutral(data.generation, why);
        } else if constexpr (end == detail::PermitEnd::failure) {
            engine_.record(true, data.generation, began, time, why);
        } else {
            engine_.success(data.generation, began, time);
        }
        permits_.give_back();
    }
    template <class Time>
    [[nodiscard]] Permit acquire_by(Time time) noexcept {
        const detail::BreakerGrant grant = engine_.acquire(time);
        if (!grant.granted) return Permit{grant.at};
        permits_.take();
        return Permit{*this, PermitData{grant.generation}, grant.at};
    }

    using Engine = detail::BreakerEngine<CircuitBreaker, Trip, OpenWait, Observer>;
    using Command = typename Engine::ModeCommand;

    Engine engine_;
    Random bits_{};
    [[no_unique_address]] Clock clock_;
    [[no_unique_address]] detail::PermitCount permits_;
};

template <class Trip, class OpenWait>
CircuitBreaker(Trip, OpenWait) -> CircuitBreaker<SteadyClock, Trip, OpenWait>;
// Does not compile, because the open wait is missing.
template <class Trip>
CircuitBreaker(Trip) -> CircuitBreaker<SteadyClock, Trip, detail::NoOpenWait>;
template <class Trip, class OpenWait>
CircuitBreaker(Trip, OpenWait, HalfOpenOptions) -> CircuitBreaker<SteadyClock, Trip, OpenWait>;
template <class Trip, class OpenWait, class Clock>
CircuitBreaker(Trip, OpenWait, Clock) -> CircuitBreaker<Clock, Trip, OpenWait>;
template <class Trip, class OpenWait, class Clock>
CircuitBreaker(Trip, OpenWait, Clock, HalfOpenOptions) -> CircuitBreaker<Clock, Trip, OpenWait>;
template <class Trip, class OpenWait, class Clock, class Observer>
CircuitBreaker(Trip, OpenWait, Clock, HalfOpenOptions, Observer)
    -> CircuitBreaker<Clock, Trip, OpenWait, Observer>;
template <class Trip, class OpenWait, class Clock, detail::BreakerObserver Observer>
CircuitBreaker(Trip, OpenWait, Clock, Observer) -> CircuitBreaker<Clock, Trip, OpenWait, Observer>;
template <class Trip, class OpenWait, detail::BreakerObserver Observer>
CircuitBreaker(Trip, OpenWait, HalfOpenOptions, Observer)
    -> CircuitBreaker<SteadyClock, Trip, OpenWait, Observer>;
template <class Trip, class OpenWait, detail::BreakerObserver Observer>
CircuitBreaker(Trip, OpenWait, Observer) -> CircuitBreaker<SteadyClock, Trip, OpenWait, Observer>;

}}  // namespace belay
