// SPDX-License-Identifier: MIT
/// \file belay/json/sync_server.hpp
/// JsonSyncServer and JsonReplicaServer: sync of a Replica in JSON; needs nlohmann/json.
#pragma once

#include <algorithm>     // std::max
#include <concepts>      // std::predicate, std::same_as
#include <cstdint>       // std::uint64_t
#include <exception>     // std::exception
#include <map>           // std::map
#include <new>           // std::bad_alloc
#include <optional>      // std::optional
#include <span>          // std::span
#include <string>        // std::string
#include <string_view>   // std::string_view
#include <system_error>  // std::error_code
#include <utility>       // std::declval, std::exchange, std::move
#include <vector>        // std::vector

#include <belay/json/sync.hpp>
#include <belay/sync/changes.hpp>
#include <belay/sync/remote_sync_server.hpp>
#include <belay/sync/replica_server.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {

/// The deepest nesting of a question. An answer has its operations two levels further down.
inline constexpr std::size_t sync_question_depth = 64;
inline constexpr std::size_t sync_answer_depth = sync_question_depth + 2;

/// Returns whether a text may be parsed: nlohmann/json copies and writes values recursively, and
/// ignores a text behind a NUL byte.
[[nodiscard]] inline bool may_be_parsed(std::string_view text, std::size_t depth_max) noexcept {
    const JsonCost cost = json_cost(text, depth_max);
    return !cost.too_deep && !cost.has_nul;
}
/// Returns what `make` returns; nothing if it throws, except std::bad_alloc: conversions of values
/// are functions of users, who may throw exceptions of their own.
template <class Make>
[[nodiscard]] auto unless_it_throws(Make make) -> std::optional<decltype(make())> {
    try {
        return make();
    } catch (const std::bad_alloc&) {
        throw;
    } catch (const std::exception&) {
        return std::nullopt;
    }
}
/// Returns the text of a part of a message; nothing if it has none, or none that may be parsed.
template <class Make>
[[nodiscard]] std::optional<std::string> text_of_part(Make make, std::size_t depth_max) {
    auto text = unless_it_throws([&] { return make().dump(); });
    if (text && !may_be_parsed(*text, depth_max)) text.reset();
    return text;
}
/// Returns the texts of outcomes of operations. If an operation has no JSON, one with its id alone
/// is in its place: the device needs no more.
template <class Outcome>
[[nodiscard]] std::string text_of_outcomes(std::vector<Outcome> outcomes) {
    std::string list;
    for (Outcome& one : outcomes) {
        auto text = text_of_part([&] { return Json(one); }, sync_answer_depth - 2);
        if (!text) {
            one.operation = {.id = one.operation.id, .action = RemoveElement{}};
            // The message of an error may be no UTF-8.
            text = Json(one).dump(-1, ' ', false, Json::error_handler_t::replace);
        }
        list += (list.empty() ? "" : ",") + *text;
    }
    return list;
}
template <class Value>
[[nodiscard]] Json json_of_change(const part::ElementChange<Value>& one,
                                  const std::error_code& error) {
    if (error) {
        // Without "id", so that no reader that ignores "error" takes it for a removal.
        return {{"unreadable", one.id}, {"stamp", one.stamp}, {"error", json_of_code(error)}};
    }
    Json change{{"id", one.id}, {"stamp", one.stamp}};
    if (one.value) change["value"] = *one.value;
    return change;
}
/// A value that has no JSON fails alone: the page has an error in its place.
template <class Value>
[[nodiscard]] std::string text_of_page(const part::ChangesPage<Value>& page) {
    std::string changes;
    for (const auto& one : page.changes) {
        auto text =
            text_of_part([&] { return json_of_change(one, one.error); }, sync_answer_depth - 2);
        if (!text) {
            const std::error_code error = one.error ? one.error : SyncErrc::store_corrupt;
            // The id may be the text that is no UTF-8.
            text = json_of_change(one, error).dump(-1, ' ', false, Json::error_handler_t::replace);
        }
        changes += (changes.empty() ? "" : ",") + *text;
    }
    const Json json = json_of_fields(page);
    return R"({"changes":[)" + changes + "]," + json.dump().substr(1);
}
template <class Value>
[[nodiscard]] std::optional<Value> value_of_json(const Json& json) {
    return unless_it_throws([&] { return json.get<Value>(); });
}
template <class Value>
[[nodiscard]] part::ChangesPage<Value> page_of_json(Json& json) {
    part::ChangesPage<Value> page;
    const Json& changes = json.at("changes");
    if (!changes.is_array()) reject_json("changes must be an array", json);
    for (const Json& one : changes) {
        auto& change = page.changes.emplace_back();
        const bool is_unreadable = one.contains("unreadable");
        if (one.contains("error") != is_unreadable || one.contains("id") == is_unreadable) {
            reject_json(R"(a change has "id", or "unreadable" and "error")", one);
        }
        change.id = one.at(is_unreadable ? "unreadable" : "id").get<std::string>();
        change.stamp = one.at("stamp").get<Stamp>();
        if (is_unreadable) {
            change.error = code_of_json(one.at("error"));
        } else if (const auto value = one.find("value"); value != one.end()) {
            change.value = value_of_json<Value>(*value);
            if (!change.value) change.error = SyncErrc::bad_operation;
        }
    }
    read_fields(json, page);
    return page;
}

}  // namespace detail

