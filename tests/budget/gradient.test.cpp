// SPDX-License-Identifier: MIT
// Goal: the limit follows the duration of attempts: it grows while they take their usual time, and
// shrinks when queues grow. Method: simulated peers.
#include <belay/budget/adaptive_limit.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>
#include <type_traits>
#include <vector>

#include <belay/backoff/backoff.hpp>
#include <belay/policy/policy.hpp>
#include <belay/policy/rules.hpp>
#include <belay/policy/shared.hpp>
#include <belay/policy/stability_check.hpp>

#include "support/aborts.hpp"
#include "support/catch.hpp"
#include "support/default_member.hpp"

using namespace belay;
using namespace std::chrono_literals;

namespace {

constexpr Gradient after_samples(Gradient limit, int count, Duration took) {
    for (int i = 0; i < count; ++i) limit.succeeded(took, limit.limit());
    return limit;
}

}  // namespace

static_assert(std::is_trivially_copyable_v<Gradient> && sizeof(Gradient) <= 56);

static_assert(belay_test::DefaultMember<Gradient>);

TEST_CASE("Gradient grows by its queue while attempts take as long as usual",
          "[budget][gradient][unit]") {
    STATIC_REQUIRE(Gradient{}.limit() == 20);
    STATIC_REQUIRE(Gradient{}.usual() == 0ns);
    // One fifth of the difference to 24, and then of that to 24.8.
    STATIC_REQUIRE(after_samples(Gradient{}, 1, 10ms).limit() == 20);
    STATIC_REQUIRE(after_samples(Gradient{}, 2, 10ms).limit() == 21);
    STATIC_REQUIRE(after_samples(Gradient{}, 5, 10ms).limit() == 24);
    STATIC_REQUIRE(after_samples(Gradient{}, 5, 10ms).usual() == 10ms);
    STATIC_REQUIRE(after_samples(Gradient{{.most = 30}}, 100, 10ms).limit() == 30);
}

TEST_CASE("Gradient shrinks when attempts take longer than the tolerance",
          "[budget][gradient][unit]") {
    STATIC_REQUIRE([] {
        const Gradient usual = after_samples(Gradient{{.initial = 100, .most = 100}}, 50, 10ms);
        // One and a half times the usual time is tolerated.
        bool ok = after_samples(usual, 1, 15ms).limit() == 100;
        // Three times the usual time: the gradient is 1/2, so one fifth of the difference to 54.
        ok = ok && after_samples(usual, 1, 30ms).limit() == 90;
        // It does not shrink faster for any longer time.
        return ok && after_samples(usual, 1, 24h).limit() == 90;
    }());
}

TEST_CASE("Gradient does not move while less than half of the limit is used",
          "[budget][gradient][unit]") {
    Gradient limit;
    for (int i = 0; i < 100; ++i) limit.succeeded(10ms, 9);
    CHECK(limit.limit() == 20);
    // The usual time is still measured.
    CHECK(limit.usual() == 10ms);
}

TEST_CASE("Gradient adapts to a new usual time, and faster if it is shorter",
          "[budget][gradient][unit]") {
    Gradient limit = after_samples(Gradient{}, 20, 10ms);
    limit = after_samples(limit, 300, 20ms);
    CHECK(limit.usual() > 15ms);
    CHECK(limit.usual() < 20ms);
    limit = after_samples(Gradient{}, 20, 1s);
    limit = after_samples(limit, 60, 10ms);
    CHECK(limit.usual() < 60ms);
}

TEST_CASE("Gradient shrinks by a share after failures", "[budget][gradient][unit]") {
    STATIC_REQUIRE([] {
        Gradient limit{{.initial = 100, .least = 5}};
        limit.failed();
        bool ok = limit.limit() == 80;
        for (int i = 0; i < 100; ++i) limit.failed();
        return ok && limit.limit() == 5;
    }());
}

