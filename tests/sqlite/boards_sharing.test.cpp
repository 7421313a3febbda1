// SPDX-License-Identifier: MIT
// Goal: an application uses the database of a whiteboard::Boards at the same time, also with locks.
// Method: a second process with Python's sqlite3.
#include "../../examples/whiteboard/boards_on_thread.hpp"

#include <sys/resource.h>

#include <atomic>
#include <csignal>
#include <filesystem>

#include "support/catch.hpp"
#include "support/displacer.hpp"
#include "support/eventually.hpp"
#include "support/sqlite/sql_program.hpp"
#include "support/temporary_directory.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

whiteboard::Boards shared_boards(const std::string& path, Duration lock_within = 60s) {
    auto boards =
        whiteboard::Boards::open(path, {.flushes_each = false, .lock_within = lock_within});
    INFO(boards.error().message());
    REQUIRE(boards);
    return std::move(*boards);
}
/// The name of an access, or the reason why there is none.
std::string right_of(whiteboard::Boards& boards, std::string_view user, std::string_view board) {
    const auto found = boards.access({.room_id = board, .user = user});
    if (!found) return found.error().message();
    return *found ? std::string{to_string(**found)} : "nobody";
}
/// Waits for an answer, with a limit; none if it is dropped.
template <class V>
std::optional<V> awaited(driver::Question<V>& question) {
    REQUIRE(eventually([&] { return question.answered(); }));
    return question.take();
}
std::string right_of(whiteboard::Boards::OnThread& boards, std::string_view user) {
    driver::Question<std::optional<Access>> question;
    boards.access({.room_id = "plan", .user = user}, question.ask());
    const auto found = awaited(question);
    if (!found) return "dropped";
    return *found ? std::string{to_string(**found)} : "nobody";
}
/// The errors that an OnThread reports.
class Failures {
public:
    [[nodiscard]] auto hook() {
        return [this](const std::error_code& error) {
            const std::lock_guard lock{mutex_};
            errors_.push_back(error);
        };
    }
    /// Waits for the next error, with a limit.
    [[nodiscard]] std::error_code next() {
        REQUIRE(eventually([&] { return count() != taken_; }));
        const std::lock_guard lock{mutex_};
        REQUIRE(errors_.size() > taken_);
        return errors_[taken_++];
    }
    [[nodiscard]] std::size_t count() {
        const std::lock_guard lock{mutex_};
        return errors_.size();
    }

private:
    std::mutex mutex_;
    std::vector<std::error_code> errors_;
    std::size_t taken_ = 0;
};
void execute_on(const std::string& path, const std::string& sql) {
    sqlite3* db = nullptr;
    REQUIRE(sqlite3_open(path.c_str(), &db) == SQLITE_OK);
    const int answer = sqlite3_exec(db, sql.c_str(), nullptr, nullptr, nullptr);
    INFO(sqlite3_errmsg(db));
    CHECK(answer == SQLITE_OK);
    REQUIRE(sqlite3_close(db) == SQLITE_OK);
}

}  // namespace

