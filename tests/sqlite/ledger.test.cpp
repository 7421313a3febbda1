// SPDX-License-Identifier: MIT
// Goal: sqlite::Ledger is a correct ledger in a database with tables of the user, also if the
// user's function fails, other connections write and the program is killed. Method: the ledger check, one mistake of the
// function per test, a second connection, a killed child.
#include <belay/sqlite/ledger.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <stdexcept>

#include <belay/session/ledger_check.hpp>

#include "support/catch.hpp"
#include "support/temporary_directory.hpp"

using namespace belay;
using namespace belay_test;

namespace {

constexpr const char* insert_order = "INSERT INTO orders (text) VALUES (?)";

std::error_code store_order(sqlite3& db, const Id&, BytesView operation) {
    return sqlite::write(db, insert_order, operation);
}

sqlite::Ledger ledger_in(const std::string& path, sqlite::Ledger::Apply apply = store_order) {
    auto ledger = sqlite::Ledger::open(path, std::move(apply), {.lock_wait = Duration{}});
    INFO(ledger.error().message());
    REQUIRE(ledger);
    REQUIRE_FALSE(sqlite::write(
        ledger->connection(), "CREATE TABLE IF NOT EXISTS orders (text UNIQUE ON CONFLICT FAIL)"));
    return std::move(*ledger);
}
std::size_t number(sqlite3& db, const char* sql) {
    sqlite3_stmt* statement = nullptr;
    REQUIRE(sqlite3_prepare_v2(&db, sql, -1, &statement, nullptr) == SQLITE_OK);
    REQUIRE(sqlite3_step(statement) == SQLITE_ROW);
    const auto count = static_cast<std::size_t>(sqlite3_column_int64(statement, 0));
    sqlite3_finalize(statement);
    return count;
}
std::size_t count_orders(sqlite3& db) { return number(db, "SELECT count(*) FROM orders"); }
/// The orders that another connection sees.
std::size_t committed_orders(const std::string& path) {
    sqlite3* db = nullptr;
    REQUIRE(sqlite3_open(path.c_str(), &db) == SQLITE_OK);
    const std::size_t count = count_orders(*db);
    sqlite3_close(db);
    return count;
}

constexpr Id sender{std::byte{1}};
constexpr Id other{std::byte{2}};

Progress progress_at(std::uint64_t applied) {
    return {.journal = Id{std::byte{9}}, .attach = 1, .applied = applied, .check = applied * 7};
}

}  // namespace

TEST_CASE("check::ledger finds no fault in sqlite::Ledger", "[sqlite][ledger]") {
    const TemporaryDirectory dir;
    for (const char* const mode : {"DELETE", "WAL"}) {
        CAPTURE(mode);
        int count = 0;
        const auto path = [&] { return dir / (mode + std::to_string(count)); };
        const auto open = [&] {
            auto ledger =
                sqlite::Ledger::open(path(), [](sqlite3& db, const Id&, BytesView operation) {
                    return sqlite::write(db, "INSERT INTO effects VALUES (?)", operation);
                });
            REQUIRE(ledger);
            sqlite3_exec(&ledger->connection(),
                         ("PRAGMA journal_mode=" + std::string{mode} +
                          "; CREATE TABLE IF NOT EXISTS effects (body); CREATE VIEW IF NOT EXISTS "
                          "orders AS SELECT * FROM effects")
                             .c_str(),
                         nullptr, nullptr, nullptr);
            return std::move(*ledger);
        };
        const auto make = [&] { return ++count, open(); };
        const auto effects = [](sqlite::Ledger& ledger) {
            return count_orders(ledger.connection());
        };
        const auto fault = check::ledger(make, open,
                                         [&](const sqlite::Ledger& ledger) {
                                             return effects(const_cast<sqlite::Ledger&>(ledger));
                                         },
                                         {.histories = 6, .steps = 80});
        if (fault) FAIL(to_string(fault->rule) << " in history " << fault->history);
    }
}

TEST_CASE("sqlite::Ledger syncs each commit to the medium", "[sqlite][ledger]") {
    const TemporaryDirectory dir;
    auto ledger = ledger_in(dir / "shop.db");
    constexpr std::size_t extra = 3;  // also syncs the directory of a rollback journal
    CHECK(number(ledger.connection(), "PRAGMA synchronous") == extra);
    CHECK(number(ledger.connection(), "PRAGMA fullfsync") == 1);
}

