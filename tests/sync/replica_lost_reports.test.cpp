// SPDX-License-Identifier: MIT
// Goal: a Replica reports what its server's store has lost, also if the power fails at any instant
// before the report is read. Method: the power fails during each operation of the disk of a sync
// with a restored store, or after it; then the program starts again.
#include <belay/sync/replica.hpp>

#include <algorithm>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/sync/replica_rig.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

using OtherStore = ReplicaOptions::OtherStore;

template <class Store = MapStore>
struct LossRigOf {
    WallTime time{1h};
    Memory store{MemoryStoreOptions{.id = id_of(7)}};
    SyncProcessor<std::reference_wrapper<Memory>, LastWriteWins, NoObserver, SharedWall> processor{
        std::ref(store), LastWriteWins{}, {}, {}, SharedWall{&time}};
    LossyServer<decltype(processor)> server{processor};
    Device<Store> device;

    explicit LossRigOf(OtherStore choice, std::string author)
        : device{1, SharedWall{&time}, {.other_store = choice}} {
        if (author == "others") {
            REQUIRE(processor.process_batch("s", Ops{add("a", "1", stamp(1))}).success);
        } else {
            REQUIRE(device.replica->edit(AddElement<std::string>{"a", "1"}));
        }
        REQUIRE_FALSE(device.replica->sync(server).error);
        REQUIRE_FALSE(device.replica->sync(server).lost);
        store = Memory{MemoryStoreOptions{.id = id_of(8)}};
        REQUIRE(processor.process_batch("s", Ops{add("b", "1", stamp(2))}).success);
    }
};
using LossRig = LossRigOf<>;

}  // namespace

TEST_CASE("Replica reports a lost store after a crash at each operation before its report was read",
          "[sync][replica][regression]") {
    const auto choice = GENERATE(OtherStore::copies, OtherStore::restores);
    const auto author = GENERATE(as<std::string>{}, "this device", "others");
    const bool has_edit = GENERATE(false, true);
    const bool is_empty = GENERATE(false, true);
    CAPTURE(author, has_edit, is_empty);
    bool all = false;
    for (std::uint64_t at = 1; !all; ++at) {
        CAPTURE(at);
        LossRig rig{choice, author};
        if (is_empty) rig.store = Memory{MemoryStoreOptions{.id = id_of(8)}};
        if (has_edit) REQUIRE(rig.device.replica->edit(AddElement<std::string>{"c", "1"}));
        const std::uint64_t end = rig.device.disk.operations() + at;
        rig.device.disk.halt_at(end);
        const auto halted = [&] { return rig.device.disk.operations() >= end; };
        struct NotRead {};
        bool is_read = false;
        try {
            static_cast<void>(rig.device.replica->sync(rig.server, [&](const auto& report) {
                // The last round has no failure, and ends before the report is read.
                if (halted() || !report.error) throw NotRead{};
                is_read = report.lost.has_value();
            }));
        } catch (const NotRead&) {
        }
        all = !halted();
        REQUIRE_FALSE(is_read);
        rig.device.disk.crash(Random{Seed{at}});
        REQUIRE(rig.device.start());
        const auto report = rig.device.replica->sync(rig.server);
        CHECK_FALSE(report.error);
        REQUIRE(report.lost);
        CHECK(report.lost->last_change == 1);
        CHECK(report.lost->first_change == 1);
        CHECK(report.lost->elements == 1);
        CHECK_FALSE(rig.device.replica->sync(rig.server).lost);
        REQUIRE(rig.device.start());
        CHECK_FALSE(rig.device.replica->sync(rig.server).lost);
        CHECK(rig.device.replica->waiting() == 0);
    }
}

