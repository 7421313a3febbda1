// SPDX-License-Identifier: MIT
// expect-error: say with fails_if, or by specialising belay::AnswerTraits
#include <belay/call/retry.hpp>
#include <belay/policy/max_attempts.hpp>

#include "support/archetypes.hpp"

// As libcurl's: 0 is success, and any number could be.
enum Code { ok, couldnt_connect };
#if defined(BELAY_CONTROL)
template <>
struct belay::AnswerTraits<Code> {
    static bool failed(const Code& code) { return code != ok; }
};
#endif

void use(belay_test::MinimalSleeper& sleeper) {
    static_cast<void>(belay::retry(belay::MaxAttempts{3}, sleeper, [] { return couldnt_connect; }));
}
