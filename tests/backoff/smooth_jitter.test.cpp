// SPDX-License-Identifier: MIT
// Goal: SmoothJitter has the distribution of the formula, at every attempt number, and the same
// draws on every machine. Method: its integer curve is compared with the formula in floating point.
#include <belay/backoff/jitters.hpp>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include <belay/backoff/caps.hpp>

#include "support/backoff/wait_samples.hpp"
#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::wait_samples;

namespace {

double formula(double t) { return std::exp2(t) * std::tanh(2 * std::sqrt(t)); }

}  // namespace

static_assert(std::same_as<decltype(Backoff{SmoothJitter{}, Cap{30s}, 1s}),
                           Backoff<SmoothJitter, Cap, Constant>>);
static_assert(sizeof(Backoff<SmoothJitter, Cap>) <= 40);

TEST_CASE("SmoothJitter's curve matches the formula within 0.12 %",
          "[backoff][smooth_jitter][unit]") {
    for (std::uint64_t row = 0; row < 12; ++row) {
        for (std::uint32_t i = 0; i < 4096; ++i) {
            const double x = static_cast<double>(i) / 4096;
            const double t = static_cast<double>(row) + (row == 0 ? x * x : x);
            const double wanted = formula(t) / std::exp2(static_cast<double>(row));
            const double got =
                static_cast<double>(detail::smooth_height(row, i << 20)) / (1ULL << 30);
            if (std::fabs(got - wanted) > (row == 0 ? 1.2e-3 : 5e-4) * wanted) {
                CAPTURE(row, i, wanted, got);
                FAIL_CHECK("off the curve");
            }
        }
    }
    // Its points themselves are exact.
    for (int row = 0; row < 7; ++row) {
        for (int i = 0; i < 16; ++i) {
            const double x = i / 16.0;
            const double wanted = row == 0   ? formula(x * x)
                                  : row == 6 ? std::exp2(x)
                                             : formula(row + x) / std::exp2(row);
            CAPTURE(row, i);
            CHECK(std::fabs(detail::smooth_curve[row][i] - wanted * (1 << 30)) < 0.51);
        }
    }
    // So are the bends between the points of row 0, whose continuation below zero is odd.
    const auto at = [](int i) { return i < 0 ? -formula(i * i / 256.0) : formula(i * i / 256.0); };
    for (int i = 0; i < 16; ++i) {
        const double wanted = (at(i) + at(i + 1) - at(i - 1) - at(i + 2)) / 4;
        CAPTURE(i);
        CHECK(std::fabs(detail::smooth_bend[i] - wanted * (1 << 30)) < 0.51);
    }
}

TEST_CASE("SmoothJitter's curve never falls", "[backoff][smooth_jitter][unit]") {
    for (std::uint64_t row = 0; row < 9; ++row) {
        std::uint64_t before = detail::smooth_height(row, 0);
        for (std::uint64_t point = 0; point <= 0xFFFFFFFFU; point += 0xFFFFU) {
            const std::uint64_t here =
                detail::smooth_height(row, static_cast<std::uint32_t>(point));
            if (here < before) FAIL_CHECK("falls in row " << row << " at " << point);
            before = here;
        }
        // A row ends where the next one begins.
        CHECK(before <= 2 * detail::smooth_height(row + 1, 0));
    }
}

TEST_CASE("SmoothJitter has the distribution of the formula, attempt for attempt",
          "[backoff][smooth_jitter][unit]") {
    constexpr std::size_t draws = 20'000;
    std::mt19937_64 engine{5};
    const auto uniform = [&] { return static_cast<double>(engine() >> 11) * 0x1p-53; };
    std::vector<std::vector<double>> ours(8);
    std::vector<std::vector<double>> theirs(8);
    Backoff backoff{SmoothJitter{}, NoCap{}, 1s, Seed{5}};
    for (std::size_t i = 0; i < draws; ++i) {
        backoff.reset();
        double before = 0;
        for (std::size_t n = 0; n < ours.size(); ++n) {
            ours[n].push_back(static_cast<double>(backoff.next().count()) / 1e9);
            const double here = formula(static_cast<double>(n) + uniform());
            theirs[n].push_back((here - before) / 1.4);
            before = here;
        }
    }
    for (std::size_t n = 0; n < ours.size(); ++n) {
        std::sort(ours[n].begin(), ours[n].end());
        std::sort(theirs[n].begin(), theirs[n].end());
        double apart = 0;  // of the two distribution functions (Kolmogorov, Smirnov)
        std::size_t j = 0;
        for (std::size_t i = 0; i < draws; ++i) {
            while (j < draws && theirs[n][j] < ours[n][i]) ++j;
            apart = std::max(apart, std::fabs(static_cast<double>(i) - static_cast<double>(j)));
        }
        CAPTURE(n);
        CHECK(apart / draws < 0.0195);  // 1.95 * sqrt(2 / draws): one time in a thousand by chance
        const double median = n == 0 ? 0.9 : n == 1 ? 1.14 : std::exp2(static_cast<double>(n) - 1);
        CHECK(ours[n][draws / 2] == Approx(median).epsilon(0.03));
    }
}

