// SPDX-License-Identifier: MIT
// expect-error: Pipeline: a Retrying inside a Retrying multiplies their attempts
#include <belay/call/pipeline.hpp>
#include <belay/call/retrying.hpp>
#include <belay/call/timeout.hpp>
#include <belay/policy/max_attempts.hpp>

using namespace belay;

#if defined(BELAY_CONTROL)
Pipeline pipeline{Retrying{MaxAttempts{3}}, Timeout{std::chrono::seconds{1}}};
#else
Pipeline pipeline{Retrying{MaxAttempts{3}}, Timeout{std::chrono::seconds{1}},
                  Retrying{MaxAttempts{3}}};
#endif
