// SPDX-License-Identifier: MIT
// Goal: each row of the table of conflicts has the documented result, in each column. Method:
// the store is brought into the row's state, one operation is processed, and state and result
// are compared.
#include <belay/sync/sync_processor.hpp>

#include "support/catch.hpp"
#include "support/sync/sync_rig.hpp"

using namespace belay;
using namespace belay_test;

namespace {

enum class Was { absent, live, tombstone };

/// Returns the effect of the row's operation on element "e", whose stamp is 5 by origin 5 if it
/// exists.
template <class Strategy>
std::string outcome(Was was, const Op& op, Strategy strategy) {
    Memory store;
    auto processor = processor_of(store, strategy);
    if (was != Was::absent) {
        REQUIRE(
            processor.process_batch("s", Ops{add("e", "old", stamp(was == Was::live ? 5 : 4, 5))})
                .success);
    }
    if (was == Was::tombstone) {
        REQUIRE(processor.process_batch("s", Ops{removal("e", stamp(5, 5))}).success);
    }
    const SyncResult result = processor.process_batch("s", Ops{op});
    REQUIRE(result.success);
    std::string text;
    if (sums(result, 1) == "1 0 0") {
        text = "apply: ";
    } else if (sums(result, 1) == "0 1 0" && result.conflicts[0].resolved) {
        text = "skip " + std::string{to_string(result.conflicts[0].reason)} + ": ";
        if (const auto* stale = std::get_if<StaleTimestamp>(&result.conflicts[0].reason)) {
            REQUIRE(stale->local == stamp(5, 5));
            REQUIRE(stale->remote == op.stamp);
        }
    } else {
        text = sums(result, 1);
    }
    return text + state_text(store, "e");
}

void row(Was was, const Op& op, const std::string& last, const std::string& local,
         const std::string& remote) {
    CHECK(outcome(was, op, LastWriteWins{}) == last);
    CHECK(outcome(was, op, LocalWins{}) == local);
    CHECK(outcome(was, op, RemoteWins{}) == remote);
}

const std::string exists = "skip ElementAlreadyExists: live 5 old";
const std::string stale_live = "skip StaleTimestamp: live 5 old";
const std::string concurrent_live = "skip ConcurrentModification: live 5 old";
const std::string stale_gone = "skip StaleTimestamp: removed 5";

}  // namespace

