// SPDX-License-Identifier: MIT
/// \file belay/room/detail/packed_parts.hpp
/// packed_parts: the parts of a snapshot as one value of a database.
#pragma once

#include <cstddef>   // std::byte, std::ptrdiff_t, std::size_t
#include <cstdint>   // std::uint32_t
#include <optional>  // std::nullopt, std::optional
#include <span>      // std::span
#include <string>    // std::string
#include <vector>    // std::vector

#include <belay/core/bytes.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Returns the parts as one value, each after its length.
[[nodiscard]] inline std::string packed_parts(std::span<const Bytes> parts) {
    std::string all;
    for (const Bytes& part : parts) {
        std::byte size[4];
        store_le(size, static_cast<std::uint32_t>(part.size()));
        all += as_text(size);
        all += as_text(part);
    }
    return all;
}
/// Returns nothing if the value is damaged.
[[nodiscard]] inline std::optional<std::vector<Bytes>> unpacked_parts(BytesView all) {
    std::vector<Bytes> parts;
    while (!all.empty()) {
        if (all.size() < 4) return std::nullopt;
        const std::size_t size = load_le<std::uint32_t>(all.data());
        all = all.subspan(4);
        if (size > all.size()) return std::nullopt;
        parts.emplace_back(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(size));
        all = all.subspan(size);
    }
    return parts;
}

}}}  // namespace belay::detail
