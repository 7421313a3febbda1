// SPDX-License-Identifier: MIT
// Goal: the requirements of the document on offline mode and sync, by its own names. Method: its
// scenarios, on a MemoryStore and, if a restart counts, with operations and store on disks.
#include <belay/sync.hpp>

#include <algorithm>

#include <belay/backoff/jitters.hpp>
#include <belay/call/policies.hpp>
#include <belay/queue/queue.hpp>
#include <belay/queue/storages.hpp>
#include <belay/sim/crash_points.hpp>
#include <belay/sync/sync_task.hpp>

#include "support/call/async_sleeper.hpp"
#include "support/catch.hpp"
#include "support/sync/log_store.hpp"
#include "support/sync/sync_rig.hpp"

using namespace belay;
using namespace belay_test;
using Names = std::vector<std::string>;

TEST_CASE("test_process_empty_batch", "[spec][sync]") {
    Memory store;
    SyncProcessor processor{std::ref(store), LastWriteWins{}};
    const SyncResult result = processor.process_batch("s", Ops{});
    CHECK(sums(result, 0) == "0 0 0");
    CHECK(result.success);
    AsyncSleeper sleeper;
    CHECK(processor.process_with_retry("s", Ops{}, policies::sync(), sleeper).retry_attempts == 0);
    CHECK(sleeper.sleeps.empty());
}

TEST_CASE("test_process_single_add", "[spec][sync]") {
    Memory store;
    auto processor = processor_of(store, LastWriteWins{});
    const SyncResult result = processor.process_batch("s", Ops{add("e", "x", stamp(1))});
    CHECK(sums(result, 1) == "1 0 0");
    CHECK(result.timestamp == ManualWallTime{}.time);
    CHECK(state_text(store, "e") == "live 1 x");
    CHECK(state_text(store, "e", "another session") == "absent");
}

TEST_CASE("test_process_mixed_operations", "[spec][sync]") {
    Memory store;
    auto processor = processor_of(store, LastWriteWins{});
    const SyncResult result = processor.process_batch(
        "s", Ops{add("a", "1", stamp(1)), add("b", "1", stamp(2)), update("a", "2", stamp(3)),
                 interaction("tapped", stamp(4)), removal("b", stamp(5))});
    CHECK(sums(result, 5) == "5 0 0");
    CHECK(state_text(store, "a") == "live 3 2");
    CHECK(state_text(store, "b") == "removed 5");
}

TEST_CASE("test_detect_element_not_found", "[spec][sync]") {
    Memory store;
    auto processor = processor_of(store, LastWriteWins{});
    for (const Op& op : {update("e", "1", stamp(1)), removal("e", stamp(1))}) {
        const auto found = processor.detect_conflict("s", op);
        REQUIRE(found->has_value());
        CHECK((*found)->reason == Reason{ElementNotFound{}});
        CHECK((*found)->operation == op);
    }
}

TEST_CASE("test_detect_stale_timestamp", "[spec][sync]") {
    Memory store;
    auto processor = processor_of(store, LastWriteWins{});
    CHECK(processor.process_batch("s", Ops{add("e", "1", stamp(100))}).success);
    const auto found = processor.detect_conflict("s", update("e", "2", stamp(50)));
    REQUIRE(found->has_value());
    CHECK((*found)->reason == Reason{StaleTimestamp{stamp(100), stamp(50)}});
}

TEST_CASE("test_resolve_last_write_wins", "[spec][sync]") {
    Memory store;
    auto processor = processor_of(store, LastWriteWins{});
    CHECK(processor
              .process_batch("s", Ops{add("e", "first", stamp(5)), add("e", "later", stamp(7)),
                                      add("e", "earlier", stamp(6))})
              .conflict_count == 1);
    CHECK(state_text(store, "e") == "live 7 later");
}

TEST_CASE("test_resolve_local_wins", "[spec][sync]") {
    Memory store;
    auto processor = processor_of(store, LocalWins{});
    CHECK(
        processor.process_batch("s", Ops{add("e", "first", stamp(5)), add("e", "later", stamp(7))})
            .conflict_count == 1);
    CHECK(state_text(store, "e") == "live 5 first");
}

