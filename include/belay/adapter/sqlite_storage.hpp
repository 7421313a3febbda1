// SPDX-License-Identifier: MIT
/// \file belay/adapter/sqlite_storage.hpp
/// SqliteStorage: a durable queue in one SQLite file. Needs sqlite3.
#pragma once

#include <cstdint>   // std::int64_t
#include <optional>  // std::optional
#include <string>    // std::string
#include <utility>   // std::move

#include <belay/adapter/detail/record_check.hpp>
#include <belay/adapter/detail/sqlite_database.hpp>
#include <belay/core/result.hpp>
#include <belay/queue/leasable_like.hpp>

namespace belay::inline BELAY_ABI {

/// When what a SqliteStorage was told is on the medium; the names are those of SQLite's
/// `synchronous`.
enum class SqliteSync : std::uint8_t {
    full,   ///< when the call returns: one flush for each
    normal  ///< when `sync` returns; before that it survives the process, not a loss of power
};

/// How a queue in SQLite is opened.
struct SqliteOptions {
    SqliteSync sync = SqliteSync::full;
    /// The longest operation; at most 1'000'000'000, the limit of SQLite.
    std::size_t record_bytes_max = 1 << 20;
};

/// Operations in a table of an SQLite database of their own: write-ahead log, prepared statements,
/// ordered by the integer primary key.
///
/// Each push, pop and ack is a transaction: it happened, or it did not, whatever dies when. One
/// object in one process has a file open at a time: it is locked until the object, or its process,
/// ends. Every operation has a checksum: SQLite has none over its tables.
///
///     CREATE TABLE queue (number INTEGER PRIMARY KEY, crc INTEGER NOT NULL, body BLOB NOT NULL)
///
/// with application_id 0x62656C71 and user_version 1; numbers without gaps; crc: the CRC32C of the
/// number, 8 bytes little endian, and the body.
///
/// Models:        LeasableLike.
/// Thread safety: distinct objects safe. After fork, the child must not use or destroy it.
/// Blocks:        every call that changes something, on the disk.
class SqliteStorage {
public:
    using value_type = Bytes;

    /// Opens the queue in the file `path`, or makes one there.
    ///
    /// Errors:     what, where, and what to do, see SqliteError. A file of another program, of a
    ///             later version, or that lacks operations is refused, and keeps its contents.
    /// Throws:     std::bad_alloc.   Complexity: O(operations).
    [[nodiscard]] static Result<SqliteStorage, SqliteError> open(const std::string& path,
                                                                 SqliteOptions options = {}) {
        SqliteStorage storage;
        const std::error_code code = storage.start(path, options);
        if (code) return SqliteError{code, path, storage.db_.last_words()};
        return storage;
    }

    SqliteStorage(SqliteStorage&&) noexcept = default;
    SqliteStorage& operator=(SqliteStorage&&) noexcept = default;
    ~SqliteStorage() = default;

    /// Adds an operation at the back.
    ///
    /// Errors: too_large; no space; what `failed` says. Nothing was taken then.
    [[nodiscard]] std::error_code try_push(BytesView body) noexcept {
        if (failed_) return failed_;
        if (body.size() > record_bytes_max_) return make_error_code(QueueErrc::too_large);
        const Run run{insert_};
        const std::int64_t number = last_ + 1;
        run.bind(1, number);
        run.bind(2, std::int64_t{check_of(number, body)});
        run.bind(3, body);
        if (const int answer = run.step(); answer != SQLITE_DONE) return failure(answer);
        last_ = number;
        return {};
    }

    /// Takes the oldest operation; nothing if there is none, or if it could not be read or removed:
    /// then `front` or `failed` says why, and it is still there. If the storage fails while it
    /// removes the operation, that may come again when it is opened.   Throws: std::bad_alloc.
    [[nodiscard]] std::optional<Bytes> try_pop() {
        if (failed_ || !front()) return std::nullopt;
        if (!ack()) return std::move(front_);
        // Whether it is gone nobody knows then: if it was not handed out, it could be lost.
        return failed_ ? std::optional<Bytes>{front_} : std::nullopt;
    }

    /// The oldest operation, until `ack` or `try_pop`.
    ///
    /// Errors: queue_empty; corrupt; those of the disk.   Throws: std::bad_alloc.
    [[nodiscard]] Result<BytesView> front() {
        if (size() == 0) return make_error_code(QueueErrc::queue_empty);
        if (!has_front_) {
            if (const std::error_code error = read_front()) return error;
            has_front_ = true;
        }
        return BytesView{front_};
    }
    /// Removes the oldest operation, also one that cannot be read.   Pre: there is one.
    ///
    /// Errors: what `failed` says, no space; the operation is still the first then.
    [[nodiscard]] std::error_code ack() noexcept {
        BELAY_PRECONDITION(size() != 0, "SqliteStorage::ack: there must be an operation");
        if (failed_) return failed_;
        const Run run{remove_};
        run.bind(1, first_);
        if (const int answer = run.step(); answer != SQLITE_DONE) return failure(answer);
        if (db_.changes() != 1) return failure(SQLITE_CORRUPT);
        ++first_;
        has_front_ = false;
        return {};
    }
    /// Nothing: an operation is first until it is removed.
    void nack() noexcept {}

    /// Makes everything durable that was pushed and removed; with SqliteSync::full it is already.
    ///
    /// Errors: no space, then it may be called again; what `failed` says.
    /// Blocks: on the disk, with `normal`.
    [[nodiscard]] std::error_code sync() noexcept {
        if (failed_ || !sync_by_checkpoint_) return failed_;
        const int answer = db_.checkpoint();
        return answer == SQLITE_OK ? std::error_code{}
                                   : failure(answer, db_.code_of_checkpoint(answer));
    }

