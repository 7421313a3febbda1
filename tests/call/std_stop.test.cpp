// SPDX-License-Identifier: MIT
// Goal: a std::stop_token stops retry through a bridge, at once, and leaves nothing registered.
// Method: threads.
#include <belay/call/std_stop.hpp>

#include <optional>
#include <thread>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/call/retry.hpp>
#include <belay/drive/thread_sleeper.hpp>

#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;

TEST_CASE("StopBridge passes a request on, before and after it was made",
          "[call][std_stop][unit]") {
    std::stop_source source;
    const StopBridge bridge{source.get_token()};
    int woken = 0;
    const part::StopWaiter waiter{bridge.token(), [](void* n) noexcept { ++*static_cast<int*>(n); },
                                  &woken};
    CHECK_FALSE(bridge.token().stop_requested());
    source.request_stop();
    CHECK(bridge.token().stop_requested());
    CHECK(woken == 1);
    CHECK(StopBridge{source.get_token()}.token().stop_requested());
    CHECK_FALSE(StopBridge{std::stop_token{}}.token().stop_requested());
}

TEST_CASE("A token outlives its StopBridge, and is then no longer polled",
          "[call][std_stop][unit]") {
    std::stop_source source;
    const StopToken token = StopBridge{source.get_token()}.token();
    source.request_stop();
    CHECK_FALSE(token.stop_requested());
}

TEST_CASE("A std::stop_token wakes a sleeping retry", "[call][std_stop][unit]") {
    // retry sleeps for a day unless it is woken. The stop may be before, in or after the first
    // call.
    std::stop_source source;
    std::jthread stopper{[&] { source.request_stop(); }};
    const Result<void> result = retry(
        Policy{Backoff{NoJitter{}, Cap{24h}, 24h}}, [] { return false; },
        StopBridge{source.get_token()}.token());
    CHECK(result.error() == CallErrc::stopped);
}

TEST_CASE("A std::stop_token works as a token by itself, which is polled",
          "[call][std_stop][unit]") {
    std::stop_source source;
    source.request_stop();
    CHECK(retry(
              Policy{Backoff{NoJitter{}, Cap{24h}, 24h}}, [] { return false; }, source.get_token())
              .error() == CallErrc::stopped);
}
