// SPDX-License-Identifier: MIT
// Goal: Loop, posix::Loop and a simulated host call functions at their times, and can cancel
// them. Method: a manual clock for the loops, the world's time for the host.
#include <belay/core/timer.hpp>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <belay/core/clocks.hpp>
#include <belay/drive/loop.hpp>
#include <belay/posix/loop.hpp>
#include <belay/sim.hpp>

#include "support/catch.hpp"
#include "support/queue/poll_once.hpp"
#include "support/shorthand.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::at;
using belay_test::poll_once;

TEMPLATE_TEST_CASE("Loop calls functions at their times, in the order of setting",
                   "[drive][loop][unit]", Loop<ManualClock::View>, posix::Loop<ManualClock::View>) {
    ManualClock clock{at(1000s)};
    std::optional<TestType> loop{std::in_place, clock.view()};
    std::string log;
    auto lifetime = std::make_shared<int>(0);
    loop->after(2s, [&] { log += 'c'; });
    loop->at(at(1001s), [&] { log += 'a'; });
    loop->at(at(1001s), [&] { log += 'b'; });
    Timer never_called = loop->after(1s, [&] { log += '!'; });
    const Timer left = loop->after(1h, [lifetime] {});
    poll_once(*loop);
    CHECK(log.empty());
    CHECK(never_called.cancel());
    clock.set(at(1001s));
    poll_once(*loop);
    CHECK(log == "ab");
    clock.set(at(1005s));
    loop->post([&] { loop->at(at(3s), [&] { log += 'd'; }); });
    poll_once(*loop);
    poll_once(*loop);
    CHECK(log == "abdc");
    CHECK(left.waits());
    loop.reset();
    CHECK_FALSE(left.waits());
    CHECK(lifetime.use_count() == 1);
}

TEMPLATE_TEST_CASE("Loop counts a negative time in a call as 0", "[drive][loop][regression]",
                   Loop<ManualClock::View>, posix::Loop<ManualClock::View>) {
    ManualClock clock{at(1000s)};
    TestType loop{clock.view()};
    const Duration rest = GENERATE(as<Duration>{}, -1ns, -1s, Duration::min());
    int calls = 0;
    loop.after(rest, [&] { ++calls; });
    CHECK_FALSE(loop.run_until([] { return false; }, rest));
    CHECK(calls == 1);
}

TEST_CASE("Host counts a negative time in a call as 0", "[drive][loop][regression]") {
    int calls = 0;
    sim::World world{Seed{1}};
    auto& host = world.host("a", [](sim::Host&) {});
    host.after(-1s, [&] { ++calls; });
    world.run_for(1ns);
    CHECK(calls == 1);
}

TEST_CASE("Loop waits for a timer in real time", "[drive][loop][unit]") {
    Loop loop;
    bool called = false;
    const Instant before = loop.now();
    loop.after(5ms, [&] { called = true; });
    CHECK(loop.run_until([&] { return called; }));
    CHECK(loop.now() >= before + 5ms);
}

TEST_CASE("Host's functions may be cancelled, also while it is frozen, and end with it",
          "[sim][host][unit]") {
    std::string log;
    auto lifetime = std::make_shared<int>(0);
    sim::World world{Seed{1}};
    auto& host = world.host("a", [](sim::Host&) {});
    host.at(at(1s), [&] { log += 'a'; });
    Timer second = host.after(2s, [&] { log += 'b'; });
    Timer third = host.after(3s, [&] { log += 'c'; });
    host.after(4s, [&] { log += 'd'; });
    const Timer last = host.after(1h, [lifetime] {});
    world.run_for(1s);
    CHECK(log == "a");
    CHECK(second.cancel());
    world.pause(host);
    world.run_for(10s);
    CHECK(third.cancel());
    world.resume(host);
    world.run_for(1s);
    CHECK(log == "ad");
    CHECK(last.waits());
    world.kill(host);
    CHECK_FALSE(last.waits());
    CHECK(lifetime.use_count() == 1);
    CHECK(host.post([] {}) == belay::driver::Post::gone);
    CHECK_FALSE(host.after(1s, [] {}).waits());
}
