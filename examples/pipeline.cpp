// SPDX-License-Identifier: MIT
// A Pipeline around one call, blocking and in a coroutine; here in virtual time.
#include <cstdio>
#include <optional>
#include <string>

#include <belay/belay.hpp>
#include <belay/call_coroutines.hpp>
#include <belay/drive.hpp>
#include <belay/sim.hpp>

#include "virtual_sleeper.hpp"

using namespace belay;  // in examples only
using namespace std::chrono_literals;

namespace {

struct Response {
    int status;
    std::string text;
};

// Only the caller can decide what a failure is.
Failure classify(const Response& response) {
    if (response.status == 429) return {.cause = Cause::overloaded, .retry_after = 5s};
    if (response.status >= 500) return {.cause = Cause::lost};
    return {};
}

bool blocking() {
    VirtualSleeper sleeper;
    CircuitBreaker breaker{ConsecutiveFailures{5}, OpenFor{60s}, sleeper.clock()};
    RateLimiter limiter{Rate{10, 1s}, Burst{5}};
    Bulkhead bulkhead{{.limit = 8, .queue = 100}};
    RetryCounters counters;
    // The first is the outermost. The breaker is inside of the retry: it sees every attempt.
    const Pipeline pipeline{
        Fallback{[] {
            return Response{200, "what we had yesterday"};
        }},
        Retrying{Policy{Backoff{FullJitter{}, Cap{10s}, 100ms}, MaxAttempts{4}}, counters},
        Shared{breaker},
        Queued{bulkhead},
        Shared{limiter},
        Timeout{2s}};

    int calls = 0;
    const auto busy_twice = [&](Attempt) {
        return ++calls < 3 ? Response{429, ""} : Response{200, "news"};
    };
    const auto broken = [](Attempt) { return Response{503, ""}; };
    const Result<Response> first = pipeline(sleeper, fails_if(busy_twice, classify));
    const Result<Response> second = pipeline(sleeper, fails_if(broken, classify));
    std::printf("blocking: %s, then %s; %u attempts, %u retries\n", first.value().text.c_str(),
                second.value().text.c_str(), static_cast<unsigned>(counters.attempts),
                static_cast<unsigned>(counters.retries));
    return first->text == "news" && second->status == 200 && counters.attempts == 7;
}

// The same in coroutines, on any loop; here a simulated one. A second call is made where the first
// is slow, and the first answer counts.
bool awaiting() {
    sim::World world{Seed{7}};
    LoopSleeper sleeper{world.host("client")};
    const Pipeline pipeline{
        Retrying{Policy{Backoff{FullJitter{}, Cap{10s}, 100ms}, MaxAttempts{4}}}, Timeout{2s},
        Hedge{50ms, 1}};
    int calls = 0;
    const auto ask = [&]() -> Task<std::optional<int>> {
        const int call = ++calls;
        const Duration slow = call % 2 == 1 ? Duration{1s} : Duration{20ms};
        co_await sleeper.async_sleep_until(after(sleeper.now(), slow));
        co_return call;
    };
    const auto user = [&]() -> Task<int> {
        const Result<int> answer = co_await pipeline(sleeper, ask);
        co_return answer.value();
    };
    Task<int> task = user();
    task.start();
    world.run_for(10s);
    const int answer = task.take();
    std::printf("awaiting: call %d of %d answered first\n", answer, calls);
    return answer == 2 && calls == 2;
}

}  // namespace

int main() { return blocking() && awaiting() ? 0 : 1; }
