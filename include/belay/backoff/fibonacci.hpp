// SPDX-License-Identifier: MIT
/// \file belay/backoff/fibonacci.hpp
/// Fibonacci: each wait is the sum of the two previous waits.
#pragma once

#include <cstdint>  // std::uint64_t

#include <belay/backoff/growth_like.hpp>
#include <belay/core/detail/any_unit.hpp>

namespace belay { inline namespace BELAY_ABI {

/// A growth along the Fibonacci numbers: base * 1, 1, 2, 3, 5, 8, ...
///
/// A wait that does not fit is `forever`. It grows more slowly than doubling: the factor from wait
/// to wait approaches 1.618.
///
/// Models:        GrowthLike.
/// Thread safety: a plain value.
class Fibonacci {
public:
    /// Sets the base.
    ///
    /// Pre: base > 0ns, and at most 292 years, in any unit; the Backoff checks it.
    constexpr explicit Fibonacci(detail::AnyUnit base) noexcept : base_{base} {}

    /// Errors: none; saturates.   Complexity: O(min(failures, 91)) additions.
    [[nodiscard]] constexpr Duration operator()(std::uint64_t failures) const noexcept {
        // The 93rd number is the first that no Duration of any base can hold.
        if (failures >= 92) return forever;
        std::uint64_t now = 1;
        std::uint64_t before = 0;
        for (; failures != 0; --failures) {
            const std::uint64_t next = now + before;
            before = now;
            now = next;
        }
        return part::saturating_multiply(base_, now);
    }
    [[nodiscard]] constexpr BackoffErrc check() const noexcept {
        return base_.count() > 0 ? BackoffErrc{} : BackoffErrc::bad_base;
    }

    friend constexpr bool operator==(Fibonacci, Fibonacci) noexcept = default;

private:
    Duration base_;
};

}}  // namespace belay
