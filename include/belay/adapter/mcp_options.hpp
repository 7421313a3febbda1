// SPDX-License-Identifier: MIT
/// \file belay/adapter/mcp_options.hpp
/// mcp::Options: which tools of a server an mcp::Remote calls, how, and with which token.
#pragma once

#include <chrono>       // std::chrono::seconds
#include <concepts>     // std::same_as
#include <cstddef>      // std::size_t
#include <string>       // std::string
#include <type_traits>  // std::is_nothrow_invocable_r_v
#include <utility>      // std::forward

#include <belay/adapter/mcp_error.hpp>
#include <belay/core/completion.hpp>
#include <belay/core/detail/function.hpp>
#include <belay/link/detail/token_source_like.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// A source of tokens, of whatever type.
class McpTokenSource {
public:
    McpTokenSource() noexcept = default;
    template <class Source>
        requires(!std::same_as<std::decay_t<Source>, McpTokenSource>)
    McpTokenSource(Source&& source) : ask_{wrapped(std::forward<Source>(source))} {}

    /// Pre: there is one.
    void operator()(Completion<std::string> completion) { ask_(std::move(completion)); }
    [[nodiscard]] explicit operator bool() const noexcept { return static_cast<bool>(ask_); }

private:
    template <class Source>
    [[nodiscard]] static Function<void(Completion<std::string>)> wrapped(Source&& source) {
        using Kept = std::decay_t<Source>;
        static_assert(HasTokenType<Kept>, "mcp::Options: the source of tokens needs 'token_type'");
        if constexpr (HasTokenType<Kept>) {
            static_assert(std::same_as<typename Kept::token_type, std::string>,
                          "mcp::Options: the source's token_type must be std::string");
            static_assert(
                AnswersTokens<Kept>,
                "mcp::Options: the source needs 'void operator()(Completion<token_type>)'");
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

/// What an error means; must be noexcept.
class McpJudge {
public:
    McpJudge() noexcept = default;
    template <class F>
        requires(!std::same_as<std::decay_t<F>, McpJudge>)
    McpJudge(F&& f) {
        constexpr bool right =
            std::is_nothrow_invocable_r_v<bool, std::decay_t<F>&, const mcp::Error&>;
        static_assert(right,
                      "mcp::Options: is_retryable and is_missing must be 'bool(const "
                      "belay::mcp::Error&) noexcept'");
        if constexpr (right) judge_ = Function<bool(const mcp::Error&)>{std::forward<F>(f)};
    }

    [[nodiscard]] bool operator()(const mcp::Error& error) { return judge_ && judge_(error); }

private:
    Function<bool(const mcp::Error&)> judge_;
};

}}}  // namespace belay::detail

namespace belay { inline namespace BELAY_ABI { namespace mcp {

/// How an Remote calls its server.
struct Options {
    /// The tool that tells a scene, and the one that takes one.
    std::string fetch_tool = "fetch_scene";
    std::string push_tool = "push_scene";
    /// What these tools call the name of a session, and the scene that is pushed.
    std::string session_argument = "session_id";
    std::string scene_argument = "scene";

    /// Where tokens come from: asked before each request, which carries what it answers as
    /// `Authorization: Bearer`. Has `token_type`, a std::string, and `void
    /// operator()(Completion<std::string>)`, which may answer at once, later, or from another
    /// thread. A token that the server has refused (401, 403) is not sent again: until the source
    /// has another, calls fail without the server (Errc::credentials_needed).
    detail::McpTokenSource token{};
    /// Asked of each error of JSON-RPC, and of each failure of a tool, with the server's words,
    /// whether it is one of those that time heals; `bool(const Error&) noexcept`. None is, if
    /// there is no such function.
    detail::McpJudge is_retryable{};
    /// Asked of each failure of the tool that tells a scene, whether it says that there is no such
    /// session; of the same form. Without it only the result `null` says so, and a bridge does not
    /// push what it could not look at first.
    detail::McpJudge is_missing{};

    /// For how long a request may take, from its connection to the end of the answer.
    Duration timeout = std::chrono::seconds{30};
    /// The longest answer, and how deep its JSON may be nested. One whose values would take more
    /// than 128 MiB of memory is too long, too.
    std::size_t answer_bytes_max = std::size_t{16} << 20;
    std::size_t depth_max = 64;
};

}}}  // namespace belay::mcp
