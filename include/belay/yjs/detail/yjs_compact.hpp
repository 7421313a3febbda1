// SPDX-License-Identifier: MIT
/// \file belay/yjs/detail/yjs_compact.hpp
/// coalesced and scrubbed: write an update without the parts that it does not need.
#pragma once

#include <cstdint>  // std::uint64_t
#include <span>     // std::span

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

/// Finds whether clocks are deleted. Query it in the order of the ranges.
class DeletedRuns {
public:
    /// Pre: the ranges are united.
    explicit DeletedRuns(std::span<const DeleteRange> ranges) noexcept : ranges_{ranges} {}

    [[nodiscard]] bool hold(const Struct& s) noexcept {
        while (!ranges_.empty() && is_before(ranges_.front(), s)) ranges_ = ranges_.subspan(1);
        return !ranges_.empty() && ranges_.front().client == s.client &&
               ranges_.front().clock <= s.clock && s.clock_end() <= ranges_.front().clock_end();
    }

private:
    [[nodiscard]] static bool is_before(const DeleteRange& range, const Struct& s) noexcept {
        return range.client > s.client ||
               (range.client == s.client && range.clock_end() <= s.clock);
    }
    std::span<const DeleteRange> ranges_;
};

/// Returns whether the content of a struct may be removed. Types stay, because others may name them
/// as parent. Formats and subdocuments stay, as in Yjs.
[[nodiscard]] inline bool may_be_scrubbed(const Struct& s) noexcept {
    switch (s.kind()) {
        case ref::json:
        case ref::binary:
        case ref::string:
        case ref::embed:
        case ref::any:
            return true;
        default:
            return false;
    }
}

[[nodiscard]] inline Bytes scrubbed(Sources& sources) {
    UpdateWriter writer;
    writer.reserve(sources.updates.front().size());
    unite_ranges(sources.deletes);
    DeletedRuns deleted{sources.deletes};
    const auto put = [&](const Struct& s) {
        if (!may_be_scrubbed(s) || !deleted.hold(s)) return writer.put(s);
        Bytes& out = writer.out();
        out.push_back(static_cast<std::byte>((s.written_info() & ~ref_bits) | ref::deleted));
        append(out, s.head());
        append_varuint(out, s.len);
        writer.wrote_struct();
    };
    for_each_block(sources, writer, put, [] {});
    return writer.finish(sources.deletes);
}

}}}  // namespace belay::yjs::detail
