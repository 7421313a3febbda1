// SPDX-License-Identifier: MIT
// Goal: after damage no content of a body is taken for a record, and every real record is found.
// Method: bodies of small integers, as a lost sector exposes them, bodies with content that only
// the nonce of their file can make, and records copied over each other.
#include <belay/journal/detail/record_evidence.hpp>

#include <algorithm>
#include <set>

#include <belay/journal/journal_inspect.hpp>
#include <belay/journal/journal_salvage.hpp>

#include "support/journal/each_bit.hpp"
#include "support/journal/journal_model.hpp"
#include "support/seeds.hpp"

using namespace belay;
using namespace belay_test;
using journal_format::Kind;
using journal_format::RecordHeader;

namespace {

/// Puts a record into a body, as nobody who does not know the nonce can.
void put_like_record(Bytes& body, std::size_t at, RecordHeader h, std::uint32_t seed) {
    encode(h, body.data() + at);
    const BytesView payload =
        BytesView{body}.subspan(at + journal_format::record_header_bytes, h.length);
    h.crc = journal_format::record_crc(body.data() + at, part::crc32c(payload), seed);
    encode(h, body.data() + at);
}
void zero_sector(sim::Disk& disk, std::size_t at) {
    Bytes bytes = disk.contents(segment_file(1));
    std::fill_n(bytes.begin() + static_cast<std::ptrdiff_t>(at / 512 * 512), 512, std::byte{0});
    disk.put(segment_file(1), bytes);
}
JournalOptions with_room(std::size_t body_bytes, Seed seed) {
    return {.segment_bytes = body_bytes + (1 << 16), .record_bytes_max = body_bytes, .seed = seed};
}
/// Ten short operations, a long one, and a hundred short ones. `make(nonce)` makes the long one.
template <class Make>
void write_around(sim::Disk& disk, const JournalOptions& options, Make&& make) {
    auto journal = SimJournal::open(disk, "q", options);
    REQUIRE(journal);
    const auto header = journal_format::decode_segment_header(disk.contents(segment_file(1)));
    REQUIRE(header);
    for (int i = 0; i < 10; ++i) REQUIRE(journal->append(Bytes(100, std::byte{9})));
    REQUIRE_FALSE(journal->commit());
    REQUIRE(journal->append(make(header->nonce)));
    REQUIRE_FALSE(journal->commit());
    for (int i = 0; i < 100; ++i) REQUIRE(journal->append(Bytes(100, std::byte{9})));
    REQUIRE_FALSE(journal->commit());
    disk.kill();
}
/// The numbers that an inspection shows, all of them of short operations.
std::vector<std::uint64_t> short_ones(sim::Disk& disk, tool::JournalReport& report) {
    std::vector<std::uint64_t> numbers;
    auto found = tool::inspect_journal(disk, "q", [&](std::uint64_t number, BytesView body) {
        REQUIRE(body.size() == 100);
        numbers.push_back(number);
    });
    REQUIRE(found);
    report = std::move(*found);
    return numbers;
}
std::vector<std::uint64_t> all_but(std::uint64_t last, const std::set<std::uint64_t>& lost) {
    std::vector<std::uint64_t> numbers;
    for (std::uint64_t n = 1; n <= last; ++n) {
        if (!lost.contains(n)) numbers.push_back(n);
    }
    return numbers;
}

}  // namespace

