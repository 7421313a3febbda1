// SPDX-License-Identifier: MIT
// Goal: a Replica notices that its server's store was restored from a backup, also if that store
// has since made more changes than the replica has read, and restores it if the option requests
// that. Method: cases with a SyncProcessor whose store is replaced by an earlier one, and every
// failure on the way.
#include <belay/sync/replica.hpp>

#include <algorithm>
#include <functional>
#include <stdexcept>

#include "support/catch.hpp"
#include "support/sync/replica_rig.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

using RestoredTexts = std::map<std::string, std::string>;
using OtherStore = ReplicaOptions::OtherStore;
using AddText = AddElement<std::string>;
using UpdateText = UpdateElement<std::string>;

/// A server whose store can be replaced by a backup that keeps its id.
struct RestoredServerRig {
    WallTime time{1h};
    Memory store{MemoryStoreOptions{.id = id_of(7)}};
    SyncProcessor<std::reference_wrapper<Memory>, LastWriteWins, NoObserver, SharedWall> processor{
        std::ref(store), LastWriteWins{}, {}, {}, SharedWall{&time}};
    LossyServer<decltype(processor)> server{processor};

    [[nodiscard]] Device<> device(std::uint64_t number, OtherStore choice) {
        return Device<>{number, SharedWall{&time}, {.other_store = choice}};
    }
    RestoredTexts contents() {
        RestoredTexts all;
        store.for_each("s", [&](std::string_view id, const std::string& text, const Stamp&) {
            all.emplace(std::string{id}, text);
        });
        return all;
    }
    /// Opens a store that has applied only the first batches that it was sent.
    void restore(std::size_t batches, std::uint32_t new_epoch) {
        store = Memory{MemoryStoreOptions{.id = id_of(7), .epoch = new_epoch}};
        const std::vector<Ops> sent = server.batches;
        for (std::size_t i = 0; i < batches; ++i) {
            REQUIRE(processor.process_batch("s", sent[i]).success);
        }
    }
    /// Other authors make more changes than the lost ones.
    void overtake() {
        Ops many;
        for (int i = 0; i < 20; ++i) {
            many.push_back(add("other " + std::to_string(i), "x", stamp(i + 1, 99)));
        }
        REQUIRE(processor.process_batch("s", many).success);
    }
};

template <class Replica>
void edit_and_sync(RestoredServerRig& rig, Replica& replica, Op::Action action) {
    rig.time += 1s;
    REQUIRE(replica.edit(std::move(action)));
    REQUIRE_FALSE(replica.sync(rig.server).error);
}

}  // namespace

TEST_CASE("Replica notices a restored store that has made more changes than it knows",
          "[sync][replica]") {
    RestoredServerRig rig;
    Device<> device = rig.device(1, OtherStore::stops);
    edit_and_sync(rig, *device.replica, AddText{"a", "1"});
    edit_and_sync(rig, *device.replica, UpdateText{"a", "2"});
    rig.restore(1, 2);
    rig.overtake();
    const auto report = device.replica->sync(rig.server);
    CHECK(report.error == SyncErrc::other_store);
    CHECK(device.view() == RestoredTexts{{"a", "2"}});
    device.options.other_store = OtherStore::copies;
    REQUIRE(device.start());
    const auto second = device.replica->sync(rig.server);
    CHECK_FALSE(second.error);
    REQUIRE(second.replaced.size() == 1);
    CHECK(second.replaced[0].mine.value == "2");
    CHECK(second.restored.empty());
    CHECK(device.view() == rig.contents());
    CHECK_FALSE(device.replica->sync(rig.server).copied);
}

