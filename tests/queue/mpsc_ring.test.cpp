// SPDX-License-Identifier: MIT
// Goal: MpscRing is a storage, and any number of threads can push to it. Method: the conformance
// suite, a model, every order of the atomic accesses of small scripts, and a load on real threads.
#include <belay/queue/mpsc_ring.hpp>

#include "support/queue/ring_model.hpp"
#include "support/queue/ring_suite.hpp"

using namespace belay;
using belay_test::mistake;
using belay_test::ModelAtomic;
using belay_test::OrderedAtomic;

namespace {

static_assert(explain::leasable_like<MpscRing<std::unique_ptr<int>>>());
static_assert(sizeof(MpscRing<int>) == 3 * 128 && alignof(MpscRing<int>) == 128,
              "the sides do not share lines");

}  // namespace

TEST_CASE("MpscRing passes the tests of all rings", "[queue][mpsc_ring][property]") {
    belay_test::check_ring<MpscRing>();
}

#if !BELAY_TEST_SANITIZED  // a sanitizer does not support fibers
TEST_CASE("MpscRing gives a result allowed for a queue, in every order of its accesses",
          "[queue][mpsc_ring][property]") {
    CHECK(mistake<MpscRing, ModelAtomic>(1, {"p", "p", "oo"}) == "");
    CHECK(mistake<MpscRing, ModelAtomic>(2, {"pp", "p", "oo"}) == "");
    CHECK(mistake<MpscRing, ModelAtomic>(2, {"P", "p", "Of"}) == "");
    CHECK(mistake<MpscRing, ModelAtomic>(3, {"Pp", "fOf"}) == "");
    // A thread that is notified of pushes in another way finds their values. After a pop, it finds
    // space.
    CHECK(mistake<MpscRing, ModelAtomic>(2, {"pps", "goo"}) == "");
    CHECK(mistake<MpscRing, ModelAtomic>(2, {"ps", "p", "go"}) == "");
    CHECK(mistake<MpscRing, ModelAtomic>(1, {"pgp", "os"}) == "");
}

TEST_CASE("MpscRing needs each of its memory orders", "[queue][mpsc_ring][property]") {
    const auto look = [] { return mistake<MpscRing, OrderedAtomic>(1, {"p", "p", "oo"}); };
    CHECK(belay_test::needless_orders(look) == std::vector<std::string>{});
}
#endif

TEST_CASE("MpscRing passes every value on from many threads to one", "[queue][mpsc_ring][unit]") {
    belay_test::check_under_load<MpscRing<belay_test::NumberedItem>>(1, 2, 1, 1'000);
    belay_test::check_under_load<MpscRing<belay_test::NumberedItem>>(7, 3, 1, 20'000);
    belay_test::check_under_load<MpscRing<belay_test::NumberedItem>>(256, 2, 1, 50'000);
}
