// SPDX-License-Identifier: MIT
// expect-error: say with fails_if, or by specialising belay::AnswerTraits
#include <belay/call/retry.hpp>
#include <belay/policy/max_attempts.hpp>

#include "support/archetypes.hpp"

// ok() makes a good one: it says nothing of this one.
struct Status {
    static Status ok() { return {}; }
#if defined(BELAY_CONTROL)
    bool operator==(const Status&) const = default;
};
template <>
struct belay::AnswerTraits<Status> {
    static bool failed(const Status& status) { return !(status == Status::ok()); }
#endif
};

void use(belay_test::MinimalSleeper& sleeper) {
    static_cast<void>(belay::retry(belay::MaxAttempts{3}, sleeper, [] { return Status{}; }));
}
