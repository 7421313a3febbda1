// SPDX-License-Identifier: MIT
// Goal: a clock that is or was wrong by a year keeps no edit from the server, and no edit is lost
// unreported. Method: devices whose clocks are ahead, and a server that had such a clock.
#include <belay/sync/replica.hpp>

#include "support/catch.hpp"
#include "support/sync/replica_rig.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

struct FutureRig {
    explicit FutureRig(Duration wrong = 24h * 365) : device{1, {&time, wrong}} {
        device.options.batch_operations = 2;
        REQUIRE(device.start());
    }
    /// Returns the texts that the server has.
    [[nodiscard]] std::map<std::string, std::string> contents() {
        std::map<std::string, std::string> all;
        store.for_each("s", [&](std::string_view id, const std::string& text, const Stamp&) {
            all.emplace(std::string{id}, text);
        });
        return all;
    }
    void edit(const std::string& element, const std::string& text) {
        REQUIRE(device.replica->edit(AddElement<std::string>{element, text}));
    }
    /// The wall clock is right again; a process reads it when it starts.
    void correct() {
        device.wall.wrong = {};
        REQUIRE(device.start());
    }

    WallTime time{1h};
    Memory store{};
    SyncProcessor<std::reference_wrapper<Memory>, LastWriteWins, NoObserver, SharedWall> processor{
        std::ref(store), LastWriteWins{}, {}, {}, SharedWall{&time}};
    LossyServer<decltype(processor)> server{processor};
    Device<> device;
};
using FutureView = std::map<std::string, std::string>;

}  // namespace

TEST_CASE("Replica sends edits at once although its clock is or was a year ahead",
          "[sync][replica_clocks]") {
    const bool is_corrected = GENERATE(false, true);
    FutureRig rig;
    rig.edit("a", "1");
    rig.edit("a", "2");
    rig.edit("b", "3");
    REQUIRE(rig.device.replica->edit(Interaction{"a", "seen"}));
    if (is_corrected) rig.correct();
    const auto report = rig.device.replica->sync(rig.server);
    CHECK_FALSE(report.error);
    CHECK(report.synced == 4);
    CHECK(report.kept.empty());
    CHECK(report.conflicts.empty());
    CHECK(report.overwrote.empty());
    CHECK(rig.device.replica->waiting() == 0);
    CHECK(rig.contents() == FutureView{{"a", "2"}, {"b", "3"}});
    rig.edit("a", "4");
    CHECK(rig.device.replica->sync(rig.server).synced == 1);
    // Another device, whose clock is right, sees these versions and replaces them.
    Device<> other{2, {&rig.time}};
    REQUIRE_FALSE(other.replica->sync(rig.server).error);
    REQUIRE(other.replica->edit(UpdateElement<std::string>{"a", "5"}));
    REQUIRE(other.replica->edit(RemoveElement{"b"}));
    const auto its = other.replica->sync(rig.server);
    CHECK(its.synced == 2);
    CHECK(its.conflicts.empty());
    CHECK(its.overwrote.empty());
    CHECK(rig.contents() == FutureView{{"a", "5"}});
    CHECK(rig.device.replica->sync(rig.server).replaced.size() == 2);
    CHECK(rig.device.view() == rig.contents());
}

TEST_CASE("Replica reports a concurrent edit that loses against one of a clock that is ahead",
          "[sync][replica_clocks]") {
    const Duration wrong = GENERATE(Duration{2h}, Duration{24h * 365 * 3});
    const bool comes_first = GENERATE(false, true);
    FutureRig rig{Duration{}};
    Device<> ahead{2, {&rig.time, wrong}};
    rig.edit("a", "0");
    REQUIRE_FALSE(rig.device.replica->sync(rig.server).error);
    REQUIRE_FALSE(ahead.replica->sync(rig.server).error);
    REQUIRE(ahead.replica->edit(UpdateElement<std::string>{"a", "ahead"}));
    rig.time += 1s;
    REQUIRE(rig.device.replica->edit(UpdateElement<std::string>{"a", "right"}));
    if (comes_first) REQUIRE_FALSE(ahead.replica->sync(rig.server).error);
    const auto report = rig.device.replica->sync(rig.server);
    const auto its = ahead.replica->sync(rig.server);
    CHECK(rig.contents() == FutureView{{"a", "ahead"}});
    if (comes_first) {
        REQUIRE(report.conflicts.size() == 1);
        CHECK(report.conflicts[0].operation.value() == "right");
    } else {
        REQUIRE(its.overwrote.size() == 1);
        CHECK(its.overwrote[0].replaced.value == "right");
        const auto after = rig.device.replica->sync(rig.server);
        REQUIRE(after.replaced.size() == 1);
        CHECK(after.replaced[0].mine.value == "right");
    }
    REQUIRE_FALSE(rig.device.replica->sync(rig.server).error);
    CHECK(rig.device.view() == rig.contents());
}

