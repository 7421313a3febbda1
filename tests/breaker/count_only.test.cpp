// SPDX-License-Identifier: MIT
// Goal: a breaker counts the failures that its user selects, and no others: alone, shared, and with
// probes. Method: examples.
#include <belay/breaker/trips.hpp>

#include <atomic>
#include <system_error>

#include <belay/breaker/breaker.hpp>
#include <belay/breaker/circuit_breaker.hpp>
#include <belay/core/clocks.hpp>
#include <belay/policy/shared.hpp>

#include "support/breaker/breaker_archetypes.hpp"
#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::BreakerBench;

namespace {

// The failures of an HTTP server.
struct FiveHundreds {
    [[nodiscard]] constexpr bool operator()(const Failure& why) const noexcept {
        return why.code >= 500;
    }
};

constexpr Failure status(std::int32_t code) { return {.cause = Cause::lost, .code = code}; }

}  // namespace

static_assert(sizeof(CountOnly{ConsecutiveFailures{5}, FiveHundreds{}}) ==
                  sizeof(ConsecutiveFailures),
              "a filter without state adds no size");

TEST_CASE("CountOnly counts the causes of its list, and treats others as successes",
          "[breaker][count_only][unit]") {
    STATIC_REQUIRE([] {
        BreakerBench b{Breaker{
            CountOnly{ConsecutiveFailures{2}, Cause::timed_out, Cause::forbidden}, OpenFor{60s}}};
        bool ok = b.fail({Cause::timed_out}) == Advice::go();
        for (int i = 0; i < 5; ++i) ok = ok && b.fail({Cause::lost}) == Advice::go();
        ok = ok && b.fail({Cause::timed_out}) == Advice::go();
        ok = ok && b.fail({Cause::planned}) == Advice::go();
        ok = ok && b.fail({Cause::forbidden}).verb == Advice::Verb::suspend;
        b.now += 60s;
        ok = ok && b.fail({Cause::timed_out}).verb == Advice::Verb::suspend;
        b.now += 60s;
        ok = ok && b.fail({Cause::planned}) == Advice::go();
        ok = ok && b.state() == BreakerState::half_open;
        return ok && b.fail({Cause::lost}) == Advice::go() && b.state() == BreakerState::closed;
    }());
}

TEST_CASE("CountOnly calls a function with the whole failure", "[breaker][count_only][unit]") {
    STATIC_REQUIRE([] {
        BreakerBench b{Breaker{CountOnly{ConsecutiveFailures{2}, FiveHundreds{}}, OpenFor{60s}}};
        bool ok = b.fail(status(503)) == Advice::go() && b.fail(status(404)) == Advice::go();
        ok = ok && b.fail(status(503)) == Advice::go();
        return ok && b.fail(status(500)).verb == Advice::Verb::suspend;
    }());
}

TEST_CASE("CountOnly's function may exclude a call from the count", "[breaker][count_only][unit]") {
    STATIC_REQUIRE([] {
        const auto filter = [](const Failure& why) noexcept {
            if (why.code == 1) return Cause::planned;
            return why.code == 404 ? Cause::none : Cause::lost;
        };
        BreakerBench b{Breaker{CountOnly{ConsecutiveFailures{2}, filter}, OpenFor{60s}}};
        bool ok = b.fail(status(500)) == Advice::go() && b.fail(status(404)) == Advice::go();
        ok = ok && b.fail(status(500)) == Advice::go() && b.fail(status(1)) == Advice::go();
        return ok && b.fail(status(500)).verb == Advice::Verb::suspend;
    }());
}

TEST_CASE("CountOnly's function is not called for failures that no peer caused",
          "[breaker][count_only][unit]") {
    const auto all = [](const Failure&) noexcept { return true; };
    BreakerBench b{Breaker{CountOnly{ConsecutiveFailures{1}, all}, OpenFor{60s}}};
    const auto no_memory = std::make_error_code(std::errc::not_enough_memory);
    for (int i = 0; i < 3; ++i) CHECK(b.fail(Failure::from(no_memory)) == Advice::go());
    CHECK(b.fail({Cause::unauthorized}).verb == Advice::Verb::suspend);
}

TEST_CASE("CountOnly works in a shared breaker, with any trip", "[breaker][count_only][unit]") {
    ManualClock clock;
    CircuitBreaker in_row{CountOnly{ConsecutiveFailures{2}, FiveHundreds{}}, OpenFor{60s},
                          clock.view()};
    CircuitBreaker rate{
        CountOnly{FailureRate{CountWindow<4>{}, {.percent = 60, .min_calls = 3}}, FiveHundreds{}},
        OpenFor{60s}, clock.view()};
    const auto report = [&](auto& breaker) {
        breaker.acquire().failure(status(500));
        for (int i = 0; i < 3; ++i) breaker.acquire().failure(status(404));
        breaker.acquire().failure(status(500));
        CHECK(breaker.state() == BreakerState::closed);
        CHECK(breaker.counters().failures == 2);
        breaker.acquire().failure(status(503));
        breaker.acquire().failure(status(503));
        CHECK(breaker.state() == BreakerState::open);
    };
    report(in_row);
    report(rate);
    clock.advance(60s);
    // A probe that ends neutrally returns its permit at once.
    for (int i = 0; i < 5; ++i) in_row.acquire().failure(Failure{Cause::planned});
    CHECK(in_row.state() == BreakerState::half_open);
    in_row.acquire().failure(status(404));
    CHECK(in_row.state() == BreakerState::closed);
    CHECK(in_row.counters().closed == 1);
}

TEST_CASE("CountOnly counts failures in a row, and reads no clock for those that do not count",
          "[breaker][count_only][unit]") {
    struct Clock {
        std::atomic<int>* reads;
        [[nodiscard]] Instant now() const noexcept { return reads->fetch_add(1), Instant{}; }
    };
    STATIC_REQUIRE(detail::counts_in_row<ConsecutiveFailures>);
    STATIC_REQUIRE(
        detail::counts_in_row<decltype(CountOnly{ConsecutiveFailures{3}, FiveHundreds{}})>);
    std::atomic<int> reads{0};
    CircuitBreaker breaker{CountOnly{ConsecutiveFailures{3}, FiveHundreds{}}, OpenFor{1s},
                           Clock{&reads}};
    for (int i = 0; i < 10; ++i) breaker.acquire().failure(status(404));
    CHECK(reads.load() == 0);
}

TEST_CASE("A shared breaker used as a rule receives the failure, and counts it by its cause",
          "[breaker][count_only][unit]") {
    CircuitBreaker breaker{ConsecutiveFailures{2}, OpenFor{60s}};
    Shared rule{breaker};
    Random bits{Seed{1}};
    Turn turn{Instant{}, bits};
    const auto fail = [&](Cause cause) {
        REQUIRE(rule.begin(turn).verb == Advice::Verb::go);
        return rule.failed(Failure{cause}, turn);
    };
    for (int i = 0; i < 5; ++i) CHECK(fail(Cause::permanent) == Advice::go());
    CHECK(fail(Cause::lost) == Advice::go());
    CHECK(fail(Cause::forbidden) == Advice::go());
    CHECK(fail(Cause::lost) == Advice::go());
    CHECK(fail(Cause::lost) == Advice::suspend(turn.now + 60s));
}
