// SPDX-License-Identifier: MIT
/// \file belay/sqlite/detail/database.hpp
/// SqliteDatabase and SqliteRun: a connection to one file, which other connections may use at the
/// same time only if the caller allows it, and one execution of a statement.
/// DatabasePlace: whether a path still leads to the file that a database has open.
#pragma once

#include <sqlite3.h>

#include <chrono>            // std::chrono::milliseconds
#include <cstdint>           // std::int64_t
#include <initializer_list>  // std::initializer_list
#include <memory>            // std::unique_ptr
#include <optional>          // std::optional
#include <string>            // std::string
#include <string_view>       // std::string_view
#include <system_error>      // std::error_code
#include <utility>           // std::move

#include <belay/core/bytes.hpp>
#include <belay/core/detail/scope_exit.hpp>
#include <belay/core/instant.hpp>
#include <belay/journal/file_system_like.hpp>
#include <belay/posix/files.hpp>
#include <belay/sqlite/error.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The path of an open file, from the root on, and the identity of that file.
///
/// A program that changes its directory does not move the file.
///
/// Thread safety: distinct objects safe.
class DatabasePlace {
public:
    /// Stores the file to which the path leads now.   Throws: std::bad_alloc.
    ///
    /// Errors: those of looking. `look` then finds nothing wrong.
    [[nodiscard]] std::error_code remember(const std::string& path) {
        is_known_ = false;
        Result<std::string> absolute = posix::Files{}.absolute(path);
        if (!absolute) return absolute.error();
        path_ = std::move(*absolute);
        const Result<FileIdentity> found = posix::Files{}.identity(path_);
        if (!found) return found.error();
        file_ = *found;
        is_known_ = true;
        return {};
    }
    [[nodiscard]] bool is_known() const noexcept { return is_known_; }
    /// Returns no error if the path leads to the file.   Errors: displaced; those of looking.
    [[nodiscard]] std::error_code look() const noexcept {
        posix::Files files;
        return is_known_ ? look_for(files, path_, file_) : std::error_code{};
    }

private:
    std::string path_;
    FileIdentity file_{};
    bool is_known_ = false;
};

struct SqliteClose {
    // Also when there are statements left: a move assignment finalizes them only afterwards.
    void operator()(sqlite3* db) const noexcept { sqlite3_close_v2(db); }
    void operator()(sqlite3_stmt* statement) const noexcept { sqlite3_finalize(statement); }
};
using SqliteStatement = std::unique_ptr<sqlite3_stmt, SqliteClose>;

/// One execution of a statement. It keeps neither a lock nor a view after it.
class SqliteRun {
public:
    explicit SqliteRun(const SqliteStatement& statement) noexcept : statement_{statement.get()} {}
    SqliteRun(const SqliteRun&) = delete;
    SqliteRun& operator=(const SqliteRun&) = delete;
    ~SqliteRun() {
        sqlite3_reset(statement_);
        sqlite3_clear_bindings(statement_);
    }

