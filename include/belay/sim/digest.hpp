// SPDX-License-Identifier: MIT
/// \file belay/sim/digest.hpp
/// sim::Digest: a hash of all that a state machine decides by.
#pragma once

#include <concepts>     // std::integral
#include <cstddef>      // std::size_t
#include <cstdint>      // std::uint64_t
#include <string_view>  // std::string_view
#include <type_traits>  // std::is_enum_v

#include <belay/core/bytes.hpp>
#include <belay/core/instant.hpp>
#include <belay/core/random.hpp>

namespace belay { inline namespace BELAY_ABI { namespace sim {

/// Identifies a state for sim::exhaust, by the numbers that it is given, in their order.
///
/// Give it each field that can change what happens later, and the size of each list before its
/// elements. Give times as what is left of them, or equal states look different.
///
/// Thread safety: distinct objects safe.   Complexity: O(1) for each number.
class Digest {
public:
    template <class T>
        requires(std::integral<T> || std::is_enum_v<T>)
    void operator()(T value) noexcept {
        value_ = belay::detail::mix64(value_ * 31 + static_cast<std::uint64_t>(value) + 1);
    }
    void operator()(Duration d) noexcept { (*this)(d.count()); }
    /// Adds the time that is left until `t`. All times in the past are equal.
    void operator()(Instant now, Instant t) noexcept { (*this)(part::time_left(now, t)); }
    void operator()(BytesView bytes) noexcept {
        (*this)(bytes.size());
        std::size_t at = 0;
        for (; bytes.size() - at >= 8; at += 8) (*this)(load_le<std::uint64_t>(bytes.data() + at));
        for (; at < bytes.size(); ++at) (*this)(bytes[at]);
    }
    void operator()(std::string_view text) noexcept { (*this)(as_bytes(text)); }
    /// Rejects a pointer, which would be taken for a bool.
    template <class T>
    void operator()(T* pointer) = delete;

    /// Returns the hash of all that was given so far.
    [[nodiscard]] std::uint64_t value() const noexcept { return value_; }

private:
    std::uint64_t value_ = 0x6265'6c61'79;
};

}}}  // namespace belay::sim
