// SPDX-License-Identifier: MIT
/// \file belay/core/crc32c.hpp
/// crc32c: the checksum of journals and frames, computed by hardware if the CPU supports it.
#pragma once

#include <cstddef>  // std::size_t
#include <cstdint>  // std::uint32_t

// Uses the builtins, because every user would pay the parse time of <nmmintrin.h> and <arm_acle.h>.
// In addition, Clang declares the functions of <arm_acle.h> only if the whole program may use them.
#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
#    define BELAY_DETAIL_CRC_X86 1
#elif defined(__AARCH64EL__) && (defined(__linux__) || defined(__ARM_FEATURE_CRC32))
#    if defined(__linux__)
#        include <sys/auxv.h>  // getauxval, HWCAP_CRC32
#    endif
#    if defined(__clang__)
#        define BELAY_DETAIL_CRC_ARM "crc"
#        define BELAY_DETAIL_CRC_ARM_8 __builtin_arm_crc32cd
#        define BELAY_DETAIL_CRC_ARM_4 __builtin_arm_crc32cw
#        define BELAY_DETAIL_CRC_ARM_1 __builtin_arm_crc32cb
#    else
#        define BELAY_DETAIL_CRC_ARM "+crc"
#        define BELAY_DETAIL_CRC_ARM_8 __builtin_aarch64_crc32cx
#        define BELAY_DETAIL_CRC_ARM_4 __builtin_aarch64_crc32cw
#        define BELAY_DETAIL_CRC_ARM_1 __builtin_aarch64_crc32cb
#    endif
#endif

#include <belay/core/bytes.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

struct CrcTables {
    std::uint32_t of[8][256];
};

// A CRC is linear over XOR, so the entries of single bits give all the others. Compilers evaluate
// this function in every translation unit, so it takes as few steps as possible, on plain arrays.
[[nodiscard]] constexpr CrcTables make_crc_tables() noexcept {
    CrcTables t{};
    std::uint32_t state = 1;
    for (int bit = 7; bit >= 0; --bit) {
        state = (state >> 1) ^ ((state & 1U) != 0 ? 0x82F63B78U : 0U);
        t.of[0][std::size_t{1} << bit] = state;
    }
    for (int k = 0; k < 8; ++k) {
        auto& slice = t.of[k];
        for (std::size_t first = 1; first < 256; first *= 2) {
            if (k != 0) {
                const std::uint32_t before = t.of[k - 1][first];
                slice[first] = (before >> 8) ^ t.of[0][before & 0xFFU];
            }
            for (std::size_t i = 1; i < first; ++i) slice[first + i] = slice[first] ^ slice[i];
        }
    }
    return t;
}

inline constexpr CrcTables crc_tables = make_crc_tables();

/// Returns the state after eight zero bytes, which is the state times x^64.
[[nodiscard]] constexpr std::uint32_t crc_past_word(std::uint32_t state) noexcept {
    const auto& t = crc_tables.of;
    return (t[7][state & 0xFFU] ^ t[6][(state >> 8) & 0xFFU]) ^
           (t[5][(state >> 16) & 0xFFU] ^ t[4][state >> 24]);
}

/// Computes slice-by-8 over the inverted state. Source: M. Kounavis, F. Berry (2005).
[[nodiscard]] constexpr std::uint32_t crc32c_portable(std::uint32_t state, const std::byte* p,
                                                      std::size_t n) noexcept {
    const auto& t = crc_tables.of;
    for (; n >= 8; n -= 8, p += 8) {
        // The part that does not wait for the state comes first, in its own statement: a quarter
        // faster.
        const std::uint32_t high = load_le<std::uint32_t>(p + 4);
        const std::uint32_t ahead = (t[3][high & 0xFFU] ^ t[2][(high >> 8) & 0xFFU]) ^
                                    (t[1][(high >> 16) & 0xFFU] ^ t[0][high >> 24]);
        state = crc_past_word(load_le<std::uint32_t>(p) ^ state) ^ ahead;
    }
    for (; n != 0; --n, ++p) {
        state = (state >> 8) ^ t[0][(state ^ static_cast<std::uint32_t>(*p)) & 0xFFU];
    }
    return state;
}

#if defined(BELAY_DETAIL_CRC_X86)
[[nodiscard]] __attribute__((target("sse4.2"))) inline std::uint32_t crc32c_sse42(
    std::uint32_t state, const std::byte* p, std::size_t n) noexcept {
    std::uint64_t wide = state;
    for (; n >= 8; n -= 8, p += 8) wide = __builtin_ia32_crc32di(wide, load_le<std::uint64_t>(p));
    auto narrow = static_cast<std::uint32_t>(wide);
    if (n >= 4) {
        narrow = __builtin_ia32_crc32si(narrow, load_le<std::uint32_t>(p));
        n -= 4;
        p += 4;
    }
    for (; n != 0; --n, ++p)
        narrow = __builtin_ia32_crc32qi(narrow, static_cast<unsigned char>(*p));
    return narrow;
}

// Below this number of bytes, joining three chains costs more than it saves. Above this number of
// words, more constants would gain little (Zen 4, 2026-11).
inline constexpr std::size_t crc_chains_from = 144;
inline constexpr std::size_t crc_chain_words = 64;

/// The powers of x that move a state past n words.
///
/// past[n] is x^(64n - 33); multiply a state by it to move the state past n words. The missing 33
/// is what multiplying bit-reversed numbers (1) and the crc32 instruction on the product (32) add.
struct CrcShifts {
    std::uint32_t past[2 * crc_chain_words + 1];
};

