// SPDX-License-Identifier: MIT
/// \file belay/backoff/equal_jitter.hpp
/// EqualJitter: half of the wait is fixed, the other half is spread.
#pragma once

#include <belay/backoff/jitter_like.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Draws each wait uniformly from [nominal / 2, nominal].
///
/// Models:        JitterLike, std::regular.
/// Thread safety: distinct objects safe; a shared one safe (no state).
/// Source:        M. Brooker, "Exponential Backoff And Jitter" (2015), variant "Equal Jitter".
struct EqualJitter {
    /// Errors: none.   Complexity: O(1).
    [[nodiscard]] constexpr part::WaitRange range(const part::NominalWait& nominal) const noexcept {
        return {nominal.wait - nominal.wait / 2, nominal.wait};
    }

    friend constexpr bool operator==(EqualJitter, EqualJitter) noexcept = default;
};

}}  // namespace belay
