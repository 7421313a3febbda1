// SPDX-License-Identifier: MIT
// Goal: a policy makes exactly the given number of attempts. Other events in between do not count.
// Method: examples.
#include <belay/policy/rules.hpp>

#include <limits>

#include <belay/policy/policy.hpp>

#include "support/catch.hpp"

using namespace belay;

namespace {

template <class R>
constexpr std::uint64_t attempts_until_stop(R rule, std::uint64_t most) {
    Random bits{Seed{1}};
    Turn turn{Instant{}, bits};
    for (std::uint64_t n = 1; n <= most; ++n) {
        if (rule.admit(turn.now).verb != Advice::Verb::go) return n - 1;
        if (rule.failed(Failure{Cause::lost}, turn).verb == Advice::Verb::stop) return n;
    }
    return most + 1;
}

}  // namespace

TEST_CASE("MaxAttempts counts the first attempt", "[policy][max_attempts][unit]") {
    STATIC_REQUIRE(attempts_until_stop(MaxAttempts{1}, 10) == 1);
    STATIC_REQUIRE(attempts_until_stop(MaxAttempts{5}, 10) == 5);
    constexpr auto most = std::numeric_limits<std::uint64_t>::max();
    STATIC_REQUIRE(attempts_until_stop(MaxAttempts{most}, 100) == 101);
}

TEST_CASE("MaxAttempts returns stop until it is reset", "[policy][max_attempts][unit]") {
    Random bits{Seed{1}};
    Turn turn{Instant{}, bits};
    MaxAttempts rule{2};
    static_cast<void>(rule.failed(Failure{Cause::lost}, turn));
    static_cast<void>(rule.failed(Failure{Cause::lost}, turn));
    CHECK(rule.admit(turn.now).verb == Advice::Verb::stop);
    CHECK(rule.failed(Failure{Cause::lost}, turn).verb == Advice::Verb::stop);
    rule.reset();
    CHECK(rule == MaxAttempts{2});
    CHECK(rule.admit(turn.now).verb == Advice::Verb::go);
}

TEST_CASE("MaxAttempts counts neither planned, abandoned nor lost attempts",
          "[policy][max_attempts][property]") {
    CHECK(rc::check("the n-th failure since the last success stops", [] {
        const auto most = *rc::gen::inRange<std::uint64_t>(1, 6);
        Policy attempts{MaxAttempts{most}};
        Random bits{Seed{1}};
        Turn turn{Instant{}, bits};
        std::uint64_t failures = 0;
        for (const int event : *rc::gen::container<std::vector<int>>(rc::gen::inRange(0, 6))) {
            if (event == 0) {
                attempts.abandoned(turn);
            } else if (event == 1) {
                static_cast<void>(attempts.failed(Failure{Cause::planned}, turn));
            } else if (event == 2) {
                static_cast<void>(attempts.lost(Failure{Cause::lost}, turn));
            } else if (event == 3) {
                attempts.succeeded(turn);
                failures = 0;
            } else {
                const Advice advice = attempts.failed(Failure{Cause::lost}, turn);
                ++failures;
                RC_ASSERT((advice.verb == Advice::Verb::stop) == (failures >= most));
            }
            RC_ASSERT((attempts.admit(turn.now).verb == Advice::Verb::stop) == (failures >= most));
        }
    }));
}
