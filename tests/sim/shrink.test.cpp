// SPDX-License-Identifier: MIT
// Goal: a shrunk scenario still fails, needs each of its faults, and is found in few tries.
// Method: programs that are functions of the scenario, which need some of 20 drawn faults.
#include <belay/sim/detail/shrink.hpp>

#include <algorithm>

#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;

namespace {

/// Draws a scenario of 20 faults.
sim::Scenario twenty_faults(std::uint64_t seed) {
    const sim::ScenarioOptions most{.kills = 4,
                                    .pauses = 4,
                                    .partitions = 4,
                                    .latencies = 4,
                                    .refusals = 4,
                                    .drops = 4,
                                    .half_opens = 4,
                                    .cuts = 4,
                                    .disk_refusals = 3,
                                    .disk_errors = 4};
    for (seed *= 1000;; ++seed) {
        sim::Scenario s = sim::draw(most, Seed{seed}, {"a", "b", "c"});
        if (s.size() == 20) return s;
    }
}

/// A program that fails if these faults happen, each within a tolerance of its time.
struct NeedsFaults {
    std::vector<sim::Scenario::Step> needed;
    Duration tolerance;

    bool operator()(const sim::Scenario& s) const {
        return std::all_of(needed.begin(), needed.end(), [&](const auto& n) {
            return std::any_of(s.steps().begin(), s.steps().end(),
                               [&](const auto& step) { return is(n, step); });
        });
    }
    [[nodiscard]] bool is(const sim::Scenario::Step& a, const sim::Scenario::Step& b) const {
        if (!(a.fault == b.fault) || a.message.has_value() != b.message.has_value()) return false;
        return is_close(a.from, b.from) && is_close(a.lasts, b.lasts);
    }
    [[nodiscard]] bool is_close(Duration a, Duration b) const {
        return a == b || (a != forever && b != forever && a - b <= tolerance && b - a <= tolerance);
    }
};

NeedsFaults needs_some(const sim::Scenario& s, std::size_t count, Duration tolerance, Seed seed) {
    Random bits{seed};
    NeedsFaults program{{}, tolerance};
    while (program.needed.size() < count) {
        const auto i = static_cast<std::size_t>(uniform_upto(bits, s.size() - 1));
        const sim::Scenario::Step& step = s.steps()[i];
        if (std::find(program.needed.begin(), program.needed.end(), step) == program.needed.end()) {
            program.needed.push_back(step);
        }
    }
    return program;
}

}  // namespace

TEST_CASE("Shrink finds up to 4 needed faults of 20 in at most 60 tries",
          "[sim][shrink][property]") {
    for (std::size_t count = 0; count <= 4; ++count) {
        for (const Duration tolerance : {Duration{0ns}, Duration{300ms}, Duration{1h}}) {
            for (std::uint64_t seed = 1; seed <= 30; ++seed) {
                const sim::Scenario drawn = twenty_faults(seed);
                sim::detail::Shrink shrink{drawn, 1000,
                                           needs_some(drawn, count, tolerance, Seed{seed})};
                INFO("seed " << seed << ", " << count << " faults");
                CHECK(shrink.run().size() <= count);
                CHECK(shrink.tries() <= std::max<std::size_t>(15 * count, 1));
            }
        }
    }
}

TEST_CASE("Shrink returns a scenario that fails, however few tries it has",
          "[sim][shrink][property]") {
    for (std::uint64_t seed = 1; seed <= 5; ++seed) {
        const sim::Scenario drawn = twenty_faults(seed);
        const NeedsFaults fails = needs_some(drawn, 3, 300ms, Seed{seed});
        std::size_t before = drawn.size();
        for (std::uint32_t tries = 0; tries <= 60; ++tries) {
            sim::detail::Shrink shrink{drawn, tries, fails};
            const sim::Scenario smallest = shrink.run();
            INFO("seed " << seed << ", " << tries << " tries");
            CHECK(fails(smallest));
            CHECK(shrink.tries() <= tries);
            CHECK(smallest.size() <= before);
            before = smallest.size();
        }
    }
}