TEST_CASE("Small integers in a body after a lost sector are not taken for a record",
          "[journal][record_evidence][regression]") {
    const std::size_t bytes = std::size_t{1} << 20;
    for_each_seed(
        [&](Seed seed) {
            sim::Disk disk;
            write_around(disk, with_room(bytes, seed), [&](std::uint32_t) {
                Random bits{seed};
                Bytes body(bytes);
                for (std::size_t i = 0; i < body.size(); i += 4) {
                    const auto value = static_cast<std::uint32_t>(1 + bits() % 6);
                    store_le<std::uint32_t>(body.data() + i, value);
                }
                return body;
            });
            zero_sector(disk, journal_format::segment_header_bytes + 10 * 128);
            tool::JournalReport report;
            const auto numbers = short_ones(disk, report);
            // The sector has the ends of two short ones and the header of the long one.
            const std::uint64_t first = numbers.size() - 100;
            REQUIRE(numbers == all_but(111, [&] {
                        std::set<std::uint64_t> lost;
                        for (std::uint64_t n = first + 1; n <= 11; ++n) lost.insert(n);
                        return lost;
                    }()));
            REQUIRE(report.damages.size() == 1);
            REQUIRE(report.lost == std::vector<tool::JournalReport::Range>{{first + 1, 11}});
            REQUIRE(tool::salvage_journal(disk, "q", "new", with_room(bytes, seed))->copied ==
                    first + 100);
        },
        12);
}

TEST_CASE("A record of a later run without an opening needs a plausible number",
          "[journal][record_evidence][regression]") {
    const std::uint64_t number = GENERATE(std::uint64_t{1} << 32, 600);
    const Kind kind = GENERATE(Kind::operation, Kind::ack, Kind::seal);
    const std::uint32_t ahead = GENERATE(0U, 1U, 3U, 40U);
    constexpr std::size_t bytes = 8192;
    const auto make = [&](std::uint32_t nonce) {
        Bytes body(bytes, std::byte{0});
        RecordHeader h;
        h.kind = kind;
        h.length = kind == Kind::seal ? 16 : 0;
        h.number = number;
        h.durable = 1600;
        put_like_record(body, 4096, h, journal_format::record_seed(nonce, 1 + ahead));
        return body;
    };
    sim::Disk disk;
    write_around(disk, with_room(bytes, Seed{1}), make);
    zero_sector(disk, journal_format::segment_header_bytes + 10 * 128 + 8);
    tool::JournalReport report;
    CHECK(short_ones(disk, report).size() >= 107);
    CHECK(report.acked == 0);
    CHECK(report.damages.size() == 1);

    // The same in what a crash tore: it opens, since nothing was promised.
    sim::Disk torn;
    std::size_t end = 0;
    {
        auto journal = SimJournal::open(torn, "q", with_room(bytes, Seed{1}));
        REQUIRE(journal);
        const auto header = journal_format::decode_segment_header(torn.contents(segment_file(1)));
        REQUIRE(journal->append(Bytes(100, std::byte{9})));
        REQUIRE_FALSE(journal->commit());
        end = journal_format::segment_header_bytes + static_cast<std::size_t>(journal->bytes());
        REQUIRE(journal->append(make(header->nonce)));
        REQUIRE_FALSE(journal->commit());
        torn.kill();
    }
    Bytes file = torn.contents(segment_file(1));
    std::fill_n(file.begin() + static_cast<std::ptrdiff_t>(end), 512, std::byte{0});
    torn.put(segment_file(1), file);
    auto opened = SimJournal::open(torn, "q", with_room(bytes, Seed{2}));
    REQUIRE(opened);
    CHECK(opened->last() == 1);
    CHECK(opened->report().truncated_bytes > 3000);
}

