// SPDX-License-Identifier: MIT
/// \file belay/journal/detail/record_search.hpp
/// RecordSearch: finds the records in bytes that may be damaged.
#pragma once

#include <array>     // std::array
#include <cstring>   // std::memcpy
#include <optional>  // std::optional
#include <vector>    // std::vector

#include <belay/core/assert.hpp>
#include <belay/core/crc32c.hpp>
#include <belay/core/order.hpp>
#include <belay/journal/journal_format.hpp>

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

/// The size of an opening's payload: the salt.
inline constexpr std::size_t opening_payload_bytes = 4;

/// Bytes in the form of a record. One nonce makes the checksum right, as for any bytes.
struct FoundRecord {
    std::uint64_t offset;  // in its segment
    journal_format::RecordHeader header;
    std::uint32_t nonce;

    [[nodiscard]] std::uint64_t end() const noexcept {
        return offset + journal_format::record_bytes(header.length);
    }
};

/// Returns whether a header is possible for its kind, at any position.
[[nodiscard]] constexpr bool has_form(const journal_format::RecordHeader& h) noexcept {
    using namespace journal_format;
    switch (h.kind) {
        case Kind::operation:
            return h.number != 0 && h.number <= number_max;
        case Kind::opening:
            return h.length == opening_payload_bytes && h.number <= 0xFFFFFFFFU &&
                   h.run == run_in_record(static_cast<std::uint32_t>(h.number));
        case Kind::ack:
            return h.length == 0;
        case Kind::pin:
            return h.length == Id{}.size() && h.number == 0;
        case Kind::seal:
            return h.length >= seal_payload_bytes(0, 0) && h.length % 4 == 0;
        case Kind::note:
            return h.length <= note_bytes_max && h.number == 0;
        case Kind::none:
            return false;
        default:  // of a later version
            return true;
    }
}

/// A part of a segment, in memory.
class MemoryBytes {
public:
    /// `begin` is its position in its segment.
    explicit MemoryBytes(BytesView bytes, std::uint64_t begin = 0) noexcept
        : bytes_{bytes}, begin_{begin} {}

    [[nodiscard]] std::uint64_t begin() const noexcept { return begin_; }
    [[nodiscard]] std::uint64_t size() const noexcept { return bytes_.size(); }
    [[nodiscard]] BytesView view(std::uint64_t at, std::size_t length) const noexcept {
        return bytes_.subspan(static_cast<std::size_t>(at), length);
    }
    [[nodiscard]] BytesView peek(std::uint64_t at, std::size_t length) const noexcept {
        return view(at, length);
    }
    [[nodiscard]] std::uint64_t candidate_from(std::uint64_t at) const noexcept { return at; }

private:
    BytesView bytes_;
    std::uint64_t begin_;
};

/// A part of a segment, at every eighth byte of which a record may begin. All code that reads on
/// after damage uses it.
///
/// `Source`: MemoryBytes, or FilePart.
///
/// Thread safety: none of its own.   Throws: std::bad_alloc, as PartCrcs.
template <class Source>
class RecordSearch {
public:
    /// Pre: bytes.begin() is a multiple of 8.
    explicit RecordSearch(Source& bytes) noexcept : bytes_{bytes}, crcs_{bytes} {}

    [[nodiscard]] std::uint64_t end() const noexcept { return bytes_.begin() + bytes_.size(); }
    /// Returns the first position from `offset` on where a record may begin; `end` if there is
    /// none.
    [[nodiscard]] std::uint64_t candidate_from(std::uint64_t offset) {
        return offset >= end() ? end()
                               : bytes_.candidate_from(offset - bytes_.begin()) + bytes_.begin();
    }

    /// Returns what may be a record at a position.
    ///
    /// Pre: offset >= begin.   Complexity: O(log(length)), and all bytes once.
    [[nodiscard]] std::optional<FoundRecord> at(std::uint64_t offset) {
        // Moves the window along, for a caller that reads record after record.
        if (has_header(offset))
            static_cast<void>(bytes_.view(offset - bytes_.begin(), header_bytes));
        return peek(offset);
    }
    /// The same for a position that a damaged length may give: keeps the window where it is.
    [[nodiscard]] std::optional<FoundRecord> peek(std::uint64_t offset) {
        using namespace journal_format;
        if (!has_header(offset)) return std::nullopt;
        const BytesView bytes = bytes_.peek(offset - bytes_.begin(), header_bytes);
        if (bytes.size() < header_bytes) return std::nullopt;
        // A copy, because reading the payload may replace the bytes.
        std::array<std::byte, header_bytes> header;
        std::memcpy(header.data(), bytes.data(), header_bytes);
        const RecordHeader h = decode_record_header(header.data());
        if (!has_form(h) || h.length > end() - offset - header_bytes) return std::nullopt;
        const std::uint32_t crc = crcs_.of({offset - bytes_.begin() + header_bytes, h.length});
        const std::uint32_t seed = seed_by_crc(h.crc, record_crc(header.data(), crc, 0));
        return FoundRecord{offset, h, nonce_of(seed, offset)};
    }

    /// Returns the first record from `offset` on that has this nonce, and that `is_one` accepts.
    ///
    /// Complexity: O(bytes until there), times the complexity of `at`.
    template <class IsOne>
    [[nodiscard]] std::optional<FoundRecord> next(std::uint64_t offset, std::uint32_t nonce,
                                                  IsOne&& is_one) {
        for (std::uint64_t i = candidate_from(offset); has_header(i);
             i = candidate_from(i + journal_format::alignment)) {
            const std::optional<FoundRecord> found = at(i);
            if (found && found->nonce == nonce && is_one(*found)) return found;
        }
        return std::nullopt;
    }

    /// Returns up to where the segment was on the medium when the last record from `offset` on was
    /// made. Bytes above that position, after damage, were never promised.
    /// Complexity: O(bytes).
    [[nodiscard]] std::uint64_t proven_after(std::uint64_t offset, std::uint32_t nonce) {
        std::uint64_t proven = 0;
        const auto any = [](const FoundRecord&) { return true; };
        for (auto found = next(offset, nonce, any); found; found = next(found->end(), nonce, any)) {
            proven = larger<std::uint64_t>(proven, found->header.durable);
        }
        return proven;
    }

private:
    static constexpr std::size_t header_bytes = journal_format::record_header_bytes;

    [[nodiscard]] bool has_header(std::uint64_t offset) const noexcept {
        return offset <= end() && end() - offset >= header_bytes;
    }

    Source& bytes_;
    PartCrcs<Source> crcs_;
};

}}}  // namespace belay::detail