TEST_CASE("Replica reports a loss with its figures after a crash", "[sync][replica][regression]") {
    LossRig rig{OtherStore::copies, "others"};
    using Lost = decltype(rig.device.replica)::value_type::Lost;
    std::optional<Lost> before;
    const auto throws = [&](const auto& report) {
        before = report.lost;
        throw 1;
    };
    CHECK_THROWS(rig.device.replica->sync(rig.server, throws));
    REQUIRE(before);
    CHECK(before->elements == 1);
    for (int i = 0; i < 2; ++i) {
        REQUIRE(rig.device.start());
        std::optional<Lost> again;
        CHECK_THROWS(rig.device.replica->sync(rig.server, [&](const auto& report) {
            again = report.lost;
            throw 1;
        }));
        REQUIRE(again);
        CHECK(again->first_change == before->first_change);
        CHECK(again->last_change == before->last_change);
        CHECK(again->elements == before->elements);
        CHECK(again->earliest == before->earliest);
        CHECK(again->latest == before->latest);
    }
}

TEST_CASE("Replica reports the later one of two losses, and the elements of both",
          "[sync][replica][regression]") {
    LossRig rig{OtherStore::copies, "others"};
    CHECK_THROWS(rig.device.replica->sync(rig.server, [](const auto&) { throw 1; }));
    REQUIRE(rig.device.start());
    // The device knows two changes of the second store, which is lost, too.
    REQUIRE(rig.processor.process_batch("s", Ops{add("c", "1", stamp(3))}).success);
    rig.server.lose_in = 2;  // the answer
    static_cast<void>(rig.device.replica->sync(rig.server));
    CHECK_THROWS(rig.device.replica->sync(rig.server, [](const auto&) { throw 1; }));
    REQUIRE(rig.device.start());
    rig.store = Memory{MemoryStoreOptions{.id = id_of(9)}};
    const auto report = rig.device.replica->sync(rig.server);
    CHECK_FALSE(report.error);
    REQUIRE(report.lost);
    CHECK(report.lost->first_change == 1);
    CHECK(report.lost->last_change == 2);
    CHECK(report.lost->elements == 3);
    CHECK_FALSE(rig.device.replica->sync(rig.server).lost);
}

TEMPLATE_TEST_CASE("Replica reports the changes of the later loss after its copy was interrupted",
                   "[sync][replica][regression]", MapStore, StoreOfWrites) {
    bool is_done = false;
    for (std::uint64_t at = 1; !is_done; ++at) {
        LossRigOf<TestType> rig{OtherStore::copies, "others"};
        CHECK_THROWS(rig.device.replica->sync(rig.server, [](const auto&) { throw 1; }));
        REQUIRE(rig.device.start());
        REQUIRE(rig.processor.process_batch("s", Ops{add("c", "1", stamp(3))}).success);
        CHECK_THROWS(rig.device.replica->sync(rig.server, [](const auto&) { throw 1; }));
        REQUIRE(rig.device.start());
        // The device knows two changes of the second store. The power fails in the copy of a third.
        rig.store = Memory{MemoryStoreOptions{.id = id_of(9)}};
        rig.device.store.fail_in = at;
        is_done = true;
        CHECK_THROWS(rig.device.replica->sync(rig.server, [&](const auto& report) {
            is_done = !report.error;
            throw 1;
        }));
        rig.device.store.fail_in = 0;
        REQUIRE(rig.device.start());
        const auto report = rig.device.replica->sync(rig.server);
        INFO("call " << at);
        CHECK_FALSE(report.error);
        REQUIRE(report.lost);
        CHECK(report.lost->first_change == 1);
        CHECK(report.lost->last_change == 2);
        CHECK(report.lost->elements == 3);
        CHECK(rig.device.view().empty());
        CHECK_FALSE(rig.device.replica->sync(rig.server).lost);
    }
}