TEST_CASE("An application reads and writes the tables of a whiteboard::Boards that is open",
          "[sqlite][boards]") {
    const TemporaryDirectory dir;
    whiteboard::Boards boards = shared_boards(dir / "r");
    SqlProgram application{dir / "r"};
    // Ids may be numbers in another application.
    CHECK(application.run("INSERT INTO users (id) VALUES (7), ('8')") == "[]");
    CHECK(application.run("INSERT INTO boards (id, owner) VALUES ('plan', 7)") == "[]");
    CHECK(application.run("INSERT INTO board_permissions VALUES ('plan', '8', 'comment')") == "[]");
    CHECK(right_of(boards, "7", "plan") == "edit");
    CHECK(right_of(boards, "8", "plan") == "comment");
    CHECK(right_of(boards, "9", "plan") == "nobody");
    CHECK(right_of(boards, "7", "plans") == "nobody");
    REQUIRE_FALSE(boards.permit({.room_id = "plan", .user = "9"}, Access::view));
    CHECK(application.run("SELECT user, level FROM board_permissions ORDER BY user") ==
          "[('8', 'comment'), ('9', 'view')]");

    // An invalid access is rejected by the database.
    CHECK(application.run("UPDATE board_permissions SET level='EDIT'").starts_with("error: CHECK"));
    CHECK(application.run("INSERT INTO users (id) VALUES (x'41')").starts_with("error: CHECK"));
    CHECK(application.run("INSERT INTO users (id) VALUES ('')").starts_with("error: CHECK"));
    // The application has its own columns.
    CHECK(application.run("ALTER TABLE users ADD COLUMN mail TEXT") == "[]");
    CHECK(application.run("ALTER TABLE board_permissions ADD COLUMN since TEXT") == "[]");
    CHECK(application.run("UPDATE board_permissions SET since='May'") == "[]");
    REQUIRE_FALSE(boards.permit({.room_id = "plan", .user = "9"}, Access::edit));
    CHECK(application.run("SELECT user, level, since FROM board_permissions WHERE user='9'") ==
          "[('9', 'edit', 'May')]");

    // A user who is deleted, and is created again, has no permissions.
    CHECK(application.run("DELETE FROM users WHERE id='8'") == "[]");
    CHECK(right_of(boards, "8", "plan") == "nobody");
    CHECK(application.run("INSERT INTO users (id) VALUES ('8')") == "[]");
    CHECK(right_of(boards, "8", "plan") == "none");

    CHECK(application.run("INSERT INTO audit_logs (user, board, action, time) VALUES ('7', 'plan', "
                          "'renamed', 5)") == "[]");
    const auto rows = boards.audited(0, 10);
    REQUIRE((rows && rows->size() == 1));
    CHECK(rows->front().action == "renamed");
    CHECK(rows->front().level == Access::none);
}

TEST_CASE("whiteboard::Boards::changes names the boards that an application changed",
          "[sqlite][boards]") {
    const TemporaryDirectory dir;
    whiteboard::Boards boards = shared_boards(dir / "r");
    for (const char* board : {"a", "b", "c"}) REQUIRE_FALSE(boards.set_owner({board, "ada"}));
    SqlProgram application{dir / "r"};
    std::int64_t seen = boards.changes(0)->last;
    const auto changed = [&](const std::string& sql) {
        const std::int64_t before = *boards.data_version();
        CHECK(application.run(sql) == "[]");
        CHECK(*boards.data_version() != before);
        const auto found = boards.changes(seen);
        REQUIRE(found);
        seen = found->last;
        std::string names = found->all ? "all" : "";
        for (const std::string& board : found->boards) names += board;
        return names;
    };
    CHECK(changed("INSERT INTO users (id) VALUES ('eve'), ('bob')").empty());
    CHECK(changed("INSERT INTO board_permissions VALUES ('a', 'eve', 'view')") == "a");
    CHECK(changed("UPDATE board_permissions SET level='edit' WHERE board='a'") == "a");
    CHECK(changed("UPDATE board_permissions SET board='b' WHERE board='a'") == "ab");
    CHECK(changed("DELETE FROM board_permissions") == "b");
    CHECK(changed("UPDATE boards SET public='view' WHERE id IN ('a', 'c')") == "ac");
    CHECK(changed("INSERT OR REPLACE INTO boards VALUES ('b', 'eve', 'none')") == "b");
    CHECK(changed("DELETE FROM boards WHERE id='c'") == "c");
    CHECK(changed("DELETE FROM users WHERE id='bob'") == "all");
    CHECK(changed("INSERT INTO audit_logs (user, board, action, time) VALUES ('', '', 'x', 1)")
              .empty());
    // There are more changes than the database stores, and an older copy of it.
    CHECK(boards.changes(seen + 1)->all);
    CHECK(changed("WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < "
                  "20000) INSERT INTO boards (id, owner) SELECT i, 'ada' FROM n") == "all");
    CHECK(application.run("SELECT count(*) < 10000 FROM rights_changes") == "[(1,)]");
}

