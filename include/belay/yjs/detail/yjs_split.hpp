// SPDX-License-Identifier: MIT
/// \file belay/yjs/detail/yjs_split.hpp
/// Splitter: splits an update into pieces that fit into messages.
#pragma once

#include <cstddef>   // std::size_t
#include <cstdint>   // std::uint64_t
#include <deque>     // std::deque
#include <optional>  // std::optional
#include <span>      // std::span
#include <vector>    // std::vector

#include <belay/yjs/detail/yjs_merge.hpp>

namespace belay { inline namespace BELAY_ABI { namespace yjs::detail {

/// Makes one piece at a time, so that a caller need not wait for all of them.
class Splitter {
public:
    /// Pre: the update was checked before, and outlives this object.
    Splitter(BytesView update, std::size_t piece_bytes_max) noexcept
        : in_{update}, blocks_{in_.varuint()}, room_{piece_bytes_max - frame_bytes} {}
    Splitter(const Splitter&) = delete;
    Splitter& operator=(const Splitter&) = delete;

    /// Returns the next piece; none after the last.
    /// Complexity: O(its bytes), or those of a value.
    [[nodiscard]] std::optional<Bytes> next() {
        while (pieces_.empty() && !over_) step();
        if (pieces_.empty()) return std::nullopt;
        Bytes piece = std::move(pieces_.front());
        pieces_.pop_front();
        return piece;
    }

private:
    /// Processes a struct, a part of one, the head of a block, or the end.
    void step() {
        BELAY_INVARIANT(!in_.failed(), "Splitter: the bytes must have been checked");
        if (cut_) return put_part();
        if (structs_ != 0) {
            --structs_;
            const Struct s = StructReader<false>{in_, nesting_ceiling}.read(at_);
            at_.clock = s.clock_end();
            return put(s);
        }
        if (std::exchange(opened_, false)) writer_.end_block();
        gap_ = 0;
        if (blocks_ != 0) {
            --blocks_;
            structs_ = in_.varuint();
            at_.client = in_.varuint();
            at_.clock = in_.varuint();
            return;
        }
        over_ = true;
        end_piece();
        // Space is reserved by their count, because a growing vector holds three times as much for
        // a moment.
        std::size_t ranges = 0;
        for_each_delete_range(in_.rest(), [&](const DeleteRange&) { ++ranges; });
        deletes_.reserve(ranges);
        for_each_delete_range(in_.rest(), [this](const DeleteRange& r) { deletes_.push_back(r); });
        unite_ranges(deletes_);
        put_deletes();
    }

    // The counts of clients and of ranges; for an open block the count of structs, client and
    // clock.
    static constexpr std::size_t frame_bytes = 4 * 8;
    static constexpr std::size_t gap_bytes = 1 + 8;
    // Client, count, and a range.
    static constexpr std::size_t range_bytes = 4 * 8;

    [[nodiscard]] std::size_t left() const noexcept {
        return room_ - std::min(room_, writer_.bytes());
    }
    void open(Id at) {
        if (std::exchange(opened_, true)) return;
        writer_.begin_block(at);
    }
    void end_piece() {
        if (std::exchange(opened_, false)) writer_.end_block();
        gap_ = 0;
        if (writer_.blocks() > 0) push(writer_.finish({}));
        writer_ = UpdateWriter{};
    }

    void put(const Struct& s) {
        // A piece neither begins nor ends with a gap.
        if (s.kind() == ref::skip) {
            gap_ += opened_ ? s.len : 0;
            return;
        }
        if (s.raw().size() + (opened_ ? gap_bytes : frame_bytes) > left()) end_piece();
        open({s.client, s.clock});
        if (gap_ > 0) writer_.put_skip(std::exchange(gap_, 0));
        if (s.raw().size() <= left() || !may_be_cut(s)) return writer_.put(s);
        cut_ = Cut{s, s.values(), s.len};
    }

    [[nodiscard]] static bool may_be_cut(const Struct& s) noexcept {
        return s.len > 1 &&
               (s.kind() == ref::string || s.kind() == ref::json || s.kind() == ref::any);
    }

    /// A struct that is written in part.
    struct Cut {
        Struct whole;
        BytesView rest;       ///< its values that are not written yet
        std::uint64_t units;  ///< how many units these have
    };
    struct Part {
        std::uint64_t units;
        std::size_t bytes;
    };

    /// Writes as much as fits. The leftmost part keeps the head. The other parts refer to the part
    /// before them.
    void put_part() {
        const Struct& s = cut_->whole;
        const Id at{s.client, s.clock_end() - cut_->units};
        open(at);
        Bytes head;
        append_head(head, s, at.clock, s.kind());
        const Part part = fitting(head.size());
        const bool ends = part.units == cut_->units;
        Bytes& out = writer_.out();
        append(out, head);
        append_varuint(out, s.kind() == ref::string ? part.bytes : part.units);
        append(out, cut_->rest.first(part.bytes));
        writer_.wrote_struct();
        if (ends) return cut_.reset();
        cut_->rest = cut_->rest.subspan(part.bytes);
        cut_->units -= part.units;
        end_piece();
    }

    /// Returns how much of the rest of the cut fits: at least one character or value, and never
    /// half a pair.
    [[nodiscard]] Part fitting(std::size_t head_bytes) const noexcept {
        const BytesView values = cut_->rest;
        const std::size_t head = head_bytes + 8;
        const std::size_t room = left() - std::min(left(), head);
        if (values.size() <= room) return {cut_->units, values.size()};
        if (cut_->whole.kind() == ref::string) {
            const std::string_view text = as_text(values);
            std::size_t bytes = room;
            while (bytes > 0 && (static_cast<unsigned char>(text[bytes]) & 0xC0) == 0x80) --bytes;
            if (bytes == 0) bytes = ::belay::detail::utf8_character(text.data(), text.size());
            return {::belay::detail::utf16_units(text.substr(0, bytes)), bytes};
        }
        Part part{0, 0};
        while (part.units < cut_->units) {
            const BytesView rest = after_values(cut_->whole, values.subspan(part.bytes), 1);
            if (part.units > 0 && values.size() - rest.size() > room) break;
            part = {part.units + 1, values.size() - rest.size()};
        }
        return part;
    }

    void put_deletes() {
        const std::size_t most = std::max<std::size_t>(room_ / range_bytes, 1);
        std::span<const DeleteRange> ranges{deletes_};
        while (!ranges.empty()) {
            const std::size_t n = std::min(most, ranges.size());
            push(UpdateWriter{}.finish(ranges.first(n)));
            ranges = ranges.subspan(n);
        }
        if (!any_) push(UpdateWriter{}.finish({}));
    }
    void push(Bytes piece) {
        any_ = true;
        pieces_.push_back(std::move(piece));
    }

    Lib0Reader in_;
    std::uint64_t blocks_;       ///< blocks whose heads are not read yet
    std::uint64_t structs_ = 0;  ///< structs of this block that are not read yet
    Id at_;                      ///< the next of these structs
    std::size_t room_;
    UpdateWriter writer_;
    std::deque<Bytes> pieces_;
    std::vector<DeleteRange> deletes_;
    bool any_ = false;
    bool over_ = false;
    std::uint64_t gap_ = 0;
    bool opened_ = false;
    std::optional<Cut> cut_;  ///< a struct that is longer than a piece
};

}}}  // namespace belay::yjs::detail
