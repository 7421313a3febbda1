// SPDX-License-Identifier: MIT
/// \file belay/yjs/yjs_limits.hpp
/// Limits: how much one Yjs update of a peer may hold.
/// Summary and Merged: the results of reading an update, and of merging several.
#pragma once

#include <cstddef>      // std::size_t
#include <string_view>  // std::string_view
#include <vector>       // std::vector

#include <belay/core/bytes.hpp>
#include <belay/yjs/lib0.hpp>

namespace belay { inline namespace BELAY_ABI { namespace yjs {

/// The smallest limit that `split_update` accepts for its pieces.
///
/// Below it, heads alone would fill the pieces.
inline constexpr std::size_t split_bytes_min = 128;

/// The limits above which an update is rejected.
///
/// Reading an update needs memory for at most a small multiple of its own bytes. The limits bound
/// the time, and the size of what is stored.
///
/// Thread safety: a plain value.
struct Limits {
    /// The maximum number of bytes of the update itself.
    std::size_t bytes_max = std::size_t{16} << 20;
    /// The maximum number of pieces of content. Text that is typed without a break is one piece,
    /// regardless of its length.
    std::size_t structs_max = 1'000'000;
    /// The maximum number of editors. Each tab that is opened anew is one.
    std::size_t clients_max = 100'000;
    /// The maximum depth of values inside values; at most nesting_ceiling.
    std::size_t nesting_max = 128;
    /// The maximum number of runs of deleted content.
    std::size_t delete_ranges_max = 1'000'000;

    /// Returns limits for your own bytes, which accept all that fits into memory. Nesting is
    /// bounded nevertheless.
    [[nodiscard]] static constexpr Limits none() noexcept {
        return {no_limit, no_limit, no_limit, nesting_ceiling, no_limit};
    }
};

/// The contents of one update, as `validate` reports them.
///
/// Thread safety: a plain value.
struct Summary {
    std::size_t clients = 0;        ///< editors whose content is in it
    std::size_t structs = 0;        ///< pieces of content, without gaps
    std::size_t delete_ranges = 0;  ///< runs of content that it deletes
    std::size_t skips = 0;          ///< gaps inside: content that another update has
    std::size_t late_starts = 0;    ///< clients whose content does not begin at their clock 0
    /// The guids of the subdocuments that it embeds, as views of the update's own bytes. Each is a
    /// document of its own, whose access must be checked by this guid.
    std::vector<std::string_view> subdocuments;

    /// Returns how many ranges of clocks the update, as a whole document, lacks.
    [[nodiscard]] std::size_t gaps() const noexcept { return skips + late_starts; }
};

/// The result of `merge_updates`.
///
/// Thread safety: a plain value.
struct Merged {
    /// One update that is equivalent to all updates that were merged.
    Bytes update;
    /// How many ranges of clocks the update lacks. Some other update, not among these, has them.
    std::size_t gaps = 0;
    /// How often two updates have different content for the same clocks of the same client. A
    /// client id was then used twice, because of copied storage or a forged id. The content that
    /// comes first by clock, and then in the order of the updates, is kept.
    std::size_t conflicts = 0;
};

}}}  // namespace belay::yjs
