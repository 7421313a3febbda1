// SPDX-License-Identifier: MIT
// Goal: a server that uses JSON satisfies all rules of a server in the process, and answers any
// text. Method: check::sync_server, golden texts, and damaged requests and answers.
#include <belay/json/sync_server.hpp>

#include <stdexcept>
#include <tuple>

#include "support/catch.hpp"
#include "support/sync/replica_server_rig.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;
using nlohmann::json;

namespace {

/// A value with conversions that throw user-defined exceptions.
struct Temperature {
    static constexpr int unwritable = -1;
    static constexpr int unreadable = -2;
    int kelvin = 0;
    friend bool operator==(const Temperature&, const Temperature&) = default;
};
std::uint64_t content_hash(const Temperature& value) {
    return static_cast<std::uint64_t>(value.kelvin);
}
void to_json(json& to, const Temperature& value) {
    if (value.kelvin == Temperature::unwritable) throw std::runtime_error{"no sensor"};
    to = value.kelvin;
}
void from_json(const json& from, Temperature& value) {
    value.kelvin = from.get<int>();
    if (value.kelvin == Temperature::unreadable) throw std::out_of_range{"too cold"};
}

struct JsonRig {
    WallTime time{1h};
    Memory store{MemoryStoreOptions{.id = id_of(7)}};
    RemoteProcessor<Memory> processor{std::ref(store), LastWriteWins{}, {}, {}, SharedWall{&time}};
    part::JsonReplicaServer<RemoteProcessor<Memory>> server{processor, {.page_elements = 3}};
    std::vector<std::string> questions{};
    std::string instead{};  // replaces the answer
    std::size_t longest_answer = 0;

    Result<Bytes> operator()(const Bytes& question, Duration) {
        questions.emplace_back(as_text(question));
        const auto answer = server.answer(questions.back());
        longest_answer = std::max(longest_answer, answer.text.size());
        return to_bytes(as_bytes(instead.empty() ? answer.text : instead));
    }
    auto body() {
        return part::JsonSyncServer<std::string, std::reference_wrapper<JsonRig>>{std::ref(*this),
                                                                                  {.session = "s"}};
    }
};
struct JsonBody {
    Result<SyncResult<Op>> send(std::span<const Op> batch) { return rig().body().send(batch); }
    Result<part::ChangesPage<std::string>> changes(const part::StoreCursor& since) {
        return rig().body().changes(since);
    }
    JsonRig& rig() { return *in; }
    std::unique_ptr<JsonRig> in = std::make_unique<JsonRig>();
};

}  // namespace

TEST_CASE("check::sync_server finds no fault in a server that uses JSON", "[json][sync_server]") {
    CHECK(fault_of_body<JsonBody>({.histories = 5}, "\xff") == "none");
}

TEST_CASE("the two requests of a JsonSyncServer, and their answers, have this JSON",
          "[json][sync_server][golden]") {
    JsonRig rig;
    auto server = rig.body();
    Op edit = add("a", "1", stamp(5));
    edit.id = id_of(1);
    edit.saw = Stamp{};
    const std::string zeros(32, '0');
    REQUIRE(server.send(std::span<const Op>{&edit, 1})->synced_count == 1);
    REQUIRE(server.changes({}));
    CHECK(json::parse(rig.questions[0]) ==
          json::parse(R"({"session": "s", "operations": [{"id": "01)" + zeros.substr(2) +
                      R"(", "stamp": {"wall": "5", "counter": 0, "origin": "01)" + zeros.substr(2) +
                      R"("}, "saw": {"wall": "0", "counter": 0, "origin": ")" + zeros +
                      R"("}, "AddElement": {"id": "a", "element": "1"}}]})"));
    CHECK(json::parse(rig.questions[1]) ==
          json::parse(R"({"session": "s", "since": {"store": ")" + zeros +
                      R"(", "changes": "0", "copied_at": "0"}})"));
    CHECK(json::parse(rig.server.answer(rig.questions[1]).text) ==
          json::parse(
              R"({"changes": [{"id": "a", "value": "1", "stamp": {"wall": "5",
              "counter": 0, "origin": "01)" +
              zeros.substr(2) + R"("}}], "next": {"store": "07)" + zeros.substr(2) +
              R"(", "changes": "1", "copied_at": "1", "seen": "1", "epoch": 1}, "begins_copy": true,
              "more": false})"));
}

