// SPDX-License-Identifier: MIT
/// \file belay/journal/detail/part_crcs.hpp
/// PartCrcs: checksums of many parts of the same bytes, however long these are and overlap.
#pragma once

#include <array>   // std::array
#include <vector>  // std::vector

#include <belay/core/assert.hpp>
#include <belay/core/crc32c.hpp>

namespace belay::inline BELAY_ABI::detail {

/// The product of two polynomials, bit-reversed, modulo that of CRC32C.
// NOLINTNEXTLINE(bugprone-easily-swappable-parameters): a times b is b times a.
[[nodiscard]] constexpr std::uint32_t crc_product(std::uint32_t a, std::uint32_t b) noexcept {
    std::uint32_t product = 0;
    for (; a != 0; a <<= 1) {
        if ((a >> 31) != 0) product ^= b;
        b = (b >> 1) ^ ((b & 1U) != 0 ? 0x82F63B78U : 0U);
    }
    return product;
}

/// The CRC32C of any part of some bytes, without a look at all of it each time.
///
/// In damaged files anything may look like a long record: reading each to its end would take the
/// square of their length.
///
/// The checksum of a then b is that of a, times x^(8 * length of b), plus that of b: so what comes
/// up to two places says what lies between them.
///
/// Errors: none.   Thread safety: none of its own.   Allocates: a 128th of the bytes, at the first
/// long part; throws std::bad_alloc.
/// Source: M. Adler, zlib: crc32_combine.
class PartCrcs {
public:
    struct Part {
        std::size_t from;
        std::size_t length;
    };

    explicit PartCrcs(BytesView bytes) noexcept : bytes_{bytes} {}

    /// The CRC32C of a part.   Pre: the bytes have it.
    /// Complexity: O(log(length)), after O(bytes) once.
    [[nodiscard]] std::uint32_t of(Part part) {
        const auto [from, length] = part;
        BELAY_PRECONDITION(from <= bytes_.size() && length <= bytes_.size() - from,
                           "PartCrcs::of: must be a part of the bytes");
        if (length <= direct_bytes) return crc32c(bytes_.subspan(from, length));
        if (up_to_.empty()) know_all();
        return up_to(from + length) ^ moved(up_to(from), length);
    }

private:
    static constexpr std::size_t step = 512;
    static constexpr std::size_t direct_bytes = 8 * step;

    void know_all() {
        up_to_.reserve(bytes_.size() / step + 1);
        up_to_.push_back(0);
        for (std::size_t end = step; end <= bytes_.size(); end += step) {
            up_to_.push_back(crc32c(bytes_.subspan(end - step, step), up_to_.back()));
        }
    }
    [[nodiscard]] std::uint32_t up_to(std::size_t end) const noexcept {
        return crc32c(bytes_.subspan(end / step * step, end % step), up_to_[end / step]);
    }
    /// A checksum past so many more bytes.
    [[nodiscard]] static std::uint32_t moved(std::uint32_t crc, std::size_t length) noexcept {
        static constexpr std::array<std::uint32_t, 64> powers = [] {
            std::array<std::uint32_t, 64> x{};  // at [n]: x^(8 * 2^n)
            x[0] = std::uint32_t{1} << 23;
            for (std::size_t n = 1; n < x.size(); ++n) x[n] = crc_product(x[n - 1], x[n - 1]);
            return x;
        }();
        for (std::size_t n = 0; length != 0; ++n, length >>= 1) {
            if ((length & 1U) != 0) crc = crc_product(powers[n], crc);
        }
        return crc;
    }

    BytesView bytes_;
    std::vector<std::uint32_t> up_to_;  // the checksums up to multiples of `step`
};

}  // namespace belay::inline BELAY_ABI::detail
