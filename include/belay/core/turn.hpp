// SPDX-License-Identifier: MIT
/// \file belay/core/turn.hpp
/// Turn: the time and the chance that are given to everything that decides.
#pragma once

#include <belay/core/instant.hpp>
#include <belay/core/random.hpp>

namespace belay { inline namespace BELAY_ABI {

/// One step of a driver: what time it is, and where random bits come from.
///
/// Nothing in belay reads a clock or seeds a generator in secret; it is given a Turn. That is why a
/// simulated hour takes milliseconds, and why the same seed gives the same history.
struct Turn {
    Instant now;
    Random& bits;
};

}}  // namespace belay