TEST_CASE("JsonReplicaServer answers each text, and an invalid operation fails alone",
          "[json][sync_server]") {
    JsonRig rig;
    for (const char* const text :
         {"", "{", "[]", "{}", R"({"session": 1})", R"({"session": "s"})",
          R"({"session": "s", "since": {}})", R"({"session": "s", "operations": {}})"}) {
        CAPTURE(text);
        const auto answer = rig.server.answer(text);
        CHECK(json::parse(answer.text)["error"]["value"] == 3);  // bad_operation
        CHECK_FALSE(answer.changed);
    }
    const std::string question_text = R"({"session": "s", "operations": []})";
    CHECK(json::parse(rig.server.answer(question_text + '\0' + "more").text)["error"]["value"] ==
          3);
    const auto refused = rig.server.answer(R"({"session": "s", "operations": []})",
                                           [](std::string_view name) { return name == "mine"; });
    CHECK(json::parse(refused.text)["error"]["value"] == 4);  // unknown_session
    auto server = rig.body();
    std::vector<Op> batch{add("a", "1", stamp(5)), add("b", "2", stamp(6))};
    for (Op& one : batch) one.saw = Stamp{};
    REQUIRE(server.send(batch)->synced_count == 2);
    json question = json::parse(rig.questions.back());
    question["operations"][1]["AddElement"]["element"] = 5;
    question["operations"][1]["id"] = std::string(32, 'a');
    const json answer = json::parse(rig.server.answer(question.dump()).text);
    CHECK(answer["synced_count"] == 1);
    CHECK(answer["failed_count"] == 1);
    CHECK(answer["failed_operations"][0]["operation"] == question["operations"][1]);
    CHECK(answer["failed_operations"][0]["retryable"] == false);
}

TEST_CASE("JsonSyncServer reports an invalid answer", "[json][sync_server]") {
    JsonRig rig;
    auto server = rig.body();
    const std::vector<Op> batch{add("a", "1", stamp(5))};
    for (const char* const text : {"no JSON", "[]", "{}", R"({"changes": {}})", "7"}) {
        CAPTURE(text);
        rig.instead = text;
        CHECK(server.changes({}).error() == SyncErrc::store_disagrees);
        CHECK(server.send(batch).error() == SyncErrc::store_disagrees);
    }
    rig.instead = R"({"error": {"category": "belay.sync", "value": 0}})";
    CHECK(server.changes({}).error() == SyncErrc::store_disagrees);
    rig.instead = R"({"error": {"category": "belay.sync", "value": 1}})";
    CHECK(server.changes({}).error() == SyncErrc::store_busy);
    CHECK(server.send(batch).error() == SyncErrc::store_busy);
}

TEST_CASE("JsonSyncServer rejects a page in which an error has the value 0",
          "[json][sync_server][regression]") {
    JsonRig rig;
    auto server = rig.body();
    REQUIRE_FALSE(rig.store.add({"s", "a"}, "\xff", {stamp(9), id_of(99), 0, {}}));
    json page =
        json::parse(rig.server
                        .answer(R"({"session": "s", "since": {"store": ")" + std::string(32, '0') +
                                R"(", "changes": "0", "copied_at": "0"}})")
                        .text);
    REQUIRE(page["changes"][0]["error"]["value"] != 0);
    rig.instead = page.dump();
    REQUIRE(server.changes({}));
    // A reader that does not know unreadable values would take it for a removal.
    page["changes"][0]["error"]["value"] = 0;
    rig.instead = page.dump();
    CHECK(server.changes({}).error() == SyncErrc::store_disagrees);
}

