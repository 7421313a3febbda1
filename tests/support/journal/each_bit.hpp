// SPDX-License-Identifier: MIT
/// \file tests/support/journal/each_bit.hpp
/// Every bit of the first records of a journal's first file, flipped one after the other.
#pragma once

#include <belay/journal/journal_format.hpp>
#include <belay/sim/disk.hpp>

#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/seeds.hpp"

namespace belay_test {

/// A record in a file.
struct PlacedRecord {
    std::size_t offset = 0;
    std::size_t end = 0;  // of its payload
    belay::journal_format::RecordHeader header;

    /// The operation that a damaged byte hits; 0 if none. No check covers the bytes after the
    /// payload.
    [[nodiscard]] std::uint64_t operation_at(std::size_t byte) const {
        const bool hits = header.kind == belay::journal_format::Kind::operation && byte < end;
        return hits ? header.number : 0;
    }
};

/// The records of a segment without damage.
inline std::vector<PlacedRecord> records_of(belay::BytesView segment) {
    using namespace belay::journal_format;
    std::vector<PlacedRecord> records;
    for (std::size_t at = segment_header_bytes; at + record_header_bytes <= segment.size();) {
        const RecordHeader h = decode_record_header(segment.data() + at);
        if (h.kind == Kind::none) break;
        records.push_back({at, at + record_header_bytes + h.length, h});
        at += record_bytes(h.length);
    }
    return records;
}

/// Calls `check(disk, hit)` for every bit up to the record of operation `last`. The disk has the
/// journal in `directory` with that bit of its first file flipped. `hit` is the operation that the
/// bit belongs to, or 0. BELAY_SEEDS=10000 selects all bits, which takes half a minute. By default,
/// all bits of every fourth record and of bytes outside of operations are used, and every fifth of
/// the others. With small values of BELAY_SEEDS they are few.
template <class Check>
void for_each_bit(const belay::sim::Disk::Image& image, const std::string& directory,
                  std::uint64_t last, Check&& check) {
    const std::string path = directory + '/' + belay::journal_format::segment_name(1);
    belay::Bytes whole;
    for (const auto& [name, bytes] : image) {
        if (name == path) whole = bytes;
    }
    const std::uint64_t seeds = from_environment("BELAY_SEEDS", 2000);
    std::size_t bit = 8 * belay::journal_format::segment_header_bytes;
    for (const PlacedRecord& record : records_of(whole)) {
        const auto next = record.offset + belay::journal_format::record_bytes(record.header.length);
        const bool is_one_of_many =
            record.header.number % 4 != 0 && record.operation_at(record.offset) != 0;
        const std::size_t some = is_one_of_many ? 5 : 1;
        for (; bit < 8 * next; bit += seeds >= 10'000 ? 1 : seeds >= 1000 ? some : 13) {
            belay::Bytes damaged = whole;
            damaged[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
            belay::sim::Disk disk;
            disk.restore(image);
            disk.put(path, std::move(damaged));
            INFO("bit " << bit % 8 << " of byte " << bit / 8 - record.offset << " of the record at "
                        << record.offset << ", of kind " << static_cast<int>(record.header.kind)
                        << " and number " << record.header.number);
            check(disk, record.operation_at(bit / 8));
        }
        if (record.operation_at(record.offset) == last) return;
    }
    FAIL("the first file does not have that many");
}

}  // namespace belay_test
