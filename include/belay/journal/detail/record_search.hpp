// SPDX-License-Identifier: MIT
/// \file belay/journal/detail/record_search.hpp
/// RecordSearch: finds the records in bytes of which any may be damaged.
#pragma once

#include <optional>  // std::optional

#include <belay/journal/detail/part_crcs.hpp>
#include <belay/journal/journal_format.hpp>

namespace belay::inline BELAY_ABI::detail {

/// What has the shape of a record, and the checksum of one under some seed, as anything has.
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
};

/// Part of a segment, in memory.
class MemoryBytes {
public:
    /// `begin` is where it lies in its segment.
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

/// A part of a segment, at every eighth byte of which a record may begin. Who reads on behind
/// damage does it with this.
///
/// `Source`: MemoryBytes, or SegmentBytes.
///
/// Thread safety: none of its own.   Throws: std::bad_alloc, as PartCrcs.
template <class Source>
class RecordSearch {
public:
    struct Damage {
        std::uint64_t from;
        std::uint64_t next;  // the number that an operation there must have; 0: nobody knows
    };

    /// Pre: bytes.begin() is a multiple of 8.
    explicit RecordSearch(Source& bytes) noexcept : bytes_{bytes}, crcs_{bytes} {}

    /// What may be a record at a place; its seed says whose.
    ///
    /// Pre: offset >= begin.   Complexity: O(log(length)), and all bytes once.
    [[nodiscard]] std::optional<FoundRecord> at(std::uint64_t offset) {
        using namespace journal_format;
        if (!has_header(offset)) return std::nullopt;
        const RecordHeader h = header_at(offset);
        if (h.kind == Kind::none || h.kind > Kind::note || h.flags != 0 || h.key_length != 0 ||
            h.durable > offset || !has_payload(offset, h)) {
            return std::nullopt;
        }
        const std::uint32_t seed = seed_by_crc(h.crc, crc_under_0(offset, h));
        return FoundRecord{offset, h, seed};
    }
    /// Whether a record is whole under a seed, but of a kind or form that is not known here.
    [[nodiscard]] bool is_of_later_version(std::uint64_t offset, std::uint32_t seed) {
        using namespace journal_format;
        if (!has_header(offset)) return false;
        const RecordHeader h = header_at(offset);
        const bool is_known = h.kind <= Kind::note && h.flags == 0 && h.key_length == 0;
        return h.kind != Kind::none && !is_known && has_payload(offset, h) &&
               seed_by_crc(h.crc, crc_under_0(offset, h)) == seed;
    }

    /// The first record behind damage that `is_one(found)` takes for one.
    ///
    /// Complexity: O(bytes until there), times what `at` takes.
    template <class IsOne>
    [[nodiscard]] std::optional<FoundRecord> behind(Damage damage, IsOne&& is_one) {
        using namespace journal_format;
        const auto [from, next] = damage;
        // The length may be right. If it leads to the operation that must come next, then nothing
        // that a body is made of is taken for a record.
        if (next != 0 && has_header(from)) {
            const RecordHeader h = header_at(from);
            const bool was_operation = h.kind == Kind::operation || h.number == next;
            const std::optional<FoundRecord> found = at(from + record_bytes(h.length));
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

    [[nodiscard]] std::uint64_t end() const noexcept { return bytes_.begin() + bytes_.size(); }
    [[nodiscard]] bool has_header(std::uint64_t offset) const noexcept {
        return offset + journal_format::record_header_bytes <= end();
    }
    [[nodiscard]] std::uint64_t candidate_from(std::uint64_t offset) {
        return offset >= end() ? end()
                               : bytes_.candidate_from(offset - bytes_.begin()) + bytes_.begin();
    }
    [[nodiscard]] BytesView header_bytes(std::uint64_t offset) {
        return bytes_.view(offset - bytes_.begin(), journal_format::record_header_bytes);
    }
    /// Of kind none where it cannot be read.
    [[nodiscard]] RecordHeader header_at(std::uint64_t offset) {
        const BytesView bytes = header_bytes(offset);
        const bool whole = bytes.size() >= journal_format::record_header_bytes;
        return whole ? journal_format::decode_record_header(bytes.data()) : RecordHeader{};
    }
    [[nodiscard]] bool has_payload(std::uint64_t offset, const RecordHeader& h) const noexcept {
        return h.length <= end() - offset - journal_format::record_header_bytes;
    }
    [[nodiscard]] std::uint32_t crc_under_0(std::uint64_t offset, const RecordHeader& h) {
        const std::uint32_t crc =
            crcs_.of({offset - bytes_.begin() + journal_format::record_header_bytes, h.length});
        const BytesView header = header_bytes(offset);
        if (header.size() < journal_format::record_header_bytes) return ~h.crc;
        return journal_format::record_crc(header.data(), crc, 0);
    }

    Source& bytes_;
    PartCrcs<Source> crcs_;
};

}  // namespace belay::inline BELAY_ABI::detail
