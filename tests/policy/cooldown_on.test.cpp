// SPDX-License-Identifier: MIT
// Goal: one cause has its own wait, exactly within its bounds; other causes are not affected.
// Method: examples and fixed draws.
#include <belay/policy/rules.hpp>

#include <algorithm>

#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;

TEST_CASE("CooldownOn waits between its bounds, both included", "[policy][cooldown_on][unit]") {
    const CooldownOn rule{Cause::overloaded, 5ns, 15ns};
    Random bits{Seed{1}};
    Turn turn{Instant{} + 1h, bits};
    Duration least = forever;
    Duration most{};
    for (int i = 0; i < 1000; ++i) {
        const Advice advice = rule.failed(Failure{Cause::overloaded}, turn);
        CHECK(advice.verb == Advice::Verb::wait_exactly);
        least = std::min(least, advice.until - turn.now);
        most = std::max(most, advice.until - turn.now);
    }
    CHECK(least == 5ns);
    CHECK(most == 15ns);
    CHECK(rule.lost(Failure{Cause::overloaded}, turn).verb == Advice::Verb::wait_exactly);
}

TEST_CASE("CooldownOn ignores other causes, and draws nothing for them",
          "[policy][cooldown_on][unit]") {
    const CooldownOn rule{Cause::overloaded, 5s, 15s};
    Random bits;
    Turn turn{Instant{}, bits};
    for (int c = 0; c <= static_cast<int>(Cause::unauthorized); ++c) {
        const auto cause = static_cast<Cause>(c);
        if (cause == Cause::overloaded) continue;
        CHECK(rule.failed(Failure{.cause = cause, .retry_after = 1h}, turn) == Advice::go());
        CHECK(rule.lost(Failure{.cause = cause, .retry_after = 1h}, turn) == Advice::go());
    }
    CHECK_FALSE(bits.seeded());
}

TEST_CASE("CooldownOn waits as long as the server requested, if that is longer",
          "[policy][cooldown_on][unit]") {
    const CooldownOn rule{Cause::overloaded, 5s, 15s};
    Random bits{Seed{1}};
    Turn turn{Instant{}, bits};
    const auto wait = [&](Duration asked) {
        return rule.failed(Failure{.cause = Cause::overloaded, .retry_after = asked}, turn).until -
               turn.now;
    };
    CHECK(wait(60s) == 60s);
    CHECK(wait(1s) >= 5s);
    CHECK(wait(1s) <= 15s);
    CHECK(wait(-1s) >= 5s);
    CHECK(rule.failed(Failure{.cause = Cause::overloaded, .retry_after = forever}, turn).until ==
          never);
}

TEST_CASE("CooldownOn accepts equal and extreme bounds", "[policy][cooldown_on][unit]") {
    Random bits{Seed{1}};
    Turn turn{Instant{}, bits};
    CHECK(CooldownOn{Cause::lost, 0s, 0s}.failed(Failure{Cause::lost}, turn).until == turn.now);
    CHECK(CooldownOn{Cause::lost, 7s, 7s}.failed(Failure{Cause::lost}, turn).until ==
          turn.now + 7s);
    CHECK(CooldownOn{Cause::lost, forever, forever}.failed(Failure{Cause::lost}, turn).until ==
          never);
    CHECK(CooldownOn{Cause::lost, 0ns, forever}.failed(Failure{Cause::lost}, turn).until >=
          turn.now);
}

TEST_CASE("CooldownOn draws the same waits for ever", "[policy][cooldown_on][golden]") {
    Random bits{Seed{7}};
    Turn turn{Instant{}, bits};
    const CooldownOn rule{Cause::overloaded, 5s, 15s};
    CHECK((rule.failed(Failure{Cause::overloaded}, turn).until - turn.now).count() ==
          12'215'081'806);
    CHECK((rule.failed(Failure{Cause::overloaded}, turn).until - turn.now).count() ==
          11'497'043'365);
}
