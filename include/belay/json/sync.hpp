// SPDX-License-Identifier: MIT
/// \file belay/json/sync.hpp
/// to_json, from_json: the values of sync as JSON; needs nlohmann/json.
///
///     nlohmann::json json = result;                           // of a SyncResult
///     auto operations = json.get<std::vector<Operation<Note>>>();
///
/// - Id: 32 hexadecimal digits.
/// - Stamp: {"wall": nanoseconds since 1970 as a text, "counter", "origin"}. A program that reads
///   numbers as doubles, such as JavaScript, would round such a number. A number is read, too.
/// - Scene: {"content", "stamp", "saw"}, and "removed" if it was deleted.
/// - part::SceneRemoval: {"stamp", "saw"}.
/// - Operation: {"id", "stamp", "saw", "formerly"} and one of "AddElement": {"id", "element"},
///   "UpdateElement": {"id", "changes", "base"}, "RemoveElement": {"id"}, "Interaction": {"id",
///   "what"}.
/// - The reason of a conflict: "ElementNotFound", "ElementAlreadyExists", "ConcurrentModification",
///   or {"StaleTimestamp": {"local", "remote"}}.
/// - Conflict: {"operation", "reason", "resolved"}.
/// - FailedOperation: {"operation", "error": text, "code": {"category", "value"}, "retryable",
///   "wait_ms", "kept"}.
/// - SyncResult: {"success", "synced_count", "conflict_count", "failed_count", "conflicts",
///   "failed_operations", "overwrote", "duration_ms", "timestamp", "retry_attempts"}.
/// - A member of "overwrote": {"operation", "reason", "replaced": {"stamp", "value"}}.
///
/// `base`, `saw`, `formerly`, `wait_ms`, `overwrote` and `value` are left out if there is none, and
/// `kept` if it is false. `duration_ms` and `timestamp` (since 1970) are whole milliseconds. Values
/// have the form of their own to_json and from_json.
///
/// Errors: from_json throws nlohmann::json::exception for a document that it cannot read, as is
///         usual with that library. The reasons are
/// - wrong types and missing members,
/// - an operation with none or several actions,
/// - a failed operation without an error,
/// - counts that do not fit their type,
/// - results whose counts are not those of their lists.
///
/// nlohmann/json does the parsing, and sets its limits.
#pragma once

#include <algorithm>     // std::copy
#include <charconv>      // std::from_chars
#include <concepts>      // std::default_initializable, std::same_as, std::unsigned_integral
#include <cstddef>       // std::size_t
#include <cstdint>       // std::int64_t
#include <optional>      // std::optional
#include <string>        // std::string
#include <string_view>   // std::string_view
#include <system_error>  // std::error_code
#include <utility>       // std::in_range, std::move

#include <belay/core/assert.hpp>
#include <belay/core/detail/hex.hpp>
#include <belay/queue/queue_errc.hpp>
#include <belay/sync/changes.hpp>
#include <belay/sync/operation.hpp>
#include <belay/sync/scene.hpp>
#include <belay/sync/sync_errc.hpp>
#include <belay/sync/sync_result.hpp>
#include <nlohmann/json.hpp>

namespace nlohmann {

/// Returns a hash, so that JSON can be the value of an operation or the content of a scene.
///
/// Documents that differ only in the order of members have the same hash.   Throws: std::bad_alloc.
[[nodiscard]] inline std::uint64_t content_hash(const json& value) {
    const std::string text = value.dump(-1, ' ', false, json::error_handler_t::replace);
    return belay::detail::hash_bytes(belay::as_bytes(text), 0);
}

}  // namespace nlohmann