TEMPLATE_TEST_CASE("Replica counts a loss once if the power fails at any call of its local store",
                   "[sync][replica][regression]", MapStore, StoreOfWrites) {
    const bool is_restored = GENERATE(false, true);  // or another one
    const bool is_offline = GENERATE(false, true);   // in the first sync after the start
    CAPTURE(is_restored, is_offline);
    bool all = false;
    for (std::uint64_t at = 1; !all; ++at) {
        CAPTURE(at);
        WallTime time{1h};
        Memory store{MemoryStoreOptions{.id = id_of(7)}};
        SyncProcessor<std::reference_wrapper<Memory>, LastWriteWins, NoObserver, SharedWall>
            processor{std::ref(store), LastWriteWins{}, {}, {}, SharedWall{&time}};
        LossyServer<decltype(processor)> server{processor};
        Device<TestType> device{1, SharedWall{&time}, {.other_store = OtherStore::copies}};
        REQUIRE_FALSE(device.replica->sync(server).error);  // of an empty store
        for (const char* const element : {"a", "b", "c", "d", "e", "f"}) {
            REQUIRE(processor.process_batch("s", Ops{add(element, "1", stamp(1))}).success);
        }
        // The cursor is at the third change, of a history up to the sixth one.
        server.lose_in = 3;
        REQUIRE(device.replica->sync(server).error == SyncErrc::unanswered);
        REQUIRE(device.view().size() == 3);
        store = Memory{MemoryStoreOptions{.id = id_of(is_restored ? 7 : 8), .epoch = 2}};
        REQUIRE(processor.process_batch("s", Ops{add("a", "1", stamp(1))}).success);
        device.store.fail_in = at;
        all = true;
        try {
            static_cast<void>(device.replica->sync(server, [&](const auto& report) {
                all = !report.error;
                throw 1;
            }));
        } catch (int) {
        }
        device.store.fail_in = 0;
        REQUIRE(device.start());
        std::size_t elements = 0;
        bool is_reported = false;
        for (int i = is_offline ? 0 : 1; i < 2; ++i) {
            server.lose_in = i == 0 ? 1 : 0;
            const auto report = device.replica->sync(server);
            CHECK(!report.error == (i == 1));
            if (!report.lost) continue;
            is_reported = true;
            CHECK(report.lost->first_change == (is_restored ? 2 : 1));
            CHECK(report.lost->last_change == 6);
            elements += report.lost->elements;
        }
        CHECK(is_reported);
        CHECK(elements == 2);
        CHECK_FALSE(device.replica->sync(server).lost);
    }
}

TEMPLATE_TEST_CASE("Replica counts what a later server lacks after it counted a loss in part",
                   "[sync][replica][regression]", MapStore, StoreOfWrites) {
    bool all = false;
    for (std::uint64_t at = 1; !all; ++at) {
        CAPTURE(at);
        LossRigOf<TestType> rig{OtherStore::copies, "others"};
        // The device has both elements of the store that is lost; one of them in a later version
        // than its backup has.
        REQUIRE_FALSE(rig.device.replica->sync(rig.server).error);
        REQUIRE(rig.processor.process_batch("s", Ops{add("c", "1", stamp(3))}).success);
        REQUIRE(rig.processor.process_batch("s", Ops{update("c", "2", stamp(5))}).success);
        REQUIRE_FALSE(rig.device.replica->sync(rig.server).error);
        rig.store = Memory{MemoryStoreOptions{.id = id_of(9)}};
        REQUIRE(rig.processor.process_batch("s", Ops{add("b", "1", stamp(2))}).success);
        REQUIRE(rig.processor.process_batch("s", Ops{add("c", "1", stamp(3))}).success);
        std::uint64_t elements = 0;
        const auto read = [&](const auto& report) {
            if (report.lost) elements += report.lost->elements;
        };
        rig.device.store.fail_in = at;
        all = !rig.device.replica->sync(rig.server, read).error;
        rig.device.store.fail_in = 0;
        if (all) break;
        // Before the copy ends, this server has lost the other element, too.
        rig.store = Memory{MemoryStoreOptions{.id = id_of(10)}};
        REQUIRE(rig.processor.process_batch("s", Ops{add("c", "1", stamp(3))}).success);
        REQUIRE_FALSE(rig.device.replica->sync(rig.server, read).error);
        CHECK(elements == 2);
    }
}

