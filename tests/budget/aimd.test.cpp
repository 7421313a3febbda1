// SPDX-License-Identifier: MIT
// Goal: the limit grows by one per round of successes, shrinks by a share per failure, and stays
// within its bounds.
#include <belay/budget/adaptive_limit.hpp>

#include <algorithm>
#include <type_traits>
#include <vector>

#include "support/aborts.hpp"
#include "support/catch.hpp"
#include "support/default_member.hpp"

using namespace belay;
using namespace std::chrono_literals;

namespace {

constexpr Aimd after_successes(Aimd limit, int count) {
    for (int i = 0; i < count; ++i) limit.succeeded(1ms, limit.limit());
    return limit;
}

}  // namespace

static_assert(std::is_trivially_copyable_v<Aimd> && sizeof(Aimd) == 24);

static_assert(belay_test::DefaultMember<Aimd>);

TEST_CASE("Aimd grows by about one after as many successes as its limit", "[budget][aimd][unit]") {
    STATIC_REQUIRE(Aimd{}.limit() == 20);
    STATIC_REQUIRE(after_successes(Aimd{{.initial = 1}}, 1).limit() == 2);
    STATIC_REQUIRE(after_successes(Aimd{}, 20).limit() == 20);
    STATIC_REQUIRE(after_successes(Aimd{}, 21).limit() == 21);
    // It grows for any size.
    STATIC_REQUIRE(after_successes(Aimd{{.initial = 10'000, .most = 20'000}}, 1000).limit() ==
                   10'001);
}

TEST_CASE("Aimd grows only while at least half of the limit is in use", "[budget][aimd][unit]") {
    STATIC_REQUIRE([] {
        Aimd limit;
        for (int i = 0; i < 1000; ++i) limit.succeeded(1ms, 9);
        bool ok = limit.limit() == 20;
        for (int i = 0; i < 21; ++i) limit.succeeded(1ms, 10);
        return ok && limit.limit() == 21;
    }());
}

TEST_CASE("Aimd shrinks by a share, and stays within its bounds", "[budget][aimd][unit]") {
    Aimd limit{{.initial = 100, .least = 2, .most = 101}};
    limit.failed();
    CHECK(limit.limit() == 90);
    limit.failed();
    CHECK(limit.limit() == 81);
    for (int i = 0; i < 100; ++i) limit.failed();
    CHECK(limit.limit() == 2);
    CHECK(after_successes(limit, 10'000).limit() == 101);
    // It grows again from its minimum.
    STATIC_REQUIRE([] {
        Aimd lowest{{.initial = 1}};
        for (int i = 0; i < 10; ++i) lowest.failed();
        return lowest.limit() == 1 && after_successes(lowest, 10).limit() > 3;
    }());
}

TEST_CASE("Aimd converges to the load that a peer can handle", "[budget][aimd][unit]") {
    // The peer fails all attempts above 40 at once.
    Aimd limit;
    std::uint32_t lowest = 1000;
    std::uint32_t highest = 0;
    for (int i = 0; i < 4000; ++i) {
        limit.succeeded(1ms, limit.limit());
        if (limit.limit() > 40) limit.failed();
        if (i < 2000) continue;
        lowest = std::min(lowest, limit.limit());
        highest = std::max(highest, limit.limit());
    }
    CHECK(lowest >= 36);
    CHECK(highest <= 40);
}

TEST_CASE("Aimd never leaves its bounds", "[budget][aimd][property]") {
    CHECK(rc::check("least <= limit <= most, up on success, down on failure", [] {
        const auto least = *rc::gen::inRange<std::uint32_t>(1, 50);
        const auto initial = least + *rc::gen::inRange<std::uint32_t>(0, 50);
        const auto most = initial + *rc::gen::inRange<std::uint32_t>(0, 50);
        Aimd limit{{.initial = initial, .least = least, .most = most}};
        for (const bool works : *rc::gen::arbitrary<std::vector<bool>>()) {
            const std::uint32_t before = limit.limit();
            works ? limit.succeeded(Duration{*rc::gen::arbitrary<std::int64_t>()},
                                    *rc::gen::arbitrary<std::uint32_t>())
                  : limit.failed();
            RC_ASSERT((works ? limit.limit() >= before : limit.limit() <= before));
            RC_ASSERT(limit.limit() >= least && limit.limit() <= most);
        }
    }));
    Aimd largest{{.initial = ~std::uint32_t{0}, .most = ~std::uint32_t{0}}};
    largest.succeeded(1ms, ~std::uint32_t{0});
    CHECK(largest.limit() == ~std::uint32_t{0});
    largest.failed();
    CHECK(largest.limit() == 3'865'470'565U);
}

TEST_CASE("Aimd aborts on invalid options", "[budget][aimd][unit]") {
    CHECK(belay_test::aborts_with([] {
              static_cast<void>(Aimd{{.least = 0}});
          }).find("1 <= least <= initial <= most must hold") != std::string::npos);
    CHECK(belay_test::aborts_with([] {
              static_cast<void>(Aimd{{.initial = 5, .least = 6}});
          }).find("least is 6, initial is 5") != std::string::npos);
    STATIC_REQUIRE(AimdOptions{}.check().empty());
    STATIC_REQUIRE_FALSE(AimdOptions{.initial = 5, .least = 6}.check().empty());
    CHECK(belay_test::aborts_with([] {
              static_cast<void>(Aimd{{.initial = 1001}});
          }).find("1 <= least") != std::string::npos);
}
