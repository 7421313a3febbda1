// SPDX-License-Identifier: MIT
// Goal: a server that receives its requests as bytes keeps the same rules as one in the process.
// Method: check::sync_server, long answers, rejections, and damaged bytes.
#include <belay/sync/replica_server.hpp>

#include "support/catch.hpp"
#include "support/sync/replica_server_rig.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

template <class Store, std::size_t question_bytes = 200>
struct BytesBody {
    Result<SyncResult<Op>> send(std::span<const Op> batch) {
        return rig().body(question_bytes).send(batch);
    }
    Result<part::ChangesPage<std::string>> changes(const part::StoreCursor& since) {
        return rig().body(question_bytes).changes(since);
    }
    BytesRig<Store>& rig() { return *in; }
    std::unique_ptr<BytesRig<Store>> in = std::make_unique<BytesRig<Store>>();
};

/// Adds an element to the store of a rig, regardless of the limits of a device.
void add_long(auto& rig, const char* id, std::size_t bytes) {
    const part::WriteMark mark{{rig.time, 0, fresh_id()}, fresh_id(), 1, {}};
    REQUIRE_FALSE(rig.store.add({"s", id}, std::string(bytes, 'x'), mark));
}

/// A store that rejects writes of "a" for some calls.
struct RefusesA : Memory {
    std::error_code add(const part::ElementKey& key, const std::string& value,
                        const part::WriteMark& mark) {
        if (key.id == "a" && refusals != 0 && refusals-- != 0) return SyncErrc::store_full;
        return Memory::add(key, value, mark);
    }
    int refusals = 1;
};

/// A store that counts the values that it reads for changes.
struct CountsReads : Memory {
    Result<part::ChangesPage<std::string>> changes_since(std::string_view session,
                                                         const part::StoreCursor& since,
                                                         std::size_t most) {
        auto page = Memory::changes_since(session, since, most);
        if (page) reads += page->changes.size();
        return page;
    }
    std::size_t reads = 0;
};

}  // namespace