TEST_CASE("test_resolve_remote_wins", "[spec][sync]") {
    Memory store;
    auto processor = processor_of(store, RemoteWins{});
    CHECK(processor
              .process_batch("s", Ops{add("e", "first", stamp(5)), add("e", "earlier", stamp(3))})
              .synced_count == 2);
    // The stamp does not go back. Otherwise, the next stale operation would count as a newer one.
    CHECK(state_text(store, "e") == "live 5 earlier");
}

TEST_CASE("test_retry_on_transient_failure", "[spec][sync]") {
    FaultyStore store;
    auto processor = processor_of(store, LastWriteWins{});
    AsyncSleeper sleeper;
    store.fail("a", SyncErrc::store_busy, 2);
    const SyncResult result =
        processor.process_with_retry("s", Ops{add("a", "1", stamp(1))}, policies::sync(), sleeper);
    CHECK(sums(result, 1) == "1 0 0");
    CHECK(result.retry_attempts == 2);
    CHECK(store.calls == 3);
    REQUIRE(sleeper.sleeps.size() == 2);
    CHECK(result.duration == sleeper.sleeps[0] + sleeper.sleeps[1]);
}

TEST_CASE("test_retry_ends_after_max_retries", "[spec][sync]") {
    FaultyStore store;
    auto processor = processor_of(store, LastWriteWins{});
    AsyncSleeper sleeper;
    store.fail("a", SyncErrc::store_busy, 100);
    // The document's own delays, without jitter: 100 ms, doubled, at most 5 s.
    const Policy policy{
        Backoff{NoJitter{}, Cap{std::chrono::seconds{5}}, std::chrono::milliseconds{100}},
        MaxAttempts{4}};
    const SyncResult result =
        processor.process_with_retry("s", Ops{add("a", "1", stamp(1))}, policy, sleeper);
    REQUIRE(sums(result, 1) == "0 0 1");
    CHECK(result.failed_operations[0].error == SyncErrc::store_busy);
    CHECK(result.failed_operations[0].retryable);
    // 1 + max_retries calls.
    CHECK(store.calls == 4);
    CHECK(result.retry_attempts == 3);
    using std::chrono::milliseconds;
    CHECK(sleeper.sleeps ==
          std::vector<Duration>{milliseconds{100}, milliseconds{200}, milliseconds{400}});
}

TEST_CASE("test_no_retry_on_permanent_failure", "[spec][sync]") {
    for (const SyncErrc error : {SyncErrc::bad_operation, SyncErrc::store_full}) {
        FaultyStore store;
        auto processor = processor_of(store, LastWriteWins{});
        AsyncSleeper sleeper;
        store.fail("a", error, 100);
        const SyncResult result = processor.process_with_retry("s", Ops{add("a", "1", stamp(1))},
                                                               policies::sync(), sleeper);
        REQUIRE(sums(result, 1) == "0 0 1");
        // The store, and not the operation, is the cause of the second one. So its sender keeps it.
        CHECK(result.failed_operations[0].retryable == (error == SyncErrc::store_full));
        CHECK(result.failed_operations[0].kept == result.failed_operations[0].retryable);
        CHECK(result.retry_attempts == 0);
        CHECK(store.calls == 1);
        CHECK(sleeper.sleeps.empty());
    }
}

TEST_CASE("all operations fail", "[spec][sync]") {
    FaultyStore store;
    auto processor = processor_of(store, LastWriteWins{});
    Ops batch;
    for (const std::string name : {"a", "b", "c"}) {
        store.fail(name, SyncErrc::store_failed, 100);
        batch.push_back(add(name, "1", stamp(1)));
    }
    AsyncSleeper sleeper;
    const SyncResult result = processor.process_with_retry("s", batch, policies::sync(), sleeper);
    REQUIRE(sums(result, 3) == "0 0 3");
    for (std::size_t i = 0; i < 3; ++i) CHECK(result.failed_operations[i].operation == batch[i]);
}

