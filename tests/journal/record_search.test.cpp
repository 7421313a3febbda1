// SPDX-License-Identifier: MIT
// Goal: records after damage are found. No content of a body is taken for a record if the search
// can decide that. A file full of damage is read only a few times by each reader. Method:
// handwritten bytes; damaged journals on a disk that counts the bytes read.
#include <belay/journal/detail/record_search.hpp>

#include <string>

#include <belay/journal/journal.hpp>
#include <belay/journal/journal_inspect.hpp>
#include <belay/sim/disk.hpp>

#include "support/journal/each_bit.hpp"

using namespace belay;
using namespace belay_test;
using journal_format::Kind;
using journal_format::RecordHeader;

namespace {

constexpr std::uint32_t search_nonce = 77;

/// Appends a record to `bytes`, which begin a segment.
void add_record(Bytes& bytes, Kind kind, std::uint64_t number, BytesView payload) {
    const std::size_t at = bytes.size();
    bytes.resize(at + journal_format::record_bytes(payload.size()));
    RecordHeader h;
    h.length = static_cast<std::uint32_t>(payload.size());
    h.number = number;
    h.kind = kind;
    encode(h, bytes.data() + at);
    h.crc = journal_format::record_crc(bytes.data() + at, part::crc32c(payload),
                                       journal_format::record_seed(search_nonce, at));
    encode(h, bytes.data() + at);
    std::copy(payload.begin(), payload.end(),
              bytes.data() + at + journal_format::record_header_bytes);
}
bool any_record(const detail::FoundRecord&) { return true; }

/// A disk that counts the bytes that are read.
struct ReadCountingDisk : sim::Disk {
    class File : public sim::Disk::File {
    public:
        File(sim::Disk::File file, ReadCountingDisk& disk) noexcept
            : sim::Disk::File{std::move(file)}, disk_{&disk} {}
        [[nodiscard]] Result<std::size_t> read(std::uint64_t offset,
                                               std::span<std::byte> into) const noexcept {
            const auto count = sim::Disk::File::read(offset, into);
            if (count) disk_->bytes_read += *count;
            return count;
        }

    private:
        ReadCountingDisk* disk_;
    };
    [[nodiscard]] Result<File> open(const std::string& path, OpenMode mode) noexcept {
        auto file = sim::Disk::open(path, mode);
        if (!file) return file.error();
        return File{std::move(*file), *this};
    }

    std::uint64_t bytes_read = 0;
};

/// A journal in "q" of two files or more; returns the size of the first.
std::size_t fill_counted(ReadCountingDisk& disk, std::size_t body_bytes) {
    auto journal = Journal<ReadCountingDisk>::open(disk, "q",
                                                   {.segment_bytes = std::size_t{2} << 20,
                                                    .record_bytes_max = std::size_t{1} << 20,
                                                    .seed = Seed{1}});
    REQUIRE(journal);
    Bytes body(body_bytes);
    for (std::size_t i = 0; i < body.size(); ++i) body[i] = static_cast<std::byte>(i * 7);
    while (journal->bytes() < std::size_t{5} << 19) REQUIRE(journal->append(body));
    REQUIRE_FALSE(journal->commit());
    return std::size_t{2} << 20;
}
Bytes first_file(const sim::Disk& disk) {
    for (const auto& [path, bytes] : disk.image()) {
        if (path == "q/" + journal_format::segment_name(1)) return bytes;
    }
    return {};
}

}  // namespace

TEST_CASE("RecordSearch::next finds records by their nonce and their place",
          "[journal][record_search][unit]") {
    Bytes bytes;
    add_record(bytes, Kind::operation, 5, as_bytes("five"));
    const std::size_t second = bytes.size();
    // A body that is a copy of the bytes before it, like a file that is kept in its own journal.
    Bytes copy = bytes;
    add_record(bytes, Kind::operation, 6, copy);
    const std::size_t third = bytes.size();
    add_record(bytes, Kind::operation, 7, as_bytes("seven"));
    detail::MemoryBytes part{bytes};
    detail::RecordSearch records{part};
    const auto first = records.at(0);
    REQUIRE(first);
    CHECK(first->nonce == search_nonce);
    CHECK(first->header.number == 5);
    CHECK(first->end() == second);
    CHECK(records.next(8, search_nonce, any_record)->offset == second);
    for (const std::size_t damaged : {4U, 8U, 16U, 20U, 21U, 24U}) {
        Bytes other = bytes;
        other[second + damaged] ^= std::byte{1};
        detail::MemoryBytes other_part{other};
        detail::RecordSearch others{other_part};
        const auto next = others.next(second, search_nonce, any_record);
        REQUIRE(next);
        CHECK(next->offset == third);
        CHECK_FALSE(others.next(second, search_nonce + 1, any_record));
        CHECK_FALSE(others.next(third + 8, search_nonce, any_record));
    }
}

TEST_CASE("RecordSearch does not skip a record because of a damaged length",
          "[journal][record_search][unit]") {
    Bytes bytes;
    // The second record begins 32 bytes after the first, and the third 32 bytes after that.
    for (std::uint64_t n = 1; n <= 3; ++n)
        add_record(bytes, Kind::operation, n, as_bytes("12345678"));
    bytes[4] ^= std::byte{32};
    detail::MemoryBytes part{bytes};
    detail::RecordSearch records{part};
    const auto next = records.next(0, search_nonce, any_record);
    REQUIRE(next);
    CHECK(next->header.number == 2);
}

