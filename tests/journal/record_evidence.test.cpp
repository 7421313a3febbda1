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

/// Puts a record into a body. Outside of this test, that needs the nonce.
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
/// A part of a body that has two records under every 2^20th seed. 4096 pairs, 192 KiB, cover all
/// seeds, so that the nonce need not be known. This part has the 41 pairs next to the nonce; the
/// others cannot pass. Without records, it has the same size.
Bytes body_of_all_seeds(bool has_records, std::uint32_t nonce) {
    constexpr std::size_t record = journal_format::record_header_bytes;
    Bytes body(1024 + 2 * 41 * record, std::byte{7});
    for (std::uint32_t i = 0; has_records && i < 2 * 41; ++i) {
        RecordHeader h;
        h.kind = Kind::operation;
        h.number = 1'000'000 + i % 2;
        h.durable = 600;
        put_like_record(body, 1024 + i * record, h, ((nonce >> 20) + i / 2 - 20) << 20);
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

    // The same bytes at the torn end of a journal: it opens, because no operation was confirmed.
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

TEST_CASE("A body with records under all seeds is cut off like any other after a torn write",
          "[journal][record_evidence][regression]") {
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
        const Bytes body = body_of_all_seeds(is_hostile, header->nonce);
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

TEST_CASE("A damaged length of a body with records under all seeds loses only that body",
          "[journal][record_evidence][regression]") {
    const bool is_hostile = GENERATE(true, false);
    const bool has_header = GENERATE(true, false);
    const bool is_sealed = GENERATE(true, false);
    const JournalOptions options = with_room(8192, Seed{1});
    sim::Disk disk;
    write_around(disk, options,
                 [&](std::uint32_t nonce) { return body_of_all_seeds(is_hostile, nonce); });
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

TEST_CASE("RecordEvidence accepts a much later run by its opening, or by a long row of records",
          "[journal][record_evidence][unit]") {
    constexpr std::uint32_t nonce = 0x8000'0000;
    constexpr std::size_t record = journal_format::record_header_bytes;
    const std::uint32_t ahead =
        GENERATE(0U, 1U, 16U, 17U, 32U, 33U, 74U, 75U, 1000U, 65'536U, 65'537U);
    // The number of records that must follow each other.
    const std::uint32_t needed = std::max(2U, (ahead + 15) / 16);
    const auto accepts = [&](std::uint32_t records, std::uint64_t skipped) {
        Bytes bytes(records * record);
        for (std::uint32_t i = 0; i < records; ++i) {
            RecordHeader h;
            h.kind = Kind::operation;
            h.number = 1000 + i;
            put_like_record(bytes, i * record, h, journal_format::record_seed(nonce, 7 + ahead));
        }
        detail::MemoryBytes part{bytes};
        detail::RecordSearch search{part};
        detail::RecordEvidence evidence{search, nonce};
        evidence.add_run(7);
        evidence.add_number(5, 0);
        return evidence.accepts(*search.at(0), skipped);
    };
    CHECK(accepts(needed, 512) == (ahead <= 65'536));
    CHECK_FALSE(accepts(needed - 1, 512));

    // Two records, if there is space for the openings and records of these runs, up to a sector.
    const std::uint64_t space = std::uint64_t{56} * ahead - 24;
    CHECK((ahead == 0 || accepts(2, space) == (ahead <= 74)));
    CHECK((ahead <= 32 || !accepts(2, space - 8)));
    CHECK((ahead <= 16 || !accepts(1, space)));

    // An opening alone, if its number is that run. After it, one record of this run.
    for (const std::uint32_t run : {7 + ahead, 7 + (1U << 20), 8 + (1U << 20)}) {
        for (const std::uint32_t wrong : {0U, 1U}) {
            Bytes bytes(32 + record);
            RecordHeader h;
            h.kind = Kind::opening;
            h.length = 4;
            h.number = run + wrong;
            put_like_record(bytes, 0, h, journal_format::record_seed(nonce, run));
            RecordHeader then;
            then.kind = Kind::operation;
            then.number = 6;
            then.durable = 16;
            put_like_record(bytes, 32, then, journal_format::record_seed(nonce, run));
            detail::MemoryBytes part{bytes};
            detail::RecordSearch search{part};
            detail::RecordEvidence evidence{search, nonce};
            evidence.add_run(7);
            evidence.add_number(5, 0);
            const bool is_opening = wrong == 0 && run - 7 <= 1U << 20;
            CHECK(evidence.accepts(*search.at(0), 0) == is_opening);
            const bool is_proof = is_opening || run - 7 <= 1;
            CHECK(detail::proven_after(search, evidence, 0) == (is_proof ? 16 : 0));
        }
    }
}

TEST_CASE("One operation after openings that were lost with their sector is accepted",
          "[journal][record_evidence][regression]") {
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

TEST_CASE("Two operations after 4 KiB of lost openings and operations are accepted",
          "[journal][record_evidence][regression]") {
    using namespace journal_format;
    constexpr std::size_t sector = 4096;
    // The sector has the openings of 64 runs, or of 74, the first of which begins before it.
    const bool is_dense = GENERATE(false, true);
    const std::size_t intact = GENERATE(2U, 3U);
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
          "[journal][record_evidence][regression]") {
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
          "[journal][record_evidence][regression]") {
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
          "[journal][record_evidence][regression]") {
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
          "[journal][record_evidence][regression]") {
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

TEST_CASE("A later record copied over an earlier one loses only the records that it covers",
          "[journal][record_evidence][regression]") {
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
