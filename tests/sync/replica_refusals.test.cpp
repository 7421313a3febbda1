// SPDX-License-Identifier: MIT
// Goal: a Replica and a server that refuses, throws or is full lose no edit, and no edit stops the
// others. Method: cases at the joint of both, with hooks that call the replica.
#include <belay/sync/replica.hpp>

#include "support/catch.hpp"
#include "support/seeds.hpp"
#include "support/sync/replica_rig.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

using RefusedAdd = AddElement<std::string>;
using RefusedUpdate = UpdateElement<std::string>;

template <class Strategy = LastWriteWins>
struct RefusingRig {
    explicit RefusingRig(MemoryStoreOptions options = {}, SyncOptions limits = {})
        : store{options}, processor{std::ref(store), Strategy{}, limits, {}, SharedWall{&time}} {}

    WallTime time{1h};
    Memory store;
    SyncProcessor<std::reference_wrapper<Memory>, Strategy, NoObserver, SharedWall> processor;
    LossyServer<decltype(processor)> server{processor};
};

/// Throws at the call of send with a number.
template <class Server>
struct ThrowingServer {
    Result<SyncResult<Op>> send(std::span<const Op> batch) {
        if (throw_in != 0 && --throw_in == 0) throw 1;
        return server.send(batch);
    }
    auto changes(const part::StoreCursor& since) { return server.changes(since); }
    Server& server;
    int throw_in = 0;
};

}  // namespace

TEST_CASE("Replica::sync goes on with other elements when the server's store is full for one",
          "[sync][replica]") {
    RefusingRig<> rig{{.elements_max = 1}};
    Device<> device{1, {&rig.time}, {.batch_operations = 1}};
    REQUIRE(device.replica->edit(RefusedAdd{"a", "1"}));
    REQUIRE_FALSE(device.replica->sync(rig.server).error);
    const auto full = device.replica->edit(RefusedAdd{"b", "1"});
    REQUIRE(full);
    REQUIRE(device.replica->edit(RefusedUpdate{"b", "2"}));
    REQUIRE(device.replica->edit(RefusedUpdate{"a", "2"}));
    const auto report = device.replica->sync(rig.server);
    CHECK(report.synced == 1);
    CHECK(*rig.store.read({"s", "a"}).value() == "2");
    REQUIRE(report.kept.size() == 2);
    CHECK(report.kept[0].error == SyncErrc::store_full);
    CHECK(report.kept[0].retryable);
    CHECK(report.kept[1].error == SyncErrc::held_back);
    CHECK(device.replica->waiting() == 2);
    CHECK(device.view()["b"] == "2");
    // The application may give it up, and the later edit is sent.
    CHECK_FALSE(device.replica->drop(*full));
    CHECK(device.replica->kept().size() == 1);
}

TEST_CASE("Replica::send_again makes an edit that was too old one of now",
          "[sync][replica][regression]") {
    RefusingRig<> rig;
    Device<> device{1, {&rig.time}};
    const auto add = device.replica->edit(RefusedAdd{"a", "1"});
    REQUIRE(add);
    REQUIRE(device.replica->edit(RefusedUpdate{"a", "2"}));
    // The device was offline for longer than the server keeps tombstones.
    rig.time += 24h * 40;
    REQUIRE_FALSE(rig.store.expire(rig.time));
    const auto report = device.replica->sync(rig.server);
    CHECK_FALSE(report.error);
    REQUIRE(device.replica->kept().size() == 2);
    CHECK(device.replica->kept()[0].error == SyncErrc::too_old);
    CHECK(device.replica->sync(rig.server).kept.empty());  // it waits for a decision
    CHECK(device.replica->kept().size() == 2);
    REQUIRE(device.replica->send_again(*add));
    const auto second = device.replica->sync(rig.server);
    CHECK_FALSE(second.error);
    CHECK(second.kept.empty());
    CHECK(second.synced == 2);
    CHECK(second.restamped.size() == 2);
    CHECK(device.replica->waiting() == 0);
    CHECK(*rig.store.read({"s", "a"}).value() == "2");
}

