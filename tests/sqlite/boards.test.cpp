// SPDX-License-Identifier: MIT
// Goal: whiteboard::Boards returns each user's access by its rules, over restarts, and stores the
// audit. Method: files, also changed by another program.
#include "../../examples/whiteboard/boards.hpp"

#include <sys/resource.h>

#include <csignal>

#include "support/catch.hpp"
#include "support/displacer.hpp"
#include "support/temporary_directory.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

constexpr whiteboard::BoardsOptions lasting{.flushes_each = false};

whiteboard::Boards boards_in(const std::string& path, whiteboard::BoardsOptions options = lasting) {
    auto boards = whiteboard::Boards::open(path, options);
    INFO(boards.error().message());
    REQUIRE(boards);
    return std::move(*boards);
}
std::string access_of(whiteboard::Boards& boards, std::string_view user,
                      std::string_view board = "b") {
    const auto found = boards.access({.room_id = board, .user = user});
    if (!found) return found.error().message();
    return *found ? std::string{to_string(**found)} : "no user";
}
std::error_code record(whiteboard::Boards& boards, AuditRow row) {
    driver::Question<std::error_code> question;
    boards.record(std::move(row), question.ask());
    REQUIRE(question.answered());
    return *question.take();
}
WallTime day(int n) { return WallTime{n * 24h}; }
void alter_boards(const std::string& path, const std::string& sql) {
    sqlite3* db = nullptr;
    REQUIRE(sqlite3_open(path.c_str(), &db) == SQLITE_OK);
    REQUIRE(sqlite3_exec(db, sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK);
    REQUIRE(sqlite3_close(db) == SQLITE_OK);
}

}  // namespace

TEST_CASE("whiteboard::Boards confirms nothing while its file is not at its path",
          "[sqlite][boards][regression]") {
    const TemporaryDirectory dir;
    for (const Meanwhile meanwhile : {Meanwhile::nothing, Meanwhile::copy}) {
        const std::string path = dir / std::to_string(static_cast<int>(meanwhile));
        const Displacer displace{[&] { return path; }, meanwhile};
        {
            whiteboard::Boards boards = boards_in(path);
            REQUIRE_FALSE(boards.add_user("ada"));
            REQUIRE_FALSE(boards.set_owner({"plan", "ada"}));
            displace(true);
            CHECK(boards.add_user("bob") == QueueErrc::displaced);
            CHECK(boards.set_owner({"other", "ada"}) == QueueErrc::displaced);
            CHECK(boards.remove_board("plan") == QueueErrc::displaced);
            displace(false);
            CHECK_FALSE(boards.add_user("eve"));
        }
        whiteboard::Boards boards = boards_in(path);
        const auto none = boards.access({"never", "ada"});
        REQUIRE(none);
        CHECK(*boards.access({"plan", "ada"}) != *none);
        CHECK(*boards.access({"other", "ada"}) == *none);
    }
}

