// SPDX-License-Identifier: MIT
/// \file belay/breaker/breaker_event.hpp
/// BreakerEvent and BreakerCounters: what a CircuitBreaker reports to its observer, and what it
/// counts.
#pragma once

#include <concepts>  // std::derived_from
#include <cstddef>   // std::size_t
#include <cstdint>   // std::int32_t, std::uint64_t
#include <utility>   // std::move

#include <belay/breaker/breaker_state.hpp>
#include <belay/core/cause.hpp>
#include <belay/core/detail/spin_mutex.hpp>
#include <belay/core/observer.hpp>

namespace belay { inline namespace BELAY_ABI {

/// One change of a CircuitBreaker.
struct BreakerEvent {
    /// The kinds of changes: none, opened, half_opened, reopened, closed, probe_lost, would_open
    /// and mode_set. `to_string` returns the name of one.
    using Change = detail::BreakerChange;
    Change change = Change::none;
    /// The state and the mode after the change.
    BreakerState state = BreakerState::closed;
    BreakerMode mode = BreakerMode::automatic;
    /// The last failure before it was `opened`, `reopened`, or would have opened: its cause and its
    /// code. They are `none` and 0 for other changes, and if the failure was reported without its
    /// reason.
    Cause cause = Cause::none;
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

}  // namespace detail

}}  // namespace belay
