// SPDX-License-Identifier: MIT
/// \file belay/yjs/detail/yjs_merge.hpp
/// Merger: merges many updates into one, by a sweep over the clocks of each client.
#pragma once

#include <cstddef>  // std::size_t
#include <cstdint>  // std::uint64_t
#include <span>     // std::span
#include <vector>   // std::vector

#include <belay/yjs/detail/yjs_coalescer.hpp>
#include <belay/yjs/detail/yjs_overlap.hpp>

namespace belay { inline namespace BELAY_ABI { namespace yjs::detail {

/// The blocks of several updates, and where their bytes end.
struct Sources {
    explicit Sources(std::span<const BytesView> several) noexcept : updates{several} {}

    std::span<const BytesView> updates;
    std::vector<Block> blocks;
    std::vector<DeleteRange> deletes;

    /// Pre: the blocks are sorted.
    [[nodiscard]] bool has_several_clients() const noexcept {
        return !blocks.empty() && blocks.front().client != blocks.back().client;
    }
    [[nodiscard]] const std::byte* end_of(const Block& block) const noexcept {
        const BytesView bytes = updates[block.update];
        return bytes.data() + bytes.size();
    }
    /// Reads the struct at the beginning of a block. The block then begins after the struct.
    [[nodiscard]] Struct take(Block& block) const noexcept {
        Lib0Reader in{BytesView{block.at, end_of(block)}};
        const Struct s = StructReader<false>{in, nesting_ceiling}.read({block.client, block.clock});
        BELAY_INVARIANT(!in.failed(), "Sources::take: the bytes must have been checked");
        block.at = s.end;
        block.clock = s.clock_end();
        --block.structs;
        return s;
    }
    /// Sorts the blocks: the highest client first, as Yjs writes them; those of one client by
    /// clock, then by update.
    void sort_blocks() {
        std::sort(blocks.begin(), blocks.end(), [](const Block& a, const Block& b) {
            return a.client != b.client ? a.client > b.client
                   : a.clock != b.clock ? a.clock < b.clock
                                        : a.update < b.update;
        });
    }
};

/// Reads all updates. Memory is reserved by their lengths, and never only by a count that is in
/// them.
template <bool checked>
[[nodiscard]] UpdateError read_sources(const Limits& limits, Sources& sources) {
    std::size_t blocks = 0;
    for (const BytesView update : sources.updates) blocks += blocks_at_most(update);
    sources.blocks.reserve(blocks);
    std::size_t ranges = 0;
    std::vector<const std::byte*> deletes;
    deletes.reserve(sources.updates.size());
    for (std::size_t i = 0; i < sources.updates.size(); ++i) {
        Scan found;
        if (UpdateError error = scan<checked>(sources.updates[i], limits, i, sources.blocks, found))
            return error;
        deletes.push_back(found.deletes);
        ranges += found.summary.delete_ranges;
    }
    sources.deletes.reserve(ranges);
    for (std::size_t i = 0; i < deletes.size(); ++i) {
        const BytesView update = sources.updates[i];
        read_delete_ranges({deletes[i], update.data() + update.size()}, sources.deletes);
    }
    return {};
}

/// Merges what was read. If it `joins`, it also joins content that was typed letter by letter.
class Merger {
public:
    explicit Merger(Sources& sources, bool joins = false) noexcept
        : sources_{sources}, joins_{joins} {}

    [[nodiscard]] Merged run() {
        std::size_t bytes = 0;
        for (const BytesView update : sources_.updates) bytes += update.size();
        // Merged updates are rarely longer than this. If the updates have much content in common,
        // the result is shorter.
        writer_.reserve(std::min(bytes, 2 * longest()) + 16);
        sources_.sort_blocks();
        unite_ranges(sources_.deletes);
        deleted_ = DeletedRuns{sources_.deletes};
        std::vector<Block>& blocks = sources_.blocks;
        for (std::size_t i = 0, end = 0; i < blocks.size(); i = end) {
            while (end < blocks.size() && blocks[end].client == blocks[i].client) ++end;
            merge_client(std::span{blocks}.subspan(i, end - i));
        }
        merged_.update = writer_.finish(sources_.deletes);
        return std::move(merged_);
    }
    /// Returns the clocks that the merged update has, the highest client first.
    [[nodiscard]] std::vector<DeleteRange> take_runs() noexcept { return std::move(runs_); }
    /// Returns how many structs the merged update has, with the gaps between them.
    [[nodiscard]] std::size_t structs() const noexcept { return writer_.structs(); }
    /// Returns how many bytes of the structs are deleted content. It is counted if this object
    /// `joins`, in the bytes of the sources.
    [[nodiscard]] std::size_t deleted_bytes() const noexcept { return deleted_bytes_; }

private:
    [[nodiscard]] std::size_t longest() const noexcept {
        std::size_t bytes = 0;
        for (const BytesView update : sources_.updates) bytes = std::max(bytes, update.size());
        return bytes;
    }

