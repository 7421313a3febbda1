// SPDX-License-Identifier: MIT
// expect-error: retry: include <belay/drive.hpp> for retry.policy, fn., or pass a sleeper
#include <belay/call/call_text.hpp>
#include <belay/call/retry.hpp>
#include <belay/policy/rules.hpp>
#if defined(BELAY_CONTROL)
#    include <belay/drive/thread_sleeper.hpp>
#endif

int main() {
    belay::RetryCounters counters;
    const auto fn = [](const belay::Attempt& attempt) { return attempt.number > 1; };
    const belay::Result<void> result =
        belay::retry(belay::MaxAttempts{3}, fn, belay::NeverStops{}, counters);
    return result ? 0 : 1;
}