TEST_CASE("One operation after openings that were lost with their sector is accepted",
          "[journal][record_evidence][regression]") {
    const int runs = GENERATE(1, 2, 5);
    sim::Disk disk;
    for (int run = 0; run <= runs; ++run) {
        auto journal = SimJournal::open(disk, "q", small_journal(1));
        REQUIRE(journal);
        // So that the last one begins a sector.
        if (run == runs) REQUIRE(journal->append(Bytes(400, std::byte{1})));
        REQUIRE(journal->append(Bytes(100, std::byte{2})));
        REQUIRE_FALSE(journal->commit());
        disk.kill();
    }
    Bytes bytes = disk.contents(segment_file(1));
    const auto records = records_of(bytes);
    const std::size_t from = records[1].offset;
    const std::size_t to = records.back().offset;
    std::fill(bytes.begin() + static_cast<std::ptrdiff_t>(from),
              bytes.begin() + static_cast<std::ptrdiff_t>(to), std::byte{0});
    disk.put(segment_file(1), bytes);
    std::vector<std::uint64_t> shown;
    const auto report =
        tool::inspect_journal(disk, "q", [&](std::uint64_t n, BytesView) { shown.push_back(n); });
    REQUIRE(report);
    const auto last = static_cast<std::uint64_t>(runs) + 2;
    CHECK(shown == std::vector<std::uint64_t>{1, last});
    CHECK(report->unfinished_bytes == 0);
    CHECK(report->lost == std::vector<tool::JournalReport::Range>{{2, last - 1}});
    CHECK(SimJournal::open(disk, "q", small_journal(1)).error().code == QueueErrc::corrupt);
}

TEST_CASE("Equal integers in a body are no seed for a file without its header",
          "[journal][record_evidence][regression]") {
    const std::uint32_t value = GENERATE(0U, 1U, 2U, 3U, 4U, 5U, 6U, 7U);
    // Six of them, of which the fifth may be a kind.
    const bool is_struct = GENERATE(false, true);
    constexpr std::size_t bytes = 4096;
    sim::Disk disk;
    {
        auto journal = SimJournal::open(disk, "q", with_room(bytes, Seed{1}));
        REQUIRE(journal);
        Bytes body(bytes);
        for (std::size_t i = 0; i + 4 <= bytes; i += 4) {
            const bool is_zero = is_struct && i / 4 % 2 == 1;
            store_le<std::uint32_t>(body.data() + i, is_zero ? 0 : value);
        }
        REQUIRE(journal->append(body));
        REQUIRE_FALSE(journal->commit());
        for (int i = 0; i < 100; ++i) REQUIRE(journal->append(Bytes(100, std::byte{9})));
        REQUIRE_FALSE(journal->commit());
        disk.kill();
    }
    zero_sector(disk, 0);
    tool::JournalReport report;
    CHECK(short_ones(disk, report) == all_but(101, {1}));
    CHECK(report.acked == 0);
    CHECK(tool::salvage_journal(disk, "q", "new", with_room(bytes, Seed{2}))->copied == 100);
}

TEST_CASE("The runs of a file without its header are counted by an opening",
          "[journal][record_evidence][regression]") {
    // Most records are of a run in the middle; others before and behind it, by one each.
    sim::Disk disk;
    std::uint64_t last = 0;
    for (const int operations : {2, 2, 9, 1, 2, 1}) {
        auto journal = SimJournal::open(disk, "q", small_journal(1));
        REQUIRE(journal);
        for (int i = 0; i < operations; ++i) REQUIRE(journal->append(body_of(++last, 0)));
        REQUIRE_FALSE(journal->commit());
        disk.kill();
    }
    Bytes bytes = disk.contents(segment_file(1));
    std::fill_n(bytes.begin(), journal_format::segment_header_bytes, std::byte{0});
    disk.put(segment_file(1), bytes);
    std::vector<std::uint64_t> shown;
    const auto report = tool::inspect_journal(disk, "q", [&](std::uint64_t n, BytesView body) {
        const Bytes expected = body_of(n, 0);
        REQUIRE(std::equal(body.begin(), body.end(), expected.begin(), expected.end()));
        shown.push_back(n);
    });
    REQUIRE(report);
    CHECK(shown == all_but(last, {}));
    CHECK(report->run == 6);
}

