// SPDX-License-Identifier: MIT
/// \file belay/sqlite/ledger.hpp
/// sqlite::Ledger: delivers operations exactly once into your own SQLite database; needs sqlite3.
/// sqlite::write: runs one statement with values.
/// Link belay::sqlite or -lsqlite3.
#pragma once

#include <sqlite3.h>

#include <concepts>     // std::convertible_to, std::integral
#include <cstring>      // std::memcpy
#include <functional>   // std::function
#include <map>          // std::map
#include <memory>       // std::make_unique, std::unique_ptr
#include <optional>     // std::optional
#include <string>       // std::string
#include <string_view>  // std::string_view
#include <type_traits>  // std::remove_cvref_t
#include <utility>      // std::move

#include <belay/core/detail/scope_exit.hpp>
#include <belay/session/ledger_like.hpp>
#include <belay/sqlite/detail/database.hpp>
#include <belay/sqlite/error.hpp>

namespace belay { inline namespace BELAY_ABI { namespace sqlite {

/// Options of a ledger in SQLite.
struct LedgerOptions {
    /// How long a call waits for the lock of another connection to the database, before it fails as
    /// already_locked: from zero to a day. The thread of the receiver waits.
    Duration lock_wait = std::chrono::seconds{1};
};

/// Runs one statement that changes rows, with values for its parameters in their order: numbers
/// without a fraction (of 64 bits, as signed ones), text, or bytes.
///
/// Errors: std::errc::invalid_argument: a constraint of your tables rejects the values.
///         std::errc::not_supported: SQLite does not understand the statement, it returns rows,
///         more than one statement, or another number of parameters than values.
///         Others of SQLite, see Error. `sqlite3_errmsg` has the words.
/// Complexity: prepares the statement at each call.   Blocks: on locks and the disk.
template <class... V>
[[nodiscard]] std::error_code write(sqlite3& db, const char* sql, const V&... values) noexcept {
    static_assert(((std::integral<V> || std::convertible_to<const V&, std::string_view> ||
                    std::convertible_to<const V&, BytesView>)&&...),
                  "sqlite::write: a value must be an integer, text or bytes; for another, prepare "
                  "and bind a statement of your own");
    sqlite3_stmt* prepared = nullptr;
    const char* tail = nullptr;
    const int answer = sqlite3_prepare_v2(&db, sql, -1, &prepared, &tail);
    const detail::SqliteStatement statement{prepared};
    if (answer != SQLITE_OK && answer != SQLITE_ERROR) return detail::code_of_sqlite(answer);
    if (prepared == nullptr ||
        std::string_view{tail}.find_first_not_of(" \t\r\n;") != std::string_view::npos ||
        sqlite3_bind_parameter_count(prepared) != static_cast<int>(sizeof...(V))) {
        return std::make_error_code(std::errc::not_supported);
    }
    const detail::SqliteRun run{statement};
    int at = 0;
    [[maybe_unused]] const auto bind = [&](const auto& value) {
        using T = std::remove_cvref_t<decltype(value)>;
        if constexpr (std::integral<T>) {
            run.bind(++at, static_cast<std::int64_t>(value));
        } else if constexpr (std::convertible_to<const T&, std::string_view>) {
            run.bind(++at, std::string_view{value});
        } else {
            run.bind(++at, BytesView{value});
        }
    };
    (bind(values), ...);
    switch (const int done = run.step(); done & 0xFF) {
        case SQLITE_DONE:
            return {};
        case SQLITE_CONSTRAINT:
        case SQLITE_MISMATCH:
            return std::make_error_code(std::errc::invalid_argument);
        case SQLITE_ROW:
        case SQLITE_ERROR:
            return std::make_error_code(std::errc::not_supported);
        default:
            return detail::code_of_sqlite(done, std::errc{sqlite3_system_errno(&db)});
    }
}

/// The ledger of a Receiver, in an SQLite database that has your own tables, too.
///
///     auto ledger = sqlite::Ledger::open("shop.db", [](sqlite3& db, const Id&, BytesView order) {
///         return sqlite::write(db, "INSERT INTO orders (text) VALUES (?)", as_text(order));
///     });                                                     // a Result
///
/// The function lets an operation take effect, by statements of the connection it is given. They
/// and the progress of the sender are in one transaction, so each operation takes effect once, also
/// over crashes. Other connections see it after the commit of the receiver.
///
/// The function must not begin or end a transaction: a COMMIT inside it rolls back, and the ledger
/// fails. Savepoints of its own are allowed. So is a conflict clause, but not ROLLBACK.
///
/// If it returns an error, nothing of the operation is left. Its sender sends it again at the times
/// of its policy, and keeps back all later operations. So for an operation that can never take
/// effect, write that into a table of your own, and return no error.
///
/// The ledger adds two tables to the database:
///
///     belay_ledger (one INTEGER PRIMARY KEY, id BLOB, version INTEGER)
///     belay_progress (sender BLOB PRIMARY KEY, journal BLOB, attach, applied, check INTEGER)
///
/// Use one ledger of a database at a time. If another one writes, also of another process, this one
/// fails before it can commit anything twice: must_reopen.
///
/// Models:        LedgerLike.
/// Thread safety: distinct objects safe. After fork, the child must not use or destroy it.
/// Blocks:        every call, on the disk, and at most `lock_wait` on locks. Between `apply` and
///                `commit` other connections cannot write, and without a write-ahead log
///                (`PRAGMA journal_mode=WAL`) not read: see ReceiverOptions::commit_within.
/// Durability:    `PRAGMA synchronous=EXTRA`, with the database's own journal mode.
/// Errors:        those of the function. already_locked: another connection writes. must_reopen:
///                the transaction was ended by the function or by a failure, or another ledger has
///                written. displaced: the file was moved or replaced. Those of SQLite, see Error.
/// Memory:        an entry of a std::map for each sender.
/// Throws:        what the function throws; nothing of the operation is left. std::bad_alloc.
class Ledger {
public:
    /// The function that lets an operation of a sender take effect.
    using Apply =
        std::function<std::error_code(sqlite3& db, const Id& sender, BytesView operation)>;

