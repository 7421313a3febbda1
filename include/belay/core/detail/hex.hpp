// SPDX-License-Identifier: MIT
/// \file belay/core/detail/hex.hpp
/// hex_of, bytes_of_hex, hex_value: bytes as hexadecimal digits, and back.
#pragma once

#include <cstddef>      // std::byte
#include <optional>     // std::optional
#include <string>       // std::string
#include <string_view>  // std::string_view

#include <belay/core/bytes.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

inline constexpr std::string_view hex_digits = "0123456789abcdef";

/// Appends the two digits of a byte.   Throws: std::bad_alloc.
inline void append_hex(std::string& text, std::byte b) {
    const auto value = std::to_integer<unsigned>(b);
    text += {hex_digits[value >> 4U], hex_digits[value & 15U]};
}
/// Returns the digits of bytes, "6162" for "ab".   Throws: std::bad_alloc.
[[nodiscard]] inline std::string hex_of(BytesView bytes) {
    std::string text;
    text.reserve(2 * bytes.size());
    for (const std::byte b : bytes) append_hex(text, b);
    return text;
}
/// Returns the bytes of a text that hex_of returned; nothing for any other text.
/// Throws: std::bad_alloc.
[[nodiscard]] inline std::optional<Bytes> bytes_of_hex(std::string_view text) {
    if (text.size() % 2 != 0) return std::nullopt;
    Bytes bytes;
    for (std::size_t i = 0; i < text.size(); i += 2) {
        const std::size_t high = hex_digits.find(text[i]);
        const std::size_t low = hex_digits.find(text[i + 1]);
        if (high == hex_digits.npos || low == hex_digits.npos) return std::nullopt;
        bytes.push_back(static_cast<std::byte>(high * 16 + low));
    }
    return bytes;
}
/// Returns the value of a digit in lower or upper case; negative if it is none.
[[nodiscard]] constexpr int hex_value(char c) noexcept {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

}}}  // namespace belay::detail
