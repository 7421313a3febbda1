// SPDX-License-Identifier: MIT
/// \file belay/sqlite/detail/board_tables.hpp
/// The tables of a sqlite::Boards: how they are created, and converted from their older form.
#pragma once

#include <sqlite3.h>

#include <cstdint>      // std::int64_t
#include <string>       // std::string
#include <string_view>  // std::string_view

#include <belay/room/room_request.hpp>
#include <belay/sqlite/detail/database.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

inline constexpr SqliteFormat board_tables_format{0x62656C62, 2, 1};

/// Whether a text may be the id of a user or a board: UTF-8 that is not empty, without zero bytes.
///
/// SQLite would store other bytes, too. An application could neither write nor show them, and in a
/// database with another encoding two of them could become the same text.
[[nodiscard]] inline bool is_board_name(std::string_view text) noexcept {
    return !text.empty() && is_utf8(text) && text.find('\0') == text.npos;
}

/// Returns the text for the audit: each byte that is zero, or no part of UTF-8, as % and two
/// hexadecimal digits.   Complexity: O(size).
[[nodiscard]] inline std::string board_text(std::string_view text) {
    std::string out;
    while (!text.empty()) {
        const std::size_t n = utf8_character(text.data(), text.size());
        if (n == 0 || text[0] == '\0') {
            constexpr char digits[] = "0123456789ABCDEF";
            const auto byte = static_cast<unsigned char>(text[0]);
            out += {'%', digits[byte / 16], digits[byte % 16]};
            text.remove_prefix(1);
        } else {
            out += text.substr(0, n);
            text.remove_prefix(n);
        }
    }
    return out;
}

/// The same as an SQL function.
inline void board_text_of_sql(sqlite3_context* context, int /*count*/, sqlite3_value** values) {
    const void* const body = sqlite3_value_blob(values[0]);
    const int size = sqlite3_value_bytes(values[0]);
    const std::string text =
        board_text({static_cast<const char*>(body), static_cast<std::size_t>(size)});
    sqlite3_result_text64(context, text.data(), text.size(), SQLITE_TRANSIENT, SQLITE_UTF8);
}

inline constexpr const char* create_board_tables =
    "CREATE TABLE users (id TEXT PRIMARY KEY NOT NULL CHECK (typeof(id) = 'text' AND id <> '')) "
    "WITHOUT ROWID; "
    "CREATE TABLE boards (id TEXT PRIMARY KEY NOT NULL CHECK (typeof(id) = 'text' AND id <> ''), "
    "owner TEXT NOT NULL CHECK (typeof(owner) = 'text'), public TEXT NOT NULL DEFAULT 'none' CHECK "
    "(public IN ('none', 'view', 'comment', 'edit'))) WITHOUT ROWID; "
    "CREATE INDEX boards_of ON boards (owner); "
    "CREATE TABLE board_permissions (board TEXT NOT NULL CHECK (typeof(board) = 'text'), user TEXT "
    "NOT NULL CHECK (typeof(user) = 'text'), level TEXT NOT NULL CHECK (level IN ('none', 'view', "
    "'comment', 'edit')), PRIMARY KEY (board, user)) WITHOUT ROWID; "
    "CREATE INDEX permissions_of ON board_permissions (user); "
    // AUTOINCREMENT: the numbers of deleted rows are not used again.
    "CREATE TABLE audit_logs (number INTEGER PRIMARY KEY AUTOINCREMENT, user TEXT NOT NULL, board "
    "TEXT NOT NULL, action TEXT NOT NULL, level TEXT NOT NULL DEFAULT 'none' CHECK (level IN "
    "('none', 'view', 'comment', 'edit')), ip TEXT NOT NULL DEFAULT '', user_agent TEXT NOT NULL "
    "DEFAULT '', time INTEGER NOT NULL CHECK (typeof(time) = 'integer')); "
    "CREATE INDEX audit_by_time ON audit_logs (time); "
    "CREATE INDEX audit_by_user ON audit_logs (user); "
    "CREATE INDEX audit_by_board ON audit_logs (board); "
    "CREATE TABLE rights_changes (number INTEGER PRIMARY KEY AUTOINCREMENT, board TEXT NOT NULL); ";

