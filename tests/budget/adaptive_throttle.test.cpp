// SPDX-License-Identifier: MIT
// Goal: rejections follow the formula of the SRE book, and some calls always reach a silent peer.
// Method: virtual time, fixed seeds, and threads.
#include <belay/budget/adaptive_throttle.hpp>

#include <atomic>
#include <thread>
#include <type_traits>
#include <vector>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/call/retry.hpp>
#include <belay/policy/policy.hpp>
#include <belay/policy/rules.hpp>
#include <belay/policy/shared.hpp>

#include "support/aborts.hpp"
#include "support/archetypes.hpp"
#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;

namespace {

constinit AdaptiveThrottle static_throttle;
using ThrottlePermit = AdaptiveThrottle::Permit;

struct ThrottleBench {
    AdaptiveThrottle throttle;
    Instant now{1000s};
    Random bits{Seed{1}};

    constexpr explicit ThrottleBench(AdaptiveThrottleOptions options = {}) : throttle{options} {}

    constexpr ThrottlePermit acquire() {
        Turn turn{now, bits};
        return throttle.acquire(turn);
    }
    // Makes `count` attempts, rejected or not; returns how many of them reached the peer.
    constexpr int attempt(int count, bool works) {
        Turn turn{now, bits};
        int made = 0;
        for (int i = 0; i < count; ++i) {
            ThrottlePermit permit = throttle.acquire(turn);
            if (!permit) continue;
            ++made;
            works ? permit.success(turn) : static_cast<void>(permit.failure(turn));
        }
        return made;
    }
    [[nodiscard]] constexpr std::uint32_t rejected() const {
        return throttle.rejected_per_thousand(now);
    }
};

}  // namespace

static_assert(!std::is_move_constructible_v<AdaptiveThrottle>);
static_assert(!part::ReservableLike<AdaptiveThrottle>,
              "it applies to all attempts, and not only to retries");
static_assert(!std::is_copy_constructible_v<ThrottlePermit> && sizeof(ThrottlePermit) <= 24);

TEST_CASE("AdaptiveThrottle may be a constant-initialized static",
          "[budget][adaptive_throttle][unit]") {
    CHECK(static_throttle.rejected_per_thousand(Instant{}) == 0);
}

TEST_CASE("AdaptiveThrottle rejects no attempt, and draws nothing, while enough attempts succeed",
          "[budget][adaptive_throttle][unit]") {
    STATIC_REQUIRE([] {
        ThrottleBench b;
        bool ok = b.attempt(20, true) == 20;
        // K is 2: the same number of attempts may fail.
        ok = ok && b.attempt(20, false) == 20 && b.rejected() == 0;
        return ok && b.bits() == Random{Seed{1}}();
    }());
}

TEST_CASE("AdaptiveThrottle rejects by the formula", "[budget][adaptive_throttle][unit]") {
    STATIC_REQUIRE([] {
        // (r - K * a) / (r + 1), in thousandths, rounded down.
        ThrottleBench b;
        b.attempt(10, true);
        b.attempt(10, false);
        bool ok = b.rejected() == 0;
        b.attempt(1, false);
        ok = ok && b.rejected() == 1000 / 22;
        return ok;
    }());
    STATIC_REQUIRE([] {
        // A smaller K rejects earlier.
        ThrottleBench b{{.attempts_per_thousand = 1100}};
        b.attempt(10, true);
        b.attempt(1, false);
        bool ok = b.rejected() == 0;
        b.attempt(1, false);
        return ok && b.rejected() == 1000 / 13;
    }());
    // Rejections count as attempts, too, as in the book.
    ThrottleBench b;
    b.attempt(1, false);
    CHECK(b.rejected() == 500);
    while (const auto permit = b.acquire()) {
    }
    CHECK(b.rejected() == 666);
}

