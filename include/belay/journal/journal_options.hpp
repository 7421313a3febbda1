// SPDX-License-Identifier: MIT
/// \file belay/journal/journal_options.hpp
/// Flush and JournalOptions: what a journal promises, and its sizes.
#pragma once

#include <cstddef>   // std::size_t
#include <cstdint>   // std::uint8_t
#include <optional>  // std::optional

#include <belay/core/random.hpp>
#include <belay/journal/journal_format.hpp>

namespace belay { inline namespace BELAY_ABI {

/// When what a Journal was told survives.
///
/// | mode                   | the end of the process | a loss of power                |
/// |------------------------|------------------------|--------------------------------|
/// | each                   | once append() returned | once append() returned         |
/// | group                  | once commit() returned   | once commit() returned           |
/// | none with a FlushEvery | once commit() returned   | an interval later, or flush()  |
/// | none                   | once commit() returned   | once flush() returned          |
///
/// In `each` the same holds for ack() and keep(), and every call is a flush of its own, also of
/// many threads. In `group` and `none` they ride with the next commit(), and one flush serves all
/// who wait.
///
/// In all modes run, salt, pin, and the acknowledgements before a file is deleted are flushed, and
/// a loss of power takes a tail of the operations, never one from the middle.
enum class Flush : std::uint8_t {
    each,   ///< append(), ack() and keep() return when it is on the medium, or was not taken
    group,  ///< commit() returns when everything is on the medium
    none    ///< commit() returns when the operating system has everything
};

/// What of its files `Journal::open` reads.
///
/// In both ways a file that is missing, cut short or another journal's is refused, and so is damage
/// in the last file and in the end of each one before.
enum class Verify : std::uint8_t {
    tail,       ///< the last file, and the end of each one before: other damage answers read
    everything  ///< every byte: any damage is refused at once
};

/// How a journal is opened.
struct JournalOptions {
    Flush flush = Flush::group;
    /// The size of a segment file, reserved when it is made; 4 KiB to 1 GiB. Segments that exist
    /// keep theirs.
    std::size_t segment_bytes = std::size_t{16} << 20;
    /// The longest operation that `append` takes. Longer ones in the journal stay readable.
    std::size_t record_bytes_max = std::size_t{1} << 20;
    /// Whether to make a journal where none is.
    bool create = true;
    /// How much to read: a few milliseconds for a million operations, or a tenth of a second.
    Verify verify = Verify::tail;
    /// Where ids and salts come from; from the system's entropy if there is none.
    std::optional<Seed> seed = std::nullopt;
};

namespace detail {

/// The smallest segment in which a record of so many bytes has room, after a note.
[[nodiscard]] constexpr std::size_t segment_bytes_for(std::size_t record_bytes_max) noexcept {
    using namespace journal_format;
    return segment_header_bytes + record_bytes(note_bytes_max) + record_bytes(0) + reserve_bytes +
           record_bytes(seal_payload_bytes(0, 1)) + aligned(record_bytes_max);
}

[[nodiscard]] constexpr bool possible(const JournalOptions& o) noexcept {
    return o.segment_bytes >= 4096 && o.segment_bytes <= journal_format::segment_bytes_max &&
           o.record_bytes_max <= o.segment_bytes &&
           segment_bytes_for(o.record_bytes_max) <= o.segment_bytes;
}

}  // namespace detail
}}  // namespace belay
