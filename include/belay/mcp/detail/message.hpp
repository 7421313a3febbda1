// SPDX-License-Identifier: MIT
/// \file belay/mcp/detail/message.hpp
/// JSON-RPC 2.0 messages, as a server of the Model Context Protocol sends and receives them.
#pragma once

#include <cstdint>      // std::uint64_t
#include <string>       // std::string
#include <string_view>  // std::string_view
#include <utility>      // std::move
#include <vector>       // std::vector

#include <belay/core/result.hpp>
#include <belay/http/http_errc.hpp>
#include <belay/json/detail/json_cost.hpp>
#include <belay/mcp/error.hpp>
#include <nlohmann/json.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

using McpJson = nlohmann::json;

/// One received message.
struct McpMessage {
    enum class Kind : std::uint8_t { result, error, request, notification };
    Kind kind = Kind::notification;
    /// An integer or a text, in all but a notification. Null if the server could not read our id.
    McpJson id;
    /// In requests and notifications.
    std::string method;
    /// The result, or the error.
    McpJson body;
};

/// The most messages in one answer that is an array. Versions of the protocol that allow arrays
/// answer a batch of requests with one, and belay never sends a batch.
inline constexpr std::size_t mcp_batch_max = 64;

/// The most memory for the values of one answer. Compared with the length of the answer, texts take
/// a little more, numbers a few times as much, and empty objects thirty times as much.
inline constexpr std::size_t json_memory_max = std::size_t{128} << 20;

/// Returns why a text must not be parsed; no error if it may be.
[[nodiscard]] inline std::error_code why_not_parsed(std::string_view text,
                                                    std::size_t depth_max) noexcept {
    const JsonCost cost = json_cost(text, depth_max);
    if (cost.has_nul) return mcp::Errc::not_json;
    if (cost.too_deep) return mcp::Errc::too_deep;
    return cost.bytes > json_memory_max ? make_error_code(HttpErrc::too_long) : std::error_code{};
}

/// Detects a member of a message that occurs twice, because parsers disagree on which of them
/// counts.
class RepeatedMembers {
public:
    bool operator()(int depth, McpJson::parse_event_t event, const McpJson& parsed) {
        using Event = McpJson::parse_event_t;
        if (depth == 0 && event == Event::array_start) envelope_ = 1;
        if (depth == envelope_ && event == Event::object_start) seen_.clear();
        if (depth != envelope_ + 1 || event != Event::key) return true;
        const auto& name = parsed.get_ref<const std::string&>();
        for (const std::string& one : seen_) found = found || one == name;
        // No reader uses other members.
        if (name == "id" || name == "result" || name == "error" || name == "method")
            seen_.push_back(name);
        return true;
    }

    bool found = false;

private:
    int envelope_ = 0;
    std::vector<std::string> seen_;
};

[[nodiscard]] inline Result<McpMessage> message_of(McpJson& json) {
    using Kind = McpMessage::Kind;
    if (!json.is_object()) return mcp::Errc::bad_message;
    const auto version = json.find("jsonrpc");
    if (version == json.end() || *version != "2.0") return mcp::Errc::bad_message;
    McpMessage message;
    const auto id = json.find("id");
    if (id != json.end()) message.id = *id;
    if (!message.id.is_null() && !message.id.is_string() && !message.id.is_number_integer()) {
        return mcp::Errc::bad_message;
    }
    const auto method = json.find("method"), result = json.find("result"),
               error = json.find("error");
    const auto is = [&](const auto& at) { return at != json.end(); };
    if (is(method) + is(result) + is(error) != 1) return mcp::Errc::bad_message;
    if (is(method)) {
        if (!method->is_string()) return mcp::Errc::bad_message;
        if (is(id) && message.id.is_null()) return mcp::Errc::bad_message;
        message.kind = is(id) ? Kind::request : Kind::notification;
        message.method = method->get<std::string>();
        return message;
    }
    const auto& body = is(result) ? result : error;
    if (!body->is_object() || !is(id) || (is(result) && message.id.is_null())) {
        return mcp::Errc::bad_message;
    }
    if (is(error)) {
        const auto code = error->find("code"), text = error->find("message");
        if (code == error->end() || !code->is_number_integer()) return mcp::Errc::bad_message;
        if (text == error->end() || !text->is_string()) return mcp::Errc::bad_message;
    }
    message.kind = is(result) ? Kind::result : Kind::error;
    message.body = std::move(*body);
    return message;
}

/// Returns the messages in a text: one, or an array of them.
///
/// Errors: not_json, too_deep, bad_message; HttpErrc::too_long.   Throws: std::bad_alloc.
[[nodiscard]] inline Result<std::vector<McpMessage>> read_messages(std::string_view text,
                                                                   std::size_t depth_max) {
    if (const std::error_code error = why_not_parsed(text, depth_max)) return error;
    RepeatedMembers repeated;
    McpJson json = McpJson::parse(
        text,
        [&](int depth, McpJson::parse_event_t event, const McpJson& parsed) {
            return repeated(depth, event, parsed);
        },
        false);
    if (json.is_discarded()) return mcp::Errc::not_json;
    if (repeated.found) return mcp::Errc::bad_message;
    std::vector<McpMessage> messages;
    if (!json.is_array()) {
        auto message = message_of(json);
        if (!message) return message.error();
        messages.push_back(std::move(*message));
        return messages;
    }
    if (json.empty() || json.size() > mcp_batch_max) return mcp::Errc::bad_message;
    for (McpJson& one : json) {
        auto message = message_of(one);
        if (!message) return message.error();
        messages.push_back(std::move(*message));
    }
    return messages;
}

// ---- outgoing messages --------------------------------------------------------------------------

[[nodiscard]] inline std::string mcp_request(std::uint64_t id, const char* method, McpJson params) {
    return McpJson{
        {"jsonrpc", "2.0"}, {"id", id}, {"method", method}, {"params", std::move(params)}}
        .dump();
}
[[nodiscard]] inline std::string mcp_notification(const char* method, McpJson params = nullptr) {
    McpJson json{{"jsonrpc", "2.0"}, {"method", method}};
    if (!params.is_null()) json["params"] = std::move(params);
    return json.dump();
}
/// Returns the answer to a request of the server: a result for a ping, and an error for all else.
[[nodiscard]] inline std::string mcp_reply(const McpMessage& request) {
    McpJson json{{"jsonrpc", "2.0"}, {"id", request.id}};
    if (request.method == "ping") {
        json["result"] = McpJson::object();
    } else {
        json["error"] = {{"code", -32601}, {"message", "Method not found"}};
    }
    return json.dump();
}

}}}  // namespace belay::detail
