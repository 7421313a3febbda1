// SPDX-License-Identifier: MIT
/// \file belay/work/detail/key_hash.hpp
/// KeyHash: a 96-bit hash of a text, at a nanosecond for eight bytes.
#pragma once

#include <belay/journal/detail/siphash.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// 96 bits; the first 64 are in `low`.
struct Hash96 {
    std::uint64_t low;
    std::uint32_t high;
};

/// A hash with a secret. Any two different texts have the same value with probability 2^-96 over
/// the secrets, if their author did not know the secret.
///
/// The hash reads the text in pairs of 32-bit words (a, b) and pads the last one with zeros. It
/// computes three sums modulo 2^64: f0 + f1 * length + (f2 + a0) (f3 + b0) + (f4 + a1) (f5 + b1) +
/// ... It uses the upper 32 bits of each sum, which are strongly universal. The factors are the
/// 32-bit halves of the SipHash of 0, 1, 2, ..., distributed to the sums in turn. A text of more
/// than 64 bytes is first replaced by its SipHash, except for its length.
///
/// Errors: none.   Complexity: O(length); above 64 bytes as SipHash.
/// Thread safety: distinct objects safe; const calls from any thread.
/// Source: D. Lemire, O. Kaser, "Strongly universal string hashing is fast" (2014),
///         MULTILINEAR-HM.
class KeyHash {
public:
    explicit constexpr KeyHash(const Id& secret) noexcept : secret_{secret} {
        std::uint32_t number = 0;
        for (std::size_t i = 0; i < factors * sums; i += 2) {
            std::array<std::byte, 4> text{};
            store_le<std::uint32_t>(text.data(), number++);
            const Hash128 drawn = siphash128(secret, text);
            factors_[i / sums][i % sums] = drawn.low;
            factors_[(i + 1) / sums][(i + 1) % sums] = drawn.high;
        }
    }

    [[nodiscard]] constexpr Hash96 operator()(BytesView text) const noexcept {
        if (text.size() <= direct_bytes_max) return sum_of(text, text.size());
        std::array<std::byte, 16> digest{};
        const Hash128 hash = siphash128(secret_, text);
        store_le<std::uint64_t>(digest.data(), hash.low);
        store_le<std::uint64_t>(digest.data() + 8, hash.high);
        return sum_of(digest, text.size());
    }

private:
    static constexpr std::size_t direct_bytes_max = 64;
    static constexpr std::size_t sums = 3;
    static constexpr std::size_t factors = 2 + direct_bytes_max / 4;
    using Triple = std::array<std::uint64_t, sums>;

    [[nodiscard]] constexpr Hash96 sum_of(BytesView text, std::size_t length) const noexcept {
        Triple sum = factors_[0];
        for (std::size_t i = 0; i < sums; ++i) {
            sum[i] += factors_[1][i] * static_cast<std::uint32_t>(length);
        }
        const Triple* pair = &factors_[2];
        const auto add = [&](std::uint64_t word) {
            for (std::size_t i = 0; i < sums; ++i) {
                sum[i] += (pair[0][i] + (word & 0xFFFFFFFFU)) * (pair[1][i] + (word >> 32));
            }
            pair += 2;
        };
        const std::byte* p = text.data();
        std::size_t left = text.size();
        for (; left >= 8; left -= 8, p += 8) add(load_le<std::uint64_t>(p));
        if (left != 0) {
            std::uint64_t word = 0;
            if (text.size() >= 8) {
                word = load_le<std::uint64_t>(p + left - 8) >> (8 * (8 - left));
            } else {
                for (std::size_t i = 0; i < left; ++i) {
                    word |= static_cast<std::uint64_t>(p[i]) << (8 * i);
                }
            }
            add(word);
        }
        return {(sum[0] >> 32 << 32) | (sum[1] >> 32), static_cast<std::uint32_t>(sum[2] >> 32)};
    }

    Id secret_;
    std::array<Triple, factors> factors_{};
};

}}}  // namespace belay::detail