namespace part {

/// The server of a Replica, over an exchange of JSON: any server can answer these two questions.
///
///     part::JsonSyncServer<Note, Exchange> server{exchange, {.session = "notes"}};
///
/// - {"session", "operations": [...]} has the answer of a SyncResult.
/// - {"session", "since": cursor} has the answer {"changes": [{"id", "stamp", "value"}], "next":
///   cursor, "begins_copy", "more"}. A removal has no "value". An element whose value the server
///   cannot write is {"unreadable": its id, "stamp", "error": {"category", "value"}}, without "id".
///   With "other_history": true, the cursor was of changes that the server does not have; see
///   ChangesPage.
/// - A cursor is {"store": 32 hexadecimal digits, "changes": text, "copied_at": text}. It may have
///   "seen", a text, and "epoch", a number of 32 bits. A device sends the cursor of its last page,
///   with a "seen" near 2^62 if a copy of another store was interrupted. The cursor may be of
///   another server, or of a history that this one has lost. The answer is then a copy, no error.
/// - The answer to both may be {"error": {"category", "value"}}.
///
/// A batch is one question, so RemoteSyncServerOptions::question_bytes does not count; see
/// ReplicaOptions::batch_operations. The exchange is as that of RemoteSyncServer, such as an
/// HttpExchange with the header field Content-Type: application/json.
///
/// Models:        SyncServerLike.
/// Thread safety: one thread at a time.   Blocks: for the exchange.
template <class Value, class Exchange>
class JsonSyncServer {
    static_assert(detail::ExchangesMessages<Exchange>,
                  "JsonSyncServer: the exchange needs 'belay::Result<belay::Bytes> "
                  "operator()(belay::Bytes question, belay::Duration within)'; see "
                  "docs/how-to/replica-over-a-network.md");

public:
    using value_type = Value;
    using operation_type = Operation<Value>;

    /// Pre: options.within > 0ns.
    JsonSyncServer(Exchange exchange, RemoteSyncServerOptions options)
        : exchange_{std::move(exchange)}, options_{std::move(options)} {
        BELAY_OPTION(options_.within > Duration{}, "JsonSyncServer: within must be above 0ns");
    }

