// SPDX-License-Identifier: MIT
// expect-error: AnswerTraits: needs 'static bool failed
#include <belay/call/pipeline.hpp>
#include <belay/call/timeout.hpp>

#include "support/archetypes.hpp"

struct Reply {};
template <>
struct belay::AnswerTraits<Reply> {
#if defined(BELAY_CONTROL)
    static bool failed(const Reply&) { return true; }
#else
    static bool fails(const Reply&) { return true; }
#endif
};

void use(belay_test::MinimalSleeper& sleeper) {
    const belay::Pipeline pipeline{belay::Timeout{belay::Duration{1}}};
    static_cast<void>(pipeline(sleeper, [] { return Reply{}; }));
}
