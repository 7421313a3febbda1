// SPDX-License-Identifier: MIT
// Goal: in each component of sync, one bad item does not hold the others for ever, and
// docs/reference/one-bad-item.md states what happens. Method: as tests/e2e/one_bad_item.test.cpp.
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include <belay/sync/bridge.hpp>
#include <belay/sync/replica.hpp>
#include <belay/sync/sync_processor.hpp>

#include "support/catch.hpp"
#include "support/one_bad_item.hpp"
#include "support/sync/bridge_rig.hpp"
#include "support/sync/sync_rig.hpp"
#include "support/sync/text_codec.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

// ---- a replica -----------------------------------------------------------------------------------

struct DeviceOfOneReplica {
    using Type = Replica<ChangedCodec, Journal<sim::Disk>, std::reference_wrapper<Memory>>;
    void start(ChangedCodec codec) {
        replica.reset();
        replica.emplace(small_journal(disk), std::ref(copy), std::move(codec),
                        ReplicaOptions{.session = "s", .seed = Seed{++starts}});
        REQUIRE_FALSE(replica->load());
    }
    sim::Disk disk{};
    Memory copy{};
    Memory store{};
    SyncProcessor<std::reference_wrapper<Memory>, LastWriteWins> server{std::ref(store),
                                                                        LastWriteWins{}};
    std::uint64_t starts = 0;
    std::optional<Type> replica{};
};

std::string replica_unreadable() {
    DeviceOfOneReplica device;
    device.start({});
    REQUIRE((device.replica->edit(AddElement{"a", std::string{"old"}}) &&
             device.replica->edit(AddElement{"b", std::string{"new"}})));
    device.start({"old", true});
    CHECK(device.replica->sync(device.server).synced == 1);
    REQUIRE(device.replica->kept().size() == 1);
    CHECK(device.replica->kept()[0].error == SyncErrc::unreadable);
    CHECK_FALSE(device.replica->drop(device.replica->kept()[0].operation.id));
    return "The edit is in `kept()` (`unreadable`) until a program can read it, or you call "
           "`drop`. Only later edits of its element wait.";
}
std::string replica_unprocessable() {
    DeviceOfOneReplica device;
    device.start({});
    const auto id = device.replica->edit(AddElement{"a", std::string{"x"}});
    REQUIRE((id && device.replica->edit(AddElement{"b", std::string{"y"}})));
    // Another operation has the id already.
    Op other = add("c", "z", stamp(1));
    other.id = *id;
    REQUIRE(device.server.process_batch("s", {&other, 1}).success);
    CHECK(device.replica->sync(device.server).synced == 1);
    REQUIRE(device.replica->kept().size() == 1);
    CHECK_FALSE(device.replica->drop(*id));
    return "The edit is in `kept()` with its error until you call `drop` or `send_again`. Only "
           "later edits of its element wait.";
}
std::string replica_disk() {
    DeviceOfOneReplica device;
    device.start({});
    device.disk.fail_at(device.disk.operations() + 3, passing_error());
    bool failed = false;
    for (const char* const id : {"a", "b", "c"}) {
        failed = !device.replica->edit(AddElement{id, std::string{"x"}}) || failed;
    }
    CHECK(failed);
    CHECK(device.replica->edit(AddElement{"d", std::string{"x"}}));
    CHECK_FALSE(device.replica->sync(device.server).error);
    return "`edit` returns the error once. The next `edit` or `sync` makes all edits durable.";
}
std::string replica_too_large() {
    DeviceOfOneReplica device;
    device.start({});
    CHECK(device.replica->edit(AddElement{"a", std::string(600, 'x')}).error() ==
          QueueErrc::too_large);
    CHECK(device.replica->edit(AddElement{"b", std::string{"x"}}));
    return "`edit` returns `too_large`.";
}

// ---- a processor ---------------------------------------------------------------------------------

