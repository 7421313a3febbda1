// SPDX-License-Identifier: MIT
/// \file belay/core/bytes.hpp
/// Bytes and BytesView: what journals store and what byte transports carry. no_limit: the value of
/// an option or a capacity that has no limit.
#pragma once

#include <concepts>     // std::convertible_to, std::same_as, std::unsigned_integral
#include <cstddef>      // std::byte
#include <cstdint>      // std::uint8_t
#include <span>         // std::span
#include <string_view>  // std::string_view
#include <vector>       // std::vector

#include <belay/core/assert.hpp>

#if defined(__GNUC__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#    define BELAY_DETAIL_LITTLE_ENDIAN 1
#endif

namespace belay { inline namespace BELAY_ABI {

/// A byte buffer that owns its contents.
using Bytes = std::vector<std::byte>;
/// A view of bytes that another object owns.
using BytesView = std::span<const std::byte>;

/// The value of a limit that does not limit: the largest std::size_t.
inline constexpr std::size_t no_limit = static_cast<std::size_t>(-1);

/// Returns the bytes of a text. The text must outlive the view.
[[nodiscard]] inline BytesView as_bytes(std::string_view text) noexcept {
    return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

/// Returns the text that bytes hold. The bytes must outlive the view.
[[nodiscard]] inline std::string_view as_text(BytesView bytes) noexcept {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// Returns a copy of bytes that another object owns.   Throws: std::bad_alloc.
[[nodiscard]] inline Bytes to_bytes(BytesView bytes) {
    return Bytes(bytes.data(), bytes.data() + bytes.size());
}

/// Returns a copy of the bytes of a text.   Throws: std::bad_alloc.
[[nodiscard]] inline Bytes to_bytes(std::string_view text) { return to_bytes(as_bytes(text)); }

namespace detail {
/// A text where bytes are stored or sent.
template <class T, class M>
concept TextForBytes = std::same_as<M, Bytes> && std::convertible_to<const T&, std::string_view> &&
                       !std::convertible_to<const T&, const M&>;
}  // namespace detail

/// Reads an unsigned integer in little-endian order, independent of the machine's own order.
///
/// Pre: `from` points to at least sizeof(T) bytes.   Errors: none.
template <std::unsigned_integral T>
[[nodiscard]] constexpr T load_le(const std::byte* from) noexcept {
    T value = 0;
#if defined(BELAY_DETAIL_LITTLE_ENDIAN)
    // GCC 12 does not always recognise that the loop is one load.
    if (!__builtin_is_constant_evaluated()) {
        __builtin_memcpy(&value, from, sizeof(T));
        return value;
    }
#endif
    for (std::size_t i = 0; i < sizeof(T); ++i) {
        value = static_cast<T>(value | static_cast<T>(static_cast<T>(from[i]) << (8 * i)));
    }
    return value;
}

/// Writes an unsigned integer in little-endian order, independent of the machine's own order.
///
/// Pre: `to` points to space for at least sizeof(T) bytes.   Errors: none.
template <std::unsigned_integral T>
constexpr void store_le(std::byte* to, T value) noexcept {
#if defined(BELAY_DETAIL_LITTLE_ENDIAN)
    if (!__builtin_is_constant_evaluated()) {
        __builtin_memcpy(to, &value, sizeof(T));
        return;
    }
#endif
    for (std::size_t i = 0; i < sizeof(T); ++i) {
        to[i] = static_cast<std::byte>(static_cast<std::uint8_t>(value >> (8 * i)));
    }
}

}}  // namespace belay

#undef BELAY_DETAIL_LITTLE_ENDIAN
