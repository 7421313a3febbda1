// SPDX-License-Identifier: MIT
/// \file belay/journal/id.hpp
/// Id: sixteen bytes that name a journal or a store, and are never reused.
#pragma once

#include <array>    // std::array
#include <cstddef>  // std::byte
#include <cstdint>  // std::uint64_t

#include <belay/core/bytes.hpp>
#include <belay/core/random.hpp>

namespace belay { inline namespace BELAY_ABI {

/// The name of a journal or a store. It is random, but not a secret.
using Id = std::array<std::byte, 16>;

/// The value for no id, for example the store of a journal that is pinned to none.
inline constexpr Id no_id{};

namespace detail {
/// Returns whether this is no_id. The comparison of arrays looks at each byte alone.
[[nodiscard]] constexpr bool is_no_id(const Id& id) noexcept {
    return (load_le<std::uint64_t>(id.data()) | load_le<std::uint64_t>(id.data() + 8)) == 0;
}
}  // namespace detail

/// Makes a fresh id, which is never `no_id`.
///
/// Errors: none.   Complexity: O(1); draws 128 bits, and again with probability 2^-128.
template <part::BitSource Bits>
[[nodiscard]] constexpr Id make_id(Bits& bits) noexcept {
    Id id{};
    while (detail::is_no_id(id)) {
        store_le<std::uint64_t>(id.data(), bits());
        store_le<std::uint64_t>(id.data() + 8, bits());
    }
    return id;
}

}}  // namespace belay
