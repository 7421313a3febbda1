// SPDX-License-Identifier: MIT
/// \file belay/breaker/detail/breaker_engine.hpp
/// BreakerEngine: a BreakerCore shared by several threads; the implementation of CircuitBreaker.
#pragma once

#include <atomic>       // std::atomic
#include <concepts>     // std::same_as
#include <cstdint>      // std::int32_t, std::uint16_t, std::uint32_t, std::uint64_t
#include <type_traits>  // std::conditional_t
#include <utility>      // std::move

#include <belay/breaker/breaker_event.hpp>
#include <belay/breaker/count_only.hpp>
#include <belay/breaker/detail/breaker_core.hpp>
#include <belay/breaker/detail/breaker_word.hpp>
#include <belay/core/detail/spin_mutex.hpp>
#include <belay/core/order.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

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
/// While closed, `acquire` is one load (and a clock read if the trip times calls). The word also
/// counts ConsecutiveFailures, so verdicts on a closed breaker need no lock. The core does
/// everything else under the lock.
///
/// `Breaker` is the type that the engine passes to the observer.
template <class Breaker, class Trip, class OpenWait, class Observer>
class BreakerEngine {
public:
    constexpr BreakerEngine(Breaker& breaker, Trip trip, OpenWait open_wait,
                            HalfOpenOptions half_open, Observer observer) noexcept
        : limit_{limit_of(trip)},
          core_{trip, open_wait, half_open},
          events_{breaker, std::move(observer)} {}

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
            // Usually there is nothing to clear.
            if (word_.is({0, generation, Gate::closed})) return unlocked_.successes.add();
        }
        clear_or_record(generation, began, time);
    }
    template <class Time>
    void failure(std::uint32_t generation, Instant began, Time time, const Failure& why) noexcept {
        Word word = word_.load();
        if constexpr (counts_in_row<Trip>) {
            while (word.is(Gate::closed, generation) &&
                   word.failures + 1 < limit_.load(std::memory_order_relaxed)) {
                if (word_.replace(word, {word.failures + 1, generation, Gate::closed})) {
                    unlocked_.failures.fetch_add(1, std::memory_order_relaxed);
                    return;
                }
            }
        }
        record(true, word, generation, began, time, why);
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
        if (!word_.load().is(Gate::guarded, generation)) return;
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
        all.failures += unlocked_.failures.load(std::memory_order_relaxed);
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
        limit_.store(limit_of(trip), std::memory_order_relaxed);
        // No other thread counts on from here by the former generation. One that has not seen the
        // new limit yet may count up to the former one; `decide` opens the breaker then.
        word_.store({0, core_.generation(), gate()});
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
        std::atomic<std::uint64_t> failures{0};
        std::atomic<std::uint64_t> stale{0};
        [[no_unique_address]] std::conditional_t<counts_in_row<Trip>, SuccessCount, NotInRow>
            successes{};
    };

    static constexpr bool needs_no_time =
        !counts_in_row<Trip> && !RecordsTimedCalls<Trip> && !RecordsAtInstants<Trip>;

    // Returns the wait of an opening by these rules, without a known failure.
    [[nodiscard]] static Duration nominal_wait(OpenWait rules, std::uint32_t openings) noexcept {
        Random bits{Seed{0}};
        if constexpr (Grows<OpenWait>) rules.reset();
        Duration wait;
        do {
            wait = detail::next_wait(rules, bits, Failure{}, CallCounts{1, 1});
        } while (Grows<OpenWait> && openings-- > 1);
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
    [[nodiscard]] static constexpr std::uint32_t limit_of(const Trip& trip) noexcept {
        if constexpr (counts_in_row<Trip>) {
            return trip.limit();
        } else {
            static_cast<void>(trip);
            return 0;
        }
    }

    [[nodiscard, gnu::noinline]] Advice admit_guarded(Instant now) const noexcept {
        const detail::SpinLock lock{mutex_};
        return core_.admit(now);
    }
    [[nodiscard, gnu::noinline]] BreakerGrant acquire_guarded(Instant now) noexcept {
        BreakerGrant grant{true, 0, now};
        bool changed = false;
        {
            const detail::SpinLock lock{mutex_};
            const auto answer = core_.acquire(now);
            if (answer.advice.verb != Advice::Verb::go) {
                ++counters_.rejected;
                return {false, 0, answer.advice.until};
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
    [[gnu::noinline]] void clear_or_record(std::uint32_t generation, Instant began,
                                           Time time) noexcept {
        Word word = word_.load();
        if constexpr (counts_in_row<Trip>) {
            while (word.is(Gate::closed, generation)) {
                if (word.failures == 0) return unlocked_.successes.add();
                if (word_.replace(word, {0, generation, Gate::closed}))
                    return unlocked_.successes.add();
            }
        }
        record(false, word, generation, began, time, Failure{});
    }
    // Handles a verdict that may change more than a count in the word.
    template <class Time>
    [[gnu::noinline]] void record(bool failed, Word word, std::uint32_t generation, Instant began,
                                  Time time, const Failure& why) noexcept {
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
    template <class Time>
    [[nodiscard]] bool decide(bool failed, std::uint32_t generation, Instant began, Time time,
                              const Failure& why) noexcept {
        const detail::SpinLock lock{mutex_};
        if (core_.generation() != generation) {
            unlocked_.stale.fetch_add(1, std::memory_order_relaxed);
            return false;
        }
        if (failed) {
            ++counters_.failures;
            last_ = {why.cause, why.code};
        } else {
            ++counters_.successes;
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
        if constexpr (counts_in_row<Trip>) {
            // Other calls keep counting without the lock, so this one must win its place among
            // them.
            Word word = word_.load();
            while (word.is(Gate::closed, generation)) {
                const std::uint32_t failures = failed ? word.failures + 1 : 0;
                const bool opens = failures >= core_.trip().limit();
                const Word next = opens ? Word{0, generation, Gate::guarded}
                                        : Word{failures, generation, Gate::closed};
                if (!word_.replace(word, next)) continue;
                return opens && settle(core_.trip_now(turn, why), turn.now);
            }
        }
        const Duration took = RecordsTimedCalls<Trip> ? elapsed(began, turn.now) : Duration{};
        return settle(core_.verdict(failed, generation, turn, took, why), turn.now);
    }

    // Updates the word, the counters and the events after core_ has changed. Call it under the
    // lock. Returns whether there is an event to report.
    bool settle(BreakerChange change, Instant now) noexcept {
        if (change == BreakerChange::none) return false;
        word_.store({0, core_.generation(), gate()});
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
    // These three fill the space behind the mutex.
    BreakerMode mode_after_ = BreakerMode::automatic;  // when the last isolation ends
    std::uint16_t isolations_ = 0;
    std::atomic<std::uint32_t> limit_;  // that of the trip, for verdicts without the lock
    BreakerCore<Trip, OpenWait> core_;
    BreakerCounters counters_{};
    Duration open_wait_{};
    Last last_{};  // the last failure since the last change; protected by the lock
    Unlocked unlocked_;
    [[no_unique_address]] BreakerEvents<Breaker, Observer> events_;
};

}}}  // namespace belay::detail
