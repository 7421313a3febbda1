// SPDX-License-Identifier: MIT
// Goal: docs/reference/formats/journal.md is sufficient to read a journal, and the library keeps each of
// its rules. Method: a reader written from the page alone, compared with the library over whole
// journals and over journals made for each rule.
#include <belay/journal/journal.hpp>
#include <belay/journal/journal_inspect.hpp>
#include <belay/sim/disk.hpp>

#include "support/journal/journal_model.hpp"
#include "support/journal/page_reader.hpp"
#include "support/seeds.hpp"

using namespace belay;
using namespace belay_test;

namespace {

PageBytes page_bytes(BytesView bytes) {
    PageBytes copy;
    for (const std::byte byte : bytes) copy.push_back(static_cast<std::uint8_t>(byte));
    return copy;
}
PageJournal read_by_page(const sim::Disk& disk) {
    std::map<std::string, PageBytes> files;
    for (const auto& [path, bytes] : disk.image()) files[path.substr(2)] = page_bytes(bytes);
    return PageReader{files}.found;
}

/// Some calls on the journal in "q", over several runs; many runs have none.
void fill_by_chance(sim::Disk& disk, Random& bits) {
    for (std::uint64_t runs = 1 + bits() % 8; runs != 0; --runs) {
        auto journal = SimJournal::open(disk, "q", small_journal(bits()));
        REQUIRE(journal);
        const bool idle = bits() % 2 != 0;
        for (std::uint64_t calls = idle ? 0 : bits() % 60; calls != 0; --calls) {
            const std::uint64_t draw = bits() % 12;
            if (draw == 0 && journal->size() != 0) {
                REQUIRE_FALSE(journal->ack(journal->base() + bits() % journal->size()));
            } else if (draw == 1) {
                REQUIRE_FALSE(journal->keep(Bytes(bits() % 513, std::byte{3})));
            } else if (draw == 2) {
                REQUIRE_FALSE(journal->pin_store(Id{static_cast<std::byte>(bits())}));
            } else if (draw == 3) {
                REQUIRE_FALSE(journal->commit());
            } else {
                REQUIRE(journal->append(Bytes(bits() % 400, static_cast<std::byte>(draw))));
            }
        }
        // Without a close, openings follow each other.
        if (idle) disk.kill();
    }
}

/// A journal of one file with operations 1 to 5, and the ends of their records.
std::size_t fill_one_file(sim::Disk& disk) {
    {
        auto journal = SimJournal::open(disk, "q", small_journal(1));
        REQUIRE(journal);
        for (std::uint64_t n = 1; n <= 5; ++n) REQUIRE(journal->append(Bytes(n)));
        REQUIRE_FALSE(journal->commit());
        disk.kill();
    }
    std::size_t end = journal_format::segment_header_bytes;
    const Bytes bytes = disk.contents(segment_file(1));
    for (;;) {
        const auto h = journal_format::decode_record_header(bytes.data() + end);
        if (h.kind == journal_format::Kind::none) return end;
        end += journal_format::record_bytes(h.length);
    }
}

/// Puts a valid record after the end of the only file.
void add_valid_record(sim::Disk& disk, std::size_t end, journal_format::Kind kind,
                      std::uint64_t number, BytesView payload, std::uint32_t run) {
    Bytes bytes = disk.contents(segment_file(1));
    const auto header = journal_format::decode_segment_header(bytes);
    journal_format::RecordHeader h;
    h.kind = kind;
    h.number = number;
    h.durable = 128;
    h.run = run;
    h.length = static_cast<std::uint32_t>(payload.size());
    std::byte* const p = bytes.data() + end;
    encode(h, p);
    std::copy(payload.begin(), payload.end(), p + journal_format::record_header_bytes);
    h.crc = journal_format::record_crc(p, part::crc32c(payload),
                                       journal_format::record_seed(header->nonce, end));
    encode(h, p);
    disk.put(segment_file(1), bytes);
}
bool opens(sim::Disk& disk, Verify verify = Verify::tail) {
    JournalOptions options = small_journal(9);
    options.verify = verify;
    return SimJournal::open(disk, "q", options).has_value();
}

}  // namespace

