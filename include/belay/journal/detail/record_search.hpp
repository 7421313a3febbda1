// SPDX-License-Identifier: MIT
/// \file belay/journal/detail/record_search.hpp
/// RecordSearch: finds the records in bytes that may be damaged. RecordEvidence: decides which
/// bytes after damage really are records.
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

/// Bytes in the form of a record. Some seed makes the checksum right, as for any bytes.
struct FoundRecord {
    std::uint64_t offset;  // in its segment
    journal_format::RecordHeader header;
    std::uint32_t seed;

    [[nodiscard]] std::uint64_t end() const noexcept {
        return offset + journal_format::record_bytes(header.length);
    }
    [[nodiscard]] bool is_operation(std::uint64_t number) const noexcept {
        return header.kind == journal_format::Kind::operation && header.number == number;
    }
    /// Returns whether this record and the next one confirm each other's run. Two equal records
    /// confirm nothing, because they are a pattern.
    [[nodiscard]] bool is_followed_by(const FoundRecord& next) const noexcept {
        using journal_format::Kind;
        const bool counts = header.kind == Kind::operation && next.header.kind == Kind::operation;
        return next.seed == seed && next.header.crc != header.crc &&
               (!counts || next.header.number == header.number + 1);
    }
};

/// Returns whether a header is possible for its kind, at any position.
[[nodiscard]] constexpr bool has_form(const journal_format::RecordHeader& h) noexcept {
    using namespace journal_format;
    if (h.flags != 0 || h.key_length != 0) return false;
    switch (h.kind) {
        case Kind::operation:
            return h.number != 0 && h.number <= number_max;
        case Kind::opening:
            return h.length == opening_payload_bytes && h.number <= 0xFFFFFFFFU;
        case Kind::ack:
            return h.length == 0;
        case Kind::pin:
            return h.length == Id{}.size() && h.number == 0;
        case Kind::seal:
            return h.length >= seal_payload_bytes(0, 0) && h.length % 4 == 0;
        case Kind::note:
            return h.length <= note_bytes_max && h.number == 0;
        default:
            return false;
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
    struct Damage {
        std::uint64_t from;
        std::uint64_t next;  // the number that an operation there must have; 0: unknown
    };

    /// Pre: bytes.begin() is a multiple of 8.
    explicit RecordSearch(Source& bytes) noexcept : bytes_{bytes}, crcs_{bytes} {}

    [[nodiscard]] std::uint64_t end() const noexcept { return bytes_.begin() + bytes_.size(); }
    /// Returns the first position from `offset` on where a record may begin; `end` if there is
    /// none.
    [[nodiscard]] std::uint64_t candidate_from(std::uint64_t offset) {
        return offset >= end() ? end()
                               : bytes_.candidate_from(offset - bytes_.begin()) + bytes_.begin();
    }

    /// Returns what may be a record at a position; its seed identifies the run.
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
        const Header header = header_at(offset);
        const RecordHeader h = journal_format::decode_record_header(header.data());
        // No record has a `durable` after itself, so such a record was copied to here.
        if (!has_form(h) || h.durable > offset || !has_payload(offset, h)) return std::nullopt;
        return FoundRecord{offset, h, seed_of(offset, h, header)};
    }
    /// Returns whether a record is complete under a seed, but has an unknown kind or form.
    [[nodiscard]] bool is_of_later_version(std::uint64_t offset, std::uint32_t seed) {
        using journal_format::Kind;
        const Header header = header_at(offset);
        const RecordHeader h = journal_format::decode_record_header(header.data());
        const bool is_known = h.kind <= Kind::note && h.flags == 0 && h.key_length == 0;
        return h.kind != Kind::none && !is_known && has_payload(offset, h) &&
               seed_of(offset, h, header) == seed;
    }

    /// Returns the first record after damage that `is_one(found)` accepts.
    ///
    /// Complexity: O(bytes until there), times the complexity of `at`.
    template <class IsOne>
    [[nodiscard]] std::optional<FoundRecord> behind(Damage damage, IsOne&& is_one) {
        using namespace journal_format;
        const auto [from, next] = damage;
        // The length may be right. If it leads to the operation that must come next, no part of a
        // body can be mistaken for a record.
        if (next != 0 && has_header(from)) {
            const RecordHeader h = decode_record_header(header_at(from).data());
            const bool was_operation = h.kind == Kind::operation || h.number == next;
            const std::optional<FoundRecord> found = peek(from + record_bytes(h.length));
            if (found && found->is_operation(next + (was_operation ? 1 : 0)) && is_one(*found)) {
                return found;
            }
        }
        for (std::uint64_t i = candidate_from(from + alignment); has_header(i);
             i = candidate_from(i + alignment)) {
            const std::optional<FoundRecord> found = at(i);
            if (found && is_one(*found)) return found;
        }
        return std::nullopt;
    }

private:
    using RecordHeader = journal_format::RecordHeader;
    static constexpr std::size_t header_bytes = journal_format::record_header_bytes;
    using Header = std::array<std::byte, header_bytes>;

    [[nodiscard]] bool has_header(std::uint64_t offset) const noexcept {
        return offset <= end() && end() - offset >= header_bytes;
    }
    /// Returns a header of kind `none` if there is no header, or it cannot be read.
    [[nodiscard]] Header header_at(std::uint64_t offset) {
        Header header{};
        if (!has_header(offset)) return header;
        const BytesView bytes = bytes_.peek(offset - bytes_.begin(), header_bytes);
        if (bytes.size() == header_bytes) std::memcpy(header.data(), bytes.data(), header_bytes);
        return header;
    }
    [[nodiscard]] bool has_payload(std::uint64_t offset, const RecordHeader& h) const noexcept {
        return h.length <= end() - offset - header_bytes;
    }
    [[nodiscard]] std::uint32_t seed_of(std::uint64_t offset, const RecordHeader& h,
                                        const Header& header) {
        const std::uint32_t crc = crcs_.of({offset - bytes_.begin() + header_bytes, h.length});
        const std::uint32_t under_0 = journal_format::record_crc(header.data(), crc, 0);
        return journal_format::seed_by_crc(h.crc, under_0);
    }

    Source& bytes_;
    PartCrcs<Source> crcs_;
};