// They notice what any program changes. '' stands for all boards. INSERT includes the REPLACE of
// another program, which is no DELETE to a trigger.
inline constexpr const char* create_board_triggers =
    "CREATE TRIGGER user_removed AFTER DELETE ON users BEGIN DELETE FROM board_permissions WHERE "
    "user = OLD.id; INSERT INTO rights_changes (board) VALUES (''); END; "
    "CREATE TRIGGER user_renamed AFTER UPDATE OF id ON users BEGIN INSERT INTO rights_changes "
    "(board) VALUES (''); END; "
    "CREATE TRIGGER board_removed AFTER DELETE ON boards BEGIN DELETE FROM board_permissions WHERE "
    "board = OLD.id; INSERT INTO rights_changes (board) VALUES (OLD.id); END; "
    "CREATE TRIGGER board_added AFTER INSERT ON boards BEGIN INSERT INTO rights_changes (board) "
    "VALUES (NEW.id); END; "
    "CREATE TRIGGER board_changed AFTER UPDATE ON boards BEGIN INSERT INTO rights_changes (board) "
    "VALUES (OLD.id), (NEW.id); END; "
    "CREATE TRIGGER permission_removed AFTER DELETE ON board_permissions BEGIN INSERT INTO "
    "rights_changes (board) VALUES (OLD.board); END; "
    "CREATE TRIGGER permission_added AFTER INSERT ON board_permissions BEGIN INSERT INTO "
    "rights_changes (board) VALUES (NEW.board); END; "
    "CREATE TRIGGER permission_changed AFTER UPDATE ON board_permissions BEGIN INSERT INTO "
    "rights_changes (board) VALUES (OLD.board), (NEW.board); END; "
    "CREATE TRIGGER rights_changes_forgotten AFTER INSERT ON rights_changes WHEN NEW.number % 1024 "
    "= 0 BEGIN DELETE FROM rights_changes WHERE number <= NEW.number - 8192; END; "
    "PRAGMA application_id=0x62656C62; PRAGMA user_version=2; ";

/// Creates the tables, unless another connection has just done so.
[[nodiscard]] inline std::error_code create_board_database(SqliteDatabase& db) {
    return db.in_one_piece([&]() -> std::error_code {
        std::int64_t version = 0;
        std::error_code error = db.recognise(board_tables_format, version);
        if (error || version != 0) return error;
        error = db.execute(create_board_tables);
        return error ? error : db.execute(create_board_triggers);
    });
}

/// Converts the tables of version 1, whose ids are BLOB, in one transaction.
///
/// Errors: already_locked: another connection has the file open; corrupt: an id is no UTF-8, or a
///         level is not valid. `why` is then the reason, and the file stays as it was.
[[nodiscard]] inline std::error_code convert_board_database(SqliteDatabase& db, std::string& why) {
    // In this mode a transaction takes the lock that every open connection prevents.
    std::error_code error = db.execute("PRAGMA locking_mode=EXCLUSIVE; BEGIN EXCLUSIVE");
    if (error == QueueErrc::already_locked) {
        why =
            "its tables are of an older form, which can be converted only while no other program "
            "has the file open";
    }
    if (error) return error;
    std::int64_t found[1] = {0};
    error = db.define("belay_text", board_text_of_sql);
    if (!error) {
        error = db.ask(
            "WITH name (id) AS (SELECT id FROM users UNION ALL SELECT id FROM boards UNION ALL "
            "SELECT owner FROM boards UNION ALL SELECT board FROM board_permissions UNION ALL "
            "SELECT user FROM board_permissions), given (level) AS (SELECT public FROM boards "
            "UNION ALL SELECT level FROM board_permissions) SELECT (SELECT count(*) FROM name "
            "WHERE typeof(id) <> 'blob' OR id = x'' OR CAST(belay_text(id) AS BLOB) <> id) + "
            "(SELECT count(*) FROM given WHERE level NOT IN ('none', 'view', 'comment', 'edit'))",
            found);
    }
    if (!error && found[0] != 0) {
        why =
            "its tables are of an older form, and cannot be converted: an id in users, boards or "
            "board_permissions is not UTF-8, or a level is not valid";
        error = make_error_code(QueueErrc::corrupt);
    }
    const auto execute = [&](const char* sql) {
        if (!error) error = db.execute(sql);
    };
    execute(
        "DROP INDEX boards_of; DROP INDEX permissions_of; DROP INDEX audit_by_time; ALTER TABLE "
        "users RENAME TO users_1; ALTER TABLE boards RENAME TO boards_1; ALTER TABLE "
        "board_permissions RENAME TO permissions_1; ALTER TABLE audit_logs RENAME TO audit_1");
    execute(create_board_tables);
    execute(
        "INSERT INTO users (id) SELECT CAST(id AS TEXT) FROM users_1; INSERT INTO boards (id, "
        "owner, public) SELECT CAST(id AS TEXT), CAST(owner AS TEXT), public FROM boards_1; INSERT "
        "INTO board_permissions (board, user, level) SELECT CAST(board AS TEXT), CAST(user AS "
        "TEXT), level FROM permissions_1; INSERT INTO audit_logs (number, user, board, action, "
        "level, ip, user_agent, time) SELECT number, belay_text(user), belay_text(board), action, "
        "level, belay_text(ip), belay_text(user_agent), time FROM audit_1; DELETE FROM "
        "sqlite_sequence WHERE name = 'audit_logs'; INSERT INTO sqlite_sequence (name, seq) SELECT "
        "'audit_logs', seq FROM sqlite_sequence WHERE name = 'audit_1'; DROP TABLE users_1; DROP "
        "TABLE boards_1; DROP TABLE permissions_1; DROP TABLE audit_1");
    execute(create_board_triggers);
    execute("COMMIT; PRAGMA locking_mode=NORMAL");
    // The next transaction is the first that does not keep the lock.
    return error ? error : db.ask("SELECT count(*) FROM users", found);
}

}}}  // namespace belay::detail
