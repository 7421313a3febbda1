// SPDX-License-Identifier: MIT
// Goal: Exponential is the exact power of any factor, at any attempt, on every compiler.
#include <belay/backoff/growths.hpp>

#include <cmath>
#include <limits>

#include "support/backoff/wait_samples.hpp"
#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::awkward_attempts;

namespace {
constexpr std::uint64_t last_attempt = ~std::uint64_t{0};
constexpr double no_number = std::numeric_limits<double>::quiet_NaN();
constexpr double endless = std::numeric_limits<double>::infinity();
}  // namespace

static_assert(sizeof(Exponential{1s}) == 8 && sizeof(Exponential{1s, 1.6}) == 16);

TEST_CASE("Exponential doubles unless a factor is given", "[backoff][exponential][unit]") {
    STATIC_REQUIRE(Exponential{3ns}(0) == 3ns);
    STATIC_REQUIRE(Exponential{3ns}(1) == 6ns);
    STATIC_REQUIRE(Exponential{3ns}(61).count() == 3LL << 61);
    STATIC_REQUIRE(Exponential{3ns}(62) == forever);
    STATIC_REQUIRE(Exponential{1ns}(62).count() == 1LL << 62);
    STATIC_REQUIRE(Exponential{1ns}(63) == forever);
    STATIC_REQUIRE(Exponential{1ns}(64) == forever);
    STATIC_REQUIRE(Exponential{1ns}(65) == forever);
    for (const Duration base : {1ns, 3ns, Duration{1s}, belay_test::a_year, forever}) {
        for (const std::uint64_t n : awkward_attempts) {
            CHECK(Exponential{base}(n) == Exponential{base, 2}(n));
        }
    }
}

