// SPDX-License-Identifier: MIT
/// \file belay/yjs/detail/yjs_garbage.hpp
/// collected: writes an update without its deleted content, as the garbage collection of Yjs does.
#pragma once

#include <array>    // std::array
#include <cstddef>  // std::size_t
#include <cstdint>  // std::uint64_t
#include <span>     // std::span
#include <utility>  // std::exchange
#include <vector>   // std::vector

#include <belay/yjs/detail/yjs_parents.hpp>

namespace belay { inline namespace BELAY_ABI { namespace yjs::detail {

/// Writes structs and parts of structs. Runs of deleted content are written as one struct each.
class CollectedWriter {
public:
    explicit CollectedWriter(std::size_t bytes) { writer_.reserve(bytes); }

    void begin_block(Id first) noexcept { writer_.begin_block(first); }
    void end_block() {
        end_run();
        coalescer_.end_run();
        writer_.end_block();
    }

    /// Writes a struct that stays as it is. Its bytes must exist until the block has ended.
    void put(const Struct& s) {
        end_run();
        coalescer_.put(s);
    }
    /// Writes the units of a struct that are not deleted; some others of it are.
    /// Pre: `values` are these units.
    void put_part(const Struct& s, const DeleteRange& part, BytesView values) {
        end_run();
        // Deleted content lies between the parts of a struct. A run has thus two parts at most: it
        // begins with the end of a struct, and ends with the beginning of another.
        Bytes& bytes = parts_[std::exchange(odd_, !odd_) ? 1 : 0];
        bytes.clear();
        append_head(bytes, s, part.clock, s.kind());
        append_varuint(bytes, s.kind() == ref::string ? values.size() : part.len);
        append(bytes, values);
        Lib0Reader in{bytes};
        coalescer_.put(StructReader<false>{in, nesting_ceiling}.read({s.client, part.clock}));
    }
    /// Writes deleted units of a struct, without their content.
    void put_deleted(const Struct& s, const DeleteRange& part) {
        coalescer_.end_run();
        const bool joins = len_ > 0 && !head_.empty() && follows(s, part.clock);
        if (!joins) {
            end_run();
            append_head(head_, s, part.clock, ref::deleted);
        }
        last_ = s;
        len_ += part.len;
    }
    /// Writes units that lie under a deleted parent.
    void put_collected(std::uint64_t len) {
        coalescer_.end_run();
        if (!head_.empty()) end_run();
        len_ += len;
    }

    [[nodiscard]] Bytes finish(std::span<const DeleteRange> deletes) {
        return writer_.finish(deletes);
    }
    [[nodiscard]] std::size_t structs() const noexcept { return writer_.structs(); }

private:
    static void append_head(Bytes& out, const Struct& s, std::uint64_t clock, ref::Kind kind) {
        append_head(out, s, clock, static_cast<std::uint8_t>(kind));
    }
    static void append_head(Bytes& out, const Struct& s, std::uint64_t clock, std::uint8_t kind) {
        if (clock == s.clock) {
            out.push_back(static_cast<std::byte>((s.written_info() & ~ref_bits) | kind));
            return append(out, s.head());
        }
        out.push_back(static_cast<std::byte>(kind | has_origin | (s.info & has_right_origin)));
        append_varuint(out, s.client);
        append_varuint(out, clock - 1);
        if (!s.has(has_right_origin)) return;
        append_varuint(out, s.right_origin.client);
        append_varuint(out, s.right_origin.clock);
    }
    /// Returns whether Yjs joins units, from `clock` on, with those that were written last.
    [[nodiscard]] bool follows(const Struct& s, std::uint64_t clock) const noexcept {
        const bool is_next =
            clock != s.clock || (s.has(has_origin) && s.origin == Id{s.client, s.clock - 1});
        return is_next && s.has(has_right_origin) == last_.has(has_right_origin) &&
               s.right_origin == last_.right_origin;
    }
    void end_run() {
        if (len_ == 0) return;
        Bytes& out = writer_.out();
        if (head_.empty()) out.push_back(static_cast<std::byte>(ref::gc));
        append(out, head_);
        append_varuint(out, std::exchange(len_, 0));
        writer_.wrote_struct();
        head_.clear();
    }

