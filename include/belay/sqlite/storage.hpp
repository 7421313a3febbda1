// SPDX-License-Identifier: MIT
/// \file belay/sqlite/storage.hpp
/// sqlite::Storage: a durable queue in one SQLite file; needs sqlite3.
/// Link belay::sqlite or -lsqlite3.
#pragma once

#include <cstddef>       // std::size_t
#include <cstdint>       // std::uint32_t, std::uint64_t, std::int64_t
#include <optional>      // std::optional
#include <string>        // std::string
#include <string_view>   // std::string_view
#include <system_error>  // std::error_code
#include <utility>       // std::move

#include <belay/core/assert.hpp>
#include <belay/core/bytes.hpp>
#include <belay/core/crc32c.hpp>
#include <belay/core/result.hpp>
#include <belay/queue/queue_errc.hpp>
#include <belay/queue/storage_like.hpp>
#include <belay/sqlite/detail/database.hpp>
#include <belay/sqlite/error.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Returns the CRC32C of the number, 8 bytes little endian, and the body. So it also detects a body
/// that is stored under another number.
[[nodiscard]] inline std::uint32_t record_check(std::uint64_t number, BytesView body) noexcept {
    std::byte bytes[8];
    store_le(bytes, number);
    return part::crc32c(body, part::crc32c(bytes));
}

/// The numbers of the operations in a table, without gaps.
struct NumberRange {
    std::uint64_t first = 1;
    std::uint64_t last = 0;

    [[nodiscard]] std::size_t size() const noexcept {
        return static_cast<std::size_t>(last - first + 1);
    }
};

/// The table of a queue in SQLite. See sqlite::Storage for the format.
class SqliteTable {
public:
    [[nodiscard]] std::error_code open(const std::string& path, bool flushes_each,
                                       NumberRange& range) {
        flushes_each_ = flushes_each;
        std::error_code error = db_.open(path, {0x62656C71, 1}, schema, flushes_each);
        if (!error)
            error = db_.prepare({{"INSERT INTO queue VALUES (?, ?, ?)", insert_},
                                 {"SELECT crc, body FROM queue WHERE number = ?", select_},
                                 {"DELETE FROM queue WHERE number = ?", remove_}});
        return error ? error : take_stock(range);
    }

    [[nodiscard]] std::error_code insert(std::uint64_t number, BytesView body) noexcept {
        if (const std::error_code error = db_.look()) return error;
        const SqliteRun run{insert_};
        run.bind_all(static_cast<std::int64_t>(number), std::int64_t{record_check(number, body)},
                     body);
        const int answer = run.step();
        return answer == SQLITE_DONE ? std::error_code{} : failure(answer);
    }
    [[nodiscard]] std::error_code read(std::uint64_t number, Bytes& into) const {
        const SqliteRun run{select_};
        run.bind(1, static_cast<std::int64_t>(number));
        const int answer = run.step();
        if (answer != SQLITE_ROW)
            return db_.code_of(answer == SQLITE_DONE ? SQLITE_CORRUPT : answer);
        const BytesView body = run.bytes(1);
        if (run.number(0) != record_check(number, body)) return make_error_code(QueueErrc::corrupt);
        into.assign(body.begin(), body.end());
        return {};
    }
    [[nodiscard]] std::error_code remove(std::uint64_t number) noexcept {
        if (const std::error_code error = db_.look()) return error;
        const SqliteRun run{remove_};
        run.bind(1, static_cast<std::int64_t>(number));
        if (const int answer = run.step(); answer != SQLITE_DONE) return failure(answer);
        return db_.changes() == 1 ? std::error_code{} : failure(SQLITE_CORRUPT);
    }
    [[nodiscard]] std::error_code flush() noexcept {
        if (flushes_each_) return {};
        if (const std::error_code error = db_.look()) return error;
        const int answer = db_.checkpoint();
        return answer == SQLITE_OK ? std::error_code{}
                                   : failure(answer, db_.code_of_checkpoint(answer));
    }
    [[nodiscard]] std::error_code failed() const noexcept { return failed_; }
    [[nodiscard]] const char* last_words() const noexcept { return db_.last_words(); }

private:
    /// Returns the error of a call on the open queue. If there was no space to write, nothing has
    /// changed. After any other error the content of the file is unknown.
    [[nodiscard]] std::error_code failure(int answer) noexcept {
        return failure(answer, db_.code_of_write(answer));
    }
    [[nodiscard]] std::error_code failure(int answer, const std::error_code& code) noexcept {
        if (!db_.changed_nothing(answer, code)) failed_ = code;
        return code;
    }

