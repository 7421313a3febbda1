// SPDX-License-Identifier: MIT
// Goal: an operation of a long batch on a store that is down costs what one of a short batch does.
// Method: a counting operator new.
#include "support/catch.hpp"
#include "support/counting_new.hpp"
#include "support/sync/sync_rig.hpp"

using namespace belay;
using namespace belay_test;

namespace {

struct StoreThatIsDown : Memory {
    using operation_type = Op;
    std::error_code add(const ElementKey&, const std::string&, const WriteMark&) {
        return SyncErrc::store_busy;
    }
};

/// What a batch of so many operations allocates, on a store that takes none of them.
std::size_t allocations_of(int operations) {
    Ops batch;
    for (int i = 0; i < operations; ++i) batch.push_back(add(std::to_string(i), "1", stamp(1)));
    StoreThatIsDown store;
    auto processor = processor_of(store, LastWriteWins{}, {.transaction_operations = 10});
    const std::size_t before = allocations;
    std::size_t failed = 0;
    {
        const Counting counting;
        failed = processor.process_batch("s", batch).failed_count;
    }
    REQUIRE(failed == batch.size());
    return allocations - before;
}

}  // namespace

TEST_CASE(
    "a long batch on a store that is down allocates as much for each operation as a short one",
    "[sync][allocation]") {
    const std::size_t one = allocations_of(1000);
    CHECK(allocations_of(4000) < 5 * one);
}
