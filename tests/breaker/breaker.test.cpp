// SPDX-License-Identifier: MIT
// Goal: the breaker is closed, open and half-open at the exact instants, and never stuck, however a
// probe ends. Method: timelines.
#include <belay/breaker/breaker.hpp>

#include <cerrno>
#include <system_error>
#include <type_traits>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/call/attempt.hpp>
#include <belay/policy/policy.hpp>

#include "support/breaker/breaker_archetypes.hpp"
#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::BreakerBench;

namespace {

constexpr auto bench(std::uint32_t failures = 3) {
    return BreakerBench{Breaker{ConsecutiveFailures{failures}, OpenFor{300s}}};
}

constexpr auto opened_bench() {
    auto b = bench();
    for (int i = 0; i < 3; ++i) static_cast<void>(b.fail());
    return b;
}

}  // namespace

static_assert(std::same_as<decltype(Breaker{ConsecutiveFailures{5}, OpenFor{300s}}), Breaker<>>);
static_assert(std::same_as<decltype(Policy{Breaker{ConsecutiveFailures{5}, OpenFor{300s}}}),
                           Policy<Breaker<>>>);
static_assert(std::is_trivially_copyable_v<Breaker<>> && sizeof(Breaker<>) <= 56);
static_assert(!detail::HasLost<Breaker<>>, "a loss after a success is no failed attempt");
static_assert(!detail::HasReset<Breaker<>>, "a command to try again is no success of the peer");
static_assert(std::same_as<decltype(Breaker{ConsecutiveFailures{5}, OpenFor{300s},
                                            HalfOpenOptions{.successes = 2}}),
                           Breaker<>>);
template class belay::Breaker<belay_test::MinimalTrip, belay_test::MinimalOpenWait>;

TEST_CASE("Breaker opens at the n-th failure in a row", "[breaker][breaker][unit]") {
    STATIC_REQUIRE([] {
        auto b = bench();
        bool ok = b.fail() == Advice::go() && b.fail() == Advice::go();
        b.succeed();
        ok = ok && b.fail() == Advice::go() && b.fail() == Advice::go() && b.admits();
        return ok && b.fail() == Advice::suspend(b.now + 300s) && !b.admits() &&
               b.state() == BreakerState::open;
    }());
    STATIC_REQUIRE([] {
        auto b = bench(1);
        return b.fail().verb == Advice::Verb::suspend;
    }());
}

TEST_CASE("Breaker is half-open from the end of its open wait on, and not before",
          "[breaker][breaker][unit]") {
    STATIC_REQUIRE([] {
        auto b = opened_bench();
        const Instant until = b.now + 300s;
        b.now = until - 1ns;
        bool ok = b.breaker.admit(b.now) == Advice::suspend(until);
        ok = ok && b.state() == BreakerState::open;
        b.now = until;
        return ok && b.admits() && b.state() == BreakerState::half_open;
    }());
}

TEST_CASE("Breaker closes after a probe that succeeds, and starts to count from zero",
          "[breaker][breaker][unit]") {
    STATIC_REQUIRE([] {
        auto b = opened_bench();
        b.now += 300s;
        b.succeed();
        bool ok = b.state() == BreakerState::closed;
        ok = ok && b.fail() == Advice::go() && b.fail() == Advice::go();
        return ok && b.fail().verb == Advice::Verb::suspend;
    }());
}

TEST_CASE("Breaker opens again, for its full wait, after a probe that fails",
          "[breaker][breaker][unit]") {
    STATIC_REQUIRE([] {
        auto b = opened_bench();
        b.now += 301s;
        return b.fail() == Advice::suspend(b.now + 300s) && !b.admits();
    }());
}

TEST_CASE("Breaker lets one probe through, and returns when to try again",
          "[breaker][breaker][unit]") {
    auto b = opened_bench();
    b.now += 300s;
    Turn turn{b.now, b.bits};
    b.breaker.begin(turn);
    CHECK(b.breaker.admit(b.now) == Advice::suspend(b.now + belay::detail::breaker_recheck));
    CHECK(b.state() == BreakerState::half_open);
}

TEST_CASE("Breaker returns an abandoned probe", "[breaker][breaker][unit]") {
    auto b = opened_bench();
    b.now += 300s;
    for (int i = 0; i < 100; ++i) {
        b.abandon();
        CHECK(b.admits());
    }
    CHECK(b.fail(Failure{Cause::planned}) == Advice::go());
    CHECK(b.state() == BreakerState::half_open);
    b.succeed();
    CHECK(b.state() == BreakerState::closed);
}