    /// Binds the values to the parameters in their order.
    template <class... V>
    void bind_all(const V&... values) const noexcept {
        int at = 0;
        (bind(++at, values), ...);
    }
    void bind(int at, std::int64_t value) const noexcept {
        sqlite3_bind_int64(statement_, at, value);
    }
    /// Binds bytes, which must outlive the execution.
    void bind(int at, BytesView body) const noexcept {
        // A null pointer would bind NULL.
        const void* const bytes = body.empty() ? static_cast<const void*>("") : body.data();
        sqlite3_bind_blob64(statement_, at, bytes, body.size(), nullptr);
    }
    /// Binds bytes, or NULL.
    void bind(int at, const std::optional<BytesView>& body) const noexcept {
        if (body) bind(at, *body);
    }
    /// Binds a text, which must outlive the execution.
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

/// A statement to prepare.
struct SqliteText {
    const char* sql;
    SqliteStatement& into;
};

/// The program that a file belongs to, and the version of its format.
struct SqliteFormat {
    std::int64_t application_id;
    std::int64_t version;
};

/// Whether other connections may use the file while this one is open.
enum class SqliteSharing : std::uint8_t { exclusive, shared };

/// A connection. Errors are those of `code_of_sqlite`.
class SqliteDatabase {
public:
    /// Opens or creates the file. Locks it while the connection is open, unless it is shared.
    [[nodiscard]] std::error_code open(const std::string& path,
                                       SqliteSharing sharing = SqliteSharing::exclusive) {
        // SQLite treats such names as databases without a file, or as URIs.
        const bool special = path.starts_with(':') || path.starts_with("file:");
        std::string name = special ? "./" + path : path;
        int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
#if defined(SQLITE_OPEN_NOFOLLOW)
        // SQLITE_OPEN_NOFOLLOW also refuses links in the directories of the path, so these are
        // resolved first.
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
            // SQLite's last attempt only reads, so it reports a file that could not be created as
            // missing.
            return error == std::errc::no_such_file_or_directory && directory_exists(name)
                       ? code_of(SQLITE_PERM)
                       : error;
        }
        // SQLite also opens a file that may only be read.
        if (sqlite3_db_readonly(db, "main") == 1) return code_of(SQLITE_READONLY);
        path_ = path;
        // The files of a VFS need not be files of the machine: then SQLite alone looks for them.
        static_cast<void>(place_.remember(path));
        if (has_moved()) return make_error_code(QueueErrc::displaced);
        if (sharing == SqliteSharing::shared) return execute("PRAGMA cell_size_check=ON");
        // The first transaction takes the lock, and the connection keeps it.
        return execute(
            "PRAGMA locking_mode=EXCLUSIVE; PRAGMA cell_size_check=ON; BEGIN EXCLUSIVE; COMMIT");
    }
    /// Sets how long a call waits for the lock of another connection, before it fails as
    /// already_locked.   Pre: time >= 0ns.
    void wait_for_locks(Duration time) noexcept {
        constexpr Duration longest = std::chrono::hours{24};
        const auto ms =
            std::chrono::duration_cast<std::chrono::milliseconds>(time < longest ? time : longest);
        lock_time_ = ms;
        sqlite3_busy_timeout(db_.get(), static_cast<int>(ms.count()));
    }

