// SPDX-License-Identifier: MIT
/// \file belay/backoff/wait_range.hpp
/// part::WaitRange: the waits from which a jitter may choose, and the uniform draw from them.
#pragma once

#include <cstdint>  // std::uint64_t

#include <belay/core/instant.hpp>
#include <belay/core/random.hpp>

namespace belay { inline namespace BELAY_ABI { namespace part {

/// All waits from `least` to `most`, both included.   0ns <= least <= most.
struct WaitRange {
    Duration least;
    Duration most;

    friend constexpr bool operator==(WaitRange, WaitRange) noexcept = default;
};

/// Returns a wait drawn uniformly from the range.
///
/// Pre:        0ns <= least <= most.
/// Errors:     none.   Allocates: never.
/// Complexity: O(1); draws 64 bits, and again with probability <= (most - least) / 2^64.
[[nodiscard]] constexpr Duration uniform_wait(WaitRange range, Random& bits) noexcept {
    BELAY_PRECONDITION(range.least.count() >= 0 && range.least <= range.most,
                       "uniform_wait: the range must be 0ns <= least <= most");
    const auto count = static_cast<std::uint64_t>((range.most - range.least).count()) + 1;
    return range.least + Duration{static_cast<Duration::rep>(detail::uniform_below(bits, count))};
}

}}}  // namespace belay::part
