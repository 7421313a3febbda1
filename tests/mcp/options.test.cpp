// SPDX-License-Identifier: MIT
// Goal: mcp::Options accepts any token source and any is_retryable, and has defaults without
// them. Method: both, and none.
#include <belay/mcp/options.hpp>

#include <optional>

#include "support/catch.hpp"

using namespace belay;

namespace {

/// A type with an owned object, which can only be moved.
struct OwningSource {
    using token_type = std::string;
    std::unique_ptr<std::string> token;
    void operator()(Completion<std::string> completion) const { completion(*token); }
};

}  // namespace

TEST_CASE("mcp::Options by default has no token source, and retries no rejection",
          "[mcp][options][unit]") {
    mcp::Options options;
    CHECK(options.fetch_tool == "fetch_scene");
    CHECK(options.push_tool == "push_scene");
    CHECK_FALSE(options.token);
    CHECK_FALSE(options.is_retryable(mcp::Error{Failure::from(mcp::Errc::rpc_error), -32603, ""}));
}

TEST_CASE("mcp::Options accepts a move-only token source, and is_retryable with state",
          "[mcp][options][unit]") {
    int calls = 0;
    mcp::Options options{.token = OwningSource{std::make_unique<std::string>("secret")},
                         .is_retryable = [&calls](const mcp::Error& error) noexcept {
                             ++calls;
                             return error.rpc_code == -32603;
                         }};
    mcp::Options moved = std::move(options);
    std::optional<std::string> reported;
    moved.token(Completion<std::string>{
        [&reported](std::optional<std::string> token) noexcept { reported = std::move(token); }});
    CHECK(reported == "secret");
    CHECK(moved.is_retryable(mcp::Error{Failure::from(mcp::Errc::rpc_error), -32603, ""}));
    CHECK_FALSE(moved.is_retryable(mcp::Error{Failure::from(mcp::Errc::rpc_error), -32600, ""}));
    CHECK(calls == 2);
}