TEST_CASE("Replica::sync reports a conflict again after the server has thrown", "[sync][replica]") {
    RefusingRig<> rig;
    Device<> phone{1, {&rig.time}, {.batch_operations = 1}};
    Device<> laptop{2, {&rig.time, 1min}};
    REQUIRE(phone.replica->edit(RefusedAdd{"a", "1"}));
    REQUIRE_FALSE(phone.replica->sync(rig.server).error);
    REQUIRE_FALSE(laptop.replica->sync(rig.server).error);
    REQUIRE(laptop.replica->edit(RefusedUpdate{"a", "laptop"}));
    REQUIRE_FALSE(laptop.replica->sync(rig.server).error);
    REQUIRE(phone.replica->edit(RefusedUpdate{"a", "phone"}));
    REQUIRE(phone.replica->edit(RefusedAdd{"b", "1"}));
    ThrowingServer<decltype(rig.server)> server{rig.server, 2};
    SECTION("in a later batch") { CHECK_THROWS(phone.replica->sync(server)); }
    SECTION("in the function that reads the report") {
        server.throw_in = 0;
        CHECK_THROWS(phone.replica->sync(server, [](const auto& report) {
            CHECK(report.conflicts.size() == 1);
            throw 1;
        }));
    }
    const auto report = phone.replica->sync(server);
    CHECK_FALSE(report.error);
    REQUIRE(report.conflicts.size() == 1);
    CHECK(report.conflicts[0].operation.value() == "phone");
    CHECK(phone.replica->waiting() == 0);
}

TEST_CASE("Replica takes edits after it has dropped one that was kept when the server threw",
          "[sync][replica]") {
    RefusingRig<> rig;
    Device<> device{1, {&rig.time, 2h}, {.batch_operations = 1, .restamp_after = 24h}};
    const auto id = device.replica->edit(RefusedAdd{"a", "1"});
    REQUIRE(id);
    REQUIRE(device.replica->edit(RefusedAdd{"b", "1"}));
    ThrowingServer<decltype(rig.server)> server{rig.server, 2};
    CHECK_THROWS(device.replica->sync(server));
    CHECK(device.replica->kept().size() == 1);
    CHECK_FALSE(device.replica->drop(*id));
    CHECK(device.replica->edit(RefusedAdd{"c", "1"}));
}

TEST_CASE("Replica::drop gives an edit up, also if it is durable only later", "[sync][replica]") {
    RefusingRig<> rig;
    Device<> device{1, {&rig.time, 2h}, {.restamp_after = 24h}};
    const auto id = device.replica->edit(RefusedAdd{"a", "1"});
    REQUIRE(id);
    REQUIRE(device.replica->edit(RefusedAdd{"b", "1"}));
    REQUIRE_FALSE(device.replica->sync(rig.server).error);
    device.disk.fail_at(device.disk.operations() + 1,
                        std::make_error_code(std::errc::no_space_on_device));
    CHECK(device.replica->drop(*id));
    CHECK(device.replica->kept().size() == 1);
    CHECK(device.replica->drop(*id) == QueueErrc::unknown_number);
    SECTION("after the next edit") { CHECK(device.replica->edit(RefusedAdd{"c", "1"})); }
    SECTION("after the next sync") { CHECK_FALSE(device.replica->sync(rig.server).error); }
    CHECK(device.view().count("a") == 0);
    const std::size_t waiting = device.replica->waiting();
    REQUIRE(device.start());
    CHECK(device.view().count("a") == 0);
    CHECK(device.replica->waiting() == waiting);
}

TEST_CASE("Replica::edit in the function that reads the report changes what the server has",
          "[sync][replica]") {
    RefusingRig<> rig;
    Device<> phone{1, {&rig.time}};
    Device<> laptop{2, {&rig.time, 1min}};
    REQUIRE(phone.replica->edit(RefusedAdd{"a", "1"}));
    REQUIRE_FALSE(phone.replica->sync(rig.server).error);
    REQUIRE_FALSE(laptop.replica->sync(rig.server).error);
    REQUIRE(laptop.replica->edit(RefusedUpdate{"a", "laptop"}));
    REQUIRE_FALSE(laptop.replica->sync(rig.server).error);
    REQUIRE(phone.replica->edit(RefusedUpdate{"a", "phone"}));
    const auto report = phone.replica->sync(rig.server, [&](const auto& r) {
        REQUIRE(r.conflicts.size() == 1);
        CHECK(*phone.replica->read("a") == "laptop");
        REQUIRE(phone.replica->edit(RefusedUpdate{"a", "both"}));
    });
    CHECK_FALSE(report.error);
    const auto second = phone.replica->sync(rig.server);
    CHECK(second.overwrote.empty());
    CHECK(second.conflicts.empty());
    CHECK(*rig.store.read({"s", "a"}).value() == "both");
}

TEST_CASE("Replica::edit during a sync stays after a kept edit of its element", "[sync][replica]") {
    RefusingRig<> rig;
    Device<> device{1, {&rig.time, 2h}, {.restamp_after = 24h}};
    REQUIRE(device.replica->edit(RefusedAdd{"a", "1"}));
    const auto report = device.replica->sync(rig.server, [&](const auto& r) {
        REQUIRE(r.kept.size() == 1);
        REQUIRE(device.replica->edit(RefusedUpdate{"a", "2"}));
    });
    CHECK_FALSE(report.error);
    CHECK(device.view()["a"] == "2");
    REQUIRE(device.start());
    CHECK(device.view()["a"] == "2");
    rig.time += 3h;
    CHECK(device.replica->sync(rig.server).conflicts.empty());
    CHECK(*rig.store.read({"s", "a"}).value() == "2");
}

