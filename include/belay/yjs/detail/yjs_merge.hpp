// SPDX-License-Identifier: MIT
/// \file belay/yjs/detail/yjs_merge.hpp
/// Merger: merges many updates into one, by a sweep over the clocks of each client.
/// Coalescer: writes content that was typed letter by letter as if it had been typed at once.
/// Overlap: decides whether two structs that claim the same clocks have the same content.
#pragma once

#include <algorithm>    // std::equal, std::min
#include <cstddef>      // std::size_t
#include <cstdint>      // std::uint64_t
#include <span>         // std::span
#include <string_view>  // std::string_view
#include <utility>      // std::exchange
#include <vector>       // std::vector

#include <belay/yjs/detail/yjs_write.hpp>

namespace belay { inline namespace BELAY_ABI { namespace yjs::detail {

/// Reads the UTF-16 units of a UTF-8 text, one by one.
class Utf16Units {
public:
    explicit Utf16Units(std::string_view text) noexcept : text_{text} {}

    [[nodiscard]] bool at_end() const noexcept { return at_ == text_.size() && low_ == 0; }
    std::uint32_t next() noexcept {
        if (low_ != 0) return std::exchange(low_, 0U);
        const std::uint32_t c = bits(0);
        if (c < 0x80) return ++at_, c;
        if (c < 0xE0) return take(2, (c & 0x1F) << 6 | (bits(1) & 0x3F));
        if (c < 0xF0) {
            return take(3, (c & 0x0F) << 12 | (bits(1) & 0x3F) << 6 | (bits(2) & 0x3F));
        }
        const std::uint32_t point =
            (c & 0x07) << 18 | (bits(1) & 0x3F) << 12 | (bits(2) & 0x3F) << 6 | (bits(3) & 0x3F);
        low_ = 0xDC00 + ((point - 0x10000) & 0x3FF);
        return take(4, 0xD800 + ((point - 0x10000) >> 10));
    }

private:
    std::uint32_t bits(std::size_t i) const noexcept {
        return static_cast<unsigned char>(text_[at_ + i]);
    }
    std::uint32_t take(std::size_t bytes, std::uint32_t unit) noexcept {
        at_ += bytes;
        return unit;
    }

    std::string_view text_;
    std::size_t at_ = 0;
    std::uint32_t low_ = 0;
};

/// Compares structs with one that was kept. They must come by rising clock, so that the values of
/// the kept struct are read once, regardless of the number of structs.
///
/// These differences do not count, because correct updates may have them:
/// - content that is deleted in one of them;
/// - half of a surrogate pair, which is written as U+FFFD;
/// - the form of numbers and objects, which implementations write in several ways.
class Overlap {
public:
    void keep(const Struct& s) noexcept {
        kept_ = s;
        rest_ = s.values();
        passed_ = 0;
    }

    /// Returns whether a struct differs from the kept one in the clocks that both have.
    /// Pre: other.clock lies within the kept struct, and not before the one compared last.
    [[nodiscard]] bool differs_from(const Struct& other) noexcept {
        BELAY_INVARIANT(other.clock >= kept_.clock + passed_,
                        "Overlap: the structs must have rising clocks");
        if (is_gone(kept_) || is_gone(other)) return false;
        if (kept_.kind() != other.kind()) return true;
        if (other.clock == kept_.clock && !same_place(other)) return true;
        advance(other.clock - kept_.clock);
        const std::uint64_t units = std::min(kept_.clock_end(), other.clock_end()) - other.clock;
        switch (kept_.kind()) {
            case ref::string:
                return !same_text(other, units);
            case ref::json:
            case ref::any:
                return !same_values(other, units);
            case ref::embed:
                return !same_json(as_text(kept_.values()), as_text(other.values()));
            case ref::format:
                return !same_format(other);
            case ref::doc:
                return !same_guid(other);
            default:
                return !same_bytes(kept_.values(), other.values());
        }
    }

private:
    [[nodiscard]] static bool is_gone(const Struct& s) noexcept {
        return s.kind() == ref::gc || s.kind() == ref::deleted || s.kind() == ref::skip;
    }
    [[nodiscard]] static bool same_bytes(BytesView a, BytesView b) noexcept {
        return std::equal(a.begin(), a.end(), b.begin(), b.end());
    }
    [[nodiscard]] bool same_place(const Struct& other) const noexcept {
        const unsigned both = has_origin | has_right_origin;
        if ((kept_.info & both) != (other.info & both)) return false;
        if (kept_.has(both)) {
            return kept_.origin == other.origin && kept_.right_origin == other.right_origin;
        }
        return same_bytes(kept_.head(), other.head());
    }

    // Skips values of the kept struct, whole characters only.
    void advance(std::uint64_t to) noexcept {
        if (kept_.kind() == ref::string) {
            const auto cut = ::belay::detail::cut_utf16(as_text(rest_), to - passed_);
            if (cut.cuts_pair) {
                rest_ = rest_.subspan(cut.bytes - 4);
                passed_ = to - 1;
                return;
            }
            rest_ = rest_.subspan(cut.bytes);
        } else if (kept_.kind() == ref::json || kept_.kind() == ref::any) {
            rest_ = after_values(kept_, rest_, to - passed_);
        }
        passed_ = to;
    }

