// SPDX-License-Identifier: MIT
// Goal: the errors and reports of journals have a text. Method: values by hand.
#include <belay/journal/journal_text.hpp>

#include "support/catch.hpp"

using namespace belay;

TEST_CASE("to_string of a JournalReport and of a DrainReport has each number",
          "[journal][text][unit]") {
    CHECK(to_string(JournalReport{.unwritten_bytes = 64, .undeleted_files = 2}) ==
          "operations=0 truncated_bytes=0 unwritten_bytes=64 undeleted_files=2 created=false");
    CHECK(to_string(JournalReport{.operations = 12, .created = true}) ==
          "operations=12 truncated_bytes=0 created=true");
    CHECK(to_string(JournalReport{.operations = 1,
                                  .truncated_bytes = 31,
                                  .truncated_path = "a b/1.journal",
                                  .truncated_offset = 128}) ==
          "operations=1 truncated_bytes=31 truncated_path=\"a b/1.journal\" truncated_offset=128 "
          "created=false");
    CHECK(to_string(DrainReport{.drained = 3}) == "drained=3");
    const auto error = make_error_code(QueueErrc::queue_full);
    CHECK(to_string(DrainReport{.drained = 0, .error = error}) ==
          "drained=0 error=\"" + to_string(error) + "\"");
}

TEST_CASE("to_string of a JournalError is its message", "[journal][text][unit]") {
    const JournalError error{make_error_code(QueueErrc::queue_full), "dir", 7, ""};
    CHECK(to_string(error) == error.message());
}