TEST_CASE("Gradient keeps the load of an outage and of errors within 1.3 times the usual one",
          "[budget][gradient][regression]") {
    struct Process {
        AdaptiveLimit<Gradient> limit{};
        auto policy() {
            return Policy{Backoff{FullJitter{}, Cap{10s}, 100ms}, Shared{limit, FailFast{}},
                          MaxAttempts{3}};
        }
    };
    const auto report = check::stability([] { return std::make_unique<Process>(); });
    CHECK_FALSE(report.broken().has_value());
    CHECK(report.back_after == 0s);
}

// The numbers of the tests of Netflix concurrency-limits (commit 78a74b98). It has no test of
// Gradient2Limit itself: the numbers are those of its mean, and those of its VegasLimit.

TEST_CASE("Gradient has the mean of Netflix's ExpAvgMeasurementTest",
          "[budget][gradient][golden]") {
    const double means[] = {10.0, 10.5, 11, 11.5, 12, 12.5, 13, 13.5, 14, 14.5};
    Gradient limit;
    const auto usual_in_ms = [&] {
        return std::chrono::duration<double, std::milli>(limit.usual()).count();
    };
    for (int i = 0; i < 10; ++i) {
        limit.succeeded((i + 10) * 1ms, 1);
        CHECK(std::abs(usual_in_ms() - means[i]) < 0.01);
    }
    limit.succeeded(100ms, 1);
    // The test has 16.2 there, because its window is 100 samples. Gradient2Limit has a window of
    // 600.
    CHECK(std::abs(usual_in_ms() - (14.5 + (100 - 14.5) * 2 / 601)) < 0.0001);
}

TEST_CASE("Gradient follows the formula of Netflix's Gradient2Limit, computed in floating point",
          "[budget][gradient][property]") {
    CHECK(rc::check("within 1.25 of it, for 100 samples", [](std::uint64_t seed) {
        // Samples of whole nanoseconds. With few values, a mean may be at the border of a decision.
        Random bits{Seed{seed}};
        Gradient limit{{.initial = 20, .least = 20, .most = 200}};
        double model = 20;
        double mean = 0;
        int seen = 0;
        for (int i = 0; i < 100; ++i) {
            const std::uint64_t more = uniform_upto(bits, 35'000'000);
            const Duration took = 5ms + Duration{static_cast<Duration::rep>(more)};
            const auto rtt = static_cast<double>(took.count());
            mean += seen < 10 ? (rtt - mean) / ++seen : (rtt - mean) * 2 / 601;
            // In this class, a gradient is a number of thousandths.
            const double gradient =
                std::floor(1000 * std::clamp(1.5 * mean / rtt, 0.5, 1.0)) / 1000;
            if (mean > 2 * rtt) mean *= 0.95;
            model = std::clamp(model * 0.8 + (model * gradient + 4) * 0.2, 20.0, 200.0);
            limit.succeeded(took, limit.limit());
            // The limit is the whole number below, and each step is rounded to thousandths.
            RC_ASSERT(std::abs(limit.limit() - model) <= 1.25);
        }
    }));
}

