// SPDX-License-Identifier: MIT
/// \file belay/yjs/lib0.hpp
/// Lib0Reader: reads the primitives of lib0, in which Yjs and its protocols are written.
#pragma once

#include <cstddef>      // std::size_t
#include <cstdint>      // std::uint64_t
#include <string_view>  // std::string_view
#include <utility>      // std::exchange

#include <belay/core/bytes.hpp>
#include <belay/core/detail/utf8.hpp>
#include <belay/yjs/yjs_error.hpp>

namespace belay { inline namespace BELAY_ABI { namespace yjs {

/// The largest number that lib0 writes, 2^53 - 1, up to which JavaScript numbers are exact.
inline constexpr std::uint64_t varuint_max = (std::uint64_t{1} << 53) - 1;
/// The deepest nesting of values that is ever read, which bounds the use of the stack.
inline constexpr std::size_t nesting_ceiling = 512;

/// Appends a number, 7 bits to a byte, the low bits first.   Pre: value <= varuint_max.
inline void append_varuint(Bytes& out, std::uint64_t value) {
    BELAY_PRECONDITION(value <= varuint_max, "append_varuint: the value must be <= 2^53 - 1");
    for (; value >= 0x80; value >>= 7) out.push_back(static_cast<std::byte>(value | 0x80));
    out.push_back(static_cast<std::byte>(value));
}

/// Appends a length, and then the bytes.
///
/// lib0 calls this a varBytes, and a varString if the bytes are UTF-8.
inline void append_varbytes(Bytes& out, BytesView bytes) {
    append_varuint(out, bytes.size());
    out.insert(out.end(), bytes.begin(), bytes.end());
}

/// Reads what lib0 writes, from bytes that another object owns.
///
/// After the first error everything that is read is empty or 0, and `at_end()` is true. A reader of
/// many fields therefore checks once, at the end. A loop over a count that was read must check
/// `failed()` in every iteration, because the peer chose the count.
///
/// Thread safety: distinct objects safe.
/// Throws: nothing.   Allocates: never.
/// Source:        lib0:encoding.js, decoding.js.
class Lib0Reader {
public:
    explicit Lib0Reader(BytesView bytes) noexcept
        : begin_{bytes.data()}, at_{begin_}, end_{begin_ + bytes.size()} {}

    /// Returns whether there was an error.
    [[nodiscard]] bool failed() const noexcept { return what_ != nullptr; }
    /// Returns a description of the first error; null if there was none.
    [[nodiscard]] const char* what() const noexcept { return what_; }
    /// Returns the code of the first error: `malformed_update`, unless `fail` was given another
    /// one.
    [[nodiscard]] YjsErrc error() const noexcept { return error_; }
    /// Returns the offset of the next byte, or of the first error.
    [[nodiscard]] std::size_t offset() const noexcept {
        return static_cast<std::size_t>((failed() ? failed_at_ : at_) - begin_);
    }
    /// Returns whether nothing is left to read.
    [[nodiscard]] bool at_end() const noexcept { return at_ == end_; }
    /// Returns how many bytes are left to read.
    [[nodiscard]] std::size_t left() const noexcept { return static_cast<std::size_t>(end_ - at_); }
    /// Returns the position of the next byte.
    [[nodiscard]] const std::byte* position() const noexcept { return at_; }
    /// Returns the bytes that are left to read.
    [[nodiscard]] BytesView rest() const noexcept { return {at_, end_}; }

    /// Records an error at `at`, a position that was read before, unless there is an error already.
    void fail(const char* what, const std::byte* at,
              YjsErrc error = YjsErrc::malformed_update) noexcept {
        if (failed()) return;
        what_ = what;
        error_ = error;
        failed_at_ = at;
        at_ = end_;
    }

    /// Reads one byte.
    std::uint8_t byte() noexcept {
        if (at_ == end_) return fail("the bytes end too early", at_), std::uint8_t{0};
        return static_cast<std::uint8_t>(*at_++);
    }

    /// Reads a number up to 2^53 - 1, in at most 8 bytes.
    std::uint64_t varuint() noexcept {
        if (at_ != end_ && static_cast<std::uint8_t>(*at_) < 0x80) {
            return static_cast<std::uint8_t>(*at_++);
        }
        return long_number(7);
    }

    /// Reads a length and as many bytes. A length beyond the end is an error; nothing is allocated.
    BytesView varbytes() noexcept {
        const std::byte* const start = at_;
        const std::uint64_t n = varuint();
        if (n > left()) return fail("a length goes beyond the end", start), BytesView{};
        const BytesView bytes{at_, static_cast<std::size_t>(n)};
        at_ += n;
        return bytes;
    }

    /// Reads a text: `varbytes` that must be UTF-8, as strictly as a browser reads it.
    std::string_view varstring() noexcept {
        const std::byte* const start = at_;
        const std::string_view text = as_text(varbytes());
        if (!::belay::detail::is_utf8(text)) return fail("a text is not UTF-8", start), "";
        return text;
    }

    /// Skips one value of any kind, which is a tag and its content. Rejects unknown tags, and
    /// values that are nested deeper than `nesting_max`.
    ///
    /// Pre: nesting_max <= nesting_ceiling.   Complexity: O(bytes of the value).
    void skip_any(std::size_t nesting_max = nesting_ceiling) noexcept {
        BELAY_PRECONDITION(nesting_max <= nesting_ceiling,
                           "Lib0Reader::skip_any: nesting_max must be <= nesting_ceiling");
        const std::byte* const start = at_;
        switch (byte()) {
            case 127:  // undefined
            case 126:  // null
            case 121:  // false
            case 120:  // true
                return;
            case 125:
                return static_cast<void>(long_number(6));  // the first byte has the sign
            case 124:                                      // float32
                return skip(4);
            case 123:  // float64
            case 122:  // int64
                return skip(8);
            case 119:
                return static_cast<void>(varstring());
            case 118:
                return skip_members(nesting_max, true);
            case 117:
                return skip_members(nesting_max, false);
            case 116:
                return static_cast<void>(varbytes());
            default:
                return fail("a value has an unknown tag", start);
        }
    }

private:
    /// Reads a number whose first byte holds `bits` bits of it; the others hold 7.
    std::uint64_t long_number(unsigned bits) noexcept {
        const std::byte* const start = at_;
        std::uint64_t value = 0;
        for (unsigned shift = 0; shift < 56; shift += std::exchange(bits, 7U)) {
            if (at_ == end_) return fail("the bytes end too early", at_), 0;
            const auto b = static_cast<std::uint8_t>(*at_++);
            value |= static_cast<std::uint64_t>(b & ((1U << bits) - 1)) << shift;
            if (b < 0x80) {
                if (value > varuint_max) break;
                return value;
            }
        }
        return fail("a number is larger than 2^53 - 1", start), 0;
    }

    void skip(std::size_t bytes) noexcept {
        if (bytes > left()) return fail("the bytes end too early", end_);
        at_ += bytes;
    }

    void skip_members(std::size_t nesting_max, bool named) noexcept {
        const std::byte* const start = at_;
        if (nesting_max == 0) {
            return fail("values are nested too deeply", start, YjsErrc::update_too_large);
        }
        const std::uint64_t count = varuint();
        for (std::uint64_t i = 0; i < count && !failed(); ++i) {
            if (named) varstring();
            skip_any(nesting_max - 1);
        }
    }

    const std::byte* begin_;
    const std::byte* at_;
    const std::byte* end_;
    const std::byte* failed_at_ = nullptr;
    const char* what_ = nullptr;
    YjsErrc error_ = YjsErrc::malformed_update;
};

}}}  // namespace belay::yjs
