// SPDX-License-Identifier: MIT
/// \file belay/journal/journal_format.hpp
/// journal_format: the bytes of a journal's files; tables are in docs/reference/formats/journal.md.
///
/// Everything is little endian. A segment is a file with a 128-byte header and records. A record is
/// a 24-byte header and a payload, padded to 8 bytes with zeros. A segment is only ever appended
/// to.
#pragma once

#include <array>        // std::array
#include <cstdint>      // std::uint8_t, std::uint32_t, std::uint64_t
#include <string>       // std::string
#include <string_view>  // std::string_view
#include <vector>       // std::vector

#include <belay/core/bytes.hpp>
#include <belay/core/crc32c.hpp>
#include <belay/core/detail/hex.hpp>
#include <belay/core/random.hpp>
#include <belay/core/result.hpp>
#include <belay/journal/id.hpp>
#include <belay/queue/queue_errc.hpp>

namespace belay { inline namespace BELAY_ABI { namespace journal_format {

/// The first bytes of every segment.
inline constexpr std::string_view magic = "belay/j\n";
/// The version of the format; a reader rejects any other one.
inline constexpr std::uint32_t version = 2;
/// The size of the header of a file.
inline constexpr std::size_t segment_header_bytes = 128;
/// The size of the header of a record, which is before its payload.
inline constexpr std::size_t record_header_bytes = 24;
/// The alignment of records in a segment.
inline constexpr std::size_t alignment = 8;
/// The space at the end of each segment that operations and notes leave to other records.
///
/// It is before the space for the seal, and is for acknowledgements, openings and pins. With it, a
/// queue on a full disk can still be opened, and its operations can be acknowledged to free space.
/// A quarter is for acknowledgements, another quarter for the acknowledgements by which a file can
/// be deleted, and half for openings and pins.
inline constexpr std::size_t reserve_bytes = 1024;
/// The maximum size of a segment; offsets in it have 32 bits, with some to spare.
inline constexpr std::size_t segment_bytes_max = 1U << 30;
/// The maximum size of a kept note.
inline constexpr std::size_t note_bytes_max = 512;
/// The distance of marks in a seal: the first operation of a segment has one, and every 64th after
/// it.
inline constexpr std::uint64_t operations_per_mark = 64;
/// The maximum number of an operation; the next number must be representable, too.
inline constexpr std::uint64_t number_max = ~0ULL - 1;
/// The name of the file whose lock admits one opener at a time.
inline constexpr std::string_view lock_name = "lock";
/// The name of a segment while it is being made.
inline constexpr std::string_view unfinished_name = "segment.tmp";
/// The suffix of the names of segments.
inline constexpr std::string_view segment_suffix = ".journal";

/// The kind of a record. Zero is none, so that unwritten space is not a record.
enum class Kind : std::uint8_t {
    none = 0,
    operation = 1,  ///< number: the operation's; payload: its body
    opening = 2,    ///< number: the run that begins; payload: u32 salt
    ack = 3,        ///< number: the last acknowledged operation, and all before it; no payload
    pin = 4,        ///< number: 0; payload: the pinned store id, 16 bytes
    seal = 5,       ///< number: the last operation; payload: see `Seal`; ends the segment
    note = 6        ///< number: 0; payload: the kept note; the latest counts
};

/// Returns `n` rounded up to the place where the next record may begin.
[[nodiscard]] constexpr std::size_t aligned(std::size_t n) noexcept {
    return (n + (alignment - 1)) / alignment * alignment;
}

/// Returns the number of bytes that a record with a payload of `length` bytes takes in the file.
[[nodiscard]] constexpr std::size_t record_bytes(std::size_t length) noexcept {
    return record_header_bytes + aligned(length);
}

/// The content of the first 128 bytes of a segment.
///
/// It suffices to continue without the segments before.
struct SegmentHeader {
    Id journal{};                     ///< the same in all segments of a journal
    std::uint64_t index = 0;          ///< from 1, without a gap; part of the file's name
    std::uint64_t first = 0;          ///< number of the first operation that may be here
    std::uint64_t check = 0;          ///< the check at first - 1
    std::uint64_t acked = 0;          ///< the acknowledged number when the segment was made
    Id pin{};                         ///< pinned store id when the segment was made
    std::uint32_t run = 0;            ///< run that made the segment
    std::uint32_t salt = 0;           ///< salt of that run
    std::uint32_t nonce = 0;          ///< random; seeds the checksums of the records
    std::uint32_t segment_bytes = 0;  ///< preallocated size of the file
    std::uint32_t previous_seal =
        0;  ///< offset of the seal of the segment before; 0: there is none
    /// The size of the file when it was made: this header, and a record of the kept note if there
    /// was one. All later bytes were added after that.
    std::uint32_t made_bytes = segment_header_bytes;

