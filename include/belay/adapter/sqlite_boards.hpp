// SPDX-License-Identifier: MIT
/// \file belay/adapter/sqlite_boards.hpp
/// sqlite::Boards: the rights of users on boards, and an audit, in SQLite; needs sqlite3.
#pragma once

#include <algorithm>    // std::find
#include <array>        // std::array
#include <cstdint>      // std::int64_t
#include <optional>     // std::optional
#include <string>       // std::string
#include <string_view>  // std::string_view
#include <utility>      // std::move
#include <vector>       // std::vector

#include <belay/adapter/detail/sqlite_database.hpp>
#include <belay/adapter/sqlite_error.hpp>
#include <belay/core/order.hpp>
#include <belay/core/result.hpp>
#include <belay/room/audit_like.hpp>
#include <belay/room/persistence_like.hpp>
#include <belay/sync/stamp.hpp>

namespace belay { inline namespace BELAY_ABI { namespace sqlite {

/// Options of a Boards.
struct BoardsOptions {
    /// Whether the changes of a call are on the medium when it returns. Otherwise they survive the
    /// process, but not a power cut.
    bool flushes_each = true;
    /// How long rows of the audit are kept. Older ones are deleted, up to 1,024 rows later;
    /// `forever` keeps all.
    Duration audit_kept = std::chrono::hours{24 * 365};
};

/// Stores the rights and the audit of rooms in an SQLite database of their own.
///
///     auto boards = Boards::open("access.db");                     // a Result
///     boards->set_owner({.board = "plan", .user = "7"});
///     boards->permit({.board = "plan", .user = "8"}, Access::comment);
///     boards->set_public("plan", Access::view);
///     boards->access({.board = "plan", .user = "8"});                    // comment
///
/// The owner of a board may edit it. For other users, their own permission counts, also if it is
/// `none`. A user without one has the public right of the board. A name that is not a user has no
/// rights.
///
///     users (id BLOB PRIMARY KEY); boards (id BLOB PRIMARY KEY, owner BLOB, public TEXT)
///     board_permissions (board BLOB, user BLOB, level TEXT)
///     audit_logs (number INTEGER PRIMARY KEY, user, board BLOB, action, level, ip, user_agent
///                 TEXT, time INTEGER: nanoseconds since 1970)
///
/// The database has application_id 0x62656C62 and user_version 1. Levels are stored by their names,
/// as of to_string.
///
/// Models:        AuditLike; record() answers inside the call.
/// Thread safety: distinct objects safe. After fork, the child must not use or destroy it.
/// Blocks:        every call, on the disk.
/// Errors:        those of SQLite, see Error; QueueErrc::corrupt: a level that is not valid, which
///                admits no user.
class Boards {
public:
    /// A user and a board.
    struct Member {
        std::string_view board;
        std::string_view user;
    };

    /// A stored row of the audit, with its number; numbers count up from 1.
    ///
    /// Thread safety: a plain value.
    struct Record {
        std::int64_t number = 0;
        std::string user{};
        std::string board{};
        std::string action{};
        Access level = Access::none;
        std::string ip{};
        std::string user_agent{};
        WallTime time{};
    };

    /// Opens the database in the file `path`, or creates it.
    ///
    /// Errors: what, where, and what to do, see Error. A file of another program, or of a later
    ///         version, is refused, and keeps its contents.
    /// Throws: std::bad_alloc.
    [[nodiscard]] static Result<Boards, Error> open(const std::string& path,
                                                    BoardsOptions options = {}) {
        Boards boards{options};
        std::error_code error;
        if (path.empty() || path.find('\0') != path.npos || options.audit_kept < Duration{}) {
            error = make_error_code(QueueErrc::bad_options);
        }
        if (!error) error = boards.prepare(path);
        if (error) return Error{error, path, boards.db_.last_words()};
        return boards;
    }

    // ---- rights --------------------------------------------------------------------------------

