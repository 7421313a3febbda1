// SPDX-License-Identifier: MIT
// Goal: a batch of any size reaches the server, and each operation has one outcome. Method: sizes
// at the limits, lost answers, and edits that the server rejects.
#include <belay/sync/remote_sync_server.hpp>

#include <set>
#include <string>

#include "support/catch.hpp"
#include "support/sync/replica_server_rig.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {
/// A store without space for some of what comes.
struct FullStore : Memory {
    std::error_code add(const part::ElementKey& key, const std::string& value,
                        const part::WriteMark& mark) {
        return takes_edits ? Memory::add(key, value, mark) : SyncErrc::store_full;
    }
    std::error_code remember(const part::WriteMark& mark) {
        return takes_interactions ? Memory::remember(mark) : SyncErrc::store_full;
    }
    bool takes_edits = true;
    bool takes_interactions = true;
};
}  // namespace

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
    BytesRig<FullStore> rig;
    auto server = rig.body(200);
    Device<> phone{1, {&rig.time}};
    REQUIRE(phone.replica->edit(AddElement<std::string>{"a", "1"}));
    REQUIRE(phone.replica->edit(UpdateElement<std::string>{"a", "2"}));
    rig.store.takes_edits = false;
    const auto report = phone.replica->sync(server);
    REQUIRE(report.kept.size() == 2);
    CHECK(report.kept[0].error == SyncErrc::store_full);
    CHECK(report.kept[1].error == SyncErrc::held_back);
    rig.store.takes_edits = true;
    CHECK(phone.replica->sync(server).synced == 2);
    CHECK(rig.store.read({"s", "a"})->value_or("") == "2");
}

TEST_CASE("an interaction that the server did not take holds no edit back in a later question",
          "[sync][remote_sync_server][regression]") {
    BytesRig<FullStore> rig;
    auto server = rig.body(200);
    const std::string what(60, 'x');  // long, so that the edit after it is in another request
    Device<> phone{1, {&rig.time}};
    rig.store.takes_interactions = false;
    REQUIRE(phone.replica->edit(Interaction{"a", what}));
    REQUIRE(phone.replica->edit(AddElement<std::string>{"a", "1"}));
    const auto kept = phone.replica->sync(server);
    REQUIRE(kept.kept.size() == 1);
    CHECK(kept.kept[0].error == SyncErrc::store_full);
    CHECK(kept.synced == 1);
    CHECK(rig.store.read({"s", "a"})->value_or("") == "1");
}

TEST_CASE(
    "an edit that waits for one of its element is in the result once, in any number of answers",
    "[sync][remote_sync_server][regression]") {
    BytesRig<FullStore> rig;
    auto server = rig.body();
    rig.store.takes_edits = false;
    // The server decides at most 64 operations of a request if one of them must wait.
    std::vector<Op> batch;
    for (int i = 0; i < 200; ++i) batch.push_back(add(std::to_string(i), "v", stamp(5)));
    batch.push_back(update("0", "w", stamp(6)));
    const auto result = server.send(batch);
    REQUIRE(result);
    CHECK(rig.questions == 4);
    std::set<Id> failed;
    std::set<Id> held_back;
    for (const auto& one : result->failed_operations) {
        failed.insert(one.operation.id);
        if (one.error == SyncErrc::held_back) held_back.insert(one.operation.id);
    }
    CHECK(failed.size() == batch.size());
    CHECK(result->failed_count == batch.size());
    CHECK(held_back == std::set{batch.back().id});
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
