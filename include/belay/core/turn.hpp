// SPDX-License-Identifier: MIT
/// \file belay/core/turn.hpp
/// Turn: the time and the randomness that are given to everything that decides.
#pragma once

#include <belay/core/instant.hpp>
#include <belay/core/random.hpp>

namespace belay { inline namespace BELAY_ABI {

/// The time and the source of random bits for one step of a driver.
///
/// Nothing in belay reads a clock or seeds a generator in secret; it is given a Turn. That is why a
/// simulated hour takes milliseconds, and why the same seed gives the same history.
struct Turn {
    Instant now;
    Random& bits;
};

}}  // namespace belay