namespace belay { inline namespace BELAY_ABI {

namespace detail {

using Json = nlohmann::json;

/// The cost of a JSON text.
struct JsonCost {
    bool too_deep = false;
    /// nlohmann/json takes a NUL byte for the end of the text, and ignores the rest.
    bool has_nul = false;
    /// At least what its values take, including an array of them that grows.
    std::size_t bytes = 0;
};

/// Computes the cost before parsing, because the parser has no limit for it.
[[nodiscard]] inline JsonCost json_cost(std::string_view text, std::size_t depth_max) noexcept {
    // A node of std::map, the allocation of a value, and its place in a growing array. Each
    // includes the overhead of an allocator.
    constexpr std::size_t member = 112, container = 80, string = 48, place = 48;
    JsonCost cost{.bytes = text.size() + place};
    std::size_t depth = 0;
    bool quoted = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (c == '\0') return {false, true, cost.bytes};
        if (c == '"') {
            quoted = !quoted;
            if (quoted) cost.bytes += string;
        }
        if (quoted) {
            if (c == '\\' && i + 1 < text.size() && text[i + 1] != '\0') ++i;
        } else if (c == '[' || c == '{') {
            if (++depth > depth_max) return {true, false, cost.bytes};
            cost.bytes += container;
        } else if (c == ',') {
            cost.bytes += place;
        } else if (c == ':') {
            cost.bytes += member;
        } else if ((c == ']' || c == '}') && depth != 0) {
            --depth;
        }
    }
    return cost;
}

/// Rejects a document by an exception, as nlohmann/json does.
[[noreturn]] inline void reject_json(const std::string& what, const Json& json) {
    throw Json::other_error::create(599, "belay: " + what, &json);
}
template <class T>
[[nodiscard]] T number_of(const Json& json, const std::string& what) {
    if (!json.is_number_integer()) reject_json(what + " must be an integer", json);
    // A number that a program stored as signed stays signed, even if it is not below zero.
    const bool fits = json.is_number_unsigned() ? std::in_range<T>(json.get<std::uint64_t>())
                                                : std::in_range<T>(json.get<std::int64_t>());
    if (!fits) reject_json(what + " is out of range", json);
    return json.get<T>();
}

/// Returns a number that is written as a number, or as a text of digits.
[[nodiscard]] inline std::int64_t big_number_of(const Json& json, const std::string& what) {
    if (!json.is_string()) return number_of<std::int64_t>(json, what);
    const auto& text = json.get_ref<const std::string&>();
    std::int64_t value = 0;
    const char* const end = text.data() + text.size();
    const auto [at, error] = std::from_chars(text.data(), end, value);
    if (error != std::errc{} || at != end) {
        reject_json(what + " must be an integer", json);
    }
    return value;
}

[[nodiscard]] inline std::string json_of_id(const Id& id) { return hex_of(id); }
[[nodiscard]] inline Id id_of_json(const Json& json) {
    const auto& text = json.get_ref<const std::string&>();
    const std::optional<Bytes> bytes = bytes_of_hex(text);
    Id id{};
    if (!bytes || bytes->size() != id.size())
        reject_json("an id must have 32 hexadecimal digits", json);
    std::copy(bytes->begin(), bytes->end(), id.begin());
    return id;
}

[[nodiscard]] inline Json json_of_code(const std::error_code& code) {
    return {{"category", code.category().name()}, {"value", code.value()}};
}
/// Returns a code of the categories that stores use; an unknown category becomes store_failed.
[[nodiscard]] inline std::error_code code_of_json(const Json& json) {
    const auto& category = json.at("category").get_ref<const std::string&>();
    const int value = number_of<int>(json.at("value"), "value");
    if (value == 0) reject_json("a failed operation must have an error", json);
    if (category == sync_category().name()) return {value, sync_category()};
    if (category == queue_category().name()) return {value, queue_category()};
    if (category == std::generic_category().name()) return {value, std::generic_category()};
    if (category == std::system_category().name()) return {value, std::system_category()};
    return SyncErrc::store_failed;
}

[[nodiscard]] inline std::int64_t milliseconds_of(Duration time) noexcept {
    return std::chrono::duration_cast<std::chrono::milliseconds>(time).count();
}
[[nodiscard]] inline Duration duration_of(const Json& json, const std::string& what) {
    const auto count = number_of<std::int64_t>(json, what);
    constexpr std::int64_t most = Duration::max().count() / 1'000'000;
    if (count > most || count < -most) reject_json(what + " is out of range", json);
    return Duration{count * 1'000'000};
}

}  // namespace detail

/// Writes a stamp as JSON.
inline void to_json(nlohmann::json& json, const Stamp& stamp) {
    json = {{"wall", std::to_string(std::int64_t{stamp.wall.time_since_epoch().count()})},
            {"counter", stamp.counter},
            {"origin", detail::json_of_id(stamp.origin)}};
}
/// Reads a stamp from JSON.   Throws: nlohmann::json::exception.
inline void from_json(const nlohmann::json& json, Stamp& stamp) {
    stamp.wall = WallTime{Duration{detail::big_number_of(json.at("wall"), "wall")}};
    stamp.counter = detail::number_of<std::uint32_t>(json.at("counter"), "counter");
    stamp.origin = detail::id_of_json(json.at("origin"));
}

namespace detail {

[[nodiscard]] inline Json json_of_reason(const ConflictReason& reason) {
    if (const auto* stale = std::get_if<StaleTimestamp>(&reason)) {
        return {{"StaleTimestamp", {{"local", stale->local}, {"remote", stale->remote}}}};
    }
    return std::string{to_string(reason)};
}
[[nodiscard]] inline ConflictReason reason_of_json(const Json& json) {
    if (json.is_object()) {
        const Json& stale = json.at("StaleTimestamp");
        return StaleTimestamp{stale.at("local").get<Stamp>(), stale.at("remote").get<Stamp>()};
    }
    const auto& name = json.get_ref<const std::string&>();
    for (const ConflictReason& one :
         {ConflictReason{ElementNotFound{}}, ConflictReason{ElementAlreadyExists{}},
          ConflictReason{ConcurrentModification{}}}) {
        if (name == to_string(one)) return one;
    }
    reject_json("the reason of a conflict is unknown", json);
}

/// Returns a field of a struct as JSON, and reads it. An optional field has a value.
template <class T>
[[nodiscard]] Json json_of_field(const T& field) {
    if constexpr (std::same_as<T, Id>) {
        return json_of_id(field);
    } else if constexpr (std::same_as<T, std::error_code>) {
        return json_of_code(field);
    } else if constexpr (std::same_as<T, ConflictReason>) {
        return json_of_reason(field);
    } else if constexpr (std::same_as<T, Duration>) {
        return milliseconds_of(field);
    } else if constexpr (std::same_as<T, WallTime>) {
        return milliseconds_of(field.time_since_epoch());
    } else if constexpr (requires { field.has_value(); }) {
        return json_of_field(*field);
    } else {
        return field;
    }
}
template <class T>
void read_field(const Json& json, const std::string& name, T& field) {
    if constexpr (std::same_as<T, Id>) {
        field = id_of_json(json);
    } else if constexpr (std::same_as<T, std::error_code>) {
        field = code_of_json(json);
    } else if constexpr (std::same_as<T, ConflictReason>) {
        field = reason_of_json(json);
    } else if constexpr (std::same_as<T, Duration> || std::same_as<T, WallTime>) {
        field = T{duration_of(json, name)};
    } else if constexpr (requires { field.has_value(); }) {
        read_field(json, name, field.emplace());
    } else if constexpr (std::unsigned_integral<T> && !std::same_as<T, bool>) {
        field = number_of<T>(json, name);
    } else {
        json.get_to(field);
    }
}
/// Returns the fields of a struct as an object.
template <ListsFields T>
[[nodiscard]] Json json_of_fields(const T& one) {
    Json made;
    T::each_field(one, [&]<class Field>(std::string_view name, const Field& field) {
        if (name.ends_with('?')) {
            name.remove_suffix(1);
            if constexpr (requires { field == Field{}; }) {
                if (field == Field{}) return;
            }
        }
        made[std::string{name}] = json_of_field(field);
    });
    return made;
}
template <ListsFields T>
void read_fields(const Json& json, T& one) {
    if (!json.is_object()) reject_json("a value of sync must be an object", json);
    T::each_field(one, [&]<class Field>(std::string_view name, Field& field) {
        const bool may_lack = name.ends_with('?');
        const std::string key{name.substr(0, name.size() - (may_lack ? 1 : 0))};
        if constexpr (std::default_initializable<Field>) {
            if (may_lack && !json.contains(key)) return static_cast<void>(field = Field{});
        }
        read_field(json.at(key), key, field);
    });
}

}  // namespace detail

/// Writes the fields of a value of sync as JSON.   Throws: std::bad_alloc; what a value throws.
template <detail::ListsFields T>
void to_json(nlohmann::json& json, const T& one) {
    // Not in `json`: its constructor calls this function, and leaks what it has if a value throws.
    nlohmann::json made = detail::json_of_fields(one);
    json = std::move(made);
}
/// Reads the fields of a value of sync.   Throws: nlohmann::json::exception, if it is not one.
template <detail::ListsFields T>
void from_json(const nlohmann::json& json, T& one) {
    detail::read_fields(json, one);
}

/// Writes a scene.   Throws: std::bad_alloc; what its content throws.
template <class Content>
void to_json(nlohmann::json& json, const Scene<Content>& scene) {
    nlohmann::json made = detail::json_of_fields(scene);
    made["content"] = scene.content;
    json = std::move(made);
}
/// Reads a scene.   Throws: nlohmann::json::exception, if it is not one.
template <class Content>
void from_json(const nlohmann::json& json, Scene<Content>& scene) {
    detail::read_fields(json, scene);
    scene.content = json.at("content").get<Content>();
}

namespace part {

using belay::from_json;
using belay::to_json;

/// Writes a cursor, whose numbers of 64 bits are texts, as that of a stamp.
inline void to_json(nlohmann::json& json, const StoreCursor& cursor) {
    nlohmann::json made = detail::json_of_fields(cursor);
    for (const char* const name : {"changes", "copied_at", "seen"}) {
        const auto at = made.find(name);
        if (at != made.end()) *at = std::to_string(at->get<std::uint64_t>());
    }
    json = std::move(made);
}
/// Reads a cursor.   Throws: nlohmann::json::exception, if it is not one.
inline void from_json(const nlohmann::json& json, StoreCursor& cursor) {
    nlohmann::json numbers = json;
    for (const char* const name : {"changes", "copied_at", "seen"}) {
        const auto at = numbers.find(name);
        if (at != numbers.end()) *at = detail::big_number_of(*at, name);
    }
    detail::read_fields(numbers, cursor);
}
/// Writes a version that an operation replaced.   Throws: std::bad_alloc; what its value throws.
template <class Value>
void to_json(nlohmann::json& json, const ReplacedVersion<Value>& version) {
    nlohmann::json made = detail::json_of_fields(version);
    if (version.value) made["value"] = *version.value;
    json = std::move(made);
}
/// Reads a version that an operation replaced.   Throws: nlohmann::json::exception, if it is not
/// one.
template <class Value>
void from_json(const nlohmann::json& json, ReplacedVersion<Value>& version) {
    detail::read_fields(json, version);
    version.value.reset();
    if (const auto value = json.find("value"); value != json.end()) {
        version.value.emplace(value->template get<Value>());
    }
}

}  // namespace part

/// Writes an operation.   Throws: std::bad_alloc; what its value throws.
template <class Value>
void to_json(nlohmann::json& json, const Operation<Value>& operation) {
    nlohmann::json made = detail::json_of_fields(operation);
    if (const auto* add = std::get_if<AddElement<Value>>(&operation.action)) {
        made["AddElement"]["id"] = add->id;
        made["AddElement"]["element"] = add->element;
    } else if (const auto* update = std::get_if<UpdateElement<Value>>(&operation.action)) {
        made["UpdateElement"]["id"] = update->id;
        made["UpdateElement"]["changes"] = update->changes;
        if (update->base) made["UpdateElement"]["base"] = *update->base;
    } else if (const auto* removal = std::get_if<RemoveElement>(&operation.action)) {
        made["RemoveElement"] = {{"id", removal->id}};
    } else if (const auto* interaction = std::get_if<Interaction>(&operation.action)) {
        made["Interaction"] = {{"id", interaction->id}, {"what", interaction->what}};
    }
    json = std::move(made);
}
/// Reads an operation.   Throws: nlohmann::json::exception, if it is not one.
template <class Value>
void from_json(const nlohmann::json& json, Operation<Value>& operation) {
    detail::read_fields(json, operation);
    int actions = 0;
    const auto action = [&](const char* name) -> const nlohmann::json* {
        const auto at = json.find(name);
        if (at == json.end()) return nullptr;
        ++actions;
        return &*at;
    };
    const auto id = [](const nlohmann::json& of) { return of.at("id").get<std::string>(); };
    if (const nlohmann::json* add = action("AddElement")) {
        operation.action = AddElement<Value>{id(*add), add->at("element").get<Value>()};
    }
    if (const nlohmann::json* update = action("UpdateElement")) {
        UpdateElement<Value> made{id(*update), update->at("changes").get<Value>(), {}};
        if (const nlohmann::json::const_iterator base = update->find("base");
            base != update->end()) {
            made.base.emplace(base->get<Value>());
        }
        operation.action = std::move(made);
    }
    if (const nlohmann::json* removal = action("RemoveElement")) {
        operation.action = RemoveElement{id(*removal)};
    }
    if (const nlohmann::json* interaction = action("Interaction")) {
        operation.action =
            Interaction{id(*interaction), interaction->at("what").get<std::string>()};
    }
    if (actions != 1) detail::reject_json("an operation must have exactly one action", json);
}

/// Writes a failed operation, with the text of its error.   Throws: std::bad_alloc; what its value
/// throws.
template <OperationLike Op>
void to_json(nlohmann::json& json, const FailedOperation<Op>& failed) {
    nlohmann::json made = detail::json_of_fields(failed);
    made["error"] = failed.error.message();
    json = std::move(made);
}

/// Reads a result.   Throws: nlohmann::json::exception, if it is not one, or if its counts are not
/// those of its lists.
template <OperationLike Op>
void from_json(const nlohmann::json& json, SyncResult<Op>& result) {
    detail::read_fields(json, result);
    if (result.overwrote.size() > result.synced_count ||
        result.conflicts.size() != result.conflict_count ||
        result.failed_operations.size() != result.failed_count ||
        result.success != (result.failed_count == 0)) {
        detail::reject_json("the counts of a result must match its lists", json);
    }
}

}}  // namespace belay
