// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cstdio>
#include <string_view>

#include <belay/belay.hpp>
#include <belay/drive.hpp>
using namespace belay;
using namespace std::chrono_literals;

// excerpt: begin
struct PauseAfterFailures {
    static constexpr std::string_view name = "PauseAfterFailures";
    int in_a_row = 5;
    int failures = 0;

    constexpr Advice failed(const Failure& failure, Turn& turn) noexcept {
        const Duration pause = ++failures % in_a_row == 0 ? 60s : 0s;
        // A server may request a longer wait.
        const Duration wait = std::max(pause, failure.retry_after);
        return wait > 0s ? Advice::wait_at_least(after(turn.now, wait)) : Advice::go();
    }
    constexpr void succeeded(Turn&) noexcept { failures = 0; }
};
// excerpt: end

int main() {
    // excerpt: begin
    const Policy policy{
        Backoff{FullJitter{}, Cap{30s}, 10ms},
        CooldownOn{Cause::overloaded, 5s, 15s},
        PauseAfterFailures{},
        MaxAttempts{10},
    };
    // excerpt: end
    int calls = 0;
    const Result<void> done = retry(policy, [&] { return ++calls == 3; });
    std::printf("%s after %d calls\n", done ? "worked" : "failed", calls);
}
