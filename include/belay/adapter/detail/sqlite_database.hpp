// SPDX-License-Identifier: MIT
/// \file belay/adapter/detail/sqlite_database.hpp
/// SqliteDatabase and SqliteRun: a connection to one file that nobody else may use meanwhile, and
/// one execution of a statement.
#pragma once

#include <sqlite3.h>

#include <cstdint>      // std::int64_t
#include <memory>       // std::unique_ptr
#include <string>       // std::string
#include <string_view>  // std::string_view

#include <belay/adapter/sqlite_error.hpp>
#include <belay/core/bytes.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

struct SqliteClose {
    // Also when statements are left, which a move assignment ends only afterwards.
    void operator()(sqlite3* db) const noexcept { sqlite3_close_v2(db); }
    void operator()(sqlite3_stmt* statement) const noexcept { sqlite3_finalize(statement); }
};
using SqliteStatement = std::unique_ptr<sqlite3_stmt, SqliteClose>;

/// One execution of a statement, which keeps neither a lock nor a view after it.
class SqliteRun {
public:
    explicit SqliteRun(const SqliteStatement& statement) noexcept : statement_{statement.get()} {}
    SqliteRun(const SqliteRun&) = delete;
    SqliteRun& operator=(const SqliteRun&) = delete;
    ~SqliteRun() {
        sqlite3_reset(statement_);
        sqlite3_clear_bindings(statement_);
    }

    void bind(int at, std::int64_t value) const noexcept {
        sqlite3_bind_int64(statement_, at, value);
    }
    /// The bytes must outlive the execution.
    void bind(int at, BytesView body) const noexcept {
        // A null pointer would bind NULL.
        const void* const bytes = body.empty() ? static_cast<const void*>("") : body.data();
        sqlite3_bind_blob64(statement_, at, bytes, body.size(), nullptr);
    }
    /// As text, which must outlive the execution.
    void bind(int at, std::string_view text) const noexcept {
        sqlite3_bind_text64(statement_, at, text.empty() ? "" : text.data(), text.size(), nullptr,
                            SQLITE_UTF8);
    }
    [[nodiscard]] int step() const noexcept { return sqlite3_step(statement_); }
    [[nodiscard]] bool is_null(int column) const noexcept {
        return sqlite3_column_type(statement_, column) == SQLITE_NULL;
    }
    [[nodiscard]] std::int64_t number(int column) const noexcept {
        return sqlite3_column_int64(statement_, column);
    }
    /// Valid until the end of the execution.
    [[nodiscard]] BytesView bytes(int column) const noexcept {
        const void* const body = sqlite3_column_blob(statement_, column);
        return {static_cast<const std::byte*>(body),
                static_cast<std::size_t>(sqlite3_column_bytes(statement_, column))};
    }

private:
    sqlite3_stmt* statement_;
};

/// Which program a file is of, and which version of its format it has.
struct SqliteFormat {
    std::int64_t application_id;
    std::int64_t version;
};

/// A connection; errors are those of `code_of_sqlite`.
class SqliteDatabase {
public:
    /// Opens the file, or makes it, and locks it for as long as the connection is open.
    [[nodiscard]] std::error_code open(const std::string& path) {
        // To SQLite such names are databases without a file, or addresses.
        const bool special = path.starts_with(':') || path.starts_with("file:");
        std::string name = special ? "./" + path : path;
        int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
#if defined(SQLITE_OPEN_NOFOLLOW)
        // It refuses links on the way, too: the way is gone beforehand.
        name = with_links_resolved(name);
        flags |= SQLITE_OPEN_NOFOLLOW;
#endif
        sqlite3* db = nullptr;
        const int answer = sqlite3_open_v2(name.c_str(), &db, flags, nullptr);
        db_.reset(db);
        if (answer != SQLITE_OK) {
#if defined(SQLITE_OPEN_NOFOLLOW)
            if (sqlite3_extended_errcode(db) == SQLITE_CANTOPEN_SYMLINK) {
                return std::make_error_code(std::errc::too_many_symbolic_link_levels);
            }
#endif
            const std::error_code error = code_of(answer);
            // SQLite's last attempt is only to read, and then what could not be made is missing.
            return error == std::errc::no_such_file_or_directory && directory_exists(name)
                       ? code_of(SQLITE_PERM)
                       : error;
        }
        // What may only be read is opened nevertheless.
        if (sqlite3_db_readonly(db, "main") == 1) return code_of(SQLITE_READONLY);
        // The lock is taken by the first transaction, and kept.
        return execute(
            "PRAGMA locking_mode=EXCLUSIVE; PRAGMA cell_size_check=ON; BEGIN EXCLUSIVE; COMMIT");
    }

