// SPDX-License-Identifier: MIT
// Goal: results and operations convert to JSON and back, with the names that other
// implementations use, and invalid documents are rejected. Method: golden texts, random values,
// and every document cut, changed and with each member removed.
#include <belay/json/sync.hpp>

#include "support/catch.hpp"
#include "support/sync/sync_rig.hpp"

using namespace belay;
using namespace belay_test;
using nlohmann::json;

namespace {

SyncResult<Op> a_result() {
    SyncResult<Op> result;
    result.success = false;
    result.synced_count = 3;
    result.conflict_count = 2;
    result.failed_count = 1;
    Op late{id_of(1), stamp(5, 2, 7), UpdateElement<std::string>{"e", "new", "old"}};
    result.conflicts.push_back({late, StaleTimestamp{stamp(9), stamp(5, 2, 7)}, true});
    result.conflicts.push_back(
        {Op{id_of(2), stamp(6), RemoveElement{"f"}}, ElementNotFound{}, false});
    result.failed_operations.push_back(
        {Op{id_of(3), stamp(7), AddElement<std::string>{"g", "1"}}, SyncErrc::store_busy, true});
    result.duration = std::chrono::milliseconds{700};
    result.timestamp = WallTime{std::chrono::milliseconds{1'700'000'000'123}};
    result.retry_attempts = 3;
    return result;
}
bool refused_json(const json& document) {
    try {
        static_cast<void>(document.get<SyncResult<Op>>());
        return false;
    } catch (const json::exception&) {
        return true;
    }
}
/// Calls `visit` with every place in a document.
template <class Visit>
void each_place(json& root, json& at, Visit visit) {
    visit(root, at);
    for (auto& child : at) {
        if (at.is_structured()) each_place(root, child, visit);
    }
}

Op any_operation() {
    const auto number = [] { return *rc::gen::arbitrary<std::uint64_t>(); };
    // nlohmann writes UTF-8 only. Other bytes are the responsibility of the value's type.
    const auto text = [] { return *rc::gen::string<std::string>(); };
    const auto plain = [&] {
        std::string made = text();
        for (char& c : made) c = static_cast<char>(c & 0x7F);
        return made;
    };
    Op op{id_of(number()),
          {WallTime{Duration{*rc::gen::arbitrary<std::int64_t>()}},
           *rc::gen::arbitrary<std::uint32_t>(), id_of(number())},
          {}};
    switch (*rc::gen::inRange(0, 5)) {
        case 0:
            op.action = AddElement<std::string>{plain(), plain()};
            break;
        case 1:
            op.action = UpdateElement<std::string>{plain(), plain(), {}};
            break;
        case 2:
            op.action = UpdateElement<std::string>{plain(), plain(), plain()};
            break;
        case 3:
            op.action = RemoveElement{plain()};
            break;
        default:
            op.action = Interaction{plain(), plain()};
    }
    if (*rc::gen::arbitrary<bool>()) op.saw = Stamp{op.stamp.wall, 3, id_of(number())};
    if (*rc::gen::arbitrary<bool>()) op.formerly = id_of(number());
    return op;
}

}  // namespace

TEST_CASE("a SyncResult has the documented names in JSON", "[json][sync][golden]") {
    const json document = a_result();
    CHECK(document["success"] == false);
    CHECK(document["synced_count"] == 3);
    CHECK(document["conflict_count"] == 2);
    CHECK(document["failed_count"] == 1);
    CHECK(document["duration_ms"] == 700);
    CHECK(document["timestamp"] == 1'700'000'000'123);
    CHECK(document["retry_attempts"] == 3);
    CHECK(document["conflicts"][0].dump() ==
          R"({"operation":{"UpdateElement":{"base":"old","changes":"new","id":"e"},)"
          R"("id":"01000000000000000000000000000000",)"
          R"("stamp":{"counter":7,"origin":"02000000000000000000000000000000","wall":"5"}},)"
          R"("reason":{"StaleTimestamp":{)"
          R"("local":{"counter":0,"origin":"01000000000000000000000000000000","wall":"9"},)"
          R"("remote":{"counter":7,"origin":"02000000000000000000000000000000","wall":"5"}}},)"
          R"("resolved":true})");
    CHECK(document["conflicts"][1]["reason"] == "ElementNotFound");
    CHECK(document["failed_operations"][0]["error"] == "the store is busy");
    CHECK(document["failed_operations"][0]["retryable"] == true);
    CHECK(document["failed_operations"][0]["code"].dump() ==
          R"({"category":"belay.sync","value":1})");
    CHECK(document.size() == 9);
}

