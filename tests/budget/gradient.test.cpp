// SPDX-License-Identifier: MIT
// Goal: the limit follows the duration of attempts: up while it is as usual, down when queues
// build up. Method: simulated peers.
#include <belay/budget/gradient.hpp>

#include <algorithm>
#include <memory>
#include <type_traits>
#include <vector>

#include <belay/backoff/backoff.hpp>
#include <belay/budget/adaptive_limit.hpp>
#include <belay/policy/max_attempts.hpp>
#include <belay/policy/policy.hpp>
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
    // A fifth of the way to 24, then of the way to 24.8.
    STATIC_REQUIRE(after_samples(Gradient{}, 1, 10ms).limit() == 20);
    STATIC_REQUIRE(after_samples(Gradient{}, 2, 10ms).limit() == 21);
    STATIC_REQUIRE(after_samples(Gradient{}, 5, 10ms).limit() == 24);
    STATIC_REQUIRE(after_samples(Gradient{}, 5, 10ms).usual() == 10ms);
    STATIC_REQUIRE(after_samples(Gradient{{.most = 30}}, 100, 10ms).limit() == 30);
}

TEST_CASE("Gradient moves with the smallest smoothing, too", "[budget][gradient][regression]") {
    const Gradient slow = after_samples(
        Gradient{{.initial = 20, .queue = 1, .smoothing_per_thousand = 1}}, 5000, 10ms);
    CHECK(slow.limit() > 20);
}

TEST_CASE("Gradient shrinks when attempts take longer than the tolerance",
          "[budget][gradient][unit]") {
    STATIC_REQUIRE([] {
        const Gradient usual = after_samples(Gradient{{.initial = 100, .most = 100}}, 50, 10ms);
        // Half as long again is tolerated.
        bool ok = after_samples(usual, 1, 15ms).limit() == 100;
        // Three times as long: the gradient is 1/2, so a fifth of the way to 54.
        ok = ok && after_samples(usual, 1, 30ms).limit() == 90;
        // Not faster than that, however long it takes.
        return ok && after_samples(usual, 1, 24h).limit() == 90;
    }());
}

TEST_CASE("Gradient does not move while less than half of the limit is used",
          "[budget][gradient][unit]") {
    Gradient limit;
    for (int i = 0; i < 100; ++i) limit.succeeded(10ms, 9);
    CHECK(limit.limit() == 20);
    // But it learns what is usual.
    CHECK(limit.usual() == 10ms);
}

TEST_CASE("Gradient learns a new usual time, and unlearns a bad one faster",
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

TEST_CASE("Gradient converges to the load that a peer can handle, without any failure",
          "[budget][gradient][unit]") {
    // A peer that works on 40 at once in 10 ms; whatever is more waits in line.
    Gradient limit{{.most = 1000}};
    const auto took = [&] { return limit.limit() <= 40 ? 10ms : 10ms * limit.limit() / 40; };
    for (int i = 0; i < 30; ++i) limit.succeeded(took(), limit.limit());
    std::uint32_t highest = 0;
    for (int i = 0; i < 200; ++i) {
        limit.succeeded(took(), limit.limit());
        highest = std::max(highest, limit.limit());
    }
    // Above what it works on, by the tolerance and a line; never near the bound.
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
                        .queue = *rc::gen::positive<std::uint32_t>(),
                        .tolerance_per_thousand = *rc::gen::inRange<std::uint32_t>(1000, 8001),
                        .smoothing_per_thousand = *rc::gen::inRange<std::uint32_t>(1, 1001),
                        .shrink_to_per_thousand = *rc::gen::inRange<std::uint32_t>(1, 1000)}};
        for (const auto took : *rc::gen::arbitrary<std::vector<std::int64_t>>()) {
            took % 5 == 0 ? limit.failed()
                          : limit.succeeded(Duration{took}, *rc::gen::arbitrary<std::uint32_t>());
            RC_ASSERT(limit.limit() >= least && limit.limit() <= most);
        }
    }));
    Gradient limit{{.initial = ~std::uint32_t{0},
                    .most = ~std::uint32_t{0},
                    .queue = ~std::uint32_t{0},
                    .tolerance_per_thousand = 8000}};
    for (const Duration took : {forever, 0ns, Duration::min(), forever, 1ns, forever}) {
        limit.succeeded(took, ~std::uint32_t{0});
    }
    CHECK(limit.limit() >= 1);
}

TEST_CASE("Gradient aborts on invalid options", "[budget][gradient][unit]") {
    CHECK(belay_test::aborts_with([] {
              static_cast<void>(Gradient{{.least = 0}});
          }).find("1 <= least <= initial <= most must hold") != std::string::npos);
    // With nothing to grow by, the limit could only fall.
    CHECK(belay_test::aborts_with([] {
              static_cast<void>(Gradient{{.queue = 0}});
          }).find("the queue must be >= 1") != std::string::npos);
    CHECK(belay_test::aborts_with([] {
              static_cast<void>(Gradient{{.tolerance_per_thousand = 999}});
          }).find("the tolerance must be") != std::string::npos);
    CHECK(belay_test::aborts_with([] {
              static_cast<void>(Gradient{{.tolerance_per_thousand = 8001}});
          }).find("the tolerance must be") != std::string::npos);
    CHECK(belay_test::aborts_with([] {
              static_cast<void>(Gradient{{.smoothing_per_thousand = 0}});
          }).find("the smoothing must be") != std::string::npos);
    CHECK(belay_test::aborts_with([] {
              static_cast<void>(Gradient{{.smoothing_per_thousand = 1001}});
          }).find("the smoothing must be") != std::string::npos);
    CHECK(belay_test::aborts_with([] {
              static_cast<void>(Gradient{{.shrink_to_per_thousand = 0}});
          }).find("must leave") != std::string::npos);
}
