// SPDX-License-Identifier: MIT
/// \file belay/yjs/detail/yjs_write.hpp
/// UpdateWriter: writes an update whose counts are known only at its end. append_slice: writes the
/// right part of a struct. DeletedRuns: walks over what is deleted.
#pragma once

#include <algorithm>  // std::sort, std::max, std::min
#include <cstddef>    // std::size_t
#include <cstdint>    // std::uint64_t
#include <vector>     // std::vector

#include <belay/core/detail/heap.hpp>
#include <belay/yjs/detail/yjs_scan.hpp>

namespace belay { inline namespace BELAY_ABI { namespace yjs::detail {

inline void append(Bytes& out, BytesView bytes) {
    out.insert(out.end(), bytes.begin(), bytes.end());
}

/// Inserts numbers at `place`, in front of what was written from there on.
inline void insert_varuints(Bytes& out, std::size_t place,
                            std::initializer_list<std::uint64_t> numbers) {
    Bytes header;
    for (const std::uint64_t n : numbers) append_varuint(header, n);
    out.insert(out.begin() + static_cast<std::ptrdiff_t>(place), header.begin(), header.end());
}

/// Returns the values of a JSON or Any struct after the first `n` of them.
[[nodiscard]] inline BytesView after_values(const Struct& s, BytesView values,
                                            std::uint64_t n) noexcept {
    Lib0Reader in{values};
    for (; n > 0; --n) {
        if (s.kind() == ref::any) {
            in.skip_any();
        } else {
            in.varbytes();
        }
    }
    BELAY_INVARIANT(!in.failed(), "after_values: the bytes must have been checked");
    return {in.position(), values.data() + values.size()};
}

/// Writes the neighbours of the part of an item that begins at `clock`: the unit before it, and the
/// right neighbour of the whole.
inline void append_neighbours(Bytes& out, const Struct& s, std::uint64_t clock) {
    append_varuint(out, s.client);
    append_varuint(out, clock - 1);
    if (!s.has(has_right_origin)) return;
    append_varuint(out, s.right_origin.client);
    append_varuint(out, s.right_origin.clock);
}

/// Writes the head of an item, or of the part of it that begins at `clock`, as content of a kind.
inline void append_head(Bytes& out, const Struct& s, std::uint64_t clock, std::uint8_t kind) {
    if (clock == s.clock) {
        out.push_back(static_cast<std::byte>((s.written_info() & ~ref_bits) | kind));
        return append(out, s.head());
    }
    out.push_back(static_cast<std::byte>(kind | has_origin | (s.info & has_right_origin)));
    append_neighbours(out, s, clock);
}

/// Writes a struct without its first `off` units.   Pre: 0 < off < s.len.
inline void append_slice(Bytes& out, const Struct& s, std::uint64_t off) {
    if (!s.is_item()) {
        out.push_back(static_cast<std::byte>(s.kind()));
        return append_varuint(out, s.len - off);
    }
    // Yjs keeps the flag of a map's key if it has read one, although it writes no key after it.
    const bool has_key = s.has(has_parent_sub) && !s.has(has_origin | has_right_origin);
    const unsigned info =
        s.kind() | has_origin | (s.info & has_right_origin) | (has_key ? has_parent_sub : 0U);
    out.push_back(static_cast<std::byte>(info));
    append_neighbours(out, s, s.clock + off);
    if (s.kind() == ref::string) {
        const auto cut = ::belay::detail::cut_utf16(as_text(s.values()), off);
        const BytesView rest = s.values().subspan(cut.bytes);
        // Half of a surrogate pair is not UTF-8. Yjs writes the replacement character for it, too.
        append_varuint(out, rest.size() + (cut.cuts_pair ? 3 : 0));
        if (cut.cuts_pair) append(out, as_bytes("\xEF\xBF\xBD"));
        return append(out, rest);
    }
    append_varuint(out, s.len - off);
    if (s.kind() == ref::deleted) return;
    append(out, after_values(s, s.values(), off));
}

/// Writes an update: first its blocks, and then the delete set in `finish`.
class UpdateWriter {
public:
    void reserve(std::size_t bytes) { out_.reserve(bytes); }

    /// Begins the block of a client, at the clock of its first struct.
    void begin_block(Id first) noexcept {
        first_ = first;
        place_ = out_.size();
        structs_ = 0;
    }
    /// Writes a struct as Yjs does: without the flag of a map's key if no key follows it.
    void put(const Struct& s) {
        out_.push_back(static_cast<std::byte>(s.written_info()));
        append(out_, s.raw().subspan(1));
        ++structs_;
    }
    void put_slice(const Struct& s, std::uint64_t off) {
        append_slice(out_, s, off);
        ++structs_;
    }
    void put_skip(std::uint64_t len) {
        out_.push_back(static_cast<std::byte>(ref::skip));
        append_varuint(out_, len);
        ++structs_;
    }
    /// Returns the output, for structs that are written piece by piece. Call `wrote_struct` for
    /// each.
    [[nodiscard]] Bytes& out() noexcept { return out_; }
    void wrote_struct() noexcept { ++structs_; }

