// SPDX-License-Identifier: MIT
// Retry any callable. Here time is virtual, so that an outage of half a minute takes no time.
#include <cstdio>
#include <optional>
#include <string>

#include "virtual_sleeper.hpp"

using namespace belay;  // in examples only
using namespace std::chrono_literals;

namespace {

/// A server that is down for half a minute.
std::optional<std::string> fetch_scene(Instant now) {
    if (now < Instant{} + 30s) return std::nullopt;
    return "a mountain hut at dawn";
}

struct Response {
    int status;
};

struct Watcher {
    void on_retry(const RetryPlanned& r) const {
        std::printf("attempt %u failed, the next in %.1f s\n",
                    static_cast<unsigned>(r.attempt.number),
                    std::chrono::duration<double>(r.wait).count());
    }
};

}  // namespace

int main() {
    const Policy policy{Backoff{FullJitter{}, Cap{10s}, 1s}, MaxAttempts{20}};
    VirtualSleeper sleeper;  // leave it out to wait for real: retry(policy, [&] { ... })
    const auto scene = retry(
        policy, sleeper, [&] { return fetch_scene(sleeper.now()); }, NeverStops{}, Watcher{});
    if (!scene) {
        std::printf("gave up: %s\n", scene.error().message().c_str());
        return 1;
    }
    std::printf("got %s\n", scene->c_str());

    // Nobody waits for what cannot work: the last error comes back as it was.
    const std::error_code refused = retry(Policy{StopOn{Cause::forbidden}}, sleeper, [] {
        return std::make_error_code(std::errc::permission_denied);
    });
    std::printf("and then: %s\n", refused.message().c_str());
    if (refused != std::errc::permission_denied) return 1;

    // What a failure is may be for a predicate to say; and somebody may count.
    RetryCounters counters;
    const auto busy_twice = [](Attempt a) { return Response{a.number < 3 ? 503 : 200}; };
    const auto failed = [](const Response& r) { return r.status >= 500; };
    const Result<Response> response =
        retry(policy, sleeper, fails_if(busy_twice, failed), NeverStops{}, counters);
    std::printf("status %d after %u attempts\n", response->status,
                static_cast<unsigned>(counters.attempts));
    return response->status == 200 ? 0 : 1;
}
