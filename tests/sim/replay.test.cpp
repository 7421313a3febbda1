// SPDX-License-Identifier: MIT
// Goal: a replay stops a world after any event, with the history of the first run.
// Method: a counter that a timer raises, with a fault; and a failure that an exploration found.
#include <belay/sim/replay.hpp>

#include <stdexcept>

#include <belay/sim/explore.hpp>

#include "support/aborts.hpp"
#include "support/catch.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

struct Ticks {
    explicit Ticks(sim::Host& h) : host{h} { tick(); }
    void tick() {
        ++count;
        host.after(1s, [this] { tick(); });
    }
    sim::Host& host;
    int count = 0;
};

bool ticks(sim::World& world) {
    world.host("a \"clock\"", [](sim::Host& h) { return std::make_unique<Ticks>(h); });
    world.host("other", [](sim::Host&) {});
    world.run_for(10s);
    return true;
}
int count_in(const sim::World& world) {
    const Ticks* const t = world.find("a \"clock\"")->process<Ticks>();
    return t != nullptr ? t->count : -1;
}

/// A property that fails if the clock is killed.
bool needs_six_ticks(sim::World& world) {
    ticks(world);
    world.heal();
    return world.require("six ticks", count_in(world) >= 6);
}

}  // namespace

TEST_CASE("Replay::to stops after an event", "[sim][replay][unit]") {
    sim::Replay replay{Seed{1}, {}, &ticks};
    CHECK(replay.events() == 10);
    for (std::uint64_t event = 1; event <= 10; ++event) {
        std::uint64_t seen = 0;
        CHECK(replay.to(event, [&](sim::World& world) {
            seen = world.events();
            CHECK(count_in(world) == static_cast<int>(event) + 1);
            CHECK(world.now().time_since_epoch() == event * 1s);
        }));
        CHECK(seen == event);
    }
    CHECK_FALSE(replay.to(11, [](sim::World&) { FAIL("the history has ended"); }));
    CHECK(aborts_with([&] { replay.to(0, [](sim::World&) {}); }).find("event must be > 0") !=
          std::string::npos);
}

TEST_CASE("Replay::first finds the first bad event", "[sim][replay][unit]") {
    sim::Replay replay{Seed{1}, sim::Scenario{}.at(3500ms, sim::kill("a \"clock\"")), &ticks};
    const auto dead = replay.first([](sim::World& world) { return count_in(world) < 0; });
    REQUIRE(dead == std::optional<std::uint64_t>{4});
    CHECK(replay.to(*dead - 1, [](sim::World& world) { CHECK(count_in(world) == 4); }));
    CHECK(replay.first([](sim::World&) { return true; }) == std::optional<std::uint64_t>{1});
    CHECK_FALSE(replay.first([](sim::World&) { return false; }));
}

TEST_CASE("Replay has the history of the failure that an exploration found", "[sim][replay][sim]") {
    const sim::Report report = sim::explore(
        {.seeds = 100, .scenario = {.within = 5s}, .print = false, .environment = false},
        &needs_six_ticks);
    REQUIRE(report.failing);
    REQUIRE(report.failing->smallest.size() == 1);
    std::uint64_t hash = 0;
    sim::Replay replay{*report.failing, [&hash](sim::World& world) {
                           const bool well = needs_six_ticks(world);
                           hash = world.trace_hash();
                           return well;
                       }};
    CHECK(replay.events() > 0);
    CHECK(hash == report.failing->hash);
    const auto dead = replay.first([](sim::World& world) { return count_in(world) < 0; });
    REQUIRE(dead);
    std::string before;
    CHECK(replay.to(*dead, [&](sim::World& world) { before = world.text(1); }));
    CHECK(before.find("is killed") != before.npos);
}

