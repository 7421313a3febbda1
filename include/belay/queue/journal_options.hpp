// SPDX-License-Identifier: MIT
/// \file belay/queue/journal_options.hpp
/// Sync and JournalOptions: what a journal promises, and its sizes.
#pragma once

#include <cstddef>   // std::size_t
#include <cstdint>   // std::uint8_t
#include <optional>  // std::optional

#include <belay/core/random.hpp>
#include <belay/queue/journal_format.hpp>

namespace belay::inline BELAY_ABI {

/// What `Journal::sync()` promises when it returns.
///
/// | mode  | an operation survives the death of the process | and a loss of power | one flush
/// serves |
/// |-------|------------------------------------------------|---------------------|------------------|
/// | group | once sync() returned                           | the same            | all callers |
/// | none  | once sync() returned                           | not promised        | no flush is
/// made |
///
/// In both modes run, salt, pin, and the acknowledgements before a file is deleted are flushed, and
/// a loss of power takes a tail of the operations, never one from the middle.
enum class Sync : std::uint8_t {
    group,  ///< sync() returns when everything is on the medium
    none    ///< sync() returns when the operating system has everything
};

/// How a journal is opened.
struct JournalOptions {
    Sync sync = Sync::group;
    /// The size of a segment file, reserved when it is made; 4 KiB to 1 GiB. Segments that exist
    /// keep theirs.
    std::size_t segment_bytes = std::size_t{16} << 20;
    /// The longest operation that `append` takes. Longer ones in the journal stay readable.
    std::size_t record_bytes_max = std::size_t{1} << 20;
    /// Whether to make a journal where none is.
    bool create = true;
    /// Where ids and salts come from; from the system's entropy if there is none.
    std::optional<Seed> seed = std::nullopt;
};

namespace detail {

[[nodiscard]] constexpr bool possible(const JournalOptions& o) noexcept {
    constexpr std::size_t overhead = journal_format::segment_header_bytes +
                                     journal_format::reserve_bytes +
                                     journal_format::record_bytes(0);
    return o.segment_bytes >= 4096 && o.segment_bytes <= (std::size_t{1} << 30) &&
           o.record_bytes_max <= o.segment_bytes &&
           overhead + journal_format::aligned(o.record_bytes_max) <= o.segment_bytes;
}

}  // namespace detail
}  // namespace belay::inline BELAY_ABI