/// The known facts about a segment's records: their nonce, runs and numbers.
///
/// A record has a checksum of 32 bits, and after damage a record may begin at every eighth byte.
/// Bodies that are arrays of small integers have the form of a record at each of these positions.
/// So the run of a record must be known, or nearly known. Its number must be one that the bytes
/// since the last operation can have reached. Inspection, salvage and opening all use this class.
///
/// Thread safety: none of its own.   Throws: std::bad_alloc.
template <class Source>
class RecordEvidence {
public:
    RecordEvidence(RecordSearch<Source>& records, std::uint32_t nonce) noexcept
        : records_{&records}, nonce_{nonce} {}

    [[nodiscard]] std::uint32_t nonce() const noexcept { return nonce_; }
    [[nodiscard]] std::uint32_t run_of(const FoundRecord& found) const noexcept {
        return found.seed - nonce_;
    }
    /// Adds a run that has an opening or another record.
    void add_run(std::uint32_t run) {
        const std::size_t place = place_behind(run);
        if (place != 0 && runs_[place - 1] == run) return;
        runs_.insert(runs_.begin() + static_cast<std::ptrdiff_t>(place), run);
    }
    [[nodiscard]] std::uint32_t first_run() const noexcept { return runs_.front(); }
    [[nodiscard]] bool has_run(std::uint32_t run) const noexcept {
        return known_up_to(run) == std::optional{run};
    }
    /// Adds an operation that ends at `end`. A copy of an earlier operation proves that another one
    /// was there.
    void add_number(std::uint64_t number, std::uint64_t end) noexcept {
        if (numbers_known_ && number <= last_) return;
        last_ = number;
        numbers_known_ = true;
        end_ = end;
    }
    [[nodiscard]] bool numbers_known() const noexcept { return numbers_known_; }
    [[nodiscard]] std::uint64_t last() const noexcept { return last_; }