TEST_CASE("A reader written from the format page reads all journals of the library",
          "[journal][journal_page][property]") {
    belay_test::for_each_seed(
        [](Seed seed) {
            Random bits{seed};
            sim::Disk disk;
            fill_by_chance(disk, bits);
            const PageJournal page = read_by_page(disk);
            REQUIRE(page.wrong == "");
            auto journal = SimJournal::open(disk, "q", small_journal(99));
            REQUIRE(journal);
            REQUIRE(page.last == journal->last());
            REQUIRE(page.acked + 1 == journal->base());
            REQUIRE(page.run + 1 == journal->run());
            REQUIRE(page.id == page_bytes(journal->journal_id()));
            REQUIRE(page.pin == page_bytes(journal->store_pin()));
            REQUIRE(page.note == page_bytes(journal->kept()));
            for (std::uint64_t n = journal->base(); n <= journal->last(); ++n) {
                REQUIRE(page.operations.at(n) == page_bytes(*journal->read(n)));
                REQUIRE(page.checks.at(n) == *journal->check(n));
            }
        },
        300);
}

TEST_CASE("Format page: names are lower case, and the first file need not be number 1",
          "[journal][journal_page][unit]") {
    sim::Disk disk;
    {
        auto journal = SimJournal::open(disk, "q", small_journal(1));
        REQUIRE(journal);
        while (journal->last() < 40) REQUIRE(journal->append(Bytes(300)));
        REQUIRE_FALSE(journal->ack(journal->last() - 1));
    }
    REQUIRE(disk.contents(segment_file(1)).empty());
    disk.put("q/000000000000000A.journal", Bytes(200, std::byte{1}));
    const PageJournal page = read_by_page(disk);
    CHECK(page.wrong == "");
    CHECK(page.operations.begin()->first > 1);
    CHECK(opens(disk));
}

TEST_CASE("Format page: the largest acknowledgement counts", "[journal][journal_page][unit]") {
    sim::Disk disk;
    std::size_t end = fill_one_file(disk);
    for (const std::uint64_t acked : {2U, 4U, 3U}) {
        add_valid_record(disk, end, journal_format::Kind::ack, acked, {}, 1);
        end += journal_format::record_bytes(0);
    }
    CHECK(read_by_page(disk).acked == 4);
    CHECK(SimJournal::open(disk, "q", small_journal(2))->base() == 5);
}

TEST_CASE("Format page: a valid record with another number is damage, not the end",
          "[journal][journal_page][unit]") {
    const std::uint64_t number = GENERATE(5U, 7U, 1U, 0U);
    sim::Disk disk;
    const std::size_t end = fill_one_file(disk);
    SECTION("an operation") {
        add_valid_record(disk, end, journal_format::Kind::operation, number, as_bytes("x"), 1);
    }
    SECTION("an acknowledgement of an operation that does not exist") {
        add_valid_record(disk, end, journal_format::Kind::ack, number + 6, {}, 1);
    }
    CHECK(read_by_page(disk).wrong != "");
    CHECK_FALSE(opens(disk));
}

TEST_CASE("Format page: an opening that does not begin a later run is not valid",
          "[journal][journal_page][unit]") {
    const std::uint32_t run = GENERATE(0U, 1U);
    sim::Disk disk;
    const std::size_t end = fill_one_file(disk);
    add_valid_record(disk, end, journal_format::Kind::opening, run, as_bytes("salt"), run);
    CHECK(read_by_page(disk).wrong == "something follows");
    const auto journal = SimJournal::open(disk, "q", small_journal(2));
    REQUIRE(journal);
    CHECK(journal->last() == 5);
    CHECK(journal->report().truncated_offset == end);
}

TEST_CASE("Format page: a record of another run is not valid", "[journal][journal_page][unit]") {
    // The run before, the next one, and a much later one.
    const std::uint32_t run = GENERATE(1U, 3U, 0x1000003U);
    sim::Disk disk;
    std::size_t end = fill_one_file(disk);
    add_valid_record(disk, end, journal_format::Kind::opening, 2, as_bytes("salt"), 2);
    end += journal_format::record_bytes(4);
    add_valid_record(disk, end, journal_format::Kind::operation, 6, as_bytes("six"), run);
    CHECK(read_by_page(disk).wrong == "something follows");
    const auto report = tool::inspect_journal(disk, "q", [](std::uint64_t, BytesView) {});
    REQUIRE(report);
    CHECK(report->is_whole());
    CHECK(report->operations == 5);
    CHECK(report->unfinished_bytes != 0);
    const auto journal = SimJournal::open(disk, "q", small_journal(2));
    REQUIRE(journal);
    CHECK(journal->last() == 5);
    CHECK(journal->run() == 3);
    CHECK(journal->report().truncated_offset == end);
}