TEST_CASE("A later record copied over an earlier one costs only the records that it covers",
          "[journal][record_evidence][regression]") {
    sim::Disk disk;
    // Of three runs, in a file that is sealed: reading and inspecting must agree.
    std::uint64_t last = 0;
    for (int run = 0; run < 3 || disk.contents(segment_file(2)).empty(); ++run) {
        auto journal = SimJournal::open(disk, "q", small_journal(1));
        REQUIRE(journal);
        for (int i = 0; i < 12; ++i) {
            REQUIRE(journal->append(Bytes(40 + last % 3 * 8, static_cast<std::byte>(last))));
            ++last;
            if (i % 4 == 3) REQUIRE_FALSE(journal->commit());
        }
        REQUIRE_FALSE(journal->commit());
    }
    const sim::Disk::Image image = disk.image();
    const Bytes whole = disk.contents(segment_file(1));
    const std::vector<PlacedRecord> records = records_of(whole);
    const std::uint64_t first_behind =
        journal_format::decode_segment_header(disk.contents(segment_file(2)))->first;
    for (const PlacedRecord& from : records) {
        for (const PlacedRecord& to : records) {
            const bool is_copied =
                from.header.kind == Kind::operation || from.header.kind == Kind::opening;
            if (!is_copied || from.offset <= to.offset || to.header.kind == Kind::seal) continue;
            const std::size_t length = journal_format::record_bytes(from.header.length);
            if (to.offset + length > from.offset) continue;
            Bytes bytes = whole;
            std::copy_n(whole.begin() + static_cast<std::ptrdiff_t>(from.offset), length,
                        bytes.begin() + static_cast<std::ptrdiff_t>(to.offset));
            std::set<std::uint64_t> covered;
            for (const PlacedRecord& r : records) {
                if (r.header.kind == Kind::operation && r.offset < to.offset + length &&
                    r.end > to.offset) {
                    covered.insert(r.header.number);
                }
            }
            disk.restore(image);
            disk.put(segment_file(1), bytes);
            INFO("the record at " << from.offset << " copied to " << to.offset);
            std::vector<std::uint64_t> shown;
            REQUIRE(tool::inspect_journal(disk, "q",
                                          [&](std::uint64_t n, BytesView) { shown.push_back(n); }));
            REQUIRE(shown == all_but(last, covered));
            auto journal = SimJournal::open(disk, "q", small_journal(1));
            REQUIRE(journal);
            for (std::uint64_t n = 1; n < first_behind; ++n) {
                REQUIRE(journal->read(n).has_value() == !covered.contains(n));
            }
        }
    }
}

TEST_CASE("A record that refers to later bytes of the medium is never valid",
          "[journal][record_evidence][regression]") {
    sim::Disk disk;
    {
        auto journal = SimJournal::open(disk, "q", small_journal(1));
        REQUIRE(journal);
        for (std::uint64_t n = 1; disk.contents(segment_file(2)).empty(); ++n) {
            REQUIRE(journal->append(body_of(n, 0)));
        }
        REQUIRE_FALSE(journal->commit());
    }
    const bool is_last = GENERATE(false, true);
    const std::string path = segment_file(is_last ? 2 : 1);
    Bytes bytes = disk.contents(path);
    const auto header = journal_format::decode_segment_header(bytes);
    const PlacedRecord record = records_of(bytes)[0];
    RecordHeader h = record.header;
    h.durable = static_cast<std::uint32_t>(record.offset) + 8;
    put_like_record(bytes, record.offset, h,
                    journal_format::record_seed(header->nonce, header->run));
    disk.put(path, bytes);
    std::vector<std::uint64_t> shown;
    const auto report =
        tool::inspect_journal(disk, "q", [&](std::uint64_t n, BytesView) { shown.push_back(n); });
    REQUIRE(report);
    CHECK_FALSE(report->is_whole());
    CHECK(std::find(shown.begin(), shown.end(), h.number) == shown.end());
    JournalOptions everything = small_journal(1);
    everything.verify = Verify::everything;
    CHECK(SimJournal::open(disk, "q", everything).error().code == QueueErrc::corrupt);
    auto opened = SimJournal::open(disk, "q", small_journal(1));
    REQUIRE(opened.has_value() != is_last);
    if (opened) {
        CHECK(opened->read(h.number).error() == QueueErrc::corrupt);
        CHECK(opened->read(h.number + 1));
    }
}
