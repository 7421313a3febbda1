// SPDX-License-Identifier: MIT
/// \file belay/yjs/yjs_limits.hpp
/// Limits: how much one Yjs update of a peer may hold.
#pragma once

#include <cstddef>  // std::size_t

#include <belay/core/no_limit.hpp>
#include <belay/yjs/lib0.hpp>

namespace belay { inline namespace BELAY_ABI { namespace yjs {

/// The least limit for pieces of `split_update`: below it, heads alone would fill them.
inline constexpr std::size_t split_bytes_min = 128;

/// How much one update may hold before it is refused. What reads an update needs memory for at
/// most its own bytes a small number of times; the limits bound the time, and what is stored.
///
/// Thread safety: a plain value.
struct Limits {
    /// Of the update itself.
    std::size_t bytes_max = std::size_t{16} << 20;
    /// Pieces of content: letters typed in one go are one, whatever their number.
    std::size_t structs_max = 1'000'000;
    /// Editors: each tab that is opened anew is one.
    std::size_t clients_max = 100'000;
    /// Values inside of values; at most nesting_ceiling.
    std::size_t nesting_max = 128;
    /// Runs of deleted content.
    std::size_t delete_ranges_max = 1'000'000;

    /// For bytes of one's own: all that memory holds; nesting is bounded nevertheless.
    [[nodiscard]] static constexpr Limits none() noexcept {
        return {no_limit, no_limit, no_limit, nesting_ceiling, no_limit};
    }
};

}}}  // namespace belay::yjs