    /// Applies operations on the server. One that has no JSON fails alone, with bad_operation.
    /// Examples are a text that is no UTF-8, a value whose to_json throws, and JSON that is nested
    /// deeper than 62.
    ///
    /// Errors: those of the exchange and of the server; store_disagrees: the answer is another one.
    [[nodiscard]] Result<SyncResult<operation_type>> send(std::span<const operation_type> batch) {
        std::vector<const operation_type*> unsent;
        std::string operations;
        for (const operation_type& one : batch) {
            const auto text = detail::text_of_part([&] { return detail::Json(one); },
                                                   detail::sync_question_depth - 2);
            if (text) {
                operations += (operations.empty() ? "" : ",") + *text;
            } else {
                unsent.push_back(&one);
            }
        }
        SyncResult<operation_type> made;
        if (!operations.empty()) {
            const std::string session = detail::Json(options_.session).dump();
            auto answer = ask(R"({"session":)" + session + R"(,"operations":[)" + operations + "]}",
                              [&](detail::Json& document) { return read_result(document, batch); });
            if (!answer) return answer;
            made = std::move(*answer);
        }
        for (const operation_type* const one : unsent) {
            made.failed_operations.push_back({*one, SyncErrc::bad_operation});
        }
        made.failed_count = made.failed_operations.size();
        made.success = made.failed_count == 0;
        return made;
    }
    /// Returns the next changes. A value that from_json cannot read fails alone, with
    /// bad_operation.
    ///
    /// Errors: as send.
    [[nodiscard]] Result<ChangesPage<Value>> changes(const StoreCursor& since) {
        const detail::Json question{{"session", options_.session}, {"since", since}};
        return ask(question.dump(), &detail::page_of_json<Value>);
    }

private:
    /// Reads a result, which has the operations of the batch again. They are known by their ids,
    /// because from_json may not read a value that to_json has written.
    [[nodiscard]] static SyncResult<operation_type> read_result(
        detail::Json& json, std::span<const operation_type> batch) {
        for (const char* const list : {"conflicts", "failed_operations", "overwrote"}) {
            const auto entries = json.find(list);
            if (entries == json.end() || !entries->is_array()) continue;
            for (detail::Json& one : *entries) {
                detail::Json& operation = one.at("operation");
                detail::Json known{{"id", operation.at("id")},
                                   {"stamp", Stamp{}},
                                   {"RemoveElement", {{"id", ""}}}};
                operation.swap(known);
            }
        }
        const auto all = json.find("overwrote");
        if (all != json.end() && all->is_array()) {
            // The server, too, leaves out the replaced values that it cannot write.
            auto& entries = all->template get_ref<detail::Json::array_t&>();
            std::erase_if(entries, [](const detail::Json& one) {
                const auto& replaced = one.at("replaced");
                const auto value = replaced.find("value");
                return value != replaced.end() && !detail::value_of_json<Value>(*value);
            });
        }
        auto result = json.get<SyncResult<operation_type>>();
        std::map<Id, const operation_type*> sent;
        for (const operation_type& one : batch) sent.emplace(one.id, &one);
        const auto restore = [&](auto& entries) {
            for (auto& one : entries) {
                const auto at = sent.find(one.operation.id);
                if (at == sent.end()) detail::reject_json("an operation was not sent", json);
                one.operation = *at->second;
            }
        };
        restore(result.conflicts);
        restore(result.failed_operations);
        restore(result.overwrote);
        return result;
    }
    /// Asks, and returns what `read(json)` makes of the answer.
    template <class Read>
    [[nodiscard]] auto ask(const std::string& text, Read read)
        -> Result<decltype(read(std::declval<detail::Json&>()))> {
        using Made = decltype(read(std::declval<detail::Json&>()));
        auto answer = exchange_(to_bytes(as_bytes(text)), options_.within);
        if (!answer) return answer.error();
        if (!detail::may_be_parsed(as_text(*answer), detail::sync_answer_depth)) {
            return make_error_code(SyncErrc::store_disagrees);
        }
        auto made = detail::unless_it_throws([&]() -> Result<Made> {
            auto document = detail::Json::parse(as_text(*answer));
            if (const auto error = document.find("error"); error != document.end()) {
                return detail::code_of_json(*error);
            }
            return read(document);
        });
        if (!made) return make_error_code(SyncErrc::store_disagrees);
        return std::move(*made);
    }

    Exchange exchange_;
    RemoteSyncServerOptions options_;
};

/// Answers the questions of a JsonSyncServer.
///
/// ReplicaServerOptions::answer_bytes limits answers with changes, and `message_bytes_max` has no
/// effect. The answer to a batch is as long as its outcomes.
///
/// Thread safety: as its processor.
template <detail::ProcessesBatches Processor>
class JsonReplicaServer {
public:
    using operation_type = typename Processor::operation_type;
    using value_type = typename operation_type::value_type;

    struct Answer {
        /// The answer as JSON.
        std::string text{};
        /// Whether operations were applied, also such that were sent again.
        bool changed = false;
    };

    explicit JsonReplicaServer(Processor& processor, ReplicaServerOptions options = {})
        : processor_{&processor}, options_{options} {}

