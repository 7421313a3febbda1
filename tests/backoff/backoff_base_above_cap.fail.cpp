// SPDX-License-Identifier: MIT
// expect-error: (constant expression|constant initializer|assertion_failed)
#include <belay/backoff/backoff.hpp>

#if defined(BELAY_CONTROL)
constexpr belay::Duration base{30};
#else
constexpr belay::Duration base{31};
#endif

constexpr belay::Backoff backoff{belay::FullJitter{}, belay::Cap{belay::Duration{30}}, base};
