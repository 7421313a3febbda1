// SPDX-License-Identifier: MIT
/// \file belay/journal/detail/siphash.hpp
/// siphash128: a hash whose collisions cannot be provoked without the key.
#pragma once

#include <bit>      // std::rotl
#include <cstdint>  // std::uint64_t

#include <belay/core/bytes.hpp>
#include <belay/journal/id.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// 128 bits; the first 64 are in `low`.
struct Hash128 {
    std::uint64_t low;
    std::uint64_t high;
};

/// SipHash-2-4 with 128 bits of output.
///
/// Errors: none.   Complexity: O(n), about a nanosecond for each byte.   Thread safety: any thread.
/// Source: J.-P. Aumasson, D. J. Bernstein, "SipHash: a fast short-input PRF" (2012), and the
///         128-bit variant of the authors' reference, whose vectors are in the test.
[[nodiscard]] constexpr Hash128 siphash128(const Id& key, BytesView text) noexcept {
    const std::uint64_t k0 = load_le<std::uint64_t>(key.data());
    const std::uint64_t k1 = load_le<std::uint64_t>(key.data() + 8);
    std::uint64_t a = k0 ^ 0x736F6D6570736575U;
    std::uint64_t b = k1 ^ 0x646F72616E646F6DU ^ 0xEEU;
    std::uint64_t c = k0 ^ 0x6C7967656E657261U;
    std::uint64_t d = k1 ^ 0x7465646279746573U;
    const auto rounds = [&](int count) {
        for (; count != 0; --count) {
            a += b;
            c += d;
            b = std::rotl(b, 13) ^ a;
            d = std::rotl(d, 16) ^ c;
            a = std::rotl(a, 32);
            c += b;
            a += d;
            b = std::rotl(b, 17) ^ c;
            d = std::rotl(d, 21) ^ a;
            c = std::rotl(c, 32);
        }
    };
    const std::byte* p = text.data();
    std::size_t left = text.size();
    for (; left >= 8; left -= 8, p += 8) {
        const std::uint64_t word = load_le<std::uint64_t>(p);
        d ^= word;
        rounds(2);
        a ^= word;
    }
    std::uint64_t word = static_cast<std::uint64_t>(text.size()) << 56;
    for (std::size_t i = 0; i < left; ++i) {
        word |= static_cast<std::uint64_t>(p[i]) << (8 * i);
    }
    d ^= word;
    rounds(2);
    a ^= word;
    c ^= 0xEEU;
    rounds(4);
    const std::uint64_t low = a ^ b ^ c ^ d;
    b ^= 0xDDU;
    rounds(4);
    return {low, a ^ b ^ c ^ d};
}

}}}  // namespace belay::detail
