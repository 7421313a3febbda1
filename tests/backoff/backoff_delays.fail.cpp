// SPDX-License-Identifier: MIT
// expect-error: (constant expression|constant initializer|assertion_failed)
#include <belay/backoff/backoff.hpp>
#include <belay/backoff/delays.hpp>

#if defined(BELAY_CONTROL)
constexpr belay::Duration last{1};
#else
constexpr belay::Duration last{0};
#endif

constexpr belay::Backoff backoff{belay::FullJitter{}, belay::Cap{belay::forever},
                                 belay::Delays{belay::Duration{1}, last}};
