// SPDX-License-Identifier: MIT
// Goal: a loop over a BootClock waits by a clock that counts the machine's sleep. Method: a test
// cannot suspend the machine, so it reads the state of its timer from the kernel.
#include <belay/posix/loop.hpp>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

#include <belay/core/clocks.hpp>

#include "support/posix/watch_rig.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

static_assert(ClockLike<posix::BootClock>);

TEST_CASE("BootClock continues where the steady clock stands still", "[posix][boot_clock][race]") {
    const Instant steady = SteadyClock{}.now();
    const Instant boot = posix::BootClock{}.now();
    const Instant later = posix::BootClock{}.now();
    CHECK(steady <= boot);
    CHECK(boot <= later);
}

TEST_CASE("Loop over a BootClock runs due timers", "[posix][boot_clock][unit]") {
    posix::Loop loop{posix::BootClock{}};
    CHECK(loop.watched() == 0);
    int calls = 0;
    loop.after(1ms, [&] {
        ++calls;
        loop.after(1ms, [&] { ++calls; });
    });
    CHECK(loop.run_until([&] { return calls == 2; }, 5min));
    // The timer has expired. Without a deadline it does not keep the loop busy.
    CHECK_FALSE(loop.run_until([] { return false; }, 1ms));
}

#if defined(__linux__)

namespace {

/// The remaining time of a timer of CLOCK_BOOTTIME of this process; -1 if there is none.
long boottime_left() {
    for (const auto& entry : std::filesystem::directory_iterator{"/proc/self/fdinfo"}) {
        std::ifstream file{entry.path()};
        bool boottime = false;
        for (std::string line; std::getline(file, line);) {
            long seconds = 0;
            if (line == "clockid: 7") boottime = true;
            if (boottime && std::sscanf(line.c_str(), "it_value: (%ld,", &seconds) == 1)
                return seconds;
        }
    }
    return -1;
}

}  // namespace

TEST_CASE("Loop over a BootClock waits on a timer that runs during the machine's sleep",
          "[posix][boot_clock][race]") {
    REQUIRE(boottime_left() == -1);
    posix::Loop loop{posix::BootClock{}};
    Pair pair;
    Handler handler{loop};
    handler.watch.start(pair.ends[0], POLLIN);
    long left = -1;
    // The first round of a run does not wait; the second finds the descriptor ready, and the timer
    // set.
    handler.action = [&] { left = boottime_left(); };
    const auto second_round = [&] { return handler.observed.size() == 2; };
    pair.ring();
    SECTION("for the first deadline") {
        const Timer timer = loop.after(2h, [] {});
        CHECK(loop.run_until(second_round, 3h));
        CHECK(left > 3600);
        CHECK(left <= 7200);
    }
    SECTION("for no deadline") {
        CHECK(loop.run_until(second_round));
        CHECK(left == 0);
    }
}

#endif
