// SPDX-License-Identifier: MIT
/// \file belay/backoff/linear.hpp
/// Linear: waits that grow by the base each time.
#pragma once

#include <cstdint>  // std::uint64_t

#include <belay/backoff/growth_like.hpp>
#include <belay/core/detail/any_unit.hpp>

namespace belay { inline namespace BELAY_ABI {

/// A growth in which each wait is the previous one plus the base.
///
/// The waits are base, 2 * base, 3 * base, ...; `forever` if it does not fit.
///
/// Models:        GrowthLike.
/// Thread safety: a plain value.
class Linear {
public:
    /// Sets the base.
    ///
    /// Pre: base > 0ns, and at most 292 years, in any unit; the Backoff checks it.
    constexpr explicit Linear(detail::AnyUnit base) noexcept : base_{base} {}

    /// Errors: none; saturates.   Complexity: O(1).
    [[nodiscard]] constexpr Duration operator()(std::uint64_t failures) const noexcept {
        const bool last = failures == ~std::uint64_t{0};
        return part::saturating_multiply(base_, last ? failures : failures + 1);
    }
    [[nodiscard]] constexpr BackoffErrc check() const noexcept {
        return base_.count() > 0 ? BackoffErrc{} : BackoffErrc::bad_base;
    }

    friend constexpr bool operator==(Linear, Linear) noexcept = default;

private:
    Duration base_;
};

}}  // namespace belay
