// SPDX-License-Identifier: MIT
// Goal: the counters of callers' outcomes lose no count under concurrent threads. Method: threads.
#include <belay/call/limiters.hpp>

#include <thread>
#include <type_traits>
#include <vector>

#include "support/catch.hpp"

using namespace belay;

static_assert(std::is_trivially_copyable_v<PermitCounters>);

namespace {
struct CountingLimiter : detail::Limiter {
    CountingLimiter() noexcept : Limiter{0} {}
    void admit() noexcept { count(admitted_); }
    void reject() noexcept { count(rejected_); }
    void wait() noexcept { count(waited_); }
    void leave() noexcept { count(left_); }
};
}  // namespace

TEST_CASE("Limiter counts each outcome separately, on any thread",
          "[call][permit_counters][unit]") {
    CountingLimiter counters;
    CHECK(counters.counters() == PermitCounters{});
    const auto count = [&counters] {
        for (int i = 0; i < 1000; ++i) {
            counters.admit();
            if (i % 2 == 0) counters.reject();
            if (i % 4 == 0) counters.wait();
            if (i % 8 == 0) counters.leave();
        }
    };
    std::vector<std::thread> threads;
    for (int i = 0; i < 3; ++i) threads.emplace_back(count);
    for (std::thread& thread : threads) thread.join();
    CHECK(counters.counters() ==
          PermitCounters{.admitted = 3000, .rejected = 1500, .waited = 750, .left = 375});
}
