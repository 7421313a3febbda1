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

TEST_CASE("Shrink leaves no single fault that is not needed, even if faults mask each other",
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