TEST_CASE("all operations succeed", "[spec][sync]") {
    Memory store;
    auto processor = processor_of(store, LastWriteWins{});
    Ops batch;
    for (int i = 0; i < 100; ++i) batch.push_back(add(std::to_string(i), "1", stamp(i)));
    CHECK(sums(processor.process_batch("s", batch), 100) == "100 0 0");
    CHECK(store.size() == 100);
}

namespace {
/// The ids of the operations on each element, in the order in which they were decided.
struct DecisionOrder {
    std::map<std::string, std::vector<Id>> decided{};
    void on_operation(const OperationReport<Op>& report) {
        if (report.outcome == part::OperationOutcome::waiting) return;
        decided[std::string{report.operation.element()}].push_back(report.operation.id);
    }
};
}  // namespace

TEST_CASE("prop_sync_preserves_order", "[spec][sync][property]") {
    // Each kind of operation. With RemoteWins all of them are applied, except for changes of
    // missing elements. The state after the batch therefore follows from the order alone.
    CHECK(rc::check("the operations on each element take effect in the batch's order", [] {
        FaultyStore store;
        DecisionOrder order;
        SyncProcessor processor{std::ref(store), RemoteWins{}, SyncOptions{}, std::ref(order),
                                ManualWallTime{}};
        const auto count = *rc::gen::inRange(0, 101);
        Ops batch;
        for (int i = 0; i < count; ++i) {
            const std::string name(1, static_cast<char>('a' + *rc::gen::inRange(0, 4)));
            const Stamp at = stamp(*rc::gen::inRange(0, 50));
            switch (*rc::gen::inRange(0, 5)) {
                case 0:
                    batch.push_back(removal(name, at));
                    break;
                case 1:
                    batch.push_back(interaction(std::to_string(i), at));
                    break;
                case 2:
                    batch.push_back(update(name, std::to_string(i), at));
                    break;
                default:
                    batch.push_back(add(name, std::to_string(i), at));
            }
            if (*rc::gen::inRange(0, 4) == 0) store.fail(name, SyncErrc::store_busy);
            if (*rc::gen::inRange(0, 9) == 0) store.pass(name);
        }
        AsyncSleeper sleeper;
        const SyncResult result =
            processor.process_with_retry("s", batch, MaxAttempts{200}, sleeper);
        RC_ASSERT(result.failed_count == 0U);

        std::map<std::string, std::optional<std::string>> expected;
        Ops conflicts;
        for (const Op& op : batch) {
            const std::string name{op.element()};
            const bool is_there = expected[name].has_value();
            const bool was_there = store.find({"s", name})->presence != part::Presence::absent;
            RC_ASSERT((op.kind() == OperationKind::interaction || was_there ||
                       op.kind() == OperationKind::update));
            if (op.kind() == OperationKind::add) expected[name] = op.value();
            if (op.kind() == OperationKind::update && is_there) expected[name] = op.value();
            if (op.kind() == OperationKind::update && !is_there) conflicts.push_back(op);
            if (op.kind() == OperationKind::remove) expected[name].reset();
        }
        for (const auto& [name, value] : expected) {
            RC_ASSERT(store.read({"s", name}).value() == value);
        }
        // Removals of elements that never existed are conflicts, too.
        for (const auto& conflict : result.conflicts) {
            RC_ASSERT(conflict.resolved);
            if (conflict.operation.kind() == OperationKind::remove) continue;
            RC_ASSERT(!conflicts.empty());
            RC_ASSERT(conflict.operation == conflicts.front());
            conflicts.erase(conflicts.begin());
        }
        RC_ASSERT(conflicts.empty());
        std::map<std::string, std::vector<Id>> given;
        for (const Op& op : batch) given[std::string{op.element()}].push_back(op.id);
        RC_ASSERT(order.decided == given);
    }));
}

TEST_CASE("test_client_queues_offline_then_syncs", "[spec][sync]") {
    Memory store;
    auto processor = processor_of(store, LastWriteWins{});
    Queue offline{Deque<Op>{}, {.limit = 100}};
    CHECK_FALSE(offline.push(add("e", "offline", stamp(1))));
    CHECK_FALSE(offline.push(update("e", "edited", stamp(2))));
    CHECK_FALSE(offline.push(add("f", "other", stamp(3))));
    Ops batch;
    while (auto op = offline.pop()) batch.push_back(*op);
    CHECK(processor.process_batch("s", batch).success);
    CHECK(state_text(store, "e") == "live 2 edited");
    CHECK(state_text(store, "f") == "live 3 other");
}

