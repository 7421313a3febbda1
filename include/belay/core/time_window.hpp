// SPDX-License-Identifier: MIT
/// \file belay/core/time_window.hpp
/// TimeWindow: counts the calls of the last seconds, for as long as you choose.
#pragma once

#include <cstddef>  // std::size_t
#include <cstdint>  // std::uint32_t, std::uint64_t

#include <belay/core/call_counts.hpp>
#include <belay/core/detail/arguments.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Counts the calls of the last `length`, in buckets that roll: `TimeWindow{30s}`.
///
/// Calls leave one bucket at a time. So the window covers at least `length`, and at most one bucket
/// (a tenth, rounded up) more. Failures on both sides of any instant are therefore seen together. A
/// bucket that is full (2^32 - 1 calls) counts no more.
///
/// Callers may be late, because they read their clocks before they call. A call from before the
/// newest bucket, even from long before, counts in that bucket. So a caller with an old instant
/// loses no counts early. Nor are counts lost after a clock that went back, which steady clocks do
/// not do. The window then stands still until the clock has caught up.
///
/// Thread safety: a plain value.
/// Complexity:    O(1) while calls keep coming; at most O(Buckets) after a gap of any length.
template <std::size_t Buckets = 10>
class TimeWindow {
    static_assert(Buckets >= 1 && Buckets <= 1000,
                  "TimeWindow: the number of buckets must be in [1, 1000]");

public:
    /// Pre: length > 0ns.
    constexpr explicit TimeWindow(detail::AnyUnit length) noexcept : width_{width_of(length)} {
        BELAY_OPTION(width_.count() > 0, "TimeWindow: the length must be > 0ns");
    }

    /// Counts one more call.
    constexpr void add(bool bad, Instant now) noexcept {
        roll(now);
        Bucket& bucket = ring_[newest_];
        if (bucket.calls == most) return;
        ++bucket.calls;
        ++seen_.calls;
        if (!bad) return;
        ++bucket.bad;
        ++seen_.bad;
    }
    /// Forgets the calls that are too old at `now`.
    constexpr void roll(Instant now) noexcept {
        if (now > last_) begin_bucket(now);
    }
    /// Forgets all calls.
    constexpr void reset() noexcept {
        for (Bucket& bucket : ring_) bucket = {};
        seen_ = {};
    }

    /// Returns the counts as of the last call or roll.
    [[nodiscard]] constexpr CallCounts counts() const noexcept { return seen_; }
    /// Returns how many calls the window can hold.
    [[nodiscard]] constexpr std::uint64_t capacity() const noexcept { return most * slots; }

private:
    struct Bucket {
        std::uint32_t calls = 0;
        std::uint32_t bad = 0;
    };
    // Not inlined: callers need it seldom, and it divides.
    [[gnu::noinline]] constexpr void begin_bucket(Instant now) noexcept {
        if (seen_.calls == 0) {
            begin_at(now);
            return;
        }
        const Duration age = elapsed(before(last_, width_ - Duration{1}), now);
        const Duration::rep steps = age / width_;
        for (std::size_t i = 0; i < slots && static_cast<Duration::rep>(i) < steps; ++i) {
            newest_ = newest_ + 1 == slots ? 0 : newest_ + 1;
            seen_.calls -= ring_[newest_].calls;
            seen_.bad -= ring_[newest_].bad;
            ring_[newest_] = {};
        }
        begin_at(before(now, age % width_));
    }
    constexpr void begin_at(Instant first) noexcept { last_ = after(first, width_ - Duration{1}); }
    // Rounded up without overflow, so that a window is never shorter than requested.
    [[nodiscard]] static constexpr Duration width_of(Duration length) noexcept {
        return length / buckets + Duration{length % buckets > Duration::zero() ? 1 : 0};
    }
    static constexpr auto buckets = static_cast<Duration::rep>(Buckets);
    // There is one bucket more than the length needs, because the newest one has only begun.
    static constexpr std::size_t slots = Buckets + 1;
    static constexpr std::uint32_t most = ~std::uint32_t{0};

    Duration width_;
    /// The last instant of the newest bucket.
    Instant last_ = always;
    CallCounts seen_{};
    Bucket ring_[slots]{};
    std::size_t newest_ = 0;
};

template <class Rep, class Period>
TimeWindow(std::chrono::duration<Rep, Period>) -> TimeWindow<>;

}}  // namespace belay
