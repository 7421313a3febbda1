// SPDX-License-Identifier: MIT
// Goal: every value of Blocked has its own name. Method: all values.
#include <belay/session/session_format.hpp>

#include "support/catch.hpp"

using namespace belay;

TEST_CASE("to_string names every Blocked", "[session][blocked][unit]") {
    CHECK(to_string(Blocked::none) == "none");
    CHECK(to_string(Blocked::receiver_lost_state) == "receiver_lost_state");
    CHECK(to_string(Blocked::receiver_rolled_back) == "receiver_rolled_back");
    CHECK(to_string(Blocked::sender_rolled_back) == "sender_rolled_back");
    CHECK(to_string(Blocked::diverged) == "diverged");
    CHECK(to_string(Blocked::fenced) == "fenced");
    CHECK(to_string(Blocked::too_large) == "too_large");
    CHECK(to_string(Blocked::journal_failed) == "journal_failed");
    CHECK(to_string(static_cast<Blocked>(200)) == "unknown");
}
