// SPDX-License-Identifier: MIT
// Goal: DecorrelatedJitter draws between the base and three times the last wait, uniformly under
// the cap. Method: ranges, means and fixed sequences.
#include <belay/backoff/jitters.hpp>

#include <belay/backoff/caps.hpp>

#include "support/backoff/wait_samples.hpp"
#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::wait_samples;

static_assert(std::same_as<decltype(Backoff{DecorrelatedJitter{}, Cap{30s}, 1s}),
                           Backoff<DecorrelatedJitter, Cap, Constant>>);
static_assert(sizeof(Backoff<DecorrelatedJitter, Cap>) == 40);

TEST_CASE("DecorrelatedJitter::range reaches from the base to three times the last wait",
          "[backoff][decorrelated_jitter][unit]") {
    constexpr Backoff backoff{DecorrelatedJitter{}, Cap{30s}, 1s};
    STATIC_REQUIRE(backoff.max_delay(0) == 3s);
    STATIC_REQUIRE(backoff.max_delay(1) == 9s);
    STATIC_REQUIRE(backoff.max_delay(2) == 27s);
    STATIC_REQUIRE(backoff.max_delay(3) == 30s);
    STATIC_REQUIRE(backoff.max_delay(~std::uint64_t{0}) == 30s);
    STATIC_REQUIRE(backoff.min_delay(~std::uint64_t{0}) == 1s);
    for (const std::uint64_t n : belay_test::awkward_attempts) {
        CHECK(Backoff{DecorrelatedJitter{}, NoCap{}, 1ns}.max_delay(n) >= 3ns);
        CHECK(Backoff{DecorrelatedJitter{}, NoCap{}, forever}.max_delay(n) == forever);
    }
}

TEST_CASE("DecorrelatedJitter needs a range between the base and the cap",
          "[backoff][decorrelated_jitter][unit]") {
    // All clients would wait exactly the base, each time.
    using B = Backoff<DecorrelatedJitter, Cap>;
    STATIC_REQUIRE(B::check({}, Cap{1s}, Constant{1s}) == BackoffErrc::bad_cap);
    STATIC_REQUIRE(B::check({}, Cap{1s + 1ns}, Constant{1s}) == BackoffErrc{});
}

TEST_CASE("DecorrelatedJitter draws from the base to three times the last wait",
          "[backoff][decorrelated_jitter][property]") {
    CHECK(rc::check("base <= wait <= 3 * before, <= cap", [](std::uint64_t seed) {
        const auto length = rc::gen::oneOf(rc::gen::inRange<Duration::rep>(1, 1000),
                                           rc::gen::positive<Duration::rep>());
        const Duration a{*length};
        const Duration b{*length};
        const Duration base = a < b ? a : b;
        const Duration cap = a < b ? b : a;
        RC_PRE(base < cap);
        Backoff backoff{DecorrelatedJitter{}, Cap{cap}, base, Seed{seed}};
        Duration before = base;
        for (std::uint64_t n = 0; n < 100; ++n) {
            const Duration wait = backoff.next();
            RC_ASSERT(wait >= base);
            RC_ASSERT(wait <= cap);
            RC_ASSERT(wait <= part::saturating_multiply(before, 3));
            RC_ASSERT(wait <= backoff.max_delay(n));
            before = wait;
        }
    }));
}

TEST_CASE("DecorrelatedJitter reaches both ends of its first wait, and their mean",
          "[backoff][decorrelated_jitter][unit]") {
    const auto first = wait_samples(Backoff{DecorrelatedJitter{}, NoCap{}, 1000ns}, 0, 100'000);
    CHECK(first.least == 1000ns);
    CHECK(first.most == 3000ns);
    CHECK(first.mean > 1994);
    CHECK(first.mean < 2006);
}

TEST_CASE("DecorrelatedJitter does not accumulate waits at the cap",
          "[backoff][decorrelated_jitter][regression]") {
    // The original leaves 36 % of the late draws exactly on the cap.
    const auto late = wait_samples(Backoff{DecorrelatedJitter{}, Cap{30s}, 1s}, 20, 20'000);
    CHECK(late.on_top <= 1);
    CHECK(late.least < 1010ms);
    CHECK(late.most > 29'900ms);
}

TEST_CASE("DecorrelatedJitter starts again from the base after a reset",
          "[backoff][decorrelated_jitter][unit]") {
    Backoff backoff{DecorrelatedJitter{}, Cap{1h}, 1s, Seed{1}};
    for (int round = 0; round < 200; ++round) {
        for (int i = 0; i < 8; ++i) static_cast<void>(backoff.next());
        backoff.reset();
        CHECK(backoff.next() <= 3s);
        backoff.reset();
    }
    CHECK(DecorrelatedJitter{} == [] {
        DecorrelatedJitter jitter;
        Random bits{Seed{1}};
        static_cast<void>(jitter.delay({1s, 3s}, 0, bits));
        jitter.reset();
        return jitter;
    }());
}

TEST_CASE("DecorrelatedJitter draws the same sequence for ever",
          "[backoff][decorrelated_jitter][golden]") {
    STATIC_REQUIRE([] {
        Backoff backoff{DecorrelatedJitter{}, Cap{30s}, 1s, Seed{7}};
        return backoff.next().count() == 2'443'016'361 && backoff.next().count() == 5'112'010'635 &&
               backoff.next().count() == 8'875'847'850;
    }());
}
