// SPDX-License-Identifier: MIT
/// \file belay/sim/detail/clock_settings.hpp
/// WallSetting and SteadySetting: how the clocks of a simulated host are set.
#pragma once

#include <algorithm>  // std::min
#include <chrono>     // std::chrono::hours
#include <cstdint>    // std::int32_t

#include <belay/core/instant.hpp>

namespace belay { inline namespace BELAY_ABI { namespace sim::detail {

/// A right wall clock at the start of a world: 2000-01-01T00:00:00Z.
inline constexpr WallTime world_start{std::chrono::seconds{946'684'800}};
/// How wrong a wall clock may be set: 30 years of 365 days.
inline constexpr Duration clock_wrong_by_max = std::chrono::hours{30 * 365 * 24};
/// A wall clock may run twice as fast as time, and must not stand still.
inline constexpr std::int32_t drift_ppm_max = 1'000'000;
/// A steady clock may be a tenth too fast or too slow.
inline constexpr std::int32_t steady_drift_ppm_max = 100'000;
/// Drifting clocks stop after 50 years, so that no sum overflows.
inline constexpr Duration drifts_for_max = std::chrono::hours{50 * 365 * 24};

[[nodiscard]] constexpr bool is_wall_setting(Duration wrong_by, std::int32_t drift_ppm) noexcept {
    return -clock_wrong_by_max <= wrong_by && wrong_by <= clock_wrong_by_max &&
           -drift_ppm_max < drift_ppm && drift_ppm <= drift_ppm_max;
}
[[nodiscard]] constexpr bool is_steady_drift(std::int32_t drift_ppm) noexcept {
    return -steady_drift_ppm_max <= drift_ppm && drift_ppm <= steady_drift_ppm_max;
}

/// Returns what a clock gains in a time of at most `drifts_for_max`.
[[nodiscard]] constexpr Duration drift_in(Duration time, std::int32_t ppm) noexcept {
    // So that no product overflows: whole units of a million, and the rest.
    constexpr std::int64_t million = 1'000'000;
    return Duration{time.count() / million * ppm + time.count() % million * ppm / million};
}

/// When and how a wall clock was set, and how it goes since then.
struct WallSetting {
    Instant set_at{};
    Duration wrong_by{};
    std::int32_t drift_ppm = 0;

    /// Returns what the clock shows.
    [[nodiscard]] constexpr WallTime at(Instant now) const noexcept {
        const Duration since = std::min(elapsed(set_at, now), drifts_for_max);
        return world_start + std::min(now.time_since_epoch(), drifts_for_max) + wrong_by +
               drift_in(since, drift_ppm);
    }
};

/// How a steady clock goes since a time of the world. It never jumps.
struct SteadySetting {
    Instant set_at{};
    Instant shown{};  // what it showed then
    std::int32_t drift_ppm = 0;
    bool is_right = true;  // it has never drifted

    /// Returns what the clock shows at a time of the world.
    [[nodiscard]] constexpr Instant at(Instant now) const noexcept {
        return is_right ? now : shown_at(now);
    }
    /// Returns the time of the world at which the clock will show `time`, and not less.
    [[nodiscard]] constexpr Instant when(Instant time) const noexcept {
        return is_right ? time : shown_when(time);
    }
    void drift(Instant now, std::int32_t ppm) noexcept { *this = {now, at(now), ppm, false}; }

private:
    // Not inlined: a world whose clocks are right would pay for it.
    [[nodiscard, gnu::cold, gnu::noinline]] constexpr Instant shown_at(Instant now) const noexcept {
        const Duration since = elapsed(set_at, now);
        if (drift_ppm == 0) return after(shown, since);
        const Duration drifts = std::min(since, drifts_for_max);
        return after(shown, drifts + drift_in(drifts, drift_ppm));
    }
    [[nodiscard, gnu::cold, gnu::noinline]] constexpr Instant shown_when(
        Instant time) const noexcept {
        const Duration left = elapsed(shown, time);
        if (time == never) return never;
        if (drift_ppm == 0) return after(set_at, left);
        if (left >= drifts_for_max / 2) return never;
        // The inverse of drift_in(), which rounds towards zero.
        constexpr std::int64_t million = 1'000'000;
        const std::int64_t rate = million + drift_ppm;
        Duration since{left.count() / rate * million + left.count() % rate * million / rate};
        while (since + drift_in(since, drift_ppm) < left) ++since;
        return after(set_at, since);
    }
};

}}}  // namespace belay::sim::detail
