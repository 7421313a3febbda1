// SPDX-License-Identifier: MIT
// expect-error: Pipeline: a Fallback inside a Retrying or Hedge hides the failures from it
#include <belay/call/fallback.hpp>
#include <belay/call/pipeline.hpp>
#include <belay/call/retrying.hpp>
#include <belay/policy/max_attempts.hpp>

using namespace belay;

constexpr auto answer = [] { return 1; };
#if defined(BELAY_CONTROL)
Pipeline pipeline{Fallback{answer}, Retrying{MaxAttempts{3}}};
#else
Pipeline pipeline{Retrying{MaxAttempts{3}}, Fallback{answer}};
#endif
