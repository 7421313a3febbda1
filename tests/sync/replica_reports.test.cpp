// SPDX-License-Identifier: MIT
// Goal: a report of a Replica has each replaced edit, and has it once. Method: cases in which a sync
// ends between its pages, or its report is not read.
#include <belay/sync/replica.hpp>

#include <stdexcept>

#include "support/catch.hpp"
#include "support/sync/replica_rig.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

using ReportedText = AddElement<std::string>;

template <class Strategy = LastWriteWins>
struct ReportRig {
    WallTime time{1h};
    Memory store{};
    SyncProcessor<std::reference_wrapper<Memory>, Strategy, NoObserver, SharedWall> processor{
        std::ref(store), Strategy{}, {}, {}, SharedWall{&time}};
    LossyServer<decltype(processor)> server{processor};

    /// Writes a version of another author, later than all before.
    void write(const std::string& element, const std::string& text, Duration ahead = {}) {
        time += 1s;
        REQUIRE_FALSE(
            store.add({"s", element}, text, {{time + ahead, 0, id_of(99)}, fresh_id(), 0, {}}));
    }
};

}  // namespace

TEST_CASE("Replica reports an edit once whose version the server has lifted",
          "[sync][replica][regression]") {
    ReportRig<RemoteWins> rig;
    Device<> phone{1, {&rig.time}};
    REQUIRE_FALSE(phone.replica->sync(rig.server).error);
    // The version that the edit replaces unseen has a later stamp.
    rig.server.page_size = 1;
    REQUIRE(phone.replica->edit(ReportedText{"a", "mine"}));
    rig.write("a", "before", 1min);
    struct Between {
        auto send(std::span<const Op> batch) {
            auto result = rig.server.send(batch);
            // The page with the result is received, and the next one is lost.
            rig.write("b", "x");
            rig.write("c", "x");
            rig.server.lose_in = 3;
            return result;
        }
        auto changes(const part::StoreCursor& since) { return rig.server.changes(since); }
        ReportRig<RemoteWins>& rig;
    } between{rig};
    CHECK(phone.replica->sync(between).error == SyncErrc::unanswered);
    CHECK(phone.view()["a"] == "mine");
    const auto here = phone.store.find({phone.options.session, "a"});
    REQUIRE(here);
    CHECK(here->stamp.origin == phone.journal->journal_id());
    rig.write("a", "after", 2min);
    const auto report = phone.replica->sync(rig.server);
    CHECK_FALSE(report.error);
    REQUIRE(report.replaced.size() == 1);
    CHECK(report.replaced[0].mine.value == "mine");
    CHECK(report.replaced[0].now.value == "after");
}

TEST_CASE("Replica reports an edit once after its report was not read",
          "[sync][replica][regression]") {
    ReportRig<> rig;
    Device<> phone{1, {&rig.time}};
    REQUIRE_FALSE(phone.replica->sync(rig.server).error);
    REQUIRE(phone.replica->edit(ReportedText{"a", "mine"}));
    const bool is_readable = GENERATE(true, false);
    struct {
        auto send(std::span<const Op> batch) {
            auto result = rig.server.send(batch);
            if (!std::exchange(is_written, true)) rig.write("a", "after");
            return result;
        }
        auto changes(const part::StoreCursor& since) {
            auto page = rig.server.changes(since);
            if (is_readable || !page) return page;
            for (auto& one : page->changes) {
                one.value.reset();
                one.error = SyncErrc::store_corrupt;
            }
            return page;
        }
        ReportRig<>& rig;
        bool is_readable;
        bool is_written = false;
    } server{rig, is_readable};
    CHECK_THROWS(
        phone.replica->sync(server, [](const auto&) { throw std::runtime_error{"not read"}; }));
    const auto report = phone.replica->sync(server);
    CHECK_FALSE(report.error);
    REQUIRE(report.replaced.size() == 1);
    CHECK(report.replaced[0].mine.value == "mine");
    CHECK(report.unreadable.size() == (is_readable ? 0 : 1));
    CHECK(phone.replica->sync(server).replaced.empty());
}

