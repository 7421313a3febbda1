// SPDX-License-Identifier: MIT
/// \file belay/core/clocks.hpp
/// SteadyClock and SystemClock, the machine's own clocks, and ManualClock, for tests.
#pragma once

#include <atomic>    // std::atomic
#include <concepts>  // std::convertible_to

#include <belay/core/clock_like.hpp>
#include <belay/core/instant.hpp>

namespace belay { inline namespace BELAY_ABI {

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
