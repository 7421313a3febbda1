// SPDX-License-Identifier: MIT
/// \file belay/yjs/yjs_update.hpp
/// Yjs updates without a CRDT: validate, merge, compare and split the bytes that Yjs sends.
#pragma once

#include <cstddef>           // std::size_t
#include <cstdint>           // std::uint64_t
#include <initializer_list>  // std::initializer_list
#include <iterator>          // std::begin, std::end
#include <span>              // std::span
#include <vector>            // std::vector

#include <belay/core/result.hpp>
#include <belay/yjs/detail/yjs_diff.hpp>
#include <belay/yjs/detail/yjs_garbage.hpp>
#include <belay/yjs/detail/yjs_merge.hpp>
#include <belay/yjs/detail/yjs_split.hpp>

namespace belay { inline namespace BELAY_ABI { namespace yjs::detail {

/// Returns an update with fewer structs: content that was typed letter by letter is joined.
[[nodiscard]] inline Bytes coalesced(Sources& sources) {
    UpdateWriter writer;
    writer.reserve(sources.updates.front().size());
    Coalescer coalescer{writer};
    sources.sort_blocks();
    for (Block block : sources.blocks) {
        writer.begin_block({block.client, block.clock});
        while (block.structs > 0) coalescer.put(sources.take(block));
        coalescer.end_run();
        writer.end_block();
    }
    unite_ranges(sources.deletes);
    return writer.finish(sources.deletes);
}

}}}  // namespace belay::yjs::detail