TEST_CASE("Replica reports its version also if the one in its place has the same stamp",
          "[sync][replica][regression]") {
    ReportRig<> rig;
    Device<> phone{1, {&rig.time}};
    REQUIRE(phone.replica->edit(ReportedText{"a", "mine"}));
    REQUIRE_FALSE(phone.replica->sync(rig.server).error);
    const Stamp mine = rig.store.find({"s", "a"})->stamp;
    rig.write("a", "after");
    CHECK_THROWS(phone.replica->sync(rig.server, [](const auto&) { throw 1; }));
    REQUIRE(phone.start());
    // A server may give another edit of the phone the stamp of the lost version.
    const part::WriteMark mark{mine, fresh_id(), 0, {}};
    const bool removes = GENERATE(false, true);
    if (removes) {
        REQUIRE_FALSE(phone.store.remove({phone.options.session, "a"}, mark));
    } else {
        REQUIRE_FALSE(phone.store.add({phone.options.session, "a"}, "lifted", mark));
    }
    const auto report = phone.replica->sync(rig.server);
    CHECK_FALSE(report.error);
    REQUIRE(report.replaced.size() == 1);
    CHECK(report.replaced[0].mine.value == "mine");
    CHECK(report.replaced[0].now.value.value_or("-") == (removes ? "-" : "lifted"));
}

TEST_CASE("Replica lists a rebased element again after its report was not read",
          "[sync][replica][regression]") {
    ReportRig<> rig;
    Device<> phone{1, {&rig.time}};
    REQUIRE(phone.replica->edit(ReportedText{"a", "1"}));
    REQUIRE_FALSE(phone.replica->sync(rig.server).error);
    rig.write("a", "other");
    REQUIRE(phone.replica->edit(UpdateElement<std::string>{"a", "2"}));
    CHECK_THROWS(
        phone.replica->sync(rig.server, [](const auto&) { throw std::runtime_error{"not read"}; }));
    const auto report = phone.replica->sync(rig.server);
    CHECK_FALSE(report.error);
    CHECK(report.rebased == std::vector<std::string>{"a"});
    CHECK(phone.replica->sync(rig.server).rebased.empty());
}

TEST_CASE("Replica lists a kept edit again after its report was not read, if it is still kept",
          "[sync][replica][regression]") {
    const bool is_rejected = GENERATE(false, true);
    ReportRig<> rig;
    Device<> device{1, {&rig.time}};
    struct Rejecting {
        Result<SyncResult<Op>> send(std::span<const Op> batch) {
            SyncResult<Op> result;
            for (const Op& one : batch) {
                if (error) result.failed_operations.push_back({one, error, retryable, {}, true});
            }
            result.failed_count = result.failed_operations.size();
            result.synced_count = batch.size() - result.failed_count;
            return result;
        }
        Result<part::ChangesPage<std::string>> changes(const part::StoreCursor&) {
            return part::ChangesPage<std::string>{};
        }
        std::error_code error{};
        bool retryable = false;
    } server;
    server.error = is_rejected ? SyncErrc::bad_operation : SyncErrc::pending_full;
    server.retryable = !is_rejected;
    const auto fail = [](const auto& report) {
        CHECK(report.kept.size() == 1);
        throw 1;
    };
    REQUIRE(device.replica->edit(AddElement<std::string>{"a", "1"}));
    for (int i = 0; i < 2; ++i) CHECK_THROWS(device.replica->sync(server, fail));
    const auto report = device.replica->sync(server);
    REQUIRE(report.kept.size() == 1);
    CHECK(report.kept[0].error == server.error);
    CHECK(device.replica->sync(server).kept.empty());

    REQUIRE(device.replica->edit(AddElement<std::string>{"b", "1"}));
    CHECK_THROWS(device.replica->sync(server, fail));
    for (const auto& one : device.replica->kept()) {
        if (is_rejected) REQUIRE_FALSE(device.replica->drop(one.operation.id));
    }
    server.error = {};
    CHECK(device.replica->sync(server).kept.empty());
    CHECK(device.replica->waiting() == 0);
}