    friend bool operator==(const SegmentHeader&, const SegmentHeader&) = default;
};

/// A segment header as bytes of the file.
using SegmentHeaderBytes = std::array<std::byte, segment_header_bytes>;

/// Returns the bytes of a segment header.
[[nodiscard]] inline SegmentHeaderBytes encode(const SegmentHeader& h) noexcept {
    SegmentHeaderBytes bytes{};
    std::byte* const p = bytes.data();
    for (std::size_t i = 0; i < magic.size(); ++i) p[i] = static_cast<std::byte>(magic[i]);
    store_le<std::uint32_t>(p + 8, version);
    store_le<std::uint32_t>(p + 12, segment_header_bytes);
    for (std::size_t i = 0; i < 16; ++i) p[16 + i] = h.journal[i];
    store_le<std::uint64_t>(p + 32, h.index);
    store_le<std::uint64_t>(p + 40, h.first);
    store_le<std::uint64_t>(p + 48, h.check);
    store_le<std::uint64_t>(p + 56, h.acked);
    for (std::size_t i = 0; i < 16; ++i) p[64 + i] = h.pin[i];
    store_le<std::uint32_t>(p + 80, h.run);
    store_le<std::uint32_t>(p + 84, h.salt);
    store_le<std::uint32_t>(p + 88, h.nonce);
    store_le<std::uint32_t>(p + 92, h.segment_bytes);
    // 96..103 are zero: a set of features that a reader must support.
    store_le<std::uint32_t>(p + 104, h.previous_seal);
    store_le<std::uint32_t>(p + 108, h.made_bytes);
    // 112..123 are zero, and free.
    store_le<std::uint32_t>(p + 124, part::crc32c({p, 124}));
    return bytes;
}

/// Reads a segment's header.
///
/// Errors: foreign_file (no magic), other_version (another version or an unknown feature),
/// corrupt.
[[nodiscard]] inline Result<SegmentHeader> decode_segment_header(BytesView bytes) noexcept {
    const std::byte* const p = bytes.data();
    if (bytes.size() < segment_header_bytes) return make_error_code(QueueErrc::corrupt);
    if (as_text(bytes.first(magic.size())) != magic) {
        return make_error_code(QueueErrc::foreign_file);
    }
    // Another version may have another header, with its checksum elsewhere.
    if (load_le<std::uint32_t>(p + 8) != version) return make_error_code(QueueErrc::other_version);
    if (load_le<std::uint32_t>(p + 124) != part::crc32c({p, 124}) ||
        load_le<std::uint32_t>(p + 12) != segment_header_bytes) {
        return make_error_code(QueueErrc::corrupt);
    }
    if (load_le<std::uint64_t>(p + 96) != 0) return make_error_code(QueueErrc::other_version);
    SegmentHeader h;
    for (std::size_t i = 0; i < 16; ++i) h.journal[i] = p[16 + i];
    h.index = load_le<std::uint64_t>(p + 32);
    h.first = load_le<std::uint64_t>(p + 40);
    h.check = load_le<std::uint64_t>(p + 48);
    h.acked = load_le<std::uint64_t>(p + 56);
    for (std::size_t i = 0; i < 16; ++i) h.pin[i] = p[64 + i];
    h.run = load_le<std::uint32_t>(p + 80);
    h.salt = load_le<std::uint32_t>(p + 84);
    h.nonce = load_le<std::uint32_t>(p + 88);
    h.segment_bytes = load_le<std::uint32_t>(p + 92);
    h.previous_seal = load_le<std::uint32_t>(p + 104);
    h.made_bytes = load_le<std::uint32_t>(p + 108);
    return h;
}

/// The content of the first 24 bytes of a record.
struct RecordHeader {
    std::uint32_t crc = 0;     ///< see `record_crc`
    std::uint32_t length = 0;  ///< bytes of payload
    std::uint64_t number = 0;  ///< its meaning depends on the kind
    /// The offset below which all of the segment was on the medium when the record was made. It
    /// distinguishes damage (something invalid below it) from a crash (something invalid above).
    std::uint32_t durable = 0;
    /// The kind of its payload.
    Kind kind = Kind::none;
    std::uint32_t run = 0;  ///< the low 24 bits of the run that wrote the record
};

/// Returns the bits of a run that each record has.
[[nodiscard]] constexpr std::uint32_t run_in_record(std::uint32_t run) noexcept {
    return run & 0xFFFFFFU;
}
/// Returns the first run from `run` on whose records have these bits.
[[nodiscard]] constexpr std::uint32_t run_from(std::uint32_t run, std::uint32_t bits) noexcept {
    return run + run_in_record(bits - run);
}

/// Writes the bytes of a record header to `p`.   Pre: record_header_bytes at `p`.
inline void encode(const RecordHeader& h, std::byte* p) noexcept {
    store_le<std::uint32_t>(p, h.crc);
    store_le<std::uint32_t>(p + 4, h.length);
    store_le<std::uint64_t>(p + 8, h.number);
    store_le<std::uint32_t>(p + 16, h.durable);
    store_le<std::uint32_t>(p + 20, h.run << 8 | static_cast<std::uint8_t>(h.kind));
}

/// Reads a record header, whose fields the caller must check.   Pre: record_header_bytes at `p`.
[[nodiscard]] inline RecordHeader decode_record_header(const std::byte* p) noexcept {
    return {load_le<std::uint32_t>(p),     load_le<std::uint32_t>(p + 4),
            load_le<std::uint64_t>(p + 8), load_le<std::uint32_t>(p + 16),
            static_cast<Kind>(p[20]),      load_le<std::uint32_t>(p + 20) >> 8};
}

/// Returns the checksum of a record.
///
/// It covers bytes 4..23 of the record's header, then the payload's own CRC32C. `seed` is that of
/// `record_seed`. Equal bytes under two seeds never have the same CRC. Therefore bytes of another
/// file, or of another place in this file, are never taken for a record. The payload's checksum is
/// a separate step because `check` needs it, too.
[[nodiscard]] inline std::uint32_t record_crc(
    const std::byte* header,
    // NOLINTNEXTLINE(bugprone-easily-swappable-parameters): as crc32c, the seed last
    std::uint32_t payload_crc, std::uint32_t seed) noexcept {
    std::array<std::byte, 24> bytes;
    for (std::size_t i = 0; i < 20; ++i) bytes[i] = header[4 + i];
    store_le<std::uint32_t>(bytes.data() + 20, payload_crc);
    return part::crc32c(bytes, seed);
}

/// Returns the only seed under which a record has the checksum `crc`, given its checksum under seed
/// 0.
[[nodiscard]] constexpr std::uint32_t seed_by_crc(std::uint32_t crc,
                                                  std::uint32_t crc_under_0) noexcept {
    // The two differ by the seed, shifted through the 24 bytes of `record_crc`; this shifts it
    // back.
    std::uint32_t seed = crc ^ crc_under_0;
    for (int bit = 0; bit < 24 * 8; ++bit) {
        seed = (seed >> 31) != 0 ? (seed ^ 0x82F63B78U) << 1 | 1U : seed << 1;
    }
    return seed;
}

/// Returns the seed of the record at an offset of a segment.
[[nodiscard]] constexpr std::uint32_t record_seed(std::uint32_t nonce,
                                                  std::uint64_t offset) noexcept {
    return nonce + static_cast<std::uint32_t>(offset);
}

/// Returns the nonce that gives the record at an offset a seed.
[[nodiscard]] constexpr std::uint32_t nonce_of(std::uint32_t seed, std::uint64_t offset) noexcept {
    return seed - static_cast<std::uint32_t>(offset);
}

/// A run that began in a segment; operations from `first` on belong to it.
struct Opening {
    std::uint64_t first = 0;  ///< the number of the first operation
    std::uint32_t run = 0;    ///< the run
    std::uint32_t salt = 0;   ///< its salt

