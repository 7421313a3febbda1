// SPDX-License-Identifier: MIT
// Goal: each rule takes a length of time in any unit. A length that does not fit is an error, and
// does not overflow. Each rule takes a count as any integer. A count of -1 is an error, and not a
// limit of 2^64 - 1. Method: lengths of half a second, and of more than 292 years; counts at the
// ends of their types.
#include <atomic>
#include <chrono>
#include <functional>
#include <ratio>
#include <type_traits>

#include <belay/breaker/open_waits.hpp>
#include <belay/breaker/trips.hpp>
#include <belay/budget/adaptive_limit.hpp>
#include <belay/budget/budgets.hpp>
#include <belay/call/layers.hpp>
#include <belay/call/limiters.hpp>
#include <belay/core/time_window.hpp>
#include <belay/policy/rules.hpp>
#include <belay/policy/shared.hpp>

#include "support/aborts.hpp"
#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;

namespace {

// In nanoseconds it would be about 5 hours, after an overflow.
constexpr std::chrono::hours overflowing{5'124'100};

template <class F>
bool aborts(F f) {
    return belay_test::aborts_with(f) != "did not abort";
}

}  // namespace

TEST_CASE("Rules take half a second as a floating-point number", "[call][units][unit]") {
    constexpr std::chrono::duration<double> half{0.5};
    STATIC_REQUIRE(AttemptTimeout{half}.attempt_limit() == 500ms);
    STATIC_REQUIRE(AskAgain{half}.wait == 500ms);
    STATIC_REQUIRE(Rate{10, half}.per() == 500ms);
    STATIC_REQUIRE(ResetWhenStable{half}.stable_window() == 500ms);
    STATIC_REQUIRE(ResetWhenStable::by_age(half).stable_window() == 500ms);
    STATIC_REQUIRE(SlowCallRate{half, CountWindow<10>{}}.too_slow(500ms));
    STATIC_REQUIRE_FALSE(SlowCallRate{half, CountWindow<10>{}}.too_slow(499ms));
    Random bits{Seed{1}};
    CHECK(OpenFor{half}.next(bits) == 500ms);
    STATIC_REQUIRE(CooldownOn{Cause::overloaded, half, 2 * half} ==
                   CooldownOn{Cause::overloaded, 500ms, 1s});
    const Failure asks{.cause = Cause::overloaded, .retry_after = 1h};
    CHECK(OpenAsAsked{OpenFor{100ms}, half}.next(bits, asks) == 500ms);
    CHECK(OpenFor{std::chrono::minutes{2}}.next(bits) == 120s);
}

