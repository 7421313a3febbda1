// SPDX-License-Identifier: MIT
// Goal: each checker finds its planted violation, and passes on a near miss. Method: histories
// written by hand, in virtual time.
#include <belay/sim/history.hpp>

#include <belay/sim/world.hpp>

#include "support/aborts.hpp"
#include "support/catch.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

struct HistoryWorld {
    sim::World world{Seed{1}};
    sim::History h{world.clock()};
};

/// Whether a whole history satisfies at_most_once, and no_acknowledged_loss.
std::pair<bool, bool> judge_from_the_start(const sim::History& h) {
    std::map<sim::History::Id, int> effects;
    for (const sim::History::Id& id : h.effects()) ++effects[id];
    std::pair<bool, bool> right{true, true};
    for (const auto& [id, count] : effects) {
        if (count > 1 || !h.operations().contains(id)) right.first = false;
    }
    for (const auto& [id, o] : h.operations()) {
        const bool has_effect = effects.contains(id);
        if (o.contradictory) right.first = false;
        if (o.outcome == sim::History::Outcome::failed && has_effect) right.first = false;
        if (o.outcome == sim::History::Outcome::succeeded && !has_effect) right.second = false;
    }
    return right;
}

}  // namespace

TEST_CASE("at_most_once finds an operation that took effect twice", "[sim][history][unit]") {
    HistoryWorld w;
    w.h.invoke("a", 1);
    w.h.invoke("a", 2);
    w.h.invoke("b", 1);
    w.h.effect("a", 1);
    w.h.effect("b", 1);
    w.h.invoke("a", 1);  // another attempt
    CHECK(at_most_once(w.h).empty());
    w.h.effect("a", 1);
    CHECK(at_most_once(w.h) == "a 1 took effect 2 times");
}

TEST_CASE("at_most_once finds an effect without an operation", "[sim][history][unit]") {
    HistoryWorld w;
    w.h.invoke("a", 1);
    w.h.effect("a", 2);
    CHECK(at_most_once(w.h) == "a 2 was never invoked");
    w.h.invoke("a", 2);
    CHECK(at_most_once(w.h).empty());
}

TEST_CASE("at_most_once finds a failed operation that took effect", "[sim][history][unit]") {
    HistoryWorld w;
    w.h.invoke("a", 1);
    w.h.effect("a", 1);
    CHECK(at_most_once(w.h).empty());  // unknown: it may have taken effect
    w.h.fail("a", 1);
    CHECK(at_most_once(w.h) == "a 1 failed, and took effect");
}

TEST_CASE("at_most_once finds contradictory outcomes", "[sim][history][unit]") {
    HistoryWorld w;
    w.h.invoke("a", 1);
    w.h.succeed("a", 1);
    w.h.succeed("a", 1);
    CHECK(at_most_once(w.h).empty());
    w.h.fail("a", 1);
    CHECK(at_most_once(w.h) == "a 1 succeeded and failed");
}

TEST_CASE("no_acknowledged_loss finds an acknowledged operation without effect",
          "[sim][history][unit]") {
    HistoryWorld w;
    w.h.invoke("a", 1);
    w.h.invoke("a", 2);
    w.h.invoke("a", 3);
    w.h.effect("a", 1);
    w.h.succeed("a", 1);
    w.h.fail("a", 2);
    CHECK(no_acknowledged_loss(w.h).empty());  // 2 failed, and 3 is unknown
    w.h.succeed("a", 3);
    CHECK(no_acknowledged_loss(w.h) == "a 3 was acknowledged, and is lost");
    w.h.effect("a", 3);
    CHECK(no_acknowledged_loss(w.h).empty());
}

TEST_CASE("exactly_once finds both", "[sim][history][unit]") {
    HistoryWorld w;
    w.h.invoke("a", 1);
    CHECK(exactly_once(w.h).empty());
    w.h.succeed("a", 1);
    CHECK_FALSE(exactly_once(w.h).empty());
    w.h.effect("a", 1);
    CHECK(exactly_once(w.h).empty());
    w.h.effect("a", 1);
    CHECK_FALSE(exactly_once(w.h).empty());
}

TEST_CASE("at_most_once and no_acknowledged_loss agree with a check of the whole history",
          "[sim][history][property]") {
    for (std::uint64_t seed = 1; seed <= 300; ++seed) {
        HistoryWorld w;
        Random bits{Seed{seed}};
        for (int step = 0; step < 12; ++step) {
            const std::uint64_t number = uniform_upto(bits, 3);
            const bool is_there = w.h.operations().contains({"a", number});
            switch (uniform_upto(bits, 5)) {
                case 0:
                    if (is_there) w.h.fail("a", number);
                    break;
                case 1:
                    if (is_there) w.h.succeed("a", number);
                    break;
                case 2:
                    w.h.effect("a", number);
                    break;
                default:
                    w.h.invoke("a", number);
            }
            const auto [once, kept] = judge_from_the_start(w.h);
            INFO("seed " << seed << ", step " << step);
            REQUIRE(at_most_once(w.h).empty() == once);
            REQUIRE(no_acknowledged_loss(w.h).empty() == kept);
        }
    }
}

TEST_CASE("A History keeps only irregular operations for the checkers that run after every event",
          "[sim][history][unit]") {
    HistoryWorld w;
    for (std::uint64_t n = 1; n <= 100; ++n) {
        w.h.invoke("a", n);
        w.h.effect("a", n);
        w.h.succeed("a", n);
    }
    CHECK(w.h.irregular().empty());
    CHECK(w.h.lost().empty());
    w.h.effect("a", 7);
    CHECK(w.h.irregular() == std::set<sim::History::Id>{{"a", 7}});
}

