// SPDX-License-Identifier: MIT
// Goal: show how real Yjs clients answer a state vector that requests a part of their state.
// Method: the real y-protocols; docs/explanation/fair-rooms.md states the result.
#include <belay/yjs/yjs_update.hpp>

#include <map>
#include <sstream>
#include <string>

#include "support/catch.hpp"
#include "support/room/node.hpp"

using namespace belay_test;

TEST_CASE("Yjs clients send the state of one author if requested, and no limited part of it",
          "[yjs][yjs_parts][spec]") {
    RealYjs yjs;
    if (!yjs.is_here()) return;
    std::map<std::string, std::size_t> bytes;
    for (const std::string& line : yjs.run("parts.mjs")) {
        std::istringstream words{line};
        std::string request;
        words >> request;
        words >> bytes[request];
    }
    CHECK(bytes["all"] > 3'000'000);
    CHECK(bytes["one-author"] > 1'000'000);
    CHECK(bytes["one-author"] < 1'001'000);
    CHECK(bytes["end-of-author"] < 501'000);
    // Only the end of an author's edits can be requested, so a request of the begin returns all of
    // them.
    CHECK(bytes["begin-of-author"] > 1'000'000);
    CHECK(bytes["one-value"] > 3'000'000);
    CHECK(bytes["only-deletions"] > 30'000);
    CHECK(bytes["merged"] == 3'000'000);
}
