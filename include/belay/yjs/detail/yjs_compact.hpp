// SPDX-License-Identifier: MIT
/// \file belay/yjs/detail/yjs_compact.hpp
/// coalesced: writes an update with fewer structs.
#pragma once

#include <belay/yjs/detail/yjs_merge.hpp>

namespace belay { inline namespace BELAY_ABI { namespace yjs::detail {

/// Writes each block of the sources: calls `put(struct)` for each struct, and `end_block()` after
/// the last.
template <class Put, class End>
void for_each_block(Sources& sources, UpdateWriter& writer, Put&& put, End&& end_block) {
    sources.sort_blocks();
    for (Block block : sources.blocks) {
        writer.begin_block({block.client, block.clock});
        while (block.structs > 0) put(sources.take(block));
        end_block();
        writer.end_block();
    }
}

[[nodiscard]] inline Bytes coalesced(Sources& sources) {
    UpdateWriter writer;
    writer.reserve(sources.updates.front().size());
    Coalescer coalescer{writer};
    for_each_block(
        sources, writer, [&](const Struct& s) { coalescer.put(s); }, [&] { coalescer.end_run(); });
    unite_ranges(sources.deletes);
    return writer.finish(sources.deletes);
}

}}}  // namespace belay::yjs::detail