    /// Opens the database in the file `path`, or creates it, and adds the ledger's tables.
    ///
    /// Errors: what, where, and what to do, see Error. A database with a ledger of another version
    ///         is rejected, and keeps its contents.
    /// Complexity: reads the progress of all senders.
    [[nodiscard]] static Result<Ledger, Error> open(const std::string& path, Apply apply,
                                                    LedgerOptions options = {}) {
        Ledger ledger{std::move(apply)};
        std::error_code error;
        if (path.empty() || path.find('\0') != path.npos || !ledger.apply_ ||
            options.lock_wait < Duration{} || options.lock_wait > std::chrono::hours{24}) {
            error = make_error_code(QueueErrc::bad_options);
        }
        if (!error) error = ledger.start(path, options);
        if (error) {
            return Error{error, path, ledger.db_.last_words(), "ledger", "sqlite::LedgerOptions"};
        }
        return ledger;
    }

    [[nodiscard]] const Id& store_id() const noexcept { return store_id_; }
    [[nodiscard]] std::optional<Progress> progress(const Id& sender) const {
        const auto found = progress_.find(sender);
        if (found == progress_.end()) return std::nullopt;
        return found->second;
    }
    [[nodiscard]] std::error_code adopt(const Id& sender, const Progress& progress) {
        const std::error_code error =
            write_whole(sender, progress, [] { return std::error_code{}; });
        return error ? error : commit();
    }
    [[nodiscard]] std::error_code apply(const Id& sender, const Progress& progress,
                                        BytesView operation) {
        return write_whole(sender, progress, [&] {
            const detail::FlagScope inside{*applies_};
            return apply_(connection(), sender, operation);
        });
    }
    [[nodiscard]] std::error_code commit() {
        if (failed_ || !db_.in_transaction()) return failed_;
        std::error_code error = db_.look();
        if (!error) error = db_.write(commit_);
        return error ? fail(error) : std::error_code{};
    }

    /// Returns the connection, to create your tables before the receiver begins, and to read.
    [[nodiscard]] sqlite3& connection() noexcept { return *db_.handle(); }

private:
    explicit Ledger(Apply apply) : apply_{std::move(apply)} {}

