// SPDX-License-Identifier: MIT
/// \file belay/journal/journal_options.hpp
/// Flush, Verify, JournalOptions: when operations become durable, and the sizes of a journal.
#pragma once

#include <cstddef>      // std::size_t
#include <cstdint>      // std::uint8_t
#include <optional>     // std::optional
#include <string_view>  // std::string_view

#include <belay/core/random.hpp>
#include <belay/journal/journal_format.hpp>

namespace belay { inline namespace BELAY_ABI {

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
/// In both modes it rejects a file that is missing, cut short or another journal's. It also rejects
/// damage in the last file and in the end of each file before.
enum class Verify : std::uint8_t {
    tail,       ///< the last file, and the end of each one before; read() reports other damage
    everything  ///< every byte; any damage is rejected at once
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
