// SPDX-License-Identifier: MIT
/// \file belay/room/detail/yjs_split.hpp
/// Splitter: cuts an update into pieces that fit into messages.
#pragma once

#include <cstddef>   // std::size_t
#include <cstdint>   // std::uint64_t
#include <deque>     // std::deque
#include <optional>  // std::optional
#include <span>      // std::span
#include <vector>    // std::vector

#include <belay/room/detail/yjs_merge.hpp>

namespace belay::inline BELAY_ABI::yjs::detail {

/// Cuts piece by piece, so that nobody has to wait for all of them.
class Splitter {
public:
    /// The update was checked before, and must outlive this.
    Splitter(BytesView update, std::size_t piece_bytes_max) noexcept
        : in_{update}, blocks_{in_.varuint()}, room_{piece_bytes_max - frame_bytes} {}
    Splitter(const Splitter&) = delete;
    Splitter& operator=(const Splitter&) = delete;

    /// The next piece; none behind the last.   Complexity: O(its bytes), or of a value's.
    [[nodiscard]] std::optional<Bytes> next() {
        while (pieces_.empty() && !over_) step();
        if (pieces_.empty()) return std::nullopt;
        Bytes piece = std::move(pieces_.front());
        pieces_.pop_front();
        return piece;
    }

private:
    /// A struct that is too long for a piece, and what of it is not written yet.
    struct Rest {
        Struct whole;
        BytesView values;
        std::uint64_t off = 0;  ///< so many of its units are

        [[nodiscard]] std::uint64_t len() const noexcept { return whole.len - off; }
        /// All in front of the count: what comes behind a cut says that it follows.
        [[nodiscard]] Bytes head() const {
            Bytes out;
            const Struct& s = whole;
            if (off == 0) {
                out.push_back(static_cast<std::byte>(s.written_info()));
                append(out, s.head());
                return out;
            }
            out.push_back(
                static_cast<std::byte>(s.kind() | has_origin | (s.info & has_right_origin)));
            append_varuint(out, s.client);
            append_varuint(out, s.clock + off - 1);
            if (s.has(has_right_origin)) {
                append_varuint(out, s.right_origin.client);
                append_varuint(out, s.right_origin.clock);
            }
            return out;
        }
    };

    /// A struct, a part of a long one, the head of a block, or the end.
    void step() {
        BELAY_INVARIANT(!in_.failed(), "Splitter: the bytes were checked");
        if (cuts_) return cut();
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
        // By their count: a vector that grows holds three times as much for a moment.
        deletes_.reserve(count_delete_ranges(in_.rest()));
        read_delete_ranges(in_.rest(), deletes_);
        unite_ranges(deletes_);
        put_deletes();
    }

    // The counts of clients and of ranges; of an open block that of structs, client and clock.
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
        cuts_ = Rest{s, s.values()};
        cut();
    }

    [[nodiscard]] static bool may_be_cut(const Struct& s) noexcept {
        return s.len > 1 &&
               (s.kind() == ref::string || s.kind() == ref::json || s.kind() == ref::any);
    }

    /// The next part. Nothing behind it is read or copied, however much there is.
    void cut() {
        Rest& rest = *cuts_;
        if (rest.off != 0) {
            end_piece();
            open({rest.whole.client, rest.whole.clock + rest.off});
        }
        const Bytes head = rest.head();
        const Part part = fitting(rest, left() - std::min(left(), head.size() + 8));
        Bytes& out = writer_.out();
        append(out, head);
        append_varuint(out, rest.whole.kind() == ref::string ? part.bytes : part.units);
        append(out, rest.values.first(part.bytes));
        writer_.wrote_struct();
        rest.values = rest.values.subspan(part.bytes);
        rest.off += part.units;
        if (rest.len() == 0) cuts_.reset();
    }

    struct Part {
        std::uint64_t units = 0;
        std::size_t bytes = 0;
    };
    /// As much as there is room for, at least one character or value; never half a pair.
    [[nodiscard]] static Part fitting(const Rest& rest, std::size_t room) noexcept {
        const BytesView values = rest.values;
        if (values.size() <= room) return {rest.len(), values.size()};
        if (rest.whole.kind() == ref::string) {
            const std::string_view text = as_text(values);
            std::size_t bytes = room;
            while (bytes > 0 && (static_cast<unsigned char>(text[bytes]) & 0xC0) == 0x80) --bytes;
            if (bytes == 0) bytes = ::belay::detail::utf8_character(text.data(), text.size());
            return {::belay::detail::utf16_units(text.substr(0, bytes)), bytes};
        }
        Part part;
        while (part.units < rest.len()) {
            const BytesView behind = after_values(rest.whole, values.subspan(part.bytes), 1);
            const std::size_t bytes = values.size() - behind.size();
            if (part.units > 0 && bytes > room) break;
            part = {part.units + 1, bytes};
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
    std::uint64_t blocks_;       ///< whose heads are not read yet
    std::uint64_t structs_ = 0;  ///< of this block
    Id at_;                      ///< of the next of them
    std::size_t room_;
    UpdateWriter writer_;
    std::deque<Bytes> pieces_;
    std::optional<Rest> cuts_;
    std::vector<DeleteRange> deletes_;
    bool any_ = false;
    bool over_ = false;
    std::uint64_t gap_ = 0;
    bool opened_ = false;
};

}  // namespace belay::inline BELAY_ABI::yjs::detail
