// SPDX-License-Identifier: MIT
/// \file belay/openssl/detail/jwt_text.hpp
/// The parts of a JSON Web Token: base64url, JSON objects, and their values.
#pragma once

#include <optional>     // std::optional
#include <string>       // std::string
#include <string_view>  // std::string_view

#include <belay/core/instant.hpp>
#include <belay/openssl/detail/jwt_json.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Decodes base64 for URLs, without padding (RFC 7515, section 2). Unused bits must be 0, so that
/// each sequence of bytes has only one text.
[[nodiscard]] inline std::optional<std::string> from_base64url(std::string_view text) {
    constexpr std::string_view digits =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    if (text.size() % 4 == 1) return std::nullopt;
    std::string out;
    out.reserve(text.size() * 3 / 4);
    unsigned bits = 0;
    unsigned count = 0;
    for (const char c : text) {
        const auto value = digits.find(c);
        if (value == std::string_view::npos) return std::nullopt;
        bits = bits << 6U | static_cast<unsigned>(value);
        if ((count += 6) >= 8) {
            count -= 8;
            out += static_cast<char>(static_cast<unsigned char>(bits >> count));
            bits &= (1U << count) - 1;
        }
    }
    return bits == 0 ? std::optional{std::move(out)} : std::nullopt;
}

/// The three parts, and the signed text: the first two with the dot between them.
struct JwtParts {
    std::string_view header;
    std::string_view payload;
    std::string_view signature;
    std::string_view signed_part;

    [[nodiscard]] static std::optional<JwtParts> of(std::string_view token) noexcept {
        const auto first = token.find('.');
        const auto last = token.rfind('.');
        if (first == std::string_view::npos || first == last) return std::nullopt;
        JwtParts parts{token.substr(0, first), token.substr(first + 1, last - first - 1),
                       token.substr(last + 1), token.substr(0, last)};
        if (parts.payload.find('.') != std::string_view::npos) return std::nullopt;
        return parts;
    }
};

/// Converts seconds since 1970, which need not be whole (RFC 7519, section 2). A time beyond the
/// range of WallTime becomes its minimum or maximum.
[[nodiscard]] inline std::optional<WallTime> jwt_time(const JwtValue& value) {
    if (!value.is_number()) return std::nullopt;
    std::string_view text{value.text};
    const auto number = JwtNumber::read(text);
    if (!number) return std::nullopt;
    if (number->negative || number->digits.empty()) return WallTime{};
    constexpr std::int64_t most = 9'200'000'000;
    if (number->point > 10) return WallTime::max();
    const std::int64_t whole = number->point > 0 ? number->digits_from(0, number->point) : 0;
    if (whole >= most) return WallTime::max();
    return WallTime{std::chrono::seconds{whole} + Duration{number->digits_from(number->point, 9)}};
}

/// Whether `text` is a number in its only form: no sign, no leading zero, at most 2^63 - 1.
[[nodiscard]] inline bool is_strict_decimal(std::string_view text) noexcept {
    constexpr std::string_view most = "9223372036854775807";
    if (text.empty() || text.size() > most.size()) return false;
    for (const char c : text) {
        if (c < '0' || c > '9') return false;
    }
    if (text.front() == '0' && text.size() > 1) return false;
    return text.size() < most.size() || text <= most;
}

}}}  // namespace belay::detail
