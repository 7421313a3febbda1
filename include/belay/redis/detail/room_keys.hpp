// SPDX-License-Identifier: MIT
/// \file belay/redis/detail/room_keys.hpp
/// The format of rooms in Redis: keys, and entry ids as positions.
#pragma once

#include <charconv>      // std::from_chars
#include <cstdint>       // std::uint64_t
#include <optional>      // std::optional
#include <string>        // std::string
#include <string_view>   // std::string_view
#include <system_error>  // std::errc

#include <belay/core/assert.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The keys of a room. All contain its id in braces, so they are in one slot of a cluster.
struct RedisRoomKeys {
    RedisRoomKeys(const std::string& prefix, std::string_view id) {
        std::string tag = prefix + ":{";
        constexpr char digits[] = "0123456789abcdef";
        for (const char c : id) {
            // A brace in the id would end the tag.
            if (c != '{' && c != '}' && c != '%') {
                tag += c;
                continue;
            }
            const auto byte = static_cast<unsigned char>(c);
            tag += {'%', digits[byte >> 4U], digits[byte & 15U]};
        }
        tag += '}';
        updates = tag + ":updates";
        room = tag + ":room";
        snapshot = tag + ":snapshot";
        channel = tag + ":channel";
    }
    std::string updates{};
    std::string room{};
    std::string snapshot{};
    std::string channel{};
};

/// The number of bits of an entry's sequence number. A position is an entry's id as one number of
/// the same order. It has 43 bits of milliseconds, and 20 bits of sequence number.
inline constexpr unsigned redis_sequence_bits = 20;

/// Returns nothing if `id` is not one that a clock gives before the year 2248.
[[nodiscard]] inline std::optional<std::uint64_t> redis_position(std::string_view id) noexcept {
    const char* const end = id.data() + id.size();
    std::uint64_t time = 0;
    std::uint64_t sequence = 0;
    const auto first = std::from_chars(id.data(), end, time);
    if (first.ec != std::errc{} || first.ptr == end || *first.ptr != '-') return std::nullopt;
    const auto second = std::from_chars(first.ptr + 1, end, sequence);
    if (second.ec != std::errc{} || second.ptr != end) return std::nullopt;
    if (time >> (63 - redis_sequence_bits) != 0 || sequence >> redis_sequence_bits != 0)
        return std::nullopt;
    return time << redis_sequence_bits | sequence;
}
[[nodiscard]] inline std::string redis_entry_id(std::uint64_t position) {
    constexpr std::uint64_t mask = (std::uint64_t{1} << redis_sequence_bits) - 1;
    return std::to_string(position >> redis_sequence_bits) + '-' + std::to_string(position & mask);
}

}}}  // namespace belay::detail
