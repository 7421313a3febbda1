// SPDX-License-Identifier: MIT
// Goal: an exploration is one line in a test of GoogleTest, and an assertion that fails in its body
// is a failure of a seed. Method: a program of GoogleTest whose assertions fail in child processes.
#include <cstdint>
#include <cstdio>

#include <gtest/gtest.h>

#include <belay/sim/explore.hpp>

using namespace belay;
using namespace std::chrono_literals;

namespace {

constexpr sim::ScenarioOptions one_kill{.kills = 1, .within = 1s};

/// The environment must not change what this program checks.
sim::ExploreOptions quiet(std::uint64_t (*count)() = nullptr) {
    return {.seeds = 20,
            .scenario = one_kill,
            .failed_assertions = count,
            .print = false,
            .environment = false};
}

/// A world with one host.   Returns: how often its process has started.
std::uint64_t starts_in(sim::World& world) {
    const sim::Host& host = world.host("a", [](sim::Host& h) { h.after(1s, [] {}); });
    world.run_for(2s);
    return host.starts();
}
bool runs(sim::World& world) { return starts_in(world) >= 1; }
bool fails(sim::World& world) { return world.require("no process starts", starts_in(world) == 0); }
/// In the form of docs/reference/explorations.md.
std::uint64_t failed_assertions() {
    const auto* const test = testing::UnitTest::GetInstance()->current_test_info();
    std::uint64_t failed = 0;
    for (int i = 0; test != nullptr && i < test->result()->total_part_count(); ++i) {
        if (test->result()->GetTestPartResult(i).failed()) ++failed;
    }
    return failed;
}

}  // namespace

TEST(Explore, IsOneLine) {
    EXPECT_TRUE(sim::explore(quiet(), runs));
    const sim::Report report = sim::explore(quiet(), fails);
    EXPECT_FALSE(report);
    EXPECT_NE(testing::PrintToString(report).find("seed 1 fails"), std::string::npos);
}

TEST(Explore, ReportsNoSeedOfASuccess) {
    EXPECT_TRUE(sim::explore(quiet(failed_assertions), [](sim::World& world) {
        SUCCEED();
        return runs(world);
    }));
}

TEST(Explore, ReportsTheSeedOfAnAssertion) {
    for (std::uint64_t (*const count)() : {&failed_assertions, decltype(&failed_assertions){}}) {
        const sim::Report report = sim::explore(quiet(count), [](sim::World& world) {
            EXPECT_EQ(starts_in(world), 1U);
            return true;
        });
        ASSERT_TRUE(report.failing);
        EXPECT_EQ(report.failing->property, "an assertion of the test framework failed");
        EXPECT_EQ(report.failing->smallest.size(), 1U);
    }
}

int main(int count, char** arguments) {
    testing::InitGoogleTest(&count, arguments);
    // Outside of a test, GoogleTest counts no assertion.
    const bool counts_none = failed_assertions() == 0;
    const bool right = counts_none && RUN_ALL_TESTS() == 0 &&
                       testing::UnitTest::GetInstance()->successful_test_count() == 3;
    std::puts(right ? "passed" : "FAILED");
    return right ? 0 : 1;
}