TEST_CASE("the version that an operation saw and replaced is in its JSON only if it is known",
          "[json][sync][golden]") {
    Op op{id_of(1), stamp(5), RemoveElement{"e"}, stamp(4)};
    CHECK(json(op)["saw"] == json(stamp(4)));
    op.saw.reset();
    CHECK_FALSE(json(op).contains("saw"));
    CHECK_FALSE(json(op).contains("formerly"));
    op.formerly = id_of(2);
    CHECK(json(op)["formerly"] == "02000000000000000000000000000000");
    op.formerly = no_id;
    SyncResult<Op> result = a_result();
    CHECK_FALSE(json(result).contains("overwrote"));
    result.overwrote.push_back({op, ConcurrentModification{}, {stamp(4), "old"}});
    result.overwrote.push_back({op, StaleTimestamp{stamp(6), stamp(5)}, {stamp(6), {}}});
    const json document = result;
    CHECK(document["overwrote"][0]["reason"] == "ConcurrentModification");
    CHECK(document["overwrote"][0]["replaced"].dump() ==
          R"({"stamp":{"counter":0,"origin":"01000000000000000000000000000000","wall":"4"},)"
          R"("value":"old"})");
    CHECK_FALSE(document["overwrote"][1]["replaced"].contains("value"));
    CHECK(json::parse(document.dump()).get<SyncResult<Op>>() == result);
    // An object that had a value keeps no part of it.
    json without = document;
    without.erase("overwrote");
    SyncResult<Op> used = result;
    without.get_to(used);
    CHECK(used.overwrote.empty());
    for (const char* const bad :
         {"/overwrote", "/overwrote/0/replaced", "/overwrote/0/reason", "/overwrote/1/operation"}) {
        json wrong = document;
        wrong[json::json_pointer{bad}] = 7;
        CHECK(refused_json(wrong));
    }
    json more = document;
    more["synced_count"] = 1;
    CHECK(refused_json(more));
}

TEST_CASE("a SyncResult is restored from JSON", "[json][sync]") {
    SyncResult<Op> result = a_result();
    CHECK(json::parse(json(result).dump()).get<SyncResult<Op>>() == result);
    CHECK_FALSE(json(result)["failed_operations"][0].contains("wait_ms"));
    result.failed_operations[0].wait = std::chrono::milliseconds{700};
    CHECK(json(result)["failed_operations"][0]["wait_ms"] == 700);
    CHECK_FALSE(json(result)["failed_operations"][0].contains("kept"));
    result.failed_operations[0].kept = true;
    CHECK(json(result)["failed_operations"][0]["kept"] == true);
    // Codes of other categories are restored if the category is known.
    for (const std::error_code code :
         {make_error_code(QueueErrc::corrupt), std::make_error_code(std::errc::io_error),
          std::error_code{28, std::system_category()}}) {
        result.failed_operations[0].error = code;
        CHECK(json::parse(json(result).dump()).get<SyncResult<Op>>() == result);
    }
    json document = result;
    document["failed_operations"][0]["code"]["category"] = "of nobody here";
    CHECK(document.get<SyncResult<Op>>().failed_operations[0].error == SyncErrc::store_failed);
}

TEST_CASE("operations of any contents are restored from their JSON", "[json][sync][property]") {
    CHECK(rc::check("operations are unchanged", [] {
        const Op op = any_operation();
        RC_ASSERT(json::parse(json(op).dump()).get<Op>() == op);
    }));
    CHECK(rc::check("operations in a result are unchanged, with any reason", [] {
        SyncResult<Op> result = a_result();
        const Reason reasons[] = {ElementNotFound{}, ElementAlreadyExists{},
                                  ConcurrentModification{},
                                  StaleTimestamp{any_operation().stamp, any_operation().stamp}};
        result.conflicts[1] = {any_operation(), reasons[*rc::gen::inRange(0, 4)],
                               *rc::gen::arbitrary<bool>()};
        RC_ASSERT(json::parse(json(result).dump()).get<SyncResult<Op>>() == result);
    }));
}

