// SPDX-License-Identifier: MIT
/// \file tests/support/core/crc_paths.hpp
/// crc_paths: every way in which this machine can compute a CRC32C, for comparison.
#pragma once

#include <cstdint>
#include <vector>

#include <belay/core/crc32c.hpp>

namespace belay_test {

struct CrcPath {
    const char* name;
    std::uint32_t (*of)(belay::BytesView bytes, std::uint32_t seed);
};

/// crc32c itself, the tables, and the other ways of the machine by name; the fastest is the last.
inline std::vector<CrcPath> crc_paths() {
    using belay::BytesView;
    namespace detail = belay::detail;
    std::vector<CrcPath> paths{
        {"crc32c", [](BytesView b, std::uint32_t seed) { return belay::part::crc32c(b, seed); }},
        {"portable", [](BytesView b, std::uint32_t seed) {
             return ~detail::crc32c_portable(~seed, b.data(), b.size());
         }}};
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2") != 0) {
        paths.push_back({"sse42", [](BytesView b, std::uint32_t seed) {
                             return ~detail::crc32c_sse42(~seed, b.data(), b.size());
                         }});
        if (__builtin_cpu_supports("pclmul") != 0) {
            paths.push_back({"pclmul", [](BytesView b, std::uint32_t seed) {
                                 return ~detail::crc32c_pclmul(~seed, b.data(), b.size());
                             }});
        }
    }
#elif defined(__AARCH64EL__) && (defined(__linux__) || defined(__ARM_FEATURE_CRC32))
    if (detail::arm_has_crc32) {
        paths.push_back({"arm", [](BytesView b, std::uint32_t seed) {
                             return ~detail::crc32c_arm(~seed, b.data(), b.size());
                         }});
    }
#endif
    return paths;
}

/// The definition, bit by bit: the checksum with one byte more.
[[nodiscard]] constexpr std::uint32_t crc_by_bits(std::uint32_t before, std::byte more) noexcept {
    std::uint32_t state = ~before ^ std::to_integer<std::uint32_t>(more);
    for (int bit = 0; bit < 8; ++bit) {
        state = (state >> 1) ^ ((state & 1U) != 0 ? 0x82F63B78U : 0U);
    }
    return ~state;
}

/// The definition, bit by bit.
[[nodiscard]] inline std::uint32_t crc_by_bits(belay::BytesView bytes, std::uint32_t seed = 0) {
    for (const std::byte byte : bytes) seed = crc_by_bits(seed, byte);
    return seed;
}

}  // namespace belay_test