TEST_CASE("a reader that does not support unreadable values does not treat them as removals",
          "[json][sync_server][regression]") {
    JsonRig rig;
    REQUIRE_FALSE(rig.store.add({"s", "a"}, "\xff", {stamp(9), id_of(99), 0, {}}));
    const std::string zeros(32, '0');
    const std::string question = R"({"session": "s", "since": {"store": ")" + zeros +
                                 R"(", "changes": "0", "copied_at": "0"}})";
    const json page = json::parse(rig.server.answer(question).text);
    CHECK(page["changes"] ==
          json::parse(R"([{"unreadable": "a", "stamp": {"wall": "9", "counter": 0, "origin": ")" +
                      detail::json_of_id(stamp(9).origin) +
                      R"("}, "error": {"category": "belay.sync", "value": 10}}])"));
    // The reader ignores members that it does not know.
    const auto read_as_before = [](const json& all) {
        std::vector<std::string> removals;
        for (const json& one : all.at("changes")) {
            const auto id = one.at("id").get<std::string>();
            if (one.find("value") == one.end()) removals.push_back(id);
        }
        return removals;
    };
    CHECK_THROWS_AS(read_as_before(page), json::exception);
    // An error next to an "id" would be a removal for such a reader, so no reader accepts it.
    json mixed = page;
    mixed["changes"][0]["id"] = "a";
    rig.instead = mixed.dump();
    CHECK(rig.body().changes({}).error() == SyncErrc::store_disagrees);
    mixed["changes"][0].erase("unreadable");
    rig.instead = mixed.dump();
    CHECK(rig.body().changes({}).error() == SyncErrc::store_disagrees);
}

TEST_CASE("a Replica syncs with a server that uses JSON", "[json][sync_server]") {
    JsonRig rig;
    auto server = rig.body();
    Device<> phone{1, {&rig.time}};
    Device<> laptop{2, {&rig.time, 1s}};
    for (int i = 0; i < 8; ++i) {
        REQUIRE(phone.replica->edit(AddElement<std::string>{std::to_string(i), "phone"}));
    }
    REQUIRE(laptop.replica->edit(AddElement<std::string>{"3", "laptop"}));
    CHECK(phone.replica->sync(server).synced == 8);
    const auto report = laptop.replica->sync(server);
    CHECK_FALSE(report.error);
    REQUIRE(report.overwrote.size() == 1);
    CHECK(report.overwrote[0].replaced.value == "phone");
    CHECK(phone.replica->sync(server).replaced.size() == 1);
    CHECK(phone.view() == laptop.view());
}

TEST_CASE("a text that cannot be written as JSON fails alone", "[json][sync_server]") {
    JsonRig rig;
    auto server = rig.body();
    Device<> phone{1, {&rig.time}};
    REQUIRE(phone.replica->edit(AddElement<std::string>{"a", "\xff"}));
    REQUIRE(phone.replica->edit(AddElement<std::string>{"b", "1"}));
    const auto report = phone.replica->sync(server);
    CHECK_FALSE(report.error);
    CHECK(report.synced == 1);
    REQUIRE(report.kept.size() == 1);
    CHECK(report.kept[0].error == SyncErrc::bad_operation);
    CHECK(phone.replica->sync(server).error == std::error_code{});
    // Another program has written such a text into the store.
    REQUIRE_FALSE(rig.store.add({"s", "c"}, "\xff", {stamp(9), id_of(99), 0, {}}));
    const auto page = server.changes({});
    REQUIRE(page);
    REQUIRE(page->changes.size() == 2);
    CHECK(page->changes[0].value == "1");
    CHECK(page->changes[1].id == "c");
    CHECK(page->changes[1].error == SyncErrc::store_corrupt);
    // Its id may be such a text, too.
    REQUIRE_FALSE(rig.store.add({"s", "\xfe"}, "2", {stamp(10), id_of(98), 0, {}}));
    const auto more = server.changes(page->next);
    REQUIRE(more);
    REQUIRE(more->changes.size() == 1);
    CHECK(more->changes[0].id == "\xef\xbf\xbd");
    CHECK(more->changes[0].error == SyncErrc::store_corrupt);
}