TEST_CASE("check::sync_server finds no fault in a ReplicaServer", "[sync][replica_server]") {
    CHECK(fault_of_body<BytesBody<Memory>>({.histories = 10}) == "none");
    CHECK(fault_of_body<BytesBody<Memory, 100'000>>({.histories = 3}) == "none");
    CHECK(fault_of_body<BytesBody<MapStore>>({.histories = 10}) == "none");
}

TEST_CASE("a server with long values reads few of them again for each answer with changes",
          "[sync][replica_server][regression]") {
    BytesRig<CountsReads> rig;
    rig.server = {rig.processor, TextCodec{}, {.page_elements = 1000, .answer_bytes = 500}};
    auto server = rig.body();
    for (int i = 0; i < 200; ++i) add_long(rig, std::to_string(i).c_str(), 400);
    Device<> phone{1, {&rig.time}};
    REQUIRE_FALSE(phone.replica->sync(server).error);
    CHECK(phone.view().size() == 200);
    CHECK(rig.store.reads <= 200 + 2 * 200);
    // Short values come in longer pages again.
    for (int i = 0; i < 10; ++i) REQUIRE_FALSE(phone.replica->sync(server).error);
    const std::uint64_t before = rig.questions;
    for (int i = 0; i < 200; ++i) add_long(rig, ("s" + std::to_string(i)).c_str(), 1);
    REQUIRE_FALSE(phone.replica->sync(server).error);
    CHECK(rig.questions - before < 100);
}

TEST_CASE("a server stops applying operations when its answer is long, and the rest is sent again",
          "[sync][replica_server]") {
    BytesRig<> rig;
    const bool transport_limits = GENERATE(false, true);
    rig.server = {rig.processor, TextCodec{},
                  transport_limits ? part::ReplicaServerOptions{.message_bytes_max = 1000}
                                   : part::ReplicaServerOptions{.answer_bytes = 1000}};
    auto server = rig.body();
    Device<> phone{1, {&rig.time}};
    Device<> laptop{2, {&rig.time, 1s}};
    for (int i = 0; i < 150; ++i) {
        const std::string text(100, 'x');
        REQUIRE(phone.replica->edit(AddElement<std::string>{std::to_string(i), text}));
        REQUIRE(laptop.replica->edit(AddElement<std::string>{std::to_string(i), text + "y"}));
    }
    REQUIRE(laptop.replica->sync(server).error == std::error_code{});
    REQUIRE(phone.replica->sync(server).conflicts.size() == 150);
    // Later edits, of elements that their author has not received.
    Device<> tablet{3, {&rig.time, 2s}};
    for (int i = 0; i < 150; ++i) {
        REQUIRE(tablet.replica->edit(AddElement<std::string>{std::to_string(i), "z"}));
    }
    rig.longest_answer = 0;
    const auto report = tablet.replica->sync(server);
    CHECK_FALSE(report.error);
    CHECK(report.synced == 150);
    CHECK(report.overwrote.size() == 150);
    CHECK(rig.longest_answer <= 1000);
}

TEST_CASE("an element that no message carries is unreadable alone", "[sync][replica_server]") {
    BytesRig<> rig;
    rig.server = {rig.processor, TextCodec{}, {.page_elements = 3, .message_bytes_max = 2000}};
    auto server = rig.body();
    Device<> phone{1, {&rig.time}};
    Device<> laptop{2, {&rig.time, 1s}};
    for (const char* const id : {"a", "b", "c", "z"}) {
        REQUIRE(phone.replica->edit(AddElement<std::string>{id, std::string(700, 'x')}));
    }
    CHECK(phone.replica->sync(server).synced == 4);
    add_long(rig, "long", 2000);
    const auto report = laptop.replica->sync(server);
    CHECK_FALSE(report.error);
    CHECK(report.received == 5);
    REQUIRE(report.unreadable.size() == 1);
    CHECK(report.unreadable.front().id == "long");
    CHECK(report.unreadable.front().error == QueueErrc::too_large);
    CHECK(rig.longest_answer <= 2000);

    // A later version, which replaces the long one: it is not in `overwrote`.
    Device<> tablet{3, {&rig.time, 2s}};
    REQUIRE(tablet.replica->edit(AddElement<std::string>{"long", "2"}));
    REQUIRE(tablet.replica->edit(AddElement<std::string>{"z", "2"}));
    const auto later = tablet.replica->sync(server);
    CHECK_FALSE(later.error);
    CHECK(later.synced == 2);
    REQUIRE(later.overwrote.size() == 1);
    CHECK(later.overwrote.front().operation.element() == "z");
    CHECK(rig.longest_answer <= 2000);
    REQUIRE_FALSE(laptop.replica->sync(server).error);
    CHECK(laptop.view()["long"] == "2");
}

TEST_CASE("a store that has no list of changes, and whose copy no message carries, is too_large",
          "[sync][replica_server]") {
    BytesRig<MapStore> rig;
    rig.server = {rig.processor, TextCodec{}, {.message_bytes_max = 2000}};
    auto server = rig.body();
    Device<MapStore> phone{1, {&rig.time}};
    for (const char* const id : {"a", "b"}) add_long(rig, id, 1500);
    CHECK(phone.replica->sync(server).error == QueueErrc::too_large);
    CHECK(rig.longest_answer <= 2000);
}

TEST_CASE(
    "an edit that the store refuses holds back later ones of its element in the same question",
    "[sync][replica_server]") {
    BytesRig<RefusesA> rig;
    auto server = rig.body();
    Device<> phone{1, {&rig.time}};
    REQUIRE(phone.replica->edit(AddElement<std::string>{"a", "1"}));
    for (int i = 0; i < 100; ++i) {
        REQUIRE(phone.replica->edit(AddElement<std::string>{std::to_string(i), "v"}));
    }
    REQUIRE(phone.replica->edit(AddElement<std::string>{"a", "2"}));
    const auto report = phone.replica->sync(server);
    CHECK(report.synced == 100);
    REQUIRE(report.kept.size() == 2);
    CHECK(report.kept[0].error == SyncErrc::store_full);
    CHECK(report.kept[1].error == SyncErrc::held_back);
    CHECK(report.kept[1].operation.value() == "2");
    CHECK(phone.replica->sync(server).synced == 2);
    CHECK(rig.store.read({"s", "a"})->value_or("") == "2");
}

TEST_CASE("ReplicaServer answers bytes that are no request with an error",
          "[sync][replica_server]") {
    BytesRig<> rig;
    auto server = rig.body();
    detail::SyncMessageCodec<TextCodec> messages{TextCodec{}};
    Op edit = add("a", "1", stamp(5));
    edit.saw = Stamp{};
    Bytes batch = messages.begin_batch("s");
    REQUIRE_FALSE(messages.add(batch, edit, 10'000));
    for (std::size_t length = 0; length < batch.size(); ++length) {
        CAPTURE(length);
        Bytes cut(batch.begin(), batch.begin() + static_cast<std::ptrdiff_t>(length));
        const auto answer = rig.server.answer(cut);
        CHECK_FALSE(answer.changed);
        std::error_code error;
        const bool is_page = length < detail::SyncHeader::size;
        const bool right = is_page ? messages.read_page(answer.bytes, error).has_value()
                                   : messages.read_outcomes(answer.bytes, 1, error).has_value();
        CHECK(right);
        CHECK(error == SyncErrc::bad_operation);
    }
    CHECK(rig.store.find({"s", "a"})->presence == part::Presence::absent);
    Random bits{Seed{5}};
    for (int i = 0; i < 2'000; ++i) {
        Bytes changed = batch;
        for (int n = 0; n < 3; ++n) {
            changed[bits() % changed.size()] = static_cast<std::byte>(bits());
        }
        static_cast<void>(rig.server.answer(changed));
        Bytes answer = rig.server.answer(batch).bytes;
        for (int n = 0; n < 3; ++n) answer[bits() % answer.size()] = static_cast<std::byte>(bits());
        std::error_code error;
        const auto read = messages.read_outcomes(answer, 1, error);
        CHECK((!read || error || read->decided == 1));
    }
}

TEST_CASE("ReplicaServer refuses a question with records that are too short to be operations",
          "[sync][replica_server]") {
    BytesRig<> rig;
    detail::SyncMessageCodec<TextCodec> messages{TextCodec{}};
    Bytes batch = messages.begin_batch("s");
    batch.resize(batch.size() + (4 << 20));  // a million empty records
    std::error_code error;
    REQUIRE(messages.read_outcomes(rig.server.answer(batch).bytes, 1, error));
    CHECK(error == SyncErrc::bad_operation);
    // The shortest operation, and one byte less.
    batch = messages.begin_batch("s");
    const std::size_t begun = batch.size();
    Op shortest;
    shortest.action = RemoveElement{};
    REQUIRE_FALSE(messages.add(batch, shortest, 10'000));
    CHECK(batch.size() == begun + 4 + detail::EditRecord<TextCodec>::bytes_min);
    CHECK(messages.read_question(batch));
    batch.pop_back();
    batch[begun] = std::byte{detail::EditRecord<TextCodec>::bytes_min - 1};
    CHECK_FALSE(messages.read_question(batch));
}

TEST_CASE("an operation whose value the server cannot decode fails alone",
          "[sync][replica_server]") {
    BytesRig<> rig;
    auto server = rig.body();
    Device<> phone{1, {&rig.time}};
    REQUIRE(phone.replica->edit(AddElement<std::string>{"a", "1"}));
    REQUIRE(phone.replica->edit(AddElement<std::string>{"b", "undecodable"}));
    REQUIRE(phone.replica->edit(AddElement<std::string>{"c", "3"}));
    const auto report = phone.replica->sync(server);
    CHECK(report.synced == 2);
    REQUIRE(report.kept.size() == 1);
    CHECK(report.kept[0].error == SyncErrc::bad_operation);
    CHECK_FALSE(report.kept[0].retryable);
    CHECK(rig.store.read({"s", "c"})->has_value());
}

TEST_CASE("ReplicaServer refuses a session that is not allowed", "[sync][replica_server]") {
    BytesRig<> rig;
    const auto only_mine = [](std::string_view session) { return session == "mine"; };
    detail::SyncMessageCodec<TextCodec> messages{TextCodec{}};
    std::error_code error;
    auto answer = rig.server.answer(messages.ask_changes("s", {}), only_mine);
    REQUIRE(messages.read_page(answer.bytes, error));
    CHECK(error == SyncErrc::unknown_session);
    Bytes batch = messages.begin_batch("s");
    Op edit = add("a", "1", stamp(5));
    REQUIRE_FALSE(messages.add(batch, edit, 10'000));
    answer = rig.server.answer(batch, only_mine);
    REQUIRE(messages.read_outcomes(answer.bytes, 1, error));
    CHECK(error == SyncErrc::unknown_session);
    CHECK(rig.store.find({"s", "a"})->presence == part::Presence::absent);
    answer = rig.server.answer(messages.ask_changes("mine", {}), only_mine);
    REQUIRE(messages.read_page(answer.bytes, error));
    CHECK_FALSE(error);
}
