// SPDX-License-Identifier: MIT
/// \file belay/metrics/detail/exposition.hpp
/// Names, labels and numbers in the text formats of Prometheus and OpenMetrics.
#pragma once

#include <cstddef>      // std::size_t
#include <cstdint>      // std::uint64_t
#include <string>       // std::string, std::to_string
#include <string_view>  // std::string_view

#include <belay/core/assert.hpp>

namespace belay { inline namespace BELAY_ABI { namespace metrics { namespace detail {

/// Returns the length of the UTF-8 sequence at the front of a text; 0 if it is none.
///
/// Overlong sequences, surrogates and numbers above U+10FFFF are none, as in Unicode's table 3-7.
[[nodiscard]] constexpr std::size_t utf8_length(std::string_view text) noexcept {
    const auto byte = [text](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    const unsigned first = byte(0);
    if (first < 0x80) return 1;
    if (first < 0xC2 || first > 0xF4) return 0;
    const std::size_t length = first < 0xE0 ? 2 : (first < 0xF0 ? 3 : 4);
    if (text.size() < length) return 0;
    const unsigned least = first == 0xE0 ? 0xA0 : (first == 0xF0 ? 0x90 : 0x80);
    const unsigned most = first == 0xED ? 0x9F : (first == 0xF4 ? 0x8F : 0xBF);
    if (byte(1) < least || byte(1) > most) return 0;
    for (std::size_t i = 2; i < length; ++i) {
        if (byte(i) < 0x80 || byte(i) > 0xBF) return 0;
    }
    return length;
}

/// Appends a text with the escapes of a label's value, or of a HELP line. Bytes that are not UTF-8
/// become U+FFFD, since one of them would make a collector reject everything. Prometheus rejects
/// an escaped quotation mark in a HELP line, and OpenMetrics requires it.
inline void append_escaped(std::string& out, std::string_view text, bool escapes_quotes = true) {
    while (!text.empty()) {
        const std::size_t length = utf8_length(text);
        if (length == 0) {
            out += "\xEF\xBF\xBD";
        } else if (text.front() == '\n') {
            out += "\\n";
        } else {
            const char c = text.front();
            if (c == '\\' || (c == '"' && escapes_quotes)) out += '\\';
            out += text.substr(0, length);
        }
        text.remove_prefix(length == 0 ? 1 : length);
    }
}

/// Appends a name of a metric, or of a label: characters that neither may have become `_`.
inline void append_name(std::string& out, std::string_view name) {
    for (const char c : name) {
        const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        const bool digit = c >= '0' && c <= '9';
        if (digit && out.empty()) out += '_';
        out += letter || digit ? c : '_';
    }
}

/// Returns `key="value"`, with the escapes that the formats require.
// NOLINTNEXTLINE(bugprone-easily-swappable-parameters): in the order of the text
[[nodiscard]] inline std::string label(std::string_view key, std::string_view value) {
    std::string out;
    append_name(out, key);
    out += "=\"";
    append_escaped(out, value);
    return out += '"';
}

/// Returns `value / per_unit` as a decimal number, independent of the locale.
///
/// Pre: per_unit is a power of ten.
[[nodiscard]] inline std::string decimal(std::uint64_t value, std::uint64_t per_unit) {
    std::string text = std::to_string(value / per_unit);
    if (value % per_unit == 0) return text;
    std::string fraction = std::to_string(per_unit + value % per_unit).substr(1);
    while (fraction.back() == '0') fraction.pop_back();
    return text += '.' + fraction;
}

}}}}  // namespace belay::metrics::detail
