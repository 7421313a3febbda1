// SPDX-License-Identifier: MIT
// expect-error: SleeperLike: S::sleep_until must be noexcept
#include <belay/call/retry.hpp>
#include <belay/policy/max_attempts.hpp>

struct Sleeper {
    belay::Random random{belay::Seed{1}};
    belay::Instant now() const noexcept { return {}; }
    belay::Random& bits() noexcept { return random; }
#if defined(BELAY_CONTROL)
    void sleep_until(belay::Instant, const auto&) noexcept {}
#else
    void sleep_until(belay::Instant, const auto&) {}
#endif
};

void use(Sleeper& sleeper) {
    static_cast<void>(belay::retry(belay::MaxAttempts{3}, sleeper, [] { return true; }));
}