TEST_CASE("Replica reports the range and the time of what a restored store has lost",
          "[sync][replica]") {
    const OtherStore choice = GENERATE(OtherStore::stops, OtherStore::copies, OtherStore::restores);
    RestoredServerRig rig;
    Device<> device = rig.device(1, choice);
    edit_and_sync(rig, *device.replica, AddText{"kept", "1"});
    edit_and_sync(rig, *device.replica, AddText{"removed", "1"});  // change 2, in the backup
    edit_and_sync(rig, *device.replica, AddText{"new", "1"});
    const WallTime first_lost = rig.time;
    edit_and_sync(rig, *device.replica, UpdateText{"kept", "2"});
    edit_and_sync(rig, *device.replica, RemoveElement{"removed"});  // change 5
    const WallTime last_lost = rig.time;
    CHECK_FALSE(device.replica->sync(rig.server).lost);
    std::uint64_t first_change = 3;
    SECTION("the store has fewer changes") { rig.restore(2, 2); }
    SECTION("the store has made more changes since") {
        rig.restore(2, 2);
        rig.overtake();
        first_change = 0;
    }
    SECTION("it is another store") {
        rig.restore(2, 2);
        rig.store = Memory{MemoryStoreOptions{.id = id_of(8)}};
        for (std::size_t i = 0; i < 2; ++i) {
            REQUIRE(rig.processor.process_batch("s", rig.server.batches[i]).success);
        }
        first_change = 1;
    }
    const auto report = device.replica->sync(rig.server);
    REQUIRE(report.lost);
    CHECK(report.lost->first_change == first_change);
    CHECK(report.lost->last_change == 5);
    if (choice == OtherStore::stops) {
        CHECK(report.lost->elements == 0);
        return;
    }
    CHECK(report.lost->elements == 3);
    CHECK(report.lost->earliest.wall == first_lost);
    CHECK(report.lost->latest.wall == last_lost);
    CHECK_FALSE(device.replica->sync(rig.server).lost);
}

TEST_CASE("Replica reports no range of numbers if it has only a part of a copy",
          "[sync][replica][regression]") {
    RestoredServerRig rig;
    rig.server.page_size = 1;
    Device<> device = rig.device(1, OtherStore::restores);
    REQUIRE_FALSE(device.replica->sync(rig.server).error);  // of an empty store
    const auto open = [&](std::uint64_t id, std::vector<std::string> elements) {
        rig.store = Memory{MemoryStoreOptions{.id = id_of(id)}};
        for (const std::string& one : elements) {
            REQUIRE(rig.processor.process_batch("s", Ops{add(one, "1", stamp(9))}).success);
        }
    };
    open(8, {"a", "b"});
    rig.server.lose_in = 3;  // the second page
    const auto first = device.replica->sync(rig.server);
    CHECK(first.error == SyncErrc::unanswered);
    REQUIRE(first.lost);
    CHECK(first.lost->first_change == 0);
    CHECK(first.lost->last_change == 0);
    CHECK(first.lost->elements == 0);
    open(8, {});
    const auto report = device.replica->sync(rig.server);
    CHECK_FALSE(report.error);
    REQUIRE(report.lost);
    CHECK(report.lost->first_change == 0);
    CHECK(report.lost->last_change == 0);
    CHECK(report.lost->elements == 1);
    CHECK(report.restored == std::vector<std::string>{"a"});
    CHECK(rig.contents() == RestoredTexts{{"a", "1"}});
}

TEST_CASE("Replica lists what it restores also if a sync fails, or its report is not read",
          "[sync][replica][regression]") {
    RestoredServerRig rig;
    rig.server.page_size = 1;
    Device<> device = rig.device(1, OtherStore::restores);
    for (const char* const element : {"a", "b"}) {
        edit_and_sync(rig, *device.replica, AddText{element, "1"});
    }
    for (const char* const element : {"a", "b"}) {
        edit_and_sync(rig, *device.replica, UpdateText{element, "2"});
    }
    rig.restore(2, 2);
    using Elements = std::vector<std::string>;
    SECTION("a page is lost") {
        rig.server.lose_in = 3;
        const auto first = device.replica->sync(rig.server);
        CHECK(first.error == SyncErrc::unanswered);
        CHECK(first.restored == Elements{"a"});
        const auto second = device.replica->sync(rig.server);
        CHECK_FALSE(second.error);
        CHECK(second.restored == Elements{"b"});
    }
    SECTION("the report is not read") {
        CHECK_THROWS(device.replica->sync(
            rig.server, [](const auto&) { throw std::runtime_error{"not read"}; }));
        const auto report = device.replica->sync(rig.server);
        CHECK_FALSE(report.error);
        CHECK(report.lost);
        CHECK(report.restored == Elements{"a", "b"});
    }
    CHECK(rig.contents() == RestoredTexts{{"a", "2"}, {"b", "2"}});
}

