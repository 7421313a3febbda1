// SPDX-License-Identifier: MIT
// Goal: a JournalError has the reason, the place and the advice. Method: the texts, for each kind
// of error.
#include <belay/journal/journal_options.hpp>

#include "support/catch.hpp"

using namespace belay;

TEST_CASE("JournalError::message has the reason, the place and the advice",
          "[journal][journal_error][unit]") {
    const JournalError error{make_error_code(QueueErrc::corrupt), "outbox/1.journal", 128,
                             "a pin record is malformed"};
    const std::string message = error.message();
    CHECK(message.find("outbox/1.journal at byte 128: the stored data is damaged (a pin record is "
                       "malformed): ") == 0);
    CHECK(message.find("restore the directory from a backup") != std::string::npos);
    CHECK(message.back() == '.');
    const std::error_code code = error;
    CHECK(code == QueueErrc::corrupt);
}

TEST_CASE("JournalError::advice fits the error", "[journal][journal_error][unit]") {
    const auto advice = [](std::error_code code) {
        return std::string{JournalError{code, "q", 0, ""}.advice()};
    };
    const auto of = [](std::errc code) { return std::make_error_code(code); };
    CHECK(advice(of(std::errc::no_space_on_device)).find("free some space") == 0);
    CHECK(advice(of(std::errc::file_too_large)).find("free some space") == 0);
    CHECK(advice(of(std::errc::permission_denied)).find("allow this user") == 0);
    CHECK(advice(of(std::errc::read_only_file_system)).find("allow this user") == 0);
    CHECK(advice(of(std::errc::no_such_file_or_directory)).find("create the parent directory") ==
          0);
    CHECK(advice(of(std::errc::not_a_directory)).find("choose a path") == 0);
    CHECK(advice(of(std::errc::io_error)).find("check the disk") == 0);
    CHECK(advice(of(std::errc::too_many_files_open)).find("close some files") == 0);
    CHECK(advice(of(std::errc::not_enough_memory)).find("free some memory") == 0);
    CHECK(
        advice(of(std::errc::too_many_symbolic_link_levels)).find("replace the link by the file") ==
        0);
    CHECK(advice(make_error_code(QueueErrc::displaced)).find("move the directory back") == 0);
    CHECK(advice(make_error_code(QueueErrc::already_locked)).find("end the other process") == 0);
    CHECK(advice(make_error_code(QueueErrc::foreign_file)).find("move the file out") == 0);
    CHECK(advice(make_error_code(QueueErrc::other_version)).find("open it with the version") == 0);
    CHECK(advice(make_error_code(QueueErrc::bad_options)).find("see JournalOptions") == 0);
}