    /// Opens or creates a file of this format, which no other connection uses; `schema` creates its
    /// tables.   Errors: those of `open`, `recognise` and `configure`.   Throws: std::bad_alloc.
    [[nodiscard]] std::error_code open(const std::string& path, const SqliteFormat& format,
                                       const char* schema, bool flushes_each) {
        bool is_new = false;
        std::error_code error = open(path);
        if (!error) error = recognise(format, is_new);
        if (!error) error = configure(flushes_each);
        return error || !is_new ? error : execute(schema);
    }
    /// Checks whether the file is of this format, or empty and to become so. Does not change any
    /// other file.   Throws: std::bad_alloc.
    [[nodiscard]] std::error_code recognise(const SqliteFormat& format, bool& is_new) {
        std::int64_t found[3] = {};
        if (const std::error_code error =
                ask("SELECT application_id, user_version, (SELECT count(*) FROM sqlite_master) "
                    "FROM pragma_application_id, pragma_user_version",
                    found)) {
            return error;
        }
        is_new = found[0] == 0 && found[1] == 0 && found[2] == 0;
        if (is_new) return {};
        if (found[0] != format.application_id) return make_error_code(QueueErrc::foreign_file);
        if (found[1] == format.version) return {};
        versions_ = version_text(found[1], format.version);
        return make_error_code(QueueErrc::other_version);
    }
    /// Sets a write-ahead log. With `flushes_each`, each commit is on the medium when it returns.
    [[nodiscard]] std::error_code configure(bool flushes_each) {
        // fullfsync: for systems on which a flush alone does not reach the medium.
        std::error_code error = execute_when_unlocked("PRAGMA journal_mode=WAL");
        if (!error) error = execute("PRAGMA fullfsync=ON");
        std::int64_t found[1] = {0};
        if (!error) error = ask("SELECT journal_mode = 'wal' FROM pragma_journal_mode", found);
        if (!error && found[0] != 1) return std::make_error_code(std::errc::not_supported);
        // The first read creates the log.
        if (!error) error = ask("SELECT count(*) FROM sqlite_master", found);
        if (error) return error;
        static_cast<void>(log_.remember(path_ + "-wal"));
        return execute(flushes_each ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL");
    }

    /// Returns no error if the paths of the database and of its log lead to the files that are
    /// open. If they do not, the next opening would not find what is written. Call it before each
    /// commit.
    ///
    /// Errors: displaced; those of looking; must_reopen after a failed flush of `write` or
    ///         `in_one_piece`.
    [[nodiscard]] std::error_code look() const noexcept {
        if (flush_failed_) return make_error_code(QueueErrc::must_reopen);
        if (!place_.is_known()) {
            return has_moved() ? make_error_code(QueueErrc::displaced) : std::error_code{};
        }
        const std::error_code error = place_.look();
        return error ? error : log_.look();
    }

    [[nodiscard]] std::error_code execute(const char* sql) noexcept {
        const int answer = sqlite3_exec(db_.get(), sql, nullptr, nullptr, nullptr);
        if (answer == SQLITE_OK) return {};
        // A full disk, which the log reports and the database does not.
        const std::error_code error = code_of(answer);
        return error == std::errc::io_error ? code_of_write(answer) : error;
    }
    [[nodiscard]] std::error_code prepare(const char* sql, SqliteStatement& into) noexcept {
        sqlite3_stmt* statement = nullptr;
        const int answer =
            sqlite3_prepare_v3(db_.get(), sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
        into.reset(statement);
        return answer == SQLITE_OK ? std::error_code{} : code_of(answer);
    }
    [[nodiscard]] std::error_code prepare(std::initializer_list<SqliteText> statements) noexcept {
        for (const SqliteText& one : statements)
            if (const std::error_code error = prepare(one.sql, one.into)) return error;
        return {};
    }
    /// Calls `take(run)`, which returns its error, for each row of a statement with these values.
    /// Ends at the first error.
    template <class Take, class... V>
    [[nodiscard]] std::error_code each_row(const SqliteStatement& statement, const Take& take,
                                           const V&... values) const {
        const SqliteRun run{statement};
        run.bind_all(values...);
        for (;;) {
            const int answer = run.step();
            if (answer != SQLITE_ROW) return end_of_rows(answer);
            if (const std::error_code error = take(run)) return error;
        }
    }
    /// Calls `take(run)` for the first row, if there is one.
    template <class Take, class... V>
    [[nodiscard]] std::error_code row(const SqliteStatement& statement, const Take& take,
                                      const V&... values) const {
        const SqliteRun run{statement};
        run.bind_all(values...);
        const int answer = run.step();
        return answer == SQLITE_ROW ? take(run) : end_of_rows(answer);
    }
    /// Returns the numbers in the only row that `sql` returns.
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
    ///
    /// Errors: outside a transaction, also those of `look`.
    template <class... V>
    [[nodiscard]] std::error_code write(const SqliteStatement& statement,
                                        const V&... values) noexcept {
        if (!in_transaction()) {
            if (const std::error_code error = look()) return error;
        }
        return write_unlooked(statement, values...);
    }
    /// Runs `body`, which returns its error, in a transaction: either all of its changes are
    /// stored, or none.   Pre: none is under way.
    template <class Body>
    [[nodiscard]] std::error_code in_one_piece(const Body& body) {
        if (!commit_) {
            if (const std::error_code error = prepare("BEGIN IMMEDIATE", begin_)) return error;
            if (const std::error_code error = prepare("COMMIT", commit_)) return error;
        }
        const ScopeExit undo{[this] {
            if (in_transaction()) static_cast<void>(execute("ROLLBACK"));
        }};
        if (const std::error_code error = write_unlooked(begin_)) return error;
        if (const std::error_code error = body()) return error;
        if (const std::error_code error = look()) return error;
        return write_unlooked(commit_);
    }

    /// Whether a transaction is under way. An error may have ended it.
    [[nodiscard]] bool in_transaction() const noexcept {
        return sqlite3_get_autocommit(db_.get()) == 0;
    }
    /// Returns the connection; null before `open`.
    [[nodiscard]] sqlite3* handle() const noexcept { return db_.get(); }
    /// Returns the number of rows that the last statement changed.
    [[nodiscard]] int changes() const noexcept { return sqlite3_changes(db_.get()); }
    /// Returns the integer primary key of the last row that was inserted.
    [[nodiscard]] std::int64_t last_number() const noexcept {
        return sqlite3_last_insert_rowid(db_.get());
    }
    /// Copies the log into the database, and flushes both to the medium.
    [[nodiscard]] int checkpoint() noexcept {
        return sqlite3_wal_checkpoint_v2(db_.get(), nullptr, SQLITE_CHECKPOINT_FULL, nullptr,
                                         nullptr);
    }

    /// Returns the error for the result of a call that reads, or opens.
    [[nodiscard]] std::error_code code_of(int answer) const noexcept {
        return code_of_sqlite(answer, std::errc{sqlite3_system_errno(db_.get())});
    }
    /// Returns the error for the result of a call that writes. `sqlite3_system_errno` does not
    /// contain the error of the system for the log.
    [[nodiscard]] std::error_code code_of_write(int answer) const noexcept {
        sqlite3_file* log = nullptr;
        sqlite3_file_control(db_.get(), "main", SQLITE_FCNTL_JOURNAL_POINTER, &log);
        int system = 0;
        if (log != nullptr && log->pMethods != nullptr) {
            log->pMethods->xFileControl(log, SQLITE_FCNTL_LAST_ERRNO, &system);
        }
        return code_of_sqlite(answer, std::errc{system});
    }
    /// Returns the error for the result of `checkpoint`, which writes the database and not the log.
    [[nodiscard]] std::error_code code_of_checkpoint(int answer) const noexcept {
        int system = 0;
        sqlite3_file_control(db_.get(), "main", SQLITE_FCNTL_LAST_ERRNO, &system);
        return code_of_sqlite(answer, std::errc{system});
    }
    /// Whether the last call, which failed with `answer`, certainly changed nothing, because there
    /// was no space to write. A flush that fails for lack of space is different: its data is in the
    /// file, and may be found there.
    [[nodiscard]] bool changed_nothing(int answer, const std::error_code& code) const noexcept {
        const int kind = answer & 0xFF;
        return kind == SQLITE_FULL || kind == SQLITE_NOMEM || kind == SQLITE_TOOBIG ||
               (sqlite3_extended_errcode(db_.get()) == SQLITE_IOERR_WRITE &&
                is_lack_of_space(code));
    }
    /// Returns the text for the last failure: SQLite's own, or the versions of the format; "" if
    /// there was none.
    [[nodiscard]] const char* last_words() const noexcept {
        if (!versions_.empty()) return versions_.c_str();
        return db_ == nullptr || sqlite3_errcode(db_.get()) == SQLITE_OK
                   ? ""
                   : sqlite3_errmsg(db_.get());
    }

private:
    /// Executes a statement for which SQLite itself waits only for some locks.
    [[nodiscard]] std::error_code execute_when_unlocked(const char* sql) noexcept {
        constexpr int pause_ms = 10;
        const std::chrono::milliseconds most = lock_time_;
        // Otherwise each execution may wait, too.
        wait_for_locks(Duration{});
        std::error_code error = execute(sql);
        for (auto left = most; is_locked(error) && left.count() > 0;) {
            left -= std::chrono::milliseconds{sqlite3_sleep(pause_ms)};
            error = execute(sql);
        }
        wait_for_locks(most);
        return error;
    }
    /// Whether the last call failed because another connection holds a lock, without a wait.
    [[nodiscard]] bool is_locked(const std::error_code& error) const noexcept {
        // SQLite has waited for about 10 s before it returns SQLITE_PROTOCOL.
        return error == QueueErrc::already_locked &&
               (sqlite3_errcode(db_.get()) & 0xFF) != SQLITE_PROTOCOL;
    }
    template <class... V>
    [[nodiscard]] std::error_code write_unlooked(const SqliteStatement& statement,
                                                 const V&... values) noexcept {
        const SqliteRun run{statement};
        run.bind_all(values...);
        const int answer = run.step();
        if (answer == SQLITE_DONE) return {};
        // The system may have dropped what it could not write, and SQLite cannot detect that.
        if (sqlite3_extended_errcode(db_.get()) == SQLITE_IOERR_FSYNC) {
            flush_failed_ = true;
            return make_error_code(QueueErrc::must_reopen);
        }
        return code_of_write(answer);
    }
    [[nodiscard]] std::error_code end_of_rows(int answer) const noexcept {
        return answer == SQLITE_DONE ? std::error_code{} : code_of(answer);
    }
    /// Asks SQLite, which compares the inode of the path with that of its file.
    [[nodiscard]] bool has_moved() const noexcept {
        int moved = 0;
        return sqlite3_file_control(db_.get(), "main", SQLITE_FCNTL_HAS_MOVED, &moved) ==
                   SQLITE_OK &&
               moved != 0;
    }
    [[nodiscard]] static std::string directory_of(const std::string& path) {
        const std::size_t end = path.rfind('/');
        return end == path.npos ? "." : path.substr(0, end + 1);
    }
#if defined(SQLITE_OPEN_NOFOLLOW)
    /// Returns the same file by a path whose directories are not links; `path` if that cannot be
    /// determined.
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
    std::string path_;
    std::string versions_{};  // of a file that has another version of the format
    bool flush_failed_ = false;
    DatabasePlace place_;
    DatabasePlace log_;
    std::chrono::milliseconds lock_time_{};  // the time to wait for the lock of another connection
    // Prepared by the first transaction.
    SqliteStatement begin_;
    SqliteStatement commit_;
};

}}}  // namespace belay::detail
