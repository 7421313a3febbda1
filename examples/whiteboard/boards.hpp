// SPDX-License-Identifier: MIT
/// \file examples/whiteboard/boards.hpp
/// Boards: the rights of users on boards, and an audit, in an SQLite database. Other
/// programs may use it at the same time. Needs sqlite3.
#pragma once

#include <algorithm>    // std::find
#include <array>        // std::array
#include <cstdint>      // std::int64_t
#include <limits>       // std::numeric_limits
#include <optional>     // std::optional
#include <span>         // std::span
#include <string>       // std::string
#include <string_view>  // std::string_view
#include <utility>      // std::move
#include <vector>       // std::vector

#include <belay/core/order.hpp>
#include <belay/core/result.hpp>
#include <belay/room/audited.hpp>
#include <belay/room/persistence_like.hpp>
#include <belay/sqlite/detail/database.hpp>
#include <belay/sqlite/error.hpp>
#include <belay/sync/stamp.hpp>

#include "board_tables.hpp"

namespace whiteboard { inline namespace BELAY_ABI {

using namespace belay;

/// Options of a Boards.
struct BoardsOptions {
    /// Whether the changes of a call are on the medium when it returns. Otherwise they survive the
    /// process, but not a power cut.
    bool flushes_each = true;
    /// How long rows of the audit are kept. Older ones are deleted, up to 1,024 rows later;
    /// `forever` keeps all.
    Duration audit_kept = std::chrono::hours{24 * 365};
    /// How long a call waits while another program holds a lock. Then it fails with
    /// `std::errc::device_or_resource_busy`, and has changed nothing.
    Duration lock_within = std::chrono::seconds{5};
};

/// Stores the rights and the audit of rooms in an SQLite database, which other programs share.
///
///     auto boards = Boards::open("access.db");                     // a Result
///     boards->set_owner({.room_id = "plan", .user = "7"});
///     boards->permit({.room_id = "plan", .user = "8"}, Access::comment);
///     boards->set_public("plan", Access::view);
///     boards->access({.room_id = "plan", .user = "8"});                    // comment
///
/// The owner of a board may edit it. For other users, their own permission counts, also if it is
/// `none`. A user without one has the public right of the board. A name that is not a user has no
/// rights.
///
///     users (id TEXT PRIMARY KEY); boards (id TEXT PRIMARY KEY, owner TEXT, public TEXT)
///     board_permissions (board TEXT, user TEXT, level TEXT)
///     audit_logs (number INTEGER PRIMARY KEY, user, board, action, level, ip, user_agent TEXT,
///                 time INTEGER: nanoseconds since 1970)
///     rights_changes (number INTEGER PRIMARY KEY, board TEXT)
///
/// Other programs may read and write the rows of the first four tables with SQL, and may add
/// columns. They must not keep a write lock for longer than `lock_within`, and need a busy timeout
/// of their own. Triggers add the changes of rights to `rights_changes`, see changes(), and remove
/// the permissions of a user or a board that is deleted. The log is a WAL, so no writer delays
/// access().
///
/// The database has application_id 0x62656C62 and user_version 2. Levels are stored by their names,
/// as of to_string. Ids are UTF-8 without zero bytes. In an audit row, any other byte is stored as
/// `%` and two hexadecimal digits.
///
/// OnThread makes the calls of a server on a thread of its own.
///
/// Models:        AuditLike; record() answers inside the call.
/// Thread safety: distinct objects safe, also for one file. After fork, the child must not use or
///                destroy it.
/// Blocks:        every call, on the disk, and up to `lock_within` on a lock.
/// Errors:        those of SQLite, see Error; QueueErrc::corrupt: a level that is not valid, which
///                admits no user; QueueErrc::displaced: the file is no longer at its path, so its
///                rights may be old ones; device_or_resource_busy, see `lock_within`.
class Boards {
public:
    /// A user and a board.
    struct Member {
        std::string_view room_id;
        std::string_view user;
    };

    /// A stored row of the audit, with its number; numbers count up from 1.
    ///
    /// Thread safety: a plain value.
    struct Record {
        std::int64_t number = 0;
        std::string user{};
        std::string room_id{};
        std::string action{};
        Access level = Access::none;
        std::string ip{};
        std::string user_agent{};
        WallTime time{};
    };

