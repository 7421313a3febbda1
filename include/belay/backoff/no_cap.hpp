// SPDX-License-Identifier: MIT
/// \file belay/backoff/no_cap.hpp
/// NoCap: waits grow without a limit.
#pragma once

#include <belay/backoff/cap_like.hpp>

namespace belay { inline namespace BELAY_ABI {

/// A cap without a limit; a wait that does not fit is `forever`.
///
/// Use it for growths that end by themselves (Constant, Delays), or under a rule that stops in
/// time.
///
/// Models:        CapLike, std::regular.
/// Thread safety: a plain value.
struct NoCap {
    /// Returns `wait` unchanged.   Errors: none.   Complexity: O(1).
    [[nodiscard]] constexpr Duration limit(Duration wait) const noexcept { return wait; }

    friend constexpr bool operator==(NoCap, NoCap) noexcept = default;
};

}}  // namespace belay
