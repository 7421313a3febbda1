// SPDX-License-Identifier: MIT
/// \file tests/support/hex.hpp
/// Bytes as hexadecimal text and back, for golden values.
#pragma once

#include <string>
#include <string_view>

#include <belay/core/bytes.hpp>

namespace belay_test {

inline std::string to_hex(belay::BytesView bytes) {
    static constexpr char digits[] = "0123456789abcdef";
    std::string text;
    for (const std::byte b : bytes) {
        text += digits[static_cast<unsigned>(b) >> 4U];
        text += digits[static_cast<unsigned>(b) & 15U];
    }
    return text;
}

inline belay::Bytes from_hex(std::string_view text) {
    const auto value = [](char c) {
        return static_cast<unsigned>(c <= '9' ? c - '0' : c - 'a' + 10);
    };
    belay::Bytes bytes;
    for (std::size_t i = 0; i + 1 < text.size(); i += 2) {
        bytes.push_back(static_cast<std::byte>(value(text[i]) * 16 + value(text[i + 1])));
    }
    return bytes;
}

}  // namespace belay_test