    /// Which rows of the audit are read.
    ///
    /// Thread safety: a plain value.
    struct Query {
        /// The number of the last row of the page before; 0 begins with the first row.
        std::int64_t after = 0;
        /// The maximum number of rows.
        std::size_t count = 100;
        /// Only the rows of this user, of this board, or of this action; nothing means all.
        std::optional<std::string> user{};
        std::optional<std::string> room_id{};
        std::optional<std::string> action{};
        /// Only the rows of this time and later, and before `until`.
        std::optional<WallTime> from{};
        std::optional<WallTime> until{};
        /// Begins with the last row, and continues with the rows before `after`.
        bool newest_first = false;
    };

    /// The boards whose rights changed.
    ///
    /// Thread safety: a plain value.
    struct Changes {
        /// The number of the last change.
        std::int64_t last = 0;
        /// Whether the rights of any board may have changed. It is true if a user was removed, if
        /// more than 1,000 boards changed, or if the database no longer has the changes.
        bool all = false;
        std::vector<std::string> boards{};
    };

    class OnThread;  // in boards_on_thread.hpp

    /// Opens the database in the file `path`, or creates it.
    ///
    /// Errors: what, where, and what to do, see Error. A file of another program, or of another
    ///         version, is rejected, and keeps its contents.
    /// Throws: std::bad_alloc.
    [[nodiscard]] static Result<Boards, sqlite::Error> open(const std::string& path,
                                                            BoardsOptions options = {}) {
        Boards boards{options};
        std::error_code error;
        if (path.empty() || path.find('\0') != path.npos || options.audit_kept < Duration{} ||
            options.lock_within < Duration{}) {
            error = make_error_code(QueueErrc::bad_options);
        }
        if (!error) error = boards.prepare(path);
        if (error) {
            return sqlite::Error{error, path, boards.db_.last_words(), "database of boards",
                                 "BoardsOptions"};
        }
        return boards;
    }

    // ---- rights --------------------------------------------------------------------------------

    /// Adds a user, unless the user exists.
    ///
    /// Errors: invalid_argument: the name is empty, no UTF-8, or contains a zero byte.
    [[nodiscard]] std::error_code add_user(std::string_view user) {
        if (!detail::is_board_name(user)) return std::make_error_code(std::errc::invalid_argument);
        return busy_or(db_.write(add_user_, user));
    }
    /// Removes a user, and the permissions of the user.
    ///
    /// Errors: operation_not_permitted while the user owns a board: give it to another user, or
    ///         remove it.
    [[nodiscard]] std::error_code remove_user(std::string_view user) {
        return busy_or(db_.in_one_piece([&]() -> std::error_code {
            {
                const SqliteRun run{owns_};
                run.bind(1, user);
                const int answer = run.step();
                if (answer == SQLITE_ROW) {
                    return std::make_error_code(std::errc::operation_not_permitted);
                }
                if (answer != SQLITE_DONE) return db_.code_of(answer);
            }
            return db_.write(drop_user_, user);
        }));
    }
    /// Makes the user the owner of the board; creates both if they do not exist.
    ///
    /// Errors: invalid_argument: see add_user; RoomErrc::bad_room_id: the same for the board.
    [[nodiscard]] std::error_code set_owner(const Member& owner) {
        if (!belay::detail::is_room_id(owner.room_id) || !detail::is_board_name(owner.room_id)) {
            return RoomErrc::bad_room_id;
        }
        return busy_or(db_.in_one_piece([&] {
            const std::error_code error = add_user(owner.user);
            return error ? error : db_.write(set_owner_, owner.room_id, owner.user);
        }));
    }
    /// Removes a board, and the permissions on it; its audit stays.
    [[nodiscard]] std::error_code remove_board(std::string_view board) {
        return busy_or(db_.write(drop_board_, board));
    }
    /// Gives a user a right on the board, which replaces the public right; creates the user if
    /// necessary.
    ///
    /// Errors: invalid_argument: see add_user, or no level; RoomErrc::unknown_room.
    [[nodiscard]] std::error_code permit(const Member& member, Access level) {
        if (!is_level(level)) return std::make_error_code(std::errc::invalid_argument);
        return busy_or(db_.in_one_piece([&]() -> std::error_code {
            {
                const SqliteRun run{board_};
                run.bind(1, member.room_id);
                const int answer = run.step();
                if (answer == SQLITE_DONE) return RoomErrc::unknown_room;
                if (answer != SQLITE_ROW) return db_.code_of(answer);
            }
            const std::error_code error = add_user(member.user);
            return error ? error
                         : db_.write(permit_, member.room_id, member.user, to_string(level));
        }));
    }
    /// Removes the user's own permission on the board.
    [[nodiscard]] std::error_code withdraw(const Member& member) {
        return busy_or(db_.write(withdraw_, member.room_id, member.user));
    }
    /// Sets the public right of a board, which every user without a permission has.
    ///
    /// With `none`, only users with a permission, and the owner, have rights.
    /// Errors: invalid_argument: no level; RoomErrc::unknown_room.
    [[nodiscard]] std::error_code set_public(std::string_view board, Access level) {
        if (!is_level(level)) return std::make_error_code(std::errc::invalid_argument);
        if (const std::error_code error = busy_or(db_.write(set_public_, to_string(level), board)))
            return error;
        return db_.changes() == 1 ? std::error_code{} : make_error_code(RoomErrc::unknown_room);
    }