namespace belay { inline namespace BELAY_ABI { namespace yjs {

// For all functions here:
// - Updates are of version 1, which doc.on('update') produces.
// - Every byte is checked first. Nothing of a malformed update is used.
// - n is the number of structs, delete ranges and client blocks.
// - Memory: at most 16 bytes for each byte of input, regardless of the counts in it, and the
//   result.
// - Thread safety: distinct calls safe. Throws: std::bad_alloc.
// - Source: yjs 13.6, src/utils/updates.js, src/utils/encoding.js.

/// Checks an update as strictly as all its readers together, and returns what it holds.
///
/// Yjs applies every accepted update without an exception. An item that refers to itself, and a
/// deleted range without length, are rejected, because each would stop every peer of the document.
/// Some updates are rejected although Yjs reads them:
/// - those with bytes after the end,
/// - those with a client that appears twice, because Yjs keeps only one of the two parts,
/// - those with structs without length,
/// - those with values that are nested too deep,
/// - those with numbers above 2^53 - 1, or of more than 8 bytes,
/// - those with subdocuments whose options replace their guid,
/// - those of version 2. Version 1 is the format of `doc.on('update')` and `Y.encodeStateAsUpdate`.
///
/// Complexity: O(bytes).
[[nodiscard]] inline Result<Summary, UpdateError> validate(BytesView update,
                                                           const Limits& limits = {}) {
    std::vector<detail::Block> blocks;
    blocks.reserve(detail::blocks_at_most(update));
    detail::Scan found;
    if (UpdateError error = detail::scan<true>(update, limits, 0, blocks, found)) return error;
    return std::move(found.summary);
}

/// Merges several updates, of any order and with any overlaps, into one.
///
/// Use it to replace many updates in a log by one. The result is byte for byte what Y.mergeUpdates
/// makes, unless some content was cut in two ways. Then both results are right, and the document is
/// the same. Merging again changes nothing. No updates make the empty update, 00 00. Content that
/// arrived before the content that it follows stays in the update, after a gap.
///
/// Complexity: O(n log n).
[[nodiscard]] inline Result<Merged, UpdateError> merge_updates(std::span<const BytesView> updates,
                                                               const Limits& limits = {}) {
    detail::Sources sources{updates};
    if (UpdateError error = detail::read_sources<true>(limits, sources)) return error;
    return detail::Merger{sources}.run();
}
/// Merges the updates of a list in braces.
[[nodiscard]] inline Result<Merged, UpdateError> merge_updates(
    std::initializer_list<BytesView> updates, const Limits& limits = {}) {
    return merge_updates(std::span{updates.begin(), updates.size()}, limits);
}
/// Merges the updates of a container of byte strings.
template <class Updates>
    requires requires(const Updates& u) { BytesView{*std::begin(u)}; }
[[nodiscard]] Result<Merged, UpdateError> merge_updates(const Updates& updates,
                                                        const Limits& limits = {}) {
    const std::vector<BytesView> views(std::begin(updates), std::end(updates));
    return merge_updates(std::span{views}, limits);
}

/// Returns what an update, as a whole document, holds of each client without a gap.
///
/// It is the first step of the sync protocol. The highest client comes first.
///
/// Complexity: O(n log n).
[[nodiscard]] inline Result<Bytes, UpdateError> state_vector(BytesView update,
                                                             const Limits& limits = {}) {
    detail::Sources sources{{&update, 1}};
    if (UpdateError error = detail::read_sources<true>(limits, sources)) return error;
    return detail::state_vector_of(sources);
}

/// Returns the part of an update that a peer with `state_vector` lacks.
///
/// It is the second step of the sync protocol. All deletions are in it, because a state vector does
/// not contain which deletions are known.
///
/// Complexity: O(n log n).
[[nodiscard]] inline Result<Bytes, UpdateError> diff_update(
    // NOLINTNEXTLINE(bugprone-easily-swappable-parameters): as Y.diffUpdate has them
    BytesView update, BytesView state_vector, const Limits& limits = {}) {
    detail::Clocks known;
    if (UpdateError error = detail::read_state_vector(state_vector, limits, known)) return error;
    detail::Sources sources{{&update, 1}};
    if (UpdateError error = detail::read_sources<true>(limits, sources)) return error;
    return detail::diff_of(sources, known);
}

/// Joins content that was typed letter by letter.
///
/// The result has the size of the document, not of its log.
///
/// Complexity: O(n log n).
[[nodiscard]] inline Result<Bytes, UpdateError> coalesce(BytesView update,
                                                         const Limits& limits = {}) {
    detail::Sources sources{{&update, 1}};
    if (UpdateError error = detail::read_sources<true>(limits, sources)) return error;
    return detail::coalesced(sources);
}

/// Removes deleted content, as the garbage collection of Yjs does, and coalesces the rest.
///
/// The update must be a whole document. These parts go:
/// - the content of what was deleted: texts, values, formats, subdocuments, shared types;
/// - all values of a key except the last one, also if clients set it at the same time;
/// - everything under a deleted shared type, also if it was written later by a client that was
///   offline. Only its length stays.
///
/// The result is about as long as Y.encodeStateAsUpdate of a document with garbage collection. No
/// version history brings the content back. A client that undoes a deletion inserts its own copy.
///
/// Complexity: O(n log n).
[[nodiscard]] inline Result<Bytes, UpdateError> scrub(BytesView update, const Limits& limits = {}) {
    detail::Sources sources{{&update, 1}};
    if (UpdateError error = detail::read_sources<true>(limits, sources)) return error;
    std::size_t structs = 0;
    return detail::collected(sources, structs);
}

/// Splits an update into several that are equivalent to it when all are applied in their order.
///
/// In another order, merge them first (`merge_updates`). Yjs keeps back content that refers to a
/// later piece, and in a few orders does not look at it again before the next update.
///
/// No piece is longer than `piece_bytes_max`, unless it holds one value that cannot be cut. Each
/// piece begins at a clock of its own. Deletions come last.
///
/// Pre: piece_bytes_max >= split_bytes_min.
/// Complexity: O(bytes), and O(n log n) in the delete ranges.
[[nodiscard]] inline Result<std::vector<Bytes>, UpdateError> split_update(
    BytesView update, std::size_t piece_bytes_max, const Limits& limits = {}) {
    BELAY_OPTION(piece_bytes_max >= split_bytes_min,
                 "yjs::split_update: piece_bytes_max must be >= split_bytes_min");
    if (const auto summary = validate(update, limits); !summary) return summary.error();
    detail::Splitter splitter{update, piece_bytes_max};
    std::vector<Bytes> pieces;
    while (auto piece = splitter.next()) pieces.push_back(std::move(*piece));
    return pieces;
}

}}}  // namespace belay::yjs
