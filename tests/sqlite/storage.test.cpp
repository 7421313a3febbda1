// SPDX-License-Identifier: MIT
// Goal: sqlite::Storage is a storage, keeps its guarantees, and reports errors with advice.
// Method: the storage check, SIGKILL, failing writes and flushes, damaged and foreign files.
#include <belay/sqlite/storage.hpp>

#include <cerrno>
#include <filesystem>
#include <fstream>

#include <belay/core/random.hpp>
#include <belay/sqlite/ledger.hpp>

#include "support/sqlite/database_faults.hpp"
#include "support/sqlite/database_suite.hpp"
#include "support/sqlite/failing_files.hpp"

using namespace belay;
using namespace belay_test;

TEST_CASE("sqlite::Storage passes the tests of all databases", "[sqlite][storage][fault]") {
    belay_test::check_database<Sqlite>();
}

namespace {
std::string statements;  // of all connections, while trace() is an extension

int trace(sqlite3* db, char**, const sqlite3_api_routines*) {
    const auto note = [](unsigned, void*, void*, void* text) {
        statements += static_cast<const char*>(text);
        return 0;
    };
    return sqlite3_trace_v2(db, SQLITE_TRACE_STMT, note, nullptr);
}
}  // namespace

TEST_CASE("sqlite databases open without the name sqlite_schema, which came with SQLite 3.33",
          "[sqlite][storage][regression]") {
    const TemporaryDirectory dir;
    statements.clear();
    const auto extension = reinterpret_cast<void (*)()>(&trace);
    REQUIRE(sqlite3_auto_extension(extension) == SQLITE_OK);
    {
        const auto storage = opened<Sqlite>(dir / "q", Sqlite::full);
        const auto ledger = sqlite::Ledger::open(
            dir / "ledger",
            [](sqlite3&, const Id&, BytesView) noexcept { return std::error_code{}; });
        CHECK(ledger);
    }
    sqlite3_cancel_auto_extension(extension);
    CHECK(statements.find("sqlite_master") != statements.npos);
    CHECK(statements.find("sqlite_schema") == statements.npos);
}

TEST_CASE("sqlite::Storage confirms nothing while its log is not at its path",
          "[sqlite][storage][regression]") {
    const TemporaryDirectory dir;
    const Displacer displace{[&] { return (dir / "q") + "-wal"; }, Meanwhile::nothing};
    auto storage = opened<Sqlite>(dir / "q", Sqlite::full);
    REQUIRE_FALSE(push(storage, "a"));
    displace(true);
    CHECK(push(storage, "b") == QueueErrc::displaced);
    displace(false);
    CHECK_FALSE(push(storage, "c"));
    CHECK(storage.size() == 2);
}

TEST_CASE("sqlite::Storage::open rejects a file that another program reads",
          "[sqlite][storage][fault]") {
    const TemporaryDirectory dir;
    fill<Sqlite>(dir / "q", 1);
    sqlite3* db = nullptr;
    REQUIRE(sqlite3_open((dir / "q").c_str(), &db) == SQLITE_OK);
    REQUIRE(sqlite3_exec(db, "BEGIN; SELECT * FROM queue", nullptr, nullptr, nullptr) == SQLITE_OK);
    CHECK(refused<Sqlite>(dir / "q").code == QueueErrc::already_locked);
    sqlite3_close(db);
    CHECK(opened<Sqlite>(dir / "q").size() == 1);
}

TEST_CASE("sqlite::Storage::open treats :memory: and URIs as names of files",
          "[sqlite][storage][fault]") {
    const TemporaryDirectory dir;
    CHECK(in_child([&] {
        if (::chdir(dir.path().c_str()) != 0) return false;
        for (const char* const name : {":memory:", "file:q?mode=memory"}) {
            auto made = sqlite::Storage::open(name, Sqlite::fast);
            if (!made || made->try_push(as_bytes("x"))) return false;
            if (!std::filesystem::exists(name)) return false;
        }
        return true;
    }));
}