    /// Returns the right of the user on the board; nothing if there is no such user, or no such
    /// board. All that it reads is from one moment.
    [[nodiscard]] Result<std::optional<Access>> access(const Member& member) {
        if (!detail::is_board_name(member.room_id) || !detail::is_board_name(member.user)) {
            return std::optional<Access>{};
        }
        if (const std::error_code error = db_.look()) return error;
        const SqliteRun run{access_};
        run.bind(1, member.room_id);
        run.bind(2, member.user);
        const int answer = run.step();
        if (answer == SQLITE_DONE) return std::optional<Access>{};
        if (answer != SQLITE_ROW) return read_failed(answer);
        const Result<std::optional<Access>> everybody = level_of(run.bytes(1));
        if (!everybody) return everybody.error();
        if (run.number(0) == 1) return std::optional{Access::edit};
        return run.is_null(2) ? everybody : level_of(run.bytes(2));
    }

    // ---- changes of rights ---------------------------------------------------------------------

    /// Returns the boards whose rights any program has changed after the number `after`, which is
    /// the `last` of the answer before.
    [[nodiscard]] Result<Changes> changes(std::int64_t after) {
        if (const std::error_code error = db_.look()) return error;
        std::int64_t range[2] = {};  // the first, and the last
        if (const std::error_code error = db_.ask(
                "SELECT ifnull(min(number), 0), ifnull(max(number), 0) FROM rights_changes", range))
            return busy_or(error);
        Changes found{.last = range[1]};
        if (range[1] == after) return found;
        // A database with fewer changes than before is an older copy.
        found.all = range[1] < after || range[0] > after + 1;
        if (found.all) return found;
        const SqliteRun run{changed_};
        run.bind(1, after);
        run.bind(2, range[1]);
        for (;;) {
            const int answer = run.step();
            if (answer == SQLITE_DONE) return found;
            if (answer != SQLITE_ROW) return read_failed(answer);
            if (run.bytes(0).empty() || found.boards.size() == changed_boards_max) {
                found.boards.clear();
                found.all = true;
                return found;
            }
            found.boards.emplace_back(as_text(run.bytes(0)));
        }
    }
    /// Returns a number that differs from the one before if the database was changed by another
    /// program, or by another object of this program. Cheaper than changes().
    [[nodiscard]] Result<std::int64_t> data_version() {
        if (const std::error_code error = db_.look()) return error;
        const SqliteRun run{data_version_};
        const int answer = run.step();
        if (answer != SQLITE_ROW) return read_failed(answer);
        return run.number(0);
    }

    // ---- audit ---------------------------------------------------------------------------------

    /// Stores a row of the audit; see AuditLike.
    void record(AuditRow row, Completion<std::error_code> answer) {
        answer(record(std::span{&row, 1}));
    }
    /// Stores rows of the audit: all of them, or none.
    [[nodiscard]] std::error_code record(std::span<const AuditRow> rows) {
        return busy_or(db_.in_one_piece([&]() -> std::error_code {
            for (const AuditRow& row : rows) {
                if (const std::error_code error = write(row)) return error;
            }
            return forget();
        }));
    }