    /// The failure of the disk after which nothing more is taken or removed: whether the last call
    /// took effect is not known until the file is opened again. No error as long as there was none.
    [[nodiscard]] std::error_code failed() const noexcept { return failed_; }
    [[nodiscard]] std::size_t size() const noexcept {
        return static_cast<std::size_t>(last_ - first_ + 1);
    }
    /// The disk is the limit.
    [[nodiscard]] std::size_t capacity() const noexcept { return no_limit; }

private:
    static constexpr std::int64_t application_id = 0x62656C71;
    static constexpr std::int64_t version = 1;

    using Run = detail::SqliteRun;

    SqliteStorage() noexcept = default;

    [[nodiscard]] static std::uint32_t check_of(std::int64_t number, BytesView body) noexcept {
        return detail::record_check(static_cast<std::uint64_t>(number), body);
    }

    /// The error of a call on the open queue. What could not be written changed nothing; after
    /// anything else nobody knows what of it is in the file.
    [[nodiscard]] std::error_code failure(int answer) noexcept {
        return failure(answer, db_.code_of_write(answer));
    }
    [[nodiscard]] std::error_code failure(int answer, const std::error_code& code) noexcept {
        if (!db_.changed_nothing(answer, code)) failed_ = code;
        return code;
    }

    [[nodiscard]] std::error_code start(const std::string& path, const SqliteOptions& options) {
        if (path.empty() || path.find('\0') != std::string::npos ||
            options.record_bytes_max > 1'000'000'000) {
            return make_error_code(QueueErrc::bad_options);
        }
        record_bytes_max_ = options.record_bytes_max;
        sync_by_checkpoint_ = options.sync == SqliteSync::normal;
        bool is_new = false;
        std::error_code error = db_.open(path);
        if (!error) error = recognise(is_new);
        if (!error) error = configure();
        if (!error && is_new) error = create();
        if (!error) error = db_.prepare("INSERT INTO queue VALUES (?, ?, ?)", insert_);
        if (!error) error = db_.prepare("SELECT crc, body FROM queue WHERE number = ?", select_);
        if (!error) error = db_.prepare("DELETE FROM queue WHERE number = ?", remove_);
        return error ? error : take_stock();
    }
    /// Whether the file is a queue, or empty and to become one. Changes nothing in any other.
    [[nodiscard]] std::error_code recognise(bool& is_new) noexcept {
        std::int64_t found[3];
        if (const std::error_code error =
                db_.ask("SELECT application_id, user_version, (SELECT count(*) FROM sqlite_schema) "
                        "FROM pragma_application_id, pragma_user_version",
                        found)) {
            return error;
        }
        is_new = found[0] == 0 && found[1] == 0 && found[2] == 0;
        if (is_new) return {};
        if (found[0] != application_id) return make_error_code(QueueErrc::foreign_file);
        if (found[1] > version) return make_error_code(QueueErrc::future_version);
        return found[1] == version ? std::error_code{} : make_error_code(QueueErrc::corrupt);
    }
    [[nodiscard]] std::error_code configure() noexcept {
        // fullfsync: where a flush alone does not reach the medium.
        std::error_code error = db_.execute("PRAGMA journal_mode=WAL; PRAGMA fullfsync=ON");
        std::int64_t found[1] = {0};
        if (!error) error = db_.ask("SELECT journal_mode = 'wal' FROM pragma_journal_mode", found);
        if (!error && found[0] != 1) return std::make_error_code(std::errc::not_supported);
        if (error) return error;
        return db_.execute(sync_by_checkpoint_ ? "PRAGMA synchronous=NORMAL"
                                               : "PRAGMA synchronous=FULL");
    }
    [[nodiscard]] std::error_code create() noexcept {
        return db_.execute(
            "BEGIN; CREATE TABLE queue (number INTEGER PRIMARY KEY, crc INTEGER NOT NULL, body "
            "BLOB NOT NULL); PRAGMA application_id=0x62656C71; PRAGMA user_version=1; COMMIT");
    }
    /// Which operations there are; without one from between, the order could not be kept.
    [[nodiscard]] std::error_code take_stock() noexcept {
        std::int64_t found[3];
        if (const std::error_code error =
                db_.ask("SELECT count(*), min(number), max(number) FROM queue", found)) {
            return error;
        }
        if (found[0] == 0) return {};
        first_ = found[1];
        last_ = found[2];
        const bool whole = first_ > 0 && last_ >= first_ && last_ - first_ == found[0] - 1;
        return whole ? std::error_code{} : make_error_code(QueueErrc::corrupt);
    }
    [[nodiscard]] std::error_code read_front() {
        const Run run{select_};
        run.bind(1, first_);
        const int answer = run.step();
        if (answer != SQLITE_ROW)
            return db_.code_of(answer == SQLITE_DONE ? SQLITE_CORRUPT : answer);
        const BytesView body = run.bytes(1);
        if (run.number(0) != check_of(first_, body)) return make_error_code(QueueErrc::corrupt);
        front_.assign(body.begin(), body.end());
        return {};
    }

    // The statements end before the database.
    detail::SqliteDatabase db_;
    detail::SqliteStatement insert_;
    detail::SqliteStatement select_;
    detail::SqliteStatement remove_;
    std::int64_t first_ = 1;
    std::int64_t last_ = 0;
    Bytes front_;
    std::size_t record_bytes_max_ = 0;
    std::error_code failed_;
    bool has_front_ = false;
    bool sync_by_checkpoint_ = false;
};

static_assert(LeasableLike<SqliteStorage>);

}  // namespace belay::inline BELAY_ABI
