// SPDX-License-Identifier: MIT
// Goal: Cap is the smaller of two waits, and a hard limit for every jitter. Method: examples at
// compile time.
#include <belay/backoff/caps.hpp>

#include <limits>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/jitters.hpp>

#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;

TEST_CASE("Cap::limit is the smaller of the wait and the cap", "[backoff][cap][unit]") {
    STATIC_REQUIRE(Cap{30s}.limit(0ns) == 0ns);
    STATIC_REQUIRE(Cap{30s}.limit(30s - 1ns) == 30s - 1ns);
    STATIC_REQUIRE(Cap{30s}.limit(30s) == 30s);
    STATIC_REQUIRE(Cap{30s}.limit(forever) == 30s);
    STATIC_REQUIRE(Cap{forever}.limit(forever) == forever);
    STATIC_REQUIRE(Cap{1ns}.limit(5s) == 1ns);
}

TEST_CASE("Cap bounds the wait after jitter, too", "[backoff][cap][unit]") {
    constexpr Backoff backoff{ProportionalJitter::plus_percent(100), Cap{3s}, 1s};
    STATIC_REQUIRE(backoff.max_delay(0) == 2s);
    STATIC_REQUIRE(backoff.max_delay(1) == 3s);
    STATIC_REQUIRE(backoff.max_delay(100) == 3s);
}

TEST_CASE("Cap must be positive, and not below the first wait", "[backoff][cap][unit]") {
    using B = Backoff<FullJitter, Cap>;
    STATIC_REQUIRE(B::check({}, Cap{1ns}, Exponential{1ns}) == BackoffErrc{});
    STATIC_REQUIRE(B::check({}, Cap{0ns}, Exponential{1s}) == BackoffErrc::bad_cap);
    STATIC_REQUIRE(B::check({}, Cap{-1s}, Exponential{1s}) == BackoffErrc::bad_cap);
    // The base and the cap in the wrong order, or in the wrong unit.
    STATIC_REQUIRE(B::check({}, Cap{1s}, Exponential{30s}) == BackoffErrc::bad_cap);
    STATIC_REQUIRE(B::check({}, Cap{30ms}, Exponential{1s}) == BackoffErrc::bad_cap);
    STATIC_REQUIRE(B::check({}, Cap{1s - 1ns}, Exponential{1s}) == BackoffErrc::bad_cap);
    STATIC_REQUIRE(B::check({}, Cap{1s}, Exponential{1s}) == BackoffErrc{});
}

TEST_CASE("Cap accepts any unit, and rejects values that do not fit instead of overflowing",
          "[backoff][cap][unit]") {
    using B = Backoff<FullJitter, Cap>;
    const auto check = [](Cap cap) constexpr { return B::check({}, cap, Exponential{1s}); };
    STATIC_REQUIRE(Cap{1h} == Cap{3600s});
    STATIC_REQUIRE(Cap{std::chrono::duration<double>{1.5}} == Cap{1500ms});
    STATIC_REQUIRE(Cap{std::chrono::duration<float, std::milli>{-0.4F}} == Cap{-400us});
    STATIC_REQUIRE(Cap{std::chrono::duration<std::uint64_t>{2}} == Cap{2s});
    STATIC_REQUIRE(Cap{std::chrono::duration<double, std::nano>{0.5}} == Cap{1ns});
    STATIC_REQUIRE(check(Cap{std::chrono::years{292}}) == BackoffErrc{});
    STATIC_REQUIRE(check(Cap{std::chrono::years{293}}) == BackoffErrc::bad_cap);
    STATIC_REQUIRE(check(Cap{std::chrono::hours::max()}) == BackoffErrc::bad_cap);
    STATIC_REQUIRE(check(Cap{std::chrono::hours::min()}) == BackoffErrc::bad_cap);
    STATIC_REQUIRE(check(Cap{std::chrono::days{106'752}}) == BackoffErrc::bad_cap);
    STATIC_REQUIRE(check(Cap{std::chrono::days{106'751}}) == BackoffErrc{});
    STATIC_REQUIRE(check(Cap{std::chrono::duration<std::uint64_t>{~std::uint64_t{0}}}) ==
                   BackoffErrc::bad_cap);
    STATIC_REQUIRE(check(Cap{std::chrono::seconds{9'223'372'036}}) == BackoffErrc{});
    STATIC_REQUIRE(check(Cap{std::chrono::seconds{9'223'372'037}}) == BackoffErrc::bad_cap);
    for (const double years : {292.2, 1.0}) {
        CHECK(check(Cap{std::chrono::duration<double, std::chrono::years::period>{years}}) ==
              BackoffErrc{});
    }
    for (const double years : {292.3, 1e300, -1e300, std::numeric_limits<double>::infinity(),
                               std::numeric_limits<double>::quiet_NaN()}) {
        CHECK(check(Cap{std::chrono::duration<double, std::chrono::years::period>{years}}) ==
              BackoffErrc::bad_cap);
    }
}
