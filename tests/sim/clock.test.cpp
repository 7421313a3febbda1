// SPDX-License-Identifier: MIT
// Goal: a simulated clock returns the world's time, and a wall clock is as wrong as it was set.
// Method: a world that advances.
#include <belay/sim/clock.hpp>

#include <cstdlib>

#include <belay/breaker/circuit_breaker.hpp>
#include <belay/sim/world.hpp>

#include "support/aborts.hpp"
#include "support/catch.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

static_assert(ClockLike<sim::Clock> && std::is_trivially_copyable_v<sim::Clock>);

TEST_CASE("sim::Clock follows the world's time", "[sim][clock][unit]") {
    sim::World world{Seed{1}};
    const sim::Clock clock = world.host("a").clock();
    CHECK(clock.now() == Instant{});
    world.at(3s, [&] { CHECK(clock.now() == Instant{3s}); });
    world.run_for(5s);
    CHECK(clock.now() == Instant{5s});
    CHECK(world.clock().now() == world.now());
}

TEST_CASE("sim::WallClock has an error, drifts and is corrected", "[sim][clock][unit]") {
    sim::World world{Seed{1}, {.record_lines = 10}};
    sim::Host& a = world.host("a");
    sim::Host& b = world.host("b");
    const sim::WallClock clock = a.wall_clock();
    const auto wrong_by = [&] { return clock.now() - b.wall_clock().now(); };
    CHECK(clock.now() == WallTime{} + std::chrono::hours{10'957 * 24});  // 2000-01-01
    world.run_for(5s);
    CHECK(clock.now() == WallTime{} + std::chrono::hours{10'957 * 24} + 5s);
    a.set_wall_clock(-10min);
    CHECK(wrong_by() == -10min);
    world.run_for(1h);
    CHECK(wrong_by() == -10min);
    CHECK(world.text().find("the wall clock of a is set") != std::string::npos);

    a.set_wall_clock(1s, 100);  // a step ahead, and then too fast
    world.run_for(10'000s);
    CHECK(wrong_by() == 2s);
    a.set_wall_clock(0s, -500);  // a step back, and then too slow
    world.run_for(1s);
    CHECK(wrong_by() == -500us);
    world.run_for(999ns);
    CHECK(wrong_by() == -500us);  // half a nanosecond more
    world.run_for(1001ns);
    CHECK(wrong_by() == -500us - 1ns);
    world.pause(a);
    world.run_for(9s - 2us);
    world.kill(a);
    world.run_for(90s);
    world.restart(a);
    CHECK(wrong_by() == -50ms);  // it is the clock of the machine, and not of the process
    a.set_wall_clock(0s);
    CHECK(wrong_by() == 0s);
}

TEST_CASE("sim::WallClock has no overflow at its limits", "[sim][clock][unit]") {
    constexpr Duration years = std::chrono::hours{30 * 365 * 24};
    for (const std::int32_t drift : {-999'999, 1'000'000}) {
        for (const Duration wrong_by : {-years, years}) {
            sim::World world{Seed{1}};
            sim::Host& a = world.host("a");
            a.set_wall_clock(wrong_by, drift);
            const WallTime before = a.wall_clock().now();
            world.run_for(forever);
            CHECK(a.wall_clock().now() > before);
        }
    }
    const auto set = [](Duration wrong_by, std::int32_t drift) {
        return aborts_with([=] {
            sim::World world{Seed{1}};
            world.host("a").set_wall_clock(wrong_by, drift);
        });
    };
    CHECK(set(years + 1ns, 0).find("Host::set_wall_clock") != std::string::npos);
    CHECK(set(-years - 1ns, 0).find("-30 to 30 years") != std::string::npos);
    CHECK(set(0s, -1'000'000).find("drift_ppm") != std::string::npos);
    CHECK(set(0s, 1'000'001).find("drift_ppm") != std::string::npos);
}

TEST_CASE("A scenario sets wall clocks, and World::heal leaves them wrong", "[sim][clock][unit]") {
    const auto scenario = sim::Scenario{}
                              .at(1s, sim::set_wall_clock("a", -90s, -50))
                              .at(2s, sim::set_wall_clock("b", 1h))
                              .at(9s, sim::set_wall_clock("b", 0s))
                              .heal_at(10s);
    CHECK(to_cpp(scenario) == R"(sim::Scenario{}
    .at(1s, sim::set_wall_clock("a", -90s, -50))
    .at(2s, sim::set_wall_clock("b", 60min))
    .at(9s, sim::set_wall_clock("b", 0s))
    .heal_at(10s))");
    sim::World world{Seed{1}};
    sim::Host& a = world.host("a");
    sim::Host& b = world.host("b");
    sim::Host& c = world.host("c");
    const auto wrong_by = [&](const sim::Host& h) {
        return h.wall_clock().now() - c.wall_clock().now();
    };
    world.play(scenario);
    world.run_for(5s);
    CHECK(wrong_by(a) == -90s - 200us);
    CHECK(wrong_by(b) == 1h);
    world.run_for(96s);
    CHECK(wrong_by(a) == -90s - 5ms);
    CHECK(wrong_by(b) == 0s);
}

TEST_CASE("draw sets wall clocks on demand, within its limits", "[sim][clock][property]") {
    int ahead = 0, behind = 0, fast = 0, slow = 0;
    for (std::uint64_t seed = 1; seed <= 40; ++seed) {
        sim::Scenario rest;
        const sim::ScenarioOptions options{
            .wall_clocks = 4, .clock_wrong_max = 10s, .clock_drift_max = 20};
        const sim::Scenario with = sim::draw(options, Seed{seed}, {"a", "b"});
        for (const auto& step : with.steps()) {
            const sim::Fault& f = step.fault;
            if (f.kind != sim::Fault::Kind::set_wall_clock) {
                rest.add(step);
                continue;
            }
            CHECK(std::abs(f.min.count()) <= 10'000'000'000);
            CHECK(std::abs(f.drift_ppm) <= 20);
            (f.min > 0s ? ahead : behind) += 1;
            (f.drift_ppm > 0 ? fast : slow) += 1;
        }
        CHECK(rest == sim::draw({}, Seed{seed}, {"a", "b"}));
    }
    for (const int count : {ahead, behind, fast, slow}) CHECK(count > 5);
}
