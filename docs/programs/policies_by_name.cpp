// SPDX-License-Identifier: MIT
#include <cstdio>

#include <belay/belay.hpp>
#include <belay/drive.hpp>
#include <belay/policy/registry.hpp>
using namespace belay;
using namespace std::chrono_literals;

int main() {
    TokenBudget budget{TokenBudgetOptions::grpc(10, 100)};  // one for all calls of a server
    // excerpt: begin
    policies::Registry<> registry;
    if (registry.set("payments", Policy{Backoff{FullJitter{}, Cap{10s}, 10ms}, Shared{budget}, MaxAttempts{5}})) return 1;
    // excerpt: end

    int calls = 0;
    const auto call = [&](const Attempt&) {
        if (++calls == 1 && registry.set("payments", MaxAttempts{1})) return true;  // an operator forbids retries
        return false;
    };
    for (const char* run : {"first", "second"}) {
        calls = 0;
        // excerpt: begin
        const auto policy = registry.find("payments");
        if (!policy || retry(*policy, call)) return 1;
        // excerpt: end
        std::printf("%s run: %d calls\n", run, calls);
    }
}
