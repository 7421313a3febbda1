// SPDX-License-Identifier: MIT
/// \file belay/core/detail/time_left.hpp
/// time_left: identifies a timer in a digest.
#pragma once

#include <belay/core/instant.hpp>

namespace belay { inline namespace BELAY_ABI { namespace part {

/// Returns what is left until `t`: 0ns if it is past, and -1ns if it is `never`. It identifies a
/// timer in a digest (sim::exhaust).
///
/// Errors: none.   Complexity: O(1).
[[nodiscard]] constexpr Duration time_left(Instant now, Instant t) noexcept {
    return t == never ? Duration{-1} : elapsed(now, t);
}

}}}  // namespace belay::part