TEST_CASE("Replica::sync reports as replaced only what others replaced", "[sync][replica]") {
    RefusingRig<RemoteWins> rig;
    Device<> phone{1, {&rig.time, -1min}};
    Device<> laptop{2, {&rig.time}};
    REQUIRE(phone.replica->edit(RefusedAdd{"a", "1"}));
    REQUIRE_FALSE(phone.replica->sync(rig.server).error);
    REQUIRE_FALSE(laptop.replica->sync(rig.server).error);
    REQUIRE(laptop.replica->edit(RefusedUpdate{"a", "laptop"}));
    REQUIRE_FALSE(laptop.replica->sync(rig.server).error);
    REQUIRE(phone.replica->edit(RefusedUpdate{"a", "phone"}));
    const auto report = phone.replica->sync(rig.server);  // with a stamp above that of the laptop
    CHECK(report.overwrote.size() == 1);
    REQUIRE(report.replaced.size() == 1);  // the first version, which the laptop had seen
    CHECK(report.replaced[0].mine.value == "1");
    CHECK(phone.view()["a"] == "phone");
}

TEST_CASE("Replica adds an element again that it has removed, from a store without changes",
          "[sync][replica]") {
    WallTime time{1h};
    MapStore store;
    SyncProcessor<std::reference_wrapper<MapStore>, LocalWins, NoObserver, SharedWall> processor{
        std::ref(store), LocalWins{}, {}, {}, SharedWall{&time}};
    Device<> phone{1, SharedWall{&time}, {.session = "s"}};
    REQUIRE(phone.replica->edit(RefusedAdd{"a", "1"}));
    REQUIRE_FALSE(phone.replica->sync(processor).error);
    REQUIRE(phone.replica->edit(RemoveElement{"a"}));
    REQUIRE_FALSE(phone.replica->sync(processor).error);
    REQUIRE(phone.replica->edit(RefusedAdd{"a", "2"}));
    const auto report = phone.replica->sync(processor);
    CHECK(report.conflicts.empty());
    CHECK(report.overwrote.empty());
    CHECK(phone.view()["a"] == "2");
}

TEST_CASE("Replica reports a version once that a copy does not have any more", "[sync][replica]") {
    WallTime time{1h};
    MapStore store;
    SyncProcessor<std::reference_wrapper<MapStore>, LastWriteWins, NoObserver, SharedWall>
        processor{std::ref(store), LastWriteWins{}, {}, {}, SharedWall{&time}};
    Device<> phone{1, SharedWall{&time}, {.session = "s"}};
    Device<> laptop{2, SharedWall{&time}, {.session = "s"}};
    REQUIRE(phone.replica->edit(RefusedAdd{"a", "1"}));
    REQUIRE_FALSE(phone.replica->sync(processor).error);
    REQUIRE_FALSE(laptop.replica->sync(processor).error);
    REQUIRE(laptop.replica->edit(RemoveElement{"a"}));
    REQUIRE_FALSE(laptop.replica->sync(processor).error);
    CHECK(phone.replica->sync(processor).replaced.size() == 1);
    REQUIRE(laptop.replica->edit(RefusedAdd{"a", "2"}));
    REQUIRE_FALSE(laptop.replica->sync(processor).error);
    CHECK(phone.replica->sync(processor).replaced.empty());
    CHECK(phone.view()["a"] == "2");
}

TEST_CASE("Replica::sync reports a replaced version again after the server has thrown",
          "[sync][replica]") {
    RefusingRig<> rig;
    Device<> phone{1, {&rig.time}};
    Device<> laptop{2, {&rig.time}};
    REQUIRE(phone.replica->edit(RefusedAdd{"a", "1"}));
    REQUIRE_FALSE(phone.replica->sync(rig.server).error);
    REQUIRE_FALSE(laptop.replica->sync(rig.server).error);
    REQUIRE(laptop.replica->edit(RefusedUpdate{"a", "2"}));
    REQUIRE_FALSE(laptop.replica->sync(rig.server).error);
    REQUIRE(phone.replica->edit(RefusedAdd{"b", "1"}));
    ThrowingServer<decltype(rig.server)> server{rig.server, 1};
    CHECK_THROWS(phone.replica->sync(server));
    const auto report = phone.replica->sync(server);
    REQUIRE(report.replaced.size() == 1);
    CHECK(report.replaced[0].mine.value == "1");
    CHECK(phone.replica->sync(server).replaced.empty());
}