    friend bool operator==(const Opening&, const Opening&) = default;
};

/// A place in a segment from which records can be read in order.
struct Mark {
    std::uint64_t check = 0;   ///< the check at the operation before
    std::uint32_t offset = 0;  ///< the offset of the operation's record

    friend bool operator==(const Mark&, const Mark&) = default;
};

/// The content of a seal: all that opening a journal needs of its segment.
struct Seal {
    std::uint64_t check = 0;  ///< the check at the last operation
    /// The runs that began here. If several began at the same operation, only the last.
    std::vector<Opening> openings;
    /// Where some operations begin, in order.
    std::vector<Mark> marks;

    friend bool operator==(const Seal&, const Seal&) = default;
};

/// Returns the size of a seal's payload.
[[nodiscard]] constexpr std::size_t seal_payload_bytes(std::size_t openings,
                                                       std::size_t marks) noexcept {
    return 16 + 16 * openings + 12 * marks;
}

/// Returns the payload of a seal.   Throws: std::bad_alloc.
[[nodiscard]] inline Bytes encode_seal(std::uint64_t check, const std::vector<Opening>& openings,
                                       const std::vector<Mark>& marks) {
    Bytes bytes(seal_payload_bytes(openings.size(), marks.size()));
    std::byte* p = bytes.data();
    store_le<std::uint64_t>(p, check);
    store_le<std::uint32_t>(p + 8, static_cast<std::uint32_t>(openings.size()));
    store_le<std::uint32_t>(p + 12, static_cast<std::uint32_t>(marks.size()));
    p += 16;
    for (const Opening& opening : openings) {
        store_le<std::uint64_t>(p, opening.first);
        store_le<std::uint32_t>(p + 8, opening.run);
        store_le<std::uint32_t>(p + 12, opening.salt);
        p += 16;
    }
    for (const Mark& mark : marks) {
        store_le<std::uint64_t>(p, mark.check);
        store_le<std::uint32_t>(p + 8, mark.offset);
        p += 12;
    }
    return bytes;
}

/// Reads the payload of a seal.
///
/// Errors: corrupt, if its length is not the one that it declares.   Throws: std::bad_alloc.
[[nodiscard]] inline Result<Seal> decode_seal(BytesView payload) {
    const std::byte* p = payload.data();
    if (payload.size() < 16) return make_error_code(QueueErrc::corrupt);
    const std::uint64_t openings = load_le<std::uint32_t>(p + 8);
    const std::uint64_t marks = load_le<std::uint32_t>(p + 12);
    if (payload.size() != 16 + 16 * openings + 12 * marks) {
        return make_error_code(QueueErrc::corrupt);
    }
    Seal seal{load_le<std::uint64_t>(p), std::vector<Opening>(static_cast<std::size_t>(openings)),
              std::vector<Mark>(static_cast<std::size_t>(marks))};
    p += 16;
    for (Opening& opening : seal.openings) {
        opening = {load_le<std::uint64_t>(p), load_le<std::uint32_t>(p + 8),
                   load_le<std::uint32_t>(p + 12)};
        p += 16;
    }
    for (Mark& mark : seal.marks) {
        mark = {load_le<std::uint64_t>(p), load_le<std::uint32_t>(p + 8)};
        p += 12;
    }
    return seal;
}

/// Returns the file name of a segment: its index in 16 hexadecimal digits, and ".journal".
[[nodiscard]] inline std::string segment_name(std::uint64_t index) {
    std::string name(16, '0');
    for (std::size_t i = 16; i-- > 0; index >>= 4) name[i] = detail::hex_digits[index & 15];
    return name.append(segment_suffix);
}

/// Returns the index in a segment's file name, or 0 if it is not the name of a segment.
[[nodiscard]] inline std::uint64_t segment_index(std::string_view name) noexcept {
    if (name.size() != 16 + segment_suffix.size() || !name.ends_with(segment_suffix)) return 0;
    std::uint64_t index = 0;
    for (const char c : name.substr(0, 16)) {
        const std::size_t value = detail::hex_digits.find(c);
        if (value == detail::hex_digits.npos) return 0;
        index = index << 4 | std::uint64_t{value};
    }
    return index;
}

}}}  // namespace belay::journal_format