TEST_CASE("A lock of an application delays only what whiteboard::Boards writes",
          "[sqlite][boards]") {
    const TemporaryDirectory dir;
    whiteboard::Boards boards = shared_boards(dir / "r", 0s);
    REQUIRE_FALSE(boards.set_owner({"plan", "ada"}));
    SqlProgram application{dir / "r"};
    CHECK(application.run("BEGIN EXCLUSIVE") == "[]");
    CHECK(application.run("UPDATE boards SET owner='eve'") == "[]");
    CHECK(right_of(boards, "ada", "plan") == "edit");
    CHECK(boards.add_user("eve") == std::errc::device_or_resource_busy);
    CHECK(boards.set_owner({"plan", "eve"}) == std::errc::device_or_resource_busy);
    CHECK(boards.set_public("plan", Access::view) == std::errc::device_or_resource_busy);
    const AuditRow row{.user = "ada", .room_id = "plan"};
    CHECK(boards.record(std::span{&row, 1}) == std::errc::device_or_resource_busy);
    CHECK(application.run("ROLLBACK") == "[]");
    REQUIRE_FALSE(boards.add_user("eve"));
    CHECK_FALSE(boards.record(std::span{&row, 1}));
    CHECK(boards.audited(0, 10)->size() == 1);
}

TEST_CASE("whiteboard::Boards::open waits for a program that is creating the same database",
          "[sqlite][boards][regression]") {
    const TemporaryDirectory dir;
    // Another connection is in the transaction that makes its tables.
    SqlProgram other{dir / "r"};
    CHECK(other.run("BEGIN IMMEDIATE") == "[]");
    CHECK(whiteboard::Boards::open(dir / "r", {.lock_within = 50ms}).error().code ==
          QueueErrc::already_locked);
    std::string rolled_back;
    std::thread end{[&] {
        std::this_thread::sleep_for(100ms);
        rolled_back = other.run("ROLLBACK");
    }};
    auto opened = whiteboard::Boards::open(dir / "r", {.lock_within = 60s});
    end.join();
    CHECK(rolled_back == "[]");
    INFO(opened.error().message());
    REQUIRE(opened);
    CHECK_FALSE(opened->set_owner({"plan", "ada"}));
}

TEST_CASE("whiteboard::Boards::open waits at most lock_within for any lock of another program",
          "[sqlite][boards][regression]") {
    const TemporaryDirectory dir;
    SqlProgram other{dir / "r"};
    CHECK(other.run("PRAGMA locking_mode=EXCLUSIVE") == "[('exclusive',)]");
    CHECK(other.run("BEGIN IMMEDIATE") == "[]");
    CHECK(other.run("CREATE TABLE x (a)") == "[]");
    std::string committed;
    // open() waits for a lock that permits readers, and then for one that does not. SQLite waits
    // for the second one in each statement.
    std::thread locks{[&] {
        std::this_thread::sleep_for(100ms);
        committed = other.run("COMMIT");  // keeps the lock
    }};
    const auto begun = std::chrono::steady_clock::now();
    const auto opened = whiteboard::Boards::open(dir / "r", {.lock_within = 1s});
    const auto took = std::chrono::steady_clock::now() - begun;
    locks.join();
    CHECK(committed == "[]");
    CHECK(opened.error().code == QueueErrc::already_locked);
    CHECK(took < 10s);
}

