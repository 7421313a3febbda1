// SPDX-License-Identifier: MIT
/// \file belay/backoff/constant.hpp
/// Constant: waits that do not grow.
#pragma once

#include <cstdint>  // std::uint64_t

#include <belay/backoff/growth_like.hpp>
#include <belay/core/detail/any_unit.hpp>

namespace belay { inline namespace BELAY_ABI {

/// A growth in which all waits are equal: base, base, base, ...
///
/// Models:        GrowthLike.
/// Thread safety: a plain value.
class Constant {
public:
    /// Sets the wait.
    ///
    /// Pre: base > 0ns, and at most 292 years, in any unit; the Backoff checks it.
    constexpr explicit Constant(detail::AnyUnit base) noexcept : base_{base} {}

    /// Errors: none.   Complexity: O(1).
    [[nodiscard]] constexpr Duration operator()(std::uint64_t) const noexcept { return base_; }
    [[nodiscard]] constexpr BackoffErrc check() const noexcept {
        return base_.count() > 0 ? BackoffErrc{} : BackoffErrc::bad_base;
    }

    friend constexpr bool operator==(Constant, Constant) noexcept = default;

private:
    Duration base_;
};

}}  // namespace belay