TEST_CASE("Replay of a failure has the limits of its exploration", "[sim][replay][regression]") {
    const auto violated = [](sim::World& world) { return world.violation().has_value(); };
    sim::ExploreOptions options{.seeds = 1, .print = false, .environment = false};
    options.events_max = 4;
    const sim::Report events = sim::explore(options, &ticks);
    REQUIRE(events.failing);
    CHECK(events.failing->property == "the limit of events");
    CHECK(sim::Replay{*events.failing, &ticks}.first(violated));
    options = {.seeds = 1, .time_max = 4s, .print = false, .environment = false};
    const sim::Report time = sim::explore(options, &ticks);
    REQUIRE(time.failing);
    CHECK(time.failing->property == "the limit of time");
    CHECK(sim::Replay{*time.failing, &ticks}.first(violated));
}

TEST_CASE("Replay ignores exceptions of the body, and propagates those of the inspection",
          "[sim][replay][unit]") {
    sim::Replay replay{Seed{1}, {}, [](sim::World& world) -> bool {
                           ticks(world);
                           throw std::runtime_error{"the failure"};
                       }};
    CHECK(replay.events() == 10);
    CHECK(replay.to(3, [](sim::World&) {}));
    CHECK_THROWS_AS(replay.to(3, [](sim::World&) { throw std::logic_error{"mine"}; }),
                    std::logic_error);
}

TEST_CASE("World prints its history as text and as JSON lines", "[sim][replay][golden]") {
    sim::Replay replay{Seed{1}, sim::Scenario{}.at(1500ms, sim::kill("a \"clock\"")), &ticks};
    std::string text;
    std::string json;
    std::string last;
    REQUIRE(replay.to(2, [&](sim::World& world) {
        text = world.text();
        json = world.json_lines();
        last = world.json_lines(1);
    }));
    CHECK(text ==
          "0  0.000 s  a \"clock\" starts, 1. time\n"
          "0  0.000 s  other starts, 1. time\n"
          "1  1.000 s  a \"clock\" runs a function\n"
          "2  1.500 s  fault sim::kill(\"a \\\"clock\\\"\")\n"
          "2  1.500 s  a \"clock\" is killed\n");
    const std::string expected =
        R"json({"event":0,"time_ns":0,"kind":"start","host":"a \"clock\"","text":"a \"clock\" starts, 1. time"}
{"event":0,"time_ns":0,"kind":"start","host":"other","text":"other starts, 1. time"}
{"event":1,"time_ns":1000000000,"kind":"function","host":"a \"clock\"","text":"a \"clock\" runs a function"}
{"event":2,"time_ns":1500000000,"kind":"fault","host":"a \"clock\"","text":"fault sim::kill(\"a \\\"clock\\\"\")"}
{"event":2,"time_ns":1500000000,"kind":"kill","host":"a \"clock\"","text":"a \"clock\" is killed"}
)json";
    CHECK(json == expected);
    CHECK(json.ends_with(last));
}

TEST_CASE("Replay::first finds the event after which a property did not hold",
          "[sim][replay][regression]") {
    const auto is_violated = [](sim::World& world) { return world.violation().has_value(); };
    SECTION("one that is checked after each event") {
        sim::Replay replay{Seed{1}, {}, [](sim::World& world) {
                               world.always("few ticks", [&] {
                                   return world.find("a \"clock\"") == nullptr ||
                                          count_in(world) < 6;
                               });
                               return ticks(world);
                           }};
        CHECK(replay.first(is_violated) == std::optional<std::uint64_t>{5});
        CHECK(replay.events() == 5);
    }
    SECTION("one that is checked at the end") {
        const auto scenario = sim::Scenario{}.at(2500ms, sim::kill("a \"clock\""));
        sim::Replay replay{Seed{1}, scenario, &needs_six_ticks};
        const auto found = replay.first(is_violated);
        CHECK(found == std::optional<std::uint64_t>{replay.events()});
        std::string property;
        REQUIRE(found);
        CHECK(replay.first([&](sim::World& world) {
            if (is_violated(world)) property = world.violation()->property;
            return is_violated(world);
        }) == found);
        CHECK(property == "require \"six ticks\"");
    }
    SECTION("none") {
        sim::Replay replay{Seed{1}, {}, &ticks};
        CHECK_FALSE(replay.first(is_violated));
    }
}
