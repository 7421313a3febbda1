// SPDX-License-Identifier: MIT
// expect-error: GrowthLike: G must be noexcept
#include <belay/backoff/backoff.hpp>

#if defined(BELAY_CONTROL)
constexpr auto growth = [](std::uint64_t) noexcept { return belay::Duration{1}; };
#else
constexpr auto growth = [](std::uint64_t) { return belay::Duration{1}; };
#endif

belay::Backoff backoff{belay::FullJitter{}, belay::Cap{belay::forever}, growth};
