// SPDX-License-Identifier: MIT
// Goal: a return code of LMDB becomes an error code of belay, and a message with advice. Method:
// all codes.
#include <belay/adapter/lmdb_error.hpp>

#include <cerrno>
#include <set>

#include "support/catch.hpp"

using namespace belay;
using belay::detail::code_of_lmdb;

TEST_CASE("Every return code of LMDB has an error code", "[adapter][lmdb_error][unit]") {
    CHECK(code_of_lmdb(MDB_INVALID) == QueueErrc::foreign_file);
    CHECK(code_of_lmdb(MDB_VERSION_MISMATCH) == QueueErrc::other_version);
    CHECK(code_of_lmdb(MDB_MAP_FULL) == QueueErrc::queue_full);
    CHECK(code_of_lmdb(MDB_CORRUPTED) == QueueErrc::corrupt);
    CHECK(code_of_lmdb(MDB_PAGE_NOTFOUND) == QueueErrc::corrupt);
    CHECK(code_of_lmdb(MDB_NOTFOUND) == QueueErrc::corrupt);
    CHECK(code_of_lmdb(MDB_PANIC) == std::errc::io_error);
    CHECK(code_of_lmdb(MDB_READERS_FULL) == std::errc::resource_unavailable_try_again);
    CHECK(code_of_lmdb(ENOSPC) == std::errc::no_space_on_device);
    CHECK(code_of_lmdb(EACCES) == std::errc::permission_denied);
}

TEST_CASE("lmdb::Error::message has the reason, the place and the advice",
          "[adapter][lmdb_error][unit]") {
    const lmdb::Error error{make_error_code(QueueErrc::foreign_file), "a.mdb", "not an LMDB file"};
    CHECK(error);
    CHECK(std::error_code{error} == QueueErrc::foreign_file);
    CHECK(error.message() == "a.mdb: " + error.code.message() +
                                 " (not an LMDB file): choose a file that only this queue uses.");
    CHECK(lmdb::Error{error.code, "a.mdb", ""}.message().find("()") == std::string::npos);
    CHECK_FALSE(lmdb::Error{});
}

TEST_CASE("lmdb::Error has its own advice for each cause", "[adapter][lmdb_error][unit]") {
    std::set<std::string> observed;
    for (const int answer : {MDB_INVALID, MDB_VERSION_MISMATCH, MDB_CORRUPTED, MDB_PANIC, ENOSPC,
                             EACCES, ENOENT, ENOTDIR, EISDIR, ENOMEM}) {
        CHECK(observed.insert(lmdb::Error{code_of_lmdb(answer), "", ""}.advice()).second);
    }
    for (const QueueErrc code : {QueueErrc::already_locked, QueueErrc::bad_options}) {
        CHECK(observed.insert(lmdb::Error{make_error_code(code), "", ""}.advice()).second);
    }
}
