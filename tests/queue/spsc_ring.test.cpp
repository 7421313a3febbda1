// SPDX-License-Identifier: MIT
// Goal: SpscRing is a storage, and two threads may use its two sides. Method: the conformance
// suite, a model, every order of the atomic accesses of small scripts, and a load on real
// threads.
#include <belay/queue/concurrent_rings.hpp>

#include "support/queue/ring_model.hpp"
#include "support/queue/ring_suite.hpp"
#include "support/sanitizer.hpp"

using namespace belay;
using belay_test::mistake;
using belay_test::ModelAtomic;
using belay_test::OrderedAtomic;

namespace {

static_assert(explain::leasable_like<SpscRing<std::unique_ptr<int>>>());
static_assert(sizeof(SpscRing<int>) == 5 * 128 && alignof(SpscRing<int>) == 128,
              "no side writes to a line that the other reads");

}  // namespace

TEST_CASE("SpscRing passes the tests of all rings", "[queue][spsc_ring][property]") {
    belay_test::check_ring<SpscRing>();
}

TEST_CASE("SpscRing keeps a value of a cache line in one cache line", "[queue][spsc_ring][unit]") {
    struct Line {
        std::uint64_t words[8];
    };
    SpscRing<Line> ring{3};
    for (std::uint64_t i = 0; i < 10; ++i) {
        REQUIRE(ring.try_push(Line{{i}}));
        REQUIRE(ring.front() != nullptr);
        CHECK(reinterpret_cast<std::uintptr_t>(ring.front()) % 64 == 0);
        CHECK(ring.try_pop()->words[0] == i);
    }
}

TEST_CASE("SpscRing throws when the size of its slots overflows", "[queue][spsc_ring][unit]") {
    struct Huge {
        std::byte bytes[std::size_t{1} << 20];
    };
    if constexpr (!belay_test::sanitized) {  // a sanitizer ends the program instead
        CHECK_THROWS_AS(SpscRing<Huge>{std::size_t{1} << 48}, std::bad_alloc);
    }
}

TEST_CASE("SpscRing that was moved from is empty and has no capacity", "[queue][spsc_ring][unit]") {
    SpscRing<int> ring{2};
    CHECK(ring.try_push(1));
    const SpscRing<int> moved{std::move(ring)};
    CHECK(moved.size() == 1);
    CHECK(ring.capacity() == 0);
    CHECK_FALSE(ring.try_push(2));
    CHECK_FALSE(ring.try_pop());
    CHECK(ring.front() == nullptr);
}

#if !BELAY_TEST_SANITIZED  // a sanitizer does not support fibers
TEST_CASE("SpscRing gives a result allowed for a queue, in every order of its accesses",
          "[queue][spsc_ring][property]") {
    CHECK(mistake<SpscRing, ModelAtomic>(1, {"ppp", "ooo"}) == "");
    CHECK(mistake<SpscRing, ModelAtomic>(2, {"pppp", "oooo"}) == "");
    CHECK(mistake<SpscRing, ModelAtomic>(2, {"PpP", "OfO"}) == "");
    CHECK(mistake<SpscRing, ModelAtomic>(3, {"PPp", "fOff"}) == "");
    // A thread that is notified of a push in another way finds its value. After a pop, it finds
    // space.
    CHECK(mistake<SpscRing, ModelAtomic>(2, {"pps", "goo"}) == "");
    CHECK(mistake<SpscRing, ModelAtomic>(1, {"pgp", "os"}) == "");
}

TEST_CASE("SpscRing needs each of its memory orders", "[queue][spsc_ring][property]") {
    const auto look = [] { return mistake<SpscRing, OrderedAtomic>(1, {"pp", "oo"}); };
    CHECK(belay_test::needless_orders(look) == std::vector<std::string>{});
}
#endif

TEST_CASE("SpscRing passes every value on between two threads", "[queue][spsc_ring][unit]") {
    belay_test::check_under_load<SpscRing<belay_test::NumberedItem>>(1, 1, 1, 2'000);
    belay_test::check_under_load<SpscRing<belay_test::NumberedItem>>(7, 1, 1, 50'000);
    belay_test::check_under_load<SpscRing<belay_test::NumberedItem>>(256, 1, 1, 100'000);
}
