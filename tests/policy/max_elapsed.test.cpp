// SPDX-License-Identifier: MIT
// Goal: no attempt starts too late, and a wait that would end too late does not begin. Method:
// timelines at compile time.
#include <belay/policy/rules.hpp>

#include <type_traits>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/call/retry.hpp>
#include <belay/policy/policy.hpp>

#include "support/aborts.hpp"
#include "support/archetypes.hpp"
#include "support/catch.hpp"
#include "support/shorthand.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::lost;

namespace {

template <class P>
struct Run {
    P policy;
    Instant now{1000s};
    Random bits{Seed{1}};

    constexpr explicit Run(P p) : policy{p} {}

    template <class F>
    constexpr auto at(Duration later, F f) {
        now += later;
        Turn turn{now, bits};
        return f(policy, turn);
    }
    constexpr void want(Duration later = 0s) {
        at(later, [](auto& p, Turn& t) { p.wanted(t); });
    }
    constexpr void begin(Duration later = 0s) {
        at(later, [](auto& p, Turn& t) { static_cast<void>(p.begin(t)); });
    }
    constexpr Advice fail(Duration later = 0s, Failure failure = lost) {
        return at(later, [&](auto& p, Turn& t) { return p.failed(failure, t); });
    }
    constexpr Advice lose(Duration later = 0s) {
        return at(later, [&](auto& p, Turn& t) { return p.lost(lost, t); });
    }
    constexpr void abandon(Duration later = 0s) {
        at(later, [](auto& p, Turn& t) { p.abandoned(t); });
    }
    constexpr void succeed(Duration later = 0s) {
        at(later, [](auto& p, Turn& t) { p.succeeded(t); });
    }
    constexpr Advice::Verb admit(Duration later = 0s) {
        return at(later, [](auto& p, Turn& t) { return p.admit(t.now).verb; });
    }
};

// A rule with waits of one second.
constexpr auto limited(Duration most) {
    return Run{Policy{Backoff{NoJitter{}, Cap{1s}, 1s}, MaxElapsed{most}}};
}

// A rule that rejects every attempt that begins.
struct Rejects {
    Duration wait;
    constexpr Advice begin(Turn& turn) const noexcept {
        return Advice::suspend(after(turn.now, wait));
    }
};

}  // namespace

static_assert(std::is_trivially_copyable_v<MaxElapsed> && sizeof(MaxElapsed) <= 32);
static_assert(MaxElapsed{1s} == MaxElapsed{1s} && MaxElapsed{1s} != MaxElapsed{2s});

TEST_CASE("MaxElapsed adds the next wait to the time that has passed since the first begin",
          "[policy][max_elapsed][unit]") {
    STATIC_REQUIRE([] {
        auto run = limited(3s);
        run.begin();
        // 2 s have passed, and the wait is 1 s: exactly the limit.
        bool ok = run.fail(2s) == Advice{Advice::Verb::wait_at_least, run.now + 1s, "Backoff"};
        run.begin(1s);
        ok = ok && run.fail() == Advice{Advice::Verb::stop, never, "MaxElapsed"};
        return ok;
    }());
    STATIC_REQUIRE([] {
        auto run = limited(3s - 1ns);
        run.begin();
        return run.fail(2s).verb == Advice::Verb::stop;
    }());
}

TEST_CASE("MaxElapsed fails at once, without a wait, when a server's hint ends too late",
          "[policy][max_elapsed][unit]") {
    STATIC_REQUIRE([] {
        auto run = limited(60s);
        run.begin();
        bool ok = run.fail(0s, Failure{.cause = Cause::overloaded, .retry_after = 60s}).verb ==
                  Advice::Verb::wait_at_least;
        run.begin();
        ok = ok && run.fail(0s, Failure{.cause = Cause::overloaded, .retry_after = 60s + 1ns}) ==
                       Advice{Advice::Verb::stop, never, "MaxElapsed"};
        return ok;
    }());
    // The combined wait counts, whichever rule advises it.
    Run run{Policy{MaxElapsed{10s}, CooldownOn{Cause::overloaded, 11s, 11s},
                   Backoff{NoJitter{}, Cap{1s}, 1s}}};
    run.begin();
    CHECK(run.fail().verb == Advice::Verb::wait_at_least);
    run.begin();
    CHECK(run.fail(0s, Failure{Cause::overloaded}).verb == Advice::Verb::stop);
}

