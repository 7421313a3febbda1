// SPDX-License-Identifier: MIT
/// \file belay/backoff/cap.hpp
/// Cap: no wait is longer, jitter included.
#pragma once

#include <belay/backoff/cap_like.hpp>
#include <belay/backoff/detail/any_unit.hpp>

namespace belay { inline namespace BELAY_ABI {

/// A hard cap: the jitter chooses below it, so that no wait is above it and none piles up on it.
///
/// Models:        CapLike, std::copyable.
/// Thread safety: a plain value.
class Cap {
public:
    /// Pre: most > 0ns, and at most 292 years, in any unit; not below the first wait. The Backoff
    /// checks it.
    constexpr explicit Cap(detail::AnyUnit most) noexcept : most_{most} {}

    /// The smaller of `wait` and the cap.   Errors: none.   Complexity: O(1).
    [[nodiscard]] constexpr Duration limit(Duration wait) const noexcept {
        return wait < most_ ? wait : most_;
    }

    friend constexpr bool operator==(Cap, Cap) noexcept = default;

private:
    Duration most_;
};

}}  // namespace belay
