// SPDX-License-Identifier: MIT
// expect-error: (constant expression|constant initializer|assertion_failed)
#include <belay/backoff/backoff.hpp>
#include <belay/backoff/proportional_jitter.hpp>

#if defined(BELAY_CONTROL)
constexpr std::uint32_t percent = 100;
#else
constexpr std::uint32_t percent = 101;
#endif

constexpr belay::Backoff backoff{belay::ProportionalJitter::plus_percent(percent),
                                 belay::Cap{belay::forever}, belay::Duration{1}};
