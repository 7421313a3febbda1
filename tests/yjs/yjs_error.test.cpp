// SPDX-License-Identifier: MIT
// Goal: the message of an error has the reason, the place and the advice. Method: each code.
#include <belay/yjs/yjs_error.hpp>

#include <set>

#include "support/catch.hpp"

using namespace belay;

TEST_CASE("yjs::UpdateError::message has the reason, the place and the advice",
          "[room][yjs_error][unit]") {
    const yjs::UpdateError error{YjsErrc::malformed_update, 2, 17, "a text is not UTF-8"};
    CHECK(error.message() ==
          "update 2 at byte 17: the update is malformed (a text is not UTF-8): reject the update, "
          "and neither store it nor send it to others: Yjs would stop reading it here or lose "
          "later parts");
    CHECK(static_cast<bool>(error));
    CHECK(std::error_code{error} == YjsErrc::malformed_update);
    CHECK(!yjs::UpdateError{});
}

TEST_CASE("yjs::UpdateError has its own advice for every code", "[room][yjs_error][unit]") {
    std::set<std::string> advice;
    for (int i = 1; i <= static_cast<int>(YjsErrc::document_full); ++i) {
        const yjs::UpdateError error{static_cast<YjsErrc>(i)};
        advice.insert(error.advice());
        CHECK(error.message().find(error.code.message()) != std::string::npos);
        CHECK(error.message().find("()") == std::string::npos);
    }
    CHECK(advice.size() == static_cast<std::size_t>(YjsErrc::document_full));
}