TEST_CASE("from_json rejects a missing member, and a member of the wrong type", "[json][sync]") {
    json root = a_result();
    REQUIRE_FALSE(refused_json(root));
    int places = 0;
    std::vector<std::string> taken;
    each_place(root, root, [&](json& whole, json& at) {
        const json before = at;
        // "error" is a text for people, and is not read.
        const bool is_text = before == "the store is busy";
        for (const json& wrong : {json(nullptr), json::array(), json::object(), json(-1.5),
                                  json("wrong"), json(std::uint64_t{1} << 63U)}) {
            at = wrong;
            ++places;
            // Any text may be an element, and any number a count of synced operations, or of
            // retries.
            const bool same_kind = (wrong.is_string() && before.is_string()) ||
                                   (wrong.is_number_unsigned() && before == 3);
            if (!refused_json(whole) && !is_text && !same_kind) taken.push_back(before.dump());
        }
        at = before;
        if (at.is_object()) {
            for (const auto& [name, value] : before.items()) {
                at.erase(name);
                ++places;
                if (!refused_json(whole) && name != "base" && name != "error") {
                    taken.push_back("no " + name);
                }
                at = before;
            }
        }
    });
    CHECK(places > 300);
    CHECK(taken == std::vector<std::string>{});
}

TEST_CASE("from_json rejects impossible counts, actions, ids and numbers", "[json][sync]") {
    const json good = a_result();
    const auto with = [&](const char* path, const json& value) {
        json changed = good;
        changed[json::json_pointer{path}] = value;
        return refused_json(changed);
    };
    CHECK(with("/synced_count", -1));
    CHECK(with("/conflict_count", 1));
    CHECK(with("/failed_count", 0));
    CHECK(with("/success", true));
    // A number from a program is signed. A parsed number is unsigned if it is not negative.
    CHECK_FALSE(with("/synced_count", 3));
    CHECK_FALSE(with("/failed_operations/0/code/value", 1));
    CHECK(with("/failed_operations/0/code/value", 0));
    CHECK(with("/failed_operations/0/code/value", std::int64_t{1} << 32U));
    CHECK(with("/duration_ms", std::numeric_limits<std::int64_t>::max()));
    CHECK(with("/conflicts/0/operation/stamp/counter", std::uint64_t{1} << 32U));
    CHECK(with("/conflicts/0/operation/stamp/counter", -1));
    CHECK(with("/conflicts/0/operation/id", "0100000000000000000000000000000"));
    CHECK(with("/conflicts/0/operation/id", "0100000000000000000000000000000g"));
    CHECK(with("/conflicts/0/operation/id", "0100000000000000000000000000000A"));
    CHECK(with("/conflicts/0/operation/RemoveElement", json{{"id", "e"}}));
    CHECK(with("/conflicts/1/reason", "NoSuchReason"));
    CHECK(with("/failed_operations/0/code/value", 1.5));
    CHECK_FALSE(with("/unknown", "ignored, so that later versions may say more"));
}

