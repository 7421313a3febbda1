// SPDX-License-Identifier: MIT
// Goal: growth, cap, floor and jitter compose without overflow at any attempt, stay in their
// bounds, and replay for a seed.
#include <belay/backoff/backoff.hpp>

#include <array>
#include <limits>
#include <string>
#include <type_traits>

#include <belay/backoff/caps.hpp>
#include <belay/backoff/growths.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/policy/policy.hpp>

#include "support/aborts.hpp"
#include "support/archetypes.hpp"
#include "support/backoff/wait_samples.hpp"
#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::a_year;
using belay_test::awkward_attempts;

namespace {

constinit Backoff static_a{FullJitter{}, Cap{30s}, 1s};
constinit Backoff static_b{FullJitter{}, Cap{30s}, 1s};

// A jitter with state, and the optional reset: its waits get shorter.
struct Shrinking {
    std::uint64_t draws = 0;
    constexpr part::WaitRange range(const part::NominalWait& nominal) const noexcept {
        return {0ns, nominal.wait};
    }
    constexpr Duration delay(part::WaitRange range, std::uint64_t, Random&) noexcept {
        return range.most - Duration{static_cast<std::int64_t>(draws++)};
    }
    constexpr void reset() noexcept { draws = 0; }
};

constexpr Failure lost_for(Duration retry_after) {
    return Failure{.cause = Cause::lost, .retry_after = retry_after};
}

// Calls `f` with a backoff of each kind, and its floor.   Pre: 2ns <= base < cap.
template <class F>
void for_each_kind(Duration base, Duration cap, F&& f) {
    f(Backoff{NoJitter{}, Cap{cap}, base}, 0ns);
    f(Backoff{FullJitter{}, Cap{cap}, base}, 0ns);
    f(Backoff{EqualJitter{}, Cap{cap}, Linear{base}}, 0ns);
    f(Backoff{ProportionalJitter::plus_minus_percent(25), Cap{cap}, Exponential{base, 1.6}}, 0ns);
    f(Backoff{ProportionalJitter::plus_percent(100), Cap{cap}, Fibonacci{base}}, 0ns);
    f(Backoff{DecorrelatedJitter{}, Cap{cap}, base}, 0ns);
    f(Backoff{SmoothJitter{}, Cap{cap}, base}, 0ns);
    f(Backoff{FullJitter{}, Cap{cap}, Delays{base, 2s, cap}}, 0ns);
    const Duration floor = base / 2;
    f(Backoff{FullJitter{}, Floor{floor, Cap{cap}}, Exponential{base, 1.001}}, floor);
    f(Backoff{EqualJitter{}, Floor{floor, Cap{cap}}, Constant{base}}, floor);
    f(Backoff{ProportionalJitter::plus_minus_percent(100), Floor{floor, Cap{cap}}, base}, floor);
    f(Backoff{DecorrelatedJitter{}, Floor{floor, Cap{cap}}, base}, floor);
    f(Backoff{SmoothJitter{}, Floor{floor, Cap{cap}}, base}, floor);
}

auto any_length() {
    return rc::gen::oneOf(rc::gen::inRange<Duration::rep>(2, 100),
                          rc::gen::inRange<Duration::rep>(1'000'000, 100'000'000'000),
                          rc::gen::positive<Duration::rep>(), rc::gen::just(forever.count()));
}

struct BaseAndCap {
    Duration base;
    Duration cap;
};
BaseAndCap base_and_cap() {
    const Duration a{*any_length()};
    const Duration b{*any_length()};
    const Duration base = a < b ? a : b;
    const Duration cap = a < b ? b : a;
    RC_PRE(2ns <= base && base < cap);
    return {base, cap};
}

}  // namespace

static_assert(sizeof(Backoff<FullJitter, Cap>) == 32);
static_assert(sizeof(Backoff<EqualJitter, NoCap>) == 24);
static_assert(sizeof(Backoff{FullJitter{}, Cap{30s}, Exponential{1s, 1.6}}) == 32);
static_assert(std::is_trivially_copyable_v<Backoff<FullJitter, Cap>>);
static_assert(std::is_trivially_copyable_v<Backoff<SmoothJitter, Floor<Cap>>>);
static_assert(
    std::same_as<decltype(Backoff{FullJitter{}, Cap{30s}, 1s}), Backoff<FullJitter, Cap>>);
static_assert(std::same_as<decltype(Backoff{FullJitter{}, Cap{30s}, Duration{1}, Seed{7}}),
                           Backoff<FullJitter, Cap, Exponential<>>>);
static_assert(std::same_as<decltype(Backoff{NoJitter{}, Cap{30s}, Linear{1s}, Seed{7}}),
                           Backoff<NoJitter, Cap, Linear>>);
static_assert(std::same_as<decltype(Policy{Backoff{NoJitter{}, Cap{1s}, 1s}}),
                           Policy<Backoff<NoJitter, Cap>>>);
static_assert(noexcept(static_a.next()) && noexcept(static_a.max_delay(0)));
template class belay::Backoff<belay_test::MinimalJitter, belay_test::MinimalCap>;
template class belay::Backoff<belay_test::MinimalJitter, belay_test::MinimalCap,
                              belay_test::MinimalGrowth>;

TEST_CASE("Backoff requires of its parts only the promises of their concepts",
          "[backoff][backoff][unit]") {
    Backoff backoff{belay_test::MinimalJitter{1}, belay_test::MinimalCap{1}, 1s};
    Random bits;
    Turn turn{Instant{}, bits};
    CHECK(backoff.next() == 1s);
    CHECK(backoff.next(bits) == 2s);
    CHECK(backoff.failed(Failure{Cause::lost}, turn).until == Instant{} + 4s);
    CHECK(backoff.lost(Failure{Cause::lost}, turn).until == Instant{} + 8s);
    backoff.succeeded(turn);
    CHECK(backoff.attempts() == 0);
    CHECK(backoff.max_total(3) == 7s);
    Backoff grown{belay_test::MinimalJitter{1}, belay_test::MinimalCap{1},
                  belay_test::MinimalGrowth{1}};
    CHECK(grown.next() == 1ns);
    CHECK(grown.min_delay(7) == 1ns);
}

TEST_CASE("Backoff doubles from the base up to the cap", "[backoff][backoff][unit]") {
    STATIC_REQUIRE([] {
        Backoff b{NoJitter{}, Cap{30s}, 1s};
        bool ok = true;
        for (const auto expected : {1s, 2s, 4s, 8s, 16s, 30s, 30s}) ok = ok && b.next() == expected;
        b.reset();
        return ok && b.next() == 1s;
    }());
}

TEST_CASE("Backoff accepts a user's own growth", "[backoff][backoff][unit]") {
    constexpr auto quadratic = [](std::uint64_t n) noexcept {
        return part::saturating_multiply(part::saturating_multiply(Duration{1s}, n + 1), n + 1);
    };
    STATIC_REQUIRE([quadratic] {
        Backoff b{NoJitter{}, Cap{20s}, quadratic};
        return b.next() == 1s && b.next() == 4s && b.next() == 9s && b.next() == 16s &&
               b.next() == 20s;
    }());
}

TEST_CASE("Backoff's bounds neither overflow nor fall at any attempt", "[backoff][backoff][unit]") {
    for (const Duration base : {2ns, Duration{1s}, 100 * a_year, forever - 1ns}) {
        for_each_kind(base, forever, [&]<class B>(const B& backoff, Duration) {
            if (std::same_as<B, Backoff<FullJitter, Cap, Delays<3>>>) return;
            Duration most{};
            Duration least{};
            for (const std::uint64_t n : awkward_attempts) {
                CAPTURE(base.count(), n);
                CHECK(backoff.min_delay(n) <= backoff.max_delay(n));
                CHECK(backoff.min_delay(n) >= least);
                CHECK(backoff.max_delay(n) >= most);
                least = backoff.min_delay(n);
                most = backoff.max_delay(n);
            }
            CHECK(most >= base);
        });
    }
    for (const Duration base : {1ns, Duration{1s}, forever}) {
        CHECK(Backoff{NoJitter{}, NoCap{}, base}.max_delay(~std::uint64_t{0}) == forever);
    }
    STATIC_REQUIRE(Backoff{FullJitter{}, Cap{30s}, 1s}.max_delay(~std::uint64_t{0}) == 30s);
    STATIC_REQUIRE(Backoff{FullJitter{}, Cap{30s}, 1s}.max_delay(4) == 16s);
    STATIC_REQUIRE(Backoff{FullJitter{}, Cap{30s}, 1s}.min_delay(4) == 0s);
    STATIC_REQUIRE(Backoff{NoJitter{}, Cap{30s}, 1s}.min_delay(4) == 16s);
}

TEST_CASE("Backoff waits within floor, cap and its own bounds at every attempt",
          "[backoff][backoff][property]") {
    CHECK(rc::check("for any base, cap and seed", [](std::uint64_t seed) {
        const BaseAndCap drawn = base_and_cap();
        const Duration base = drawn.base;
        const Duration cap = drawn.cap;
        for_each_kind(base, cap, [&](auto backoff, Duration floor) {
            Random bits{Seed{seed}};
            for (std::uint64_t n = 0; n < 80; ++n) {
                const Duration wait = backoff.next(bits);
                RC_ASSERT(wait >= backoff.min_delay(n));
                RC_ASSERT(wait <= backoff.max_delay(n));
                RC_ASSERT(backoff.min_delay(n) >= 0ns);
                RC_ASSERT(backoff.max_delay(n) <= cap);
                RC_ASSERT(wait >= floor);
            }
        });
    }));
}

TEST_CASE("Backoff keeps its bounds for every number of attempts", "[backoff][backoff][property]") {
    CHECK(rc::check("floor <= min_delay <= max_delay <= cap", [](std::uint64_t n) {
        const BaseAndCap drawn = base_and_cap();
        const Duration base = drawn.base;
        const Duration cap = drawn.cap;
        for_each_kind(base, cap, [&](const auto& backoff, Duration floor) {
            RC_ASSERT(backoff.min_delay(n) >= floor);
            RC_ASSERT(backoff.min_delay(n) <= backoff.max_delay(n));
            RC_ASSERT(backoff.max_delay(n) <= cap);
        });
    }));
}

TEST_CASE("Backoff::max_total is the sum of the longest waits", "[backoff][backoff][unit]") {
    constexpr Backoff backoff{FullJitter{}, Cap{30s}, 1s};
    STATIC_REQUIRE(backoff.max_total(0) == 0s);
    STATIC_REQUIRE(backoff.max_total(1) == 1s);
    STATIC_REQUIRE(backoff.max_total(5) == 31s);
    STATIC_REQUIRE(backoff.max_total(9) == 151s);
    CHECK(backoff.max_total(256) == 31s + 251 * 30s);
    CHECK(backoff.max_total(257) == 31s + 252 * 30s);
    STATIC_REQUIRE(backoff.max_total(1'000'000) == 31s + 999'995 * 30s);
    CHECK(backoff.max_total(~std::uint64_t{0}) == forever);
    CHECK(Backoff{NoJitter{}, NoCap{}, 1ns}.max_total(62).count() == (1LL << 62) - 1);
    CHECK(Backoff{NoJitter{}, NoCap{}, 1ns}.max_total(64) == forever);
    CHECK(Backoff{NoJitter{}, Cap{1ns}, 1ns}.max_total(~std::uint64_t{0}) == forever);
    for_each_kind(1s, 30s, [](auto kind, Duration) {
        Random bits{Seed{3}};
        for (int round = 0; round < 100; ++round) {
            kind.reset();
            Duration sum{};
            for (std::uint64_t n = 0; n < 12; ++n) {
                CHECK(sum <= kind.max_total(n));
                sum += kind.next(bits);
            }
        }
    });
}

TEST_CASE("Backoff jitters the first wait too", "[backoff][backoff][regression]") {
    // Clients that restart together must not all dial exactly one base later.
    Random bits{Seed{1}};
    for_each_kind(1s, 30s, [&]<class B>(const B& backoff, Duration) {
        if (std::same_as<B, Backoff<NoJitter, Cap>>) return;
        int distinct = 0;
        Duration last{};
        for (int i = 0; i < 100; ++i) {
            B fresh = backoff;
            const Duration d = fresh.next(bits);
            if (d != last) ++distinct;
            last = d;
        }
        CHECK(distinct > 95);
    });
}

TEST_CASE("Backoff does not accumulate waits at the cap or the floor",
          "[backoff][backoff][regression]") {
    for_each_kind(1s, 30s, [&]<class B>(const B& backoff, Duration) {
        if (std::same_as<B, Backoff<NoJitter, Cap>>) return;
        const auto late = belay_test::wait_samples(backoff, 12, 2'000);
        CHECK(late.on_top <= 1);
        CHECK(late.on_floor <= 1);
    });
}

TEST_CASE("Backoff does not add jitter to a value that already has jitter",
          "[backoff][backoff][regression]") {
    // The nominal waits of +-20 % grow by 2 exactly, for any draws.
    Random bits{Seed{1}};
    for (int round = 0; round < 200; ++round) {
        Backoff backoff{ProportionalJitter::plus_minus_percent(20), NoCap{}, 1s};
        for (int n = 0; n < 20; ++n) {
            const Duration nominal = Duration{1s} * (1 << n);
            const Duration wait = backoff.next(bits);
            CHECK(wait >= nominal / 10 * 8);
            CHECK(wait <= nominal / 10 * 12);
        }
    }
}

TEST_CASE("Backoff with a base of one nanosecond grows, too", "[backoff][backoff][regression]") {
    // In coarser ticks it would stay 0: a loop without a pause.
    Backoff backoff{NoJitter{}, Cap{1s}, Exponential{1ns, 1.5}};
    Duration sum{};
    for (int i = 0; i < 60; ++i) sum += backoff.next();
    CHECK(sum > 1s);
    CHECK(backoff.next() == 1s);
}

TEST_CASE("Backoff objects without a seed all differ", "[backoff][backoff][unit]") {
    Backoff copy = static_a;
    const Duration a = static_a.next();
    const Duration b = static_b.next();
    const Duration c = copy.next();
    CHECK(a != b);
    CHECK(a != c);
    CHECK(b != c);
}

TEST_CASE("Backoff draws the same delays for ever", "[backoff][backoff][golden]") {
    constexpr auto delays = [](auto backoff) {
        std::array<std::int64_t, 7> d{};
        for (auto& x : d) x = backoff.next().count();
        return d;
    };
    STATIC_REQUIRE(delays(Backoff{FullJitter{}, Cap{30s}, 1s, Seed{7}}) ==
                   std::array<std::int64_t, 7>{721'508'181, 1'299'408'673, 2'197'497'300,
                                               4'833'878'443, 5'568'936'025, 5'468'557'168,
                                               27'470'325'288});
    STATIC_REQUIRE(delays(Backoff{ProportionalJitter::plus_percent(10), Cap{60s}, 1s, Seed{7}}) ==
                   std::array<std::int64_t, 7>{1'072'150'818, 2'129'940'867, 4'219'749'730,
                                               8'483'387'844, 16'556'893'602, 32'583'312'764,
                                               59'540'059'144});
    STATIC_REQUIRE(delays(Backoff{NoJitter{}, Cap{30s}, 1s, Seed{7}}) ==
                   std::array<std::int64_t, 7>{1'000'000'000, 2'000'000'000, 4'000'000'000,
                                               8'000'000'000, 16'000'000'000, 30'000'000'000,
                                               30'000'000'000});
    STATIC_REQUIRE(
        delays(Backoff{EqualJitter{}, Floor{600ms, Cap{9s}}, Exponential{1s, 1.6}, Seed{7}}) ==
        std::array<std::int64_t, 7>{888'603'272, 1'319'763'469, 1'983'199'136, 3'285'472'881,
                                    4'417'318'098, 5'320'283'575, 8'620'548'793});
    STATIC_REQUIRE(delays(Backoff{DecorrelatedJitter{}, Cap{30s}, 1s, Seed{7}}) ==
                   std::array<std::int64_t, 7>{2'443'016'361, 5'112'010'635, 8'875'847'850,
                                               16'485'053'789, 11'093'696'546, 6'286'271'929,
                                               17'352'915'964});
    STATIC_REQUIRE(delays(Backoff{SmoothJitter{}, Cap{30s}, 1s, Seed{7}}) ==
                   std::array<std::int64_t, 7>{916'357'897, 1'299'176'251, 1'952'339'871,
                                               4'511'880'217, 5'863'464'521, 9'962'623'324,
                                               26'389'727'457});
}

TEST_CASE("Backoff as a rule draws from the turn, and has a name", "[backoff][backoff][unit]") {
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

TEST_CASE("Backoff has one history, alone or as a rule with the same bits",
          "[backoff][backoff][property]") {
    CHECK(rc::check(
        "for any base, cap, seed and order of failures and losses", [](std::uint64_t seed) {
            const BaseAndCap drawn = base_and_cap();
            const Duration base = drawn.base;
            const Duration cap = drawn.cap;
            const std::uint64_t kinds = *rc::gen::arbitrary<std::uint64_t>();
            for_each_kind(base, cap, [&](auto alone, Duration) {
                auto rule = alone;
                Random bits_1{Seed{seed}};
                Random bits_2{Seed{seed}};
                Turn turn{Instant{}, bits_2};
                for (int i = 0; i < 64; ++i) {
                    if ((kinds >> i & 7) == 7) {
                        alone.reset();
                        rule.succeeded(turn);
                    }
                    const Failure failure{Cause::lost};
                    const Advice advice = (kinds >> i & 1) != 0 ? rule.failed(failure, turn)
                                                                : rule.lost(failure, turn);
                    RC_ASSERT(advice.until == after(turn.now, alone.next(bits_1)));
                    RC_ASSERT(rule.attempts() == alone.attempts());
                }
            });
        }));
}

TEST_CASE("Backoff waits longer if a server requests it, and never shorter",
          "[backoff][backoff][unit]") {
    Random bits{Seed{1}};
    Turn turn{Instant{}, bits};
    Backoff backoff{NoJitter{}, Cap{30s}, 4s};
    const auto wait = [&](Duration asked) {
        return backoff.failed(lost_for(asked), turn).until - turn.now;
    };
    CHECK(wait(1s) == 4s);
    CHECK(wait(8s) == 8s);
    CHECK(wait(15s) == 16s);
    CHECK(backoff.attempts() == 3);
    CHECK(wait(60s) == 60s);
    CHECK(backoff.failed(lost_for(forever), turn).until == never);
}

TEST_CASE("Backoff grows from the base again after a wait that the server lengthened",
          "[backoff][backoff][unit]") {
    Random bits{Seed{1}};
    Turn turn{Instant{}, bits};
    Backoff backoff{DecorrelatedJitter{}, Cap{1h}, 4s};
    for (int i = 0; i < 6; ++i) static_cast<void>(backoff.next(bits));
    CHECK(backoff.failed(lost_for(2h), turn).until == turn.now + 2h);
    CHECK(backoff.attempts() == 0);
    CHECK(backoff.next(bits) <= 12s);
}

TEST_CASE("Backoff ignores hints that are not positive", "[backoff][backoff][unit]") {
    Random bits{Seed{1}};
    Turn turn{Instant{}, bits};
    Backoff backoff{NoJitter{}, Cap{30s}, 1s};
    CHECK(backoff.failed(lost_for(0s), turn).until == turn.now + 1s);
    CHECK(backoff.failed(lost_for(-5s), turn).until == turn.now + 2s);
    CHECK(backoff.failed(lost_for(Duration::min()), turn).until == turn.now + 4s);
    CHECK(backoff.attempts() == 3);
}

TEST_CASE("Backoff keeps growing after a wait that this side requested",
          "[backoff][backoff][regression]") {
    STATIC_REQUIRE([] {
        Random bits{Seed{1}};
        Turn turn{Instant{}, bits};
        Backoff backoff{NoJitter{}, Cap{30s}, 1s};
        for (int i = 0; i < 3; ++i) static_cast<void>(backoff.failed(lost_for(0s), turn));
        // A limiter around the call of a peer that fails.
        Failure rejected{.cause = Cause::overloaded, .retry_after = 10s};
        rejected.origin = Failure::Origin::local;
        const bool waits = backoff.failed(rejected, turn).until == turn.now + 10s;
        return waits && backoff.failed(lost_for(0s), turn).until == turn.now + 16s;
    }());
}

TEST_CASE("Backoff does not count planned failures", "[backoff][backoff][unit]") {
    Random bits{Seed{1}};
    Turn turn{Instant{}, bits};
    Backoff backoff{NoJitter{}, Cap{30s}, 1s};
    for (int i = 0; i < 3; ++i) {
        CHECK(backoff.lost(Failure{Cause::planned}, turn).until == turn.now + 1s);
        CHECK(backoff.failed(Failure{Cause::planned}, turn).until == turn.now + 1s);
    }
    CHECK(backoff.attempts() == 0);
    static_cast<void>(backoff.next());
    static_cast<void>(backoff.next());
    const Failure hinted{.cause = Cause::planned, .retry_after = 1min};
    CHECK(backoff.failed(hinted, turn).until == turn.now + 1min);
    CHECK(backoff.next() == 4s);

    // A jitter with state does not remember them either.
    Backoff shrinking{Shrinking{}, Cap{30s}, 1s};
    CHECK(shrinking.next() == 1s);
    CHECK(shrinking.failed(Failure{Cause::planned}, turn).until == turn.now + 1s);
    CHECK(shrinking.next() == 2s - 1ns);
}

TEST_CASE("Backoff advises never when an instant does not fit", "[backoff][backoff][unit]") {
    Random bits{Seed{1}};
    Backoff backoff{NoJitter{}, NoCap{}, forever};
    for (const Instant now : {Instant{}, never - 1ns, never, Instant{} - 10h}) {
        Turn turn{now, bits};
        const Advice advice = backoff.failed(Failure{Cause::lost}, turn);
        CHECK(advice.verb == Advice::Verb::wait_at_least);
        CHECK(advice.until >= now);
    }
}

TEST_CASE("Backoff::reset resets a jitter that has state", "[backoff][backoff][unit]") {
    STATIC_REQUIRE([] {
        Backoff backoff{Shrinking{}, Cap{30s}, 1s};
        for (int i = 0; i < 5; ++i) static_cast<void>(backoff.next());
        Random bits{Seed{1}};
        Turn turn{Instant{}, bits};
        backoff.succeeded(turn);
        return backoff.attempts() == 0 && backoff.next() == 1s;
    }());
}

TEST_CASE("Backoff copies its attempt counter together with its growth",
          "[backoff][backoff][unit]") {
    // The counter is in the growth's padding: copies and assignments must contain both.
    Backoff a{NoJitter{}, Cap{30s}, Exponential{1s, 1.6}};
    for (int i = 0; i < 3; ++i) static_cast<void>(a.next());
    Backoff b{NoJitter{}, Cap{50s}, Exponential{3s, 3}};
    const Backoff c = a;
    b = c;
    CHECK(b.attempts() == 3);
    CHECK(b.next() == a.next());
    a.reset();
    CHECK(a.next() == 1s);
    CHECK(b.attempts() == 4);
}

TEST_CASE("Backoff aborts on invalid arguments with a message", "[backoff][backoff][fault]") {
    const auto says = [](auto make, const char* what) {
        const std::string text = belay_test::aborts_with([&] { static_cast<void>(make()); });
        CAPTURE(text);
        CHECK(text.find(what) != std::string::npos);
    };
    constexpr double no_number = std::numeric_limits<double>::quiet_NaN();
    says([] { return Backoff{FullJitter{}, Cap{1s}, 0s}; }, "the base must be > 0ns");
    says(
        [] {
            return Backoff{FullJitter{}, Cap{1s}, Exponential{1s, no_number}};
        },
        "the factor must be finite and >= 1");
    says([] { return Backoff{FullJitter{}, Cap{1s}, Delays{1s, 0s}}; }, "the last one > 0ns");
    says([] { return Backoff{FullJitter{}, Cap{-1s}, 1s}; }, "the cap must be > 0ns");
    says([] { return Backoff{FullJitter{}, Cap{1s}, 30s}; }, ">= the first wait");
    says([] { return Backoff{FullJitter{}, Cap{std::chrono::years{400}}, 30s}; }, "<= 292 years");
    says([] { return Backoff{FullJitter{}, Floor{2s, Cap{3s}}, 1s}; }, "the floor must be >= 0ns");
    says([] { return Backoff{FullJitter{}, Floor{1s, Cap{3s}}, 1s}; }, "leave the jitter a range");
    says(
        [] {
            return Backoff{ProportionalJitter::plus_percent(101), Cap{1s}, 1s};
        },
        "must be <= 100");
}

TEST_CASE("Backoff aborts when a user's part violates its contract", "[backoff][backoff][fault]") {
    struct Beyond {
        part::WaitRange range(const part::NominalWait& nominal) const noexcept {
            return {nominal.wait, part::saturating_add(nominal.most, 1ns)};
        }
    };
    struct Outside {
        part::WaitRange range(const part::NominalWait& nominal) const noexcept {
            return {0ns, nominal.wait};
        }
        Duration delay(part::WaitRange range, std::uint64_t, Random&) noexcept {
            return range.most + 1ns;
        }
    };
    const auto draws = [](auto make) {
        return belay_test::aborts_with([&] { static_cast<void>(make().next()); });
    };
    const auto beyond = [] { return Backoff{Beyond{}, Cap{5s}, 1s}; };
    CHECK(draws(beyond).find("JitterLike::range") != std::string::npos);
    const auto outside = [] { return Backoff{Outside{}, Cap{5s}, 1s}; };
    CHECK(draws(outside).find("JitterLike::delay") != std::string::npos);
    constexpr auto negative = [](std::uint64_t) noexcept { return Duration{-1}; };
    const auto falls = [=] { return Backoff{FullJitter{}, Cap{5s}, negative}; };
    CHECK(draws(falls).find("GrowthLike") != std::string::npos);
}