TEST_CASE("The log of a whiteboard::Boards grows while an application reads, and not after it",
          "[sqlite][boards]") {
    const TemporaryDirectory dir;
    whiteboard::Boards boards = shared_boards(dir / "r");
    const auto log_bytes = [&] { return std::filesystem::file_size(dir / "r-wal"); };
    const auto record = [&](int rows) {
        for (int i = 0; i < rows; ++i) {
            driver::Question<std::error_code> written;
            boards.record({.user = "ada", .room_id = "plan"}, written.ask());
            REQUIRE(*written.take() == std::error_code{});
        }
    };
    record(2'000);
    const std::uintmax_t usual = log_bytes();
    SqlProgram application{dir / "r"};
    CHECK(application.run("BEGIN") == "[]");
    CHECK(application.run("SELECT count(*) FROM audit_logs") == "[(2000,)]");
    record(2'000);
    CHECK(log_bytes() > usual + 2'000 * 4'096U);
    CHECK(right_of(boards, "ada", "plan") == "nobody");
    CHECK(application.run("COMMIT") == "[]");
    record(1'000);
    const std::uintmax_t grown = log_bytes();
    record(2'000);
    CHECK(log_bytes() == grown);
}

TEST_CASE("whiteboard::Boards rejects a database in another version of its format, and keeps it",
          "[sqlite][boards]") {
    const TemporaryDirectory dir;
    REQUIRE_FALSE(shared_boards(dir / "r").add_user("ada"));
    for (const std::string version : {"0", "1", "3"}) {
        execute_on(dir / "r", "PRAGMA user_version=" + version);
        const auto boards = whiteboard::Boards::open(dir / "r");
        REQUIRE_FALSE(boards);
        CHECK(boards.error().code == QueueErrc::other_version);
        CHECK(boards.error().message() ==
              dir / "r" + ": the database of boards has another version of its format (it has " +
                  "version " + version + ", and this program reads only version 2): " +
                  "open it with the version of belay that wrote it, or move it away to begin a "
                  "new one.");
    }
    execute_on(dir / "r", "PRAGMA user_version=2");
    whiteboard::Boards boards = shared_boards(dir / "r");
    REQUIRE_FALSE(boards.set_owner({.room_id = "plan", .user = "ada"}));
    CHECK(right_of(boards, "ada", "plan") == "edit");
}

TEST_CASE("whiteboard::Boards::audited selects rows, page by page", "[sqlite][boards]") {
    const TemporaryDirectory dir;
    whiteboard::Boards boards = shared_boards(dir / "r");
    std::vector<AuditRow> all;
    for (int i = 1; i <= 10; ++i) {
        all.push_back({.user = i % 2 == 0 ? "even" : "odd",
                       .room_id = i % 5 == 0 ? "five" : "other",
                       .action = i == 7 ? "rejected" : "access",
                       .time = WallTime{i * 1min}});
    }
    REQUIRE_FALSE(boards.record(std::span<const AuditRow>{all}));
    const auto numbers = [&](whiteboard::Boards::Query query) {
        std::string text;
        for (;;) {
            const auto page = boards.audited(query);
            REQUIRE(page);
            for (const auto& row : *page) text += std::to_string(row.number) + " ";
            if (page->size() < query.count) return text;
            query.after = page->back().number;
            text += "| ";
        }
    };
    CHECK(numbers({.count = 4}) == "1 2 3 4 | 5 6 7 8 | 9 10 ");
    CHECK(numbers({.count = 4, .newest_first = true}) == "10 9 8 7 | 6 5 4 3 | 2 1 ");
    CHECK(numbers({.count = 3, .user = "odd"}) == "1 3 5 | 7 9 ");
    CHECK(numbers({.user = "odd", .room_id = "five"}) == "5 ");
    CHECK(numbers({.action = "rejected"}) == "7 ");
    CHECK(numbers({.from = WallTime{4min}, .until = WallTime{6min}}) == "4 5 ");
    CHECK(numbers({.user = "' OR 1=1 --"}).empty());
    CHECK(boards.audited({.count = 0})->empty());
}

TEST_CASE("whiteboard::Boards::OnThread answers rights while an application holds a lock",
          "[sqlite][boards]") {
    const TemporaryDirectory dir;
    {
        whiteboard::Boards boards = shared_boards(dir / "r");
        REQUIRE_FALSE(boards.set_owner({"plan", "ada"}));
    }
    SqlProgram application{dir / "r"};
    whiteboard::Boards::OnThread boards{shared_boards(dir / "r")};
    CHECK(right_of(boards, "ada") == "edit");
    CHECK(application.run("BEGIN EXCLUSIVE") == "[]");
    // This call returns while the lock is held. Otherwise, the test would wait for itself.
    driver::Question<std::error_code> first;
    driver::Question<std::error_code> second;
    boards.record({.user = "ada", .room_id = "plan"}, first.ask());
    boards.audit().record({.user = "ada", .room_id = "plan"}, second.ask());
    CHECK(right_of(boards, "ada") == "edit");
    CHECK(right_of(boards, "bob") == "nobody");
    CHECK_FALSE(first.answered());
    CHECK(application.run("COMMIT") == "[]");
    CHECK(awaited(first) == std::error_code{});
    CHECK(awaited(second) == std::error_code{});
    CHECK(application.run("SELECT count(*) FROM audit_logs") == "[(2,)]");
}

TEST_CASE("whiteboard::Boards::OnThread ends a call after lock_within, and continues",
          "[sqlite][boards]") {
    const TemporaryDirectory dir;
    Failures failures;
    whiteboard::Boards::OnThread boards{shared_boards(dir / "r", 30ms),
                                        {.on_failed = failures.hook()}};
    SqlProgram application{dir / "r"};
    CHECK(application.run("BEGIN IMMEDIATE") == "[]");
    driver::Question<std::error_code> question;
    boards.record({.user = "ada", .room_id = "plan"}, question.ask());
    CHECK(awaited(question) == std::errc::device_or_resource_busy);
    CHECK(failures.next() == std::errc::device_or_resource_busy);
    CHECK(application.run("COMMIT") == "[]");
    boards.record({.user = "ada", .room_id = "plan"}, question.ask());
    CHECK(awaited(question) == std::error_code{});
    CHECK(failures.count() == 1);
}

TEST_CASE(
    "whiteboard::Boards::OnThread bounds the calls that wait, and reports those that it rejects",
    "[sqlite][boards]") {
    const TemporaryDirectory dir;
    SqlProgram application{dir / "r"};
    Failures failures;
    std::optional<whiteboard::Boards::OnThread> boards;
    boards.emplace(shared_boards(dir / "r"), whiteboard::Boards::OnThread::Options{
                                                 .calls_max = 2, .on_failed = failures.hook()});
    CHECK(application.run("BEGIN IMMEDIATE") == "[]");
    driver::Question<std::error_code> rows[3];
    for (auto& row : rows) boards->record({.user = "ada", .room_id = "plan"}, row.ask());
    CHECK(awaited(rows[2]) == RoomErrc::storage_busy);
    CHECK(failures.next() == RoomErrc::storage_busy);
    driver::Question<std::optional<Access>> check;
    boards->access({"plan", "ada"}, check.ask());
    CHECK_FALSE(awaited(check));
    CHECK(failures.next() == RoomErrc::storage_busy);
    // Destroying it drops the waiting calls.
    CHECK_FALSE(rows[0].answered());
    boards.reset();
    CHECK_FALSE(awaited(rows[0]));
    CHECK_FALSE(awaited(rows[1]));
    CHECK(failures.count() == 2);
}

TEST_CASE("whiteboard::Boards::OnThread reports a rejected call also if no call waits any more",
          "[sqlite][boards]") {
    // The functions of the options run on the thread, so one that waits holds it at a known place.
    const TemporaryDirectory dir;
    Failures failures;
    std::atomic<bool> held{false};
    std::atomic<bool> goes_on{false};
    whiteboard::Boards::OnThread boards{
        shared_boards(dir / "r"), {.calls_max = 1, .look_every = 1h, .on_failed = failures.hook()}};
    driver::Question<std::optional<Access>> refused;
    boards.access({"plan", "ada"}, [&](auto) noexcept {
        held = true;
        while (!goes_on) std::this_thread::yield();
    });
    while (!held) std::this_thread::yield();
    boards.access({"plan", "ada"}, refused.ask());
    CHECK_FALSE(awaited(refused));
    goes_on = true;
    CHECK(failures.next() == RoomErrc::storage_busy);
}

TEST_CASE("whiteboard::Boards::OnThread detects rights that an application changes",
          "[sqlite][boards]") {
    const TemporaryDirectory dir;
    {
        whiteboard::Boards boards = shared_boards(dir / "r");
        REQUIRE_FALSE(boards.set_owner({"plan", "ada"}));
    }
    std::mutex mutex;
    std::vector<std::string> changed;
    const auto next = [&] {
        std::string board = "nothing";
        static_cast<void>(eventually([&] {
            const std::lock_guard lock{mutex};
            if (changed.empty()) return false;
            board = changed.front();
            changed.erase(changed.begin());
            return true;
        }));
        return board;
    };
    whiteboard::Boards::OnThread boards{
        shared_boards(dir / "r"), {.look_every = 1ms, .on_changed = [&](std::string_view board) {
                                       const std::lock_guard lock{mutex};
                                       changed.emplace_back(board);
                                   }}};
    SqlProgram application{dir / "r"};
    CHECK(application.run("INSERT INTO users (id) VALUES ('eve')") == "[]");
    CHECK(application.run("INSERT INTO board_permissions VALUES ('plan', 'eve', 'view')") == "[]");
    CHECK(next() == "plan");
    CHECK(right_of(boards, "eve") == "view");
    CHECK(application.run("DELETE FROM users WHERE id='eve'") == "[]");
    CHECK(next().empty());
    CHECK(right_of(boards, "eve") == "nobody");
}

TEST_CASE("whiteboard::Boards::OnThread returns no right from a file that is not at its path",
          "[sqlite][boards]") {
    const TemporaryDirectory dir;
    {
        whiteboard::Boards boards = shared_boards(dir / "r");
        REQUIRE_FALSE(boards.set_owner({"plan", "ada"}));
    }
    std::atomic<int> failed{0};
    whiteboard::Boards::OnThread boards{shared_boards(dir / "r"),
                                        {.on_failed = [&](const std::error_code& error) {
                                            if (error == QueueErrc::displaced) ++failed;
                                        }}};
    const Displacer displace{[&] { return dir / "r"; }, Meanwhile::copy};
    displace(true);
    CHECK(right_of(boards, "ada") == "dropped");
    CHECK(failed == 1);
    displace(false);
    CHECK(right_of(boards, "ada") == "edit");
}

TEST_CASE("whiteboard::Boards reads nothing from a file that is not at its path",
          "[sqlite][boards][regression]") {
    const TemporaryDirectory dir;
    whiteboard::Boards boards = shared_boards(dir / "r");
    REQUIRE_FALSE(boards.set_owner({"plan", "ada"}));
    const Displacer displace{[&] { return dir / "r"; }, Meanwhile::copy};
    displace(true);
    CHECK(boards.access({.room_id = "plan", .user = "ada"}).error() == QueueErrc::displaced);
    CHECK(boards.changes(0).error() == QueueErrc::displaced);
    CHECK(boards.data_version().error() == QueueErrc::displaced);
    CHECK(boards.audited(0, 10).error() == QueueErrc::displaced);
    displace(false);
    CHECK(boards.changes(0)->boards == std::vector<std::string>{"plan"});
    CHECK(boards.data_version());
    CHECK(boards.audited(0, 10));
}

TEST_CASE("whiteboard::Boards::OnThread reports without a call that its file is not at its path",
          "[sqlite][boards][regression]") {
    const TemporaryDirectory dir;
    std::atomic<int> failed{0};
    whiteboard::Boards::OnThread boards{
        shared_boards(dir / "r"), {.look_every = 1ms, .on_failed = [&](const std::error_code& e) {
                                       if (e == QueueErrc::displaced) ++failed;
                                   }}};
    const Displacer displace{[&] { return dir / "r"; }, Meanwhile::copy};
    displace(true);
    CHECK(eventually([&] { return failed > 0; }));
}
