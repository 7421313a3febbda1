// SPDX-License-Identifier: MIT
// Goal: a breaker stays open as long as the peer requested, up to the limit, and never shorter than
// its own wait. Method: timelines.
#include <belay/breaker/open_waits.hpp>

#include <belay/breaker/breaker.hpp>
#include <belay/breaker/circuit_breaker.hpp>
#include <belay/core/clocks.hpp>

#include "support/breaker/breaker_archetypes.hpp"
#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::BreakerBench;

namespace {

constexpr Failure later(Duration wait) {
    return {.cause = Cause::overloaded, .code = 503, .retry_after = wait};
}

}  // namespace

static_assert(OpenWaitLike<OpenAsAsked<OpenFor>>);
static_assert(!detail::HasReset<OpenAsAsked<OpenFor>>,
              "a wait that does not grow is not computed again");
static_assert(detail::HasReset<OpenAsAsked<belay_test::GrowingWait>>);
template class belay::OpenAsAsked<belay_test::GrowingWait>;

TEST_CASE("OpenAsAsked waits as long as the opening failure requires, within its bounds",
          "[breaker][open_as_asked][unit]") {
    STATIC_REQUIRE([] {
        BreakerBench b{Breaker{ConsecutiveFailures{1}, OpenAsAsked{OpenFor{30s}, 10min}}};
        bool ok = b.fail(later(2min)) == Advice::suspend(b.now + 2min);
        b.now += 2min;
        ok = ok && b.fail(later(1h)) == Advice::suspend(b.now + 10min);
        b.now += 10min;
        ok = ok && b.fail(later(1s)) == Advice::suspend(b.now + 30s);
        b.now += 30s;
        return ok && b.fail() == Advice::suspend(b.now + 30s);
    }());
}

TEST_CASE("OpenAsAsked uses the hint of the failure that opens, not an earlier one",
          "[breaker][open_as_asked][unit]") {
    STATIC_REQUIRE([] {
        BreakerBench b{Breaker{ConsecutiveFailures{2}, OpenAsAsked{OpenFor{30s}, 10min}}};
        bool ok = b.fail(later(5min)) == Advice::go();
        return ok && b.fail() == Advice::suspend(b.now + 30s);
    }());
}

TEST_CASE("OpenAsAsked grows like its own wait, and starts again after a reset",
          "[breaker][open_as_asked][unit]") {
    STATIC_REQUIRE([] {
        BreakerBench b{
            Breaker{ConsecutiveFailures{1}, OpenAsAsked{belay_test::GrowingWait{}, 10min}}};
        bool ok = b.fail(later(15s)) == Advice::suspend(b.now + 15s);
        b.now += 15s;
        ok = ok && b.fail(later(15s)) == Advice::suspend(b.now + 20s);
        b.now += 20s;
        b.succeed();
        return ok && b.fail() == Advice::suspend(b.now + 10s);
    }());
}

TEST_CASE("OpenAsAsked works in a shared breaker", "[breaker][open_as_asked][unit]") {
    ManualClock clock;
    CircuitBreaker breaker{ConsecutiveFailures{1}, OpenAsAsked{OpenFor{30s}, 10min}, clock.view()};
    breaker.acquire().failure(later(2min));
    CHECK(breaker.acquire().retry_at() == clock.now() + 2min);
    clock.advance(2min);
    Random bits{Seed{1}};
    Turn turn{clock.now(), bits};
    CHECK(breaker.acquire(turn).failure(later(3min), turn) == Advice::suspend(turn.now + 3min));
}
