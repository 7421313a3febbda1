// SPDX-License-Identifier: MIT
// Goal: a clock that is or was wrong by a year keeps no edit from the server. Method: a device whose
// clock is ahead, corrected or not, with crashes at each operation of its disk, and lost answers.
#include <belay/sync/replica.hpp>

#include "support/catch.hpp"
#include "support/sync/replica_rig.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

struct FutureRig {
    explicit FutureRig(Duration wrong = 24h * 365, std::size_t ids_remembered = 1000)
        : store{MemoryStoreOptions{.ids_remembered = ids_remembered}}, device{1, {&time, wrong}} {
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
    Memory store;
    SyncProcessor<std::reference_wrapper<Memory>, LastWriteWins, NoObserver, SharedWall> processor{
        std::ref(store), LastWriteWins{}, {}, {}, SharedWall{&time}};
    LossyServer<decltype(processor)> server{processor};
    Device<> device;
};
using FutureView = std::map<std::string, std::string>;

}  // namespace

TEST_CASE("Replica stamps edits anew whose clock was a year ahead, and was corrected",
          "[sync][replica_restamping]") {
    FutureRig rig;
    rig.edit("a", "1");
    rig.edit("a", "2");
    rig.edit("b", "3");
    REQUIRE(rig.device.replica->edit(Interaction{"a", "seen"}));
    rig.correct();
    const auto report = rig.device.replica->sync(rig.server);
    CHECK_FALSE(report.error);
    CHECK(report.synced == 4);
    CHECK(report.kept.empty());
    CHECK(report.conflicts.empty());
    CHECK(report.overwrote.empty());
    REQUIRE(report.restamped.size() == 4);
    CHECK(report.restamped[0].before != report.restamped[0].operation.id);
    CHECK(report.restamped[1].operation.saw == report.restamped[0].operation.stamp);
    CHECK(rig.device.replica->waiting() == 0);
    CHECK(rig.contents() == FutureView{{"a", "2"}, {"b", "3"}});
    // Later edits have the right time, also after a restart.
    rig.time += 1s;
    REQUIRE(rig.device.start());
    rig.edit("c", "4");
    rig.edit("a", "5");
    const auto later = rig.device.replica->sync(rig.server);
    CHECK(later.synced == 2);
    CHECK(later.restamped.empty());
    CHECK(rig.device.replica->clock().ahead() <= 1s);
}

TEST_CASE("Replica stamps edits of different elements anew in the order in which they were made",
          "[sync][replica_restamping][regression]") {
    FutureRig rig;
    for (const char* const element : {"c", "a", "b", "c"}) rig.edit(element, "1");
    const bool is_corrected = GENERATE(false, true);
    if (is_corrected) rig.correct();
    const auto report = rig.device.replica->sync(rig.server);
    CHECK_FALSE(report.error);
    REQUIRE(report.restamped.size() == 4);
    for (std::size_t i = 1; i < 4; ++i) {
        CHECK(report.restamped[i - 1].operation.stamp < report.restamped[i].operation.stamp);
    }
}

TEST_CASE("Replica stamps edits anew while its clock is a year ahead",
          "[sync][replica_restamping]") {
    FutureRig rig;
    for (int day = 0; day < 3; ++day) {
        rig.time += 24h;
        rig.edit("a", std::to_string(day));
        rig.edit("b", std::to_string(day));
        const auto report = rig.device.replica->sync(rig.server);
        CHECK_FALSE(report.error);
        CHECK(report.synced == 2);
        CHECK(report.restamped.size() == 2);
        CHECK(report.conflicts.empty());
        for (const auto& one : report.restamped) CHECK(one.operation.stamp.wall <= rig.time + 5min);
    }
    CHECK(rig.contents() == FutureView{{"a", "2"}, {"b", "2"}});
    CHECK(rig.device.view() == rig.contents());
}