TEST_CASE("test_concurrent_clients_conflict_resolution", "[spec][sync]") {
    for (const bool first_client_first : {true, false}) {
        Memory store;
        auto processor = processor_of(store, LastWriteWins{});
        CHECK(processor.process_batch("s", Ops{add("e", "base", stamp(1))}).success);
        const Ops one{update("e", "one", stamp(5, 1))};
        const Ops two{update("e", "two", stamp(6, 2))};
        const SyncResult first = processor.process_batch("s", first_client_first ? one : two);
        const SyncResult second = processor.process_batch("s", first_client_first ? two : one);
        CHECK(first.conflict_count + second.conflict_count == (first_client_first ? 0 : 1));
        CHECK(state_text(store, "e") == "live 6 two");
    }
}

TEST_CASE("test_sync_survives_restart", "[spec][sync]") {
    // Both are on a machine that loses its power at each operation of its disk.
    const Ops queued{add("a", "1", stamp(1)), update("a", "2", stamp(2)), removal("a", stamp(3)),
                     add("b", "1", stamp(4))};
    const auto open = [](sim::Disk& disk, const char* path) {
        return SimJournal::open(disk, path,
                                {.segment_bytes = 8192, .record_bytes_max = 2048, .seed = Seed{1}});
    };
    const auto incarnation = [&](sim::Disk& disk) {
        auto journal = open(disk, "client");
        if (!journal) return false;
        Queue queue{std::move(*journal), {.limit = 100}};
        for (std::size_t i = queue.storage().last(); i < queued.size(); ++i) {
            if (queue.push(BytesView{bytes_of(queued[i])}) || queue.flush()) return false;
        }
        auto log = open(disk, "server");
        if (!log) return false;
        LogStore store{*log, Random{Seed{1}}, SyncBug::none};
        SyncProcessor processor{std::ref(store), LastWriteWins{},
                                SyncOptions{.transaction_operations = 1}, NoObserver{},
                                ManualWallTime{}};
        AsyncSleeper sleeper;
        const DrainReport drained = queue.drain([&](BytesView bytes) {
            return processor.process_with_retry("s", Ops{op_of(bytes)}, policies::sync(), sleeper)
                .success;
        });
        return !drained.error && queue.empty() && !queue.flush();
    };
    const auto recover = [&](sim::Disk& disk, bool) {
        if (!incarnation(disk)) return false;
        auto log = open(disk, "server");
        if (!log) return false;
        Names writes;
        for (const LogStore::Write& one : LogStore::all_of(*log)) writes.push_back(one.element);
        LogStore store{*log, Random{Seed{1}}, SyncBug::none};
        return writes == Names{"a", "a", "a", "b"} &&
               state_text(store.memory(), "a") == "removed 3" &&
               state_text(store.memory(), "b") == "live 4 1";
    };
    const auto report =
        sim::crash_points(incarnation, recover, {.drawn_max = 3, .enumerated_max = 2});
    INFO(report.failure);
    CHECK(report);
    CHECK(report.states > 40);
}

TEST_CASE("test_sync_interrupted_at_every_operation", "[spec][sync]") {
    const Ops batch{add("a", "1", stamp(1)), update("a", "2", stamp(2)), add("b", "1", stamp(3)),
                    removal("a", stamp(4)),  interaction("x", stamp(5)), update("c", "1", stamp(6)),
                    removal("d", stamp(7)),  add("d", "1", stamp(6))};
    for (std::size_t dies_after = 0; dies_after <= batch.size(); ++dies_after) {
        FaultyStore store;
        {
            // Between two operations, and during the writes of one that throws.
            auto processor = processor_of(store, LastWriteWins{}, {.transaction_operations = 1});
            static_cast<void>(processor.process_batch("s", std::span{batch}.first(dies_after)));
            if (dies_after < batch.size()) {
                store.fail(std::string{batch[dies_after].element()}, {});
                static_cast<void>(
                    processor.process_batch("s", std::span{batch}.subspan(dies_after, 1)));
            }
        }
        auto again = processor_of(store, LastWriteWins{});
        AsyncSleeper sleeper;
        const SyncResult result = again.process_with_retry("s", batch, policies::sync(), sleeper);
        CHECK(result.failed_count == 0);
        auto sorted = store.writes;
        std::sort(sorted.begin(), sorted.end());
        // The addition that has lost writes the removal again, for devices that had only a copy.
        CHECK(sorted == Names{"a", "a", "a", "b", "d", "d"});
        CHECK(state_text(store, "a") == "removed 4");
        CHECK(state_text(store, "b") == "live 3 1");
        CHECK(state_text(store, "c") == "absent");
        CHECK(state_text(store, "d") == "removed 7");
    }
}