TEST_CASE("sqlite::Storage can be read by others when it is closed", "[sqlite][storage][unit]") {
    const TemporaryDirectory dir;
    const auto look = [&](std::string& observed) {
        sqlite3* db = nullptr;
        REQUIRE(sqlite3_open_v2((dir / "q.db").c_str(), &db, SQLITE_OPEN_READONLY, nullptr) ==
                SQLITE_OK);
        const auto row = [](void* into, int, char** values, char**) {
            static_cast<std::string*>(into)->append(values[0]);
            return 0;
        };
        const int answer = sqlite3_exec(db, "SELECT body FROM queue", row, &observed, nullptr);
        sqlite3_close(db);
        return answer;
    };
    std::string observed;
    {
        auto storage = sqlite::Storage::open(dir / "q.db");
        REQUIRE(storage);
        REQUIRE(storage->try_push(as_bytes("one")) == std::error_code{});
        CHECK(look(observed) == SQLITE_BUSY);
        CHECK(observed.empty());
    }
    CHECK(look(observed) == SQLITE_OK);
    CHECK(observed == "one");
}

#if defined(SQLITE_OPEN_NOFOLLOW)
TEST_CASE("sqlite::Storage::open follows links in the path, and no link in the place of the file",
          "[sqlite][storage][regression]") {
    const TemporaryDirectory dir;
    std::filesystem::create_directory(dir / "real");
    std::filesystem::create_directory_symlink(dir / "real", dir / "way");
    {
        auto storage = sqlite::Storage::open(dir / "way/q.db");
        REQUIRE(storage);
        REQUIRE(storage->try_push(as_bytes("1")) == std::error_code{});
    }
    CHECK(std::filesystem::exists(dir / "real/q.db"));
    // Links to the file of a queue, and to an empty file of another program.
    std::filesystem::create_symlink(dir / "real/q.db", dir / "link.db");
    std::ofstream{dir / "empty"};
    std::filesystem::create_symlink(dir / "empty", dir / "other.db");
    for (const char* const name : {"link.db", "other.db"}) {
        const auto refused = sqlite::Storage::open(dir / name);
        INFO(name);
        REQUIRE_FALSE(refused);
        CHECK(refused.error().code == std::errc::too_many_symbolic_link_levels);
        CHECK(refused.error().message().find("does not follow a link") != std::string::npos);
    }
    CHECK(std::filesystem::file_size(dir / "empty") == 0);
    CHECK(sqlite::Storage::open(dir / "real/q.db")->size() == 1);
}
#endif

TEST_CASE("sqlite::Storage::open leaves the files of other programs unchanged",
          "[sqlite][storage][fault]") {
    const TemporaryDirectory dir;
    std::ofstream{dir / "text"} << std::string(1000, 'x');
    run_sql(dir / "db", "CREATE TABLE notes (text)");
    run_sql(dir / "named", "PRAGMA application_id=7");
    for (const char* const name : {"text", "db", "named"}) {
        belay_test::check_foreign<Sqlite>(dir / name);
    }
    fill<Sqlite>(dir / "later", 1);
    for (const std::string version : {"0", "2"}) {
        const std::string sql = "PRAGMA user_version=" + version;
        run_sql(dir / "later", sql.c_str());
        const sqlite::Error error = refused<Sqlite>(dir / "later");
        CHECK(error.code == QueueErrc::other_version);
        CHECK(error.what ==
              "it has version " + version + ", and this program reads only version 1");
    }
    run_sql(dir / "later", "PRAGMA user_version=1");
    CHECK(sqlite::Storage::open(dir / "later")->size() == 1);
}

TEST_CASE("sqlite::Storage::open rejects a queue that lacks operations",
          "[sqlite][storage][fault]") {
    for (const char* const sql : {"DELETE FROM queue WHERE number = 5", "DROP TABLE queue",
                                  "UPDATE queue SET number = -1 WHERE number = 1",
                                  "UPDATE queue SET number = number - 20"}) {
        INFO(sql);
        const TemporaryDirectory dir;
        const std::string path = dir / "q";
        fill<Sqlite>(path, 10);
        run_sql(path, sql);
        CHECK(refused<Sqlite>(path).code == QueueErrc::corrupt);
    }
}

TEST_CASE("sqlite::Storage detects an operation that differs from the pushed one",
          "[sqlite][storage][fault]") {
    const TemporaryDirectory dir;
    fill<Sqlite>(dir / "q", 3);
    run_sql(dir / "q", "UPDATE queue SET body = x'00' WHERE number = 2");
    sqlite::Storage storage = opened<Sqlite>(dir / "q");
    CHECK(as_text(*storage.try_pop()) == text_for(1));
    CHECK(storage.front().error() == QueueErrc::corrupt);
    CHECK_FALSE(storage.try_pop());
    CHECK(storage.size() == 2);
    CHECK_FALSE(storage.ack());  // removed without being read
    CHECK(as_text(*storage.front()) == text_for(3));
    // Whole operations, in the place of each other.
    fill<Sqlite>(dir / "swapped", 2);
    run_sql(dir / "swapped",
            "UPDATE queue SET number = number + 10;"
            "UPDATE queue SET number = 13 - number");
    CHECK(opened<Sqlite>(dir / "swapped").front().error() == QueueErrc::corrupt);
}

