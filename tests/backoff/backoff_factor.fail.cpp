// SPDX-License-Identifier: MIT
// expect-error: (constant expression|constant initializer|assertion_failed)
#include <belay/backoff/backoff.hpp>

#if defined(BELAY_CONTROL)
constexpr double factor = 1;
#else
constexpr double factor = 0.999;
#endif

constexpr belay::Backoff backoff{belay::FullJitter{}, belay::Cap{belay::forever},
                                 belay::Exponential{belay::Duration{1}, factor}};