TEST_CASE("Replica gives no edit the stamp of its version that a restored store has lost",
          "[sync][replica][regression]") {
    // The edit of another device may name the lost version, and would replace the new one unseen.
    const auto then = GENERATE(as<std::string>{}, "nothing", "another version", "a copy without");
    const bool restarts = GENERATE(false, true);
    CAPTURE(then, restarts);
    using Other = ReplicaOptions::OtherStore;
    ReportRig<> rig;
    // Its clock is behind, so its stamps are the next ones above the versions that it has seen.
    Device<> phone{1, SharedWall{&rig.time, -30min}, {.other_store = Other::copies}};
    Device<> laptop{2, {&rig.time}, {.other_store = Other::copies}};
    rig.write("a", "before");
    const WallTime backup = rig.time;
    REQUIRE_FALSE(phone.replica->sync(rig.server).error);
    REQUIRE(phone.replica->edit(ReportedText{"a", "lost"}));
    REQUIRE_FALSE(phone.replica->sync(rig.server).error);
    const Stamp lost = rig.store.find({"s", "a"})->stamp;
    REQUIRE_FALSE(laptop.replica->sync(rig.server).error);
    REQUIRE(laptop.replica->edit(ReportedText{"a", "of the laptop"}));
    // The phone receives this before the backup is restored.
    if (then == "another version") {
        rig.write("a", "theirs");
        REQUIRE_FALSE(phone.replica->sync(rig.server).error);
    }
    rig.store = Memory{MemoryStoreOptions{.id = id_of(8)}};
    if (then == "a copy without") {
        rig.write("b", "other");
        REQUIRE_FALSE(phone.replica->sync(rig.server).error);
        REQUIRE(phone.view().count("a") == 0);
    }
    REQUIRE_FALSE(rig.store.add({"s", "a"}, "before", {{backup, 0, id_of(99)}, fresh_id(), 0, {}}));
    REQUIRE_FALSE(phone.replica->sync(rig.server).error);
    CHECK(phone.view()["a"] == "before");
    if (restarts) {
        phone.disk.crash(Random{Seed{1}});
        REQUIRE(phone.start());
    }
    REQUIRE(phone.replica->edit(ReportedText{"a", "mine"}));
    REQUIRE_FALSE(phone.replica->sync(rig.server).error);
    CHECK(lost < rig.store.find({"s", "a"})->stamp);
    rig.time += 1s;
    const auto report = laptop.replica->sync(rig.server);
    CHECK_FALSE(report.error);
    // The later version is kept, and a report has the other one.
    REQUIRE(report.overwrote.size() + report.conflicts.size() == 1);
    if (!report.overwrote.empty()) CHECK(report.overwrote[0].replaced.value == "mine");
    CHECK(phone.view()["a"] == "mine");
    CHECK(laptop.view()["a"] == (report.conflicts.empty() ? "of the laptop" : "mine"));
}

TEST_CASE("Replica reports no edit over a version of it that was here again",
          "[sync][replica][regression]") {
    int noted = 0;
    for (std::uint64_t call = 1; call < 20; ++call) {
        CAPTURE(call);
        ReportRig<> rig;
        Device<> phone{1, {&rig.time}};
        REQUIRE(phone.replica->edit(ReportedText{"a", "mine"}));
        REQUIRE_FALSE(phone.replica->sync(rig.server).error);
        const Stamp mine = rig.store.find({"s", "a"})->stamp;
        rig.write("a", "after");
        phone.store.fail_in = call;
        const auto failed = phone.replica->sync(rig.server);
        phone.store.fail_in = 0;
        REQUIRE(phone.start());
        if (!failed.error || phone.view()["a"] != "mine") continue;
        noted += failed.replaced.empty() ? 0 : 1;
        // Another device restores it.
        REQUIRE_FALSE(rig.store.add({"s", "a"}, "mine", {mine, fresh_id(), 0, {}}));
        const auto restored = phone.replica->sync(rig.server);
        REQUIRE_FALSE(restored.error);
        CHECK(restored.replaced.empty());
        rig.time += 1s;
        REQUIRE(phone.replica->edit(ReportedText{"a", "again"}));
        const auto report = phone.replica->sync(rig.server);
        CHECK_FALSE(report.error);
        CHECK(report.replaced.empty());
    }
    CHECK(noted > 0);
}

