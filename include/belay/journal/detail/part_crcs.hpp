// SPDX-License-Identifier: MIT
/// \file belay/journal/detail/part_crcs.hpp
/// PartCrcs: checksums of many parts of the same bytes, however long these are and overlap.
#pragma once

#include <array>   // std::array
#include <vector>  // std::vector

#include <belay/core/assert.hpp>
#include <belay/core/crc32c.hpp>
#include <belay/core/order.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

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
/// `Source` has `view(at, length)`: as much of the bytes, less where they end or cannot be read,
/// valid until its next call; `peek`, the same for a few bytes far away; and `size()`.
///
/// Errors: none; of what cannot be read any checksum.   Thread safety: none of its own.
/// Allocates: a 128th of the bytes, up to the end of the last long part; throws std::bad_alloc.
/// Source: M. Adler, zlib: crc32_combine.
template <class Source>
class PartCrcs {
public:
    struct Part {
        std::uint64_t from;
        std::uint64_t length;
    };

    explicit PartCrcs(Source& bytes) noexcept : bytes_{bytes} {}

    /// The CRC32C of a part.   Pre: the bytes have it.
    /// Complexity: O(log(length)), and the bytes in front of its end once; reads 1 KiB far away.
    [[nodiscard]] std::uint32_t of(Part part) {
        const auto [from, length] = part;
        BELAY_PRECONDITION(from <= bytes_.size() && length <= bytes_.size() - from,
                           "PartCrcs::of: must be a part of the bytes");
        if (length <= direct_bytes) {
            return crc32c(bytes_.peek(from, static_cast<std::size_t>(length)));
        }
        return up_to(from + length) ^ moved(up_to(from), length);
    }

private:
    static constexpr std::size_t step = 512;
    // What lies far away is read for each part: no more of it than two steps have.
    static constexpr std::size_t direct_bytes = 2 * step;

    /// Twice as far each time: it moves the window.
    void know(std::uint64_t steps) {
        if (up_to_.empty()) up_to_.push_back(0);
        steps = larger(steps, smaller<std::uint64_t>(bytes_.size() / step, 2 * up_to_.size()));
        while (up_to_.size() <= steps) {
            up_to_.push_back(crc32c(bytes_.view((up_to_.size() - 1) * step, step), up_to_.back()));
        }
    }
    [[nodiscard]] std::uint32_t up_to(std::uint64_t end) {
        const std::uint64_t steps = end / step;
        if (up_to_.size() <= steps) know(steps);
        const std::uint32_t crc = up_to_[static_cast<std::size_t>(steps)];
        return crc32c(bytes_.peek(steps * step, static_cast<std::size_t>(end % step)), crc);
    }
    /// A checksum past so many more bytes.
    [[nodiscard]] static std::uint32_t moved(std::uint32_t crc, std::uint64_t length) noexcept {
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

    Source& bytes_;
    std::vector<std::uint32_t> up_to_;  // the checksums up to multiples of `step`
};

}}}  // namespace belay::detail
