// SPDX-License-Identifier: MIT
/// \file belay/journal/detail/part_crcs.hpp
/// PartCrcs: checksums of many parts of the same bytes, which may be long and overlap.
#pragma once

#include <array>   // std::array
#include <vector>  // std::vector

#include <belay/core/assert.hpp>
#include <belay/core/crc32c.hpp>
#include <belay/core/order.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Returns the product of two polynomials, bit-reversed, modulo that of CRC32C.
// NOLINTNEXTLINE(bugprone-easily-swappable-parameters): a times b is b times a.
[[nodiscard]] constexpr std::uint32_t crc_product(std::uint32_t a, std::uint32_t b) noexcept {
    std::uint32_t product = 0;
    for (; a != 0; a <<= 1) {
        if ((a >> 31) != 0) product ^= b;
        b = (b >> 1) ^ ((b & 1U) != 0 ? 0x82F63B78U : 0U);
    }
    return product;
}

/// Computes the CRC32C of any part of some bytes without reading the whole part each time.
///
/// In a damaged file any bytes may look like the header of a long record. Reading each such record
/// to its end would take time proportional to the square of their length.
///
/// The checksum of a then b is that of a, times x^(8 * length of b), plus that of b. So the
/// checksums up to two positions give the checksum of the bytes between them.
///
/// `Source` has these functions:
/// - `view(at, length)` returns that part of the bytes, or less where they end or cannot be read.
///   The result is valid until the next call.
/// - `peek` does the same for a few distant bytes.
/// - `size()`.
///
/// Errors: none; bytes that cannot be read give any checksum.   Thread safety: none of its own.
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

    /// Returns the CRC32C of a part.   Pre: the part is within the bytes.
    /// Complexity: O(log(length)), and the bytes before its end once; reads 1 KiB far away.
    [[nodiscard]] std::uint32_t of(Part part) {
        const auto [from, length] = part;
        BELAY_PRECONDITION(from <= bytes_.size() && length <= bytes_.size() - from,
                           "PartCrcs::of: the range must be inside the bytes");
        if (length <= direct_bytes) {
            return part::crc32c(bytes_.peek(from, static_cast<std::size_t>(length)));
        }
        return up_to(from + length) ^ moved(up_to(from), length);
    }

private:
    static constexpr std::size_t step = 512;
    // Distant bytes are read again for each part, so such a read is limited to two steps.
    static constexpr std::size_t direct_bytes = 2 * step;

    /// Computes twice as many steps each time, because each computation moves the window.
    void know(std::uint64_t steps) {
        if (up_to_.empty()) up_to_.push_back(0);
        steps = larger(steps, smaller<std::uint64_t>(bytes_.size() / step, 2 * up_to_.size()));
        while (up_to_.size() <= steps) {
            up_to_.push_back(
                part::crc32c(bytes_.view((up_to_.size() - 1) * step, step), up_to_.back()));
        }
    }
    [[nodiscard]] std::uint32_t up_to(std::uint64_t end) {
        const std::uint64_t steps = end / step;
        if (up_to_.size() <= steps) know(steps);
        const std::uint32_t crc = up_to_[static_cast<std::size_t>(steps)];
        return part::crc32c(bytes_.peek(steps * step, static_cast<std::size_t>(end % step)), crc);
    }
    /// Returns a checksum advanced by `length` more bytes.
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
