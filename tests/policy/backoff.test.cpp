// SPDX-License-Identifier: MIT
// Goal: waits double without ever overflowing, stay under the cap, and replay for a seed.
#include <belay/policy/backoff.hpp>

#include <array>
#include <type_traits>

#include <belay/policy/no_jitter.hpp>
#include <belay/policy/policy.hpp>
#include <belay/policy/proportional_jitter.hpp>

#include "support/archetypes.hpp"
#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;

namespace {

constexpr std::array<std::uint64_t, 23> awkward_attempts{0,
                                                         1,
                                                         30,
                                                         31,
                                                         32,
                                                         33,
                                                         34,
                                                         62,
                                                         63,
                                                         64,
                                                         65,
                                                         66,
                                                         67,
                                                         68,
                                                         127,
                                                         128,
                                                         1023,
                                                         1024,
                                                         1025,
                                                         2147483647U,
                                                         4294967295U,
                                                         4294967296U,
                                                         ~std::uint64_t{0}};
constexpr Duration a_year = std::chrono::hours{24 * 365};

constinit Backoff static_a{FullJitter{}, Cap{30s}, 1s};
constinit Backoff static_b{FullJitter{}, Cap{30s}, 1s};

// A jitter with state, and the optional reset.
struct Counting {
    int draws = 0;
    constexpr Duration delay(Duration ceiling, Random&) noexcept { return ++draws, ceiling; }
    constexpr void reset() noexcept { draws = 0; }
};

}  // namespace

static_assert(sizeof(Backoff<FullJitter, Cap>) <= 32);
static_assert(std::is_trivially_copyable_v<Backoff<FullJitter, Cap>>);
static_assert(
    std::same_as<decltype(Backoff{FullJitter{}, Cap{30s}, 1s}), Backoff<FullJitter, Cap>>);
static_assert(
    std::same_as<decltype(Backoff{NoJitter{}, Cap{30s}, 1s, Seed{7}}), Backoff<NoJitter, Cap>>);
static_assert(std::same_as<decltype(Policy{Backoff{NoJitter{}, Cap{1s}, 1s}}),
                           Policy<Backoff<NoJitter, Cap>>>);
static_assert(noexcept(static_a.next()) && noexcept(static_a.ceiling(0)));
template class belay::Backoff<belay_test::MinimalJitter, belay_test::MinimalCap>;

TEST_CASE("Backoff uses of a jitter and a cap only what their concepts promise",
          "[policy][backoff][unit]") {
    Backoff backoff{belay_test::MinimalJitter{1}, belay_test::MinimalCap{1}, 1s};
    Random bits;
    Turn turn{Instant{}, bits};
    CHECK(backoff.next() == 1s);
    CHECK(backoff.next(bits) == 2s);
    CHECK(backoff.failed(Failure{Cause::lost}, turn).until == Instant{} + 4s);
    CHECK(backoff.lost(Failure{Cause::lost}, turn).until == Instant{} + 8s);
    backoff.succeeded(turn);
    CHECK(backoff.attempts() == 0);
}

TEST_CASE("Backoff doubles from the base up to the cap", "[policy][backoff][unit]") {
    STATIC_REQUIRE([] {
        Backoff b{NoJitter{}, Cap{30s}, 1s};
        bool ok = true;
        for (const auto expected : {1s, 2s, 4s, 8s, 16s, 30s, 30s}) ok = ok && b.next() == expected;
        b.reset();
        return ok && b.next() == 1s;
    }());
}

TEST_CASE("Backoff::ceiling neither overflows nor falls at any attempt",
          "[policy][backoff][unit]") {
    for (const Duration base : {1ns, Duration{1s}, 100 * a_year, forever - 1ns, forever}) {
        const Backoff hard{NoJitter{}, Cap{forever}, base};
        Duration before{};
        for (const std::uint64_t n : awkward_attempts) {
            CAPTURE(base.count(), n);
            const Duration c = hard.ceiling(n);
            CHECK(c >= base);
            CHECK(c >= before);
            before = c;
        }
        CHECK(before == forever);
    }
    STATIC_REQUIRE(Backoff{NoJitter{}, Cap{forever}, 1ns}.ceiling(62).count() == 1LL << 62);
    STATIC_REQUIRE(Backoff{NoJitter{}, Cap{forever}, 1ns}.ceiling(63) == forever);
    STATIC_REQUIRE(Backoff{NoJitter{}, Cap{forever}, 3ns}.ceiling(61).count() == 3LL << 61);
    STATIC_REQUIRE(Backoff{NoJitter{}, Cap{forever}, 3ns}.ceiling(62) == forever);
    STATIC_REQUIRE(Backoff{NoJitter{}, Cap{forever}, forever}.ceiling(0) == forever);
    STATIC_REQUIRE(Backoff{FullJitter{}, Cap{30s}, 1s}.ceiling(~std::uint64_t{0}) == 30s);
}

TEST_CASE("Backoff waits within [0, cap] at every attempt", "[policy][backoff][property]") {
    CHECK(rc::check("for any base, cap and seed", [](std::uint64_t seed) {
        const Duration base{*rc::gen::positive<Duration::rep>()};
        const Duration cap{*rc::gen::positive<Duration::rep>()};
        Backoff full{FullJitter{}, Cap{cap}, base, Seed{seed}};
        Backoff spread{ProportionalJitter::plus_minus_percent(25), Cap{cap}, base, Seed{seed}};
        for (int i = 0; i < 80; ++i) {
            const auto n = static_cast<std::uint64_t>(i);
            const Duration a = full.next();
            RC_ASSERT(a >= 0ns);
            RC_ASSERT(a <= full.ceiling(n));
            RC_ASSERT(full.ceiling(n) <= cap);
            const Duration b = spread.next();
            RC_ASSERT(b >= 0ns);
            RC_ASSERT(b <= cap);
        }
    }));
}