[[nodiscard]] constexpr CrcShifts make_crc_shifts() noexcept {
    CrcShifts shifts{};
    std::uint32_t power = 1;  // x^31, bit-reversed
    for (std::size_t n = 1; n <= 2 * crc_chain_words; ++n) {
        shifts.past[n] = power;
        power = crc_past_word(power);
    }
    return shifts;
}

inline constexpr CrcShifts crc_shifts = make_crc_shifts();

using CrcLanes __attribute__((vector_size(16))) = long long;

[[nodiscard]] __attribute__((target("sse4.2,pclmul"))) inline std::uint64_t crc_times(
    std::uint64_t state, std::uint32_t power) noexcept {
    const CrcLanes x{static_cast<long long>(state), 0};
    const CrcLanes y{static_cast<long long>(power), 0};
    return static_cast<std::uint64_t>(__builtin_ia32_pclmulqdq128(x, y, 0)[0]);
}

/// Runs three chains at once, because the crc32 instruction takes one cycle but delivers after
/// three.
///
/// Source: V. Gopal et al., Fast CRC Computation for iSCSI Polynomial Using CRC32 Instruction
///         (Intel, 2011); here with one table of constants instead of fixed block sizes.
[[nodiscard]] __attribute__((target("sse4.2,pclmul"))) inline std::uint32_t crc32c_pclmul(
    std::uint32_t state, const std::byte* p, std::size_t n) noexcept {
    while (n >= crc_chains_from) {
        const std::size_t words = n / 24 < crc_chain_words ? n / 24 : crc_chain_words;
        const std::byte* const second = p + 8 * words;
        const std::byte* const third = second + 8 * words;
        std::uint64_t a = state;
        std::uint64_t b = 0;
        std::uint64_t c = 0;
        for (std::size_t i = 0; i < 8 * words; i += 8) {
            a = __builtin_ia32_crc32di(a, load_le<std::uint64_t>(p + i));
            b = __builtin_ia32_crc32di(b, load_le<std::uint64_t>(second + i));
            c = __builtin_ia32_crc32di(c, load_le<std::uint64_t>(third + i));
        }
        const std::uint64_t moved =
            crc_times(a, crc_shifts.past[2 * words]) ^ crc_times(b, crc_shifts.past[words]);
        state = static_cast<std::uint32_t>(__builtin_ia32_crc32di(0, moved) ^ c);
        p += 24 * words;
        n -= 24 * words;
    }
    return crc32c_sse42(state, p, n);
}
#elif defined(BELAY_DETAIL_CRC_ARM)
#    if defined(__linux__)
// Until this is set, early in the start of a program, the tables are used. The CPU is probed at run
// time even if this file may assume the instruction, because other files of the program may not.
inline const bool arm_has_crc32 = (getauxval(AT_HWCAP) & HWCAP_CRC32) != 0;
#    else
inline constexpr bool arm_has_crc32 = true;
#    endif

[[nodiscard]] __attribute__((target(BELAY_DETAIL_CRC_ARM))) inline std::uint32_t crc32c_arm(
    std::uint32_t state, const std::byte* p, std::size_t n) noexcept {
    for (; n >= 8; n -= 8, p += 8) {
        state = BELAY_DETAIL_CRC_ARM_8(state, load_le<std::uint64_t>(p));
    }
    if (n >= 4) {
        state = BELAY_DETAIL_CRC_ARM_4(state, load_le<std::uint32_t>(p));
        n -= 4;
        p += 4;
    }
    for (; n != 0; --n, ++p) state = BELAY_DETAIL_CRC_ARM_1(state, static_cast<unsigned char>(*p));
    return state;
}
#endif

}}}  // namespace belay::detail

namespace belay { inline namespace BELAY_ABI { namespace part {

/// Returns the CRC32C (Castagnoli) of `bytes`, continuing from the checksum `seed` of the data
/// before.
///
/// crc32c(a then b) == crc32c(b, crc32c(a)). The checksum of no bytes is the seed.
///
/// The implementation depends on the CPU:
/// - x86-64, probed at run time: three chains of the SSE4.2 instruction joined by PCLMULQDQ (26
///   GB/s at 4 KiB), or one chain (10 GB/s);
/// - ARMv8, probed at run time on Linux: one chain of its instruction;
/// - others: tables (2.6 GB/s).
///
/// Errors: none.   Thread safety: any thread.   Complexity: O(n).
/// Source: RFC 3720, appendix B.4 (test vectors).
[[nodiscard]] inline std::uint32_t crc32c(BytesView bytes, std::uint32_t seed = 0) noexcept {
#if defined(BELAY_DETAIL_CRC_X86)
    // This is the compiler's own cached probe of the CPU: one load and one branch.
    if (__builtin_cpu_supports("sse4.2") != 0) {
        if (bytes.size() >= detail::crc_chains_from && __builtin_cpu_supports("pclmul") != 0) {
            return ~detail::crc32c_pclmul(~seed, bytes.data(), bytes.size());
        }
        return ~detail::crc32c_sse42(~seed, bytes.data(), bytes.size());
    }
#elif defined(BELAY_DETAIL_CRC_ARM)
    if (detail::arm_has_crc32) return ~detail::crc32c_arm(~seed, bytes.data(), bytes.size());
#endif
    return ~detail::crc32c_portable(~seed, bytes.data(), bytes.size());
}

}}}  // namespace belay::part

#undef BELAY_DETAIL_CRC_X86
#undef BELAY_DETAIL_CRC_ARM
#undef BELAY_DETAIL_CRC_ARM_8
#undef BELAY_DETAIL_CRC_ARM_4
#undef BELAY_DETAIL_CRC_ARM_1