std::string processor_unreadable() {
    FaultyStore store;
    auto processor = processor_of(store, LastWriteWins{});
    store.fail("a", QueueErrc::corrupt);
    const SyncResult result =
        processor.process_batch("s", Ops{add("a", "1", stamp(1)), add("b", "1", stamp(2))});
    CHECK(sums(result, 2) == "1 0 1");
    CHECK(result.failed_operations[0].error == QueueErrc::corrupt);
    CHECK(result.failed_operations[0].retryable);
    return "The operation fails with the error of the store, and may be retried. Only later "
           "operations on its element wait.";
}
std::string processor_unprocessable() {
    Memory store;
    auto processor = processor_of(store, LastWriteWins{});
    Op bad = add("a", "1", stamp(1));
    bad.id = no_id;
    const SyncResult result = processor.process_batch("s", Ops{bad, add("b", "1", stamp(2))});
    CHECK(sums(result, 2) == "1 0 1");
    CHECK(result.failed_operations[0].error == SyncErrc::bad_operation);
    CHECK_FALSE(result.failed_operations[0].retryable);
    return "The operation is in `failed_operations` with its error, and is not retried. Other "
           "operations take effect.";
}
std::string processor_medium() {
    FaultyStore store;
    auto processor = processor_of(store, LastWriteWins{});
    store.fail("a", passing_error());
    const Ops batch{add("a", "1", stamp(1)), add("b", "1", stamp(2))};
    const SyncResult result = processor.process_batch("s", batch);
    CHECK(sums(result, 2) == "1 0 1");
    CHECK(result.failed_operations[0].retryable);
    CHECK(processor.process_batch("s", batch).success);
    return "The operation fails as `retryable`. The next batch, or a retry, stores it.";
}
std::string processor_too_large() {
    Memory store;
    auto processor = processor_of(store, LastWriteWins{});
    const SyncResult result = processor.process_batch(
        "s", Ops{add(std::string(1025, 'x'), "1", stamp(1)), add("b", "1", stamp(2))});
    CHECK(sums(result, 2) == "1 0 1");
    CHECK(result.failed_operations[0].error == SyncErrc::bad_operation);
    auto bounded = processor_of(store, LastWriteWins{}, {.upsert_updates = true, .pending_max = 1});
    const SyncResult full = bounded.process_batch(
        "s", Ops{update("d", "1", stamp(1)), update("e", "1", stamp(1)), add("c", "1", stamp(1))});
    CHECK(sums(full, 3) == "1 1 1");
    CHECK(full.failed_operations[0].error == SyncErrc::pending_full);
    return "The operation fails with `bad_operation`, or with `pending_full` if too many "
           "operations are pending. Other operations take effect.";
}

// ---- a bridge ------------------------------------------------------------------------------------

/// One session is bad for a while, and the other one is synchronized in both directions.
template <class Spoil, class Mend>
void check_other_session(std::string_view report, Spoil&& spoil, Mend&& mend) {
    BridgeRig<> rig;
    rig.board.empty = {"good"};
    rig.start();
    spoil(rig);
    rig.edit("bad", "x", 1);
    rig.edit("good", "mine", 2);
    rig.run_for(5min);
    CHECK(rig.server.scenes["good"].content == "mine");
    rig.server.scenes["good"] = {"theirs", ms(1000)};
    rig.run_for(5min);
    CHECK(rig.board.scenes["good"].content == "theirs");
    CHECK(rig.count(report) >= 2);
    mend(rig);
    rig.run_for(5min);
    CHECK(rig.server.scenes["bad"].content == "x");
}
std::string bridge_unreadable() {
    check_other_session(
        "error bad fetch protocol",
        [](auto& rig) {
            rig.server.failure = {Cause::protocol};
            rig.server.moods["bad"] = Server::Behaviour::fails;
        },
        [](auto& rig) { rig.server.moods.clear(); });
    return "`on_error` names the session, which the bridge retries later. Other sessions are "
           "synchronized.";
}
std::string bridge_unprocessable() {
    check_other_session(
        "error bad fetch timed_out",
        [](auto& rig) { rig.server.moods["bad"] = Server::Behaviour::hangs; },
        [](auto& rig) { rig.server.moods.clear(); });
    return "If the remote never answers a session, `on_state` reports outages. From the third "
           "outage on, `on_error` names the session. Other sessions are synchronized.";
}
std::string bridge_medium() {
    check_other_session(
        "error bad read",
        [](auto& rig) {
            rig.board.error = passing_error();
            rig.host.after(90s, [&rig] { rig.board.error = {}; });
        },
        [](auto&) {});
    return "`on_error` reports the error of the local side. The bridge retries the session after a "
           "wait.";
}
std::string bridge_too_large() {
    check_other_session(
        "error bad fetch permanent",
        [](auto& rig) {
            rig.server.failure = {Cause::permanent};
            rig.server.moods["bad"] = Server::Behaviour::fails;
        },
        [](auto& rig) { rig.server.moods.clear(); });
    return "The remote rejects the scene, and `on_error` names the session.";
}

constexpr BadItemRow sync_rows[] = {
    {"`Replica`", replica_unreadable, replica_unprocessable, replica_disk, replica_too_large},
    {"`SyncProcessor`", processor_unreadable, processor_unprocessable, processor_medium,
     processor_too_large},
    {"`Bridge`", bridge_unreadable, bridge_unprocessable, bridge_medium, bridge_too_large},
};

}  // namespace

TEST_CASE("docs/reference/one-bad-item.md states what one bad item does in a component of sync",
          "[sync][one_bad_item]") {
    check_bad_item_rows(sync_rows);
}
