// SPDX-License-Identifier: MIT
// expect-error: (constant expression|constant initializer|assertion_failed)
#include <belay/breaker/count_window.hpp>
#include <belay/breaker/failure_rate.hpp>

#if defined(BELAY_CONTROL)
constexpr unsigned min_calls = 20;
#else
constexpr unsigned min_calls = 21;
#endif

// A window of 20 calls never holds 21: this would never trip.
constexpr belay::FailureRate trip{belay::CountWindow<20>{}, {.min_calls = min_calls}};