TEMPLATE_TEST_CASE("Replica counts a loss once if any call of its local store fails",
                   "[sync][replica][regression]", MapStore, StoreOfWrites) {
    const bool is_read = GENERATE(false, true);  // the report with the error
    const bool is_unreadable = GENERATE(false, true);
    CAPTURE(is_read, is_unreadable);
    bool all = false;
    for (std::uint64_t at = 1; !all; ++at) {
        CAPTURE(at);
        LossRigOf<TestType> rig{OtherStore::copies, "others"};
        for (const char* const element : {"b", "c", "d"}) {
            REQUIRE(rig.processor.process_batch("s", Ops{add(element, "1", stamp(4))}).success);
        }
        REQUIRE_FALSE(rig.device.replica->sync(rig.server).error);
        // The store has lost its versions of b and c, and the element d. Only d does not exist any
        // more.
        rig.store = Memory{MemoryStoreOptions{.id = id_of(9)}};
        const Ops others{add("b", "2", stamp(2)), add("c", "2", stamp(3))};
        REQUIRE(rig.processor.process_batch("s", others).success);
        struct {
            Result<SyncResult<Op>> send(std::span<const Op> batch) {
                return rig.server.send(batch);
            }
            Result<part::ChangesPage<std::string>> changes(const part::StoreCursor& since) {
                auto page = rig.server.changes(since);
                for (std::size_t i = 0; page && is_unreadable && i < page->changes.size(); ++i) {
                    part::ElementChange<std::string>& one = page->changes[i];
                    if (one.id == "c") one = {one.id, one.stamp, {}, SyncErrc::bad_operation};
                }
                return page;
            }
            LossRigOf<TestType>& rig;
            bool is_unreadable;
        } server{rig, is_unreadable};
        rig.server.page_size = 1;
        std::size_t elements = 0;
        rig.device.store.fail_in = at;
        try {
            const auto report = rig.device.replica->sync(server, [&](const auto& one) {
                if (!is_read && one.error) throw 1;
            });
            all = !report.error;
            if (report.lost) elements += report.lost->elements;
        } catch (int) {
        }
        rig.device.store.fail_in = 0;
        const auto report = rig.device.replica->sync(server);
        CHECK_FALSE(report.error);
        if (report.lost) elements += report.lost->elements;
        CHECK(elements == 3);
        CHECK_FALSE(rig.device.replica->sync(server).lost);
    }
}

TEST_CASE("Replica reports no range of numbers if it has only a part of a later copy",
          "[sync][replica][regression]") {
    WallTime time{1h};
    Memory store{MemoryStoreOptions{.tombstones_kept = 1s, .id = id_of(7)}};
    SyncProcessor<std::reference_wrapper<Memory>, LastWriteWins, NoObserver, SharedWall> processor{
        std::ref(store), LastWriteWins{}, {}, {}, SharedWall{&time}};
    LossyServer<decltype(processor)> server{processor, 2};
    Device<> device{1, SharedWall{&time}, {.other_store = OtherStore::copies}};
    REQUIRE_FALSE(device.replica->sync(server).error);  // of an empty store
    for (const char* const element : {"a", "b", "c", "d", "e"}) {
        REQUIRE(processor.process_batch("s", Ops{add(element, "1", stamp(1))}).success);
    }
    REQUIRE(processor.process_batch("s", Ops{removal("e", stamp(2))}).success);
    REQUIRE_FALSE(store.expire(time));  // forgets the removal, so that a copy begins
    server.lose_in = 3;                 // the request for the second page
    REQUIRE(device.replica->sync(server).error == SyncErrc::unanswered);
    REQUIRE(device.view().size() == 2);
    store = Memory{MemoryStoreOptions{.id = id_of(8)}};
    const auto report = device.replica->sync(server);
    CHECK_FALSE(report.error);
    REQUIRE(report.lost);
    CHECK(report.lost->first_change == 0);
    CHECK(report.lost->last_change == 0);
    CHECK(report.lost->elements == 2);
    CHECK(device.view().empty());
}

TEST_CASE("Replica reports the loss of a store in whose copy its own was empty",
          "[sync][replica][regression]") {
    LossRig rig{OtherStore::copies, "others"};
    REQUIRE_FALSE(rig.device.store.remove({"s", "a"}, {stamp(3), fresh_id(), 0, {}}));
    CHECK_THROWS(rig.device.replica->sync(rig.server, [](const auto&) { throw 1; }));
    REQUIRE(rig.device.start());
    CHECK(rig.device.replica->sync(rig.server).lost);
    CHECK_FALSE(rig.device.replica->sync(rig.server).lost);
}

