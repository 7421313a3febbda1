// SPDX-License-Identifier: MIT
// Goal: a batch of any size reaches the server, and each operation has one outcome. Method: sizes
// at the limits, lost answers, and edits that the server rejects.
#include <belay/sync/remote_sync_server.hpp>

#include "support/catch.hpp"
#include "support/sync/replica_server_rig.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

TEST_CASE(
    "a batch is sent in questions of at most question_bytes, and answered in answers of at "
    "most answer_bytes and one element",
    "[sync][remote_sync_server]") {
    BytesRig<> rig;
    auto server = rig.body(600);
    Device<> phone{1, {&rig.time}};
    for (int i = 0; i < 20; ++i) {
        REQUIRE(
            phone.replica->edit(AddElement<std::string>{std::to_string(i), std::string(100, 'x')}));
    }
    const auto report = phone.replica->sync(server);
    CHECK_FALSE(report.error);
    CHECK(report.synced == 20);
    CHECK(rig.questions > 7);
    // The same elements, to a device that has none.
    rig.longest_answer = 0;
    rig.server = {rig.processor, TextCodec{}, {.page_elements = 1000, .answer_bytes = 400}};
    Device<> laptop{2, {&rig.time}};
    CHECK_FALSE(laptop.replica->sync(server).error);
    CHECK(laptop.view() == phone.view());
    CHECK(rig.longest_answer <= 400);
}

TEST_CASE("an edit that is longer than a question is kept, and others are synced",
          "[sync][remote_sync_server]") {
    BytesRig<> rig;
    auto server = rig.body(600);
    Device<> phone{1, {&rig.time}};
    REQUIRE(phone.replica->edit(AddElement<std::string>{"a", "short"}));
    REQUIRE(phone.replica->edit(AddElement<std::string>{"b", std::string(700, 'x')}));
    REQUIRE(phone.replica->edit(AddElement<std::string>{"c", "short"}));
    const auto report = phone.replica->sync(server);
    CHECK_FALSE(report.error);
    CHECK(report.synced == 2);
    REQUIRE(report.kept.size() == 1);
    CHECK(report.kept[0].error == QueueErrc::too_large);
    CHECK(report.kept[0].operation.element() == "b");
    CHECK(phone.replica->kept().size() == 1);
}

TEST_CASE("an answer that a link lost in the middle of a batch keeps the outcomes before it",
          "[sync][remote_sync_server]") {
    BytesRig<> rig;
    auto server = rig.body(300);
    Device<> phone{1, {&rig.time}};
    REQUIRE_FALSE(phone.replica->sync(server).error);
    for (int i = 0; i < 6; ++i) {
        REQUIRE(phone.replica->edit(AddElement<std::string>{std::to_string(i), "v"}));
    }
    rig.lose_in = 6;  // the answer to the second part of the batch
    const auto report = phone.replica->sync(server);
    CHECK(report.error == SyncErrc::unanswered);
    CHECK(report.synced != 0);
    CHECK(phone.replica->waiting() != 0);
    CHECK(phone.replica->waiting() < 6);
    CHECK_FALSE(phone.replica->sync(server).error);
    CHECK(phone.replica->waiting() == 0);
    CHECK(rig.store.find({"s", "5"})->presence == part::Presence::live);
}

TEST_CASE(
    "a later edit waits for one of its element that the server did not take, also in another "
    "question",
    "[sync][remote_sync_server]") {
    BytesRig<> rig;
    auto server = rig.body(200);
    Device<> phone{1, {&rig.time, 48h}, {.restamp_after = 72h}};  // ahead of the server's clock
    REQUIRE(phone.replica->edit(AddElement<std::string>{"a", "1"}));
    REQUIRE(phone.replica->edit(UpdateElement<std::string>{"a", "2"}));
    const auto report = phone.replica->sync(server);
    REQUIRE(report.kept.size() == 2);
    CHECK(report.kept[0].error == SyncErrc::from_the_future);
    CHECK(report.kept[1].error == SyncErrc::held_back);
    rig.time += 48h;
    CHECK(phone.replica->sync(server).synced == 2);
    CHECK(rig.store.read({"s", "a"})->value_or("") == "2");
}

TEST_CASE("an interaction that the server did not take holds no edit back in a later question",
          "[sync][remote_sync_server][regression]") {
    BytesRig<> rig;
    auto server = rig.body(200);
    const std::string what(60, 'x');  // long, so that the edit after it is in another request
    Device<> phone{1, {&rig.time, 48h}, {.restamp_after = 72h}};  // ahead of the server's clock
    REQUIRE(phone.replica->edit(Interaction{"a", what}));
    REQUIRE(phone.replica->edit(AddElement<std::string>{"a", "1"}));
    const auto kept = phone.replica->sync(server);
    REQUIRE(kept.kept.size() == 2);
    CHECK(kept.kept[0].error == SyncErrc::from_the_future);
    CHECK(kept.kept[1].error == SyncErrc::from_the_future);
    // The edits are stamped anew, unless a request ends the sync before.
    Device<> tablet{2, {&rig.time, 24h * 365}};
    REQUIRE(tablet.replica->edit(Interaction{"x", what}));
    REQUIRE(tablet.replica->edit(AddElement<std::string>{"x", "2"}));
    CHECK_FALSE(tablet.replica->sync(server).error);
    CHECK(tablet.replica->waiting() == 0);
    CHECK(rig.store.read({"s", "x"})->value_or("") == "2");
}

TEST_CASE("the answer to an earlier question is not taken for that to another one",
          "[sync][remote_sync_server][regression]") {
    BytesRig<> rig;
    std::optional<Bytes> late;
    const auto exchange = [&](const Bytes& question, Duration) -> Result<Bytes> {
        if (late) return *late;  // the request is lost
        late = rig.server.answer(question).bytes;
        return SyncErrc::unanswered;
    };
    part::RemoteSyncServer server{exchange, TextCodec{}, {.session = "s"}};
    std::vector<Op> batch{add("a", "1", stamp(5)), add("b", "2", stamp(6))};
    for (Op& one : batch) one.saw = Stamp{};
    const std::span<const Op> first{batch.data(), 1};
    const std::span<const Op> second{batch.data() + 1, 1};
    CHECK(server.send(first).error() == SyncErrc::unanswered);
    CHECK(server.send(second).error() == SyncErrc::store_disagrees);
    CHECK(server.send(first)->synced_count == 1);  // the answer to the same request
    CHECK(rig.store.find({"s", "b"})->presence == part::Presence::absent);
    late.reset();
    CHECK(server.changes({}).error() == SyncErrc::unanswered);
    CHECK(server.changes({.store = id_of(1)}).error() == SyncErrc::store_disagrees);
    late->clear();
    CHECK(server.changes({}).error() == SyncErrc::store_disagrees);
}
