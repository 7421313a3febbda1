// SPDX-License-Identifier: MIT
/// \file belay/sim/clock.hpp
/// sim::Clock and sim::WallClock: the clocks of a simulated world, for parts that need one.
#pragma once

#include <belay/core/clocks.hpp>
#include <belay/sim/detail/clock_settings.hpp>
#include <belay/sim/detail/engine.hpp>

namespace belay { inline namespace BELAY_ABI { namespace sim {

/// A clock that refers to the time of a world, which must outlive it. Copies refer to the same
/// world. That of a host drifts with its steady clock (Host::drift_clock).
///
/// Models:        ClockLike.
/// Thread safety: the world's thread.
class Clock {
public:
    /// `setting` is that of a host; null: the time of the world.
    explicit Clock(const detail::Engine& engine,
                   const detail::SteadySetting* setting = nullptr) noexcept
        : engine_{&engine}, setting_{setting} {}
    [[nodiscard]] Instant now() const noexcept {
        return setting_ == nullptr ? engine_->now() : setting_->at(engine_->now());
    }

private:
    const detail::Engine* engine_;
    const detail::SteadySetting* setting_;
};

/// The wall clock of a host, which may be wrong (Host::set_wall_clock). Copies refer to the same
/// host, which must outlive them.
///
/// If it is right, it shows 2000-01-01T00:00:00Z at the start of the world, or the time of
/// Scenario::start_clocks.
///
/// Models:        WallClockLike.
/// Thread safety: the world's thread.
class WallClock {
public:
    WallClock(const detail::Engine& engine, const detail::WallSetting& setting) noexcept
        : engine_{&engine}, setting_{&setting} {}
    [[nodiscard]] WallTime now() const noexcept {
        const WallTime usual = setting_->at(engine_->now());
        if (!engine_->clock_start) return usual;
        return usual + (engine_->clock_start->wall - detail::world_start.time_since_epoch());
    }

private:
    const detail::Engine* engine_;
    const detail::WallSetting* setting_;
};

}}}  // namespace belay::sim