    /// Adds a user, unless the user exists.   Errors: invalid_argument: no name.
    [[nodiscard]] std::error_code add_user(std::string_view user) {
        if (user.empty()) return std::make_error_code(std::errc::invalid_argument);
        return db_.write(add_user_, as_bytes(user));
    }
    /// Removes a user, and the permissions of the user.
    ///
    /// Errors: operation_not_permitted while the user owns a board: give it to another user, or
    ///         remove it.
    [[nodiscard]] std::error_code remove_user(std::string_view user) {
        return db_.in_one_piece([&]() -> std::error_code {
            {
                const SqliteRun run{owns_};
                run.bind(1, as_bytes(user));
                const int answer = run.step();
                if (answer == SQLITE_ROW) {
                    return std::make_error_code(std::errc::operation_not_permitted);
                }
                if (answer != SQLITE_DONE) return db_.code_of(answer);
            }
            const std::error_code error = db_.write(drop_user_, as_bytes(user));
            return error ? error : db_.write(drop_rights_of_, as_bytes(user));
        });
    }
    /// Makes the user the owner of the board; creates both if they do not exist.
    ///
    /// Errors: invalid_argument: no name; RoomErrc::bad_room_id.
    [[nodiscard]] std::error_code set_owner(const Member& owner) {
        if (!detail::is_room_id(owner.board)) return RoomErrc::bad_room_id;
        return db_.in_one_piece([&] {
            const std::error_code error = add_user(owner.user);
            return error ? error
                         : db_.write(set_owner_, as_bytes(owner.board), as_bytes(owner.user));
        });
    }
    /// Removes a board, and the permissions on it; its audit stays.
    [[nodiscard]] std::error_code remove_board(std::string_view board) {
        return db_.in_one_piece([&] {
            const std::error_code error = db_.write(drop_board_, as_bytes(board));
            return error ? error : db_.write(drop_rights_on_, as_bytes(board));
        });
    }
    /// Gives a user a right on the board, which replaces the public right; creates the user if
    /// necessary.
    ///
    /// Errors: invalid_argument: no name, no level; RoomErrc::unknown_room.
    [[nodiscard]] std::error_code permit(const Member& member, Access level) {
        if (!is_level(level)) return std::make_error_code(std::errc::invalid_argument);
        return db_.in_one_piece([&]() -> std::error_code {
            const Result<std::optional<Board>> board = find(member.board);
            if (!board && board.error() != QueueErrc::corrupt) return board.error();
            if (board && !*board) return RoomErrc::unknown_room;
            const std::error_code error = add_user(member.user);
            return error ? error
                         : db_.write(permit_, as_bytes(member.board), as_bytes(member.user),
                                     to_string(level));
        });
    }
    /// Removes the user's own permission on the board.
    [[nodiscard]] std::error_code withdraw(const Member& member) {
        return db_.write(withdraw_, as_bytes(member.board), as_bytes(member.user));
    }
    /// Sets the public right of a board, which every user without a permission has.
    ///
    /// With `none`, only users with a permission, and the owner, have rights.
    /// Errors: invalid_argument: no level; RoomErrc::unknown_room.
    [[nodiscard]] std::error_code set_public(std::string_view board, Access level) {
        if (!is_level(level)) return std::make_error_code(std::errc::invalid_argument);
        if (const std::error_code error = db_.write(set_public_, to_string(level), as_bytes(board)))
            return error;
        return db_.changes() == 1 ? std::error_code{} : make_error_code(RoomErrc::unknown_room);
    }

    /// Returns the right of the user on the board; nothing if there is no such user.
    ///
    /// It is `none` if there is no such board.
    [[nodiscard]] Result<std::optional<Access>> access(const Member& member) {
        const Result<bool> known = is_user(member.user);
        if (!known) return known.error();
        if (!*known) return std::optional<Access>{};
        const Result<std::optional<Board>> board = find(member.board);
        if (!board) return board.error();
        if (!*board) return std::optional{Access::none};
        if ((*board)->owner == member.user) return std::optional{Access::edit};
        const SqliteRun run{permitted_};
        run.bind(1, as_bytes(member.board));
        run.bind(2, as_bytes(member.user));
        const int answer = run.step();
        if (answer == SQLITE_DONE) return std::optional{(*board)->everybody};
        if (answer != SQLITE_ROW) return db_.code_of(answer);
        return level_of(run.bytes(0));
    }

    // ---- audit ---------------------------------------------------------------------------------

