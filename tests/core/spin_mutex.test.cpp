// SPDX-License-Identifier: MIT
// Goal: there is one holder at a time, its writes are visible to the next, and no thread sleeps
// for ever. Method: threads.
#include <belay/core/detail/spin_mutex.hpp>

#include <thread>
#include <vector>

#include "support/catch.hpp"

using namespace belay;

static_assert(sizeof(belay::detail::SpinMutex) == 1);

TEST_CASE("SpinMutex::try_lock fails while it is held", "[core][spin_mutex][unit]") {
    belay::detail::SpinMutex m;
    REQUIRE(m.try_lock());
    CHECK_FALSE(m.try_lock());
    m.unlock();
    {
        const belay::detail::SpinLock lock{m};
        CHECK_FALSE(m.try_lock());
    }
    CHECK(m.try_lock());
    m.unlock();
}

TEST_CASE("SpinMutex has one holder at a time, and wakes every waiting thread",
          "[core][spin_mutex][fault]") {
    belay::detail::SpinMutex m;
    long plain = 0;  // not atomic: TSan would detect two holders
    std::vector<std::thread> threads;
    for (int t = 0; t < 6; ++t) {
        threads.emplace_back([&, t] {
            for (int i = 0; i < 20000; ++i) {
                const belay::detail::SpinLock lock{m};
                ++plain;
                // A long section at times makes the others wait.
                if (i % 5000 == t) {
                    for (int spin = 0; spin < 20; ++spin) std::this_thread::yield();
                }
            }
        });
    }
    for (std::thread& t : threads) t.join();
    CHECK(plain == 6 * 20000);
}