TEST_CASE("order_per_key finds effects in another order than the invocations",
          "[sim][history][unit]") {
    HistoryWorld w;
    for (const std::uint64_t n : {1U, 2U, 3U, 4U}) {
        w.h.invoke("a", n);
        w.h.invoke("b", n);
    }
    w.h.effect("b", 3);
    w.h.effect("a", 1);  // another key
    w.h.effect("a", 3);  // 2 is missing
    w.h.effect("a", 3);
    w.h.effect("b", 4);
    CHECK(order_per_key(w.h).empty());
    w.h.effect("a", 2);
    CHECK(order_per_key(w.h) == "a 2 took effect after a 3, which was invoked later");
}

TEST_CASE("order_per_key uses the order of invocations, and not that of numbers",
          "[sim][history][unit]") {
    HistoryWorld w;
    w.h.invoke("a", 9);
    w.h.invoke("a", 1);
    w.h.effect("a", 9);
    w.h.effect("a", 1);
    CHECK(order_per_key(w.h).empty());
}

TEST_CASE("failures_reported finds a failure that was not reported", "[sim][history][unit]") {
    HistoryWorld w;
    w.h.invoke("a", 1);
    w.h.succeed("a", 1);
    w.h.invoke("a", 2);
    w.h.fail("a", 2);
    CHECK(failures_reported(w.h) == "a 2 failed, and was not reported");
    w.h.report("a", 2);
    CHECK(failures_reported(w.h).empty());
    w.h.invoke("a", 3);
    CHECK(failures_reported(w.h) == "a 3 failed, and was not reported");  // unknown for ever
    w.h.report("a", 3);
    CHECK(failures_reported(w.h).empty());
    w.h.report("a", 1);
    CHECK(failures_reported(w.h) == "a 1 succeeded, and was reported");
}

TEST_CASE("no_long_wait counts from the end of the faults", "[sim][history][unit]") {
    HistoryWorld w;
    w.h.invoke("a", 1);
    w.world.run_for(10s);
    w.h.invoke("a", 2);
    w.world.run_for(5s);
    w.h.succeed("a", 1);  // 5 s after the faults ended
    w.world.run_for(1s);
    w.h.succeed("a", 2);  // 6 s
    const Instant healed{10s};
    CHECK(no_long_wait(w.h, healed, 6s).empty());
    CHECK(no_long_wait(w.h, healed, 6s - 1ns) == "a 2 waited for 6s, the limit is 5999999999ns");
    CHECK_FALSE(no_long_wait(w.h, Instant{}, 6s).empty());
    // An operation without an outcome has waited until now.
    w.h.invoke("a", 3);
    w.world.run_for(7s);
    CHECK_FALSE(no_long_wait(w.h, healed, 6s).empty());
    CHECK(no_long_wait(w.h, healed, 7s).empty());
}

TEST_CASE("dial_rate finds the dial that exceeds the rate", "[sim][history][unit]") {
    HistoryWorld w;
    const auto dial_at = [&](Duration t) {
        w.world.run_for(Instant{t} - w.world.now());
        w.h.dial("a");
    };
    dial_at(0s);
    dial_at(1s);
    w.h.dial("b");
    dial_at(2s);
    dial_at(3s);
    CHECK(dial_rate(w.h, 3, 3s).empty());  // the fourth is 3 s after the first
    CHECK(dial_rate(w.h, 3, 3s + 1ns) == "a dialled 4 times within 3000000001ns, until 3.000 s");
    CHECK(dial_rate(w.h, 1, 1s).empty());
    CHECK_FALSE(dial_rate(w.h, 0, 1s).empty());
}

TEST_CASE("one_live_connection finds two at one time", "[sim][history][unit]") {
    HistoryWorld w;
    w.h.open("a");
    w.h.open("b");
    w.h.close("a");
    w.h.open("a");
    CHECK(one_live_connection(w.h).empty());
    w.h.open("a");
    w.h.close("a");
    CHECK(one_live_connection(w.h) == "a had 2 open connections");
}

TEST_CASE("converged finds the copy that differs", "[sim][history][unit]") {
    CHECK(sim::converged({}).empty());
    CHECK(sim::converged({{"a", "x"}}).empty());
    CHECK(sim::converged({{"a", "x"}, {"b", "x"}, {"c", "x"}}).empty());
    CHECK(sim::converged({{"a", "x"}, {"b", "x"}, {"c", "x "}}) == "a has \"x\", and c has \"x \"");
}

TEST_CASE("History aborts on an end without a beginning", "[sim][history][unit]") {
    CHECK(aborts_with([] { HistoryWorld{}.h.succeed("a", 1); }).find("invoked") !=
          std::string::npos);
    CHECK(aborts_with([] { HistoryWorld{}.h.report("a", 1); }).find("invoked") !=
          std::string::npos);
    CHECK(aborts_with([] { HistoryWorld{}.h.close("a"); }).find("open") != std::string::npos);
}

TEST_CASE("History counts outcomes", "[sim][history][unit]") {
    HistoryWorld w;
    for (const std::uint64_t n : {1U, 2U, 3U, 4U}) w.h.invoke("a", n);
    w.h.succeed("a", 1);
    w.h.succeed("a", 2);
    w.h.fail("a", 3);
    CHECK(w.h.count(sim::History::Outcome::succeeded) == 2);
    CHECK(w.h.count(sim::History::Outcome::failed) == 1);
    CHECK(w.h.count(sim::History::Outcome::unknown) == 1);
}
