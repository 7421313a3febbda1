// SPDX-License-Identifier: MIT
/// \file belay/sqlite/storage.hpp
/// sqlite::Storage: a durable queue in one SQLite file; needs sqlite3.
/// Link belay::sqlite or -lsqlite3.
#pragma once

#include <string>       // std::string
#include <string_view>  // std::string_view

#include <belay/core/result.hpp>
#include <belay/queue/storage_like.hpp>
#include <belay/sqlite/detail/table.hpp>
#include <belay/sqlite/detail/table_storage.hpp>
#include <belay/sqlite/error.hpp>

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
/// The members for an open queue are described in detail/table_storage.hpp.
///
/// Models:        LeasableLike.
/// Thread safety: distinct objects safe. After fork, the child must not use or destroy it.
/// Blocks:        every call that changes something, on the disk.
class Storage : public detail::TableStorage<detail::SqliteTable> {
public:
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
            storage.start(path, options.record_bytes_max, options.flush == Flush::full);
        if (code) return Error{code, path, storage.last_words()};
        return storage;
    }

private:
    Storage() noexcept = default;
};

}}}  // namespace belay::sqlite