TEST_CASE("Replica with OtherStore::restores returns the lost changes to a restored store",
          "[sync][replica]") {
    RestoredServerRig rig;
    Device<> phone = rig.device(1, OtherStore::restores);
    Device<> laptop = rig.device(2, OtherStore::restores);
    edit_and_sync(rig, *phone.replica, AddText{"kept", "1"});
    edit_and_sync(rig, *phone.replica, AddText{"changed", "1"});
    edit_and_sync(rig, *phone.replica, AddText{"removed", "1"});
    edit_and_sync(rig, *phone.replica, UpdateText{"changed", "2"});  // batch 3
    edit_and_sync(rig, *phone.replica, AddText{"new", "1"});
    edit_and_sync(rig, *phone.replica, RemoveElement{"removed"});
    edit_and_sync(rig, *laptop.replica, UpdateText{"changed", "3"});
    REQUIRE_FALSE(phone.replica->sync(rig.server).error);
    const RestoredTexts before = rig.contents();
    REQUIRE(before == RestoredTexts{{"changed", "3"}, {"kept", "1"}, {"new", "1"}});
    const bool is_emptied = GENERATE(false, true);
    const bool laptop_returns = GENERATE(false, true);
    rig.restore(is_emptied ? 0 : 3, 2);
    rig.overtake();
    // Only the phone sends the version of the laptop, because the laptop may never return.
    const auto report = phone.replica->sync(rig.server);
    CHECK_FALSE(report.error);
    CHECK(report.restored.size() == 3);
    CHECK(std::is_sorted(report.restored.begin(), report.restored.end()));
    CHECK(report.replaced.empty());
    CHECK(report.conflicts.empty());
    CHECK(report.kept.empty());
    if (laptop_returns) {
        const auto second = laptop.replica->sync(rig.server);
        CHECK_FALSE(second.error);
        CHECK(second.restored.empty());
        CHECK(laptop.view() == rig.contents());
        REQUIRE_FALSE(phone.replica->sync(rig.server).error);
    }
    RestoredTexts after = rig.contents();
    std::erase_if(after, [](const auto& one) { return one.first.starts_with("other "); });
    CHECK(after == before);
    CHECK(phone.view() == rig.contents());
    CHECK(phone.replica->waiting() == 0);
    CHECK(phone.replica->sync(rig.server).restored.empty());
}

TEST_CASE("Replica restores versions that are too old for the server, with new stamps",
          "[sync][replica]") {
    RestoredServerRig rig;
    Device<> device = rig.device(1, OtherStore::restores);
    edit_and_sync(rig, *device.replica, AddText{"a", "1"});
    edit_and_sync(rig, *device.replica, AddText{"b", "1"});
    const Stamp before = device.store.in.elements.at({"replica", "a"}).first.stamp;
    rig.time += 24h * 400;
    rig.restore(0, 2);
    rig.overtake();
    REQUIRE_FALSE(rig.store.expire(rig.time));
    const auto report = device.replica->sync(rig.server);
    CHECK_FALSE(report.error);
    CHECK(report.restored.size() == 2);
    CHECK(report.kept.empty());
    CHECK(device.replica->waiting() == 0);
    CHECK(rig.contents()["a"] == "1");
    CHECK(rig.contents()["b"] == "1");
    CHECK(device.view() == rig.contents());
    CHECK(before < rig.store.find({"s", "a"})->stamp);
}

