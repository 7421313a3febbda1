// SPDX-License-Identifier: MIT
// Goal: each error of MCP has a text and a cause that policies can use. Method: all values.
#include <belay/mcp/options.hpp>

#include <set>

#include "support/catch.hpp"

using namespace belay;

TEST_CASE("mcp::Errc has a text and a cause for each value", "[mcp][error][unit]") {
    std::set<std::string> texts;
    for (int value = 1; value <= 14; ++value) {
        const std::error_code code = static_cast<mcp::Errc>(value);
        CHECK(code.message() != "unknown error");
        CHECK(texts.insert(code.message()).second);
        CHECK(cause_of(code) != Cause::none);
    }
    CHECK(std::error_code{static_cast<mcp::Errc>(15)}.message() == "unknown error");
    CHECK(std::string{std::error_code{mcp::Errc::not_json}.category().name()} == "belay.mcp");
    CHECK(cause_of(mcp::Errc::rpc_error) == Cause::permanent);
    CHECK(cause_of(mcp::Errc::no_answer) == Cause::lost);
    CHECK(cause_of(mcp::Errc::credentials_needed) == Cause::unauthorized);
}

TEST_CASE("mcp::Error::message contains the parts that are present", "[mcp][error][unit]") {
    CHECK(mcp::Error{Failure::from(mcp::Errc::tool_failed), 0, "no scene"}.message() ==
          "permanent: the tool failed (no scene)");
    CHECK(mcp::Error{Failure::from(mcp::Errc::rpc_error), -32601, ""}.message() ==
          "permanent: the server rejects the call, -32601");
}