TEST_CASE("Journal reads a file full of damage only a few times",
          "[journal][record_search][regression]") {
    const std::size_t every = GENERATE(std::size_t{1}, std::size_t{2}, std::size_t{40});
    const std::size_t part = GENERATE(std::size_t{5}, std::size_t{8}, std::size_t{20});
    const bool backwards = GENERATE(false, true);
    ReadCountingDisk disk;
    const std::size_t file_bytes = fill_counted(disk, 3000);
    Bytes damaged = first_file(disk);
    std::uint64_t last = 0;
    std::uint64_t hit = 0;
    for (const PlacedRecord& record : records_of(damaged)) {
        if (record.header.kind != Kind::operation) continue;
        last = record.header.number;
        if (last % every != 0) continue;
        ++hit;
        damaged[record.offset + part] ^= std::byte{0x42};
    }
    REQUIRE(last > 600);
    const auto bytes_to_read = [&](std::uint64_t corrupt) {
        auto journal = Journal<ReadCountingDisk>::open(disk, "q", {.seed = Seed{2}});
        REQUIRE(journal);
        disk.bytes_read = 0;
        for (std::uint64_t i = 1; i <= last; ++i) {
            const auto body = journal->read(backwards ? last + 1 - i : i);
            if (body) continue;
            REQUIRE(body.error() == QueueErrc::corrupt);
            --corrupt;
        }
        CHECK(corrupt == 0);
        return disk.bytes_read;
    };
    const std::uint64_t of_whole = bytes_to_read(0);
    disk.put("q/" + journal_format::segment_name(1), damaged);
    CHECK(bytes_to_read(hit) < of_whole + 3 * file_bytes);
}

TEST_CASE("A body that resembles long records does not slow down a search",
          "[journal][record_search][regression]") {
    // 350,000 places claim that megabytes follow. Reading them to their ends would read a terabyte,
    // which takes longer than a test may.
    Bytes bytes(std::size_t{8} << 20);
    for (std::size_t at = 0; at + journal_format::record_header_bytes <= bytes.size();
         at += journal_format::record_header_bytes) {
        RecordHeader h;
        h.kind = Kind::operation;
        h.number = at;
        h.length =
            static_cast<std::uint32_t>(bytes.size() - at - journal_format::record_header_bytes);
        encode(h, bytes.data() + at);
    }
    detail::MemoryBytes part{bytes};
    detail::RecordSearch records{part};
    std::uint64_t places = 0;
    for (std::uint64_t at = 0; at < records.end(); at += journal_format::alignment) {
        const auto found = records.at(at);
        if (found && found->nonce != search_nonce) ++places;
    }
    CHECK(places > 340'000);
}

namespace {

/// Counts the bytes that a search reads.
class AskedBytes : public detail::MemoryBytes {
public:
    using MemoryBytes::MemoryBytes;
    [[nodiscard]] BytesView view(std::uint64_t at, std::size_t length) {
        asked += length;
        return MemoryBytes::view(at, length);
    }
    [[nodiscard]] BytesView peek(std::uint64_t at, std::size_t length) { return view(at, length); }

    std::uint64_t asked = 0;
};

/// Bytes that look like a record every 32 bytes, each of which claims a far end inside of others.
Bytes far_records(std::size_t bytes, std::uint32_t durable) {
    Bytes body(bytes);
    for (std::size_t at = 0; at + 32 <= bytes; at += 32) {
        RecordHeader h;
        h.crc = static_cast<std::uint32_t>(0x1234 + at);
        h.length = static_cast<std::uint32_t>(bytes - at > 600'000 ? bytes - at - 500'000 : 16);
        h.number = at;
        h.durable = durable != 0 ? durable : static_cast<std::uint32_t>(at);
        h.kind = Kind::operation;
        encode(h, body.data() + at);
    }
    return body;
}

}  // namespace

TEST_CASE("A tail of records with far positions is read only a few times",
          "[journal][record_search][regression]") {
    const Bytes bytes = far_records(std::size_t{2} << 20, 0);
    AskedBytes asked{bytes};
    detail::RecordSearch<AskedBytes> records{asked};
    CHECK(records.proven_after(0, 1) == 0);
    CHECK(asked.asked < 128 * bytes.size());
}

TEST_CASE("tool::inspect_journal reads a file without its header only a few times",
          "[journal][record_search][regression]") {
    const bool has_header = GENERATE(true, false);
    constexpr std::size_t bytes = std::size_t{1} << 20;
    ReadCountingDisk disk;
    {
        auto journal = Journal<ReadCountingDisk>::open(
            disk, "q",
            {.segment_bytes = 2 * bytes, .record_bytes_max = bytes + 1000, .seed = Seed{1}});
        REQUIRE(journal);
        REQUIRE(journal->append(far_records(bytes, 100)));
        REQUIRE_FALSE(journal->commit());
        for (int i = 0; i < 10; ++i) REQUIRE(journal->append(Bytes(100, std::byte{1})));
        REQUIRE_FALSE(journal->commit());
    }
    Bytes damaged = first_file(disk);
    if (has_header) {
        damaged[300] ^= std::byte{1};
    } else {
        std::fill_n(damaged.begin(), 512, std::byte{0});
    }
    disk.put("q/" + journal_format::segment_name(1), damaged);
    disk.bytes_read = 0;
    std::uint64_t shown = 0;
    REQUIRE(tool::inspect_journal(disk, "q", [&](std::uint64_t, BytesView) { ++shown; }));
    CHECK(shown == 10);
    CHECK(disk.bytes_read < 64 * damaged.size());
}
