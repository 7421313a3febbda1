// SPDX-License-Identifier: MIT
/// \file belay/sim/detail/clock_settings.hpp
/// WallSetting: how the wall clock of a simulated host is set.
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

[[nodiscard]] constexpr bool is_wall_setting(Duration wrong_by, std::int32_t drift_ppm) noexcept {
    return -clock_wrong_by_max <= wrong_by && wrong_by <= clock_wrong_by_max &&
           -drift_ppm_max < drift_ppm && drift_ppm <= drift_ppm_max;
}

/// When and how a wall clock was set, and how it goes since then.
struct WallSetting {
    Instant set_at{};
    Duration wrong_by{};
    std::int32_t drift_ppm = 0;

    /// Returns what the clock shows. It stops after 50 years, so that no sum overflows.
    [[nodiscard]] constexpr WallTime at(Instant now) const noexcept {
        constexpr Duration longest = std::chrono::hours{50 * 365 * 24};
        const Duration since = std::min(elapsed(set_at, now), longest);
        // So that no product overflows: whole units of a million, and the rest.
        constexpr std::int64_t million = 1'000'000;
        const std::int64_t drift =
            since.count() / million * drift_ppm + since.count() % million * drift_ppm / million;
        return world_start + std::min(now.time_since_epoch(), longest) + wrong_by + Duration{drift};
    }
};

}}}  // namespace belay::sim::detail