TEST_CASE("sqlite::Ledger stores nothing of an operation whose function fails or throws",
          "[sqlite][ledger]") {
    const TemporaryDirectory dir;
    enum class Fails { no, with_an_error, with_an_exception };
    Fails fails = Fails::no;
    auto ledger = ledger_in(dir / "shop.db", [&](sqlite3& db, const Id&, BytesView operation) {
        if (const auto error = sqlite::write(db, insert_order, operation)) return error;
        if (fails == Fails::with_an_exception) throw std::runtime_error{"no"};
        return fails == Fails::no ? std::error_code{} : std::make_error_code(std::errc::io_error);
    });
    // So another connection can read during a transaction.
    sqlite3_exec(&ledger.connection(), "PRAGMA journal_mode=WAL", nullptr, nullptr, nullptr);
    REQUIRE_FALSE(ledger.adopt(sender, progress_at(0)));
    REQUIRE_FALSE(ledger.apply(sender, progress_at(1), as_bytes("a")));
    fails = Fails::with_an_error;
    CHECK(ledger.apply(sender, progress_at(2), as_bytes("b")) == std::errc::io_error);
    fails = Fails::with_an_exception;
    CHECK_THROWS_AS(ledger.apply(sender, progress_at(2), as_bytes("b")), std::runtime_error);
    CHECK(ledger.progress(sender) == progress_at(1));
    fails = Fails::no;
    REQUIRE_FALSE(ledger.apply(sender, progress_at(2), as_bytes("b")));
    CHECK(committed_orders(dir / "shop.db") == 0);
    REQUIRE_FALSE(ledger.commit());
    CHECK(committed_orders(dir / "shop.db") == 2);
}

TEST_CASE("sqlite::Ledger gives the error of a constraint a name of its own", "[sqlite][ledger]") {
    const TemporaryDirectory dir;
    auto ledger = ledger_in(dir / "shop.db", [](sqlite3& db, const Id&, BytesView operation) {
        const auto error = sqlite::write(db, insert_order, operation);
        // The sender of an order that can never be stored must not wait for ever.
        if (error != std::errc::invalid_argument) return error;
        return sqlite::write(db, "INSERT INTO rejected VALUES (?, ?)", operation, 7);
    });
    REQUIRE_FALSE(sqlite::write(ledger.connection(), "CREATE TABLE rejected (text, reason)"));
    REQUIRE_FALSE(ledger.adopt(sender, progress_at(0)));
    for (const std::uint64_t number : {1U, 2U}) {
        REQUIRE_FALSE(ledger.apply(sender, progress_at(number), as_bytes("the same")));
    }
    REQUIRE_FALSE(ledger.commit());
    CHECK(committed_orders(dir / "shop.db") == 1);
}

TEST_CASE("sqlite::write rejects statements that it cannot run as they are", "[sqlite][ledger]") {
    const TemporaryDirectory dir;
    auto ledger = ledger_in(dir / "shop.db");
    sqlite3& db = ledger.connection();
    CHECK(sqlite::write(db, "nonsense") == std::errc::not_supported);
    CHECK(sqlite::write(db, "") == std::errc::not_supported);
    CHECK(sqlite::write(db, "SELECT 1") == std::errc::not_supported);
    CHECK(sqlite::write(db, insert_order) == std::errc::not_supported);
    CHECK(sqlite::write(db, insert_order, "a", "b") == std::errc::not_supported);
    CHECK(sqlite::write(db, "INSERT INTO orders VALUES (1); DELETE FROM orders") ==
          std::errc::not_supported);
    CHECK_FALSE(sqlite::write(db, insert_order, "a"));
    CHECK_FALSE(sqlite::write(db, insert_order, std::string{"b"}));
    CHECK_FALSE(sqlite::write(db, insert_order, 3U));
    CHECK(count_orders(db) == 3);
}

TEST_CASE("sqlite::write reports a lock that it meets while it prepares", "[sqlite][ledger]") {
    const TemporaryDirectory dir;
    auto ledger = ledger_in(dir / "shop.db");
    sqlite3* db = nullptr;  // it has not read the tables yet
    REQUIRE(sqlite3_open((dir / "shop.db").c_str(), &db) == SQLITE_OK);
    REQUIRE(sqlite3_exec(&ledger.connection(), "BEGIN EXCLUSIVE", nullptr, nullptr, nullptr) ==
            SQLITE_OK);
    CHECK(sqlite::write(*db, insert_order, "a") == QueueErrc::already_locked);
    sqlite3_close(db);
}

