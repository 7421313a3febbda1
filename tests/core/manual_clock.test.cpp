// SPDX-License-Identifier: MIT
// Goal: a manual clock moves only by command, in any direction, never beyond the end, and its
// views follow. Method: examples and threads.
#include <belay/core/clocks.hpp>

#include <thread>

#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;

static_assert(!std::is_copy_constructible_v<ManualClock> &&
              std::is_copy_constructible_v<ManualClock::View>);

TEST_CASE("ManualClock stands still until it is moved", "[core][manual_clock][unit]") {
    ManualClock clock{Instant{3s}};
    const ManualClock::View view = clock.view();
    CHECK(clock.now() == Instant{3s});
    CHECK(clock.now() == view.now());
    clock.advance(2s);
    CHECK(view.now() == Instant{5s});
    clock.set(Instant{1s});
    CHECK(view.now() == Instant{1s});
    clock.advance(forever);
    clock.advance(1s);
    CHECK(clock.now() == never);
    CHECK(ManualClock{}.now() == Instant{});
}

TEST_CASE("ManualClock may be moved by one thread and read by another",
          "[core][manual_clock][fault]") {
    ManualClock clock;
    std::thread mover{[&] {
        for (int i = 0; i < 1000; ++i) clock.advance(1ns);
    }};
    Instant last{};
    while (last < Instant{1000ns}) {
        const Instant now = clock.now();
        if (now < last) FAIL("the clock went back");
        last = now;
        std::this_thread::yield();
    }
    mover.join();
}