TEST_CASE("A refused request that a network delivers again has no effect",
          "[sync][replica_restamping][regression]") {
    FutureRig rig;
    rig.device.options.batch_operations = 10;
    REQUIRE(rig.device.start());
    const bool restarts = GENERATE(false, true);
    rig.edit("a", "1");
    REQUIRE(rig.device.replica->edit(UpdateElement<std::string>{"a", "2"}));
    REQUIRE(rig.device.replica->edit(Interaction{"a", "seen"}));
    if (restarts) {
        rig.server.lose_in = 5;  // the second batch, when the new stamps are in the journal
        REQUIRE(rig.device.replica->sync(rig.server).error == SyncErrc::unanswered);
    }
    REQUIRE(rig.device.start());
    const auto report = rig.device.replica->sync(rig.server);
    CHECK_FALSE(report.error);
    CHECK(report.synced == 3);
    rig.edit("a", "3");
    REQUIRE_FALSE(rig.device.replica->sync(rig.server).error);
    REQUIRE(rig.contents() == FutureView{{"a", "3"}});
    // The server's clock has passed the former stamps.
    rig.time += 24h * 400;
    const Ops refused = rig.server.batches.front();
    REQUIRE(refused.size() == 3);
    const auto result = rig.processor.process_batch("s", refused);
    CHECK(result.synced_count == 0);
    REQUIRE(result.failed_operations.size() == 3);
    for (const auto& one : result.failed_operations) CHECK(one.error == SyncErrc::id_reused);
    CHECK(rig.contents() == FutureView{{"a", "3"}});
    // The new request has its former result if it is delivered again.
    CHECK(rig.processor.process_batch("s", rig.server.batches.at(1)).synced_count == 3);
    CHECK(rig.contents() == FutureView{{"a", "3"}});
}