TEST_CASE("MaxElapsed is restarted by a success or a reset, and not by a short connection",
          "[policy][max_elapsed][unit]") {
    // Pitfall 10: without this, a connection that opens and closes at once would be tried for ever.
    STATIC_REQUIRE([] {
        auto run = limited(10s);
        bool ok = run.lose().verb == Advice::Verb::wait_at_least;
        for (int i = 0; i < 9; ++i) {
            run.begin(1s);
            ok = ok && run.fail().verb == Advice::Verb::wait_at_least;
        }
        run.begin(1s);
        return ok && run.fail().verb == Advice::Verb::stop;
    }());
    STATIC_REQUIRE([] {
        auto run = limited(10s);
        run.begin();
        run.succeed(9s);
        // The connection is open for a day. The outage begins at its end.
        bool ok = run.lose(24h).verb == Advice::Verb::wait_at_least;
        run.begin(9s);
        ok = ok && run.fail().verb == Advice::Verb::wait_at_least;
        run.begin(1s);
        return ok && run.fail().verb == Advice::Verb::stop;
    }());
    auto run = limited(10s);
    run.begin();
    CHECK(run.fail(10s).verb == Advice::Verb::stop);
    CHECK(run.admit(1ns) == Advice::Verb::stop);
    run.policy.reset();
    CHECK(run.admit() == Advice::Verb::go);
    run.begin();
    CHECK(run.fail(9s).verb == Advice::Verb::wait_at_least);
}

TEST_CASE("MaxElapsed admits no attempt once the time is over", "[policy][max_elapsed][unit]") {
    STATIC_REQUIRE([] {
        auto run = limited(5s);
        run.begin();
        bool ok = run.fail(1s).verb == Advice::Verb::wait_at_least;
        ok = ok && run.admit(4s) == Advice::Verb::go;
        return ok && run.admit(1ns) == Advice::Verb::stop;
    }());
    Policy untouched{MaxElapsed{0s}};
    CHECK(untouched.admit(never).verb == Advice::Verb::go);
}

TEST_CASE("MaxElapsed of 0 allows one attempt, or several in one instant",
          "[policy][max_elapsed][unit]") {
    Run run{Policy{MaxElapsed{0s}}};
    run.begin();
    CHECK(run.fail().verb == Advice::Verb::go);
    run.begin();
    CHECK(run.fail(1ns).verb == Advice::Verb::stop);
}

TEST_CASE("MaxElapsed counts no time while no attempt is wanted", "[policy][max_elapsed][unit]") {
    STATIC_REQUIRE([] {
        auto run = limited(10s);
        run.begin();
        bool ok = run.fail(4s).verb == Advice::Verb::wait_at_least;
        // The gate is shut for a night.
        run.abandon(500ms);
        ok = ok && run.admit(8h) == Advice::Verb::go;
        run.begin();
        ok = ok && run.fail(4500ms).verb == Advice::Verb::wait_at_least;
        run.begin(1s);
        return ok && run.fail(1ns).verb == Advice::Verb::stop;
    }());
    // In one instant, an attempt began and failed, the next one was planned, and the gate was shut.
    auto at_once = limited(10s);
    at_once.begin();
    CHECK(at_once.fail().verb == Advice::Verb::wait_at_least);
    at_once.abandon();
    CHECK(at_once.admit(8h) == Advice::Verb::go);
    // The gate is shut in the same instant in which the attempt began.
    auto in_one = limited(10s);
    in_one.begin();
    CHECK(in_one.fail(4s).verb == Advice::Verb::wait_at_least);
    in_one.begin(1s);
    in_one.abandon();
    CHECK(in_one.admit(8h) == Advice::Verb::go);
    in_one.begin();
    CHECK(in_one.fail(4s).verb == Advice::Verb::wait_at_least);
    in_one.begin(1s);
    CHECK(in_one.fail(1ns).verb == Advice::Verb::stop);
    // A second abandoned() does not count time again.
    auto run = limited(10s);
    run.begin();
    run.abandon(4s);
    run.abandon(100s);
    run.begin();
    CHECK(run.fail(5s).verb == Advice::Verb::wait_at_least);
    run.abandon();
    run.begin(1h);
    CHECK(run.fail(1ns).verb == Advice::Verb::stop);
}