    /// Ends the block. A block without structs is left out.
    void end_block() {
        if (structs_ == 0) return;
        insert_varuints(out_, place_, {structs_, first_.client, first_.clock});
        all_structs_ += static_cast<std::size_t>(structs_);
        ++blocks_;
    }
    [[nodiscard]] std::size_t bytes() const noexcept { return out_.size(); }
    [[nodiscard]] std::uint64_t blocks() const noexcept { return blocks_; }
    /// Returns the structs of all blocks that have ended, with the gaps between them.
    [[nodiscard]] std::size_t structs() const noexcept { return all_structs_; }

    /// Writes the delete set, and returns the update. The ranges of a client must be adjacent, and
    /// all ranges in the order in which they are to be written.
    [[nodiscard]] Bytes finish(std::span<const DeleteRange> deletes) {
        insert_varuints(out_, 0, {blocks_});
        const std::size_t place = out_.size();
        std::uint64_t clients = 0;
        for (std::size_t i = 0, end = 0; i < deletes.size(); i = end, ++clients) {
            while (end < deletes.size() && deletes[end].client == deletes[i].client) ++end;
            append_varuint(out_, deletes[i].client);
            append_varuint(out_, end - i);
            for (std::size_t r = i; r < end; ++r) {
                append_varuint(out_, deletes[r].clock);
                append_varuint(out_, deletes[r].len);
            }
        }
        insert_varuints(out_, place, {clients});
        return std::move(out_);
    }

private:
    Bytes out_;
    Id first_;
    std::size_t place_ = 0;
    std::uint64_t structs_ = 0;  ///< of this block
    std::uint64_t blocks_ = 0;
    std::size_t all_structs_ = 0;
};

/// Sorts ranges into the order in which Yjs writes them: the highest client first.
inline void sort_ranges(std::vector<DeleteRange>& ranges) {
    ::belay::detail::sort_stably(
        ranges, [](const DeleteRange& a, const DeleteRange& b) { return a.client > b.client; });
}

/// Sorts ranges, and joins those of a client that touch or overlap.   Complexity: O(n log n).
inline void unite_ranges(std::vector<DeleteRange>& ranges) {
    std::sort(ranges.begin(), ranges.end(), [](const DeleteRange& a, const DeleteRange& b) {
        return a.client != b.client ? a.client > b.client
               : a.clock != b.clock ? a.clock < b.clock
                                    : a.len < b.len;
    });
    std::size_t kept = 0;
    for (const DeleteRange& range : ranges) {
        DeleteRange* const last = kept > 0 ? &ranges[kept - 1] : nullptr;
        if (last != nullptr && last->client == range.client && last->clock_end() >= range.clock) {
            last->len = std::max(last->clock_end(), range.clock_end()) - last->clock;
        } else {
            ranges[kept++] = range;
        }
    }
    ranges.resize(kept);
}

/// Walks over united delete ranges. Query it in the order of the ranges.
class DeletedRuns {
public:
    /// Pre: the ranges are united.
    explicit DeletedRuns(std::span<const DeleteRange> ranges) noexcept : ranges_{ranges} {}

    /// Returns the first range that ends after a clock of a client, as far as it lies before
    /// `end`. If there is none, it is empty and begins at `end`.
    [[nodiscard]] DeleteRange next(Id at, std::uint64_t end) noexcept {
        while (!ranges_.empty() && is_before(ranges_.front(), at)) ranges_ = ranges_.subspan(1);
        if (ranges_.empty() || ranges_.front().client != at.client) return {at.client, end, 0};
        const std::uint64_t first = std::min(std::max(ranges_.front().clock, at.clock), end);
        return {at.client, first, std::min(ranges_.front().clock_end(), end) - first};
    }
    [[nodiscard]] bool hold(const Struct& s) noexcept {
        return next({s.client, s.clock}, s.clock_end()).len == s.len;
    }

private:
    [[nodiscard]] static bool is_before(const DeleteRange& range, Id at) noexcept {
        return range.client > at.client ||
               (range.client == at.client && range.clock_end() <= at.clock);
    }
    std::span<const DeleteRange> ranges_;
};

}}}  // namespace belay::yjs::detail
