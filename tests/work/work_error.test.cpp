// SPDX-License-Identifier: MIT
// Goal: a WorkError has the entry and the reason. Method: its texts.
#include <belay/work/work_options.hpp>

#include "support/catch.hpp"

using namespace belay;

TEST_CASE("WorkError::message has the entry and the reason", "[work][work_error][unit]") {
    const WorkError at{make_error_code(QueueErrc::corrupt), 17, "it is cut off"};
    CHECK(at.message() == "entry 17: the stored data is damaged (it is cut off)");
    const WorkError whole{make_error_code(QueueErrc::bad_options), 0, ""};
    CHECK(whole.message() == "the options are not allowed: see WorkOptions for the allowed values");
}

TEST_CASE("WorkError converts to its code, and is false without one", "[work][work_error][unit]") {
    const WorkError error{make_error_code(QueueErrc::other_version), 3, ""};
    const std::error_code code = error;
    CHECK(code == QueueErrc::other_version);
    CHECK(static_cast<bool>(error));
    CHECK_FALSE(static_cast<bool>(WorkError{}));
    CHECK(WorkError{}.number == 0);
}