TEST_CASE("Exponential represents factors of at most three decimals exactly",
          "[backoff][exponential][unit]") {
    STATIC_REQUIRE(Exponential{1s, 1}(last_attempt) == 1s);
    STATIC_REQUIRE(Exponential{1s, 1.6}(1) == 1600ms);
    STATIC_REQUIRE(Exponential{1s, 1.6}(4).count() == 6'553'600'000);
    STATIC_REQUIRE(Exponential{1s, 1.1}(1) == 1100ms);
    STATIC_REQUIRE(Exponential{1s, 1.1}(9).count() == 2'357'947'691);
    STATIC_REQUIRE(Exponential{1ns, 3}(39).count() == 4'052'555'153'018'976'267);
    STATIC_REQUIRE(Exponential{1ns, 3}(40) == forever);
    STATIC_REQUIRE(Exponential{1ns, 10}(18).count() == 1'000'000'000'000'000'000);
    STATIC_REQUIRE(Exponential{1ns, 10}(19) == forever);
    STATIC_REQUIRE(Exponential{1ns, 1'000'000}(3).count() == 1'000'000'000'000'000'000);
    STATIC_REQUIRE(Exponential{1s, 1.001}(1).count() == 1'001'000'000);
    STATIC_REQUIRE(Exponential{1ns, 1.001}(last_attempt) == forever);
    STATIC_REQUIRE(Exponential{1s, 1.618}.check() == BackoffErrc{});
}

TEST_CASE("Exponential accepts any other factor to seven digits", "[backoff][exponential][unit]") {
    // The intended factor is used, although a float or a sum cannot represent it.
    STATIC_REQUIRE(Exponential{1s, 1.6F} == Exponential{1s, 1.6});
    STATIC_REQUIRE(Exponential{1s, 0.1 + 0.7 + 0.8} == Exponential{1s, 1.6});
    STATIC_REQUIRE(Exponential{1s, 1.41421356237309504880}(1).count() == 1'414'213'657);
    STATIC_REQUIRE(Exponential{1s, 1.41421356237309504880}(20).count() == 1'024'001'375'836);
    STATIC_REQUIRE(Exponential{1s, 4.0 / 3}(1).count() == 1'333'333'492);
    STATIC_REQUIRE(Exponential{1s, 1.0001}(1).count() == 1'000'100'136);
    STATIC_REQUIRE(Exponential{1s, 1.9999999}(1) == 2s);
    // A fraction that is rounded up adds to the exponent.
    STATIC_REQUIRE(Exponential{1ns, 1048575.9999}(1).count() == 1'048'576);
    STATIC_REQUIRE(Exponential{1ns, 2097151.9999}(1).count() == 2'097'152);
    STATIC_REQUIRE(Exponential{1ns, 1e6 + 1}(1).count() == 1'000'001);
    STATIC_REQUIRE(Exponential{1ns, 1e18}(1).count() / 1e18 > 0.9999997);
    STATIC_REQUIRE(Exponential{1ns, 1e18}(1).count() / 1e18 < 1.0000003);
    STATIC_REQUIRE(Exponential{1ns, 9.2e18}(1) != forever);
    for (const double huge : {9.3e18, 1e19, 1e20, 1e300, std::numeric_limits<double>::max()}) {
        CAPTURE(huge);
        CHECK(Exponential{1ns, huge}(0) == 1ns);
        CHECK(Exponential{1ns, huge}(1) == forever);
        CHECK(Exponential{1ns, huge}(last_attempt) == forever);
        CHECK(Exponential{1ns, huge}.check() == BackoffErrc{});
    }
    CHECK(Exponential{1s, std::nextafter(1.0, 2.0)}(last_attempt) == 1s);
}

TEST_CASE("Exponential keeps every factor within a four-millionth",
          "[backoff][exponential][property]") {
    CHECK(rc::check("any double from 1 on", [] {
        const auto exponent = *rc::gen::inRange(0, 40);
        const auto fraction = *rc::gen::arbitrary<std::uint32_t>();
        const double factor = std::ldexp(1 + fraction / 4294967296.0, exponent);
        const Exponential growth{1'000'000ns, factor};
        const double wanted = 1e6 * factor;
        RC_ASSERT(growth.check() == BackoffErrc{});
        if (wanted < 9e18) {
            const double off = std::fabs(static_cast<double>(growth(1).count()) - wanted);
            RC_ASSERT(off <= wanted / 4194304 + 1);
        }
    }));
}

TEST_CASE("Exponential rejects invalid factors and bases", "[backoff][exponential][unit]") {
    for (const double factor :
         {0.999, std::nextafter(1.0, 0.0), 0.5, 0.0, -0.0, -2.0, -1.0, -1.6, no_number, -no_number,
          endless, -endless, std::numeric_limits<double>::denorm_min()}) {
        CAPTURE(factor);
        CHECK(Exponential{1s, factor}.check() == BackoffErrc::bad_factor);
    }
    for (const Duration base : {0ns, -1ns, Duration::min()}) {
        CHECK(Exponential{base}.check() == BackoffErrc::bad_base);
        CHECK(Exponential{base, no_number}.check() == BackoffErrc::bad_base);
    }
    // Units that would overflow.
    CHECK(Exponential{std::chrono::years{293}}.check() == BackoffErrc::bad_base);
    CHECK(Exponential{std::chrono::hours::max(), 1.5}.check() == BackoffErrc::bad_base);
    CHECK(Exponential{std::chrono::duration<double>{0.25}, 3}(1) == 750ms);
}

TEST_CASE("Exponential represents every factor of three decimals exactly",
          "[backoff][exponential][unit]") {
    for (int thousandths = 1000; thousandths <= 20'000; ++thousandths) {
        const Exponential growth{1s, thousandths / 1000.0};
        if (growth.check() != BackoffErrc{} || growth(1).count() != thousandths * 1'000'000LL) {
            CAPTURE(thousandths);
            FAIL_CHECK("another factor");
        }
    }
}

TEST_CASE("Exponential neither overflows nor falls at any attempt",
          "[backoff][exponential][unit]") {
    for (const double factor :
         {1.0, 1.001, 1.1, 1.5, 1.6, 1.999, 2.0, 2.001, 3.0, 10.0, 1e6, 4.0 / 3, 1e7, 1e300}) {
        for (const Duration base : {1ns, 2ns, Duration{1s}, belay_test::a_year,
                                    100 * belay_test::a_year, forever - 1ns, forever}) {
            const Exponential growth{base, factor};
            Duration before{};
            for (const std::uint64_t n : awkward_attempts) {
                CAPTURE(factor, base.count(), n);
                const Duration now = growth(n);
                CHECK(now >= base);
                CHECK(now >= before);
                before = now;
            }
            CHECK(before == (factor == 1.0 ? base : forever));
        }
    }
}

TEST_CASE("Exponential is the exact power, rounded to the nanosecond",
          "[backoff][exponential][property]") {
    // The result is exact if thousandths^n fits into 64 bits: n factors need at most 12 bits each
    // up to 4.095.
    CHECK(rc::check("base * factor^n", [] {
        const auto thousandths = *rc::gen::inRange<std::int64_t>(1000, 4096);
        const auto n = *rc::gen::inRange<std::uint64_t>(0, 5);
        const auto base = *rc::gen::inRange<std::int64_t>(1, 1'000'000'000);
        std::int64_t power = 1;
        std::int64_t unit = 1;
        for (std::uint64_t i = 0; i < n; ++i) {
            power *= thousandths;
            unit *= 1000;
        }
        // whole * power + rest * power / unit, so that nothing overflows.
        const std::int64_t whole = power / unit * base;
        const auto rest = static_cast<long double>(power % unit) * static_cast<long double>(base) /
                          static_cast<long double>(unit);
        const auto wanted = whole + static_cast<std::int64_t>(std::llroundl(rest));
        const auto got =
            Exponential{Duration{base}, static_cast<double>(thousandths) / 1000}(n).count();
        // Exactly between two numbers, either of them is right.
        const bool tie = std::fabs(rest - std::floor(rest) - 0.5L) < 1e-3L;
        RC_ASSERT((tie ? std::abs(got - wanted) <= 1 : got == wanted));
    }));
}

TEST_CASE("Exponential grows by its factor from wait to wait, for every base",
          "[backoff][exponential][property]") {
    CHECK(rc::check("growth(n + 1) is near growth(n) * factor", [] {
        const double factor =
            static_cast<double>(*rc::gen::inRange<std::int64_t>(1000, 5000)) / 1000;
        const auto n = *rc::gen::inRange<std::uint64_t>(0, 200);
        const Duration base{*rc::gen::positive<Duration::rep>()};
        const Exponential growth{base, factor};
        const Duration now = growth(n);
        const Duration next = growth(n + 1);
        RC_ASSERT(next >= now);
        if (next != forever) {
            const double wanted = static_cast<double>(now.count()) * factor;
            const double off = std::fabs(static_cast<double>(next.count()) - wanted);
            RC_ASSERT(off <= factor + wanted * 1e-12);
        }
    }));
}

TEST_CASE("Exponential waits are the same for ever", "[backoff][exponential][golden]") {
    STATIC_REQUIRE(Exponential{1s, 1.6}(30).count() == 1'329'227'995'784'916);
    STATIC_REQUIRE(Exponential{1s, 1.6}(48).count() == 6'277'101'735'386'680'732);
    STATIC_REQUIRE(Exponential{100ms, 1.3}(40).count() == 3'611'886'480'845);
    STATIC_REQUIRE(Exponential{7ns, 1.001}(30'000).count() == 73'692'352'285'263);
}