TEST_CASE("Replica notes a version once while its syncs fail", "[sync][replica][regression]") {
    int noted = 0;
    for (std::uint64_t call = 1; call < 20; ++call) {
        CAPTURE(call);
        ReportRig<> rig;
        Device<> phone{1, {&rig.time}};
        REQUIRE(phone.replica->edit(ReportedText{"a", "mine"}));
        REQUIRE_FALSE(phone.replica->sync(rig.server).error);
        rig.write("a", "after");
        const std::uint64_t before = phone.journal->last();
        for (int i = 0; i < 5; ++i) {
            phone.store.fail_in = call;
            const auto failed = phone.replica->sync(rig.server);
            phone.store.fail_in = 0;
            if (!failed.error) break;
            CHECK(phone.journal->last() <= before + 1);
            noted += phone.journal->last() == before ? 0 : 1;
            if (i == 2) REQUIRE(phone.start());
        }
    }
    CHECK(noted > 0);
}

TEST_CASE("Replica reports its later removal of what was removed that was undone after a copy",
          "[sync][replica][regression]") {
    const bool fails_after_copy = GENERATE(false, true);
    ReportRig<> rig;
    Device<> phone{1, {&rig.time}};
    REQUIRE(phone.replica->edit(ReportedText{"a", "1"}));
    REQUIRE_FALSE(phone.replica->sync(rig.server).error);
    rig.time += 1s;
    REQUIRE_FALSE(rig.store.remove({"s", "a"}, {{rig.time, 0, id_of(99)}, fresh_id(), 0, {}}));
    // It was offline when the other removal was made, and has it now.
    REQUIRE_FALSE(phone.replica->sync(rig.server).error);
    rig.time += 1s;
    REQUIRE(phone.replica->edit(RemoveElement{"a"}));
    rig.server.lose_in = 5;  // the answer with the removal
    REQUIRE(phone.replica->sync(rig.server).error == SyncErrc::unanswered);
    // The server forgets the removals, so its next answer is a copy.
    REQUIRE_FALSE(rig.store.expire(rig.time + 24h * 400));
    if (fails_after_copy) {
        rig.server.lose_in = 5;
        const auto failed = phone.replica->sync(rig.server);
        CHECK(failed.error == SyncErrc::unanswered);
        CHECK(failed.copied);
    }
    const auto first = phone.replica->sync(rig.server);
    CHECK_FALSE(first.error);
    CHECK(first.copied != fails_after_copy);
    CHECK(phone.replica->waiting() == 0);
    rig.time += 24h * 400;
    rig.write("a", "again");
    const auto report = phone.replica->sync(rig.server);
    REQUIRE(report.replaced.size() == 1);
    CHECK_FALSE(report.replaced[0].mine.value);
    CHECK(report.replaced[0].now.value == "again");
}

TEST_CASE("Replica adds an element again without a conflict after it kept a later removal",
          "[sync][replica][regression]") {
    ReportRig<LocalWins> rig;  // which rejects each edit of an author who has not seen the version
    Device<> phone{1, {&rig.time}};
    REQUIRE(phone.replica->edit(ReportedText{"a", "1"}));
    REQUIRE_FALSE(phone.replica->sync(rig.server).error);
    rig.time += 1s;
    const Stamp earlier{rig.time, 0, id_of(99)};
    rig.time += 1s;
    REQUIRE(phone.replica->edit(RemoveElement{"a"}));
    REQUIRE_FALSE(phone.replica->sync(rig.server).error);
    const Stamp removal = phone.store.find({phone.options.session, "a"})->stamp;
    REQUIRE(earlier < removal);
    // The server forgets the removal, and then gets an earlier one.
    REQUIRE_FALSE(rig.store.expire(rig.time + 24h * 400));
    REQUIRE_FALSE(phone.replica->sync(rig.server).error);
    const auto before = phone.store.in;
    REQUIRE_FALSE(rig.store.remove({"s", "a"}, {earlier, fresh_id(), 0, {}}));
    REQUIRE_FALSE(phone.replica->sync(rig.server).error);
    REQUIRE(phone.store.find({phone.options.session, "a"})->stamp == removal);
    // An edit that waits meets the earlier removal as any other change.
    Device<> tablet{2, {&rig.time}};
    tablet.store.in = before;
    REQUIRE(tablet.start());
    REQUIRE(tablet.replica->edit(ReportedText{"a", "of the tablet"}));
    rig.server.lose_in = 3;  // its batch
    for (int i = 0; i < 2; ++i) {
        const auto met = tablet.replica->sync(rig.server);
        CHECK(!met.error == (i == 1));
        CHECK(met.rebased.size() == (i == 0 ? 1 : 0));
        CHECK(met.conflicts.size() == (i == 0 ? 0 : 1));
    }
    const bool gets_it_back = GENERATE(false, true);
    if (gets_it_back) {
        REQUIRE_FALSE(rig.store.remove({"s", "a"}, {removal, fresh_id(), 0, {}}));
        REQUIRE_FALSE(phone.replica->sync(rig.server).error);
    }
    const bool restarts = GENERATE(false, true);
    if (restarts) REQUIRE(phone.start());
    REQUIRE(phone.replica->edit(ReportedText{"a", "again"}));
    const auto report = phone.replica->sync(rig.server);
    CHECK_FALSE(report.error);
    CHECK(report.conflicts.empty());
    CHECK(removal < rig.store.find({"s", "a"})->stamp);
    CHECK(phone.view()["a"] == "again");
    // A later removal has no earlier one.
    REQUIRE(phone.replica->edit(RemoveElement{"a"}));
    REQUIRE_FALSE(phone.replica->sync(rig.server).error);
    REQUIRE(phone.replica->edit(ReportedText{"a", "once more"}));
    CHECK(phone.replica->sync(rig.server).conflicts.empty());
    CHECK(phone.view()["a"] == "once more");
}

