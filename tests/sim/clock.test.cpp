// SPDX-License-Identifier: MIT
// Goal: a simulated clock returns the world's time, and it is as wrong as it was set. Method: a
// world that advances, and a lease whose owner and server have clocks that drift.
#include <belay/sim/clock.hpp>

#include <cstdlib>
#include <vector>

#include <belay/breaker/circuit_breaker.hpp>
#include <belay/core/machine_like.hpp>
#include <belay/sim/explore.hpp>
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

namespace {

/// A machine that is due once, and remembers when it ran.
struct DueOnce {
    explicit DueOnce(Instant at) : due{at} {}
    [[nodiscard]] Instant deadline() const noexcept { return due; }
    void advance(Instant now) {
        if (now < due) return;
        ran = now;
        due = never;
    }
    void attach(Waker w) { waker = std::move(w); }
    Instant due;
    Instant ran{};
    Waker waker{};
};

/// A lease of 10 s, which the owner renews by its own clock. The server ends it by its clock.
struct DriftLease {
    static bool explored(sim::World& world, Duration margin) {
        auto& lease = world.make<DriftLease>();
        lease.margin = margin;
        lease.server = &world.host("server", [](sim::Host&) {});
        world.host("owner", [&lease](sim::Host& h) { lease.renew(h); });
        world.never("a lease ends while its owner works", [&] { return lease.has_ended; });
        world.run_for(60s);
        return true;
    }
    void renew(sim::Host& owner) {
        ends = after(server->now(), 10s);
        server->at(ends, [this] { has_ended = server->now() >= ends; });
        owner.after(10s - margin, [this, &owner] { renew(owner); });
    }
    sim::Host* server = nullptr;
    Duration margin{};
    Instant ends{};
    bool has_ended = false;
};

}  // namespace

TEST_CASE("A steady clock drifts, and timers and machines follow it", "[sim][clock][unit]") {
    for (const bool shuffled : {false, true}) {
        sim::World world{Seed{1}, {.order = shuffled ? sim::Order::shuffled : sim::Order::fifo}};
        std::vector<Instant> ran;
        DueOnce first{Instant{10s}}, second{Instant{20s}};
        sim::Host& a = world.host("a", [&](sim::Host& h) {
            h.after(10s, [&] { ran.push_back(world.now()); });
            h.attach(first);
            h.attach(second);
        });
        const sim::Clock clock = a.clock();
        a.drift_clock(1'000);
        world.run_for(5s);
        CHECK(clock.now() == Instant{5s + 5ms});
        CHECK(a.now() == clock.now());
        CHECK(world.now() == Instant{5s});
        a.drift_clock(-100'000);  // no jump
        CHECK(clock.now() == Instant{5s + 5ms});
        world.heal();
        world.run_for(10s);
        CHECK(clock.now() == Instant{14s + 5ms});
        // The clock shows 5.005 s at 5 s, and the other 4.995 s take 5.55 s.
        CHECK(ran == std::vector<Instant>{Instant{10s + 550ms}});
        CHECK(first.ran == Instant{10s});
        a.drift_clock(100'000);
        world.run_for(6s);
        CHECK(second.ran == Instant{20s});
        a.drift_clock(0);
        CHECK(world.run_until_idle(1h));
        CHECK(world.now() == Instant{21s});
    }
}

TEST_CASE("A timer that waits follows a steady clock that begins to drift", "[sim][clock][unit]") {
    const std::int32_t ppm = GENERATE(100'000, -100'000);
    const bool is_paused = GENERATE(false, true);
    sim::World world{Seed{1}};
    std::vector<int> order;
    std::vector<Instant> shown;
    const sim::Host* of = nullptr;
    const auto note = [&](int which) {
        order.push_back(which);
        shown.push_back(of->now());
    };
    Timer cancelled;
    sim::Host& a = world.host("a", [&](sim::Host& h) {
        of = &h;
        cancelled = h.after(10s, [&] { note(0); });
        for (const int which : {1, 2, 3}) h.after(10s, [&note, which] { note(which); });
        h.after(20s, [&] { note(4); });
    });
    CHECK(cancelled.cancel());
    a.drift_clock(ppm);
    if (is_paused) {
        world.pause(a);
        world.run_for(5s);
        a.drift_clock(ppm);
        world.resume(a);
    }
    world.run_for(30s);
    CHECK(order == std::vector<int>{1, 2, 3, 4});
    CHECK(shown == std::vector<Instant>{Instant{10s}, Instant{10s}, Instant{10s}, Instant{20s}});
}

TEST_CASE("A steady clock shows a time when a timer expects it, and never less",
          "[sim][clock][property]") {
    constexpr std::int32_t most = 100'000;
    Random bits{Seed{1}};
    for (int i = 0; i < 2'000; ++i) {
        sim::detail::SteadySetting setting{};
        const auto draw = [&](std::uint64_t range) {
            return static_cast<std::int64_t>(uniform_upto(bits, range));
        };
        setting.drift(Instant{Duration{draw(1'000'000'000'000)}},
                      static_cast<std::int32_t>(draw(2 * most)) - most);
        const Instant time = setting.shown + Duration{draw(std::uint64_t{1} << draw(50))};
        const Instant when = setting.when(time);
        CHECK(setting.at(when) >= time);
        CHECK((when < setting.set_at + 2ns || setting.at(when - 2ns) < time));
    }
    sim::detail::SteadySetting setting{};
    for (const std::int32_t ppm : {most, -most, 0}) {
        setting.drift(Instant{1s}, ppm);
        CHECK(setting.when(never) == never);
        CHECK(setting.when(Instant{}) <= Instant{1s});
        CHECK(setting.at(Instant{1'000'000h}) > Instant{300'000h});
    }
    sim::World world{Seed{1}};
    sim::Host& host = world.host("a");
    CHECK(aborts_with([&] { host.drift_clock(most + 1); }).find("ppm") != std::string::npos);
    CHECK(aborts_with([&] { static_cast<void>(sim::drift_clock("a", -most - 1)); }).find("ppm") !=
          std::string::npos);
}

TEST_CASE("An exploration finds a lease without a margin for clocks that drift",
          "[sim][clock][explore][sim]") {
    const auto explored = [](Duration margin, std::uint32_t drifting) {
        const sim::ExploreOptions options{
            .seeds = 100,
            .scenario = {.kills = 0, .pauses = 0, .drifting_clocks = drifting},
            .print = false,
            .environment = false};
        return sim::explore(
            options, [margin](sim::World& world) { return DriftLease::explored(world, margin); });
    };
    CHECK(explored(2ms, 0));
    CHECK(explored(20ms, 3));
    const sim::Report report = explored(2ms, 3);
    REQUIRE(report.failing);
    CHECK(report.failing->property == "never \"a lease ends while its owner works\"");
    REQUIRE(report.failing->smallest.size() == 1);
    const auto& step = report.failing->smallest.steps()[0];
    CHECK(step.fault.kind == sim::Fault::Kind::drift_clock);
    CHECK(step.from == 0s);
    CHECK(report.text().find("sim::drift_clock(\"") != std::string::npos);
}
