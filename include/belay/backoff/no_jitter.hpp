// SPDX-License-Identifier: MIT
/// \file belay/backoff/no_jitter.hpp
/// NoJitter: exact waits, for tests and for a client that is alone.
#pragma once

#include <cstdint>  // std::uint64_t

#include <belay/backoff/jitter_like.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Waits exactly the nominal wait. A fleet of such clients returns in step, so prefer any other
/// jitter.
///
/// Models:        JitterLike, std::regular.
/// Thread safety: distinct objects safe; a shared one safe (no state).
struct NoJitter {
    /// Errors: none.   Complexity: O(1).
    [[nodiscard]] constexpr part::WaitRange range(const part::NominalWait& nominal) const noexcept {
        return {nominal.wait, nominal.wait};
    }
    /// Returns the wait without a draw.   Errors: none.   Complexity: O(1).
    [[nodiscard]] constexpr Duration delay(part::WaitRange range, std::uint64_t,
                                           Random&) const noexcept {
        return range.most;
    }

    friend constexpr bool operator==(NoJitter, NoJitter) noexcept = default;
};

}}  // namespace belay