TEST_CASE("Replica reports no loss of a version that another device restores at the same time",
          "[sync][replica][regression]") {
    ReportRig<> rig;
    const ReplicaOptions options{.other_store = ReplicaOptions::OtherStore::restores};
    Device<> phone{1, {&rig.time}, options};
    Device<> laptop{2, {&rig.time}, options};
    REQUIRE(phone.replica->edit(ReportedText{"bread", "of the phone"}));
    REQUIRE_FALSE(phone.replica->sync(rig.server).error);
    REQUIRE(laptop.replica->edit(ReportedText{"eggs", "of the laptop"}));
    REQUIRE_FALSE(laptop.replica->sync(rig.server).error);
    REQUIRE_FALSE(phone.replica->sync(rig.server).error);
    const ReplicaView all = phone.view();
    rig.store = Memory{MemoryStoreOptions{.id = id_of(8)}};
    // After the phone has received the empty store, and before it sends. Its request may be lost,
    // and its user may have seen and changed what the laptop has restored.
    const bool is_lost = GENERATE(false, true);
    const bool is_changed = GENERATE(false, true);
    struct {
        auto send(std::span<const Op> batch) {
            if (!std::exchange(has_sent, true)) {
                CHECK(laptop.replica->sync(rig.server).restored.size() == 2);
                if (is_changed) {
                    rig.time += 1s;
                    REQUIRE(laptop.replica->edit(
                        UpdateElement<std::string>{"bread", std::string{"changed"}}));
                    REQUIRE_FALSE(laptop.replica->sync(rig.server).error);
                }
                rig.server.lose_in = is_lost ? 1 : 0;
            }
            return rig.server.send(batch);
        }
        auto changes(const part::StoreCursor& since) { return rig.server.changes(since); }
        ReportRig<>& rig;
        Device<>& laptop;
        bool is_lost;
        bool is_changed;
        bool has_sent = false;
    } between{rig, laptop, is_lost, is_changed};
    auto report = phone.replica->sync(between);
    CHECK(report.restored == std::vector<std::string>{"bread", "eggs"});
    if (is_lost) {
        CHECK(report.error == SyncErrc::unanswered);
        CHECK(report.rebased == std::vector<std::string>(is_changed ? 1 : 0, "bread"));
        report = phone.replica->sync(between);
        CHECK(report.rebased.empty());
    }
    CHECK_FALSE(report.error);
    // A version that another author has changed since is another version.
    CHECK(report.conflicts.size() == (is_changed ? 1U : 0U));
    CHECK(report.overwrote.empty());
    CHECK(report.replaced.empty());
    CHECK(report.synced == (is_changed ? 1U : 2U));
    CHECK(phone.view()["eggs"] == "of the laptop");
    CHECK(phone.view()["bread"] == (is_changed ? "changed" : "of the phone"));
    const auto last = laptop.replica->sync(rig.server);
    CHECK(last.conflicts.empty());
    CHECK(last.replaced.empty());
    CHECK(last.received == 0);
    CHECK(laptop.view() == phone.view());
}