TEST_CASE("Format page: records have the low 24 bits of their run",
          "[journal][journal_page][unit]") {
    sim::Disk disk;
    std::size_t end = fill_one_file(disk);
    const std::uint32_t run = 0x12FFFFFF;
    add_valid_record(disk, end, journal_format::Kind::opening, run, as_bytes("salt"), run);
    end += journal_format::record_bytes(4);
    add_valid_record(disk, end, journal_format::Kind::operation, 6, as_bytes("six"), run);
    for (int i = 1; i < 3; ++i) {
        auto journal = SimJournal::open(disk, "q", small_journal(2));
        REQUIRE(journal);
        CHECK(journal->run() == run + static_cast<std::uint32_t>(i));
        REQUIRE(journal->append(as_bytes("later")));
        REQUIRE_FALSE(journal->commit());
    }
    CHECK(read_by_page(disk).last == 8);
    std::uint64_t shown = 0;
    const auto report =
        tool::inspect_journal(disk, "q", [&](std::uint64_t, BytesView) { ++shown; });
    REQUIRE(report);
    CHECK(report->is_whole());
    CHECK(report->run == run + 2);
    CHECK(shown == 8);
}

TEST_CASE("Format page: an operation of another run is not returned from a sealed file",
          "[journal][journal_page][unit]") {
    sim::Disk disk;
    for (int run = 0; run < 2 || disk.contents(segment_file(2)).empty(); ++run) {
        auto journal = SimJournal::open(disk, "q", small_journal(1));
        REQUIRE(journal);
        for (int i = 0; i < 8; ++i) REQUIRE(journal->append(Bytes(100)));
    }
    std::size_t end = journal_format::segment_header_bytes;
    Bytes bytes = disk.contents(segment_file(1));
    journal_format::RecordHeader h;
    for (int operations = 0; operations < 10; end += journal_format::record_bytes(h.length)) {
        h = journal_format::decode_record_header(bytes.data() + end);
        operations += h.kind == journal_format::Kind::operation ? 1 : 0;
    }
    end -= journal_format::record_bytes(h.length);
    REQUIRE(h.number == 10);
    REQUIRE(h.run == 2);
    add_valid_record(disk, end, journal_format::Kind::operation, 10, Bytes(100, std::byte{1}), 1);
    auto journal = SimJournal::open(disk, "q", small_journal(2));
    REQUIRE(journal);
    CHECK(journal->read(10).error() == QueueErrc::corrupt);
    CHECK(journal->read(11));
    tool::JournalReport::Range lost{10, 10};
    const auto report = tool::inspect_journal(disk, "q", [](std::uint64_t, BytesView) {});
    REQUIRE(report);
    CHECK(report->lost == std::vector<tool::JournalReport::Range>{lost});
}

TEST_CASE("Format page: padding, and bytes after a seal, are in no checksum",
          "[journal][journal_page][unit]") {
    sim::Disk disk;
    {
        auto journal = SimJournal::open(disk, "q", small_journal(1));
        REQUIRE(journal);
        while (journal->last() < 20) REQUIRE(journal->append(Bytes(301)));
    }
    Bytes bytes = disk.contents(segment_file(1));
    const bool in_padding = GENERATE(true, false);
    if (in_padding) {
        const std::size_t payload_end = 128 + 24 + 301;
        REQUIRE(payload_end % 8 != 0);
        bytes[payload_end] = std::byte{1};
    } else {
        bytes.back() = std::byte{1};
    }
    disk.put(segment_file(1), bytes);
    const PageJournal page = read_by_page(disk);
    CHECK(page.wrong == "");
    CHECK(page.last == 20);
    // An inspection reports the padding.
    const auto report = tool::inspect_journal(disk, "q", [](std::uint64_t, BytesView) {});
    REQUIRE(report);
    CHECK_FALSE(report->is_whole());
    CHECK(opens(disk, Verify::everything));
}
