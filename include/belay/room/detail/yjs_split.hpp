// SPDX-License-Identifier: MIT
/// \file belay/room/detail/yjs_split.hpp
/// Splitter: cuts an update into pieces that fit into messages.
#pragma once

#include <cstddef>  // std::size_t
#include <cstdint>  // std::uint64_t
#include <span>     // std::span
#include <vector>   // std::vector

#include <belay/room/detail/yjs_merge.hpp>

namespace belay::inline BELAY_ABI::yjs::detail {

class Splitter {
public:
    Splitter(Sources& sources, std::size_t piece_bytes_max) noexcept
        : sources_{sources}, room_{piece_bytes_max - frame_bytes} {}

    [[nodiscard]] std::vector<Bytes> run() {
        sources_.sort_blocks();
        for (Block block : sources_.blocks) {
            while (block.structs > 0) put(sources_.take(block));
            if (std::exchange(opened_, false)) writer_.end_block();
            gap_ = 0;
        }
        end_piece();
        unite_ranges(sources_.deletes);
        put_deletes();
        return std::move(pieces_);
    }

private:
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
        if (writer_.blocks() > 0) pieces_.push_back(writer_.finish({}));
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
        cut(s);
    }

    [[nodiscard]] static bool may_be_cut(const Struct& s) noexcept {
        return s.len > 1 &&
               (s.kind() == ref::string || s.kind() == ref::json || s.kind() == ref::any);
    }

    // The left part keeps the head; the right parts say that they follow.
    void cut(const Struct& whole) {
        Bytes slice;
        Struct s = whole;
        for (;;) {
            const std::uint64_t units = fitting_units(s);
            put_left(s, units);
            if (units == s.len) return;
            Bytes next;
            append_slice(next, s, units);
            end_piece();
            slice = std::move(next);
            Lib0Reader in{slice};
            s = StructReader<false>{in, nesting_ceiling}.read({s.client, s.clock + units});
            open({s.client, s.clock});
        }
    }

    /// As many units as there is room for, at least one character or value; never half a pair.
    [[nodiscard]] std::uint64_t fitting_units(const Struct& s) const noexcept {
        const std::size_t head = s.head().size() + 1 + 8;
        const std::size_t room = left() - std::min(left(), head);
        if (s.values().size() <= room) return s.len;
        if (s.kind() == ref::string) {
            const std::string_view text = as_text(s.values());
            std::size_t bytes = room;
            while (bytes > 0 && (static_cast<unsigned char>(text[bytes]) & 0xC0) == 0x80) --bytes;
            if (bytes == 0) bytes = ::belay::detail::utf8_character(text.data(), text.size());
            return ::belay::detail::utf16_units(text.substr(0, bytes));
        }
        BytesView rest = s.values();
        std::uint64_t units = 0;
        while (units < s.len) {
            rest = after_values(s, rest, 1);
            if (units > 0 && s.values().size() - rest.size() > room) break;
            ++units;
        }
        return units;
    }

    void put_left(const Struct& s, std::uint64_t units) {
        if (units == s.len) return writer_.put(s);
        Bytes& out = writer_.out();
        out.push_back(static_cast<std::byte>(s.written_info()));
        append(out, s.head());
        BytesView values = s.values();
        if (s.kind() == ref::string) {
            values = values.first(::belay::detail::cut_utf16(as_text(values), units).bytes);
            append_varuint(out, values.size());
        } else {
            values = values.first(values.size() - after_values(s, values, units).size());
            append_varuint(out, units);
        }
        append(out, values);
        writer_.wrote_struct();
    }

    void put_deletes() {
        const std::size_t most = std::max<std::size_t>(room_ / range_bytes, 1);
        std::span<const DeleteRange> ranges{sources_.deletes};
        while (!ranges.empty()) {
            const std::size_t n = std::min(most, ranges.size());
            pieces_.push_back(UpdateWriter{}.finish(ranges.first(n)));
            ranges = ranges.subspan(n);
        }
        if (pieces_.empty()) pieces_.push_back(UpdateWriter{}.finish({}));
    }

    Sources& sources_;
    std::size_t room_;
    UpdateWriter writer_;
    std::vector<Bytes> pieces_;
    std::uint64_t gap_ = 0;
    bool opened_ = false;
};

}  // namespace belay::inline BELAY_ABI::yjs::detail
