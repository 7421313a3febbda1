// SPDX-License-Identifier: MIT
/// \file belay/backoff/full_jitter.hpp
/// FullJitter: spreads retries over the whole interval.
#pragma once

#include <belay/backoff/jitter_like.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Draws each wait uniformly from [0, nominal]; 0ns is a legal result ("retry at once").
///
/// It is the default choice, because among all jitters it makes the fewest calls in a crowd. If a
/// minimum wait matters, add a Floor, or use EqualJitter or ProportionalJitter.
///
/// Models:        JitterLike, std::regular.
/// Thread safety: distinct objects safe; a shared one safe (no state).
/// Source:        M. Brooker, "Exponential Backoff And Jitter" (2015), variant "Full Jitter".
struct FullJitter {
    /// Errors: none.   Complexity: O(1).
    [[nodiscard]] constexpr part::WaitRange range(const part::NominalWait& nominal) const noexcept {
        return {Duration::zero(), nominal.wait};
    }

    friend constexpr bool operator==(FullJitter, FullJitter) noexcept = default;
};

}}  // namespace belay
