// SPDX-License-Identifier: MIT
/// \file belay/yjs/yjs_limits.hpp
/// Limits: how much one Yjs update of a peer may hold.
#pragma once

#include <cstddef>  // std::size_t

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

}}}  // namespace belay::yjs
