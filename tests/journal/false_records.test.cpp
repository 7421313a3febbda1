// SPDX-License-Identifier: MIT
// Goal: after damage no content of a body is taken for a record, and every real record is found.
// Method: bodies of small integers after a lost sector, bodies with content that needs the nonce of
// their file, and records copied over each other.
#include <belay/journal/detail/record_search.hpp>

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

/// Puts a record into a body. The seed is that of another place of its file.
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
/// A body that has records of other places of its file, as a copy of a part of the file has. Without
/// records, it has the same size.
Bytes body_of_other_places(bool has_records, std::uint32_t nonce) {
    constexpr std::size_t record = journal_format::record_header_bytes;
    Bytes body(1024 + 2 * 41 * record, std::byte{7});
    for (std::uint32_t i = 0; has_records && i < 2 * 41; ++i) {
        RecordHeader h;
        h.kind = Kind::operation;
        h.number = 1'000'000 + i % 2;
        h.durable = 600;
        h.run = 1;
        // Right 8 to 328 bytes after this place.
        put_like_record(body, 1024 + i * record, h,
                        journal_format::record_seed(nonce, 600 + 1024 + i * record + i / 2 * 8));
    }
    return body;
}
/// Runs a process that is killed. It makes each operation durable.
void run_killed(sim::Disk& disk, const JournalOptions& options, std::size_t operations,
                std::size_t body_bytes) {
    auto journal = SimJournal::open(disk, "q", options);
    REQUIRE(journal);
    for (std::size_t i = 0; i < operations; ++i) {
        REQUIRE(journal->append(Bytes(body_bytes, static_cast<std::byte>(i + 1))));
        REQUIRE_FALSE(journal->commit());
    }
    disk.kill();
}
/// Writes the groups of operations in order. Before each except the first, `idle` processes open
/// the journal, and append nothing.
void run_groups(sim::Disk& disk, const JournalOptions& options,
                std::initializer_list<std::size_t> groups, int idle) {
    bool is_first = true;
    for (const std::size_t operations : groups) {
        for (int i = 0; i < idle && !is_first; ++i) run_killed(disk, options, 0, 0);
        run_killed(disk, options, operations, 16);
        is_first = false;
    }
}
/// The numbers of all operations that an inspection shows.
std::vector<std::uint64_t> shown_numbers(sim::Disk& disk) {
    std::vector<std::uint64_t> numbers;
    REQUIRE(tool::inspect_journal(disk, "q",
                                  [&](std::uint64_t n, BytesView) { numbers.push_back(n); }));
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
          "[journal][false_records][regression]") {
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
            // The sector has the ends of two short records and the header of the long one.
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

TEST_CASE("A copy of the journal's own file in a body is not taken for records",
          "[journal][false_records][regression]") {
    const std::size_t shift = GENERATE(std::size_t{0}, std::size_t{8}, std::size_t{104});
    sim::Disk disk;
    write_around(disk, with_room(8192, Seed{1}), [&](std::uint32_t) {
        const Bytes file = disk.contents(segment_file(1));
        Bytes body(shift);
        body.insert(body.end(), file.begin(), file.begin() + 4096);
        return body;
    });
    zero_sector(disk, journal_format::segment_header_bytes + 10 * 128 + 8);
    tool::JournalReport report;
    const auto numbers = short_ones(disk, report);
    std::set<std::uint64_t> lost;
    for (std::uint64_t n = numbers.size() - 99; n <= 11; ++n) lost.insert(n);
    CHECK(numbers == all_but(111, lost));
    CHECK(report.damages.size() == 1);
}

TEST_CASE("A body with records of other places is cut off like any other after a torn write",
          "[journal][false_records][regression]") {
    const bool is_hostile = GENERATE(true, false);
    const JournalOptions options = with_room(8192, Seed{1});
    sim::Disk whole;
    std::size_t end = 0;
    std::size_t body_end = 0;
    {
        auto journal = SimJournal::open(whole, "q", options);
        REQUIRE(journal);
        const auto header = journal_format::decode_segment_header(whole.contents(segment_file(1)));
        REQUIRE(header);
        const Bytes body = body_of_other_places(is_hostile, header->nonce);
        REQUIRE(journal->append(Bytes(400, std::byte{9})));
        REQUIRE_FALSE(journal->commit());
        end = journal_format::segment_header_bytes + static_cast<std::size_t>(journal->bytes());
        REQUIRE(journal->append(body));
        REQUIRE_FALSE(journal->commit());
        body_end = end + journal_format::record_bytes(body.size());
        whole.kill();
    }
    // The write did not finish: one sector is missing, or all of them from one on.
    for (std::size_t sector = end / 512; sector <= (body_end - 1) / 512; ++sector) {
        for (const bool is_prefix : {false, true}) {
            sim::Disk disk;
            disk.restore(whole.image());
            Bytes bytes = disk.contents(segment_file(1));
            const std::size_t from = std::max(end, sector * 512);
            const std::size_t to = is_prefix ? bytes.size() : (sector + 1) * 512;
            std::fill(bytes.begin() + static_cast<std::ptrdiff_t>(from),
                      bytes.begin() + static_cast<std::ptrdiff_t>(to), std::byte{0});
            disk.put(segment_file(1), bytes);
            INFO("sector " << sector << (is_prefix ? " and all after it" : ""));
            std::vector<std::uint64_t> shown;
            const auto report = tool::inspect_journal(
                disk, "q", [&](std::uint64_t n, BytesView) { shown.push_back(n); });
            REQUIRE(report);
            CHECK(report->is_whole());
            CHECK(shown == std::vector<std::uint64_t>{1});
            auto saved = tool::salvage_journal(disk, "q", "new", options);
            REQUIRE(saved);
            CHECK(saved->copied == 1);
            auto journal = SimJournal::open(disk, "q", options);
            REQUIRE(journal);
            CHECK(journal->last() == 1);
            CHECK((journal->report().truncated_bytes != 0 || (is_prefix && from == end)));
        }
    }
}

TEST_CASE("A damaged length of a body with records of other places loses only that body",
          "[journal][false_records][regression]") {
    const bool is_hostile = GENERATE(true, false);
    const bool has_header = GENERATE(true, false);
    const bool is_sealed = GENERATE(true, false);
    const JournalOptions options = with_room(8192, Seed{1});
    sim::Disk disk;
    write_around(disk, options,
                 [&](std::uint32_t nonce) { return body_of_other_places(is_hostile, nonce); });
    std::uint64_t last = 111;
    while (is_sealed && disk.contents(segment_file(2)).empty()) {
        auto journal = SimJournal::open(disk, "q", options);
        REQUIRE(journal);
        for (int i = 0; i < 100; ++i) REQUIRE(journal->append(Bytes(100, std::byte{9})));
        REQUIRE_FALSE(journal->commit());
        last += 100;
    }
    Bytes bytes = disk.contents(segment_file(1));
    bytes[journal_format::segment_header_bytes + 10 * 128 + 5] ^= std::byte{1};
    disk.put(segment_file(1), bytes);
    if (!has_header) zero_sector(disk, 0);
    std::set<std::uint64_t> lost{11};
    if (!has_header) lost.insert({1, 2, 3});
    tool::JournalReport report;
    CHECK(short_ones(disk, report) == all_but(last, lost));
    CHECK(report.lost.back().first == 11);
    CHECK(report.lost.back().last == 11);
    CHECK(tool::salvage_journal(disk, "q", "new", options)->copied == last - lost.size());
    if (!is_sealed || !has_header) return;
    auto journal = SimJournal::open(disk, "q", options);
    REQUIRE(journal);
    for (std::uint64_t n = 1; n <= last; ++n) CHECK(journal->read(n).has_value() == (n != 11));
}

TEST_CASE("One operation after openings that were lost with their sector is accepted",
          "[journal][false_records][regression]") {
    const int runs = GENERATE(1, 2, 5);
    sim::Disk disk;
    for (int run = 0; run <= runs; ++run) {
        auto journal = SimJournal::open(disk, "q", small_journal(1));
        REQUIRE(journal);
        // The first operations have this size so that the last one begins a sector.
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

TEST_CASE("One operation after 4 KiB of lost openings and operations is accepted",
          "[journal][false_records][regression]") {
    using namespace journal_format;
    constexpr std::size_t sector = 4096;
    // The sector has the openings of 64 runs, or of 74, the first of which begins before it.
    const bool is_dense = GENERATE(false, true);
    const std::size_t intact = GENERATE(1U, 2U, 3U);
    const std::size_t body_bytes = is_dense ? 0 : 8;
    const int runs = is_dense ? 74 : 64;
    const std::size_t before = sector - (is_dense ? 24 : 0) - segment_header_bytes;
    const JournalOptions options = with_room(8192, Seed{1});
    sim::Disk disk;
    run_killed(disk, options, 1, before - record_header_bytes);
    for (int i = 1; i < runs; ++i) run_killed(disk, options, 1, body_bytes);
    run_killed(disk, options, is_dense ? intact : 1 + intact, body_bytes);
    const auto last = static_cast<std::uint64_t>(runs) + (is_dense ? 0 : 1) + intact;
    Bytes bytes = disk.contents(segment_file(1));
    REQUIRE(records_of(bytes)[1].offset == before + segment_header_bytes);
    std::fill_n(bytes.begin() + sector, sector, std::byte{0x55});
    disk.put(segment_file(1), bytes);
    const sim::Disk::Image image = disk.image();
    const auto journal = SimJournal::open(disk, "q", options);
    REQUIRE_FALSE(journal);
    CHECK(journal.error().code == QueueErrc::corrupt);
    CHECK(journal.error().offset == before + segment_header_bytes);
    CHECK(disk.image() == image);
    std::vector<std::uint64_t> expected{1};
    for (std::uint64_t n = last - intact + 1; n <= last; ++n) expected.push_back(n);
    CHECK(shown_numbers(disk) == expected);
    CHECK(tool::salvage_journal(disk, "q", "new", options)->copied == 1 + intact);
}

TEST_CASE("Equal integers in a body are no seed for a file without its header",
          "[journal][false_records][regression]") {
    const std::uint32_t value = GENERATE(0U, 1U, 2U, 3U, 4U, 5U, 6U, 7U);
    // Six integers, of which the fifth may be a kind.
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
          "[journal][false_records][regression]") {
    // Most records are of a run in the middle. One record before them and one after are of other
    // runs.
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

TEST_CASE("A file without its header shows its first run, and runs long after it",
          "[journal][false_records][regression]") {
    const int idle = GENERATE(60, 61, 200);
    const bool most_are_first = GENERATE(true, false);
    const JournalOptions options = with_room(1024, Seed{1});
    sim::Disk disk;
    run_groups(disk, options, {most_are_first ? 12U : 3U, most_are_first ? 3U : 12U}, idle);
    Bytes bytes = disk.contents(segment_file(1));
    std::fill_n(bytes.begin(), journal_format::segment_header_bytes, std::byte{0});
    disk.put(segment_file(1), bytes);
    CHECK(shown_numbers(disk) == all_but(15, {}));
    CHECK(tool::salvage_journal(disk, "q", "new", options)->copied == 15);
}

TEST_CASE("A later opening counts the runs of a file without its header, also after more damage",
          "[journal][false_records][regression]") {
    const int idle = GENERATE(60, 61);
    const JournalOptions options = with_room(1024, Seed{1});
    sim::Disk disk;
    run_groups(disk, options, {12, 5, 3}, idle);
    Bytes bytes = disk.contents(segment_file(1));
    std::fill_n(bytes.begin(), journal_format::segment_header_bytes, std::byte{0});
    // The last operation of the second group.
    for (const PlacedRecord& record : records_of(disk.contents(segment_file(1)))) {
        if (record.header.kind == Kind::operation && record.header.number == 17) {
            bytes[record.offset + journal_format::record_header_bytes] ^= std::byte{1};
        }
    }
    disk.put(segment_file(1), bytes);
    CHECK(shown_numbers(disk) == all_but(20, {17}));
    CHECK(tool::salvage_journal(disk, "q", "new", options)->copied == 19);
}

TEST_CASE("A record copied over another one loses only the records that it covers",
          "[journal][false_records][regression]") {
    sim::Disk disk;
    // There are three runs, in a sealed file: reading and inspecting must agree.
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
            const std::size_t length = journal_format::record_bytes(from.header.length);
            if (from.offset == to.offset || to.offset + length > records.back().offset) continue;
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

TEST_CASE("A sector of another file of the journal in the same place has no record",
          "[journal][false_records][regression]") {
    sim::Disk disk;
    std::uint64_t last = 0;
    {
        auto journal = SimJournal::open(disk, "q", small_journal(1));
        REQUIRE(journal);
        while (disk.contents(segment_file(3)).empty()) {
            REQUIRE(journal->append(body_of(++last, 0)));
        }
        REQUIRE_FALSE(journal->commit());
    }
    const Bytes whole = disk.contents(segment_file(1));
    const Bytes other = disk.contents(segment_file(2));
    const std::vector<PlacedRecord> records = records_of(whole);
    for (std::ptrdiff_t at = 512; at + 512 <= std::ssize(whole); at += 512) {
        Bytes bytes = whole;
        std::copy_n(other.begin() + at, 512, bytes.begin() + at);
        disk.put(segment_file(1), bytes);
        std::set<std::uint64_t> lost;
        for (const PlacedRecord& r : records) {
            const auto begin = bytes.begin() + static_cast<std::ptrdiff_t>(r.offset);
            const auto end = bytes.begin() + static_cast<std::ptrdiff_t>(r.end);
            const bool hit = !std::equal(begin, end, whole.begin() + (begin - bytes.begin()));
            if (hit && r.header.kind == Kind::operation) lost.insert(r.header.number);
        }
        INFO("the sector at " << at);
        CHECK(shown_numbers(disk) == all_but(last, lost));
        JournalOptions everything = small_journal(1);
        everything.verify = Verify::everything;
        CHECK((lost.empty() ||
               SimJournal::open(disk, "q", everything).error().code == QueueErrc::corrupt));
    }
}
