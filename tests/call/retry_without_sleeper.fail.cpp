// SPDX-License-Identifier: MIT
// expect-error: retry: include <belay/drive.hpp> for retry.policy, fn., or pass a sleeper
#include <belay/call/retry.hpp>
#include <belay/policy/rules.hpp>
#if defined(BELAY_CONTROL)
#    include <belay/drive/thread_sleeper.hpp>
#endif

int main() {
    const belay::Result<void> result = belay::retry(belay::MaxAttempts{3}, [] { return true; });
    return result ? 0 : 1;
}