TEST_CASE("Conflict table: Add of an element that never existed is applied",
          "[sync][conflict_table]") {
    const std::string made = "apply: live 7 new";
    row(Was::absent, add("e", "new", stamp(7)), made, made, made);
}
TEST_CASE("Conflict table: a newer Add of a live element", "[sync][conflict_table]") {
    const std::string made = "apply: live 7 new";
    row(Was::live, add("e", "new", stamp(7)), made, exists, made);
}
TEST_CASE("Conflict table: an older Add of a live element", "[sync][conflict_table]") {
    row(Was::live, add("e", "new", stamp(3)), stale_live, stale_live, "apply: live 5 new");
}
TEST_CASE("Conflict table: an Add of the same moment as a live element", "[sync][conflict_table]") {
    const std::string made = "apply: live 5 new";
    row(Was::live, add("e", "new", stamp(5, 9)), made, exists, made);
    row(Was::live, add("e", "new", stamp(5, 2)), exists, exists, made);
}
TEST_CASE("Conflict table: a newer Add of a removed element", "[sync][conflict_table]") {
    const std::string made = "apply: live 7 new";
    const std::string gone = "skip ConcurrentModification: removed 5";
    row(Was::tombstone, add("e", "new", stamp(7)), made, gone, made);
    // The whole stamp is compared, origin included. Otherwise, an Add and a Remove of one moment
    // would not converge.
    // converge.
    row(Was::tombstone, add("e", "new", stamp(5, 9)), "apply: live 5 new", gone,
        "apply: live 5 new");
}
TEST_CASE("Conflict table: an older Add of a removed element", "[sync][conflict_table]") {
    row(Was::tombstone, add("e", "new", stamp(3)), stale_gone, stale_gone, "apply: live 5 new");
    row(Was::tombstone, add("e", "new", stamp(5, 2)), stale_gone, stale_gone, "apply: live 5 new");
}
TEST_CASE("Conflict table: an Update of an element that never existed", "[sync][conflict_table]") {
    const std::string none = "skip ElementNotFound: absent";
    row(Was::absent, update("e", "new", stamp(7)), none, none, none);
}
TEST_CASE("Conflict table: a newer Update of a live element", "[sync][conflict_table]") {
    const std::string made = "apply: live 7 new";
    row(Was::live, update("e", "new", stamp(7)), made, made, made);
}
TEST_CASE("Conflict table: an Update of the same moment as a live element",
          "[sync][conflict_table]") {
    const std::string made = "apply: live 5 new";
    row(Was::live, update("e", "new", stamp(5, 9)), made, concurrent_live, made);
    row(Was::live, update("e", "new", stamp(5, 2)), concurrent_live, concurrent_live, made);
}
TEST_CASE("Conflict table: an older Update of a live element", "[sync][conflict_table]") {
    row(Was::live, update("e", "new", stamp(3)), stale_live, stale_live, "apply: live 5 new");
}
TEST_CASE("Conflict table: an Update of a removed element", "[sync][conflict_table]") {
    const std::string none = "skip ElementNotFound: removed 5";
    for (const int time : {3, 5, 7}) {
        row(Was::tombstone, update("e", "new", stamp(time, 9)), none, none, none);
    }
}
TEST_CASE("Conflict table: a Remove of an element that never existed is remembered",
          "[sync][conflict_table]") {
    const std::string none = "skip ElementNotFound: removed 7";
    row(Was::absent, removal("e", stamp(7)), none, none, none);
}
TEST_CASE("Conflict table: a newer Remove of a live element", "[sync][conflict_table]") {
    const std::string gone = "apply: removed 7";
    row(Was::live, removal("e", stamp(7)), gone, gone, gone);
}
TEST_CASE("Conflict table: a Remove of the same moment as a live element",
          "[sync][conflict_table]") {
    const std::string gone = "apply: removed 5";
    row(Was::live, removal("e", stamp(5, 9)), gone, concurrent_live, gone);
    row(Was::live, removal("e", stamp(5, 2)), concurrent_live, concurrent_live, gone);
}
TEST_CASE("Conflict table: an older Remove of a live element", "[sync][conflict_table]") {
    row(Was::live, removal("e", stamp(3)), stale_live, stale_live, "apply: removed 5");
}
TEST_CASE("Conflict table: a Remove of a removed element", "[sync][conflict_table]") {
    for (const int time : {3, 5, 7}) {
        const std::string gone = "apply: removed " + std::to_string(time > 5 ? time : 5);
        row(Was::tombstone, removal("e", stamp(time, 9)), gone, gone, gone);
    }
}
TEST_CASE("Conflict table: an Interaction changes nothing", "[sync][conflict_table]") {
    for (const int time : {3, 5, 7}) {
        const std::string live = "apply: live 5 old";
        row(Was::live, interaction("clicked", stamp(time)), live, live, live);
        const std::string gone = "apply: removed 5";
        row(Was::tombstone, interaction("clicked", stamp(time)), gone, gone, gone);
        const std::string none = "apply: absent";
        row(Was::absent, interaction("clicked", stamp(time)), none, none, none);
    }
}
TEST_CASE("Conflict table: a Remove whose author saw a version that the store lacks",
          "[sync][conflict_table]") {
    const part::ElementState local{part::Presence::removed, stamp(5)};
    for (const int saw : {3, 7}) {
        const auto entry =
            detail::find_conflict(OperationKind::remove, local, stamp(4), stamp(saw));
        CHECK_FALSE(entry.reason);
        CHECK((entry.action == detail::ConflictAction::apply) == (saw == 7));
    }
}
TEST_CASE("Conflict table: an operation whose version the store has is no conflict",
          "[sync][conflict_table]") {
    const auto after = [](Op op, const Stamp& saw) { return op.saw = saw, op; };
    const Stamp there = stamp(5, 5);
    const std::string same = "apply: live 5 old";
    // Two devices that restore the version send this, or one that sends its edit again.
    for (const Stamp& saw : {Stamp{}, stamp(3)}) {
        row(Was::live, after(update("e", "old", there), saw), same, same, same);
        row(Was::live, after(add("e", "old", there), saw), same, same, same);
        const std::string gone = "apply: removed 5";
        row(Was::tombstone, after(removal("e", there), saw), gone, gone, gone);
        // A restored store may have given the stamp to another version.
        const Op other = after(update("e", "new", there), saw);
        row(Was::live, other, concurrent_live, concurrent_live, "apply: live 5 new");
        row(Was::live, after(removal("e", there), saw), concurrent_live, concurrent_live,
            "apply: removed 5");
        const std::string removed = "skip ConcurrentModification: removed 5";
        row(Was::tombstone, after(add("e", "old", there), saw), removed, removed,
            "apply: live 5 old");
        // These are of another author, or of another moment.
        row(Was::live, after(update("e", "old", stamp(5, 4)), saw), concurrent_live,
            concurrent_live, same);
    }
    // Without `saw`, the rows compare moments.
    row(Was::live, update("e", "old", there), concurrent_live, concurrent_live, same);
    row(Was::live, add("e", "old", there), exists, exists, same);

    Memory store;
    auto processor = processor_of(store, LastWriteWins{});
    REQUIRE(processor.process_batch("s", Ops{add("e", "old", there)}).success);
    const auto cursor = store.changes_since("s", {}, 10)->next;
    const Op restored = after(update("e", "old", there), Stamp{});
    CHECK_FALSE(processor.detect_conflict("s", restored).value());
    REQUIRE(processor.process_batch("s", Ops{restored}).synced_count == 1);
    CHECK(store.changes_since("s", cursor, 10)->changes.empty());
    CHECK(processor.process_batch("s", Ops{restored}).synced_count == 1);
}