    UpdateWriter writer_;
    Coalescer coalescer_{writer_};
    std::array<Bytes, 2> parts_;
    bool odd_ = false;
    Bytes head_;             ///< of the run of deleted units; empty for collected ones
    Struct last_;            ///< the last struct of this run
    std::uint64_t len_ = 0;  ///< the length of this run; 0 if there is none
};

/// Reads the values of a struct in parts, from left to right.
class ValueCutter {
public:
    explicit ValueCutter(const Struct& s) noexcept : struct_{s}, rest_{s.values()} {}

    /// Returns the values of the next units. The result is valid until the next call.
    [[nodiscard]] BytesView take(std::uint64_t units) {
        if (struct_.kind() != ref::string) {
            const BytesView values = rest_;
            rest_ = after_values(struct_, rest_, units);
            return values.first(values.size() - rest_.size());
        }
        // Half of a surrogate pair is not UTF-8. Yjs writes the replacement character for it, too.
        const BytesView half = as_bytes("\xEF\xBF\xBD");
        text_.clear();
        if (std::exchange(cuts_pair_, false)) {
            append(text_, half);
            --units;
        }
        const auto cut = ::belay::detail::cut_utf16(as_text(rest_), units);
        cuts_pair_ = cut.cuts_pair;
        append(text_, rest_.first(cut.bytes - (cuts_pair_ ? 4 : 0)));
        if (cuts_pair_) append(text_, half);
        rest_ = rest_.subspan(cut.bytes);
        return text_;
    }

private:
    const Struct& struct_;
    BytesView rest_;
    Bytes text_;
    bool cuts_pair_ = false;
};

/// Writes a struct of which some units may be deleted.   Complexity: O(its bytes).
inline void put_parts(CollectedWriter& writer, const Struct& s, DeletedRuns& deleted) {
    DeleteRange gone = deleted.next({s.client, s.clock}, s.clock_end());
    if (gone.len == 0) return writer.put(s);
    if (gone.len == s.len) return writer.put_deleted(s, gone);
    ValueCutter values{s};
    for (std::uint64_t clock = s.clock; clock < s.clock_end(); clock = gone.clock_end()) {
        gone = deleted.next({s.client, clock}, s.clock_end());
        const DeleteRange kept{s.client, clock, gone.clock - clock};
        if (kept.len > 0) writer.put_part(s, kept, values.take(kept.len));
        if (gone.len == 0) continue;
        static_cast<void>(values.take(gone.len));
        writer.put_deleted(s, gone);
    }
}

/// Writes an update as Yjs writes a document whose deleted content was collected:
/// - a deleted struct keeps its place and its length, and loses its content;
/// - so does the value of a key that another value replaced at the same time;
/// - what lies under a deleted parent keeps its length only;
/// - neighbours are joined.
///
/// Afterwards, the delete ranges of `sources` are those of the result. They also have what every
/// client deletes by itself: content that was written under a parent that another client deleted,
/// and all values of a key except the last one.
///
/// Sets `structs` to the number of structs of the result, with the gaps between them.
///
/// Pre: it is one update, which was checked.   Complexity: O(n log n).
[[nodiscard]] inline Bytes collected(Sources& sources, std::size_t& structs) {
    sources.sort_blocks();
    unite_ranges(sources.deletes);
    ParentIndex index{sources};
    if (index.add_overwritten(sources.deletes)) unite_ranges(sources.deletes);
    CollectedWriter writer{sources.updates.front().size()};
    DeletedRuns deleted{sources.deletes};
    std::vector<DeleteRange> found;
    std::size_t number = 0;
    for (Block block : sources.blocks) {
        writer.begin_block({block.client, block.clock});
        while (block.structs > 0) {
            const Struct s = sources.take(block);
            if (s.kind() == ref::skip) {
                writer.put(s);
            } else if (index.is_collected(number)) {
                const DeleteRange whole{s.client, s.clock, s.len};
                if (s.is_item() && !deleted.hold(s)) add_range(found, whole);
                writer.put_collected(s.len);
            } else if (s.kind() == ref::deleted) {
                writer.put_deleted(s, {s.client, s.clock, s.len});
            } else {
                put_parts(writer, s, deleted);
            }
            ++number;
        }
        writer.end_block();
    }
    if (!found.empty()) {
        sources.deletes.insert(sources.deletes.end(), found.begin(), found.end());
        unite_ranges(sources.deletes);
    }
    structs = writer.structs();
    return writer.finish(sources.deletes);
}

}}}  // namespace belay::yjs::detail