    /// Returns a page of the rows that the query selects, in the order of their numbers. A page
    /// with fewer than `count` rows is the last one.
    ///
    /// Complexity: O(rows that it returns) of one user or one board, or of all; otherwise also
    ///             O(rows that it passes over).
    [[nodiscard]] Result<std::vector<Record>> audited(const Query& query) {
        if (const std::error_code error = db_.look()) return error;
        std::string sql =
            "SELECT number, user, board, action, level, ip, user_agent, time FROM audit_logs WHERE "
            "number";
        sql += query.newest_first ? "<?1" : ">?1";
        if (query.user) sql += " AND user=?2";
        if (query.room_id) sql += " AND board=?3";
        if (query.action) sql += " AND action=?4";
        if (query.from) sql += " AND time>=?5";
        if (query.until) sql += " AND time<?6";
        sql += query.newest_first ? " ORDER BY number DESC LIMIT ?7" : " ORDER BY number LIMIT ?7";
        SqliteStatement statement;
        if (const std::error_code error = db_.prepare(sql.c_str(), statement))
            return busy_or(error);
        const bool from_last = query.newest_first && query.after == 0;
        const SqliteRun run{statement};
        run.bind(1, from_last ? std::numeric_limits<std::int64_t>::max() : query.after);
        const auto bind = [&](int at, const std::optional<std::string>& text) {
            if (text) run.bind(at, std::string_view{*text});
        };
        bind(2, query.user);
        bind(3, query.room_id);
        bind(4, query.action);
        if (query.from) run.bind(5, number_of(*query.from));
        if (query.until) run.bind(6, number_of(*query.until));
        run.bind(7, static_cast<std::int64_t>(belay::detail::smaller(std::uint64_t{query.count},
                                                                     std::uint64_t{1} << 40U)));
        return rows_of(run);
    }
    /// Returns up to `count` rows after the number `after`; 0 begins with the first row.
    [[nodiscard]] Result<std::vector<Record>> audited(std::int64_t after, std::size_t count) {
        return audited({.after = after, .count = count});
    }

private:
    using SqliteRun = belay::detail::SqliteRun;
    using SqliteStatement = belay::detail::SqliteStatement;
    static constexpr std::array levels{Access::none, Access::view, Access::comment, Access::edit};
    // At most this many rows more than requested are kept before the oldest are deleted.
    static constexpr std::int64_t forgotten_at_once = 1024;
    static constexpr std::size_t changed_boards_max = 1000;

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

    [[nodiscard]] static std::int64_t number_of(WallTime time) noexcept {
        return static_cast<std::int64_t>(time.time_since_epoch().count());
    }

    [[nodiscard]] std::error_code prepare(const std::string& path) {
        bool is_new = false;
        std::error_code error = db_.open(path, belay::detail::SqliteSharing::shared);
        db_.wait_for_locks(options_.lock_within);
        if (!error) error = db_.recognise(detail::board_tables_format, is_new);
        if (!error) error = db_.configure(options_.flushes_each);
        if (!error && is_new) error = detail::create_board_database(db_);
        if (!error) error = prepare_rights();
        if (!error) error = prepare_audit();
        std::int64_t last[1] = {0};
        if (!error) error = db_.ask("SELECT ifnull(max(number), 0) FROM audit_logs", last);
        looked_at_ = last[0];
        return error;
    }
    // Each statement names its columns, because an application may add some.
    [[nodiscard]] std::error_code prepare_rights() {
        std::error_code error;
        const auto prepare = [&](const char* sql, SqliteStatement& into) {
            if (!error) error = db_.prepare(sql, into);
        };
        prepare("INSERT INTO users (id) VALUES (?) ON CONFLICT (id) DO NOTHING", add_user_);
        prepare("DELETE FROM users WHERE id=?", drop_user_);
        prepare("SELECT 1 FROM boards WHERE owner=? LIMIT 1", owns_);
        prepare(
            "INSERT INTO boards (id, owner) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET "
            "owner=?2",
            set_owner_);
        prepare("DELETE FROM boards WHERE id=?", drop_board_);
        prepare("SELECT 1 FROM boards WHERE id=?", board_);
        prepare("UPDATE boards SET public=? WHERE id=?", set_public_);
        prepare(
            "INSERT INTO board_permissions (board, user, level) VALUES (?1, ?2, ?3) ON CONFLICT "
            "(board, user) DO UPDATE SET level=?3",
            permit_);
        prepare("DELETE FROM board_permissions WHERE board=? AND user=?", withdraw_);
        prepare(
            "SELECT boards.owner=?2, boards.public, board_permissions.level FROM boards LEFT JOIN "
            "board_permissions ON board=?1 AND user=?2 WHERE boards.id=?1 AND EXISTS (SELECT 1 "
            "FROM users WHERE id=?2)",
            access_);
        prepare(
            "SELECT DISTINCT board FROM rights_changes WHERE number>? AND number<=? ORDER BY board",
            changed_);
        prepare("PRAGMA data_version", data_version_);
        return error;
    }
    [[nodiscard]] std::error_code prepare_audit() {
        std::error_code error = db_.prepare(
            "INSERT INTO audit_logs (user, board, action, level, ip, user_agent, time) VALUES (?, "
            "?, ?, ?, ?, ?, ?)",
            record_);
        if (!error) error = db_.prepare("DELETE FROM audit_logs WHERE time<?", forget_);
        if (!error) {
            error = db_.prepare("SELECT min(time) FROM audit_logs WHERE number>?", least_time_);
        }
        return error;
    }