TEST_CASE("Backoff jitters the first wait too", "[policy][backoff][regression]") {
    // A fleet that restarts together must not come back exactly one base later.
    Random bits{Seed{1}};
    int distinct = 0;
    Duration last{};
    for (int i = 0; i < 100; ++i) {
        Backoff backoff{FullJitter{}, Cap{30s}, 1s};
        const Duration d = backoff.next(bits);
        if (d != last) ++distinct;
        last = d;
    }
    CHECK(distinct > 95);
}

TEST_CASE("Backoff objects without a seed all differ", "[policy][backoff][unit]") {
    Backoff copy = static_a;
    const Duration a = static_a.next();
    const Duration b = static_b.next();
    const Duration c = copy.next();
    CHECK(a != b);
    CHECK(a != c);
    CHECK(b != c);
}

TEST_CASE("Backoff draws the same delays for ever", "[policy][backoff][golden]") {
    constexpr auto delays = [](auto backoff) {
        std::array<std::int64_t, 7> d{};
        for (auto& x : d) x = backoff.next().count();
        return d;
    };
    STATIC_REQUIRE(delays(Backoff{FullJitter{}, Cap{30s}, 1s, Seed{7}}) ==
                   std::array<std::int64_t, 7>{389'829'748, 33'576'589, 3'603'042'723,
                                               4'663'442'344, 7'239'070'320, 7'482'945'668,
                                               14'038'590'127});
    STATIC_REQUIRE(delays(Backoff{ProportionalJitter::plus_percent(10), Cap{60s}, 1s, Seed{7}}) ==
                   std::array<std::int64_t, 7>{1'038'982'975, 2'003'357'658, 4'360'304'273,
                                               8'466'344'235, 16'723'907'032, 32'798'180'871,
                                               57'097'925'478});
    STATIC_REQUIRE(delays(Backoff{NoJitter{}, Cap{30s}, 1s, Seed{7}}) ==
                   std::array<std::int64_t, 7>{1'000'000'000, 2'000'000'000, 4'000'000'000,
                                               8'000'000'000, 16'000'000'000, 30'000'000'000,
                                               30'000'000'000});
}

TEST_CASE("Backoff as a rule draws from the turn, and names itself", "[policy][backoff][unit]") {
    Backoff with_seed_1{FullJitter{}, Cap{30s}, 1s, Seed{1}};
    Backoff with_seed_2{FullJitter{}, Cap{30s}, 1s, Seed{2}};
    Random bits_1{Seed{9}};
    Random bits_2{Seed{9}};
    Turn turn_1{Instant{}, bits_1};
    Turn turn_2{Instant{}, bits_2};
    for (int i = 0; i < 10; ++i) {
        CHECK(with_seed_1.failed(Failure{Cause::lost}, turn_1) ==
              with_seed_2.lost(Failure{Cause::lost}, turn_2));
    }
    Policy policy{with_seed_1};
    CHECK(policy.failed(Failure{Cause::lost}, turn_1).by == "Backoff");
}

TEST_CASE("Backoff lets a server lengthen a wait, never shorten it", "[policy][backoff][unit]") {
    Random bits{Seed{1}};
    Turn turn{Instant{}, bits};
    Backoff backoff{NoJitter{}, Cap{30s}, 4s};
    const auto wait = [&](Duration asked) {
        return backoff.failed(Failure{Cause::overloaded, 0, nullptr, asked}, turn).until - turn.now;
    };
    CHECK(wait(1s) == 4s);
    CHECK(wait(60s) == 60s);
    CHECK(wait(-5s) == 16s);
    CHECK(backoff.attempts() == 3);
    CHECK(backoff.failed(Failure{Cause::lost, 0, nullptr, forever}, turn).until == never);
}

TEST_CASE("Backoff counts planned failures as nothing", "[policy][backoff][unit]") {
    Random bits{Seed{1}};
    Turn turn{Instant{}, bits};
    Backoff backoff{NoJitter{}, Cap{30s}, 1s};
    for (int i = 0; i < 3; ++i) {
        CHECK(backoff.lost(Failure{Cause::planned}, turn).until == turn.now + 1s);
        CHECK(backoff.failed(Failure{Cause::planned}, turn).until == turn.now + 1s);
    }
    CHECK(backoff.attempts() == 0);
}

TEST_CASE("Backoff advises never rather than an instant that does not fit",
          "[policy][backoff][unit]") {
    Random bits{Seed{1}};
    Backoff backoff{NoJitter{}, Cap{forever}, forever};
    for (const Instant now : {Instant{}, never - 1ns, never, Instant{} - 10h}) {
        Turn turn{now, bits};
        const Advice advice = backoff.failed(Failure{Cause::lost}, turn);
        CHECK(advice.verb == Verb::wait_at_least);
        CHECK(advice.until >= now);
    }
}

TEST_CASE("Backoff::reset resets a jitter that has state", "[policy][backoff][unit]") {
    STATIC_REQUIRE([] {
        Backoff backoff{Counting{}, Cap{30s}, 1s};
        for (int i = 0; i < 5; ++i) static_cast<void>(backoff.next());
        Random bits{Seed{1}};
        Turn turn{Instant{}, bits};
        backoff.succeeded(turn);
        return backoff.attempts() == 0 && backoff.next() == 1s;
    }());
}