TEST_CASE("whiteboard::Boards: the owner, then permissions, then public access",
          "[sqlite][boards]") {
    const TemporaryDirectory dir;
    {
        whiteboard::Boards boards = boards_in(dir / "r");
        CHECK(access_of(boards, "owner") == "no user");
        REQUIRE_FALSE(boards.set_owner({.room_id = "b", .user = "owner"}));
        REQUIRE_FALSE(boards.add_user("guest"));
        CHECK(access_of(boards, "owner") == "edit");
        CHECK(access_of(boards, "guest") == "none");
        CHECK(access_of(boards, "nobody") == "no user");
        CHECK(access_of(boards, "guest", "other") == "no user");
        REQUIRE_FALSE(boards.set_public("b", Access::view));
        CHECK(access_of(boards, "guest") == "view");
        CHECK(access_of(boards, "nobody") == "no user");
        REQUIRE_FALSE(boards.permit({.room_id = "b", .user = "guest"}, Access::comment));
        CHECK(access_of(boards, "guest") == "comment");
        // The same holds if it is less than the public access.
        REQUIRE_FALSE(boards.permit({.room_id = "b", .user = "guest"}, Access::none));
        REQUIRE_FALSE(boards.permit({.room_id = "b", .user = "owner"}, Access::none));
    }
    whiteboard::Boards boards = boards_in(dir / "r");
    CHECK(access_of(boards, "guest") == "none");
    CHECK(access_of(boards, "owner") == "edit");
    REQUIRE_FALSE(boards.withdraw({.room_id = "b", .user = "guest"}));
    CHECK(access_of(boards, "guest") == "view");

    // The board gets a new owner; the present owner cannot be removed.
    REQUIRE_FALSE(boards.set_owner({.room_id = "b", .user = "guest"}));
    CHECK(access_of(boards, "guest") == "edit");
    CHECK(access_of(boards, "owner") == "none");
    CHECK(boards.remove_user("guest") == std::errc::operation_not_permitted);
    REQUIRE_FALSE(boards.remove_user("owner"));
    CHECK(access_of(boards, "owner") == "no user");
    REQUIRE_FALSE(boards.add_user("owner"));
    CHECK(access_of(boards, "owner") == "view");  // the permissions of the user were removed, too
    REQUIRE_FALSE(boards.permit({.room_id = "b", .user = "owner"}, Access::edit));
    REQUIRE_FALSE(boards.remove_board("b"));
    REQUIRE_FALSE(boards.set_owner({.room_id = "b", .user = "guest"}));
    CHECK(access_of(boards, "owner") == "none");  // the permissions of the board were removed, too
    REQUIRE_FALSE(boards.remove_board("b"));
    CHECK(access_of(boards, "guest") == "no user");
    REQUIRE_FALSE(boards.remove_user("guest"));
}

TEST_CASE("whiteboard::Boards rejects invalid arguments", "[sqlite][boards]") {
    const TemporaryDirectory dir;
    whiteboard::Boards boards = boards_in(dir / "r");
    const std::string quote = "'; DROP TABLE users; --";
    REQUIRE_FALSE(boards.set_owner({.room_id = quote, .user = quote}));
    CHECK(access_of(boards, quote, quote) == "edit");
    CHECK(boards.add_user("") == std::errc::invalid_argument);
    CHECK(boards.set_owner({.room_id = "b", .user = ""}) == std::errc::invalid_argument);
    CHECK(boards.set_public("b", Access::view) == RoomErrc::unknown_room);
    CHECK(boards.set_owner({.room_id = "", .user = "u"}) == RoomErrc::bad_room_id);
    CHECK(boards.set_owner({.room_id = std::string(101, 'b'), .user = "u"}) ==
          RoomErrc::bad_room_id);
    CHECK(access_of(boards, "u") == "no user");
    CHECK(boards.permit({.room_id = "b", .user = "u"}, Access::view) == RoomErrc::unknown_room);
    REQUIRE_FALSE(boards.set_owner({.room_id = "b", .user = "u"}));
    CHECK(boards.permit({.room_id = "b", .user = "u"}, Access{9}) == std::errc::invalid_argument);
    CHECK(boards.set_public("b", Access{9}) == std::errc::invalid_argument);
    CHECK_FALSE(whiteboard::Boards::open(""));
    CHECK_FALSE(whiteboard::Boards::open(dir / "x", {.audit_kept = -1s}));
    CHECK_FALSE(whiteboard::Boards::open(dir / "x", {.lock_within = -1s}));
    // Values that SQLite could store, and an application could not show.
    for (const std::string_view bad : {std::string_view{"a\0b", 3}, std::string_view{"\xFF"}}) {
        CHECK(boards.add_user(bad) == std::errc::invalid_argument);
        CHECK(boards.set_owner({.room_id = bad, .user = "u"}) == RoomErrc::bad_room_id);
        CHECK(boards.permit({.room_id = "b", .user = bad}, Access::view) ==
              std::errc::invalid_argument);
        CHECK(access_of(boards, bad) == "no user");
        CHECK(access_of(boards, "u", bad) == "no user");
    }
}

