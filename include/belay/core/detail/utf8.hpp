// SPDX-License-Identifier: MIT
/// \file belay/core/detail/utf8.hpp
/// UTF-8: whether a text is UTF-8, its length in UTF-16 units, and where a number of units ends.
#pragma once

#include <algorithm>    // std::min
#include <cstddef>      // std::size_t
#include <cstdint>      // std::uint64_t
#include <cstring>      // std::memcpy
#include <string_view>  // std::string_view

#include <belay/core/assert.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Returns how many of the bytes at the beginning are ASCII, reading eight at a time.
[[nodiscard]] inline std::size_t ascii_prefix(const char* text, std::size_t size) noexcept {
    std::size_t i = 0;
    for (; i + 8 <= size; i += 8) {
        std::uint64_t word = 0;
        std::memcpy(&word, text + i, 8);
        if ((word & 0x8080808080808080U) != 0) break;
    }
    while (i < size && static_cast<unsigned char>(text[i]) < 0x80) ++i;
    return i;
}

/// Returns the number of bytes of the UTF-8 character that begins here; 0 if none does.
///
/// It is as strict as the Encoding Standard: it accepts neither surrogates nor overlong forms.
[[nodiscard]] inline std::size_t utf8_character(const char* text, std::size_t size) noexcept {
    const auto at = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    const auto follows = [&](std::size_t i, unsigned low = 0x80, unsigned high = 0xBF) {
        return i < size && at(i) >= low && at(i) <= high;
    };
    const unsigned first = at(0);
    if (first < 0x80) return 1;
    if (first < 0xC2 || first > 0xF4) return 0;
    if (first < 0xE0) return follows(1) ? 2 : 0;
    if (first < 0xF0) {
        const unsigned low = first == 0xE0 ? 0xA0 : 0x80;
        const unsigned high = first == 0xED ? 0x9F : 0xBF;
        return follows(1, low, high) && follows(2) ? 3 : 0;
    }
    const unsigned low = first == 0xF0 ? 0x90 : 0x80;
    const unsigned high = first == 0xF4 ? 0x8F : 0xBF;
    return follows(1, low, high) && follows(2) && follows(3) ? 4 : 0;
}

/// Returns whether a text is UTF-8.   Complexity: O(size).
[[nodiscard]] inline bool is_utf8(std::string_view text) noexcept {
    for (std::size_t i = 0;;) {
        i += ascii_prefix(text.data() + i, text.size() - i);
        if (i == text.size()) return true;
        const std::size_t n = utf8_character(text.data() + i, text.size() - i);
        if (n == 0) return false;
        i += n;
    }
}

/// Returns how many UTF-16 units a UTF-8 text has.   Complexity: O(size).
[[nodiscard]] inline std::size_t utf16_units(std::string_view text) noexcept {
    // A character is counted by its first byte; one of four bytes is a pair of units. The loop
    // reads eight bytes at a time, because each read of a document passes all of its text here.
    constexpr std::uint64_t ones = 0x0101010101010101U;
    std::size_t units = 0;
    std::size_t i = 0;
    while (text.size() - i >= 8) {
        // Each byte of a sum counts its own column of the words. The total of all eight must fit
        // into one byte.
        const std::size_t words = std::min<std::size_t>((text.size() - i) / 8, 31);
        std::uint64_t following = 0;
        std::uint64_t pairs = 0;
        for (const std::size_t end = i + words * 8; i != end; i += 8) {
            std::uint64_t word = 0;
            std::memcpy(&word, text.data() + i, 8);
            following += (word >> 7) & ~(word >> 6) & ones;
            pairs += (word >> 7) & (word >> 6) & (word >> 5) & (word >> 4) & ones;
        }
        units += words * 8 + static_cast<std::size_t>((pairs * ones) >> 56) -
                 static_cast<std::size_t>((following * ones) >> 56);
    }
    for (; i != text.size(); ++i) {
        const auto b = static_cast<unsigned char>(text[i]);
        units += static_cast<std::size_t>((b & 0xC0) != 0x80) + static_cast<std::size_t>(b >= 0xF0);
    }
    return units;
}

/// The place at which the first `units` UTF-16 units of a UTF-8 text end.
struct Utf16Cut {
    std::size_t bytes = 0;   ///< of whole characters; a pair that is cut in half is included
    bool cuts_pair = false;  ///< the cut is inside a surrogate pair
};

/// Returns where the first `units` units of a text end.
/// Pre: the text is UTF-8 with at least so many units.   Complexity: O(units).
[[nodiscard]] inline Utf16Cut cut_utf16(std::string_view text, std::uint64_t units) noexcept {
    std::size_t i = 0;
    // No character has more units than bytes. So the last of these bytes is not after the cut, and
    // its characters are counted at once, because a slow client can need a cut of a long text.
    while (units >= 8 && text.size() - i >= 8) {
        std::size_t end =
            i + static_cast<std::size_t>(std::min<std::uint64_t>(units, text.size() - i));
        while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
        units -= utf16_units(text.substr(i, end - i));
        i = end;
    }
    while (units > 0 && i < text.size()) {
        const auto first = static_cast<unsigned char>(text[i]);
        const bool pair = first >= 0xF0;
        i += first < 0x80 ? 1 : first < 0xE0 ? 2 : pair ? 4 : 3;
        if (pair && units == 1) return {i, true};
        units -= pair ? 2 : 1;
    }
    return {i, false};
}

}}}  // namespace belay::detail