TEST_CASE("AdaptiveThrottle always lets some attempts reach the peer",
          "[budget][adaptive_throttle][unit]") {
    // Pitfall 26: with the plain formula, of 10'000 attempts without any success about 10 would.
    ThrottleBench b;
    b.attempt(1000, false);
    CHECK(b.rejected() == 900);
    const int made = b.attempt(10'000, false);
    CHECK(made > 900);
    CHECK(made < 1100);
    CHECK(b.rejected() == 900);
    ThrottleBench open{{.rejected_per_thousand_max = 0}};
    CHECK(open.attempt(1000, false) == 1000);
}

TEST_CASE("AdaptiveThrottle recovers with the peer", "[budget][adaptive_throttle][unit]") {
    ThrottleBench b;
    b.attempt(2000, false);
    CHECK(b.rejected() == 900);
    int rounds = 0;
    while (b.rejected() > 0) {
        b.now += 1s;
        b.attempt(100, true);
        REQUIRE(++rounds < 1000);
    }
    // The first successes are few, and the failures leave the window: less than two windows.
    CHECK(rounds < 240);
}

TEST_CASE("AdaptiveThrottle returns when to try again after a rejection",
          "[budget][adaptive_throttle][unit]") {
    ThrottleBench b{{.ask_again = 250ms}};
    b.attempt(100, false);
    for (;;) {
        const ThrottlePermit permit = b.acquire();
        if (permit) continue;
        CHECK(permit.retry_at() == b.now + 250ms);
        CHECK(permit.advice() == Advice::suspend(b.now + 250ms));
        break;
    }
    CHECK(b.throttle.admit(b.now) == Advice::go());
}

TEST_CASE("AdaptiveThrottle does not count planned, abandoned or dropped attempts",
          "[budget][adaptive_throttle][unit]") {
    ThrottleBench b;
    Shared rule{b.throttle};
    Turn turn{b.now, b.bits};
    for (int i = 0; i < 10; ++i) {
        CHECK(rule.begin(turn).verb == Advice::Verb::go);
        CHECK(rule.failed(Failure{Cause::planned}, turn).verb == Advice::Verb::go);
        CHECK(rule.begin(turn).verb == Advice::Verb::go);
        rule.abandoned(turn);
        static_cast<void>(b.acquire());
    }
    CHECK(b.rejected() == 0);
    CHECK(rule.begin(turn).verb == Advice::Verb::go);
    CHECK(rule.failed(Failure{Cause::lost}, turn).verb == Advice::Verb::go);
    CHECK(b.rejected() == 500);
}

TEST_CASE("AdaptiveThrottle works with clocks that stand still, step back or jump",
          "[budget][adaptive_throttle][unit]") {
    // Pitfall 11: a long gap clears the window in one step.
    ThrottleBench b;
    b.attempt(100, false);
    b.now -= 10s;
    CHECK(b.rejected() == 900);
    b.now += 24h * 365 * 100;
    CHECK(b.rejected() == 0);
    b.attempt(100, false);
    // An old turn does not clear the window for the others.
    const Instant now = b.now;
    b.now = always;
    CHECK(b.rejected() == 900);
    b.attempt(100, false);
    b.now = now;
    CHECK(b.rejected() == 900);
    b.now = never;
    CHECK(b.rejected() == 0);
}

TEST_CASE("AdaptiveThrottle in a retry waits and tries again",
          "[budget][adaptive_throttle][unit]") {
    Random bits{Seed{1}};
    belay_test::MinimalSleeper sleeper{bits};
    AdaptiveThrottle throttle;
    const Policy policy{Backoff{NoJitter{}, Cap{10ms}, 10ms}, Shared{throttle}, MaxAttempts{20}};
    const Instant start = sleeper.now();
    int calls = 0;
    CHECK_FALSE(retry(policy, sleeper, [&] { return ++calls, false; }).has_value());
    CHECK(calls == 20);
    // Most of the time, the retry waited for the throttle.
    CHECK(sleeper.now() - start > 10s);
}

TEST_CASE("AdaptiveThrottle never rejects fewer attempts when more of them fail",
          "[budget][adaptive_throttle][property]") {
    CHECK(rc::check("monotone in failures, antitone in successes, never above the bound", [] {
        const AdaptiveThrottleOptions options{
            .attempts_per_thousand = *rc::gen::inRange<std::uint32_t>(1000, 5000),
            .rejected_per_thousand_max = *rc::gen::inRange<std::uint32_t>(0, 1000)};
        ThrottleBench b{options};
        for (const int event : *rc::gen::container<std::vector<int>>(rc::gen::inRange(0, 3))) {
            const std::uint32_t before = b.rejected();
            ThrottlePermit permit = b.acquire();
            if (!permit) {
                RC_ASSERT(b.rejected() >= before);
                continue;
            }
            Turn turn{b.now, b.bits};
            if (event == 0) permit.success(turn);
            if (event == 0) RC_ASSERT(b.rejected() <= before);
            if (event == 1) static_cast<void>(permit.failure(turn));
            if (event == 1) RC_ASSERT(b.rejected() >= before);
            if (event == 2) permit.neutral();
            if (event == 2) RC_ASSERT(b.rejected() == before);
            RC_ASSERT(b.rejected() <= options.rejected_per_thousand_max);
        }
    }));
}

TEST_CASE("AdaptiveThrottle is correct after any mix of verdicts from threads",
          "[budget][adaptive_throttle][unit]") {
    // The counts are even, so that almost no attempt is rejected.
    AdaptiveThrottle throttle{{.rejected_per_thousand_max = 1}};
    const auto work = [&](std::uint64_t seed) {
        Random bits{Seed{seed}};
        Turn turn{Instant{1000s}, bits};
        for (int i = 0; i < 20'000; ++i) {
            throttle.acquire(turn).success(turn);
            static_cast<void>(throttle.acquire(turn).failure(turn));
            throttle.acquire(turn).neutral();
        }
    };
    std::vector<std::thread> threads;
    for (std::uint64_t t = 1; t <= 4; ++t) threads.emplace_back(work, t);
    for (auto& t : threads) t.join();
    // 80'000 of 160'000 succeeded. One more failure exceeds the limit, because K is 2.
    CHECK(throttle.rejected_per_thousand(Instant{1000s}) == 0);
    Random bits{Seed{9}};
    Turn turn{Instant{1000s}, bits};
    for (int i = 0; i < 200; ++i) static_cast<void>(throttle.acquire(turn).failure(turn));
    CHECK(throttle.rejected_per_thousand(Instant{1000s}) == 1);
    for (int i = 0; i < 100; ++i) throttle.acquire(turn).success(turn);
    CHECK(throttle.rejected_per_thousand(Instant{1000s}) == 0);
}

TEST_CASE("AdaptiveThrottle::set_options changes the numbers of a throttle that callers use",
          "[budget][adaptive_throttle][unit]") {
    AdaptiveThrottle throttle;
    Random bits{Seed{1}};
    Turn turn{Instant{1000s}, bits};
    for (int i = 0; i < 50; ++i) throttle.acquire(turn).success(turn);
    for (int i = 0; i < 50; ++i) static_cast<void>(throttle.acquire(turn).failure(turn));
    REQUIRE(throttle.rejected_per_thousand(turn.now) == 0);  // 100 attempts, 50 of which succeeded
    throttle.set_options({.attempts_per_thousand = 1000, .ask_again = 7s});
    CHECK(throttle.options().attempts_per_thousand == 1000);
    CHECK(throttle.rejected_per_thousand(turn.now) == 495);
    throttle.set_options(
        {.attempts_per_thousand = 1000, .rejected_per_thousand_max = 100, .ask_again = 7s});
    CHECK(throttle.rejected_per_thousand(turn.now) == 100);
    Instant retry_at = always;
    for (int i = 0; i < 200 && retry_at == always; ++i) {
        auto permit = throttle.acquire(turn);
        if (!permit) retry_at = permit.retry_at();
    }
    CHECK(retry_at == Instant{1007s});
    // Another window starts empty.
    throttle.set_options({.window = 60s, .attempts_per_thousand = 1000});
    CHECK(throttle.rejected_per_thousand(turn.now) == 0);
    CHECK(belay_test::aborts_with([&] {
              throttle.set_options({.rejected_per_thousand_max = 1000});
          }).find("rejected_per_thousand_max must be < 1000") != std::string::npos);
}

TEST_CASE("AdaptiveThrottle aborts on invalid options", "[budget][adaptive_throttle][unit]") {
    CHECK(belay_test::aborts_with([] {
              static_cast<void>(AdaptiveThrottle{AdaptiveThrottleOptions{.window = 0ns}});
          }).find("the length must be > 0ns") != std::string::npos);
    CHECK(belay_test::aborts_with([] {
              static_cast<void>(
                  AdaptiveThrottle{AdaptiveThrottleOptions{.attempts_per_thousand = 999}});
          }).find("attempts_per_thousand must be in") != std::string::npos);
    CHECK(belay_test::aborts_with([] {
              static_cast<void>(
                  AdaptiveThrottle{AdaptiveThrottleOptions{.attempts_per_thousand = 1'000'001}});
          }).find("attempts_per_thousand must be in") != std::string::npos);
    CHECK(belay_test::aborts_with([] {
              static_cast<void>(
                  AdaptiveThrottle{AdaptiveThrottleOptions{.rejected_per_thousand_max = 1000}});
          }).find("rejected_per_thousand_max must be < 1000") != std::string::npos);
    CHECK(belay_test::aborts_with([] {
              static_cast<void>(AdaptiveThrottle{AdaptiveThrottleOptions{.ask_again = 0ns}});
          }).find("ask_again must be > 0ns") != std::string::npos);
}