    /// Stores a row of the audit; see AuditLike.
    void record(AuditRow row, Completion<std::error_code> answer) { answer(recorded(row)); }

    /// Returns up to `count` rows after the number `after`; 0 begins with the first row.
    [[nodiscard]] Result<std::vector<Record>> audited(std::int64_t after, std::size_t count) {
        std::vector<Record> rows;
        const SqliteRun run{audited_};
        run.bind(1, after);
        run.bind(2, static_cast<std::int64_t>(
                        detail::smaller(std::uint64_t{count}, std::uint64_t{1} << 40U)));
        const auto text = [&](int column) { return std::string{as_text(run.bytes(column))}; };
        for (;;) {
            const int answer = run.step();
            if (answer == SQLITE_DONE) return rows;
            if (answer != SQLITE_ROW) return db_.code_of(answer);
            const Result<std::optional<Access>> level = level_of(run.bytes(4));
            if (!level) return level.error();
            rows.push_back({run.number(0), text(1), text(2), text(3), **level, text(5), text(6),
                            WallTime{Duration{run.number(7)}}});
        }
    }

private:
    using SqliteRun = detail::SqliteRun;
    using SqliteStatement = detail::SqliteStatement;
    struct Board {
        std::string owner;
        Access everybody;
    };

    static constexpr std::array levels{Access::none, Access::view, Access::comment, Access::edit};
    // At most this many rows more than requested are kept before the oldest are deleted.
    static constexpr std::int64_t forgotten_at_once = 1024;

    explicit Boards(const BoardsOptions& options) : options_{options} {}

    [[nodiscard]] static bool is_level(Access level) noexcept {
        return std::find(levels.begin(), levels.end(), level) != levels.end();
    }
    /// Returns a level, or an error; never an empty optional.
    [[nodiscard]] static Result<std::optional<Access>> level_of(BytesView name) {
        for (const Access level : levels) {
            if (as_text(name) == to_string(level)) return std::optional{level};
        }
        return make_error_code(QueueErrc::corrupt);
    }

    [[nodiscard]] std::error_code prepare(const std::string& path) {
        std::int64_t version = 0;
        std::error_code error = db_.open(path);
        if (!error) error = db_.recognise({0x62656C62, 1}, version);
        if (!error) error = db_.configure(options_.flushes_each);
        if (!error && version == 0) error = create();
        const auto prepare = [&](const char* sql, SqliteStatement& into) {
            if (!error) error = db_.prepare(sql, into);
        };
        prepare("INSERT OR IGNORE INTO users VALUES (?)", add_user_);
        prepare("DELETE FROM users WHERE id=?", drop_user_);
        prepare("SELECT 1 FROM users WHERE id=?", user_);
        prepare("SELECT 1 FROM boards WHERE owner=? LIMIT 1", owns_);
        prepare("INSERT INTO boards VALUES (?, ?, 'none') ON CONFLICT (id) DO UPDATE SET owner=?2",
                set_owner_);
        prepare("DELETE FROM boards WHERE id=?", drop_board_);
        prepare("SELECT owner, public FROM boards WHERE id=?", board_);
        prepare("UPDATE boards SET public=? WHERE id=?", set_public_);
        prepare("INSERT OR REPLACE INTO board_permissions VALUES (?, ?, ?)", permit_);
        prepare("DELETE FROM board_permissions WHERE board=? AND user=?", withdraw_);
        prepare("SELECT level FROM board_permissions WHERE board=? AND user=?", permitted_);
        prepare("DELETE FROM board_permissions WHERE user=?", drop_rights_of_);
        prepare("DELETE FROM board_permissions WHERE board=?", drop_rights_on_);
        prepare(
            "INSERT INTO audit_logs (user, board, action, level, ip, user_agent, time) VALUES (?, "
            "?, ?, ?, ?, ?, ?)",
            record_);
        prepare(
            "SELECT number, user, board, action, level, ip, user_agent, time FROM audit_logs WHERE "
            "number>? ORDER BY number LIMIT ?",
            audited_);
        prepare("DELETE FROM audit_logs WHERE time<?", forget_);
        prepare("SELECT min(time) FROM audit_logs WHERE number>?", least_time_);
        return error;
    }
    [[nodiscard]] std::error_code create() noexcept {
        // AUTOINCREMENT: the numbers of deleted rows are not used again.
        return db_.execute(
            "BEGIN; CREATE TABLE users (id BLOB PRIMARY KEY) WITHOUT ROWID; CREATE TABLE boards "
            "(id BLOB PRIMARY KEY, owner BLOB NOT NULL, public TEXT NOT NULL) WITHOUT ROWID; "
            "CREATE INDEX boards_of ON boards (owner); CREATE TABLE board_permissions (board BLOB "
            "NOT NULL, user BLOB NOT NULL, level TEXT NOT NULL, PRIMARY KEY (board, user)) WITHOUT "
            "ROWID; CREATE INDEX permissions_of ON board_permissions (user); CREATE TABLE "
            "audit_logs (number INTEGER PRIMARY KEY AUTOINCREMENT, user BLOB NOT NULL, board BLOB "
            "NOT NULL, action TEXT NOT NULL, level TEXT NOT NULL, ip TEXT NOT NULL, user_agent "
            "TEXT NOT NULL, time INTEGER NOT NULL); CREATE INDEX audit_by_time ON audit_logs "
            "(time); PRAGMA application_id=0x62656C62; PRAGMA user_version=1; COMMIT");
    }

