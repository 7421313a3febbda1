// SPDX-License-Identifier: MIT
/// \file belay/adapter/lmdb_storage.hpp
/// lmdb::Storage: a durable queue in one LMDB file. Needs lmdb.
#pragma once

#include <string>  // std::string

#include <belay/adapter/detail/lmdb_table.hpp>
#include <belay/adapter/detail/table_storage.hpp>
#include <belay/adapter/lmdb_error.hpp>
#include <belay/core/result.hpp>
#include <belay/queue/leasable_like.hpp>

namespace belay { inline namespace BELAY_ABI { namespace lmdb {

/// When what an Storage was told is on the medium.
enum class Flush : std::uint8_t {
    full,  ///< when the call returns: a flush for each
    none   ///< when `commit` returns; a loss of power before that may cost the whole file
};

/// How a queue in LMDB is opened.
struct Options {
    Flush flush = Flush::full;
    /// The longest operation; at most 1'000'000'000.
    std::size_t record_bytes_max = 1 << 20;
    /// How much may wait, counted in pages of the file: above it, `queue_full`. At least 64 KiB
    /// more than record_bytes_max. The file may get larger by the pages that are free between
    /// others, and never gets smaller.
    std::size_t bytes_max = std::size_t{1} << 30;
};

/// Operations in an LMDB file of their own, ordered by their number.
///
/// Each push, pop and ack is a transaction: it happened, or it did not, whatever dies when. One
/// object in one process has a file open at a time: it is locked until the object, or its process,
/// ends. Programs that only read, as mdb_dump, may do so at any time. LMDB keeps its own locks in a
/// second file, `<path>-lock`, which means nothing while nobody has the queue open.
///
/// Key: the number, 8 bytes big endian; numbers without gaps. Value: the CRC32C of the number, 8
/// bytes little endian, and the body, as 4 bytes little endian; the body. Number 0 is the header:
/// the text "belayq" and the version, 1, as 2 bytes little endian.
///
/// LMDB trusts its pages: a damaged body is found by its checksum, and a file that was cut short at
/// opening or when it is read; other damage may end the process.
///
/// What it does once it is open stands in detail/table_storage.hpp.
///
/// Models:        LeasableLike.
/// Thread safety: distinct objects safe. After fork, the child must not use or destroy it.
/// Blocks:        every call that changes something, on the disk.
class Storage : public detail::TableStorage<detail::LmdbTable> {
public:
    /// Opens the queue in the file `path`, or makes one there.
    ///
    /// Errors:     what, where, and what to do, see Error. A file of another program, of a
    ///             later version, or that lacks operations is refused, and keeps its contents. One
    ///             of LMDB without any entry is taken for a new one.
    /// Throws:     std::bad_alloc.   Complexity: O(1); maps the file into memory.
    [[nodiscard]] static Result<Storage, Error> open(const std::string& path,
                                                     Options options = {}) {
        constexpr std::size_t beside = 64 << 10;
        if (options.bytes_max < beside || options.bytes_max - beside < options.record_bytes_max) {
            return Error{make_error_code(QueueErrc::bad_options), path, ""};
        }
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
