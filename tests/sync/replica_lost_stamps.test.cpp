// SPDX-License-Identifier: MIT
// Goal: no edit of a Replica gets the stamp of a version that a restored store has lost, because
// edits of other devices may still name that version. Method: a device whose clock is behind, whose
// stamps are the next ones above what it has seen, and another one that knows the lost version.
#include <belay/sync/replica.hpp>

#include <span>
#include <string>

#include "support/catch.hpp"
#include "support/sync/replica_rig.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

using UpdatedText = UpdateElement<std::string>;

template <class Strategy = LastWriteWins>
struct LostStampRig {
    WallTime time{1h};
    Memory store{MemoryStoreOptions{.id = id_of(7)}};
    SyncProcessor<std::reference_wrapper<Memory>, Strategy, NoObserver, SharedWall> processor{
        std::ref(store), Strategy{}, {}, {}, SharedWall{&time}};
    LossyServer<decltype(processor)> server{processor};
    ReplicaOptions options{.other_store = ReplicaOptions::OtherStore::copies};
    Device<> phone;
    Device<> laptop{2, {&time}, options};
    Stamp before{};
    Stamp lost{};

    /// The laptop has edited a version of the phone, which the server has lost.
    explicit LostStampRig(bool phone_has_answer, int edits = 1, Duration wrong = -30min)
        : phone{1, SharedWall{&time, wrong}, options} {
        before = {time, 0, id_of(99)};
        REQUIRE_FALSE(store.add({"s", "a"}, "before", {before, fresh_id(), 0, {}}));
        REQUIRE_FALSE(phone.replica->sync(server).error);
        for (; edits > 0; --edits) REQUIRE(phone.replica->edit(UpdatedText{"a", "lost"}));
        if (!phone_has_answer) server.lose_in = 5;  // the one after the batch
        CHECK(!phone.replica->sync(server).error == phone_has_answer);
        lost = store.find({"s", "a"})->stamp;
        REQUIRE(before < lost);
        REQUIRE_FALSE(laptop.replica->sync(server).error);
        REQUIRE(laptop.replica->edit(UpdatedText{"a", "of the laptop"}));
        store = Memory{MemoryStoreOptions{.id = id_of(8)}};
        REQUIRE_FALSE(store.add({"s", "a"}, "before", {before, fresh_id(), 0, {}}));
    }
    /// The phone has sent an edit, and the laptop then sends its own.
    void check_edit_is_reported() {
        REQUIRE(store.read({"s", "a"}).value() == "mine");
        CHECK(lost < store.find({"s", "a"})->stamp);
        time += 1s;
        const auto report = laptop.replica->sync(server);
        CHECK_FALSE(report.error);
        REQUIRE(report.overwrote.size() + report.conflicts.size() == 1);
        if (!report.overwrote.empty()) CHECK(report.overwrote[0].replaced.value == "mine");
    }
};

/// A server that rejects all operations.
struct RefusingServer {
    Result<SyncResult<Op>> send(std::span<const Op> batch) {
        SyncResult<Op> result;
        for (const Op& one : batch) {
            result.failed_operations.push_back({one, SyncErrc::bad_operation, false, {}});
        }
        result.failed_count = batch.size();
        return result;
    }
    auto changes(const part::StoreCursor& since) { return rig.server.changes(since); }
    LostStampRig<>& rig;
};

}  // namespace

TEST_CASE("Replica with a clock that is ahead gives no edit the stamp of a lost version",
          "[sync][replica][regression]") {
    LostStampRig<> rig{true, 1, 24h * 365};
    REQUIRE_FALSE(rig.phone.replica->sync(rig.server).error);
    REQUIRE(rig.phone.view()["a"] == "before");
    REQUIRE(rig.phone.replica->edit(UpdatedText{"a", "mine"}));
    const auto report = rig.phone.replica->sync(rig.server);
    CHECK_FALSE(report.error);
    CHECK(rig.phone.replica->waiting() == 0);
    rig.check_edit_is_reported();
}

TEST_CASE("Replica gives no edit the stamp of a dropped one that a restored store had applied",
          "[sync][replica][regression]") {
    const Duration wrong = GENERATE(Duration{-30min}, Duration{24h * 365});
    LostStampRig<> rig{false, 1, wrong};
    RefusingServer refusing{rig};
    REQUIRE_FALSE(rig.phone.replica->sync(refusing).error);
    const auto kept = rig.phone.replica->kept();
    REQUIRE(kept.size() == 1);
    const bool drops = GENERATE(false, true);
    if (drops) {
        rig.phone.store.fail_in = 1;  // the note of the stamp
        CHECK(rig.phone.replica->drop(kept[0].operation.id) == SyncErrc::store_busy);
        REQUIRE(rig.phone.replica->kept().size() == 1);
        REQUIRE_FALSE(rig.phone.replica->drop(kept[0].operation.id));
    }
    const bool restarts = GENERATE(false, true);
    if (restarts) REQUIRE(rig.phone.start());
    REQUIRE(rig.phone.replica->edit(UpdatedText{"a", "mine"}));
    REQUIRE_FALSE(rig.phone.replica->sync(rig.server).error);
    rig.check_edit_is_reported();
}