TEST_CASE(
    "An operation that was stamped anew is applied once after a failure of any call of a store",
    "[sync][replica_clocks][fault]") {
    Op refused = add("a", "1", stamp(9));
    Op anew = add("a", "1", stamp(5));
    anew.formerly = refused.id;
    refused.saw = anew.saw = Stamp{};
    std::uint64_t call = 1;
    for (bool fails = true; fails; ++call) {
        StoreOfWrites store;
        SyncProcessor processor{std::ref(store), LastWriteWins{}};
        store.fail_in = call;
        const auto result = processor.process_batch("s", Ops{anew});
        fails = !result.success;
        if (fails) CHECK(result.failed_operations.at(0).retryable);
        store.fail_in = 0;
        CHECK(processor.process_batch("s", Ops{anew}).synced_count == 1);
        CHECK(processor.process_batch("s", Ops{refused}).synced_count == 0);
        CHECK(store.find({"s", "a"})->stamp == stamp(5));
    }
    CHECK(call > 5);
}

TEST_CASE("kept edits of an element stay in their order when their records are moved",
          "[sync][replica_clocks][fault]") {
    const Duration wrong = GENERATE(Duration{}, Duration{24h * 365});
    FutureRig rig{wrong};
    rig.device.options.batch_operations = 1;
    REQUIRE(rig.device.start());
    rig.edit("a", "1");
    REQUIRE(rig.device.replica->edit(Interaction{"", "seen"}));
    rig.edit("a", "2");
    // The request with the interaction is lost, so it stays first in the journal. The record of the
    // first edit is moved, and that of the third one stays.
    rig.device.wall.wrong = {};
    rig.server.is_full = true;
    rig.server.lose_in = 5;
    CHECK(rig.device.replica->sync(rig.server).error == SyncErrc::unanswered);
    rig.server.lose_in = 0;
    rig.server.is_full = false;
    REQUIRE(rig.device.start());
    REQUIRE(rig.device.journal->base() == 2);
    CHECK(rig.device.view() == FutureView{{"a", "2"}});
    const auto report = rig.device.replica->sync(rig.server);
    CHECK_FALSE(report.error);
    CHECK(report.conflicts.empty());
    CHECK(report.overwrote.empty());
    CHECK(rig.device.replica->waiting() == 0);
    CHECK(rig.contents() == FutureView{{"a", "2"}});
}

TEST_CASE("Replica sends edits that saw a dropped edit from the future", "[sync][replica_clocks]") {
    FutureRig rig;
    rig.edit("a", "1");
    rig.edit("a", "2");
    rig.edit("a", "3");
    rig.server.is_full = true;
    CHECK_FALSE(rig.device.replica->sync(rig.server).error);
    rig.server.is_full = false;
    const auto kept = rig.device.replica->kept();
    REQUIRE(kept.size() == 3);
    REQUIRE_FALSE(rig.device.replica->drop(kept[0].operation.id));
    rig.correct();
    const auto report = rig.device.replica->sync(rig.server);
    CHECK_FALSE(report.error);
    CHECK(report.synced == 2);
    CHECK(report.conflicts.empty());
    CHECK(report.overwrote.empty());
    CHECK(rig.device.replica->waiting() == 0);
    CHECK(rig.contents() == FutureView{{"a", "3"}});
}

TEST_CASE("Replica edits elements whose version is from the time of a server that was ahead",
          "[sync][replica_clocks]") {
    FutureRig rig{Duration{}};
    const Op ahead = add("a", "0", Stamp{rig.time + 24h * 365, 7, id_of(99)});
    REQUIRE_FALSE(rig.store.add({"s", "a"}, ahead.value(), {ahead.stamp, ahead.id, 0}));
    Device<> other{2, {&rig.time}};
    REQUIRE_FALSE(rig.device.replica->sync(rig.server).error);
    rig.edit("a", "1");
    rig.edit("a", "2");
    rig.edit("a", "3");
    const auto report = rig.device.replica->sync(rig.server);
    CHECK_FALSE(report.error);
    CHECK(report.synced == 3);
    CHECK(report.conflicts.empty());
    CHECK(report.overwrote.empty());
    CHECK(rig.device.replica->waiting() == 0);
    CHECK(rig.contents() == FutureView{{"a", "3"}});
    CHECK_FALSE(other.replica->sync(rig.server).error);
    CHECK(other.view() == rig.contents());
}