TEST_CASE("Replica restores a version as a concurrent change of what others made since",
          "[sync][replica]") {
    RestoredServerRig rig;
    Device<> phone = rig.device(1, OtherStore::restores);
    Device<> laptop = rig.device(2, OtherStore::restores);
    edit_and_sync(rig, *phone.replica, AddText{"a", "1"});
    edit_and_sync(rig, *phone.replica, AddText{"b", "1"});
    edit_and_sync(rig, *phone.replica, UpdateText{"a", "of the phone"});
    const bool laptop_is_later = GENERATE(false, true);
    rig.restore(2, 2);
    // The laptop has never seen the lost version.
    rig.time += laptop_is_later ? Duration{1s} : Duration{-1500ms};
    REQUIRE_FALSE(laptop.replica->sync(rig.server).error);
    REQUIRE(laptop.replica->edit(UpdateText{"a", "of the laptop"}));
    REQUIRE_FALSE(laptop.replica->sync(rig.server).error);
    rig.time += 2s;
    const auto report = phone.replica->sync(rig.server);
    CHECK_FALSE(report.error);
    REQUIRE_FALSE(laptop.replica->sync(rig.server).error);
    CHECK(phone.view() == rig.contents());
    CHECK(laptop.view() == rig.contents());
    if (laptop_is_later) {
        // The phone's version is gone, so its author has it.
        CHECK(rig.contents()["a"] == "of the laptop");
        CHECK(report.restored.empty());
        REQUIRE(report.replaced.size() == 1);
        CHECK(report.replaced[0].mine.value == "of the phone");
    } else {
        CHECK(rig.contents()["a"] == "of the phone");
        CHECK(report.restored == std::vector<std::string>{"a"});
        REQUIRE(report.overwrote.size() == 1);
        CHECK(report.overwrote[0].replaced.value == "of the laptop");
    }
}

TEST_CASE("Replica reports its version in whose place another device restored one of it",
          "[sync][replica][regression]") {
    RestoredServerRig rig;
    Device<> phone = rig.device(1, OtherStore::copies);
    edit_and_sync(rig, *phone.replica, AddText{"a", "late"});
    // Its clock was ahead when it made this one, which a restored store had lost.
    Op early = update("a", "early", stamp(0));
    early.stamp = {WallTime{1h + 2s}, 0, phone.journal->journal_id()};
    early.saw = Stamp{};
    REQUIRE(rig.processor.process_batch("s", Ops{early}).success);
    const auto report = phone.replica->sync(rig.server);
    CHECK(phone.view() == RestoredTexts{{"a", "early"}});
    REQUIRE(report.replaced.size() == 1);
    CHECK(report.replaced[0].mine.value == "late");
}

TEST_CASE("Replica reports an edit in whose place another device restored a version of it",
          "[sync][replica][regression]") {
    const bool removes = GENERATE(false, true);
    const bool was_removal = GENERATE(false, true);
    RestoredServerRig rig;
    Device<> phone = rig.device(1, OtherStore::copies);
    edit_and_sync(rig, *phone.replica, AddText{"a", "before"});
    rig.time += 1s;
    if (removes) {
        REQUIRE(phone.replica->edit(RemoveElement{"a"}));
    } else {
        REQUIRE(phone.replica->edit(UpdateText{"a", "mine"}));
    }
    rig.server.lose_in = 5;  // the answer with its result
    REQUIRE(phone.replica->sync(rig.server).error == SyncErrc::unanswered);
    // A version that the phone made when its clock was ahead, and that a restored store had lost.
    const Stamp restored{rig.time + 2s, 0, phone.journal->journal_id()};
    Op other = was_removal ? removal("a", restored) : update("a", "late", restored);
    other.saw = Stamp{};
    REQUIRE(rig.processor.process_batch("s", Ops{other}).success);
    const bool restarts = GENERATE(false, true);
    if (restarts) {
        phone.disk.crash(Random{Seed{1}});
        REQUIRE(phone.start());
    }
    const auto report = phone.replica->sync(rig.server);
    CHECK_FALSE(report.error);
    CHECK(phone.view() == rig.contents());
    if (removes && was_removal) {
        CHECK(report.replaced.empty());  // two removals are the same state
    } else {
        REQUIRE(report.replaced.size() == 1);
        CHECK(report.replaced[0].mine.value.value_or("-") == (removes ? "-" : "mine"));
        CHECK(report.replaced[0].now.value.value_or("-") == (was_removal ? "-" : "late"));
        CHECK(report.replaced[0].now.stamp == restored);
    }
    CHECK(phone.replica->sync(rig.server).replaced.empty());
}