TEST_CASE("Replica gives no edit the stamp of one that was put above a lost version",
          "[sync][replica][regression]") {
    LostStampRig<> rig{true};
    REQUIRE_FALSE(rig.phone.replica->sync(rig.server).error);
    REQUIRE(rig.phone.view()["a"] == "before");
    RefusingServer refusing{rig};
    const bool drops = GENERATE(false, true);
    const bool restarts = GENERATE(false, true);
    const auto refused_stamp = [&] {
        REQUIRE(rig.phone.replica->edit(UpdatedText{"a", "mine"}));
        REQUIRE_FALSE(rig.phone.replica->sync(refusing).error);
        const auto kept = rig.phone.replica->kept();
        REQUIRE_FALSE(kept.empty());
        if (drops) REQUIRE_FALSE(rig.phone.replica->drop(kept.back().operation.id));
        if (restarts) REQUIRE(rig.phone.start());
        return kept.back().operation.stamp;
    };
    const Stamp first = refused_stamp();
    CHECK(rig.lost < first);
    const Stamp second = refused_stamp();
    CHECK(first < second);
    CHECK(second < refused_stamp());
}

TEST_CASE("Replica gives no edit the stamp of one against which a restored store has decided",
          "[sync][replica][regression]") {
    LostStampRig<LocalWins> rig{false, 2};
    const Stamp there{rig.before.wall, rig.before.counter + 1, id_of(98)};
    REQUIRE(detail::stamp_above(there, rig.lost.origin) == rig.lost);
    REQUIRE_FALSE(rig.store.add({"s", "a"}, "of another device", {there, fresh_id(), 0, {}}));
    const bool fails = GENERATE(false, true);
    if (fails) rig.phone.store.fail_in = 1;
    std::size_t conflicts = 0;
    const auto count = [&](const auto& report) { conflicts += report.conflicts.size(); };
    for (std::uint64_t call = 2; rig.phone.replica->sync(rig.server, count).error; ++call) {
        REQUIRE(fails);
        rig.phone.store.fail_in = call;
    }
    rig.phone.store.fail_in = 0;
    CHECK(conflicts > 0);
    REQUIRE(rig.phone.replica->waiting() == 0);
    const bool restarts = GENERATE(false, true);
    if (restarts) REQUIRE(rig.phone.start());
    REQUIRE(rig.phone.view()["a"] == "of another device");
    REQUIRE(rig.phone.replica->edit(UpdatedText{"a", "mine"}));
    REQUIRE_FALSE(rig.phone.replica->sync(rig.server).error);
    rig.check_edit_is_reported();
}

TEST_CASE(
    "Replica gives no edit the stamp of one that was put above a removal later than the server's",
    "[sync][replica][regression]") {
    LostStampRig<> rig{true};
    REQUIRE_FALSE(rig.phone.replica->sync(rig.server).error);
    const auto remove = [&](const Stamp& stamp) {
        REQUIRE_FALSE(rig.store.remove({"s", "a"}, {stamp, fresh_id(), 0, {}}));
        REQUIRE_FALSE(rig.phone.replica->sync(rig.server).error);
    };
    remove({rig.time + 1s, 5, id_of(99)});
    REQUIRE_FALSE(rig.store.expire(rig.time + 24h * 400));
    REQUIRE_FALSE(rig.phone.replica->sync(rig.server).error);
    remove({rig.time - 1s, 0, id_of(99)});
    RefusingServer refusing{rig};
    const bool drops = GENERATE(false, true);
    const auto refused_stamp = [&] {
        REQUIRE(rig.phone.replica->edit(AddElement<std::string>{"a", "mine"}));
        REQUIRE_FALSE(rig.phone.replica->sync(refusing).error);
        const auto kept = rig.phone.replica->kept();
        REQUIRE_FALSE(kept.empty());
        if (drops) REQUIRE_FALSE(rig.phone.replica->drop(kept.back().operation.id));
        return kept.back().operation.stamp;
    };
    const Stamp first = refused_stamp();
    CHECK(Stamp{rig.time + 1s, 5, id_of(99)} < first);
    CHECK(first < refused_stamp());
}

TEST_CASE("a stamp above many rejected edits of an element reads each of them a few times",
          "[sync][replica]") {
    struct Rejected {
        Op operation;
        detail::EditState state = detail::EditState::rejected;
        std::uint64_t before = 0;
    };
    struct Edits {
        [[nodiscard]] const Edits& all() const noexcept { return *this; }
        [[nodiscard]] const Rejected& at(std::uint64_t number) const {
            ++reads;
            return edits[number - 1];
        }
        std::vector<Rejected> edits{};
        mutable std::size_t reads = 0;
    };
    constexpr std::uint64_t count = 1000;
    Edits edits;
    for (std::uint64_t i = 0; i < count; ++i) {
        edits.edits.push_back({update("a", "x", {WallTime{Duration{i + 10}}, 0, id_of(1)}),
                               detail::EditState::rejected, i});
    }
    CHECK(detail::last_rejected(edits, &count, Stamp{}) == Stamp{});  // each has its own time
    CHECK(edits.reads <= 3 * count);
    // Two stamps have one time, so a later edit may get the stamp of the second one.
    edits.edits[500].operation.stamp.wall = edits.edits[499].operation.stamp.wall;
    edits.edits[500].operation.stamp.counter = 1;
    CHECK(detail::last_rejected(edits, &count, Stamp{}) == edits.edits[500].operation.stamp);
    edits.edits[700].operation.saw = edits.edits[700].operation.stamp;
    CHECK(detail::last_rejected(edits, &count, Stamp{}) == edits.edits[700].operation.stamp);
}