TEST_CASE(
    "An operation that was stamped anew is applied once after a failure of any call of a store",
    "[sync][replica_restamping][fault]") {
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

TEST_CASE("Replica waits for the server's clock up to restamp_after",
          "[sync][replica_restamping]") {
    FutureRig rig{64min};  // the server accepts 5 minutes
    rig.edit("a", "1");
    const auto report = rig.device.replica->sync(rig.server);
    CHECK(report.restamped.empty());
    REQUIRE(report.kept.size() == 1);
    CHECK(report.kept[0].error == SyncErrc::from_the_future);
    rig.time += 1h;
    CHECK(rig.device.replica->sync(rig.server).synced == 1);
    FutureRig further{66min};
    further.edit("a", "1");
    CHECK(further.device.replica->sync(further.server).restamped.size() == 1);
}

TEST_CASE("Replica does not lift the edits of elements whose version is right",
          "[sync][replica_restamping]") {
    FutureRig rig{Duration{}};
    rig.edit("right", "1");
    REQUIRE(rig.device.replica->sync(rig.server).synced == 1);
    rig.device.wall.wrong = 24h * 365;
    REQUIRE(rig.device.start());
    rig.edit("right", "2");
    rig.edit("wrong", "3");
    rig.correct();
    rig.edit("wrong", "4");
    const auto report = rig.device.replica->sync(rig.server);
    CHECK(report.synced == 3);
    CHECK(report.conflicts.empty());
    CHECK(report.overwrote.empty());
    CHECK(rig.contents() == FutureView{{"right", "2"}, {"wrong", "4"}});
    for (const char* const element : {"right", "wrong"}) {
        CHECK(rig.store.find({"s", element})->stamp.wall <= rig.time + 1s);
    }
}

TEST_CASE("a crash while edits are stamped anew applies each of them once",
          "[sync][replica_restamping][fault]") {
    bool whole = false;
    for (std::uint64_t halt = 1; !whole && halt < 200; ++halt) {
        CAPTURE(halt);
        FutureRig rig;
        Device<> other{2, {&rig.time}};
        rig.edit("a", "1");
        rig.edit("a", "2");
        rig.edit("b", "3");
        rig.correct();
        const std::uint64_t before = rig.device.disk.operations();
        rig.device.disk.halt_at(before + halt);
        const auto first = rig.device.replica->sync(rig.server);
        whole = !rig.device.journal->failed() && !first.error;
        rig.device.disk.crash(Random{Seed{halt}});
        REQUIRE(rig.device.start());
        rig.time += 1s;
        const auto second = rig.device.replica->sync(rig.server);
        CHECK_FALSE(second.error);
        CHECK(second.conflicts.empty());
        CHECK(second.overwrote.empty());
        CHECK(second.kept.empty());
        CHECK(rig.device.replica->waiting() == 0);
        CHECK(rig.contents() == FutureView{{"a", "2"}, {"b", "3"}});
        // Each was applied once: another device sees no more changes than elements.
        CHECK(other.replica->sync(rig.server).received == 2);
        CHECK(rig.device.view() == other.view());
    }
    CHECK(whole);
}

TEST_CASE("a crash or a full disk between the new records of an element leaves no edit behind",
          "[sync][replica_restamping][fault]") {
    // The records fill more than a segment, so some are written before the others.
    const auto edit_all = [](FutureRig& rig) {
        rig.device.options.batch_operations = 1000;
        for (int i = 0; i < 130; ++i) rig.edit("a", std::to_string(i) + std::string(800, 'x'));
        rig.correct();
    };
    const auto check_all = [](FutureRig& rig) {
        const auto report = rig.device.replica->sync(rig.server);
        CHECK_FALSE(report.error);
        CHECK(report.conflicts.empty());
        CHECK(report.overwrote.empty());
        CHECK(report.kept.empty());
        CHECK(rig.device.replica->waiting() == 0);
        CHECK(rig.contents()["a"].starts_with("129x"));
    };
    bool whole = false;
    for (std::uint64_t halt = 1; !whole && halt < 80; ++halt) {
        CAPTURE(halt);
        FutureRig rig;
        edit_all(rig);
        rig.device.disk.halt_at(rig.device.disk.operations() + halt);
        const auto first = rig.device.replica->sync(rig.server);
        whole = !rig.device.journal->failed() && !first.error;
        rig.device.disk.crash(Random{Seed{halt}});
        REQUIRE(rig.device.start());
        rig.time += 1s;
        check_all(rig);
    }
    CHECK(whole);
    for (std::uint64_t nth = 1; nth <= 12; ++nth) {
        const bool restarts = nth % 2 == 0;
        CAPTURE(nth, restarts);
        FutureRig rig;
        edit_all(rig);
        sim::Disk& disk = rig.device.disk;
        disk.fail_at(disk.operations() + (nth + 1) / 2,
                     std::make_error_code(std::errc::no_space_on_device));
        static_cast<void>(rig.device.replica->sync(rig.server));
        disk.mend();
        if (restarts) REQUIRE(rig.device.start());
        check_all(rig);
    }
}

TEST_CASE("a lost answer after a crash between the new records of an element leaves no edit behind",
          "[sync][replica_restamping][fault]") {
    for (std::uint64_t lost = 1; lost < 12; ++lost) {
        CAPTURE(lost);
        FutureRig rig;
        // Each batch has one edit, so that the first one is decided without the others.
        rig.device.options.batch_operations = 1;
        rig.edit("a", "1");
        rig.edit("a", "2");
        rig.edit("a", "3");
        rig.correct();
        // The journal after a crash that left only the first new record.
        Op anew = add("a", "1", Stamp{rig.time, 0, rig.device.journal->journal_id()});
        anew.id = id_of(77);
        anew.saw = Stamp{};
        TextCodec codec;
        using Record = detail::EditRecord<TextCodec>;
        const auto first = Record::decode(*rig.device.journal->read(1), codec);
        REQUIRE(first);
        anew.formerly = first->operation.id;
        Bytes record;
        Bytes scratch;
        REQUIRE(Record::encode(anew, {}, codec, record, scratch));
        REQUIRE(rig.device.journal->append(record));
        REQUIRE_FALSE(rig.device.journal->commit());
        REQUIRE(rig.device.start());
        rig.server.lose_in = lost;
        static_cast<void>(rig.device.replica->sync(rig.server));
        rig.server.lose_in = 0;
        rig.time += 1s;
        REQUIRE(rig.device.start());
        const auto report = rig.device.replica->sync(rig.server);
        CHECK_FALSE(report.error);
        CHECK(report.conflicts.empty());
        CHECK(report.overwrote.empty());
        CHECK(rig.device.replica->waiting() == 0);
        CHECK(rig.contents() == FutureView{{"a", "3"}});
    }
}

TEST_CASE("a lost answer while edits are stamped anew applies each of them once",
          "[sync][replica_restamping][fault]") {
    for (std::uint64_t lost = 1; lost < 14; ++lost) {
        for (const bool restarts : {false, true}) {
            CAPTURE(lost, restarts);
            FutureRig rig;
            rig.edit("a", "1");
            rig.edit("a", "2");
            rig.edit("b", "3");
            rig.correct();
            rig.server.lose_in = lost;
            static_cast<void>(rig.device.replica->sync(rig.server));
            rig.server.lose_in = 0;
            rig.time += 1s;
            if (restarts) REQUIRE(rig.device.start());
            const auto report = rig.device.replica->sync(rig.server);
            CHECK_FALSE(report.error);
            CHECK(report.conflicts.empty());
            CHECK(report.overwrote.empty());
            CHECK(rig.device.replica->waiting() == 0);
            CHECK(rig.contents() == FutureView{{"a", "2"}, {"b", "3"}});
        }
    }
}

TEST_CASE("kept edits of an element stay in their order when their records are moved",
          "[sync][replica_restamping][fault]") {
    for (const Duration wrong : {Duration{64min}, Duration{24h * 365}}) {
        CAPTURE(wrong.count());
        FutureRig rig{wrong};
        rig.device.options.batch_operations = 1;
        REQUIRE(rig.device.start());
        rig.edit("a", "1");
        REQUIRE(rig.device.replica->edit(Interaction{"", "seen"}));
        rig.edit("a", "2");
        // The request with the second edit is lost, so this edit stays first in the journal. The
        // record of the first edit is moved, and that of the third one stays.
        rig.device.wall.wrong = {};
        rig.server.lose_in = 5;
        CHECK(rig.device.replica->sync(rig.server).error == SyncErrc::unanswered);
        rig.server.lose_in = 0;
        REQUIRE(rig.device.start());
        REQUIRE(rig.device.journal->base() == 2);
        CHECK(rig.device.view() == FutureView{{"a", "2"}});
        rig.time += 1h;
        const auto report = rig.device.replica->sync(rig.server);
        CHECK_FALSE(report.error);
        CHECK(report.conflicts.empty());
        CHECK(report.overwrote.empty());
        CHECK(rig.device.replica->waiting() == 0);
        CHECK(rig.contents() == FutureView{{"a", "2"}});
    }
}

TEST_CASE("Replica sends edits that saw a dropped edit from the future",
          "[sync][replica_restamping]") {
    FutureRig rig;
    // A lost request keeps the replica from stamping the edits anew at once.
    rig.device.options.batch_operations = 1;
    REQUIRE(rig.device.start());
    rig.edit("a", "1");
    REQUIRE(rig.device.replica->edit(Interaction{"", "seen"}));
    rig.edit("a", "2");
    rig.edit("a", "3");
    rig.server.lose_in = 5;
    CHECK(rig.device.replica->sync(rig.server).error == SyncErrc::unanswered);
    rig.server.lose_in = 0;
    const auto kept = rig.device.replica->kept();
    REQUIRE(kept.size() == 3);
    REQUIRE_FALSE(rig.device.replica->drop(kept[0].operation.id));
    rig.correct();
    const auto report = rig.device.replica->sync(rig.server);
    CHECK_FALSE(report.error);
    CHECK(report.synced == 3);
    CHECK(report.conflicts.empty());
    CHECK(report.overwrote.empty());
    CHECK(rig.device.replica->waiting() == 0);
    CHECK(rig.contents() == FutureView{{"a", "3"}});
    CHECK(rig.store.find({"s", "a"})->stamp.wall <= rig.time + 1s);
}

TEST_CASE("Replica edits elements whose version is from the time of a server that was ahead",
          "[sync][replica_restamping]") {
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
          "[sync][replica_restamping][regression]") {
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
    CHECK(report.restamped.size() == 1);
    // The author of the version has no answer, and sends it again when its stamp is no longer ahead.
    rig.time += 24h * 365;
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

TEST_CASE("a refused operation that comes again after it was stamped anew loses no edit unreported",
          "[sync][replica_restamping]") {
    // The server has forgotten the former id. The stamp of that operation is the later one.
    FutureRig rig{66min, 1};
    rig.edit("a", "1");
    Device<> other{2, {&rig.time}};
    REQUIRE(rig.device.replica->sync(rig.server).restamped.size() == 1);
    const Ops refused = rig.server.batches.front();
    rig.correct();
    const std::string last = GENERATE("of nobody", "of its author", "of another author");
    CAPTURE(last);
    rig.time += 1s;
    REQUIRE_FALSE(other.replica->sync(rig.server).error);
    if (last != "of nobody") {
        auto& author = *(last == "of its author" ? rig.device : other).replica;
        REQUIRE(author.edit(UpdateElement<std::string>{"a", "2"}));
        REQUIRE_FALSE(author.sync(rig.server).error);
    }
    rig.time += 2h;
    const auto again = rig.processor.process_batch("s", refused);
    CHECK(again.synced_count == 1);
    CHECK(again.overwrote.size() == 1);
    CHECK(rig.contents() == FutureView{{"a", "1"}});
    const auto report = rig.device.replica->sync(rig.server);
    const auto its = other.replica->sync(rig.server);
    const auto& reported = last == "of another author" ? its.replaced : report.replaced;
    REQUIRE(reported.size() == 1);
    CHECK(reported[0].mine.value == (last == "of nobody" ? "1" : "2"));
    CHECK(reported[0].now.value == "1");
}

TEST_CASE("a refused operation that comes again after it was dropped is applied, and received",
          "[sync][replica_restamping]") {
    FutureRig rig{64min};
    rig.edit("a", "1");
    const auto first = rig.device.replica->sync(rig.server);
    REQUIRE(first.kept.size() == 1);
    REQUIRE_FALSE(rig.device.replica->drop(first.kept[0].operation.id));
    rig.time += 1h;
    CHECK(rig.processor.process_batch("s", rig.server.batches.front()).synced_count == 1);
    CHECK_FALSE(rig.device.replica->sync(rig.server).error);
    CHECK(rig.device.view() == FutureView{{"a", "1"}});
    CHECK(rig.contents() == rig.device.view());
}