    [[nodiscard]] bool same_text(const Struct& other, std::uint64_t units) const noexcept {
        Utf16Units a{as_text(rest_)};
        Utf16Units b{as_text(other.values())};
        if (passed_ < other.clock - kept_.clock) a.next();
        for (; units > 0; --units) {
            const std::uint32_t x = a.next();
            const std::uint32_t y = b.next();
            if (x != y && x != 0xFFFD && y != 0xFFFD) return false;
        }
        return true;
    }

    [[nodiscard]] bool same_values(const Struct& other, std::uint64_t units) const noexcept {
        BytesView a = rest_;
        BytesView b = other.values();
        for (; units > 0; --units) {
            const BytesView a_rest = after_values(kept_, a, 1);
            const BytesView b_rest = after_values(kept_, b, 1);
            const BytesView x = a.first(a.size() - a_rest.size());
            const BytesView y = b.first(b.size() - b_rest.size());
            if (!same_bytes(x, y) && !(may_vary(x) && may_vary(y))) return false;
            a = a_rest;
            b = b_rest;
        }
        return true;
    }

    [[nodiscard]] bool same_format(const Struct& other) const noexcept {
        Lib0Reader a{kept_.values()};
        Lib0Reader b{other.values()};
        if (as_text(a.varbytes()) != as_text(b.varbytes())) return false;
        return same_json(as_text(a.rest()), as_text(b.rest()));
    }
    [[nodiscard]] bool same_guid(const Struct& other) const noexcept {
        Lib0Reader a{kept_.values()};
        Lib0Reader b{other.values()};
        return as_text(a.varbytes()) == as_text(b.varbytes());
    }
    /// Compares two JSON texts, each after its length.
    [[nodiscard]] static bool same_json(std::string_view a, std::string_view b) noexcept {
        return a == b || (may_vary_as_json(a) && may_vary_as_json(b));
    }

    // Numbers have several forms, and four tags. Members of objects have no order.
    [[nodiscard]] static bool may_vary_as_json(std::string_view value) noexcept {
        Lib0Reader in{as_bytes(value)};
        const std::string_view text = as_text(in.varbytes());
        return text.empty() || std::string_view{"-0123456789[{"}.find(text[0]) != text.npos;
    }
    [[nodiscard]] bool may_vary(BytesView value) const noexcept {
        if (kept_.kind() == ref::json) return may_vary_as_json(as_text(value));
        const auto tag = static_cast<std::uint8_t>(value.front());
        return (tag >= 122 && tag <= 125) || tag == 117 || tag == 118;
    }

    Struct kept_;
    BytesView rest_;
    std::uint64_t passed_ = 0;
};

/// Joins neighbouring structs that were typed one after the other, as Yjs does in its own
/// documents. The bytes of a struct that was given to `put` must exist until the run has ended.
class Coalescer {
public:
    explicit Coalescer(UpdateWriter& writer) noexcept : writer_{writer} {}

    void put(const Struct& s) {
        if (runs_ && joins(s)) {
            if (single_) append(values_, last_.values());
            single_ = false;
            append(values_, s.values());
            len_ += s.len;
            last_ = s;
            return;
        }
        end_run();
        first_ = last_ = s;
        len_ = s.len;
        single_ = runs_ = true;
    }

    void end_run() {
        if (!std::exchange(runs_, false)) return;
        if (single_) return writer_.put(first_);
        Bytes& out = writer_.out();
        out.push_back(static_cast<std::byte>(first_.written_info()));
        append(out, first_.head());
        append_varuint(out, first_.kind() == ref::string ? values_.size() : len_);
        append(out, values_);
        writer_.wrote_struct();
        values_.clear();
    }

private:
    [[nodiscard]] bool joins(const Struct& s) const noexcept {
        if (s.kind() != last_.kind()) return false;
        switch (s.kind()) {
            case ref::gc:
            case ref::skip:
                return true;
            case ref::deleted:
            case ref::string:
            case ref::any:
                return s.has(has_origin) && s.origin == Id{s.client, s.clock - 1} &&
                       s.has(has_right_origin) == last_.has(has_right_origin) &&
                       s.right_origin == last_.right_origin;
            default:
                return false;
        }
    }

    UpdateWriter& writer_;
    Struct first_;
    Struct last_;
    Bytes values_;
    std::uint64_t len_ = 0;
    bool runs_ = false;
    bool single_ = false;
};

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
        for_each_delete_range({deletes[i], update.data() + update.size()},
                              [&](const DeleteRange& r) { sources.deletes.push_back(r); });
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
            if (s.clock < end && overlap.differs_from(s)) ++merged_.conflicts;
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

    [[nodiscard]] static bool before(const Block& a, const Block& b) noexcept {
        return a.clock != b.clock ? a.clock < b.clock : a.update < b.update;
    }

    /// Moves the first block down to its place.   Complexity: O(1) if it stays, O(log n) at most.
    static void sift(std::span<Block> heap) noexcept {
        const auto put = [heap](std::size_t at, const Block& block) { heap[at] = block; };
        if (!heap.empty()) ::belay::detail::sink_in_heap(heap, 0, before, put, heap.size());
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