    /// Answers a question about a session for which `allows(session)` is true.
    ///
    /// Errors: in the answer. bad_operation: the text is no question, or is nested deeper than 64;
    ///         unknown_session. An operation that cannot be read fails alone, with bad_operation.
    ///         A value of the store fails alone, with store_corrupt, if its to_json throws, it has
    ///         a text that is no UTF-8, or its JSON is nested deeper than 63. The answer to
    ///         operations leaves out such a value that they replaced. An outcome of an operation
    ///         that has no JSON has an operation with its id alone.
    /// Throws: what the processor throws.
    template <std::predicate<std::string_view> Allows>
    [[nodiscard]] Answer answer(std::string_view question, Allows&& allows) {
        if (!detail::may_be_parsed(question, detail::sync_question_depth)) {
            return rejection(SyncErrc::bad_operation);
        }
        const auto json = detail::Json::parse(question, nullptr, false);
        if (!json.is_object()) return rejection(SyncErrc::bad_operation);
        const auto session = json.find("session");
        if (session == json.end() || !session->is_string())
            return rejection(SyncErrc::bad_operation);
        const auto& name = session->template get_ref<const std::string&>();
        if (!allows(std::string_view{name})) return rejection(SyncErrc::unknown_session);
        const auto operations = json.find("operations");
        if (operations == json.end()) return list(name, json);
        if (!operations->is_array()) return rejection(SyncErrc::bad_operation);
        return apply(name, *operations);
    }
    /// Answers a question about any session, in the same way.
    [[nodiscard]] Answer answer(std::string_view question) {
        return answer(question, [](std::string_view) { return true; });
    }

private:
    [[nodiscard]] static Answer rejection(const std::error_code& error) {
        return {detail::Json{{"error", detail::json_of_code(error)}}.dump(), false};
    }
    [[nodiscard]] Answer list(const std::string& session, const detail::Json& json) {
        StoreCursor since;
        try {
            json.at("since").get_to(since);
        } catch (const detail::Json::exception&) {
            return rejection(SyncErrc::bad_operation);
        }
        for (;;) {
            const std::size_t most =
                size_.elements(std::max<std::size_t>(options_.page_elements, 1));
            detail::ProcessorServer<Processor> store{*processor_, session, most};
            const auto page = store.changes(since);
            if (!page) return rejection(page.error());
            Answer made{detail::text_of_page(*page), false};
            const std::size_t count = page->changes.size();
            if (!size_.shrinks(count, made.text.size(), options_.answer_bytes)) return made;
        }
    }
    [[nodiscard]] Answer apply(const std::string& session, const detail::Json& operations) {
        std::vector<operation_type> batch;
        detail::Json unread = detail::Json::array();
        for (const detail::Json& one : operations) {
            if (auto read = detail::value_of_json<operation_type>(one)) {
                batch.push_back(std::move(*read));
                continue;
            }
            const std::error_code why = SyncErrc::bad_operation;
            unread.push_back({{"operation", one},
                              {"error", why.message()},
                              {"code", detail::json_of_code(why)},
                              {"retryable", false}});
        }
        auto result = processor_->process_batch(session, batch);
        // A device would get the same error for ever. The processor's observer has them.
        std::erase_if(result.overwrote, [](const auto& one) {
            const auto& value = one.replaced.value;
            return value && !detail::text_of_part([&] { return detail::Json(*value); },
                                                  detail::sync_answer_depth - 4);
        });
        const auto conflicts = detail::text_of_outcomes(std::exchange(result.conflicts, {}));
        auto failures = detail::text_of_outcomes(std::exchange(result.failed_operations, {}));
        for (const detail::Json& one : unread) {
            failures += (failures.empty() ? "" : ",") + one.dump();
        }
        const auto overwrites = detail::text_of_outcomes(std::exchange(result.overwrote, {}));
        detail::Json document = result;
        if (!unread.empty()) {
            document["success"] = false;
            document["failed_count"] = result.failed_count + unread.size();
        }
        for (const char* const list : {"conflicts", "failed_operations"}) document.erase(list);
        std::string text =
            R"({"conflicts":[)" + conflicts + R"(],"failed_operations":[)" + failures + "],";
        if (!overwrites.empty()) text += R"("overwrote":[)" + overwrites + "],";
        return {text + document.dump().substr(1), result.synced_count != 0};
    }

    Processor* processor_;
    ReplicaServerOptions options_;
    detail::PageSize size_{};
};

}  // namespace part

}}  // namespace belay
