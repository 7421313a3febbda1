// SPDX-License-Identifier: MIT
/// \file belay/core/clocks.hpp
/// ClockLike and WallClockLike: the sources of time. SteadyClock and SystemClock, the clocks of the
/// machine, and ManualClock, for tests.
#pragma once

#include <atomic>    // std::atomic
#include <concepts>  // std::convertible_to

#include <belay/core/instant.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {
template <class C>
concept HasNow = requires(const C& clock) { clock.now(); };
template <class C>
concept NowIsInstant = requires(const C& clock) {
    { clock.now() } -> std::convertible_to<Instant>;
};
template <class C>
concept NowIsNoexcept = requires(const C& clock) {
    { clock.now() } noexcept;
};
}  // namespace detail

/// A steady clock, whose `now() const noexcept` returns an Instant.
///
/// Semantics the compiler cannot check: it does not follow the wall clock. A clock that stands
/// still, goes back or jumps does no harm, but waits are as wrong as the clock.
template <class C>
concept ClockLike = detail::HasNow<C> && detail::NowIsInstant<C> && detail::NowIsNoexcept<C>;

namespace explain {

/// Names every requirement of ClockLike that C lacks.
template <class C>
consteval bool clock_like() {
    static_assert(detail::HasNow<C>,
                  "ClockLike: C needs 'now() const', see docs/reference/core.md");
    if constexpr (detail::HasNow<C>) {
        static_assert(detail::NowIsInstant<C>, "ClockLike: C::now must return belay::Instant");
        static_assert(detail::NowIsNoexcept<C>, "ClockLike: C::now must be noexcept");
    }
    return ClockLike<C>;
}

}  // namespace explain

/// A clock for timestamps that people and other machines see.
///
/// Its `now() const noexcept` returns a WallTime.
template <class C>
concept WallClockLike = requires(const C& clock) {
    { clock.now() } noexcept -> std::convertible_to<WallTime>;
};

/// The machine's steady clock.   Models: ClockLike.   Thread safety: any thread.
struct SteadyClock {
    [[nodiscard]] Instant now() const noexcept {
        return std::chrono::time_point_cast<Duration>(std::chrono::steady_clock::now());
    }
};

/// The machine's wall clock.   Models: WallClockLike.   Thread safety: any thread.
struct SystemClock {
    [[nodiscard]] WallTime now() const noexcept {
        return std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now());
    }
};

/// A clock that stands still until you move it.
///
/// It cannot be copied or moved. Classes that hold a clock by value get a `View`, which refers to
/// it.
///
/// Models:        ClockLike (so does View).
/// Thread safety: one shared object safe.
class ManualClock {
public:
    /// A copyable reference to a ManualClock. The clock must outlive it.
    class View {
    public:
        explicit View(const ManualClock& clock) noexcept : clock_{&clock} {}
        /// Returns the time of its ManualClock.
        [[nodiscard]] Instant now() const noexcept { return clock_->now(); }

    private:
        const ManualClock* clock_;
    };

    ManualClock() noexcept : ManualClock{Instant{}} {}
    explicit ManualClock(Instant start) noexcept : ticks_{start.time_since_epoch().count()} {}
    ManualClock(const ManualClock&) = delete;
    ManualClock& operator=(const ManualClock&) = delete;

    /// Moves the clock forward and saturates.   Pre: step >= 0ns.   Errors: none.
    void advance(Duration step) noexcept { set(after(now(), step)); }

    /// Moves the clock to any instant, also back.   Errors: none.
    void set(Instant t) noexcept {
        ticks_.store(t.time_since_epoch().count(), std::memory_order_release);
    }

    [[nodiscard]] Instant now() const noexcept {
        return Instant{Duration{ticks_.load(std::memory_order_acquire)}};
    }
    /// Returns a clock that shows the time of this one.
    [[nodiscard]] View view() const noexcept { return View{*this}; }

private:
    std::atomic<Duration::rep> ticks_;
};

}}  // namespace belay
