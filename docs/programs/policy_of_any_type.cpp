// SPDX-License-Identifier: MIT
#include <cstdio>
#include <optional>

#include <belay/backoff/jitters.hpp>
#include <belay/belay.hpp>
#include <belay/drive.hpp>
#include <belay/policy/any_policy.hpp>
using namespace belay;
using namespace std::chrono_literals;

struct Config {
    bool retries = true;
    bool spreads = true;
    std::optional<Duration> longest{};
};

TokenBudget budget{TokenBudgetOptions::grpc(10, 100)};  // one for all calls of a server

// excerpt: begin
policies::AnyPolicy policy_of(const Config& config) {
    if (!config.retries) return policies::AnyPolicy{MaxAttempts{1}};
    policies::AnyJitter jitter = NoJitter{};
    if (config.spreads) jitter = FullJitter{};
    std::optional<MaxElapsed> limit;
    if (config.longest) limit.emplace(*config.longest);
    return policies::AnyPolicy{Policy{Backoff{jitter, Cap{10s}, 10ms}, limit, Shared{budget}, MaxAttempts{5}}};
}
// excerpt: end

int main() {
    for (const bool retries : {false, true}) {
        int calls = 0;
        const auto done = retry(policy_of({.retries = retries}), [&](const Attempt&) { return ++calls == 3; });
        std::printf("%s after %d calls\n", done ? "success" : "failure", calls);
    }
}