TEST_CASE("a value whose conversion throws a user-defined exception fails alone",
          "[json][sync_server]") {
    WallTime time{1h};
    MemoryStore<Temperature> store;
    SyncProcessor processor{std::ref(store), LastWriteWins{}, SyncOptions{}, NoObserver{},
                            SharedWall{&time}};
    part::JsonReplicaServer server{processor};
    const auto exchange = [&](const Bytes& question, Duration) -> Result<Bytes> {
        return to_bytes(as_bytes(server.answer(as_text(question)).text));
    };
    part::JsonSyncServer<Temperature, decltype(exchange)> device{exchange, {.session = "s"}};
    const auto edit_of = [&](std::uint64_t number, const char* element, int kelvin) {
        Operation<Temperature> one{.id = id_of(number), .stamp = stamp(50), .saw = Stamp{}};
        one.action = AddElement<Temperature>{element, {kelvin}};
        return one;
    };
    // The device cannot write one value, and the server cannot read another.
    std::vector<Operation<Temperature>> batch{edit_of(1, "a", Temperature::unwritable),
                                              edit_of(2, "b", Temperature::unreadable),
                                              edit_of(3, "c", 3)};
    const auto result = device.send(batch);
    REQUIRE(result);
    CHECK(result->synced_count == 1);
    REQUIRE(result->failed_operations.size() == 2);
    for (const auto& one : result->failed_operations) {
        CHECK(one.error == SyncErrc::bad_operation);
        CHECK_FALSE(one.retryable);
    }
    // The server cannot write one value, and the device cannot read another.
    REQUIRE_FALSE(store.add({"s", "a"}, {Temperature::unwritable}, {stamp(9), id_of(91), 0, {}}));
    REQUIRE_FALSE(store.add({"s", "b"}, {Temperature::unreadable}, {stamp(9), id_of(92), 0, {}}));
    const auto page = device.changes({});
    REQUIRE(page);
    REQUIRE(page->changes.size() == 3);
    CHECK(page->changes[0].value == Temperature{3});
    CHECK(page->changes[1].error == SyncErrc::store_corrupt);
    CHECK(page->changes[2].error == SyncErrc::bad_operation);
    // Edits replace both values.
    batch = {edit_of(4, "a", 1), edit_of(5, "b", 2)};
    for (int times = 0; times < 2; ++times) {
        const auto mended = device.send(batch);
        REQUIRE(mended);
        CHECK(mended->synced_count == 2);
        CHECK(mended->overwrote.empty());
    }
    CHECK(device.changes(page->next)->changes[1].value == Temperature{2});
}

TEST_CASE("an outcome of an operation whose to_json throws on the server fails alone",
          "[json][sync_server][regression]") {
    WallTime time{1h};
    MemoryStore<Temperature> store;
    SyncProcessor processor{std::ref(store), LastWriteWins{}, SyncOptions{}, NoObserver{},
                            SharedWall{&time}};
    part::JsonReplicaServer server{processor};
    // The server can read this value, and cannot write it.
    const auto exchange = [&](const Bytes& question, Duration) -> Result<Bytes> {
        json changed = json::parse(as_text(question));
        for (json& one : changed["operations"]) {
            if (one["AddElement"]["element"] == 7) {
                one["AddElement"]["element"] = Temperature::unwritable;
            }
        }
        return to_bytes(as_bytes(server.answer(changed.dump()).text));
    };
    part::JsonSyncServer<Temperature, decltype(exchange)> device{exchange, {.session = "s"}};
    std::vector<Operation<Temperature>> batch;
    for (const auto& [element, of, kelvin] :
         {std::tuple{"conflict", stamp(50), 7}, std::tuple{"failure", stamp(50), 7},
          std::tuple{"overwrite", stamp(50), 7}, std::tuple{"well", stamp(50), 3}}) {
        Operation<Temperature> one{.id = fresh_id(), .stamp = of, .saw = Stamp{}};
        one.action = AddElement<Temperature>{element, {kelvin}};
        batch.push_back(std::move(one));
    }
    batch[1].stamp = {WallTime::max(), 0, id_of(1)};
    REQUIRE_FALSE(store.add({"s", "conflict"}, {1}, {stamp(90), id_of(91), 0, {}}));
    REQUIRE_FALSE(store.add({"s", "overwrite"}, {2}, {stamp(9), id_of(92), 0, {}}));
    const auto result = device.send(batch);
    REQUIRE(result);
    CHECK(result->synced_count == 2);
    REQUIRE(result->conflicts.size() == 1);
    CHECK(result->conflicts[0].operation == batch[0]);
    REQUIRE(result->failed_operations.size() == 1);
    CHECK(result->failed_operations[0].operation == batch[1]);
    CHECK(result->failed_operations[0].error == SyncErrc::from_the_future);
    REQUIRE(result->overwrote.size() == 1);
    CHECK(result->overwrote[0].operation == batch[2]);
    CHECK(result->overwrote[0].replaced.value == Temperature{2});
}

