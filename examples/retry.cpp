// SPDX-License-Identifier: MIT
// Retries any callable. Time is virtual here, so that an outage takes no time.
#include <cstdio>
#include <functional>
#include <optional>
#include <string>

#include <belay/call/policies.hpp>

#include "virtual_sleeper.hpp"

using namespace belay;  // in examples only
using namespace std::chrono_literals;

namespace {

/// A server that is down for three seconds.
std::optional<std::string> fetch_scene(Instant now) {
    if (now < Instant{} + 3s) return std::nullopt;
    return "a mountain hut at dawn";
}

struct Response {
    int status;
};

struct Observer {
    void on_retry(const RetryPlanned& r) const {
        std::printf("attempt %u failed, the next in %.1f s\n",
                    static_cast<unsigned>(r.attempt.number),
                    std::chrono::duration<double>(r.wait).count());
    }
};

}  // namespace

int main() {
    VirtualSleeper sleeper;
    TokenBudget budget{TokenBudgetOptions::grpc(10, 100)};  // one for all calls of this server
    const Policy policy{Backoff{FullJitter{}, Cap{10s}, 1s}, Shared{budget}, MaxAttempts{5}};
    const auto scene = retry(policy, sleeper, [&] { return fetch_scene(sleeper.now()); });
    if (!scene) return std::printf("gave up: %s\n", scene.error().message().c_str()), 1;
    std::printf("after an outage of 3 s: %s\n", scene->c_str());

    // A rule can stop the attempts at once. retry returns the last error.
    const std::error_code rejected = retry(Policy{StopOn{Cause::forbidden}}, sleeper, [] {
        return std::make_error_code(std::errc::permission_denied);
    });
    std::printf("and then: %s\n", rejected.message().c_str());
    if (rejected != std::errc::permission_denied) return 1;

    // A predicate can decide what a failure is. Observers see and count the attempts.
    RetryCounters counters;
    const auto busy_twice = [](Attempt a) { return Response{a.number < 3 ? 503 : 200}; };
    const auto failed = [](const Response& r) { return r.status >= 500; };
    const Result<Response> response =
        retry(policies::bridge(), sleeper, fails_if(busy_twice, failed), NeverStops{},
              Tee{std::ref(counters), Observer{}});
    std::printf("status %d after %u attempts\n", response->status,
                static_cast<unsigned>(counters.attempts));
    return response->status == 200 ? 0 : 1;
}
