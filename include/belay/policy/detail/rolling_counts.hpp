// SPDX-License-Identifier: MIT
/// \file belay/policy/detail/rolling_counts.hpp
/// RollingCounts: how often two things happened within the last so many seconds.
#pragma once

#include <cstddef>  // std::size_t
#include <cstdint>  // std::uint32_t, std::uint64_t

#include <belay/core/instant.hpp>

namespace belay::inline BELAY_ABI::detail {

/// Two counts over a rolling window of ten slots: what is counted is remembered for more than nine
/// tenths of the window, and for no longer than the window. There is no edge at which everything is
/// forgotten at once.
///
/// A clock that stands still or goes back a little counts into the current slot; one that goes back
/// by more than the window starts afresh.
///
/// Thread safety: a plain value.   Complexity: O(1), however long the gap.
class RollingCounts {
public:
    static constexpr Duration::rep slots = 10;

    /// Pre: window >= 10ns.
    constexpr explicit RollingCounts(Duration window) noexcept
        : width_{window / slots + Duration{window / slots == Duration::zero() ? 1 : 0}} {}

    constexpr void add_first(Instant now) noexcept {
        roll(now);
        add(first_, slot_[current_].first);
    }
    constexpr void add_second(Instant now) noexcept {
        roll(now);
        add(second_, slot_[current_].second);
    }
    /// The counts as of the last roll or add.
    [[nodiscard]] constexpr std::uint64_t first() const noexcept { return first_; }
    [[nodiscard]] constexpr std::uint64_t second() const noexcept { return second_; }

    /// Forgets what the window has left behind.
    constexpr void roll(Instant now) noexcept {
        const bool unused = start_ == always && first_ + second_ == 0;
        if (unused || elapsed(now, start_) / slots > width_) {
            *this = RollingCounts{width_, now};
            return;
        }
        const Duration age = elapsed(start_, now);
        const Duration::rep steps = age / width_;
        for (Duration::rep i = 0; i < steps && i < slots; ++i) {
            current_ = (current_ + 1) % static_cast<std::size_t>(slots);
            first_ -= slot_[current_].first;
            second_ -= slot_[current_].second;
            slot_[current_] = Slot{};
        }
        if (steps != 0) start_ = now - age % width_;
    }

private:
    struct Slot {
        std::uint32_t first = 0;
        std::uint32_t second = 0;
    };

    constexpr RollingCounts(Duration width, Instant start) noexcept
        : width_{width}, start_{start} {}

    static constexpr void add(std::uint64_t& sum, std::uint32_t& count) noexcept {
        if (count == ~std::uint32_t{0}) return;
        ++sum;
        ++count;
    }

    Duration width_;
    Instant start_ = always;  // of the current slot
    std::uint64_t first_ = 0;
    std::uint64_t second_ = 0;
    std::size_t current_ = 0;
    Slot slot_[slots]{};
};

}  // namespace belay::inline BELAY_ABI::detail
