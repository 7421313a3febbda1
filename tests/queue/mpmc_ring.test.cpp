// SPDX-License-Identifier: MIT
// Goal: MpmcRing is a storage, and any number of threads may use both its sides. Method: the
// conformance suite, a model, every order of the atomic accesses of small scripts, and a load on
// real threads.
#include <belay/queue/concurrent_rings.hpp>

#include <belay/queue/storage_like.hpp>

#include "support/queue/ring_model.hpp"
#include "support/queue/ring_suite.hpp"

using namespace belay;
using belay_test::mistake;
using belay_test::ModelAtomic;
using belay_test::OrderedAtomic;

namespace {

static_assert(explain::storage_like<MpmcRing<std::unique_ptr<int>>>());
static_assert(!LeasableLike<MpmcRing<int>>);
static_assert(sizeof(MpmcRing<int>) == 3 * 128 && alignof(MpmcRing<int>) == 128,
              "the sides do not share lines");

}  // namespace

TEST_CASE("MpmcRing passes the tests of all rings", "[queue][mpmc_ring][property]") {
    belay_test::check_ring<MpmcRing>();
}

#if !BELAY_TEST_SANITIZED  // a sanitizer does not support fibers
TEST_CASE("MpmcRing gives a result allowed for a queue, in every order of its accesses",
          "[queue][mpmc_ring][property]") {
    CHECK(mistake<MpmcRing, ModelAtomic>(1, {"p", "p", "o", "o"}) == "");
    CHECK(mistake<MpmcRing, ModelAtomic>(1, {"po", "po"}) == "");
    CHECK(mistake<MpmcRing, ModelAtomic>(2, {"po", "p", "o"}) == "");
    CHECK(mistake<MpmcRing, ModelAtomic>(2, {"Pp", "oo", "o"}) == "");
    CHECK(mistake<MpmcRing, ModelAtomic>(3, {"Pp", "O", "o"}) == "");
    // A thread that is notified of pushes in another way finds their values. After a pop, it finds
    // space.
    CHECK(mistake<MpmcRing, ModelAtomic>(2, {"ps", "p", "goo"}) == "");
    CHECK(mistake<MpmcRing, ModelAtomic>(1, {"pgp", "os"}) == "");
}

TEST_CASE("MpmcRing needs each of its memory orders", "[queue][mpmc_ring][property]") {
    const auto look = [] { return mistake<MpmcRing, OrderedAtomic>(1, {"p", "p", "oo"}); };
    CHECK(belay_test::needless_orders(look) == std::vector<std::string>{});
}
#endif

TEST_CASE("MpmcRing passes every value on between many threads", "[queue][mpmc_ring][unit]") {
    belay_test::check_under_load<MpmcRing<belay_test::NumberedItem>>(1, 2, 2, 1'000);
    belay_test::check_under_load<MpmcRing<belay_test::NumberedItem>>(7, 3, 2, 20'000);
    belay_test::check_under_load<MpmcRing<belay_test::NumberedItem>>(256, 2, 2, 50'000);
}
