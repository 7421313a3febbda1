// SPDX-License-Identifier: MIT
// expect-error: (constant expression|constant initializer|assertion_failed)
#include <belay/backoff/backoff.hpp>

#if defined(BELAY_CONTROL)
constexpr belay::Duration most{1};
#else
constexpr belay::Duration most{-1};
#endif

constexpr belay::Backoff backoff{belay::FullJitter{}, belay::Cap{most}, belay::Duration{1}};