TEST_CASE(
    "sqlite::Storage with a flipped bit, or cut short, returns only operations that were pushed",
    "[sqlite][storage][fault]") {
    const TemporaryDirectory dir;
    fill<Sqlite>(dir / "q", 12);
    const std::string whole = bytes_of(dir / "q");
    CHECK_FALSE(notices<Sqlite>(whole, text_for));
    Random bits{Seed{1}};
    int count = 0;
    for (std::size_t at = 0; at < whole.size(); at += 1 + bits() % 200) {
        INFO("byte " << at);
        std::string damaged = whole;
        damaged[at] = static_cast<char>(damaged[at] ^ (1 << bits() % 8));
        if (notices<Sqlite>(damaged, text_for)) ++count;
    }
    CHECK(count > 10);
    belay_test::check_cut_short<Sqlite>(whole, whole.size(), text_for);
}

TEST_CASE("sqlite::Storage: a failed write or flush loses no operation, and confirms none",
          "[sqlite][storage][fault]") {
    for (const int answer : {SQLITE_FULL, SQLITE_IOERR_WRITE}) {
        INFO("answer " << answer);
        FailingFiles::answer = answer;
        const int broken = belay_test::check_failing_changes<Sqlite>(
            [&](sqlite::Storage& storage, const std::error_code& error) {
                // A write that failed for lack of space changed nothing.
                if (answer == SQLITE_FULL) {
                    REQUIRE_FALSE(storage.failed());
                } else {
                    REQUIRE(error == std::errc::io_error);
                    REQUIRE(storage.failed() == error);
                }
            });
        CHECK((broken > 0) == (answer == SQLITE_IOERR_WRITE));
    }
}

TEST_CASE("sqlite::Storage::try_pop loses no value when the disk fails at any place",
          "[sqlite][storage][regression]") {
    for (const int answer : {SQLITE_IOERR_WRITE, SQLITE_IOERR_FSYNC}) {
        INFO("answer " << answer);
        FailingFiles::answer = answer;
        CHECK(belay_test::check_failing_pops<Sqlite>() > 0);
    }
}

TEST_CASE("sqlite::Storage: a flush that fails for lack of space leaves the outcome unknown",
          "[sqlite][storage][regression]") {
    FailingFiles files;
    const auto failed_after = [](int answer) {
        const TemporaryDirectory dir;
        sqlite::Storage storage = opened<Sqlite>(dir / "q", Sqlite::full);
        REQUIRE_FALSE(storage.try_push(as_bytes("one")));
        FailingFiles::errno_of_log = ENOSPC;
        FailingFiles::answer = answer;
        FailingFiles::countdown = 0;
        const std::error_code error = storage.try_push(as_bytes("two"));
        FailingFiles::countdown = -1;
        FailingFiles::errno_of_log = 0;
        CHECK(error == std::errc::no_space_on_device);
        CHECK(storage.size() == 1);
        return storage.failed() == error;
    };
    // Its frames are in the log, and may be found there.
    CHECK(failed_after(SQLITE_IOERR_FSYNC));
    CHECK_FALSE(failed_after(SQLITE_IOERR_WRITE));
}

TEST_CASE("sqlite::Storage::commit reports the error of the database, and not that of the log",
          "[sqlite][storage][regression]") {
    FailingFiles files;
    const TemporaryDirectory dir;
    sqlite::Storage storage = opened<Sqlite>(dir / "q");
    REQUIRE_FALSE(storage.try_push(as_bytes("one")));
    FailingFiles::errno_of_database = EFBIG;
    FailingFiles::answer = SQLITE_IOERR_WRITE;
    FailingFiles::countdown = 0;
    CHECK(storage.commit() == std::errc::file_too_large);
    CHECK_FALSE(storage.failed());
    FailingFiles::countdown = -1;
    CHECK_FALSE(storage.commit());
    CHECK(storage.size() == 1);
}