TEST_CASE("Shrink removes every single fault that is not needed, even if faults mask each other",
          "[sim][shrink][property]") {
    for (std::uint64_t seed = 1; seed <= 60; ++seed) {
        const sim::Scenario drawn = twenty_faults(seed);
        // Whether a part of the faults fails is arbitrary, and does not depend on their times.
        const auto fails = [&](const sim::Scenario& s) {
            std::uint64_t key = seed;
            for (const auto& step : s.steps()) key = sim::detail::mix(key, step.fault.key());
            return s.size() == drawn.size() || key % 3 == 0;
        };
        const sim::Scenario smallest = sim::detail::Shrink{drawn, 10'000, fails}.run();
        INFO("seed " << seed);
        CHECK(fails(smallest));
        for (std::size_t left_out = 0; left_out < smallest.size(); ++left_out) {
            sim::Scenario rest;
            for (std::size_t i = 0; i < smallest.size(); ++i) {
                if (i != left_out) rest.add(smallest.steps()[i]);
            }
            CHECK_FALSE(fails(rest));
        }
    }
}

TEST_CASE("Shrink leaves out all faults of a host together", "[sim][shrink][unit]") {
    // Two faults of "b" have no effect, and one alone hides the failure.
    const auto drawn =
        sim::Scenario{}.at(1s, sim::kill("b")).at(2s, sim::kill("a")).at(3s, sim::kill("b"));
    sim::detail::Shrink shrink{drawn, 60, [](const sim::Scenario& s) {
                                   std::size_t a = 0, b = 0;
                                   for (const auto& step : s.steps()) {
                                       ++(step.fault.host == "a" ? a : b);
                                   }
                                   return a == 1 && b != 1;
                               }};
    const sim::Scenario smallest = shrink.run();
    REQUIRE(smallest.size() == 1);
    CHECK(smallest.steps()[0].fault.host == "a");
}

TEST_CASE("Shrink leaves no fault that lasts for 0 s", "[sim][shrink][regression]") {
    const auto drawn = sim::Scenario{}
                           .during(1234ms, 1341ms, sim::partition("a", "b"))
                           .during(5s, 5s + 3ms, sim::pause("a"))
                           .when({"a", "b", {}, 1}, sim::kill("b"), 2345ms);
    const auto all = [](const sim::Scenario& s) { return s.size() == 3; };
    CHECK(to_cpp(sim::detail::Shrink{drawn, 1000, all}.run()) ==
          "sim::Scenario{}\n"
          "    .during(0s, 10ms, sim::partition(\"a\", \"b\"))\n"
          "    .during(0s, 3ms, sim::pause(\"a\"))\n"
          "    .when({\"a\", \"b\", \"\", 1}, sim::kill(\"b\"), 10ms)");
}

TEST_CASE("Shrink rounds the numbers of wall clocks", "[sim][shrink][regression]") {
    const auto shrunk = [](Duration wrong_by, std::int32_t drift, auto&& fails) {
        const auto drawn = sim::Scenario{}.at(0s, sim::set_wall_clock("a", wrong_by, drift));
        return sim::detail::to_cpp(
            sim::detail::Shrink{drawn, 1000, fails}.run().steps().at(0).fault);
    };
    const auto one = [](const sim::Scenario& s) { return s.size() == 1; };
    const auto behind = [](const sim::Scenario& s) {
        return s.size() == 1 && s.steps()[0].fault.min <= -90s;
    };
    const auto drifts = [](const sim::Scenario& s) {
        return s.size() == 1 && s.steps()[0].fault.drift_ppm != 0;
    };
    CHECK(shrunk(1'234'567ms, 21, one) == "sim::set_wall_clock(\"a\", 0s)");
    CHECK(shrunk(-1'234'567ms, 21, behind) == "sim::set_wall_clock(\"a\", -20min)");
    CHECK(shrunk(-95'678ms, 21, behind) == "sim::set_wall_clock(\"a\", -95s)");
    CHECK(shrunk(1'234'567ms, 21, drifts) == "sim::set_wall_clock(\"a\", 0s, 21)");
}

TEST_CASE("Shrink reports that its limit of tries has ended it", "[sim][shrink][regression]") {
    const sim::Scenario drawn = twenty_faults(1);
    const NeedsFaults fails = needs_some(drawn, 3, 300ms, Seed{1});
    sim::detail::Shrink enough{drawn, 1000, fails};
    static_cast<void>(enough.run());
    CHECK_FALSE(enough.out_of_tries());
    sim::detail::Shrink exactly{drawn, enough.tries(), fails};
    static_cast<void>(exactly.run());
    CHECK_FALSE(exactly.out_of_tries());
    sim::detail::Shrink ended{drawn, enough.tries() - 1, fails};
    static_cast<void>(ended.run());
    CHECK(ended.out_of_tries());
}

TEST_CASE("Shrink leaves out the start of the clocks, unless it is needed", "[sim][shrink][unit]") {
    sim::Scenario drawn = twenty_faults(1);
    drawn.start_clocks(1s, 2s);
    for (const bool needed : {false, true}) {
        const auto fails = [&](const sim::Scenario& s) {
            return !s.empty() && (s.clocks().has_value() || !needed);
        };
        sim::detail::Shrink search{drawn, 60, fails};
        const sim::Scenario smallest = search.run();
        CHECK(smallest.size() == 1);
        CHECK(smallest.clocks().has_value() == needed);
    }
}