TEST_CASE("MaxElapsed counts the time while another rule rejects attempts",
          "[policy][max_elapsed][unit]") {
    // The two rules may be in either order.
    const auto check = [](auto policy) {
        Run run{policy};
        static_cast<void>(run.lose());
        for (int i = 0; i < 10; ++i) {
            CHECK(run.admit() == Advice::Verb::go);
            run.begin();
            run.now += 1s;
        }
        CHECK(run.admit() == Advice::Verb::go);
        CHECK(run.admit(1ns) == Advice::Verb::stop);
    };
    check(Policy{MaxElapsed{10s}, Rejects{1s}});
    check(Policy{Rejects{1s}, MaxElapsed{10s}});
    check(Policy{Policy{MaxElapsed{10s}}, Policy{Rejects{1s}}});
}

TEST_CASE("MaxElapsed runs from the moment at which an attempt is wanted",
          "[policy][max_elapsed][unit]") {
    STATIC_REQUIRE([] {
        auto run = limited(5s);
        run.want();
        bool ok = run.admit(5s) == Advice::Verb::go;
        return ok && run.admit(1ns) == Advice::Verb::stop;
    }());
    // The attempt for which it waited does not start it again.
    STATIC_REQUIRE([] {
        auto run = limited(5s);
        run.want();
        run.begin(3s);
        bool ok = run.fail(1s).verb == Advice::Verb::wait_at_least;
        run.begin(1s);
        return ok && run.fail().verb == Advice::Verb::stop;
    }());
    // The attempt is not wanted for a time: that time does not count.
    STATIC_REQUIRE([] {
        auto run = limited(5s);
        run.want();
        run.abandon(2s);
        bool ok = run.admit(8h) == Advice::Verb::go;
        run.want();
        ok = ok && run.admit(3s) == Advice::Verb::go;
        return ok && run.admit(1ns) == Advice::Verb::stop;
    }());
    // A success and a reset both end it.
    STATIC_REQUIRE([] {
        auto run = limited(5s);
        run.want();
        run.begin(4s);
        run.succeed();
        bool ok = run.admit(1h) == Advice::Verb::go;
        run.want();
        run.policy.reset();
        return ok && run.admit(1h) == Advice::Verb::go;
    }());
}

TEST_CASE("MaxElapsed does not start because of a rejection when no attempt was wanted",
          "[policy][max_elapsed][unit]") {
    // No attempt began: the other rule could have rejected it in admit().
    Run run{Policy{MaxElapsed{10s}, Rejects{1s}}};
    for (int i = 0; i < 100; ++i) {
        CHECK(run.admit() == Advice::Verb::go);
        run.begin();
        run.now += 1s;
    }
}

TEST_CASE("MaxElapsed counts the time of a planned failure, and stops for an endless wait",
          "[policy][max_elapsed][unit]") {
    auto run = limited(10s);
    run.begin();
    CHECK(run.fail(10s, Failure{Cause::planned}).verb == Advice::Verb::stop);
    Random bits{Seed{1}};
    Turn turn{Instant{}, bits};
    MaxElapsed rule{24h * 365 * 100};
    rule.begin(turn);
    CHECK(rule.review(Advice::suspend(never), turn).verb == Advice::Verb::stop);
    CHECK(rule.review(Advice::suspend(Instant{} + 24h), turn).verb == Advice::Verb::go);
    CHECK(MaxElapsed{forever}.review(Advice::suspend(never), turn).verb == Advice::Verb::go);
}