TEST_CASE("Replica reports a replaced version after a crash until a report was read",
          "[sync][replica][regression]") {
    RefusingRig<> rig;
    Device<> phone{1, {&rig.time}};
    Device<> laptop{2, {&rig.time}};
    REQUIRE(phone.replica->edit(RefusedAdd{"a", "1"}));
    REQUIRE(phone.replica->edit(RefusedAdd{"b", "1"}));
    REQUIRE_FALSE(phone.replica->sync(rig.server).error);
    REQUIRE_FALSE(laptop.replica->sync(rig.server).error);
    REQUIRE(laptop.replica->edit(RefusedUpdate{"a", "2"}));
    REQUIRE(laptop.replica->edit(RemoveElement{"b"}));
    REQUIRE_FALSE(laptop.replica->sync(rig.server).error);
    struct Ends {};
    const bool has_edit = GENERATE(false, true);
    if (has_edit) REQUIRE(phone.replica->edit(RefusedAdd{"c", "1"}));
    for (int crash = 0; crash < 2; ++crash) {
        rig.server.lose_in = has_edit ? 3 : 0;  // the batch
        CHECK_THROWS_AS(phone.replica->sync(rig.server, [](const auto&) { throw Ends{}; }), Ends);
        phone.disk.crash(Random{Seed{1}});
        REQUIRE(phone.start());
    }
    rig.server.lose_in = has_edit ? 3 : 0;
    const auto report = phone.replica->sync(rig.server);
    REQUIRE(report.replaced.size() == 2);
    for (const auto& one : report.replaced) {
        CHECK(one.mine.value == "1");
        CHECK(one.now.value ==
              (one.mine.id == "a" ? std::optional{std::string{"2"}} : std::nullopt));
        CHECK(one.now.id == one.mine.id);
    }
    CHECK(phone.replica->waiting() == (has_edit ? 1 : 0));
    // This report was read.
    phone.disk.crash(Random{Seed{2}});
    REQUIRE(phone.start());
    CHECK(phone.replica->sync(rig.server).replaced.empty());
    CHECK(phone.replica->waiting() == 0);
    CHECK(phone.journal->size() == 0);
}

TEST_CASE("Replica::sync goes on if its journal has no bytes for a replaced version",
          "[sync][replica][bad_input]") {
    RefusingRig<> rig;
    Device<> phone{1, {&rig.time}};
    Op own = add("a", std::string(2000, 'x'), stamp(5));  // longer than a record
    own.stamp.origin = phone.journal->journal_id();
    REQUIRE(rig.processor.process_batch("s", Ops{own}).success);
    REQUIRE_FALSE(phone.replica->sync(rig.server).error);
    REQUIRE(rig.processor.process_batch("s", Ops{update("a", "2", stamp(6, 9))}).success);
    const auto report = phone.replica->sync(rig.server);
    CHECK_FALSE(report.error);
    CHECK(report.replaced.size() == 1);
    CHECK(phone.view() == std::map<std::string, std::string>{{"a", "2"}});
}

TEST_CASE("Replica::sync refuses a page whose cursor goes back or into another store",
          "[sync][replica]") {
    using Page = part::ChangesPage<std::string>;
    struct Wrong {
        Result<SyncResult<Op>> send(std::span<const Op>) { return SyncErrc::unanswered; }
        Result<Page> changes(const part::StoreCursor&) {
            if (asked == pages.size()) return SyncErrc::store_busy;
            return pages[asked++];
        }
        std::vector<Page> pages{};
        std::size_t asked = 0;
    };
    const auto page = [](std::uint64_t store, std::uint64_t changes, bool begins_copy) {
        Page made{{{"e" + std::to_string(changes), stamp(static_cast<std::int64_t>(changes)), "v"}},
                  {},
                  begins_copy,
                  true};
        made.next = {id_of(store), changes, changes};
        return made;
    };
    const std::vector<std::vector<Page>> histories{
        {page(7, 5, false)},                                      // a first page of no copy
        {page(7, 5, true), page(8, 6, false)},                    // of another store
        {page(7, 5, true), page(7, 6, false), page(7, 5, false)}  // back
    };
    const WallTime time{1h};
    for (std::size_t i = 0; i < histories.size(); ++i) {
        CAPTURE(i);
        Device<> phone{1, {&time}};
        Wrong server{histories[i]};
        CHECK(phone.replica->sync(server).error == SyncErrc::store_disagrees);
        CHECK(server.asked == histories[i].size());
    }
}
