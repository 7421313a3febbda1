// SPDX-License-Identifier: MIT
/// \file belay/journal/detail/record_search.hpp
/// RecordSearch: finds the records in bytes that may be damaged.
#pragma once

#include <array>     // std::array
#include <cstring>   // std::memcpy
#include <optional>  // std::optional

#include <belay/journal/detail/part_crcs.hpp>
#include <belay/journal/journal_format.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

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

}}}  // namespace belay::detail
