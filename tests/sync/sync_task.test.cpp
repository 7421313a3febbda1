// SPDX-License-Identifier: MIT
// Goal: the coroutine form works like the blocking one, and batches that interleave in each
// other's waits apply each operation once. Method: virtual time, stores that are busy.
#include <belay/sync/sync_task.hpp>

#include <belay/call/policies.hpp>

#include "support/call/async_sleeper.hpp"
#include "support/catch.hpp"
#include "support/sync/sync_rig.hpp"

using namespace belay;
using namespace belay_test;

TEST_CASE("co_await process_with_retry retries as the blocking form does", "[sync][sync_task]") {
    const auto run = [](bool awaited) {
        FaultyStore store;
        auto processor = processor_of(store, LastWriteWins{});
        AsyncSleeper sleeper;
        store.fail("a", SyncErrc::store_busy, 2);
        const Ops batch{add("a", "1", stamp(1)), add("b", "1", stamp(2))};
        SyncResult<Op> result;
        if (awaited) {
            auto task = process_with_retry(processor, "s", batch, policies::sync(), sleeper);
            task.start();
            CHECK(store.writes == std::vector<std::string>{"b"});
            sleeper.run();
            REQUIRE(task.done());
            result = task.take();
        } else {
            result = processor.process_with_retry("s", batch, policies::sync(), sleeper);
        }
        CHECK(sums(result, 2) == "2 0 0");
        CHECK(store.writes == std::vector<std::string>{"b", "a"});
        CHECK(sleeper.sleeps.size() == 2);
        return std::pair{result.retry_attempts, result.duration};
    };
    CHECK(run(true) == run(false));
    CHECK(run(true).first == 2);
}

TEST_CASE("process_with_retry that is destroyed in a wait has applied its decisions",
          "[sync][sync_task]") {
    FaultyStore store;
    auto processor = processor_of(store, LastWriteWins{});
    AsyncSleeper sleeper;
    store.fail("a", SyncErrc::store_busy, 1);
    const Ops batch{add("a", "1", stamp(1)), add("b", "1", stamp(2))};
    {
        auto task = process_with_retry(processor, "s", batch, policies::sync(), sleeper);
        task.start();
        CHECK(sleeper.waiting() == 1);
    }
    CHECK(sleeper.waiting() == 0);
    CHECK(store.writes == std::vector<std::string>{"b"});
    CHECK(sums(processor.process_batch("s", batch), 2) == "2 0 0");
    CHECK(store.writes == std::vector<std::string>{"b", "a"});
}