    [[nodiscard]] std::error_code start(const std::string& path, const LedgerOptions& options) {
        std::error_code error = db_.open(path, detail::SqliteSharing::shared);
        if (!error) db_.wait_for_locks(options.lock_wait);
        if (!error) error = db_.execute("PRAGMA fullfsync=ON; PRAGMA synchronous=EXTRA");
        std::int64_t tables[1] = {};
        constexpr const char* count =
            "SELECT count(*) FROM sqlite_master WHERE name IN ('belay_ledger', 'belay_progress')";
        if (!error) error = db_.ask(count, tables);
        if (!error && tables[0] == 0) error = create();
        if (!error) error = prepare();
        return error ? error : load();
    }
    [[nodiscard]] std::error_code create() {
        return db_.in_one_piece([this] {
            // Another process may have made them meanwhile.
            return db_.execute(
                "CREATE TABLE IF NOT EXISTS belay_ledger (one INTEGER PRIMARY KEY CHECK (one = 1),"
                " id BLOB NOT NULL, version INTEGER NOT NULL);"
                "CREATE TABLE IF NOT EXISTS belay_progress (sender BLOB PRIMARY KEY, journal BLOB,"
                " attach INTEGER, applied INTEGER, \"check\" INTEGER) WITHOUT ROWID;"
                "INSERT OR IGNORE INTO belay_ledger VALUES (1, randomblob(16), 1)");
        });
    }
    [[nodiscard]] std::error_code prepare() {
        // A commit inside the function would store an effect without its progress.
        sqlite3_commit_hook(
            db_.handle(), [](void* applies) { return *static_cast<bool*>(applies) ? 1 : 0; },
            applies_.get());
        // Without a write-ahead log, a reader could make the commit fail after a weaker lock.
        return db_.prepare(
            {{"BEGIN EXCLUSIVE", begin_},
             {"COMMIT", commit_},
             {"SAVEPOINT belay_operation", mark_},
             {"RELEASE belay_operation", release_},
             {"INSERT INTO belay_progress VALUES (?, ?, ?, ?, ?)", insert_},
             // Only what this ledger has read or written itself is replaced.
             {"UPDATE belay_progress SET journal = ?2, attach = ?3, applied = ?4, \"check\" = ?5 "
              "WHERE sender = ?1 AND journal = ?6 AND attach = ?7 AND applied = ?8 AND \"check\" = "
              "?9",
              update_}});
    }
    [[nodiscard]] std::error_code load() {
        detail::SqliteStatement own;
        detail::SqliteStatement all;
        std::error_code error = db_.prepare(
            {{"SELECT version, id FROM belay_ledger", own},
             {"SELECT sender, journal, attach, applied, \"check\" FROM belay_progress", all}});
        const auto take_own = [&](const detail::SqliteRun& run) -> std::error_code {
            if (run.number(0) != 1) return QueueErrc::other_version;
            return read_id(run, 1, store_id_) ? std::error_code{} : QueueErrc::corrupt;
        };
        const auto take_progress = [&](const detail::SqliteRun& run) -> std::error_code {
            Id sender{};
            Progress p;
            if (!read_id(run, 0, sender) || !read_id(run, 1, p.journal)) return QueueErrc::corrupt;
            p.attach = static_cast<std::uint64_t>(run.number(2));
            p.applied = static_cast<std::uint64_t>(run.number(3));
            p.check = static_cast<std::uint64_t>(run.number(4));
            progress_.emplace(sender, p);
            return {};
        };
        if (!error) error = db_.row(own, take_own);
        if (!error && detail::is_no_id(store_id_)) error = QueueErrc::corrupt;
        return error ? error : db_.each_row(all, take_progress);
    }
    [[nodiscard]] static bool read_id(const detail::SqliteRun& run, int column, Id& id) noexcept {
        const BytesView bytes = run.bytes(column);
        if (bytes.size() != id.size()) return false;
        std::memcpy(id.data(), bytes.data(), id.size());
        return true;
    }

    /// Stores the progress, and what `effect` writes, or nothing of both.
    template <class Effect>
    [[nodiscard]] std::error_code write_whole(const Id& sender, const Progress& progress,
                                              const Effect& effect) {
        if (failed_) return failed_;
        if (!db_.in_transaction()) {
            if (const std::error_code error = db_.write(begin_)) return error;
        }
        if (const std::error_code error = db_.write(mark_)) return fail(error);
        detail::ScopeExit undo{[this] { undo_operation(); }};
        std::error_code error = effect();
        // A statement of its own would be a transaction of its own.
        if (!error && !db_.in_transaction()) error = make_error_code(QueueErrc::must_reopen);
        if (!error) error = store(sender, progress);
        if (error) return error;
        if (db_.write(release_)) return fail(make_error_code(QueueErrc::must_reopen));
        progress_[sender] = progress;  // without memory for it, the ledger fails
        undo.release();
        return {};
    }
    [[nodiscard]] std::error_code store(const Id& sender, const Progress& p) {
        const auto at = [](std::uint64_t number) { return static_cast<std::int64_t>(number); };
        const auto known = progress_.find(sender);
        if (known == progress_.end()) {
            return db_.write(insert_, BytesView{sender}, BytesView{p.journal}, at(p.attach),
                             at(p.applied), at(p.check));
        }
        const Progress& old = known->second;
        const std::error_code error = db_.write(
            update_, BytesView{sender}, BytesView{p.journal}, at(p.attach), at(p.applied),
            at(p.check), BytesView{old.journal}, at(old.attach), at(old.applied), at(old.check));
        if (error || db_.changes() == 1) return error;
        return fail(make_error_code(QueueErrc::must_reopen));
    }
    /// Removes what the operation has written, and keeps the earlier operations if possible.
    void undo_operation() noexcept {
        if (failed_) return;
        if (!db_.in_transaction() ||
            db_.execute("ROLLBACK TO belay_operation; RELEASE belay_operation")) {
            static_cast<void>(fail(make_error_code(QueueErrc::must_reopen)));
        }
    }
    /// From now on every call fails. Gives the lock back, so that the database can be opened again.
    std::error_code fail(const std::error_code& error) noexcept {
        failed_ = error;
        if (db_.in_transaction()) static_cast<void>(db_.execute("ROLLBACK"));
        return error;
    }

    std::unique_ptr<bool> applies_ = std::make_unique<bool>(false);  // the function is running
    detail::SqliteDatabase db_;
    detail::SqliteStatement begin_, commit_, mark_, release_, insert_, update_;
    Apply apply_;
    Id store_id_{};
    std::map<Id, Progress> progress_;
    std::error_code failed_;
};

}}}  // namespace belay::sqlite
