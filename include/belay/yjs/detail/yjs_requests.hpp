// SPDX-License-Identifier: MIT
/// \file belay/yjs/detail/yjs_requests.hpp
/// requests_in_parts: state vectors that request a peer's state in parts, by its authors.
#pragma once

#include <algorithm>  // std::max, std::min
#include <cstddef>    // std::size_t
#include <cstdint>    // std::uint64_t
#include <vector>     // std::vector

#include <belay/yjs/detail/yjs_diff.hpp>
#include <belay/yjs/lib0.hpp>

namespace belay { inline namespace BELAY_ABI { namespace yjs::detail {

/// Returns state vectors, each of which requests the content of some of the authors of which a peer
/// has more than `ours`. The peer's answers together are its state. Each answer also has all of its
/// deletions. There are at most 64 of them, of `bytes_max` bytes together; none if there would be
/// only one.
///
/// In each of them, the other authors of the peer have a clock that no author reaches. A peer sends
/// nothing of an author whose clock in a state vector is at least its own.
///
/// Complexity: O(bytes_max + n log n).
/// Source:     writeClientsStructs in yjs:src/utils/encoding.js.
[[nodiscard]] inline std::vector<Bytes> requests_in_parts(const Clocks& ours, const Clocks& theirs,
                                                          std::size_t bytes_max) {
    constexpr std::size_t parts_max = 64;
    // Each character that an author types adds one to its clock.
    constexpr std::uint64_t beyond_all = std::uint64_t{1} << 31;
    const auto write_clock = [&](Bytes& out, Id theirs_has, bool wanted) {
        append_varuint(out, theirs_has.client);
        append_varuint(
            out, wanted ? ours.of(theirs_has.client) : std::max(theirs_has.clock, beyond_all));
    };
    std::size_t ahead = 0;
    Bytes longest;
    append_varuint(longest, theirs.size());
    for (const Id& one : theirs) {
        if (one.clock > ours.of(one.client)) ++ahead;
        write_clock(longest, one, false);
    }
    const std::size_t parts = std::min({ahead, parts_max, bytes_max / longest.size()});
    std::vector<Bytes> requests(parts < 2 ? 0 : parts);
    for (std::size_t i = 0; i < requests.size(); ++i) {
        append_varuint(requests[i], theirs.size());
        std::size_t author = 0;
        for (const Id& one : theirs) {
            const bool wanted = one.clock > ours.of(one.client) && author++ % requests.size() == i;
            write_clock(requests[i], one, wanted);
        }
    }
    return requests;
}

}}}  // namespace belay::yjs::detail
