// SPDX-License-Identifier: MIT
/// \file belay/yjs/yjs_report.hpp
/// Summary and Merged: what reading an update, and merging several, has found.
#pragma once

#include <cstddef>      // std::size_t
#include <cstdint>      // std::uint64_t
#include <string_view>  // std::string_view
#include <vector>       // std::vector

#include <belay/core/bytes.hpp>

namespace belay { inline namespace BELAY_ABI { namespace yjs {

/// What one update holds, by `validate`.
///
/// Thread safety: a plain value.
struct Summary {
    std::size_t clients = 0;        ///< editors whose content is in it
    std::size_t structs = 0;        ///< pieces of content; gaps are none
    std::size_t delete_ranges = 0;  ///< runs of content that it deletes
    std::size_t skips = 0;          ///< gaps inside: content that is to come by another update
    std::size_t late_starts = 0;    ///< clients whose content does not begin at their clock 0
    /// Subdocuments that it embeds, by guid, in the update's own bytes. Each is a document of its
    /// own, whose access must be checked by this guid.
    std::vector<std::string_view> subdocuments;

    /// Ranges of clocks that the update, as a whole document, lacks.
    [[nodiscard]] std::size_t gaps() const noexcept { return skips + late_starts; }
};

/// What `merge_updates` made of several updates.
///
/// Thread safety: a plain value.
struct Merged {
    /// One update that says all that they said.
    Bytes update;
    /// Ranges of clocks that it lacks: some other update, not among these, has them.
    std::size_t gaps = 0;
    /// How often one update said something else than another of the same clocks of the same
    /// client: a client id was used twice, by copied storage or a forged id. What came first by
    /// clock, then in the order of the updates, is kept.
    std::size_t conflicts = 0;
    /// The client and the clock of the first conflict, if there are any.
    std::uint64_t conflict_client = 0;
    std::uint64_t conflict_clock = 0;
};

}}}  // namespace belay::yjs