TEST_CASE("Replica reports that its removal was undone after a store was restored, and its clock",
          "[sync][replica_clocks][regression]") {
    const unsigned author = GENERATE(0U, 99U);  // below and above the origin of the device
    FutureRig rig{Duration{}};
    rig.device.options.other_store = ReplicaOptions::OtherStore::copies;
    REQUIRE(rig.device.start());
    const Stamp former{rig.time + 24h * 365, 7, id_of(98)};
    const auto remove = [&] { return rig.store.remove({"s", "a"}, {former, fresh_id(), 0, {}}); };
    REQUIRE_FALSE(remove());
    Op there = add("a", "1", detail::stamp_above(former, author == 0 ? id_of(1) : id_of(99)));
    there.saw = former;
    REQUIRE_FALSE(rig.store.add({"s", "a"}, "1", {there.stamp, there.id, 0, {}}));
    REQUIRE_FALSE(rig.device.replica->sync(rig.server).error);
    REQUIRE(rig.device.replica->edit(RemoveElement{"a"}));
    rig.store = Memory{};  // and the backup has the removal
    REQUIRE_FALSE(remove());
    const auto report = rig.device.replica->sync(rig.server);
    REQUIRE_FALSE(report.error);
    CHECK(report.synced == 1);
    // The author of the version has no answer, and sends it again.
    const auto result = rig.server.send({&there, 1});
    REQUIRE(result);
    const auto after = rig.device.replica->sync(rig.server);
    REQUIRE_FALSE(after.error);
    if (rig.contents().empty()) {
        CHECK(result->conflicts.size() == 1);
    } else {
        CHECK(result->overwrote.size() == 1);
        REQUIRE(after.replaced.size() == 1);
        CHECK_FALSE(after.replaced[0].mine.value);
        CHECK(after.replaced[0].now.value == "1");
    }
}

TEST_CASE("a refused operation that comes again after it was dropped is applied, and received",
          "[sync][replica_clocks]") {
    FutureRig rig{Duration{}};
    rig.edit("a", "1");
    rig.server.is_full = true;
    const auto first = rig.device.replica->sync(rig.server);
    REQUIRE(first.kept.size() == 1);
    REQUIRE_FALSE(rig.device.replica->drop(first.kept[0].operation.id));
    CHECK(rig.processor.process_batch("s", rig.server.batches.front()).synced_count == 1);
    CHECK_FALSE(rig.device.replica->sync(rig.server).error);
    CHECK(rig.device.view() == FutureView{{"a", "1"}});
    CHECK(rig.contents() == rig.device.view());
}

TEST_CASE("a removal of a version that a restored store lacks is a version of its own",
          "[sync][replica_clocks]") {
    Memory store;
    SyncProcessor processor{std::ref(store), LastWriteWins{}};
    REQUIRE_FALSE(store.remove({"s", "a"}, {stamp(7), fresh_id(), 0, {}}));
    Op op = removal("a", stamp(5));
    op.saw = stamp(9);
    CHECK(processor.process_batch("s", Ops{op}).synced_count == 1);
    CHECK(stamp(7) < store.find({"s", "a"})->stamp);
}

TEST_CASE("a server whose clock jumps ahead forgets no removal because of a device that was ahead",
          "[sync][replica_clocks]") {
    FutureRig rig;
    Device<> other{2, {&rig.time}};
    REQUIRE(other.replica->edit(AddElement<std::string>{"a", "1"}));
    REQUIRE(other.replica->edit(RemoveElement{"a"}));
    REQUIRE_FALSE(other.replica->sync(rig.server).error);
    rig.edit("b", "ahead");
    REQUIRE_FALSE(rig.device.replica->sync(rig.server).error);
    const WallTime before = rig.time;
    REQUIRE(other.replica->edit(AddElement<std::string>{"c", "1"}));
    rig.time += 24h * 200;
    REQUIRE_FALSE(other.replica->sync(rig.server).error);
    rig.time = before;
    CHECK(rig.store.find({"s", "a"})->presence == part::Presence::removed);
}