TEST_CASE("Replica restores a removal that a restored store has lost if it has no other element",
          "[sync][replica][regression]") {
    LossRig rig{OtherStore::restores, "this device"};
    rig.store = Memory{MemoryStoreOptions{.id = id_of(7)}};
    REQUIRE(rig.processor.process_batch("s", rig.server.batches.at(0)).success);
    REQUIRE_FALSE(rig.device.replica->sync(rig.server).error);
    rig.time += 1s;
    REQUIRE(rig.device.replica->edit(RemoveElement{"a"}));
    REQUIRE_FALSE(rig.device.replica->sync(rig.server).error);
    REQUIRE(rig.device.view().empty());
    rig.store = Memory{MemoryStoreOptions{.id = id_of(7), .epoch = 2}};
    REQUIRE(rig.processor.process_batch("s", rig.server.batches.at(0)).success);
    const auto report = rig.device.replica->sync(rig.server);
    CHECK_FALSE(report.error);
    REQUIRE(report.lost);
    CHECK(report.lost->elements == 1);
    CHECK(report.restored == std::vector<std::string>{"a"});
    CHECK(rig.store.find({"s", "a"})->presence == part::Presence::removed);
    CHECK(rig.device.view().empty());
}

TEST_CASE("Replica without elements begins again after a part of another store's copy",
          "[sync][replica][regression]") {
    WallTime time{1h};
    Memory store{MemoryStoreOptions{.id = id_of(7)}};
    SyncProcessor processor{std::ref(store), LastWriteWins{}, SyncOptions{}, NoObserver{},
                            SharedWall{&time}};
    LossyServer server{processor};
    server.page_size = 1;
    Device<> device{1, SharedWall{&time}, {.other_store = OtherStore::copies}};
    REQUIRE_FALSE(device.replica->sync(server).error);  // of an empty store
    store = Memory{MemoryStoreOptions{.id = id_of(8)}};
    REQUIRE(processor.process_batch("s", Ops{add("a", "1", stamp(1))}).success);
    REQUIRE(processor.process_batch("s", Ops{add("b", "1", stamp(2))}).success);
    server.lose_in = 3;  // the second page
    REQUIRE(device.replica->sync(server).error == SyncErrc::unanswered);
    REQUIRE(device.view().size() == 1);
    store = Memory{MemoryStoreOptions{.id = id_of(7)}};
    CHECK_FALSE(device.replica->sync(server).error);
    CHECK(device.view().empty());
}

TEST_CASE("Replica compares a second copy of a sync, too, with the store that was lost",
          "[sync][replica][regression]") {
    LossRig rig{OtherStore::restores, "this device"};
    struct {
        Result<SyncResult<Op>> send(std::span<const Op> batch) { return rig.server.send(batch); }
        auto changes(const part::StoreCursor& since) {
            // After the first page, the store has forgotten what the cursor needs.
            if (questions++ == 1) return rig.server.changes(part::StoreCursor{});
            return rig.server.changes(since);
        }
        LossRig& rig;
        std::uint64_t questions = 0;
    } server{rig};
    rig.server.page_size = 1;
    rig.store = Memory{MemoryStoreOptions{.id = id_of(7), .epoch = 2}};
    const Ops others{add("x", "1", stamp(3)), add("y", "1", stamp(4))};
    REQUIRE(rig.processor.process_batch("s", others).success);
    const auto report = rig.device.replica->sync(server);
    CHECK_FALSE(report.error);
    REQUIRE(report.lost);
    CHECK(report.lost->elements == 1);
    CHECK(std::count(report.restored.begin(), report.restored.end(), "a") == 1);
    CHECK(rig.device.view().count("a") == 1);
    CHECK(rig.store.find({"s", "a"})->presence == part::Presence::live);
    CHECK_FALSE(rig.device.replica->sync(rig.server).copied);
}
