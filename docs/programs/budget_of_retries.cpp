// SPDX-License-Identifier: MIT
#include <cstdio>

#include <belay/belay.hpp>
#include <belay/drive.hpp>
using namespace belay;
using namespace std::chrono_literals;

int main() {
    // excerpt: begin
    TokenBudget budget{TokenBudgetOptions::grpc(10, 100)};  // one, for all layers and threads
    const Policy policy{Backoff{FullJitter{}, Cap{2ms}, 1ms}, Shared{budget}, MaxAttempts{4}};

    int calls = 0;
    const auto down = [&] { return ++calls, false; };
    for (int i = 0; i < 100; ++i) static_cast<void>(retry(policy, down));
    // excerpt: end
    std::printf("100 requests of a server that is down: %d calls, not 400\n", calls);
}