TEST_CASE("whiteboard::Boards admits no user by an invalid level", "[sqlite][boards]") {
    const TemporaryDirectory dir;
    {
        whiteboard::Boards boards = boards_in(dir / "r");
        REQUIRE_FALSE(boards.set_owner({.room_id = "b", .user = "u"}));
        REQUIRE_FALSE(boards.permit({.room_id = "b", .user = "v"}, Access::view));
    }
    alter_boards(dir / "r",
                 "PRAGMA ignore_check_constraints=ON; UPDATE board_permissions SET level='EDIT'");
    {
        whiteboard::Boards boards = boards_in(dir / "r");
        CHECK(boards.access({.room_id = "b", .user = "v"}).error() == QueueErrc::corrupt);
        CHECK(access_of(boards, "u") == "edit");
        REQUIRE_FALSE(boards.permit({.room_id = "b", .user = "v"}, Access::view));
        CHECK(access_of(boards, "v") == "view");
    }
    alter_boards(dir / "r", "PRAGMA ignore_check_constraints=ON; UPDATE boards SET public=''");
    whiteboard::Boards boards = boards_in(dir / "r");
    CHECK(boards.access({.room_id = "b", .user = "u"}).error() == QueueErrc::corrupt);
    REQUIRE_FALSE(boards.set_public("b", Access::none));
    CHECK(access_of(boards, "u") == "edit");
}

TEST_CASE("whiteboard::Boards keeps audit rows for audit_kept", "[sqlite][boards]") {
    const TemporaryDirectory dir;
    const whiteboard::BoardsOptions options{.flushes_each = false, .audit_kept = 24h * 10};
    {
        whiteboard::Boards boards = boards_in(dir / "r", options);
        AuditRow row{.user = "u",
                     .room_id = {"b\0", 2},
                     .level = Access::view,
                     .ip = "::1",
                     .user_agent = "a'b",
                     .time = day(1)};
        REQUIRE_FALSE(record(boards, row));
        row.user.clear();
        row.time = day(5);
        REQUIRE_FALSE(record(boards, row));
    }
    whiteboard::Boards boards = boards_in(dir / "r", options);
    const auto rows = boards.audited(0, 10);
    REQUIRE((rows && rows->size() == 2));
    CHECK((*rows)[0].user == "u");
    CHECK((*rows)[0].room_id == "b%00");
    CHECK((*rows)[0].action == "access");
    CHECK((*rows)[0].level == Access::view);
    CHECK((*rows)[0].ip == "::1");
    CHECK((*rows)[0].user_agent == "a'b");
    CHECK((*rows)[0].time == day(1));
    CHECK((*rows)[1].user.empty());
    CHECK(boards.audited(1, 10)->front().number == 2);
    CHECK(boards.audited(0, 1)->size() == 1);
    // A clock that is ahead for a moment deletes no row.
    for (int i = 2; i < 1024; ++i) {
        const int today = i == 1023 ? 1'000 : 12;
        REQUIRE_FALSE(record(boards, {.user = "u", .room_id = "b", .time = day(today)}));
    }
    CHECK(boards.audited(0, 1)->front().number == 1);
    for (int i = 0; i < 1024; ++i) {
        REQUIRE_FALSE(record(boards, {.user = "u", .room_id = "b", .time = day(12)}));
    }
    CHECK(boards.audited(0, 1)->front().number == 2);
}

TEST_CASE("whiteboard::Boards reports an access that cannot be recorded", "[sqlite][boards]") {
    const TemporaryDirectory dir;
    CHECK(in_child([&] {
        std::signal(SIGXFSZ, SIG_IGN);
        whiteboard::Boards boards = boards_in(dir / "r");
        rlimit limit{256 << 10, RLIM_INFINITY};
        if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) return false;
        const AuditRow row{.user = "u", .room_id = "b", .user_agent = std::string(5'000, 'x')};
        std::size_t kept = 0;
        std::error_code full;
        for (int i = 0; i < 200 && !full; ++i) {
            full = record(boards, row);
            if (!full) ++kept;
        }
        limit.rlim_cur = RLIM_INFINITY;
        if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) return false;
        return full && kept != 0 && boards.audited(0, 1000)->size() == kept && !record(boards, row);
    }));
}
