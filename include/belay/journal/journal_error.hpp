// SPDX-License-Identifier: MIT
/// \file belay/journal/journal_error.hpp
/// JournalError, JournalReport: the result of opening a journal, with place and advice.
#pragma once

#include <cstdint>       // std::uint64_t
#include <string>        // std::string, std::to_string
#include <system_error>  // std::error_code

#include <belay/journal/detail/file_advice.hpp>
#include <belay/queue/queue_errc.hpp>

namespace belay { inline namespace BELAY_ABI {

/// The error of opening a journal: what is wrong, where, and what to do.
///
/// Nothing was changed in the journal, except that a torn tail may have been cleared.
/// Thread safety: a plain value.
struct JournalError {
    std::error_code code;
    /// The file or directory that the error is about.
    std::string path;
    /// The offset in the file; 0 if the error is not about a place.
    std::uint64_t offset = 0;
    /// A description of this case; may be empty.
    std::string what;

    /// Returns what the reader can do, as a sentence without its full stop.   Complexity: O(1).
    [[nodiscard]] const char* advice() const noexcept {
        if (path.empty()) return "pass the path of a directory";
        // A journal that must not be made was not found.
        if (code == std::errc::no_such_file_or_directory && !what.empty()) {
            return "pass the path of a journal: a directory with files that end in .journal";
        }
        if (code == QueueErrc::already_locked) {
            return "end the other process that has it open, or open it only once in this process; "
                   "the lock ends with its process, so do not delete the lock file";
        }
        if (code == QueueErrc::corrupt) {
            return "restore the directory from a backup, or copy the readable operations into a "
                   "new journal with tool::salvage_journal, which reports what is lost";
        }
        if (code == QueueErrc::foreign_file) {
            return "move the file out of the directory, or choose a directory that only this "
                   "journal uses";
        }
        if (code == QueueErrc::displaced) {
            return "move the directory back, and call again; or restart the program and open the "
                   "journal at its new path, which also has the unconfirmed operations";
        }
        if (code == QueueErrc::queue_full) {
            return "send the operations in it, and open a new journal in another directory";
        }
        if (code == QueueErrc::bad_options) return "see JournalOptions for the allowed values";
        if (code == std::errc::is_a_directory) {
            return "move that directory away, because a journal's directory contains only its own "
                   "files";
        }
        if (code == std::errc::not_a_directory || code == std::errc::file_exists) {
            return "choose a path that is a directory or does not exist yet";
        }
        return detail::file_advice(code);
    }

    /// Returns the error as a sentence: "outbox/0000000000000001.journal at byte 128: the stored
    /// data is damaged (…): put the …".
    ///
    /// Allocates; throws std::bad_alloc.
    [[nodiscard]] std::string message() const {
        const std::string place = offset == 0 ? "" : " at byte " + std::to_string(offset);
        return detail::error_message(path + place, code, what, advice());
    }

    operator std::error_code() const noexcept { return code; }
    explicit operator bool() const noexcept { return static_cast<bool>(code); }
};

/// A report of what opening a journal found and did.
struct JournalReport {
    /// The number of operations that wait to be acknowledged.
    std::uint64_t operations = 0;
    /// The number of bytes of an unfinished write that were cleared from the end of the last
    /// segment. It is 0 after an orderly end. But in Flush::each, a write without space may have
    /// left bytes after the last record, of an operation or note that was not taken.
    std::uint64_t truncated_bytes = 0;
    /// The file and the offset at which these bytes began; empty and 0 if there were none.
    std::string truncated_path{};
    std::uint64_t truncated_offset = 0;
    /// The number of bytes at the end of the journal that could not be written again, because the
    /// disk was full. They are readable. If a flush failed before, the medium may not have them,
    /// although `Journal::durable` counts them. Only a file system that writes existing bytes to a
    /// new place needs space for this. No later opening writes them again after another record was
    /// written; closing writes one.
    std::uint64_t unwritten_bytes = 0;
    /// The number of files that are no longer needed, and could not be deleted. The journal tries
    /// them again: see `Journal::undeleted_files`.
    std::uint64_t undeleted_files = 0;
    /// Whether the journal did not exist and was made.
    bool created = false;
};

}}  // namespace belay