TEST_CASE("test_two_batches_race_on_one_key", "[spec][sync]") {
    // Each fails before, between and after the writes of the other.
    for (int pattern = 0; pattern < 64; ++pattern) {
        FaultyStore store;
        auto processor = processor_of(store, LastWriteWins{});
        AsyncSleeper sleeper;
        sleeper.random = Random{Seed{static_cast<std::uint64_t>(pattern)}};
        for (int i = 0; i < 6; ++i) {
            if ((pattern >> i & 1) != 0) {
                store.fail("e", SyncErrc::store_busy);
            } else {
                store.pass("e");
            }
        }
        CHECK(store.store.size() == 0);
        const Ops one{add("e", "one", stamp(1, 1)), update("e", "one more", stamp(4, 1))};
        const Ops two{add("e", "two", stamp(2, 2)), update("e", "two more", stamp(3, 2))};
        const Policy patient{
            Backoff{FullJitter{}, Cap{std::chrono::seconds{5}}, std::chrono::milliseconds{100}},
            MaxAttempts{100}};
        auto first = process_with_retry(processor, "s", one, patient, sleeper);
        auto second = process_with_retry(processor, "s", two, patient, sleeper);
        first.start();
        second.start();
        sleeper.run();
        REQUIRE(first.done());
        REQUIRE(second.done());
        CHECK(first.take().failed_count == 0);
        CHECK(second.take().failed_count == 0);
        CHECK(state_text(store, "e") == "live 4 one more");
        // No write was made twice.
        CHECK(store.writes.size() <= 4);
    }
}

TEST_CASE("test_detect_element_already_exists", "[spec][sync]") {
    Memory store;
    auto processor = processor_of(store, LastWriteWins{});
    CHECK(processor.process_batch("s", Ops{add("e", "1", stamp(5))}).success);
    const auto found = processor.detect_conflict("s", add("e", "2", stamp(6)));
    REQUIRE(found->has_value());
    CHECK((*found)->reason == Reason{ElementAlreadyExists{}});
    CHECK_FALSE((*found)->resolved);
}

TEST_CASE("test_detect_concurrent_modification", "[spec][sync]") {
    Memory store;
    auto processor = processor_of(store, LastWriteWins{});
    CHECK(processor.process_batch("s", Ops{add("e", "1", stamp(5, 1))}).success);
    const auto found = processor.detect_conflict("s", update("e", "2", stamp(5, 2)));
    REQUIRE(found->has_value());
    CHECK((*found)->reason == Reason{ConcurrentModification{}});
}

TEST_CASE("test_resolution_decisions_are_told", "[spec][sync]") {
    Memory store;
    SyncNotes notes;
    SyncProcessor processor{std::ref(store), LastWriteWins{}, SyncOptions{}, std::ref(notes),
                            ManualWallTime{}};
    const SyncResult result = processor.process_batch(
        "s", Ops{add("e", "1", stamp(5)), update("e", "2", stamp(4)), add("e", "3", stamp(6))});
    // The same for the conflict that ended with the operation being applied.
    CHECK(notes.lines == Names{"applied e", "StaleTimestamp keep_local", "skipped e",
                               "ElementAlreadyExists keep_remote", "applied e", "3 of 3"});
    REQUIRE(result.conflicts.size() == 1);
    CHECK(result.conflicts[0].resolved);
}