TEST_CASE("Breaker treats begin while open as a forced probe", "[breaker][breaker][unit]") {
    auto b = opened_bench();
    const Instant until = b.now + 300s;
    b.now += 10s;
    b.abandon();
    CHECK(b.breaker.admit(b.now) == Advice::suspend(until));
    CHECK(b.fail() == Advice::suspend(b.now + 300s));
    b.now += 10s;
    b.succeed();
    CHECK(b.state() == BreakerState::closed);
}

TEST_CASE("Breaker counts neither planned nor abandoned attempts", "[breaker][breaker][unit]") {
    auto b = bench(2);
    for (int i = 0; i < 10; ++i) {
        CHECK(b.fail(Failure{Cause::planned}) == Advice::go());
        b.abandon();
    }
    CHECK(b.fail() == Advice::go());
    b.abandon();
    CHECK(b.fail().verb == Advice::Verb::suspend);
}

TEST_CASE("Breaker treats a rejection by the peer as a sign of life", "[breaker][breaker][unit]") {
    for (const Cause no : {Cause::permanent, Cause::forbidden, Cause::unauthorized}) {
        auto b = bench(2);
        for (int i = 0; i < 10; ++i) CHECK(b.fail(Failure{no}) == Advice::go());
        // It ends a run of failures like a success, and closes a breaker that probes.
        CHECK(b.fail() == Advice::go());
        CHECK(b.fail(Failure{no}) == Advice::go());
        CHECK(b.fail() == Advice::go());
        CHECK(b.fail().verb == Advice::Verb::suspend);
        b.now += 300s;
        CHECK(b.fail(Failure{no}) == Advice::go());
        CHECK(b.state() == BreakerState::closed);
    }
    for (const Cause broken : {Cause::none, Cause::lost, Cause::refused, Cause::timed_out,
                               Cause::overloaded, Cause::protocol, Cause::corrupt}) {
        auto b = bench(2);
        CHECK(b.fail(Failure{broken}) == Advice::go());
        CHECK(b.fail(Failure{broken}).verb == Advice::Verb::suspend);
    }
}

TEST_CASE("Breaker ignores failures that no peer caused", "[breaker][breaker][unit]") {
    const std::error_code ours[] = {std::make_error_code(std::errc::not_enough_memory),
                                    std::make_error_code(std::errc::too_many_files_open),
                                    std::make_error_code(std::errc::too_many_files_open_in_system),
                                    std::make_error_code(std::errc::no_buffer_space),
                                    std::make_error_code(std::errc::operation_canceled),
                                    {ENOMEM, std::system_category()},
                                    CallErrc::stopped,
                                    CallErrc::call_rejected,
                                    CallErrc::breaker_open};
    for (const std::error_code& error : ours) {
        CAPTURE(error.message());
        auto b = bench(2);
        for (int i = 0; i < 10; ++i) CHECK(b.fail(Failure::from(error)) == Advice::go());
        // It does not end a run of failures, or a probe, either.
        CHECK(b.fail() == Advice::go());
        CHECK(b.fail(Failure::from(error)) == Advice::go());
        CHECK(b.fail().verb == Advice::Verb::suspend);
        b.now += 300s;
        for (int i = 0; i < 10; ++i) {
            CHECK(b.fail(Failure::from(error)) == Advice::go());
            CHECK(b.state() == BreakerState::half_open);
        }
    }
    const std::error_code theirs[] = {
        std::make_error_code(std::errc::connection_refused),
        std::make_error_code(std::errc::timed_out),
        std::make_error_code(std::errc::resource_unavailable_try_again), CallErrc::gave_up,
        CallErrc::call_failed};
    for (const std::error_code& error : theirs) {
        auto b = bench(1);
        CHECK(b.fail(Failure::from(error)).verb == Advice::Verb::suspend);
    }
}

TEST_CASE("Breaker waits correctly with a clock that stands still, steps back or jumps",
          "[breaker][breaker][unit]") {
    auto b = opened_bench();
    CHECK_FALSE(b.admits());
    b.now -= 100h;
    CHECK_FALSE(b.admits());
    b.now += 100h + 365 * 24h;
    CHECK(b.admits());
    b.now = never;
    CHECK(b.fail().verb == Advice::Verb::go);
    CHECK(b.state() == BreakerState::half_open);
    b.succeed();
    CHECK(b.state() == BreakerState::closed);
}

