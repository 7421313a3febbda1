// SPDX-License-Identifier: MIT
/// \file belay/mcp/options.hpp
/// mcp::Options: the server's tools that an mcp::Remote calls, their arguments, and the token.
/// mcp::Errc and mcp::Error: the reasons why a tool call failed although HTTP worked.
#pragma once

#include <chrono>        // std::chrono::seconds
#include <concepts>      // std::same_as
#include <cstddef>       // std::size_t
#include <string>        // std::string
#include <system_error>  // std::error_code, std::is_error_code_enum
#include <type_traits>   // std::is_nothrow_invocable_r_v
#include <utility>       // std::forward

#include <belay/core/completion.hpp>
#include <belay/core/detail/function.hpp>
#include <belay/core/failure.hpp>
#include <belay/link/with_token.hpp>

namespace belay { inline namespace BELAY_ABI { namespace mcp {

/// Errors in the answers of a server of the Model Context Protocol; category "belay.mcp".
///
/// Values are appended, never renumbered. Errors that HTTP itself reports are errors of HTTP.
enum class Errc {
    not_json = 1,             ///< not JSON, or not complete
    bad_message = 2,          ///< JSON, but not a message of JSON-RPC
    too_deep = 3,             ///< nested deeper than 64
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

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// A source of tokens of any type.
class McpTokenSource {
public:
    McpTokenSource() noexcept = default;
    template <class Source>
        requires(!std::same_as<std::decay_t<Source>, McpTokenSource>)
    McpTokenSource(Source&& source) : ask_{wrapped(std::forward<Source>(source))} {}

    /// Requests a token.   Pre: there is a source.
    void operator()(Completion<std::string> completion) { ask_(std::move(completion)); }
    [[nodiscard]] explicit operator bool() const noexcept { return static_cast<bool>(ask_); }

private:
    template <class Source>
    [[nodiscard]] static Function<void(Completion<std::string>)> wrapped(Source&& source) {
        using Kept = std::decay_t<Source>;
        static_assert(HasTokenType<Kept>,
                      "mcp::Options: the source of tokens needs a 'token_type'");
        if constexpr (HasTokenType<Kept>) {
            static_assert(std::same_as<typename Kept::token_type, std::string>,
                          "mcp::Options: the source's token_type must be std::string");
            static_assert(AnswersTokens<Kept>,
                          "mcp::Options: the source of tokens needs 'void "
                          "operator()(Completion<token_type>)'");
            return Function<void(Completion<std::string>)>{
                [kept = Kept{std::forward<Source>(source)}](Completion<std::string> c) mutable {
                    kept(std::move(c));
                }};
        } else {
            return {};
        }
    }

    Function<void(Completion<std::string>)> ask_;
};

/// A function that classifies errors; it must be noexcept.
class McpErrorPredicate {
public:
    McpErrorPredicate() noexcept = default;
    template <class F>
        requires(!std::same_as<std::decay_t<F>, McpErrorPredicate>)
    McpErrorPredicate(F&& f) {
        constexpr bool right =
            std::is_nothrow_invocable_r_v<bool, std::decay_t<F>&, const mcp::Error&>;
        static_assert(right,
                      "mcp::Options: is_retryable and is_missing must be 'bool(const "
                      "belay::mcp::Error&) noexcept'");
        if constexpr (right) predicate_ = Function<bool(const mcp::Error&)>{std::forward<F>(f)};
    }

    [[nodiscard]] bool operator()(const mcp::Error& error) {
        return predicate_ && predicate_(error);
    }

private:
    Function<bool(const mcp::Error&)> predicate_;
};

}}}  // namespace belay::detail

namespace belay { inline namespace BELAY_ABI { namespace mcp {

/// Options for the calls of a Remote to its server.
struct Options {
    /// The tool that returns a scene.
    std::string fetch_tool = "fetch_scene";
    /// The tool that accepts a scene.
    std::string push_tool = "push_scene";
    /// The argument of both tools for the name of a session.
    std::string session_argument = "session_id";
    /// The argument of `push_tool` for the scene.
    std::string scene_argument = "scene";

    /// The source of tokens, called before each request. The request carries the result as
    /// `Authorization: Bearer`. The source has `token_type`, a std::string, and
    /// `void operator()(Completion<std::string>)`. It may answer at once, later, or from another
    /// thread. A token that the server has rejected (401, 403) is sent again after five minutes, in
    /// one request. Until then, or until the source has another one, calls fail without reaching
    /// the server (Errc::credentials_needed).
    detail::McpTokenSource token{};
    /// A function that returns whether an error of JSON-RPC, or a failure of a tool, may pass with
    /// time. Its form is `bool(const Error&) noexcept`. It receives the text of the server. Without
    /// this function, no such error counts as retryable.
    detail::McpErrorPredicate is_retryable{};
    /// A function, of the same form, that returns whether such an error of a fetch means that there
    /// is no such session. Without it only the result `null` means that. A bridge does not
    /// push a scene if it could not fetch the remote one first.
    detail::McpErrorPredicate is_missing{};

    /// The longest time for a request, from its connection to the end of the answer.
    Duration timeout = std::chrono::seconds{30};
    /// The longest answer. An answer whose values would take more than 128 MiB of memory is too
    /// long, too.
    std::size_t answer_bytes_max = std::size_t{16} << 20;
};

}}}  // namespace belay::mcp
