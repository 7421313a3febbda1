// SPDX-License-Identifier: MIT
/// \file belay/json/detail/json_cost.hpp
/// json_cost: why a JSON text must not be parsed, and the memory of its values.
#pragma once

#include <cstddef>      // std::size_t
#include <string_view>  // std::string_view

#include <belay/core/assert.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The cost of a JSON text.
struct JsonCost {
    bool too_deep = false;
    /// nlohmann/json takes a NUL byte for the end of the text, and ignores the rest.
    bool has_nul = false;
    /// At least what its values take, including an array of them that grows.
    std::size_t bytes = 0;
};

/// Computes the cost before parsing, because the parser has no limit for it.
[[nodiscard]] inline JsonCost json_cost(std::string_view text, std::size_t depth_max) noexcept {
    // A node of std::map, the allocation of a value, and its place in a growing array. Each
    // includes the overhead of an allocator.
    constexpr std::size_t member = 112, container = 80, string = 48, place = 48;
    JsonCost cost{.bytes = text.size() + place};
    std::size_t depth = 0;
    bool quoted = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (c == '\0') return {false, true, cost.bytes};
        if (c == '"') {
            quoted = !quoted;
            if (quoted) cost.bytes += string;
        }
        if (quoted) {
            if (c == '\\' && i + 1 < text.size() && text[i + 1] != '\0') ++i;
        } else if (c == '[' || c == '{') {
            if (++depth > depth_max) return {true, false, cost.bytes};
            cost.bytes += container;
        } else if (c == ',') {
            cost.bytes += place;
        } else if (c == ':') {
            cost.bytes += member;
        } else if ((c == ']' || c == '}') && depth != 0) {
            --depth;
        }
    }
    return cost;
}
}}}  // namespace belay::detail