TEST_CASE("a value of the store that is nested too deep to be parsed fails alone",
          "[json][sync_server]") {
    MemoryStore<json> store;
    SyncProcessor processor{std::ref(store), LastWriteWins{}};
    part::JsonReplicaServer server{processor};
    const auto exchange = [&](const Bytes& question, Duration) -> Result<Bytes> {
        return to_bytes(as_bytes(server.answer(as_text(question)).text));
    };
    part::JsonSyncServer<json, decltype(exchange)> device{exchange, {.session = "s"}};
    for (std::size_t depth : {63U, 64U, 200U}) {
        json value = "1";
        for (std::size_t i = 0; i < depth; ++i) value = json::array({value});
        REQUIRE_FALSE(
            store.add({"s", std::to_string(depth)}, value, {stamp(9), id_of(90 + depth), 0, {}}));
    }
    const auto page = device.changes({});
    REQUIRE(page);
    REQUIRE(page->changes.size() == 3);
    CHECK(page->changes[0].value);
    CHECK(page->changes[1].error == SyncErrc::store_corrupt);
    CHECK(page->changes[2].error == SyncErrc::store_corrupt);
    Operation<json> edit{.id = id_of(1), .stamp = stamp(50), .saw = Stamp{}};
    edit.action = AddElement<json>{"200", "mended"};
    const auto result = device.send({&edit, 1});
    REQUIRE(result);
    CHECK(result->synced_count == 1);
    CHECK(result->overwrote.empty());
}

TEST_CASE("answers of a JsonReplicaServer keep answer_bytes", "[json][sync_server]") {
    JsonRig rig;
    for (std::uint64_t i = 0; i < 50; ++i) {
        REQUIRE_FALSE(rig.store.add({"s", std::to_string(i)}, std::string(100, 'x'),
                                    {stamp(9), id_of(100 + i), 0, {}}));
    }
    for (const std::size_t page_elements : {1U, 1000U}) {
        CAPTURE(page_elements);
        rig.server = part::JsonReplicaServer{
            rig.processor, {.page_elements = page_elements, .answer_bytes = 1000}};
        rig.longest_answer = 0;
        auto server = rig.body();
        Device<> phone{1, {&rig.time}};
        const auto report = phone.replica->sync(server);
        CHECK_FALSE(report.error);
        CHECK(report.received == 50);
        CHECK(rig.longest_answer <= 1000);
    }
}

TEST_CASE("requests and answers that are nested too deep are not parsed", "[json][sync_server]") {
    JsonRig rig;
    const std::string deep = std::string(400'000, '[') + std::string(400'000, ']');
    const auto answer = rig.server.answer(R"({"session": "s", "operations": [)" + deep + "]}");
    CHECK(json::parse(answer.text)["error"]["value"] == 3);  // bad_operation
    rig.instead = R"({"changes": [{"value": )" + deep + "}]}";
    CHECK(rig.body().changes({}).error() == SyncErrc::store_disagrees);
    CHECK(rig.body().send(std::vector<Op>{add("a", "1", stamp(5))}).error() ==
          SyncErrc::store_disagrees);

    // A value of JSON at the limit is synced, and one above it fails alone.
    using Element = Operation<json>;
    std::vector<Element> batch(2);
    for (std::size_t i = 0; i < batch.size(); ++i) {
        json value = "1";
        for (std::size_t depth = 0; depth < 60 + i; ++depth) value = json::array({value});
        batch[i].id = id_of(i + 1);
        batch[i].stamp = stamp(5);
        batch[i].action = AddElement<json>{std::to_string(i), value};
    }
    MemoryStore<json> store;
    SyncProcessor processor{std::ref(store), LastWriteWins{}};
    part::JsonReplicaServer server{processor};
    const auto exchange = [&](const Bytes& question, Duration) -> Result<Bytes> {
        return to_bytes(as_bytes(server.answer(as_text(question)).text));
    };
    part::JsonSyncServer<json, decltype(exchange)> device{exchange, {.session = "s"}};
    for (int round = 0; round < 2; ++round) {
        const auto result = device.send(batch);
        REQUIRE(result);
        CHECK(result->synced_count == 1);
        REQUIRE(result->failed_operations.size() == 1);
        CHECK(result->failed_operations[0].error == SyncErrc::bad_operation);
        CHECK(result->failed_operations[0].operation.id == id_of(2));
    }
    CHECK(device.changes({})->changes.size() == 1);
    // An outcome that contains its operation has the deepest nesting.
    batch[0].stamp = {WallTime::max(), 0, id_of(9)};
    batch[0].id = id_of(3);
    CHECK(device.send(batch)->failed_operations[0].error == SyncErrc::from_the_future);
}
