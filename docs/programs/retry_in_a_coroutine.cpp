// SPDX-License-Identifier: MIT
#include <cstdio>

#include <belay/belay.hpp>
#include <belay/call_coroutines.hpp>
#include <belay/drive.hpp>
using namespace belay;
using namespace std::chrono_literals;

// excerpt: begin
Task<Result<int>> fetch(Attempt attempt) {  // yours; it may await anything
    if (attempt.number < 3) co_return std::make_error_code(std::errc::timed_out);
    co_return 7;
}
// excerpt: end

int main() {
    // excerpt: begin
    Loop loop;
    LoopSleeper sleeper{loop};
    TokenBudget budget{TokenBudgetOptions::grpc(10, 100)};  // one for all calls of this server
    const Policy policy{Backoff{FullJitter{}, Cap{10s}, 10ms}, Shared{budget}, MaxAttempts{5}};
    Task<Result<int>> scene = retry(policy, sleeper, fetch);
    scene.start();
    loop.run_until([&] { return scene.done(); });
    std::printf("%d\n", scene.take().value_or(0));
    // excerpt: end
}