    static constexpr const char* schema =
        "BEGIN; CREATE TABLE queue (number INTEGER PRIMARY KEY, crc INTEGER NOT NULL, body "
        "BLOB NOT NULL); PRAGMA application_id=0x62656C71; PRAGMA user_version=1; COMMIT";
    [[nodiscard]] std::error_code take_stock(NumberRange& range) noexcept {
        std::int64_t found[3] = {};
        if (const std::error_code error =
                db_.ask("SELECT count(*), min(number), max(number) FROM queue", found)) {
            return error;
        }
        const auto [count, first, last] = found;
        if (count == 0) return {};
        // If an operation in between were missing, the order could not be kept.
        if (first < 1 || last - first != count - 1) return make_error_code(QueueErrc::corrupt);
        range = {static_cast<std::uint64_t>(first), static_cast<std::uint64_t>(last)};
        return {};
    }

    // Declared first, because the statements must be destroyed before the database.
    SqliteDatabase db_;
    SqliteStatement insert_;
    SqliteStatement select_;
    SqliteStatement remove_;
    std::error_code failed_;
    bool flushes_each_ = true;
};

}}}  // namespace belay::detail

namespace belay { inline namespace BELAY_ABI { namespace sqlite {

/// The time at which the changes to a Storage are on the medium.
///
/// The names are those of SQLite's `synchronous`.
enum class Flush : std::uint8_t {
    full,   ///< when the call returns: one flush for each call
    normal  ///< when `commit` returns; before that they survive the process, but not a power cut
};

/// Options of a queue in SQLite.
struct Options {
    /// When changes are on the medium; `normal` is faster, and needs a `commit`.
    Flush flush = Flush::full;
    /// The longest operation in bytes; at most 1'000'000'000, the limit of SQLite.
    std::size_t record_bytes_max = 1 << 20;

    /// Returns the sentence on what is wrong with these options; it is empty if nothing is. It also
    /// serves a static_assert.   Complexity: O(1).
    [[nodiscard]] constexpr std::string_view check() const noexcept {
        return record_bytes_max > 1'000'000'000 ? "record_bytes_max must be at most 1,000,000,000"
                                                : std::string_view{};
    }
};

/// A durable queue in a table of an SQLite database of its own.
///
/// It uses the write-ahead log and prepared statements, and is ordered by the integer primary key.
/// Each push, pop and ack is a transaction. It happens as a whole or not at all, even if the
/// process or the machine fails. A file can be open in one object of one process at a time. It is
/// locked until the object or its process ends. Every operation has a checksum, because SQLite has
/// none over its tables.
///
///     CREATE TABLE queue (number INTEGER PRIMARY KEY, crc INTEGER NOT NULL, body BLOB NOT NULL)
///
/// The database has application_id 0x62656C71 and user_version 1. Numbers have no gaps. The crc is
/// the CRC32C of the number, as 8 bytes little endian, and the body.
///
/// Models:        LeasableLike.
/// Thread safety: distinct objects safe. After fork, the child must not use or destroy it.
/// Blocks:        every call that changes something, on the disk.
class Storage {
public:
    using value_type = Bytes;

