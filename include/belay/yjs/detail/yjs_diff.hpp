// SPDX-License-Identifier: MIT
/// \file belay/yjs/detail/yjs_diff.hpp
/// State vectors, and the part of an update that is beyond one.
#pragma once

#include <algorithm>  // std::upper_bound, std::min
#include <cstdint>    // std::uint64_t
#include <vector>     // std::vector

#include <belay/core/detail/heap.hpp>
#include <belay/yjs/detail/yjs_merge.hpp>
#include <belay/yjs/detail/yjs_write.hpp>

namespace belay { inline namespace BELAY_ABI { namespace yjs::detail {

/// The clocks of a state vector, by client.
class Clocks {
public:
    void reserve(std::size_t clients) { clocks_.reserve(clients); }
    void add(Id clock) { clocks_.push_back(clock); }
    [[nodiscard]] bool empty() const noexcept { return clocks_.empty(); }
    /// Sorts the clocks. Call it once, when all were added.
    void sort() {
        ::belay::detail::sort_stably(clocks_,
                                     [](const Id& a, const Id& b) { return a.client < b.client; });
    }
    /// Returns the clock of a client, or 0 if the client is unknown. If a client is there twice,
    /// the last one counts, as in Yjs.
    [[nodiscard]] std::uint64_t of(std::uint64_t client) const noexcept {
        const auto behind =
            std::upper_bound(clocks_.begin(), clocks_.end(), client,
                             [](std::uint64_t wanted, const Id& id) { return wanted < id.client; });
        if (behind == clocks_.begin() || (behind - 1)->client != client) return 0;
        return (behind - 1)->clock;
    }

private:
    std::vector<Id> clocks_;
};

/// Calls `f` with each clock of a state vector, as far as it is valid.
template <class F>
[[nodiscard]] UpdateError scan_state_vector(BytesView bytes, const Limits& limits, F&& f) {
    const auto rejected = [](std::size_t offset, const char* what) {
        return UpdateError{YjsErrc::malformed_state_vector, 0, offset, what};
    };
    Lib0Reader in{bytes};
    const std::uint64_t count = in.varuint();
    if (count > limits.clients_max) {
        return {YjsErrc::update_too_large, 0, 0, "more clients than Limits::clients_max"};
    }
    for (std::uint64_t i = 0; i < count && !in.failed(); ++i) {
        Id id;
        id.client = in.varuint();
        id.clock = in.varuint();
        f(id);
    }
    if (in.failed()) return rejected(in.offset(), in.what());
    if (!in.at_end())
        return rejected(in.offset(), "there are bytes after the end of the state vector");
    return {};
}

[[nodiscard]] inline UpdateError read_state_vector(BytesView bytes, const Limits& limits,
                                                   Clocks& clocks) {
    Lib0Reader in{bytes};
    const std::uint64_t count = std::min<std::uint64_t>(in.varuint(), limits.clients_max);
    clocks.reserve(static_cast<std::size_t>(std::min<std::uint64_t>(count, in.left() / 2)));
    UpdateError error = scan_state_vector(bytes, limits, [&](Id id) { clocks.add(id); });
    if (!error) clocks.sort();
    return error;
}

[[nodiscard]] inline Bytes state_vector_of(Sources& sources) {
    sources.sort_blocks();
    Bytes out;
    std::uint64_t clients = 0;
    for (Block block : sources.blocks) {
        if (block.clock != 0) continue;
        std::uint64_t clock = 0;
        while (block.structs > 0) {
            const Struct s = sources.take(block);
            if (s.kind() == ref::skip) break;
            clock = s.clock_end();
        }
        if (clock == 0) continue;
        append_varuint(out, block.client);
        append_varuint(out, clock);
        ++clients;
    }
    insert_varuints(out, 0, {clients});
    return out;
}

[[nodiscard]] inline Bytes diff_of(Sources& sources, const Clocks& known) {
    sources.sort_blocks();
    UpdateWriter writer;
    for (Block block : sources.blocks) {
        const std::uint64_t from = known.of(block.client);
        while (block.structs > 0) {
            const Struct s = sources.take(block);
            if (s.kind() == ref::skip || s.clock_end() <= from) continue;
            const std::uint64_t first = std::max(s.clock, from);
            writer.begin_block({block.client, first});
            if (first > s.clock) {
                writer.put_slice(s, first - s.clock);
            } else {
                writer.put(s);
            }
            while (block.structs > 0) writer.put(sources.take(block));
            writer.end_block();
        }
    }
    sort_ranges(sources.deletes);
    return writer.finish(sources.deletes);
}

}}}  // namespace belay::yjs::detail
