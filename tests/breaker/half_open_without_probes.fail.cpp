// SPDX-License-Identifier: MIT
// expect-error: (constant expression|constant initializer|assertion_failed)
#include <belay/breaker/breaker.hpp>

#if defined(BELAY_CONTROL)
constexpr unsigned char probes = 1;
#else
constexpr unsigned char probes = 0;
#endif

constexpr belay::Breaker breaker{belay::ConsecutiveFailures{5}, belay::OpenFor{belay::Duration{1}},
                                 belay::HalfOpenOptions{.probes = probes}};
