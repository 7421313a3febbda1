// SPDX-License-Identifier: MIT
/// \file belay/yjs/detail/yjs_overlap.hpp
/// Overlap: decides whether two structs that claim the same clocks have the same content.
#pragma once

#include <algorithm>    // std::equal, std::min
#include <cstdint>      // std::uint64_t
#include <string_view>  // std::string_view
#include <utility>      // std::exchange

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

}}}  // namespace belay::yjs::detail