TEST_CASE("SmoothJitter's first wait has the density of the formula",
          "[backoff][smooth_jitter][regression]") {
    // Straight lines between the points of the table gave z = +4.2 here, and +5.7 on average.
    constexpr std::size_t cells = 1'000;
    constexpr std::size_t draws = 500'000;
    std::vector<double> ends;
    for (std::size_t i = 1; i < cells; ++i) {
        ends.push_back(formula(static_cast<double>(i) / cells) / 1.4 * 1e9);
    }
    std::vector<double> counts(cells);
    Backoff backoff{SmoothJitter{}, NoCap{}, 1s, Seed{12}};
    for (std::size_t i = 0; i < draws; ++i) {
        backoff.reset();
        const auto wait = static_cast<double>(backoff.next().count());
        const auto cell = std::upper_bound(ends.begin(), ends.end(), wait) - ends.begin();
        ++counts[static_cast<std::size_t>(cell)];
    }
    constexpr double expected = static_cast<double>(draws) / cells;
    double chi_square = 0;
    for (const double count : counts) {
        chi_square += (count - expected) * (count - expected) / expected;
    }
    constexpr double freedom = cells - 1;
    const double z = (chi_square - freedom) / std::sqrt(2 * freedom);
    CAPTURE(chi_square);
    CHECK(std::fabs(z) < 3);
}

TEST_CASE("SmoothJitter's range covers its draws, from both ends",
          "[backoff][smooth_jitter][unit]") {
    constexpr Backoff backoff{SmoothJitter{}, NoCap{}, 1s};
    const auto reach = [&](std::uint64_t n) {
        return static_cast<double>(backoff.max_delay(n).count()) / 1e9;
    };
    CHECK(reach(0) == Approx(formula(1) / 1.4).epsilon(1e-6));
    CHECK(reach(1) == Approx(formula(2) / 1.4).epsilon(1e-6));
    CHECK(reach(2) == Approx((formula(3) - formula(1)) / 1.4).epsilon(1e-6));
    CHECK(reach(20) == Approx((formula(21) - formula(19)) / 1.4).epsilon(1e-3));
    const auto first = wait_samples(backoff, 0, 20'000);
    CHECK(first.least < 20ms);
    CHECK(first.most > 1370ms);
    CHECK(first.most <= backoff.max_delay(0));
    const auto third = wait_samples(backoff, 2, 20'000);
    CHECK(third.least < 50ms);
    // Its longest waits cannot follow one another: max_total is a bound, not a sum that occurs.
    CHECK(backoff.max_total(3) > backoff.max_delay(0) + backoff.max_delay(1));
    CHECK(third.most > 4200ms);
    CHECK(third.most <= backoff.max_delay(2));
}

TEST_CASE("SmoothJitter is defined for every attempt", "[backoff][smooth_jitter][regression]") {
    // In floating point, infinity minus infinity was no number from attempt 1024 on.
    Random bits{Seed{1}};
    for (const Duration base : {1ns, Duration{1s}, 100 * belay_test::a_year, forever}) {
        const Duration cap = base < 30s ? 30s : base;
        const Backoff capped{SmoothJitter{}, Cap{cap}, base};
        const Backoff open{SmoothJitter{}, NoCap{}, base};
        for (const std::uint64_t n : belay_test::awkward_attempts) {
            CAPTURE(base.count(), n);
            CHECK(capped.max_delay(n) <= cap);
            CHECK(open.max_delay(n) >= capped.max_delay(n));
            CHECK(open.min_delay(n) == 0ns);
            SmoothJitter jitter;
            const part::WaitRange range{0ns, open.max_delay(n)};
            for (int i = 0; i < 10; ++i) {
                const Duration wait = jitter.delay(range, n, bits);
                CHECK(wait >= 0ns);
                CHECK(wait <= range.most);
            }
        }
    }
    CHECK(Backoff{SmoothJitter{}, NoCap{}, 1s}.max_delay(1025) == forever);
}

TEST_CASE("SmoothJitter shrinks under the cap, and does not gather waits there",
          "[backoff][smooth_jitter][regression]") {
    const auto late = wait_samples(Backoff{SmoothJitter{}, Cap{30s}, 1s}, 20, 20'000);
    CHECK(late.on_top == 0);
    CHECK(late.least < 1s);
    CHECK(late.most > 29s);
    // The mean of F(n + u) - F(n - 1 + u') over its end: (1 / ln 2) / 3.
    CHECK(late.mean == Approx(30e9 / std::log(2.0) / 3).epsilon(0.01));
}

TEST_CASE("SmoothJitter waits between the bounds for every base, cap and seed",
          "[backoff][smooth_jitter][property]") {
    CHECK(rc::check("min_delay <= wait <= max_delay", [](std::uint64_t seed) {
        const auto length = rc::gen::oneOf(rc::gen::inRange<Duration::rep>(1, 1000),
                                           rc::gen::positive<Duration::rep>());
        const Duration a{*length};
        const Duration b{*length};
        Backoff backoff{SmoothJitter{}, Cap{a < b ? b : a}, a < b ? a : b, Seed{seed}};
        for (std::uint64_t n = 0; n < 100; ++n) {
            const Duration wait = backoff.next();
            RC_ASSERT(wait >= backoff.min_delay(n));
            RC_ASSERT(wait <= backoff.max_delay(n));
        }
    }));
}

TEST_CASE("SmoothJitter starts again after a reset", "[backoff][smooth_jitter][unit]") {
    CHECK(SmoothJitter{} == [] {
        SmoothJitter jitter;
        Random bits{Seed{1}};
        static_cast<void>(jitter.delay({0s, 3s}, 0, bits));
        jitter.reset();
        return jitter;
    }());
}

TEST_CASE("SmoothJitter draws the same sequence for ever", "[backoff][smooth_jitter][golden]") {
    STATIC_REQUIRE([] {
        Backoff backoff{SmoothJitter{}, Cap{30s}, 1s, Seed{7}};
        std::int64_t sum = 0;
        for (int i = 0; i < 10; ++i) sum += backoff.next().count();
        return sum == 91'097'109'860;
    }());
}
