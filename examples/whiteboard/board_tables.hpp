// SPDX-License-Identifier: MIT
/// \file examples/whiteboard/board_tables.hpp
/// The tables of Boards: how they are created.
#pragma once

#include <string>       // std::string
#include <string_view>  // std::string_view

#include <belay/room/authorizer_like.hpp>
#include <belay/sqlite/detail/database.hpp>

namespace whiteboard { inline namespace BELAY_ABI {

using namespace belay;
namespace detail {

inline constexpr belay::detail::SqliteFormat board_tables_format{0x62656C62, 2};

/// Whether a text may be the id of a user or a board: UTF-8 that is not empty, without zero bytes.
///
/// SQLite would store other bytes, too. An application could neither write nor show them, and in a
/// database with another encoding two of them could become the same text.
[[nodiscard]] inline bool is_board_name(std::string_view text) noexcept {
    return !text.empty() && belay::detail::is_utf8(text) && text.find('\0') == text.npos;
}

/// Returns the text for the audit: each byte that is zero, or no part of UTF-8, as % and two
/// hexadecimal digits.   Complexity: O(size).
[[nodiscard]] inline std::string board_text(std::string_view text) {
    std::string out;
    while (!text.empty()) {
        const std::size_t n = belay::detail::utf8_character(text.data(), text.size());
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
[[nodiscard]] inline std::error_code create_board_database(belay::detail::SqliteDatabase& db) {
    return db.in_one_piece([&]() -> std::error_code {
        bool is_new = false;
        std::error_code error = db.recognise(board_tables_format, is_new);
        if (error || !is_new) return error;
        error = db.execute(create_board_tables);
        return error ? error : db.execute(create_board_triggers);
    });
}

}  // namespace detail
}}  // namespace whiteboard