TEST_CASE("Replica reports its removal that was undone after a copy without it",
          "[sync][replica][regression]") {
    RestoredServerRig rig;
    Device<> phone = rig.device(1, OtherStore::copies);
    edit_and_sync(rig, *phone.replica, AddText{"a", "1"});
    rig.time += 1s;
    REQUIRE(phone.replica->edit(RemoveElement{"a"}));
    // The edit has the same moment, and is earlier by its origin. The removal has not seen it.
    Id lowest{};
    lowest.back() = std::byte{1};
    Op other = update("a", "2", {rig.time, 0, lowest});
    other.saw = rig.store.find({"s", "a"})->stamp;
    REQUIRE(rig.processor.process_batch("s", Ops{other}).success);
    rig.server.lose_in = 5;  // the answer with the removal
    REQUIRE(phone.replica->sync(rig.server).error == SyncErrc::unanswered);
    REQUIRE(rig.contents().empty());
    // The server forgets the removal, so its next answer is a copy.
    REQUIRE_FALSE(rig.store.expire(rig.time + 24h * 400));
    const auto first = phone.replica->sync(rig.server);
    CHECK_FALSE(first.error);
    CHECK(first.copied);
    CHECK(phone.view().empty());
    rig.time += 24h * 400;
    REQUIRE(rig.processor.process_batch("s", Ops{add("a", "1", {rig.time, 0, id_of(2)})}).success);
    const auto report = phone.replica->sync(rig.server);
    REQUIRE(report.replaced.size() == 1);
    CHECK_FALSE(report.replaced[0].mine.value);
    CHECK(report.replaced[0].now.value == "1");
}

TEST_CASE("Replica gives an edit a later stamp than its edit that the server decided against",
          "[sync][replica][regression]") {
    // A restored server may get both, and each must name one version.
    RestoredServerRig rig;
    Device<> phone{1, SharedWall{&rig.time, -30min}};
    const auto write = [&](const std::string& text) {
        rig.time += 1s;
        Op one = update("a", text, {rig.time, 0, id_of(9)});
        one.saw = rig.store.find({"s", "a"})->stamp;
        REQUIRE(rig.processor.process_batch("s", Ops{one}).success);
    };
    struct {
        Result<SyncResult<Op>> send(std::span<const Op> batch) {
            if (before) std::exchange(before, nullptr)();
            return of.send(batch);
        }
        auto changes(const part::StoreCursor& since) { return of.changes(since); }
        decltype(rig.server)& of;
        std::function<void()> before{};
    } server{rig.server};
    write("1");
    REQUIRE_FALSE(phone.replica->sync(server).error);
    REQUIRE(phone.replica->edit(UpdateText{"a", "mine"}));
    server.before = [&] { write("2"); };
    rig.server.lose_in = 5;  // the answer with "2"
    const auto report = phone.replica->sync(server);
    CHECK(report.error == SyncErrc::unanswered);
    CHECK(report.conflicts.size() == 1);
    REQUIRE(phone.replica->edit(UpdateText{"a", "mine again"}));
    REQUIRE_FALSE(phone.replica->sync(server).error);
    REQUIRE(rig.server.batches.size() == 2);
    CHECK(rig.server.batches[0].at(0).stamp < rig.server.batches[1].at(0).stamp);
}

TEST_CASE("Replica notices a restored store after a part of the changes",
          "[sync][replica][regression]") {
    RestoredServerRig rig;
    rig.server.page_size = 1;
    Device<> device = rig.device(1, OtherStore::stops);
    const auto send = [&](const Op& one) { REQUIRE(rig.server.send(Ops{one})); };
    send(add("x", "1", stamp(1)));
    REQUIRE_FALSE(device.replica->sync(rig.server).error);
    send(add("a", "before", stamp(2)));
    send(add("b", "1", stamp(3)));
    send(update("a", "lost", stamp(4)));
    rig.server.lose_in = 4;  // the page behind that of b
    CHECK(device.replica->sync(rig.server).error == SyncErrc::unanswered);
    REQUIRE(device.view() == RestoredTexts{{"b", "1"}, {"x", "1"}});
    // The page of b had no change of a, because that change was replaced by the lost one.
    rig.restore(3, 1);
    CHECK(device.replica->sync(rig.server).error == SyncErrc::other_store);
    device.options.other_store = OtherStore::copies;
    REQUIRE(device.start());
    CHECK_FALSE(device.replica->sync(rig.server).error);
    CHECK(device.view() == RestoredTexts{{"a", "before"}, {"b", "1"}, {"x", "1"}});
}