TEST_CASE("MaxElapsed works with clocks that stand still, step back or jump",
          "[policy][max_elapsed][unit]") {
    // Pitfall 11: a step back counts as no time, and nothing overflows.
    auto run = limited(10s);
    run.begin();
    for (int i = 0; i < 100; ++i) CHECK(run.fail().verb == Advice::Verb::wait_at_least);
    CHECK(run.fail(-1000h).verb == Advice::Verb::wait_at_least);
    CHECK(run.admit() == Advice::Verb::go);
    CHECK(run.fail(1000h + 24h).verb == Advice::Verb::stop);
    Run ends{Policy{MaxElapsed{10s}}};
    ends.now = always;
    ends.begin();
    ends.now = never;
    CHECK(ends.fail().verb == Advice::Verb::stop);
}

TEST_CASE("MaxElapsed ends a retry before the wait that would be too long",
          "[policy][max_elapsed][unit]") {
    Random bits{Seed{1}};
    belay_test::MinimalSleeper sleeper{bits};
    const Instant start = sleeper.now();
    int calls = 0;
    const auto result = retry(Policy{Backoff{NoJitter{}, Cap{1h}, 1s}, MaxElapsed{10s}}, sleeper,
                              [&] { return ++calls, false; });
    // The attempts are at 0, 1, 3 and 7 s. The next would be at 15 s.
    CHECK(calls == 4);
    CHECK(sleeper.now() == start + 7s);
    CHECK(result.error() == make_error_code(CallErrc::gave_up));
    CHECK(retry(MaxElapsed{0s}, sleeper, [] { return true; }).has_value());
}

TEST_CASE("MaxElapsed never lets an attempt start too late", "[policy][max_elapsed][property]") {
    CHECK(rc::check("against a model that adds up the time in which an attempt was wanted", [] {
        const Duration most{*rc::gen::inRange<std::int64_t>(0, 50)};
        MaxElapsed rule{most};
        Random bits{Seed{1}};
        Turn turn{Instant{}, bits};
        Duration tried{0};
        bool running = false;
        bool under_way = false;
        for (const int event : *rc::gen::container<std::vector<int>>(rc::gen::inRange(0, 8))) {
            const Duration passed{*rc::gen::inRange<std::int64_t>(0, 10)};
            turn.now += passed;
            if (running) tried += passed;
            if (event == 0) {
                rule.begin(turn);
                running = under_way = true;
            } else if (event == 1 && under_way) {
                const Advice planned = Advice::wait_at_least(
                    turn.now + Duration{*rc::gen::inRange<std::int64_t>(0, 20)});
                under_way = false;
                const bool late = tried + (planned.until - turn.now) > most;
                RC_ASSERT((rule.review(planned, turn).verb == Advice::Verb::stop) == late);
            } else if (event == 2 && under_way) {
                rule.succeeded(turn);
                tried = Duration{0};
                running = under_way = false;
            } else if (event == 3) {
                rule.abandoned(turn);
                running = under_way = false;
            } else if (event == 4 && !under_way) {
                static_cast<void>(rule.lost(lost, turn));
                tried = Duration{0};  // the time starts with the loss
                running = true;
            } else if (event == 5 && !under_way) {
                rule.reset();
                tried = Duration{0};
                running = false;
            } else if (event == 6 && !under_way) {
                rule.wanted(turn);
                running = true;
            }
            RC_ASSERT((rule.admit(turn.now).verb == Advice::Verb::stop) == (tried > most));
        }
    }));
}

TEST_CASE("MaxElapsed aborts on invalid arguments", "[policy][max_elapsed][unit]") {
    CHECK(belay_test::aborts_with([] {
              static_cast<void>(MaxElapsed{-1ns});
          }).find("the time must be >= 0ns") != std::string::npos);
}
