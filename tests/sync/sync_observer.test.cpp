// SPDX-License-Identifier: MIT
// Goal: the observer is notified of every operation and decision, after the transaction, and of
// progress. Method: the recorded events are compared, also of two observers at once, and with a
// store that fails.
#include <belay/sync/sync_observer.hpp>

#include <belay/core/tee.hpp>

#include "support/catch.hpp"
#include "support/sync/sync_rig.hpp"

using namespace belay;
using namespace belay_test;
using Lines = std::vector<std::string>;

TEST_CASE("SyncProcessor reports every operation, every decision and the progress",
          "[sync][sync_observer]") {
    FaultyStore store;
    SyncNotes notes;
    SyncProcessor processor{std::ref(store), LastWriteWins{},
                            SyncOptions{.transaction_operations = 3}, std::ref(notes),
                            ManualWallTime{}};
    store.fail("c", SyncErrc::store_busy);
    store.fail("d", SyncErrc::bad_operation);
    const Op first = add("a", "1", stamp(1));
    const Ops batch{first,
                    add("a", "2", stamp(2)),
                    update("b", "1", stamp(3)),
                    add("c", "1", stamp(4)),
                    update("c", "2", stamp(5)),
                    add("d", "1", stamp(6)),
                    interaction("x", stamp(7)),
                    first};
    const SyncResult result = processor.process_batch("s", batch);
    CHECK(sums(result, 8) == "4 1 3");
    CHECK(notes.lines == Lines{"applied a", "ElementAlreadyExists keep_remote", "applied a",
                               "ElementNotFound keep_local", "skipped b", "3 of 8", "waiting c",
                               "waiting c", "failed d", "4 of 8", "logged e", "duplicate a",
                               "6 of 8"});
    CHECK(to_string(static_cast<part::OperationOutcome>(99)) == "unknown");
}

TEST_CASE("SyncProcessor notifies all observers of a Tee", "[sync][sync_observer]") {
    Memory store;
    SyncNotes one;
    struct OnlyConflicts {
        int received = 0;
        void on_conflict(const ConflictReport<Op>&) { ++received; }
    } other;
    SyncProcessor processor{std::ref(store), LocalWins{}, SyncOptions{},
                            Tee{std::ref(one), std::ref(other)}, ManualWallTime{}};
    CHECK(processor.process_batch("s", Ops{update("a", "1", stamp(1))}).conflict_count == 1);
    CHECK(one.lines.size() == 3);
    CHECK(other.received == 1);
}