TEST_CASE("Rules take a count as any integer", "[call][units][unit]") {
    constexpr std::uint64_t most = ~std::uint64_t{0};
    STATIC_REQUIRE(MaxAttempts{int{3}} == MaxAttempts{std::uint64_t{3}});
    STATIC_REQUIRE(MaxAttempts{static_cast<signed char>(3)} == MaxAttempts{3L});
    STATIC_REQUIRE(Burst{most}.calls() == most);
    STATIC_REQUIRE(Rate{100LL, 1s}.calls() == 100);
    STATIC_REQUIRE(ConsecutiveFailures{0xFFFF'FFFFLL}.limit() == 0xFFFF'FFFF);
    STATIC_REQUIRE(ConsecutiveFailures{std::size_t{5}}.limit() == 5);
    STATIC_REQUIRE(ConsecutiveFailures{std::uint64_t{1} << 32U}.limit() == 0xFFFF'FFFF);
}

TEST_CASE("Rules take a count that converts to an integer", "[call][units][regression]") {
    enum { attempts = 3, none = -1 };
    enum Small : unsigned char { five = 5 };
    using Three = std::integral_constant<int, 3>;
    STATIC_REQUIRE(MaxAttempts{attempts} == MaxAttempts{3});
    STATIC_REQUIRE(MaxAttempts{Three{}} == MaxAttempts{3});
    STATIC_REQUIRE(MaxAttempts{std::integral_constant<decltype(attempts), attempts>{}} ==
                   MaxAttempts{3});
    STATIC_REQUIRE(Burst{five}.calls() == 5);
    STATIC_REQUIRE(Rate{Three{}, 1s}.calls() == 3);
    STATIC_REQUIRE(ConsecutiveFailures{five}.limit() == 5);
    const std::atomic<int> configured{4};
    CHECK(MaxAttempts{configured} == MaxAttempts{4});
    const long referred = 4;
    CHECK(MaxAttempts{std::cref(referred)} == MaxAttempts{4});
    Bulkhead bulkhead{{.limit = 1}};
    bulkhead.set_limit(attempts);
    CHECK(bulkhead.limit() == 3);
    RateLimiter limiter{Rate{1, 1s}, Burst{1}, Three{}};
    static_cast<void>(Queued{limiter, attempts});

    CHECK(aborts([] { static_cast<void>(MaxAttempts{none}); }));
    CHECK(aborts([] { static_cast<void>(Burst{std::integral_constant<int, -1>{}}); }));
    // These convert to no integer.
    STATIC_REQUIRE_FALSE(std::is_constructible_v<MaxAttempts, Cause>);
    STATIC_REQUIRE_FALSE(std::is_constructible_v<MaxAttempts, const char*>);
}

TEST_CASE("Rules abort on a count that is negative", "[call][units][regression]") {
    const int negative = -1;
    CHECK(aborts([&] { static_cast<void>(MaxAttempts(negative)); }));
    CHECK(aborts([&] { static_cast<void>(MaxAttempts{std::int64_t{negative}}); }));
    CHECK(aborts([&] { static_cast<void>(ConsecutiveFailures(negative)); }));
    CHECK(aborts([&] { static_cast<void>(Rate(negative, 1s)); }));
    CHECK(aborts([&] { static_cast<void>(Burst(negative)); }));
    CHECK(aborts([&] { Bulkhead{{.limit = 1}}.set_limit(negative); }));
    RateLimiter limiter{Rate{1, 1s}, Burst{1}, 1};
    CHECK(aborts([&] { static_cast<void>(Queued(limiter, negative)); }));
    CHECK(aborts([&] { const RateLimiter queues(Rate{1, 1s}, Burst{1}, negative); }));
    CHECK(aborts([&] {
        const RateLimiter queues(RateLimiter::FixedWindow{Rate{1, 1s}}, std::int64_t{negative});
    }));
    CHECK(aborts([&] { static_cast<void>(RatioBudgetOptions::envoy(negative)); }));
    CHECK(aborts([&] { static_cast<void>(RatioBudgetOptions::envoy(200, negative)); }));
    CHECK(aborts([&] { static_cast<void>(TokenBudgetOptions::grpc(negative, 100)); }));
    CHECK(aborts([&] { static_cast<void>(TokenBudgetOptions::grpc(10, negative)); }));
}

TEST_CASE("Rules abort on a length of time that nanoseconds cannot hold", "[call][units][unit]") {
    CHECK(aborts([] { static_cast<void>(AttemptTimeout{overflowing}); }));
    CHECK(aborts([] { static_cast<void>(MaxElapsed{overflowing}); }));
    CHECK(aborts([] { static_cast<void>(AskAgain{overflowing}); }));
    CHECK(aborts([] { static_cast<void>(OpenFor{overflowing}); }));
    CHECK(aborts([] { static_cast<void>(OpenAsAsked{OpenFor{1s}, overflowing}); }));
    CHECK(aborts([] { static_cast<void>(CooldownOn{Cause::lost, 1s, overflowing}); }));
    CHECK(aborts([] { static_cast<void>(CooldownOn{Cause::lost, overflowing, overflowing}); }));
    CHECK(aborts([] { static_cast<void>(Rate{10, overflowing}); }));
    CHECK(aborts([] { static_cast<void>(ResetWhenStable{overflowing}); }));
    CHECK(aborts([] { static_cast<void>(RestartIntensity<3>{overflowing}); }));
    CHECK(aborts([] { static_cast<void>(TimeWindow{overflowing}); }));
    CHECK(aborts([] { static_cast<void>(Timeout{overflowing}); }));
    CHECK(aborts([] { AdaptiveLimit<> limit{Aimd{}, overflowing}; }));
    CHECK(aborts([] { static_cast<void>(SlowCallRate{overflowing, CountWindow<10>{}}); }));
}
