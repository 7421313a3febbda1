// SPDX-License-Identifier: MIT
/// \file belay/backoff/cap.hpp
/// Cap: no wait is longer, including jitter.
#pragma once

#include <concepts>  // std::integral

#include <belay/backoff/cap_like.hpp>
#include <belay/core/detail/any_unit.hpp>

namespace belay { inline namespace BELAY_ABI {

/// A hard limit on waits, below which the jitter chooses. No wait is above it, and no waits pile up
/// on it.
///
/// Models:        CapLike, std::copyable.
/// Thread safety: a plain value.
class Cap {
public:
    /// Sets the longest wait.
    ///
    /// Pre: most > 0ns, and at most 292 years, in any unit; not below the first wait. The Backoff
    ///      checks it.
    constexpr explicit Cap(detail::AnyUnit most) noexcept : most_{most} {}
    /// Does not compile, because a number has no unit.
    template <std::integral Number>
    constexpr explicit Cap(Number) noexcept : most_{} {
        static_assert(!std::integral<Number>, "Cap: write the unit of the limit: Cap{30s}");
    }

    /// Returns the smaller of `wait` and the cap.   Errors: none.   Complexity: O(1).
    [[nodiscard]] constexpr Duration limit(Duration wait) const noexcept {
        return wait < most_ ? wait : most_;
    }

    friend constexpr bool operator==(Cap, Cap) noexcept = default;

private:
    Duration most_;
};

}}  // namespace belay