TEST_CASE("sqlite::Ledger fails if its function ends the transaction", "[sqlite][ledger]") {
    const TemporaryDirectory dir;
    const char* const ends =
        GENERATE("COMMIT", "ROLLBACK", "COMMIT; BEGIN IMMEDIATE", "ROLLBACK; BEGIN IMMEDIATE",
                 "INSERT OR ROLLBACK INTO orders VALUES (x'656E64')", "RELEASE belay_operation");
    const bool ends_quietly = GENERATE(true, false);
    CAPTURE(ends);
    std::error_code error;
    auto ledger = ledger_in(dir / "shop.db", [&](sqlite3& db, const Id&, BytesView operation) {
        error = store_order(db, sender, operation);
        if (operation.size() == 3) {
            sqlite3_exec(&db, ends, nullptr, nullptr, nullptr);
            error = sqlite::write(db, insert_order, "more");
        }
        return ends_quietly ? std::error_code{} : error;
    });
    REQUIRE_FALSE(ledger.adopt(sender, progress_at(0)));
    if (GENERATE(true, false)) {
        REQUIRE_FALSE(ledger.apply(sender, progress_at(1), as_bytes("a")));
        CHECK(ledger.apply(sender, progress_at(2), as_bytes("end")));
    } else {
        CHECK(ledger.apply(sender, progress_at(1), as_bytes("end")));
    }
    CHECK(ledger.commit() == QueueErrc::must_reopen);
    CHECK(ledger.apply(sender, progress_at(2), as_bytes("b")) == QueueErrc::must_reopen);
    // Neither an effect nor its progress is stored.
    CHECK(committed_orders(dir / "shop.db") == 0);
    // The failed one holds no lock: a receiver resumes with the next one.
    ledger = ledger_in(dir / "shop.db");
    const std::optional<Progress> now = ledger.progress(sender);
    REQUIRE(now);
    CHECK(now->applied == 0);
    REQUIRE_FALSE(ledger.apply(sender, progress_at(now->applied + 1), as_bytes("c")));
    CHECK_FALSE(ledger.commit());
}

TEST_CASE("sqlite::Ledger reports a lock of another connection, and goes on after it",
          "[sqlite][ledger]") {
    const TemporaryDirectory dir;
    const std::string path = dir / "shop.db";
    auto ledger = ledger_in(path);
    REQUIRE_FALSE(ledger.adopt(sender, progress_at(0)));
    sqlite3* db = nullptr;
    REQUIRE(sqlite3_open(path.c_str(), &db) == SQLITE_OK);
    REQUIRE(sqlite3_exec(db, "BEGIN IMMEDIATE", nullptr, nullptr, nullptr) == SQLITE_OK);
    CHECK(ledger.apply(sender, progress_at(1), as_bytes("a")) == QueueErrc::already_locked);
    CHECK_FALSE(ledger.commit());
    sqlite3_exec(db, "COMMIT", nullptr, nullptr, nullptr);
    CHECK_FALSE(ledger.apply(sender, progress_at(1), as_bytes("a")));
    // Others must wait until the commit.
    CHECK(sqlite3_exec(db, "BEGIN IMMEDIATE", nullptr, nullptr, nullptr) == SQLITE_BUSY);
    CHECK_FALSE(ledger.commit());
    sqlite3_close(db);
}

TEST_CASE("A reader of the database holds up an operation of a sqlite::Ledger, and no commit",
          "[sqlite][ledger]") {
    const TemporaryDirectory dir;
    const std::string path = dir / "shop.db";
    auto ledger = ledger_in(path);
    REQUIRE_FALSE(ledger.adopt(sender, progress_at(0)));
    sqlite3* db = nullptr;
    REQUIRE(sqlite3_open(path.c_str(), &db) == SQLITE_OK);
    const auto read = [&] {
        return sqlite3_exec(db, "BEGIN; SELECT * FROM orders", nullptr, nullptr, nullptr);
    };
    REQUIRE(read() == SQLITE_OK);
    CHECK(ledger.apply(sender, progress_at(1), as_bytes("a")) == QueueErrc::already_locked);
    REQUIRE(sqlite3_exec(db, "COMMIT", nullptr, nullptr, nullptr) == SQLITE_OK);
    REQUIRE_FALSE(ledger.apply(sender, progress_at(1), as_bytes("a")));
    CHECK(read() == SQLITE_BUSY);
    CHECK_FALSE(ledger.commit());
    sqlite3_close(db);
    CHECK(committed_orders(path) == 1);
}

