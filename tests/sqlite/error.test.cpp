// SPDX-License-Identifier: MIT
// Goal: a return code of SQLite becomes an error code of belay, and a message with advice. Method:
// all codes.
#include <belay/sqlite/error.hpp>

#include <cerrno>
#include <set>

#include "support/catch.hpp"

using namespace belay;
using belay::detail::code_of_sqlite;

TEST_CASE("Every return code of SQLite has an error code", "[sqlite][error][unit]") {
    CHECK(code_of_sqlite(SQLITE_BUSY) == QueueErrc::already_locked);
    CHECK(code_of_sqlite(SQLITE_BUSY_RECOVERY) == QueueErrc::already_locked);
    // Others held the locks of a reader for too long.
    CHECK(code_of_sqlite(SQLITE_PROTOCOL) == QueueErrc::already_locked);
    CHECK(code_of_sqlite(SQLITE_NOTADB) == QueueErrc::foreign_file);
    CHECK(code_of_sqlite(SQLITE_TOOBIG) == QueueErrc::too_large);
    CHECK(code_of_sqlite(SQLITE_CORRUPT_INDEX) == QueueErrc::corrupt);
    CHECK(code_of_sqlite(SQLITE_ERROR) == QueueErrc::corrupt);
    CHECK(code_of_sqlite(SQLITE_FULL, std::errc::io_error) == std::errc::no_space_on_device);
    CHECK(code_of_sqlite(SQLITE_NOMEM) == std::errc::not_enough_memory);
    CHECK(code_of_sqlite(SQLITE_READONLY_DIRECTORY) == std::errc::permission_denied);
    CHECK(code_of_sqlite(SQLITE_IOERR_WRITE) == std::errc::io_error);
    CHECK(code_of_sqlite(SQLITE_IOERR_WRITE, std::errc::file_too_large) ==
          std::errc::file_too_large);
    CHECK(code_of_sqlite(SQLITE_CANTOPEN, std::errc::is_a_directory) == std::errc::is_a_directory);
}

TEST_CASE("sqlite::Error::message has the reason, the place and the advice",
          "[sqlite][error][unit]") {
    const sqlite::Error error{make_error_code(QueueErrc::foreign_file), "a.db", "file is not a db"};
    CHECK(error);
    CHECK(std::error_code{error} == QueueErrc::foreign_file);
    CHECK(error.message() == "a.db: " + error.code.message() +
                                 " (file is not a db): choose a file that only this queue uses.");
    CHECK(sqlite::Error{error.code, "a.db", ""}.message().find("()") == std::string::npos);
    CHECK_FALSE(sqlite::Error{});
}

TEST_CASE("sqlite::Error names the content of the file in its message", "[sqlite][error][unit]") {
    const auto text = [](QueueErrc code) {
        return sqlite::Error{make_error_code(code), "a.db", "", "store", "sqlite::StoreOptions"}
            .message();
    };
    CHECK(
        text(QueueErrc::already_locked) ==
        "a.db: the store is already open: end the other program that has it open, or open it only "
        "once in this program; the lock ends with its process.");
    CHECK(text(QueueErrc::foreign_file) ==
          "a.db: the file does not belong to this store: choose a file that only this store uses.");
    CHECK(text(QueueErrc::bad_options) ==
          "a.db: the options are not allowed: see sqlite::StoreOptions for the allowed values.");
    for (const QueueErrc code : {QueueErrc::corrupt, QueueErrc::other_version})
        CHECK(text(code).find("journal") == std::string::npos);
    CHECK(text(QueueErrc::corrupt).find("the stored data is damaged") != std::string::npos);
    CHECK(text(QueueErrc::other_version).find("the store ") != std::string::npos);
    // Texts of other categories are unchanged.
    const auto system = std::make_error_code(std::errc::io_error);
    CHECK(sqlite::Error{system, "a.db", "", "store"}.message() ==
          "a.db: " + system.message() + ": check the disk, and open again.");
}

TEST_CASE("sqlite::Error has its own advice for each cause", "[sqlite][error][unit]") {
    std::set<std::string> observed;
    for (const int answer :
         {SQLITE_BUSY, SQLITE_NOTADB, SQLITE_CORRUPT, SQLITE_FULL, SQLITE_READONLY, SQLITE_IOERR}) {
        CHECK(observed.insert(sqlite::Error{code_of_sqlite(answer), "", ""}.advice()).second);
    }
    for (const std::errc system : {std::errc::no_such_file_or_directory, std::errc::not_a_directory,
                                   std::errc::is_a_directory}) {
        const std::error_code code = code_of_sqlite(SQLITE_CANTOPEN, system);
        CHECK(observed.insert(sqlite::Error{code, "", ""}.advice()).second);
    }
    for (const QueueErrc code : {QueueErrc::other_version, QueueErrc::bad_options}) {
        CHECK(observed.insert(sqlite::Error{make_error_code(code), "", ""}.advice()).second);
    }
}