TEST_CASE("Replica begins a copy again that a crash has interrupted",
          "[sync][replica][regression]") {
    RestoredServerRig rig;
    Device<> device = rig.device(1, OtherStore::copies);
    const auto send = [&](const Op& one) { REQUIRE(rig.server.send(Ops{one})); };
    for (int i = 0; i < 6; ++i) send(add(std::to_string(i), "1", stamp(i + 1)));
    REQUIRE_FALSE(device.replica->sync(rig.server).error);
    rig.restore(6, 2);
    for (int i = 0; i < 6; ++i) {
        REQUIRE(rig.processor.process_batch("s", Ops{update(std::to_string(i), "2", stamp(i + 9))})
                    .success);
    }
    rig.server.lose_in = 4;
    CHECK(device.replica->sync(rig.server).error == SyncErrc::unanswered);
    // The backup is restored once more, without what half of the copy had, and as its first self.
    rig.restore(6, 1);
    REQUIRE(device.start());
    CHECK_FALSE(device.replica->sync(rig.server).error);
    CHECK(device.view() == rig.contents());
    CHECK(rig.contents()["0"] == "1");
}

TEST_CASE("Replica sends again what a restored store had applied in a failed sync",
          "[sync][replica][regression]") {
    RestoredServerRig rig;
    Device<> device = rig.device(1, OtherStore::stops);
    edit_and_sync(rig, *device.replica, AddText{"a", "1"});
    REQUIRE(device.replica->edit(UpdateText{"a", "2"}));
    rig.server.lose_in = 5;  // the request after the batch
    CHECK(device.replica->sync(rig.server).error == SyncErrc::unanswered);
    REQUIRE(rig.contents() == RestoredTexts{{"a", "2"}});
    rig.restore(1, 1);  // the device has not read what is lost, so its cursor is of this history
    const auto report = device.replica->sync(rig.server);
    CHECK_FALSE(report.error);
    CHECK(report.synced == 1);
    CHECK(rig.contents() == RestoredTexts{{"a", "2"}});
    CHECK(device.view() == rig.contents());
    CHECK(device.replica->waiting() == 0);
}

TEST_CASE("Replica restores a store, also if any one call fails or the program crashes there",
          "[sync][replica]") {
    std::uint64_t failed = 0;
    for (const bool crashes : {false, true}) {
        for (std::uint64_t call = 1; call < 80; ++call) {
            CAPTURE(crashes, call);
            RestoredServerRig rig;
            Device<> device = rig.device(1, OtherStore::restores);
            edit_and_sync(rig, *device.replica, AddText{"a", "1"});
            edit_and_sync(rig, *device.replica, UpdateText{"a", "2"});
            edit_and_sync(rig, *device.replica, AddText{"b", "2"});
            edit_and_sync(rig, *device.replica, AddText{"c", "2"});
            rig.restore(1, 2);
            rig.overtake();
            if (call % 2 == 0) {
                device.store.fail_in = call / 2;
            } else {
                rig.server.lose_in = call / 2 + 1;
            }
            const auto first = device.replica->sync(rig.server);
            failed += first.error ? 1U : 0U;
            device.store.fail_in = 0;
            rig.server.lose_in = 0;
            if (crashes) {
                device.disk.crash(Random{Seed{call}});
                REQUIRE(device.start());
            }
            for (int i = 0; i < 2; ++i) {
                const auto report = device.replica->sync(rig.server);
                CHECK_FALSE(report.error);
                CHECK(report.conflicts.empty());
            }
            CHECK(device.view() == rig.contents());
            CHECK(device.replica->waiting() == 0);
            CHECK(rig.contents()["a"] == "2");
            CHECK(rig.contents()["b"] == "2");
            CHECK(rig.contents()["c"] == "2");
        }
    }
    CHECK(failed > 60);
}

