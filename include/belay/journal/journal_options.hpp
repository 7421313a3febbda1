// SPDX-License-Identifier: MIT
/// \file belay/journal/journal_options.hpp
/// Flush, Verify, JournalOptions: when operations become durable, and the sizes of a journal.
/// JournalError and JournalReport: the result of opening one, with place and advice.
#pragma once

#include <cstddef>       // std::size_t
#include <cstdint>       // std::uint64_t, std::uint8_t
#include <optional>      // std::optional
#include <string>        // std::string, std::to_string
#include <string_view>   // std::string_view
#include <system_error>  // std::error_code
#include <utility>       // std::move

#include <belay/core/random.hpp>
#include <belay/journal/advised_error.hpp>
#include <belay/journal/journal_format.hpp>
#include <belay/queue/queue_errc.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {
/// The words of a JournalError.
struct JournalWords {
    static constexpr const char* nowhere = "an empty path";
    template <class Error>
    [[nodiscard]] static const char* advice(const Error& error) noexcept {
        const std::error_code& code = error.code;
        if (error.where.empty()) return "pass the path of a directory";
        // A journal that must not be made was not found.
        if (code == std::errc::no_such_file_or_directory && !error.what.empty()) {
            return "pass the path of a journal: a directory with files that end in .journal";
        }
        constexpr const char* other_path =
            "choose a path that is a directory or does not exist yet";
        return advice_in(
            {{QueueErrc::already_locked,
              "end the other process that has it open, or open it only once in this process; the "
              "lock ends with its process, so do not delete the lock file"},
             {QueueErrc::corrupt,
              "restore the directory from a backup, or copy the readable operations into a new "
              "journal with tool::salvage_journal, which reports what is lost"},
             {QueueErrc::foreign_file,
              "move the file out of the directory, or choose a directory that only this journal "
              "uses"},
             {QueueErrc::displaced,
              "move the directory back, and call again; or restart the program and open the "
              "journal at its new path, which also has the unconfirmed operations"},
             {QueueErrc::queue_full,
              "send the operations in it, and open a new journal in another directory"},
             {QueueErrc::bad_options, "see JournalOptions for the allowed values"},
             {std::errc::is_a_directory,
              "move that directory away, because a journal's directory contains only its own "
              "files"},
             {std::errc::not_a_directory, other_path},
             {std::errc::file_exists, other_path}},
            code, file_advice(code));
    }
};
}  // namespace detail

/// The error of opening a journal: what is wrong, where, and what to do.
///
/// Nothing was changed in the journal, except that a torn tail may have been cleared.
/// Thread safety: a plain value.
struct JournalError : part::AdvisedError<detail::JournalWords> {
    JournalError() = default;
    JournalError(std::error_code error, std::string path, std::uint64_t at = 0,
                 std::string words = {}) noexcept
        : AdvisedError{error, std::move(path), std::move(words)}, offset{at} {}

    /// The offset in the file; 0 if the error is not about a place.
    std::uint64_t offset = 0;

    /// Returns the error as a sentence: "outbox/0000000000000001.journal at byte 128: the stored
    /// data is damaged (…): put the …".
    ///
    /// Allocates; throws std::bad_alloc.
    [[nodiscard]] std::string message() const {
        if (offset == 0) return AdvisedError::message();
        return detail::error_message(where + " at byte " + std::to_string(offset), code.message(),
                                     what, advice());
    }
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
    /// See truncated_path.
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

/// The modes of a Journal, which define when an operation survives a failure.
///
/// | mode                   | the end of the process | a loss of power                |
/// |------------------------|------------------------|--------------------------------|
/// | each                   | once append() returned | once append() returned         |
/// | group                  | once commit() returned   | once commit() returned           |
/// | none with a FlushEvery | once commit() returned   | an interval later, or flush()  |
/// | none                   | once commit() returned   | once flush() returned          |
///
/// In `each` the same holds for ack() and keep(), and every call of every thread is a flush of its
/// own. In `group` and `none` ack() and keep() become durable with the next commit(), and one flush
/// serves all threads that wait.
///
/// In all modes these are flushed: run, salt, pin, and the acknowledgements before a file is
/// deleted. A loss of power may take the last operations, but never one from the middle.
enum class Flush : std::uint8_t {
    each,   ///< append(), ack() and keep() return when the record is on the medium, or was not
            ///< taken
    group,  ///< commit() returns when everything is on the medium
    none    ///< commit() returns when the operating system has everything
};

/// The part of its files that `Journal::open` reads.
///
/// It rejects a file that is missing, cut short or another journal's, and damage in the end of each
/// file before the last one. Other damage:
enum class Verify : std::uint8_t {
    tail,        ///< reads the last file, and rejects damage in it; read() reports other damage
    everything,  ///< reads and rejects everything
    /// As `tail`, but passes damage between the records of a file. read() reports the operations
    /// that may have been there; acknowledgements, notes and pins there are lost. For a user of the
    /// journal to which each operation matters alone, such as rooms or a work queue: check() no
    /// longer fits that of a receiver.
    skip_damage
};

namespace detail {

/// Returns the smallest segment that has space for a record of so many bytes after a note.
[[nodiscard]] constexpr std::size_t segment_bytes_for(std::size_t record_bytes_max) noexcept {
    using namespace journal_format;
    return segment_header_bytes + record_bytes(note_bytes_max) + record_bytes(0) + reserve_bytes +
           record_bytes(seal_payload_bytes(0, 1)) + aligned(record_bytes_max);
}

}  // namespace detail

/// The options for opening a journal.
struct JournalOptions {
    /// The action of a Journal after a write or a flush of the disk has failed.
    enum class AfterFailure : std::uint8_t {
        /// Each later call first closes the file, opens it again, and writes again what is not
        /// known to be on the medium. If that succeeds, the journal goes on.
        reopens,
        stops  ///< nothing more is taken until the program opens the journal again
    };

    /// When an append becomes durable.
    Flush flush = Flush::group;
    /// The size of a segment file, reserved when it is made; 4 KiB to 1 GiB. Existing segments keep
    /// their size. If the last one is larger, opening continues in a new one of this size.
    std::size_t segment_bytes = std::size_t{16} << 20;
    /// The maximum size of an operation that `append` accepts. Longer ones in the journal stay
    /// readable.
    std::size_t record_bytes_max = std::size_t{1} << 20;
    /// Whether to make a journal if there is none.
    bool create = true;
    /// How much opening reads. For a million operations, `tail` takes a few milliseconds and
    /// `everything` a tenth of a second.
    Verify verify = Verify::tail;
    /// Whether a failure of the disk that passes ends by itself; see docs/reference/journal.md.
    AfterFailure after_failure = AfterFailure::reopens;
    /// The seed of ids and salts; without one, they come from the system's entropy.
    std::optional<Seed> seed = std::nullopt;

    /// Returns the sentence on what is wrong with these options; it is empty if nothing is. It also
    /// serves a static_assert.   Complexity: O(1).
    [[nodiscard]] constexpr std::string_view check() const noexcept {
        if (segment_bytes < 4096 || segment_bytes > journal_format::segment_bytes_max)
            return "segment_bytes must be from 4 KiB to 1 GiB";
        if (record_bytes_max > segment_bytes ||
            detail::segment_bytes_for(record_bytes_max) > segment_bytes) {
            return "record_bytes_max must be smaller, or segment_bytes larger, because a segment "
                   "holds one operation of that size and 1,768 bytes more";
        }
        return {};
    }
};

}}  // namespace belay