    [[nodiscard]] Result<bool> is_user(std::string_view user) {
        const SqliteRun run{user_};
        run.bind(1, as_bytes(user));
        const int answer = run.step();
        if (answer != SQLITE_ROW && answer != SQLITE_DONE) return db_.code_of(answer);
        return answer == SQLITE_ROW;
    }
    [[nodiscard]] Result<std::optional<Board>> find(std::string_view id) {
        const SqliteRun run{board_};
        run.bind(1, as_bytes(id));
        const int answer = run.step();
        if (answer == SQLITE_DONE) return std::optional<Board>{};
        if (answer != SQLITE_ROW) return db_.code_of(answer);
        const Result<std::optional<Access>> everybody = level_of(run.bytes(1));
        if (!everybody) return everybody.error();
        return std::optional{Board{std::string{as_text(run.bytes(0))}, **everybody}};
    }
    [[nodiscard]] std::error_code recorded(const AuditRow& row) {
        const auto time = static_cast<std::int64_t>(row.time.time_since_epoch().count());
        if (const std::error_code error = db_.write(
                record_, as_bytes(row.user), as_bytes(row.board), row.action, to_string(row.level),
                std::string_view{row.ip}, std::string_view{row.user_agent}, time)) {
            return error;
        }
        const bool is_time = db_.last_number() % forgotten_at_once == 0;
        if (!is_time || options_.audit_kept == forever) return {};
        // If a clock jumped ahead for a while, the other rows would be too old by its time.
        const Result<WallTime> agreed = least_time_behind(db_.last_number() - forgotten_at_once);
        if (!agreed) return agreed.error();
        const WallTime until = detail::earlier(*agreed, options_.audit_kept);
        return db_.write(forget_, static_cast<std::int64_t>(until.time_since_epoch().count()));
    }

    [[nodiscard]] Result<WallTime> least_time_behind(std::int64_t number) {
        const SqliteRun run{least_time_};
        run.bind(1, number);
        const int answer = run.step();
        if (answer != SQLITE_ROW) return db_.code_of(answer);
        return WallTime{Duration{run.number(0)}};
    }

    BoardsOptions options_;
    // The statements must end before the database.
    detail::SqliteDatabase db_{};
    SqliteStatement add_user_{};
    SqliteStatement drop_user_{};
    SqliteStatement user_{};
    SqliteStatement owns_{};
    SqliteStatement set_owner_{};
    SqliteStatement drop_board_{};
    SqliteStatement board_{};
    SqliteStatement set_public_{};
    SqliteStatement permit_{};
    SqliteStatement withdraw_{};
    SqliteStatement permitted_{};
    SqliteStatement drop_rights_of_{};
    SqliteStatement drop_rights_on_{};
    SqliteStatement record_{};
    SqliteStatement audited_{};
    SqliteStatement forget_{};
    SqliteStatement least_time_{};
};

}}}  // namespace belay::sqlite
