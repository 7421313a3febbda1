// SPDX-License-Identifier: MIT
// Goal: each error of MCP has a text and a cause that policies can use. Method: all of them.
#include <belay/adapter/mcp_error.hpp>

#include <set>

#include "support/catch.hpp"

using namespace belay;

TEST_CASE("McpErrc has a text and a cause for each value", "[adapter][mcp_error][unit]") {
    std::set<std::string> texts;
    for (int value = 1; value <= 14; ++value) {
        const std::error_code code = static_cast<McpErrc>(value);
        CHECK(code.message() != "unknown error");
        CHECK(texts.insert(code.message()).second);
        CHECK(cause_of(code) != Cause::none);
    }
    CHECK(std::error_code{static_cast<McpErrc>(15)}.message() == "unknown error");
    CHECK(std::string{std::error_code{McpErrc::not_json}.category().name()} == "belay.mcp");
    CHECK(cause_of(McpErrc::rpc_error) == Cause::permanent);
    CHECK(cause_of(McpErrc::no_answer) == Cause::lost);
    CHECK(cause_of(McpErrc::credentials_needed) == Cause::unauthorized);
}

TEST_CASE("McpError::message has what there is", "[adapter][mcp_error][unit]") {
    CHECK(McpError{Failure::from(McpErrc::tool_failed), 0, "no scene"}.message() ==
          "permanent: the tool failed (no scene)");
    CHECK(McpError{Failure::from(McpErrc::rpc_error), -32601, ""}.message() ==
          "permanent: the server refuses the call, -32601");
}
