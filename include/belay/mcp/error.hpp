// SPDX-License-Identifier: MIT
/// \file belay/mcp/error.hpp
/// mcp::Errc and mcp::Error: the reasons why a tool call failed although HTTP worked.
#pragma once

#include <string>        // std::string
#include <system_error>  // std::error_code, std::is_error_code_enum

#include <belay/core/failure.hpp>

namespace belay { inline namespace BELAY_ABI { namespace mcp {

/// Errors in the answers of a server of the Model Context Protocol; category "belay.mcp".
///
/// Values are appended, never renumbered. Errors that HTTP itself reports are errors of HTTP.
enum class Errc {
    not_json = 1,             ///< not JSON, or not complete
    bad_message = 2,          ///< JSON, but not a message of JSON-RPC
    too_deep = 3,             ///< nested deeper than `depth_max`
    two_answers = 4,          ///< two answers to one request
    no_answer = 5,            ///< the answer ended without the result
    bad_type = 6,             ///< neither JSON nor an event stream
    rpc_error = 7,            ///< an error of JSON-RPC; see Error::rpc_code
    tool_failed = 8,          ///< the tool ran, or could not, and reports that it failed
    no_scene = 9,             ///< the tool's result has no scene, or one that cannot be read
    version_rejected = 10,    ///< the server has no version of the protocol that belay has
    bad_session = 11,         ///< the id of its session cannot be sent back
    asks_too_much = 12,       ///< it sends the client more requests at once than the client answers
    credentials_needed = 13,  ///< it rejected the credentials, and there are no others yet
    bad_scene = 14            ///< the scene to push, or the name of a session, cannot be JSON
};

}}}  // namespace belay::mcp

namespace belay { inline namespace BELAY_ABI { namespace detail {
inline constexpr ErrorText mcp_error_texts[] = {
    {"the answer is not JSON", Cause::protocol},
    {"the answer is not a JSON-RPC message", Cause::protocol},
    {"the answer is nested too deeply", Cause::permanent},
    {"the server sent two answers to one request", Cause::protocol},
    {"the stream of the answer ended before the result", Cause::lost},
    {"the answer is neither JSON nor an event stream", Cause::protocol},
    {"the server rejects the call", Cause::permanent},
    {"the tool failed", Cause::permanent},
    {"the tool's result has no readable scene", Cause::protocol},
    {"the server supports no version of the protocol that belay supports", Cause::permanent},
    {"the id of the server's session is malformed", Cause::protocol},
    {"the server sent too many requests at once", Cause::protocol},
    {"the server rejects the credentials, and there are no others yet", Cause::unauthorized},
    {"the scene or the name of its session cannot be written as JSON", Cause::permanent},
};

/// Returns the category of mcp::Errc.
[[nodiscard]] inline const std::error_category& mcp_category() noexcept {
    static const TableCategory category{"belay.mcp", mcp_error_texts};
    return category;
}
}}}  // namespace belay::detail

namespace belay { inline namespace BELAY_ABI { namespace mcp {

/// Makes a std::error_code of an Errc; the implicit conversion calls it.
[[nodiscard]] inline std::error_code make_error_code(Errc error) noexcept {
    return {static_cast<int>(error), detail::mcp_category()};
}

/// The reason why a call failed, with the text of the server.
///
/// Thread safety: a plain value.
struct Error {
    /// The classification and the code: of Errc, HttpErrc, or an HTTP status.
    Failure failure{};
    /// The code of an error of JSON-RPC, for example -32601; else 0.
    int rpc_code = 0;
    /// The text of the server, without the token, cut after 256 bytes; may be empty.
    std::string text{};

    /// Returns a message such as "permanent: the tool failed (no scene board-1)".   Allocates;
    /// throws std::bad_alloc.
    [[nodiscard]] std::string message() const {
        std::string line = failure.message();
        if (rpc_code != 0) line += ", " + std::to_string(rpc_code);
        if (!text.empty()) line += " (" + text + ")";
        return line;
    }
};

}}}  // namespace belay::mcp

template <>
struct std::is_error_code_enum<belay::mcp::Errc> : std::true_type {};
