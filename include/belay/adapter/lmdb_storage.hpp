// SPDX-License-Identifier: MIT
/// \file belay/adapter/lmdb_storage.hpp
/// lmdb::Storage: a durable queue in one LMDB file; needs lmdb.
#pragma once

#include <string>       // std::string
#include <string_view>  // std::string_view

#include <belay/adapter/detail/lmdb_table.hpp>
#include <belay/adapter/detail/table_storage.hpp>
#include <belay/adapter/lmdb_error.hpp>
#include <belay/core/result.hpp>
#include <belay/queue/leasable_like.hpp>

namespace belay { inline namespace BELAY_ABI { namespace lmdb {

/// The time at which the changes to a Storage are on the medium.
enum class Flush : std::uint8_t {
    full,  ///< when the call returns: one flush for each call
    none   ///< when `commit` returns; a power cut before that may destroy the whole file
};

/// Options of a queue in LMDB.
struct Options {
    Flush flush = Flush::full;
    /// The longest operation in bytes; at most 1'000'000'000.
    std::size_t record_bytes_max = 1 << 20;
    /// The most data that may wait, counted in pages of the file; above it, `queue_full`. At least
    /// 64 KiB more than record_bytes_max. The file may grow larger by free pages between others,
    /// and never shrinks.
    std::size_t bytes_max = std::size_t{1} << 30;

    /// Returns the sentence on what is wrong with these options; it is empty if nothing is. It also
    /// serves a static_assert.   Complexity: O(1).
    [[nodiscard]] constexpr std::string_view check() const noexcept {
        constexpr std::size_t beside = 64 << 10;
        if (record_bytes_max > 1'000'000'000)
            return "record_bytes_max must be at most 1,000,000,000";
        if (bytes_max < beside || bytes_max - beside < record_bytes_max)
            return "bytes_max must be at least 64 KiB more than record_bytes_max";
        return {};
    }
};

/// A durable queue in an LMDB file of its own, ordered by number.
///
/// Each push, pop and ack is a transaction. It happens as a whole or not at all, even if the
/// process or the machine fails. A file can be open in one object of one process at a time. It is
/// locked until the object or its process ends. Programs that only read, such as mdb_dump, may do
/// so at any time. LMDB keeps its own locks in a second file, `<path>-lock`. That file has no
/// meaning while the queue is not open.
///
/// A key is the number, as 8 bytes big endian; numbers have no gaps. A value is the CRC32C, as
/// 4 bytes little endian, and then the body. The CRC32C covers the number, as 8 bytes little
/// endian, and the body. Number 0 is the header: the text "belayq" and the version, 1, as 2 bytes
/// little endian.
///
/// LMDB trusts its pages. The checksum finds a damaged body. A file that was cut short is found at
/// opening or when it is read. Other damage may end the process.
///
/// The members for an open queue are described in detail/table_storage.hpp.
///
/// Models:        LeasableLike.
/// Thread safety: distinct objects safe. After fork, the child must not use or destroy it.
/// Blocks:        every call that changes something, on the disk.
class Storage : public detail::TableStorage<detail::LmdbTable> {
public:
    /// Opens the queue in the file `path`, or creates it.
    ///
    /// Errors:     what, where, and what to do, see Error. A file of another program, of a later
    ///             version, or that lacks operations is rejected, and keeps its contents. An LMDB
    ///             file without any entry counts as a new one.
    /// Throws:     std::bad_alloc.   Complexity: O(1); maps the file into memory.
    [[nodiscard]] static Result<Storage, Error> open(const std::string& path,
                                                     Options options = {}) {
        if (const std::string_view wrong = detail::why_not_opened(path, options); !wrong.empty())
            return Error{make_error_code(QueueErrc::bad_options), path, std::string{wrong}};
        Storage storage;
        const std::error_code code = storage.start(path, options.record_bytes_max,
                                                   options.flush == Flush::full, options.bytes_max);
        if (code) return Error{code, path, storage.last_words()};
        return storage;
    }

private:
    Storage() noexcept = default;
};

}}}  // namespace belay::lmdb