    /// Opens the queue in the file `path`, or creates it.
    ///
    /// Errors:     what, where, and what to do, see Error. A file of another program, of a later
    ///             version, or that lacks operations is rejected, and keeps its contents.
    /// Throws:     std::bad_alloc.   Complexity: O(operations).
    [[nodiscard]] static Result<Storage, Error> open(const std::string& path,
                                                     Options options = {}) {
        if (const std::string_view wrong = detail::why_not_opened(path, options); !wrong.empty())
            return Error{make_error_code(QueueErrc::bad_options), path, std::string{wrong}};
        Storage storage;
        const std::error_code code =
            storage.table_.open(path, options.flush == Flush::full, storage.range_);
        if (code) return Error{code, path, storage.table_.last_words()};
        storage.record_bytes_max_ = options.record_bytes_max;
        return storage;
    }

    /// Adds an operation at the back.
    ///
    /// Errors: too_large; queue_full, if the options have a limit for it; no space; displaced: see
    /// `commit`; the error of `failed`. The queue has not accepted the operation then.
    [[nodiscard]] std::error_code try_push(BytesView body) noexcept {
        if (failed()) return failed();
        if (body.size() > record_bytes_max_) return make_error_code(QueueErrc::too_large);
        if (const std::error_code error = table_.insert(range_.last + 1, body)) return error;
        ++range_.last;
        return {};
    }

    /// Takes the oldest operation. Returns nothing if there is none, or if it could not be read or
    /// removed. Then `front` or `failed` returns the reason, except for lack of space and for
    /// displaced, and the operation is still there. If the storage fails while it removes the
    /// operation, that operation may be returned again after the next opening.
    /// Throws: std::bad_alloc.
    [[nodiscard]] std::optional<Bytes> try_pop() {
        if (!front()) return std::nullopt;
        if (!ack()) return std::move(front_);
        // It is unknown whether the operation is removed. If it were not returned, it could be
        // lost.
        return failed() ? std::optional<Bytes>{front_} : std::nullopt;
    }

    /// Returns the oldest operation, until `ack` or `try_pop`.
    ///
    /// Errors: the error of `failed`, because the operation could not be removed; queue_empty;
    /// corrupt; those of the disk.
    /// Throws: std::bad_alloc.
    [[nodiscard]] Result<BytesView> front() {
        if (failed()) return failed();
        if (size() == 0) return make_error_code(QueueErrc::queue_empty);
        if (!has_front_) {
            if (const std::error_code error = table_.read(range_.first, front_)) return error;
            has_front_ = true;
        }
        return BytesView{front_};
    }
    /// Removes the oldest operation, also one that cannot be read.   Pre: there is one.
    ///
    /// Errors: the error of `failed`, no space, or displaced. The operation is then still the
    /// first.
    [[nodiscard]] std::error_code ack() noexcept {
        BELAY_PRECONDITION(size() != 0, "Storage::ack: there must be an operation");
        if (failed()) return failed();
        if (const std::error_code error = table_.remove(range_.first)) return error;
        ++range_.first;
        has_front_ = false;
        return {};
    }
    /// Does nothing: an operation is the first until it is removed.
    void nack() noexcept {}

    /// Makes all pushes and removals durable. With `full` they already are.
    ///
    /// Errors: the error of `failed`; no space, after which you may call it again unless `failed`
    /// also returns an error; displaced: the file is not at its path any more. Nothing is written
    /// then. The queue continues when that file is at its path again.
    /// Blocks: on the disk, without `full`.
    [[nodiscard]] std::error_code commit() noexcept { return failed() ? failed() : table_.flush(); }

    /// Returns the failure of the disk after which the queue accepts and removes nothing more.
    /// Until the file is opened again, it is unknown whether the last call took effect; without a
    /// flush, this holds for any call since the last flush. Returns no error if there was no
    /// failure.
    [[nodiscard]] std::error_code failed() const noexcept { return table_.failed(); }
    /// Returns the number of operations.
    [[nodiscard]] std::size_t size() const noexcept { return range_.size(); }
    /// Returns no_limit: the disk, and a limit of bytes in the options, are the limits, and not a
    /// count.
    [[nodiscard]] std::size_t capacity() const noexcept { return no_limit; }

private:
    Storage() noexcept = default;

    detail::SqliteTable table_;
    detail::NumberRange range_;
    Bytes front_;
    std::size_t record_bytes_max_ = 0;
    bool has_front_ = false;
};

}}}  // namespace belay::sqlite
