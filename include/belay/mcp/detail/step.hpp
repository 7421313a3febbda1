// SPDX-License-Identifier: MIT
/// \file belay/mcp/detail/step.hpp
/// The requests and results of McpCore, and helpers that read texts of the server.
#pragma once

#include <algorithm>    // std::find_if, std::min
#include <optional>     // std::optional
#include <string>       // std::string
#include <string_view>  // std::string_view
#include <utility>      // std::move, std::in_range

#include <belay/mcp/detail/message.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// A request to be made over HTTP.
struct McpSend {
    enum class Aim : std::uint8_t { initialize, initialized, call, reply, cancelled, end_session };
    /// Identifies the request, and is the id of its message, if that has one.
    std::uint64_t number = 0;
    Aim aim = Aim::call;
    std::string body{};
    /// The session and the protocol version; empty until there is one.
    std::string session{};
    std::string version{};
};

/// A finished call: it has a result, unless there is an error.
struct McpDone {
    std::uint64_t call = 0;
    std::optional<mcp::Error> error{};
    McpJson result{};
};

/// Returns the element that has this number.
template <class Those>
[[nodiscard]] auto find_numbered(Those& those, std::uint64_t number) noexcept {
    return std::find_if(those.begin(), those.end(),
                        [number](const auto& one) { return one.number == number; });
}

/// Makes a text of a server fit for a log: one line, at most 256 bytes, and without the token of
/// the request.
class McpLogText {
public:
    explicit McpLogText(std::string secret) : secret_{std::move(secret)} {}

    [[nodiscard]] std::string operator()(std::string_view rest) const {
        constexpr std::size_t bytes_max = 256;
        // Searches only the part that is kept: a server may send a long text that repeats the
        // token.
        std::string text;
        while (text.size() < bytes_max && !rest.empty()) {
            const std::string_view start = rest.substr(0, bytes_max + secret_.size());
            const std::size_t at = secret_.empty() ? start.npos : start.find(secret_);
            text += start.substr(0, std::min(at, bytes_max));
            if (at == start.npos) break;
            text += "***";
            rest.remove_prefix(at + secret_.size());
        }
        text.resize(std::min(text.size(), bytes_max));
        for (char& c : text) {
            if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = ' ';
        }
        return text;
    }

private:
    std::string secret_;
};

/// Returns the first text of a tool's result; empty if there is none.
[[nodiscard]] inline std::string text_of_result(const McpJson& result) {
    const auto content = result.find("content");
    if (content == result.end() || !content->is_array()) return {};
    for (const McpJson& part : *content) {
        const auto type = part.is_object() ? part.find("type") : part.end();
        if (!part.is_object() || type == part.end() || *type != "text") continue;
        const auto text = part.find("text");
        return text != part.end() && text->is_string() ? text->get<std::string>() : "";
    }
    return {};
}

/// Returns the data of a tool's result: its structured content, otherwise its first text, parsed as
/// JSON.
[[nodiscard]] inline Result<McpJson, std::error_code> json_of_result(const McpJson& result,
                                                                     std::size_t depth_max) {
    const auto structured = result.find("structuredContent");
    if (structured != result.end() && structured->is_object()) return *structured;
    const std::string text = text_of_result(result);
    if (const std::error_code error = why_not_parsed(text, depth_max)) return error;
    McpJson json = McpJson::parse(text, nullptr, false);
    if (json.is_discarded()) return make_error_code(mcp::Errc::no_scene);
    return json;
}
/// Whether a message can contain this: dump() throws for texts that are not UTF-8.
[[nodiscard]] inline bool is_writable(const McpJson& json) {
    try {
        static_cast<void>(json.dump());
        return true;
    } catch (const McpJson::type_error&) {
        return false;
    }
}

/// Converts an error of JSON-RPC.   Pre: message_of() has checked it.
[[nodiscard]] inline mcp::Error error_of(const McpJson& error, const McpLogText& words) {
    const auto code = error.at("code").get<std::int64_t>();
    return {Failure::from(mcp::Errc::rpc_error),
            std::in_range<int>(code) ? static_cast<int>(code) : 0,
            words(error.at("message").get<std::string>())};
}

/// Returns the error of JSON-RPC in the body of a rejection; null if there is none.
[[nodiscard]] inline McpJson error_in_rejection(std::string_view body) {
    constexpr std::size_t depth_max = 16;
    auto messages = read_messages(body, depth_max);
    if (!messages || messages->size() != 1) return nullptr;
    McpMessage& message = messages->front();
    return message.kind == McpMessage::Kind::error ? std::move(message.body) : McpJson{};
}
/// Returns its text for people.
[[nodiscard]] inline std::string text_of_rejection(std::string_view body) {
    const McpJson error = error_in_rejection(body);
    return error.is_null() ? "" : error.at("message").get<std::string>();
}
/// Whether the error code is one of those that JSON-RPC has for a wrong message
/// (https://www.jsonrpc.org/specification, section 5.1).
[[nodiscard]] inline bool is_about_message(std::string_view body) {
    const McpJson error = error_in_rejection(body);
    if (error.is_null()) return false;
    const auto code = error.at("code").get<std::int64_t>();
    return code == -32700 || (code <= -32600 && code >= -32603);
}

}}}  // namespace belay::detail