TEST_CASE("Replica does not restore a version that its journal rejects, and continues",
          "[sync][replica][bad_input]") {
    RestoredServerRig rig;
    Device<> device = rig.device(1, OtherStore::restores);
    REQUIRE(rig.processor
                .process_batch("s", Ops{add("long", std::string(2000, 'x'), stamp(5)),
                                        add("short", "x", stamp(6))})
                .success);
    REQUIRE_FALSE(device.replica->sync(rig.server).error);
    rig.restore(0, 2);
    const auto report = device.replica->sync(rig.server);
    CHECK_FALSE(report.error);
    CHECK(report.restored == std::vector<std::string>{"short"});
    CHECK(rig.contents() == RestoredTexts{{"short", "x"}});
    CHECK(device.view() == rig.contents());
}

TEST_CASE("Replica reports its versions that edits_max keeps it from restoring",
          "[sync][replica][bad_input]") {
    RestoredServerRig rig;
    Device<> device = rig.device(1, OtherStore::restores);
    for (const char* const name : {"a", "b", "c"}) {
        edit_and_sync(rig, *device.replica, AddText{name, std::string{name} + "1"});
    }
    rig.restore(0, 2);
    device.options.edits_max = 2;
    REQUIRE(device.start());
    const auto report = device.replica->sync(rig.server);
    CHECK_FALSE(report.error);
    REQUIRE(report.restored.size() == 2);
    REQUIRE(report.replaced.size() == 1);
    CHECK(report.replaced[0].mine.value == report.replaced[0].mine.id + "1");
    CHECK(std::count(report.restored.begin(), report.restored.end(), report.replaced[0].mine.id) ==
          0);
    CHECK(rig.contents().size() == 2);
    CHECK(device.view() == rig.contents());
}

TEST_CASE("edits that a restored store makes wait again stay in their order after a restart",
          "[sync][replica][regression]") {
    RestoredServerRig rig;
    Device<> device = rig.device(1, OtherStore::copies);
    rig.time += 1s;
    REQUIRE(device.replica->edit(AddText{"b", "1"}));
    REQUIRE(device.replica->edit(AddText{"a", "1"}));
    rig.time += 1s;
    const Op theirs = add("b", "theirs", {rig.time, 0, id_of(99)});
    REQUIRE(rig.processor.process_batch("s", {&theirs, 1}).success);
    // The first edit is decided against, so the next one changes the other version.
    rig.server.lose_in = 5;
    CHECK(device.replica->sync(rig.server).error == SyncErrc::unanswered);
    rig.server.lose_in = 0;
    rig.time += 1s;
    REQUIRE(device.replica->edit(AddText{"b", "2"}));
    rig.store = Memory{MemoryStoreOptions{.id = id_of(8)}};
    struct {
        Result<SyncResult<Op>> send(std::span<const Op> batch) {
            SyncResult<Op> result;
            for (const Op& op : batch) {
                const bool keeps = op.element() == "b";
                const auto error = keeps ? SyncErrc::store_full : SyncErrc::store_busy;
                result.failed_operations.push_back({op, error, true, {}, keeps});
            }
            result.failed_count = batch.size();
            return result;
        }
        Result<part::ChangesPage<std::string>> changes(const part::StoreCursor& since) {
            return of.changes(since);
        }
        decltype(rig.server)& of;
    } failing{rig.server};
    CHECK(device.replica->sync(failing).error == SyncErrc::store_busy);
    REQUIRE(device.journal->base() == 2);  // of the edit that is not kept
    CHECK(device.view()["b"] == "2");
    REQUIRE(device.start());
    CHECK(device.view()["b"] == "2");
    REQUIRE_FALSE(device.replica->sync(rig.server).error);
    CHECK(rig.contents() == RestoredTexts{{"a", "1"}, {"b", "2"}});
}