namespace belay { inline namespace BELAY_ABI { namespace journal_format {

/// Returns the check before the first operation, which depends only on the journal.
/// Complexity: O(1).
[[nodiscard]] constexpr std::uint64_t first_check(const Id& journal) noexcept {
    return load_le<std::uint64_t>(journal.data());
}

// NOLINTBEGIN(bugprone-easily-swappable-parameters): in the order of hashing
/// Returns the check after an operation whose checksum and length are known.
///
/// `salt` is that of the run that accepted the operation. It distinguishes equal payloads of two
/// runs.
/// Errors: none.   Complexity: O(1).
/// Source: the session protocol, section 2.
[[nodiscard]] constexpr std::uint64_t next_check(std::uint64_t previous, std::uint32_t crc,
                                                 std::uint32_t length,
                                                 std::uint32_t salt) noexcept {
    const std::uint64_t body = (std::uint64_t{crc} << 32) | length;
    const std::uint64_t step = 0x9E3779B97F4A7C15U * (std::uint64_t{salt} + 1);
    return detail::mix64((previous ^ body) + step);
}
// NOLINTEND(bugprone-easily-swappable-parameters)

/// Returns the check after an operation with this body.   Complexity: O(length of the body).
///
/// Pre: the body is shorter than 4 GiB.
[[nodiscard]] inline std::uint64_t next_check(std::uint64_t previous, BytesView body,
                                              std::uint32_t salt) noexcept {
    BELAY_PRECONDITION(body.size() <= 0xFFFFFFFFU,
                       "next_check: the body must be smaller than 4 GiB");
    return next_check(previous, part::crc32c(body), static_cast<std::uint32_t>(body.size()), salt);
}

}}}  // namespace belay::journal_format