TEST_CASE("Breaker with a Backoff as its wait grows with each reopening",
          "[breaker][breaker][unit]") {
    BreakerBench b{Breaker{ConsecutiveFailures{1}, Backoff{NoJitter{}, Cap{60s}, 10s}}};
    for (const Duration wait : {10s, 20s, 40s, 60s, 60s}) {
        CHECK(b.fail() == Advice::suspend(b.now + wait));
        b.now += wait;
    }
    b.succeed();
    CHECK(b.fail() == Advice::suspend(b.now + 10s));
}

TEST_CASE("Breaker may require several probes in turn", "[breaker][breaker][unit]") {
    STATIC_REQUIRE([] {
        BreakerBench b{Breaker{ConsecutiveFailures{1}, OpenFor{300s},
                               HalfOpenOptions{.successes = 3, .failures = 2}}};
        static_cast<void>(b.fail());
        b.now += 300s;
        b.succeed();
        bool ok = b.fail() == Advice::go() && b.state() == BreakerState::half_open;
        b.succeed();
        ok = ok && b.state() == BreakerState::half_open;
        b.succeed();
        ok = ok && b.state() == BreakerState::closed;

        static_cast<void>(b.fail());
        b.now += 300s;
        ok = ok && b.fail() == Advice::go() && b.fail() == Advice::suspend(b.now + 300s);
        // One forced probe that fails is enough to open, and one that succeeds is the first of
        // three.
        b.now += 10s;
        ok = ok && b.fail() == Advice::suspend(b.now + 300s);
        b.now += 10s;
        b.succeed();
        return ok && b.state() == BreakerState::half_open && b.admits();
    }());
}

TEST_CASE("Breaker accepts a verdict without a begin, as a policy may give one",
          "[breaker][breaker][unit]") {
    auto b = opened_bench();
    Turn turn{b.now, b.bits};
    const Instant until = b.now + 300s;
    CHECK(b.breaker.failed(Failure{Cause::lost}, turn) == Advice::suspend(until));
    b.breaker.succeeded(turn);
    b.breaker.abandoned(turn);
    CHECK(b.breaker.admit(b.now) == Advice::suspend(until));
}

// Pitfall 23.
TEST_CASE("Breaker returns the remaining time, so that callers need not poll",
          "[breaker][breaker][unit]") {
    auto b = opened_bench();
    for (int asked = 0; asked < 3; ++asked) {
        const Advice advice = b.breaker.admit(b.now);
        CHECK(advice.verb == Advice::Verb::suspend);
        CHECK(advice.until - b.now == 300s - asked * 100s);
        b.now += 100s;
    }
    CHECK(b.admits());
}

TEST_CASE("Breaker in a policy: the longest wait counts", "[breaker][breaker][unit]") {
    Policy policy{Backoff{NoJitter{}, Cap{500s}, 200s},
                  Breaker{ConsecutiveFailures{1}, OpenFor{300s}}};
    Random bits{Seed{1}};
    Turn turn{Instant{}, bits};
    CHECK(policy.failed(Failure{Cause::lost}, turn) ==
          Advice{Advice::Verb::suspend, turn.now + 300s, "Breaker"});
    turn.now += 300s;
    CHECK(policy.begin(turn).verb == Advice::Verb::go);
    CHECK(policy.failed(Failure{Cause::lost}, turn) ==
          Advice{Advice::Verb::suspend, turn.now + 400s, "Breaker"});
}

TEST_CASE("Breaker is never stuck", "[breaker][breaker][property]") {
    CHECK(rc::check("after any events, the advised wait leads to an admitted attempt", [] {
        auto b = bench(*rc::gen::inRange<std::uint32_t>(1, 4));
        for (const int event : *rc::gen::container<std::vector<int>>(rc::gen::inRange(0, 6))) {
            if (event < 2) static_cast<void>(b.fail());
            if (event == 2) b.succeed();
            if (event == 3) b.abandon();
            if (event == 4) b.now += Duration{*rc::gen::inRange<std::int64_t>(0, 400'000'000'000)};
            if (event == 5) b.now -= 1s;
            const Advice advice = b.breaker.admit(b.now);
            if (advice.verb != Advice::Verb::go) {
                RC_ASSERT(advice.verb == Advice::Verb::suspend);
                RC_ASSERT(advice.until > b.now);
                RC_ASSERT(b.breaker.admit(advice.until).verb == Advice::Verb::go);
            }
        }
    }));
}