    // `heap` is sorted, and therefore a heap: its first block has the lowest clock.
    void merge_client(std::span<Block> heap) {
        bool begun = false;
        std::uint64_t end = 0;
        Overlap overlap;
        while (!heap.empty()) {
            const Struct s = sources_.take(heap.front());
            if (heap.front().structs == 0) {
                heap.front() = heap.back();
                heap = heap.first(heap.size() - 1);
            }
            sift(heap);
            if (s.kind() == ref::skip) continue;
            if (!begun) {
                writer_.begin_block({s.client, s.clock});
                runs_.push_back({s.client, s.clock, 0});
                begun = true;
                if (s.clock != 0) ++merged_.gaps;
                end = s.clock;
            }
            if (s.clock < end && overlap.differs_from(s)) note_conflict(s);
            if (s.clock_end() <= end) continue;
            if (s.clock > end) {
                coalescer_.end_run();
                writer_.put_skip(s.clock - end);
                runs_.push_back({s.client, s.clock, 0});
                ++merged_.gaps;
            }
            put(s, s.clock < end ? end - s.clock : 0);
            end = s.clock_end();
            runs_.back().len = end - runs_.back().clock;
            overlap.keep(s);
        }
        coalescer_.end_run();
        slices_.clear();
        if (begun) writer_.end_block();
    }
    /// Writes a struct without its first `off` units.
    void put(const Struct& s, std::uint64_t off) {
        if (!joins_) return off != 0 ? writer_.put_slice(s, off) : writer_.put(s);
        count_deleted(s);
        if (off == 0) return coalescer_.put(s);
        append_slice(slices_.emplace_back(), s, off);
        Lib0Reader in{slices_.back()};
        coalescer_.put(StructReader<false>{in, nesting_ceiling}.read({s.client, s.clock + off}));
    }

    /// Complexity: O(1) for each delete range, over all structs.
    void count_deleted(const Struct& s) noexcept {
        if (!s.is_item() || s.kind() == ref::deleted) return;
        for (Id at{s.client, s.clock}; at.clock < s.clock_end();) {
            const DeleteRange gone = deleted_.next(at, s.clock_end());
            at.clock = gone.clock_end();
            if (gone.len == s.len) {
                deleted_bytes_ += s.raw().size();
            } else if (gone.len > 0) {
                // Rounded, because a product of two lengths may not fit into an integer.
                deleted_bytes_ += static_cast<std::size_t>(static_cast<double>(s.values().size()) *
                                                           static_cast<double>(gone.len) /
                                                           static_cast<double>(s.len));
            }
        }
    }

    void note_conflict(const Struct& s) noexcept {
        if (merged_.conflicts++ > 0) return;
        merged_.conflict_client = s.client;
        merged_.conflict_clock = s.clock;
    }

    [[nodiscard]] static bool before(const Block& a, const Block& b) noexcept {
        return a.clock != b.clock ? a.clock < b.clock : a.update < b.update;
    }

    /// Moves the first block down to its place.   Complexity: O(1) if it stays, O(log n) at most.
    static void sift(std::span<Block> heap) noexcept {
        for (std::size_t at = 0;;) {
            std::size_t least = 2 * at + 1;
            if (least >= heap.size()) return;
            if (least + 1 < heap.size() && before(heap[least + 1], heap[least])) ++least;
            if (!before(heap[least], heap[at])) return;
            std::swap(heap[at], heap[least]);
            at = least;
        }
    }

    Sources& sources_;
    bool joins_;
    UpdateWriter writer_;
    Coalescer coalescer_{writer_};
    std::vector<Bytes> slices_;  ///< bytes that the coalescer may still refer to
    std::vector<DeleteRange> runs_;
    DeletedRuns deleted_{{}};
    std::size_t deleted_bytes_ = 0;
    Merged merged_;
};

}}}  // namespace belay::yjs::detail
