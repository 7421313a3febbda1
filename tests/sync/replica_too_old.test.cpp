// SPDX-License-Identifier: MIT
// Goal: edits that a server calls too old become edits of now, and none of them is lost.
// Method: a phone that was offline for longer than a server remembers removals, and a server that
// rejects everything.
#include <belay/sync/replica.hpp>

#include <span>
#include <string>

#include "support/catch.hpp"
#include "support/sync/replica_rig.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {
struct TooOldRig {
    WallTime time{24h * 100};
    Memory store{};
    SyncProcessor<std::reference_wrapper<Memory>, LastWriteWins, NoObserver, SharedWall> processor{
        std::ref(store), LastWriteWins{}, {}, {}, SharedWall{&time}};
    LossyServer<decltype(processor)> server{processor};
};
/// Rejects every operation as too old.
template <class Server>
struct TooOldServer {
    Result<SyncResult<Op>> send(std::span<const Op> batch) {
        SyncResult<Op> result;
        result.success = false;
        for (const Op& one : batch) {
            result.failed_operations.push_back({one, SyncErrc::too_old, true, {}, true});
        }
        result.failed_count = batch.size();
        return result;
    }
    auto changes(const part::StoreCursor& since) { return server.changes(since); }
    Server& server;
};
}  // namespace

TEST_CASE("Replica makes a new edit of too old ones that fits, and of those of other elements",
          "[sync][replica][regression]") {
    TooOldRig rig;
    Device<> phone{1, {&rig.time}};
    Device<> other{2, {&rig.time}};
    REQUIRE(phone.replica->edit(AddElement<std::string>{"a", std::string(600, 'x')}));
    REQUIRE(phone.replica->edit(AddElement<std::string>{"b", "0"}));
    REQUIRE_FALSE(phone.replica->sync(rig.server).error);
    REQUIRE_FALSE(other.replica->sync(rig.server).error);
    // offline
    rig.time += 1h;
    REQUIRE(phone.replica->edit(UpdateElement<std::string>{"a", "small"}));
    REQUIRE(phone.replica->edit(UpdateElement<std::string>{"a", std::string(600, 'y')}));
    REQUIRE(phone.replica->edit(UpdateElement<std::string>{"b", "1"}));
    REQUIRE(other.replica->edit(RemoveElement{"a"}));
    REQUIRE(other.replica->edit(RemoveElement{"b"}));
    REQUIRE_FALSE(other.replica->sync(rig.server).error);
    rig.time += 24h * 40;
    REQUIRE_FALSE(rig.store.expire(rig.time));
    const auto first = phone.replica->sync(rig.server);
    REQUIRE_FALSE(first.error);
    REQUIRE(first.kept.size() == 3);
    for (int i = 0; i < 3; ++i) {
        for (const auto& one : phone.replica->kept()) phone.replica->send_again(one.operation.id);
        const auto report = phone.replica->sync(rig.server);
        INFO(report.error.message());
        CHECK_FALSE(report.error);
    }
    CHECK(phone.replica->waiting() == 0);
    CHECK(rig.store.read({"s", "b"}).value().value_or("lost") == "1");
}

TEST_CASE("Replica keeps an interaction that a server calls too old",
          "[sync][replica][regression]") {
    const bool other_edit = GENERATE(false, true);
    TooOldRig rig;
    TooOldServer<decltype(rig.server)> server{rig.server};
    Device<> phone{1, {&rig.time}};
    if (other_edit) REQUIRE(phone.replica->edit(AddElement<std::string>{"a", "1"}));
    const auto id = phone.replica->edit(Interaction{"a", "seen"});
    REQUIRE(id);
    REQUIRE_FALSE(phone.replica->sync(server).error);
    REQUIRE(phone.replica->send_again(*id));
    static_cast<void>(phone.replica->sync(server));
    CHECK(phone.replica->waiting() != 0);
}

TEST_CASE("Replica makes one new edit of two that a server calls too old",
          "[sync][replica][regression]") {
    TooOldRig rig;
    TooOldServer<decltype(rig.server)> server{rig.server};
    Device<> phone{1, {&rig.time}};
    REQUIRE(phone.replica->edit(AddElement<std::string>{"a", "1"}));
    REQUIRE(phone.replica->edit(UpdateElement<std::string>{"a", "2"}));
    REQUIRE_FALSE(phone.replica->sync(server).error);
    for (const auto& one : phone.replica->kept()) phone.replica->send_again(one.operation.id);
    static_cast<void>(phone.replica->sync(server));
    CHECK(phone.replica->waiting() != 0);
    CHECK(phone.view()["a"] == "2");
}

TEST_CASE("SyncProcessor: no operation jumps to where its element has no later version",
          "[sync][processor][regression]") {
    TooOldRig rig;
    Op op = add("a", "hostile", Stamp{WallTime::max() - 1ns, ~0U, id_of(66)});
    op.saw = Stamp{};
    const auto result = rig.processor.process_batch("s", Ops{op});
    CHECK(result.synced_count == 0);
    Device<> phone{1, {&rig.time}};
    REQUIRE_FALSE(phone.replica->sync(rig.server).error);
    REQUIRE(phone.replica->edit(RemoveElement{"a"}));
    const auto report = phone.replica->sync(rig.server);
    CHECK(report.synced == 1);
    for (const auto& one : report.kept) UNSCOPED_INFO(one.error.message());
    CHECK(report.kept.empty());
    CHECK(phone.replica->waiting() == 0);
}

TEST_CASE("SyncProcessor forgets old removals if the clocks of all clients are ahead",
          "[sync][processor][regression]") {
    const Duration wrong = GENERATE(Duration{4min}, Duration{6min});
    CAPTURE(wrong.count());
    TooOldRig rig;
    Device<> phone{1, {&rig.time, wrong}};
    for (int day = 0; day < 200; ++day) {
        REQUIRE(phone.replica->edit(AddElement<std::string>{std::to_string(day), "1"}));
        REQUIRE(phone.replica->edit(RemoveElement{std::to_string(day)}));
        REQUIRE_FALSE(phone.replica->sync(rig.server).error);
        rig.time += 24h;
    }
    CHECK(rig.store.size() < 40);
}

TEST_CASE("SyncProcessor rejects the late request of an edit that was made anew",
          "[sync][replica][regression]") {
    WallTime time{24h * 100};
    Memory store{};
    SyncProcessor<std::reference_wrapper<Memory>, RemoteWins, NoObserver, SharedWall> processor{
        std::ref(store), RemoteWins{}, {}, {}, SharedWall{&time}};
    LossyServer<decltype(processor)> server{processor};
    Device<> phone{1, {&time}};
    Device<> other{2, {&time}};
    REQUIRE(phone.replica->edit(AddElement<std::string>{"a", "1"}));
    time += 24h * 40;
    REQUIRE_FALSE(store.expire(time));
    REQUIRE_FALSE(phone.replica->sync(server).error);
    const auto kept = phone.replica->kept();
    REQUIRE(kept.size() == 1);
    CHECK(kept[0].error == SyncErrc::too_old);
    const Ops delayed = server.batches.front();
    REQUIRE(phone.replica->send_again(kept[0].operation.id));
    CHECK(phone.replica->sync(server).synced == 1);
    REQUIRE_FALSE(other.replica->sync(server).error);
    REQUIRE(other.replica->edit(UpdateElement<std::string>{"a", "2"}));
    CHECK(other.replica->sync(server).synced == 1);
    CHECK(processor.process_batch("s", delayed).synced_count == 0);
    CHECK(store.read({"s", "a"}).value().value_or("-") == "2");
}
