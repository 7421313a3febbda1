// SPDX-License-Identifier: MIT
/// \file belay/adapter/lmdb_error.hpp
/// LmdbError: why a queue in LMDB could not be opened, with advice.
#pragma once

#include <lmdb.h>

#include <string>        // std::string
#include <system_error>  // std::error_code

#include <belay/queue/journal_error.hpp>

namespace belay::inline BELAY_ABI {

namespace detail {

/// What an answer of LMDB that is no success means.
[[nodiscard]] inline std::error_code code_of_lmdb(int answer) noexcept {
    switch (answer) {
        case MDB_INVALID:
            return make_error_code(QueueErrc::foreign_file);
        case MDB_VERSION_MISMATCH:
            return make_error_code(QueueErrc::future_version);
        case MDB_MAP_FULL:
            return make_error_code(QueueErrc::queue_full);
        case MDB_READERS_FULL:
            return std::make_error_code(std::errc::resource_unavailable_try_again);
        case MDB_PANIC:
            return std::make_error_code(std::errc::io_error);
        default:
            break;
    }
    // The others are about the contents: the calls are right.
    return answer > 0 ? std::error_code{answer, std::generic_category()}
                      : make_error_code(QueueErrc::corrupt);
}

}  // namespace detail

/// Why a queue in LMDB could not be opened: what, where, and what to do about it.
///
/// Thread safety: a plain value.
struct LmdbError {
    std::error_code code;
    /// The file that is meant.
    std::string path;
    /// What is wrong, in the words of LMDB or of this case; may be empty.
    std::string what;

    /// What the reader can do, as a sentence without its full stop.   Complexity: O(1).
    [[nodiscard]] const char* advice() const noexcept {
        if (detail::is_lack_of_space(code)) {
            return "free some space on the disk, or raise the limit of file sizes, and open again; "
                   "nothing is lost";
        }
        if (code == QueueErrc::already_locked) {
            return "end the other program that has the file open, or open it once only in this "
                   "one; the lock ends with its process";
        }
        if (code == QueueErrc::corrupt) {
            return "put the file back from a copy; or keep it for inspection, and open a new one";
        }
        if (code == QueueErrc::foreign_file) return "choose a file of the queue's own";
        if (code == QueueErrc::future_version) {
            return "open it with the versions of belay and LMDB that wrote it, or newer ones";
        }
        if (code == QueueErrc::bad_options) return "see LmdbOptions for what is possible";
        if (code == std::errc::permission_denied || code == std::errc::operation_not_permitted ||
            code == std::errc::read_only_file_system) {
            return "allow this user to write the file and its directory, or choose another one";
        }
        if (code == std::errc::no_such_file_or_directory || code == std::errc::not_a_directory) {
            return "make the directory of the file first";
        }
        if (code == std::errc::is_a_directory) {
            return "choose the path of a file, in that directory for example";
        }
        if (code == std::errc::not_enough_memory) {
            return "allow the process more address space: LMDB maps the whole file";
        }
        return "see to the disk, and open again";
    }

    /// "outbox.mdb: the file does not belong to this journal (…): choose a file of …".
    ///
    /// Allocates; throws std::bad_alloc.
    [[nodiscard]] std::string message() const {
        std::string text = path + ": " + code.message();
        if (!what.empty()) text += " (" + what + ")";
        return text + ": " + advice() + ".";
    }

    operator std::error_code() const noexcept { return code; }
    explicit operator bool() const noexcept { return static_cast<bool>(code); }
};

}  // namespace belay::inline BELAY_ABI