TEST_CASE("documents that are cut, deep or huge are rejected, or read", "[json][sync]") {
    const std::string whole = json(a_result()).dump();
    for (std::size_t length = 0; length < whole.size(); ++length) {
        CHECK(json::parse(whole.substr(0, length), nullptr, false).is_discarded());
    }
    const std::size_t levels = 200'000;
    json deep = json::parse(std::string(levels, '[') + std::string(levels, ']'));
    CHECK(refused_json(deep));
    json at_depth = a_result();
    at_depth["conflicts"][0]["operation"]["UpdateElement"]["changes"] = std::move(deep);
    CHECK(refused_json(at_depth));
    SyncResult<Op> huge = a_result();
    huge.conflicts.assign(20'000, huge.conflicts[0]);
    huge.conflict_count = huge.conflicts.size();
    CHECK(json::parse(json(huge).dump()).get<SyncResult<Op>>() == huge);
}

TEST_CASE("a scene is its content and its stamp as JSON", "[json][sync]") {
    const Scene<json> scene{{{"shapes", 2}}, stamp(5, 7, 2)};
    const json document = scene;
    CHECK(document.dump() == R"({"content":{"shapes":2},"stamp":{"counter":2,"origin":")"
                             R"(07000000000000000000000000000000","wall":"5"}})");
    CHECK(document.get<Scene<json>>() == scene);
    CHECK_FALSE(document.contains("removed"));
    Scene<json> tombstone = scene;
    tombstone.removed = true;
    CHECK(json(tombstone)["removed"] == true);
    CHECK(json(tombstone).get<Scene<json>>() == tombstone);
    Scene<json> edited = scene;
    edited.saw = stamp(4, 0, 3);
    CHECK_FALSE(document.contains("saw"));
    CHECK(json(edited).get<Scene<json>>().saw == edited.saw);
    CHECK_FALSE(json(edited).contains("unaware"));
    edited.unaware = true;
    CHECK(json(edited).get<Scene<json>>().unaware);
    json wrong = edited;
    wrong["saw"] = 5;
    CHECK_THROWS_AS(wrong.get<Scene<json>>(), json::exception);
    tombstone.saw = stamp(4, 0, 3);
    CHECK(json(tombstone).get<Scene<json>>().saw == tombstone.saw);
    const part::SceneRemoval removal{stamp(5, 7, 2), stamp(4, 0, 3)};
    const json of_removal = removal;
    CHECK(of_removal["stamp"] == document["stamp"]);
    CHECK(of_removal.get<part::SceneRemoval>() == removal);
    const json blind = part::SceneRemoval{stamp(5, 7, 2)};
    CHECK_FALSE(blind.contains("saw"));
    CHECK_FALSE(blind.get<part::SceneRemoval>().saw);
    CHECK_THROWS_AS(json::array().get<part::SceneRemoval>(), json::exception);
    for (const char* name : {"content", "stamp"}) {
        json partial = document;
        partial.erase(name);
        CHECK_THROWS_AS(partial.get<Scene<json>>(), json::exception);
    }
    CHECK_THROWS_AS(json("text").get<Scene<json>>(), json::exception);
}

TEST_CASE("a stamp's time is a string, so that parsers do not round it", "[json][sync]") {
    const Stamp late = stamp(1'795'287'202'146'240'873, 2, 7);
    json document = late;
    CHECK(document["wall"] == "1795287202146240873");
    CHECK(document.get<Stamp>() == late);
    const auto with = [&](json wall) {
        document["wall"] = std::move(wall);
        return document.get<Stamp>().wall.time_since_epoch().count();
    };
    CHECK(with("-5") == -5);
    CHECK(with(-5) == -5);
    CHECK(with(5U) == 5);
    for (const char* text : {"", " 5", "5 ", "+5", "5x", "0x5", "5.0", "99999999999999999999"}) {
        CHECK_THROWS_AS(with(text), json::exception);
    }
    CHECK_THROWS_AS(with(5.0), json::exception);
    CHECK_THROWS_AS(with(nullptr), json::exception);
}

TEST_CASE("JSON documents that differ in the order of members and in spaces have equal hashes",
          "[json][sync]") {
    const auto hash = [](const char* text) { return detail::hash_of_value(json::parse(text), 0); };
    CHECK(hash(R"({"a":1,"b":[]})") == hash(R"( {"b": [], "a": 1} )"));
    CHECK(hash(R"({"a":1})") != hash(R"({"a":2})"));
    CHECK(hash("[1,2]") != hash("[2,1]"));
    CHECK(detail::hash_of_value(json(1), 0) == detail::hash_of_value(json(1U), 0));
    // A text that is no UTF-8 can be hashed, and cannot be written.
    CHECK(detail::hash_of_value(json("\xff"), 0) != detail::hash_of_value(json("x"), 0));
}