    /// Returns the error of a call on an open database, where another program may hold a lock.
    [[nodiscard]] static std::error_code busy_or(std::error_code error) noexcept {
        return error == QueueErrc::already_locked
                   ? std::make_error_code(std::errc::device_or_resource_busy)
                   : error;
    }
    [[nodiscard]] std::error_code read_failed(int answer) const noexcept {
        return busy_or(db_.code_of(answer));
    }

    [[nodiscard]] Result<std::vector<Record>> rows_of(const SqliteRun& run) const {
        std::vector<Record> rows;
        const auto text = [&](int column) { return std::string{as_text(run.bytes(column))}; };
        for (;;) {
            const int answer = run.step();
            if (answer == SQLITE_DONE) return rows;
            if (answer != SQLITE_ROW) return read_failed(answer);
            const Result<std::optional<Access>> level = level_of(run.bytes(4));
            if (!level) return level.error();
            rows.push_back({run.number(0), text(1), text(2), text(3), **level, text(5), text(6),
                            WallTime{Duration{run.number(7)}}});
        }
    }
    [[nodiscard]] std::error_code write(const AuditRow& row) {
        const std::string user = detail::board_text(row.user);
        const std::string board = detail::board_text(row.room_id);
        const std::string action = detail::board_text(row.action);
        const std::string ip = detail::board_text(row.ip);
        const std::string agent = detail::board_text(row.user_agent);
        const auto view = [](const std::string& text) { return std::string_view{text}; };
        return db_.write(record_, view(user), view(board), view(action), to_string(row.level),
                         view(ip), view(agent), number_of(row.time));
    }
    /// Deletes old rows of the audit, once for each `forgotten_at_once` numbers.
    [[nodiscard]] std::error_code forget() {
        const std::int64_t last = db_.last_number();
        if (options_.audit_kept == forever ||
            last / forgotten_at_once == looked_at_ / forgotten_at_once) {
            return {};
        }
        looked_at_ = last;
        // If a clock jumped ahead for a while, the other rows would be too old by its time.
        const Result<WallTime> agreed = least_time_behind(last - forgotten_at_once);
        if (!agreed) return agreed.error();
        return db_.write(forget_, number_of(belay::detail::earlier(*agreed, options_.audit_kept)));
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
    belay::detail::SqliteDatabase db_{};
    SqliteStatement add_user_{};
    SqliteStatement drop_user_{};
    SqliteStatement owns_{};
    SqliteStatement set_owner_{};
    SqliteStatement drop_board_{};
    SqliteStatement board_{};
    SqliteStatement set_public_{};
    SqliteStatement permit_{};
    SqliteStatement withdraw_{};
    SqliteStatement access_{};
    SqliteStatement changed_{};
    SqliteStatement data_version_{};
    SqliteStatement record_{};
    SqliteStatement forget_{};
    SqliteStatement least_time_{};
    std::int64_t looked_at_ =
        0;  // the number of the audit's last row when it was looked for old ones
};

}}  // namespace whiteboard
