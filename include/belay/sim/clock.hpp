// SPDX-License-Identifier: MIT
/// \file belay/sim/clock.hpp
/// sim::Clock: the time of a simulated world, for parts that need a clock.
#pragma once

#include <belay/core/clock_like.hpp>
#include <belay/sim/detail/engine.hpp>

namespace belay { inline namespace BELAY_ABI { namespace sim {

/// A clock that refers to the time of a world, which must outlive it. Copies refer to the same
/// world.
///
/// Models:        ClockLike.
/// Thread safety: the world's thread.
class Clock {
public:
    explicit Clock(const detail::Engine& engine) noexcept : engine_{&engine} {}
    [[nodiscard]] Instant now() const noexcept { return engine_->now(); }

private:
    const detail::Engine* engine_;
};

}}}  // namespace belay::sim
