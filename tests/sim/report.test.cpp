// SPDX-License-Identifier: MIT
// Goal: a report is readable and converts to the verdict. Method: reports written by hand.
#include <belay/sim/report.hpp>

#include <sstream>

#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;

TEST_CASE("Report::summary is one line, which a stream prints", "[sim][report][unit]") {
    sim::Report report;
    report.seeds_wanted = 10;
    report.seeds_run = 4;
    report.events = 100;
    report.faults = 7;
    CHECK(report);
    CHECK(report.summary() == "4 of 10 seeds ran, 100 events, 7 faults");
    report.out_of_budget = true;
    report.problem = "too few";
    CHECK_FALSE(report);
    CHECK(report.summary() ==
          "too few (4 of 10 seeds ran, 100 events, 7 faults, ended by the budget)");
    std::ostringstream out;
    out << report;
    CHECK(out.str() == report.summary());
}

TEST_CASE("Report::text prints a failure as a text and as C++", "[sim][report][golden]") {
    sim::Report report;
    report.seeds_wanted = report.seeds_run = 3;
    report.problem = "seed 3 fails: always \"one\"";
    report.marks["opened"] = 2;
    report.failing =
        sim::Failing{.seed = Seed{3},
                     .property = "always \"one\"",
                     .details = "there were two",
                     .hash = 0xABC,
                     .drawn = sim::Scenario{}.at(1s, sim::kill("a")).at(2s, sim::kill("b")),
                     .smallest = sim::Scenario{}.at(1s, sim::kill("a")),
                     .shrink_worlds = 4,
                     .diagram = "(diagram)\n"};
    CHECK(report.text() ==
          R"(seed 3 fails: always "one" (3 of 3 seeds ran, 0 events, 0 faults)
  opened: reached in 2 worlds
seed 3, hash 0000000000000abc, 2 faults drawn, 1 needed (4 worlds to find them)
always "one": there were two
Run it alone with BELAY_SIM_SEED=3 (and BELAY_SIM_TRACE=1 for the whole history), or add it as a test:

    CHECK(sim::explore({.seed = Seed{3}, .play = sim::Scenario{}
        .at(1s, sim::kill("a"))}, body));

(diagram)
)");
    report.failing->shrink_ended = true;
    CHECK(report.text().find("1 needed (4 worlds to find them, the limit; a higher "
                             "shrink_worlds_max may find a smaller scenario)\n") !=
          std::string::npos);
}