    /// Whether the file is of this kind, or empty and to become so. Changes nothing in any other.
    [[nodiscard]] std::error_code recognise(const SqliteFormat& format, bool& is_new) noexcept {
        std::int64_t found[3];
        if (const std::error_code error =
                ask("SELECT application_id, user_version, (SELECT count(*) FROM sqlite_schema) "
                    "FROM pragma_application_id, pragma_user_version",
                    found)) {
            return error;
        }
        is_new = found[0] == 0 && found[1] == 0 && found[2] == 0;
        if (is_new) return {};
        if (found[0] != format.application_id) return make_error_code(QueueErrc::foreign_file);
        if (found[1] > format.version) return make_error_code(QueueErrc::future_version);
        return found[1] == format.version ? std::error_code{} : make_error_code(QueueErrc::corrupt);
    }
    /// A write-ahead log; each commit is on the medium when it returns, if it `flushes_each`.
    [[nodiscard]] std::error_code configure(bool flushes_each) noexcept {
        // fullfsync: where a flush alone does not reach the medium.
        std::error_code error = execute("PRAGMA journal_mode=WAL; PRAGMA fullfsync=ON");
        std::int64_t found[1] = {0};
        if (!error) error = ask("SELECT journal_mode = 'wal' FROM pragma_journal_mode", found);
        if (!error && found[0] != 1) return std::make_error_code(std::errc::not_supported);
        if (error) return error;
        return execute(flushes_each ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL");
    }

    [[nodiscard]] std::error_code execute(const char* sql) noexcept {
        const int answer = sqlite3_exec(db_.get(), sql, nullptr, nullptr, nullptr);
        return answer == SQLITE_OK ? std::error_code{} : code_of(answer);
    }
    [[nodiscard]] std::error_code prepare(const char* sql, SqliteStatement& into) noexcept {
        sqlite3_stmt* statement = nullptr;
        const int answer =
            sqlite3_prepare_v3(db_.get(), sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
        into.reset(statement);
        return answer == SQLITE_OK ? std::error_code{} : code_of(answer);
    }
    /// The numbers in the one row that `sql` answers.
    template <std::size_t N>
    [[nodiscard]] std::error_code ask(const char* sql, std::int64_t (&numbers)[N]) noexcept {
        SqliteStatement statement;
        if (const std::error_code error = prepare(sql, statement)) return error;
        const SqliteRun run{statement};
        if (const int answer = run.step(); answer != SQLITE_ROW) return code_of(answer);
        for (int i = 0; i < static_cast<int>(N); ++i) numbers[i] = run.number(i);
        return {};
    }

    /// Runs a statement that writes, with these values bound in their order.
    template <class... V>
    [[nodiscard]] std::error_code write(const SqliteStatement& statement,
                                        const V&... values) noexcept {
        const SqliteRun run{statement};
        int at = 0;
        (run.bind(++at, values), ...);
        const int answer = run.step();
        return answer == SQLITE_DONE ? std::error_code{} : code_of_write(answer);
    }
    /// Runs `body`, which answers with its error, in a transaction: nothing of what it wrote stays
    /// unless all of it does.   Pre: none is under way.
    template <class Body>
    [[nodiscard]] std::error_code in_one_piece(const Body& body) {
        struct Undo {
            ~Undo() {
                if (of.in_transaction()) static_cast<void>(of.execute("ROLLBACK"));
            }
            SqliteDatabase& of;
        };
        if (!commit_) {
            if (const std::error_code error = prepare("BEGIN IMMEDIATE", begin_)) return error;
            if (const std::error_code error = prepare("COMMIT", commit_)) return error;
        }
        const Undo undo{*this};
        if (const std::error_code error = write(begin_)) return error;
        if (const std::error_code error = body()) return error;
        return write(commit_);
    }

    /// Whether a transaction is under way: an error may have ended it.
    [[nodiscard]] bool in_transaction() const noexcept {
        return sqlite3_get_autocommit(db_.get()) == 0;
    }
    /// The rows that the last statement changed.
    [[nodiscard]] int changes() const noexcept { return sqlite3_changes(db_.get()); }
    /// The integer primary key of the last row that was inserted.
    [[nodiscard]] std::int64_t last_number() const noexcept {
        return sqlite3_last_insert_rowid(db_.get());
    }
    /// Brings the log into the database, and both to the medium.
    [[nodiscard]] int checkpoint() noexcept {
        return sqlite3_wal_checkpoint_v2(db_.get(), nullptr, SQLITE_CHECKPOINT_FULL, nullptr,
                                         nullptr);
    }

    /// What an answer of a call that reads, or opens, means.
    [[nodiscard]] std::error_code code_of(int answer) const noexcept {
        return code_of_sqlite(answer, std::errc{sqlite3_system_errno(db_.get())});
    }
    /// What an answer of a call that writes means: what the system said to the log is not in
    /// `sqlite3_system_errno`.
    [[nodiscard]] std::error_code code_of_write(int answer) const noexcept {
        sqlite3_file* log = nullptr;
        sqlite3_file_control(db_.get(), "main", SQLITE_FCNTL_JOURNAL_POINTER, &log);
        int system = 0;
        if (log != nullptr && log->pMethods != nullptr) {
            log->pMethods->xFileControl(log, SQLITE_FCNTL_LAST_ERRNO, &system);
        }
        return code_of_sqlite(answer, std::errc{system});
    }
    /// What an answer of `checkpoint` means, which writes the database, not the log.
    [[nodiscard]] std::error_code code_of_checkpoint(int answer) const noexcept {
        int system = 0;
        sqlite3_file_control(db_.get(), "main", SQLITE_FCNTL_LAST_ERRNO, &system);
        return code_of_sqlite(answer, std::errc{system});
    }
    /// Whether the last call, which failed so, certainly changed nothing: there was no room to
    /// write. A flush that fails for lack of room is another matter: what it was to make durable is
    /// in the file, and may be found there.
    [[nodiscard]] bool changed_nothing(int answer, const std::error_code& code) const noexcept {
        const int kind = answer & 0xFF;
        return kind == SQLITE_FULL || kind == SQLITE_NOMEM || kind == SQLITE_TOOBIG ||
               (sqlite3_extended_errcode(db_.get()) == SQLITE_IOERR_WRITE &&
                is_lack_of_space(code));
    }
    /// SQLite's own words for its last failure; "" if there was none.
    [[nodiscard]] const char* last_words() const noexcept {
        return db_ == nullptr || sqlite3_errcode(db_.get()) == SQLITE_OK
                   ? ""
                   : sqlite3_errmsg(db_.get());
    }

private:
    [[nodiscard]] static std::string directory_of(const std::string& path) {
        const std::size_t end = path.rfind('/');
        return end == path.npos ? "." : path.substr(0, end + 1);
    }
#if defined(SQLITE_OPEN_NOFOLLOW)
    /// The same file by a path whose directories are no links; `path` where that cannot be told.
    [[nodiscard]] static std::string with_links_resolved(const std::string& path) {
        sqlite3_vfs* const vfs = sqlite3_vfs_find(nullptr);
        std::string full(static_cast<std::size_t>(vfs->mxPathname) + 1, '\0');
        const int answer = vfs->xFullPathname(vfs, directory_of(path).c_str(),
                                              static_cast<int>(full.size()), full.data());
        if ((answer & 0xFF) != SQLITE_OK) return path;
        const std::size_t slash = path.rfind('/');
        return full.c_str() + ('/' + path.substr(slash == path.npos ? 0 : slash + 1));
    }
#endif
    [[nodiscard]] static bool directory_exists(const std::string& path) {
        const std::string directory = directory_of(path);
        sqlite3_vfs* const vfs = sqlite3_vfs_find(nullptr);
        int exists = 0;
        vfs->xAccess(vfs, directory.c_str(), SQLITE_ACCESS_EXISTS, &exists);
        return exists != 0;
    }

    std::unique_ptr<sqlite3, SqliteClose> db_;
    // Made by the first transaction.
    SqliteStatement begin_;
    SqliteStatement commit_;
};

}}}  // namespace belay::detail
