// SPDX-License-Identifier: MIT
/// \file belay/adapter/lmdb_error.hpp
/// lmdb::Error: the reason why a queue in LMDB could not be opened, with advice.
#pragma once

#include <lmdb.h>

#include <string>        // std::string
#include <system_error>  // std::error_code

#include <belay/journal/detail/file_advice.hpp>
#include <belay/queue/queue_errc.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Returns the meaning of an LMDB result that is not success.
[[nodiscard]] inline std::error_code code_of_lmdb(int answer) noexcept {
    switch (answer) {
        case MDB_INVALID:
            return make_error_code(QueueErrc::foreign_file);
        case MDB_VERSION_MISMATCH:
            return make_error_code(QueueErrc::other_version);
        case MDB_MAP_FULL:
            return make_error_code(QueueErrc::queue_full);
        case MDB_READERS_FULL:
            return std::make_error_code(std::errc::resource_unavailable_try_again);
        case MDB_PANIC:
            return std::make_error_code(std::errc::io_error);
        default:
            break;
    }
    // The calls are correct, so the other results concern the contents.
    return answer > 0 ? std::error_code{answer, std::generic_category()}
                      : make_error_code(QueueErrc::corrupt);
}

}}}  // namespace belay::detail

namespace belay { inline namespace BELAY_ABI { namespace lmdb {

/// The reason why a queue in LMDB could not be opened: what, where, and what to do about it.
///
/// Thread safety: a plain value.
struct Error {
    std::error_code code;
    /// The file.
    std::string path;
    /// The details, in the words of LMDB or of belay; may be empty.
    std::string what;

    /// Returns advice as a sentence without its full stop.   Complexity: O(1).
    [[nodiscard]] const char* advice() const noexcept {
        if (code == QueueErrc::corrupt) {
            return "restore the file from a backup, or keep it for inspection and open a new one";
        }
        if (code == QueueErrc::other_version) {
            return "open it with the versions of belay and LMDB that wrote it, or with newer ones";
        }
        if (code == QueueErrc::bad_options) return "see lmdb::Options for the allowed values";
        if (code == std::errc::not_enough_memory) {
            return "allow the process more address space: LMDB maps the whole file";
        }
        return detail::file_advice(code);
    }

    /// Returns a message such as "outbox.mdb: the file does not belong to this journal (…): choose
    /// a file of …".
    ///
    /// Allocates; throws std::bad_alloc.
    [[nodiscard]] std::string message() const {
        return detail::error_message(path, code, what, advice());
    }

    operator std::error_code() const noexcept { return code; }
    explicit operator bool() const noexcept { return static_cast<bool>(code); }
};

}}}  // namespace belay::lmdb