    /// Returns whether a record `skipped` bytes after the beginning of damage is genuine.
    ///
    /// An opening may begin any later run, because only one nonce gives it the seed of the run that
    /// is its number. Openings alone cannot make later runs known: they may be the damaged bytes,
    /// and only two remain of many in a row. So other records may be of one of the next few runs,
    /// and of more runs if more records follow each other. A body may hold records under all
    /// seeds, so the number of runs must not grow faster than the bytes that it costs. Two records
    /// may be of as many runs as one damaged sector can hide.
    /// Complexity: that of RecordSearch::at, times the records of that row.
    [[nodiscard]] bool accepts(const FoundRecord& found, std::uint64_t skipped) const {
        using journal_format::Kind;
        const std::uint32_t run = run_of(found);
        const std::optional<std::uint32_t> known = known_up_to(run);
        if (!known) return false;
        const std::uint32_t ahead = run - *known;
        if (ahead > journal_format::runs_in_a_row_max) return false;
        if (found.header.kind == Kind::opening) return found.header.number == run;
        const bool is_numbered = has_possible_number(found);
        const std::uint64_t openings =
            skipped / journal_format::record_bytes(opening_payload_bytes);
        const bool is_near = ahead <= smaller<std::uint64_t>(openings, runs_per_record);
        if (is_numbered && is_near && !is_contradicted(found)) return true;
        return (is_numbered || found.header.kind == Kind::operation) &&
               begins_row(found, ahead, skipped);
    }
    /// Returns whether a row of records, the last of them included, may be `ahead` runs after a
    /// known run.
    [[nodiscard]] static constexpr bool is_within_reach(std::uint32_t ahead,
                                                        std::uint64_t records) noexcept {
        return ahead <= runs_per_record * smaller(records, records_in_row_max);
    }
    /// Returns whether the next record is of the same run and continues its numbers.
    [[nodiscard]] bool is_confirmed(const FoundRecord& found) const {
        const std::optional<FoundRecord> next = records_->peek(found.end());
        return next && found.is_followed_by(*next);
    }
    /// Returns whether that many operations fit between the last one and the record.
    [[nodiscard]] bool has_possible_number(const FoundRecord& found) const noexcept {
        using journal_format::Kind;
        const std::uint64_t number = found.header.number;
        if (!numbers_known_) return true;
        const std::uint64_t lost = (found.offset - end_) / journal_format::record_header_bytes;
        const std::uint64_t ahead = number > last_ ? number - last_ : 0;
        if (found.header.kind == Kind::operation) return ahead <= lost + 1;
        if (found.header.kind == Kind::ack) return ahead <= lost;
        return found.header.kind != Kind::seal || (number >= last_ && ahead <= lost);
    }

private:
    /// The number of runs that lose their openings with 512 bytes.
    static constexpr std::uint64_t runs_per_record = 16;
    /// Longer rows count as rows of this length. It bounds the time for a record.
    static constexpr std::uint64_t records_in_row_max = 4096;
    /// The number of runs that lose their openings with 4 KiB, a physical sector. Each run has
    /// another record, and the first and the last opening may be partly outside.
    static constexpr std::uint64_t runs_per_sector = 74;

    /// Returns how many runs, each of an opening and another record, may be hidden in bytes. The
    /// last run needs only its opening.
    [[nodiscard]] static constexpr std::uint64_t hidden_runs(std::uint64_t bytes) noexcept {
        constexpr std::uint64_t other = journal_format::record_header_bytes;
        constexpr std::uint64_t run = journal_format::record_bytes(opening_payload_bytes) + other;
        return smaller((bytes + other) / run, runs_per_sector);
    }
    /// Returns whether enough records with the seed of `found` follow each other.
    [[nodiscard]] bool begins_row(FoundRecord found, std::uint32_t ahead,
                                  std::uint64_t skipped) const {
        if (!is_within_reach(ahead, records_in_row_max)) return false;
        for (std::uint64_t records = 2;; ++records) {
            const std::optional<FoundRecord> next = records_->peek(found.end());
            if (!next || !found.is_followed_by(*next)) return false;
            if (ahead <= hidden_runs(skipped) || is_within_reach(ahead, records)) return true;
            found = *next;
        }
    }
    /// Returns whether the next record is of another, known run. One flipped bit may change a
    /// record's run into another.
    [[nodiscard]] bool is_contradicted(const FoundRecord& found) const {
        const std::optional<FoundRecord> next = records_->peek(found.end());
        return next && next->seed != found.seed && has_run(run_of(*next)) &&
               next->header.kind != journal_format::Kind::opening;
    }
    /// Returns the last known run that is not after this one.
    [[nodiscard]] std::optional<std::uint32_t> known_up_to(std::uint32_t run) const noexcept {
        const std::size_t place = place_behind(run);
        return place == 0 ? std::nullopt : std::optional{runs_[place - 1]};
    }
    [[nodiscard]] std::size_t place_behind(std::uint32_t run) const noexcept {
        return first_after(runs_, [run](std::uint32_t other) { return other <= run; });
    }

    RecordSearch<Source>* records_;
    std::uint32_t nonce_;
    std::vector<std::uint32_t> runs_;  // sorted
    bool numbers_known_ = false;
    std::uint64_t last_ = 0;
    std::uint64_t end_ = 0;  // of the last operation that was found
};

/// Returns up to where the segment was on the medium when the last genuine record after `from` was
/// made. Bytes above that position, after damage, were never promised.   Complexity: O(bytes).
template <class Source>
[[nodiscard]] std::uint64_t proven_after(RecordSearch<Source>& records,
                                         RecordEvidence<Source> evidence, std::uint64_t from) {
    std::uint64_t proven = 0;
    for (std::uint64_t at = records.candidate_from(from); at < records.end();
         at = records.candidate_from(at + journal_format::alignment)) {
        const std::optional<FoundRecord> found = records.at(at);
        if (!found || !evidence.accepts(*found, at - from)) continue;
        evidence.add_run(evidence.run_of(*found));
        // An opening is no evidence, because it may never have been flushed.
        if (found->header.kind != journal_format::Kind::opening) {
            proven = larger<std::uint64_t>(proven, found->header.durable);
        }
    }
    return proven;
}

}}}  // namespace belay::detail