TEST_CASE("Two sqlite::Ledgers of one database never apply an operation twice",
          "[sqlite][ledger]") {
    const TemporaryDirectory dir;
    auto first = ledger_in(dir / "shop.db");
    REQUIRE_FALSE(first.adopt(sender, progress_at(0)));
    auto second = ledger_in(dir / "shop.db");
    CHECK(second.store_id() == first.store_id());
    REQUIRE_FALSE(second.apply(sender, progress_at(1), as_bytes("a")));
    REQUIRE_FALSE(second.adopt(other, progress_at(0)));
    CHECK(first.apply(sender, progress_at(1), as_bytes("a again")) == QueueErrc::must_reopen);
    CHECK(first.commit() == QueueErrc::must_reopen);
    first = ledger_in(dir / "shop.db");
    CHECK(first.progress(sender) == progress_at(1));
    CHECK(first.progress(other) == progress_at(0));
    CHECK(committed_orders(dir / "shop.db") == 1);
}

TEST_CASE("A killed program loses only what its sqlite::Ledger had not committed",
          "[sqlite][ledger]") {
    const TemporaryDirectory dir;
    const pid_t child = fork();
    if (child == 0) {
        auto ledger = sqlite::Ledger::open(dir / "shop.db", store_order);
        if (!ledger || sqlite::write(ledger->connection(), "CREATE TABLE orders (text)") ||
            ledger->adopt(sender, progress_at(0)) ||
            ledger->apply(sender, progress_at(1), as_bytes("a")) || ledger->commit() ||
            ledger->apply(sender, progress_at(2), as_bytes("b"))) {
            _exit(1);
        }
        kill(getpid(), SIGKILL);
    }
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    REQUIRE(WIFSIGNALED(status));
    auto ledger = ledger_in(dir / "shop.db");
    CHECK(ledger.progress(sender) == progress_at(1));
    CHECK(count_orders(ledger.connection()) == 1);
}

TEST_CASE("sqlite::Ledger does not open what is not its own", "[sqlite][ledger]") {
    const TemporaryDirectory dir;
    const auto error_of = [&](const std::string& name, sqlite::Ledger::Apply apply = store_order,
                              sqlite::LedgerOptions options = {}) {
        const auto ledger = sqlite::Ledger::open(name, std::move(apply), options);
        REQUIRE_FALSE(ledger);
        INFO(ledger.error().message());
        CHECK_FALSE(ledger.error().message().empty());
        return ledger.error().code;
    };
    CHECK(error_of("") == QueueErrc::bad_options);
    CHECK(error_of(dir / "a", {}) == QueueErrc::bad_options);
    CHECK(error_of(dir / "a", store_order, {.lock_wait = Duration{-1}}) == QueueErrc::bad_options);
    std::ofstream{dir / "text"} << "this is a text and not a database, however long it is";
    CHECK(error_of(dir / "text") == QueueErrc::foreign_file);
    {
        auto ledger = ledger_in(dir / "later.db");
        REQUIRE_FALSE(sqlite::write(ledger.connection(), "UPDATE belay_ledger SET version = 2"));
    }
    CHECK(error_of(dir / "later.db") == QueueErrc::other_version);
    {
        auto ledger = ledger_in(dir / "short.db");
        REQUIRE_FALSE(ledger.adopt(sender, progress_at(0)));
        REQUIRE_FALSE(
            sqlite::write(ledger.connection(), "UPDATE belay_progress SET journal = x'01'"));
    }
    CHECK(error_of(dir / "short.db") == QueueErrc::corrupt);
    {
        auto ledger = ledger_in(dir / "half.db");
        REQUIRE_FALSE(sqlite::write(ledger.connection(), "DROP TABLE belay_progress"));
    }
    CHECK(error_of(dir / "half.db") == QueueErrc::corrupt);
}