TEST_CASE("Gradient compared with Netflix's VegasLimitTest, which uses the shortest time",
          "[budget][gradient][golden]") {
    struct Sample {
        Duration took;
        std::uint32_t in_flight;
    };
    const auto limits = [](GradientOptions options, const std::vector<Sample>& samples) {
        Gradient limit{options};
        std::vector<std::uint32_t> all;
        for (const Sample& sample : samples) {
            limit.succeeded(sample.took, sample.in_flight);
            all.push_back(limit.limit());
        }
        return all;
    };
    using Limits = std::vector<std::uint32_t>;
    // Vegas moves by steps that grow with the limit, and Gradient by one fifth of its queue.
    const GradientOptions large{.initial = 10000, .most = 20000};
    // The test has 10000 and 10024 there.
    CHECK(limits(large, {{10s, 5000}, {10s, 6000}}) == Limits{10000, 10001});
    const GradientOptions create{.initial = 10, .most = 20};
    // Vegas uses the first sample as the shortest time only. For Gradient it is a usual one.
    CHECK(limits(create, {{10ms, 10}, {10ms, 11}}) == Limits{10, 11});  // Vegas: 10, 16
    // One slow sample is enough for Vegas. Gradient compares it with a mean that includes it.
    CHECK(limits(create, {{10ms, 10}, {50ms, 11}}) == Limits{10, 11});  // Vegas: 10, 9
    // Vegas stays between its thresholds. Gradient has a tolerance, below which it grows.
    CHECK(limits(create, {{10ms, 10}, {14ms, 14}}) == Limits{10, 11});  // Vegas: 10, 10
    // Twice the time: Vegas halves the limit, or half of it. Gradient takes a fifth of that way, if
    // the mean is older.
    const GradientOptions halves{.initial = 100, .most = 200};
    CHECK(limits(halves, {{10ms, 100}, {20ms, 100}, {20ms, 100}}) ==
          Limits{100, 101, 102});  // Vegas: 100, 75, 56
    Gradient old{{.initial = 100, .most = 104}};
    old = after_samples(old, 100, 10ms);
    CHECK(after_samples(old, 1, 20ms).limit() == 99);
    CHECK(after_samples(old, 2, 20ms).limit() == 95);
}

TEST_CASE("Gradient converges to the load that a peer can handle, without any failure",
          "[budget][gradient][unit]") {
    // A peer that handles 40 attempts at once in 10 ms. Further attempts wait in its queue.
    Gradient limit{{.most = 1000}};
    const auto took = [&] { return limit.limit() <= 40 ? 10ms : 10ms * limit.limit() / 40; };
    for (int i = 0; i < 30; ++i) limit.succeeded(took(), limit.limit());
    std::uint32_t highest = 0;
    for (int i = 0; i < 200; ++i) {
        limit.succeeded(took(), limit.limit());
        highest = std::max(highest, limit.limit());
    }
    // The limit is above 40 because of the tolerance and the queue, and never near its maximum.
    CHECK(limit.limit() >= 40);
    CHECK(highest <= 120);
}

TEST_CASE("Gradient never leaves its bounds, for any times", "[budget][gradient][property]") {
    CHECK(rc::check("least <= limit <= most", [] {
        const auto least = *rc::gen::inRange<std::uint32_t>(1, 50);
        const auto initial = least + *rc::gen::inRange<std::uint32_t>(0, 50);
        const auto most = initial + *rc::gen::inRange<std::uint32_t>(0, 50);
        Gradient limit{{.initial = initial,
                        .least = least,
                        .most = most,
                        .queue = *rc::gen::positive<std::uint32_t>()}};
        for (const auto took : *rc::gen::arbitrary<std::vector<std::int64_t>>()) {
            took % 5 == 0 ? limit.failed()
                          : limit.succeeded(Duration{took}, *rc::gen::arbitrary<std::uint32_t>());
            RC_ASSERT(limit.limit() >= least && limit.limit() <= most);
        }
    }));
    Gradient limit{
        {.initial = ~std::uint32_t{0}, .most = ~std::uint32_t{0}, .queue = ~std::uint32_t{0}}};
    for (const Duration took : {forever, 0ns, Duration::min(), forever, 1ns, forever}) {
        limit.succeeded(took, ~std::uint32_t{0});
    }
    CHECK(limit.limit() >= 1);
}

TEST_CASE("Gradient aborts on invalid options", "[budget][gradient][unit]") {
    CHECK(belay_test::aborts_with([] {
              static_cast<void>(Gradient{{.least = 0}});
          }).find("1 <= least <= initial <= most must hold") != std::string::npos);
    // With a queue of 0, the limit could only shrink.
    CHECK(belay_test::aborts_with([] {
              static_cast<void>(Gradient{{.queue = 0}});
          }).find("the queue must be >= 1") != std::string::npos);
}
