// SPDX-License-Identifier: MIT
// Goal: a salvaged journal has every readable waiting operation, in order, and the damaged one
// is unchanged. Method: damage in the middle, and every way in which salvaging can fail.
#include <belay/journal/journal_salvage.hpp>

#include "support/journal/journal_model.hpp"

using namespace belay;
using namespace belay_test;

namespace {

constexpr std::uint64_t salvaged_operations = 50;
constexpr std::uint64_t salvaged_acked = 7;

void fill_for_salvage(sim::Disk& disk) {
    auto journal = SimJournal::open(disk, "q", small_journal(1));
    REQUIRE(journal);
    for (std::uint64_t n = 1; n <= salvaged_operations; ++n) {
        REQUIRE(journal->append(body_of(n, 0)));
        if (n % 10 == 0) REQUIRE_FALSE(journal->commit());
    }
    REQUIRE_FALSE(journal->keep(as_bytes("breaker open")));
    REQUIRE_FALSE(journal->ack(salvaged_acked));
    REQUIRE_FALSE(journal->commit());
}

bool is_copy_of(sim::Disk& disk, const std::vector<std::uint64_t>& numbers) {
    auto journal = SimJournal::open(disk, "new", small_journal(3));
    if (!journal || journal->size() != numbers.size()) return false;
    std::uint64_t n = journal->base();
    for (const std::uint64_t number : numbers) {
        const auto body = journal->read(n++);
        const Bytes expected = body_of(number, 0);
        if (!body || !std::equal(body->begin(), body->end(), expected.begin(), expected.end())) {
            return false;
        }
    }
    return as_text(journal->kept()) == "breaker open";
}

std::vector<std::uint64_t> waiting_but(std::uint64_t lost) {
    std::vector<std::uint64_t> numbers;
    for (std::uint64_t n = salvaged_acked + 1; n <= salvaged_operations; ++n) {
        if (n != lost) numbers.push_back(n);
    }
    return numbers;
}

}  // namespace

TEST_CASE("tool::salvage_journal copies the waiting operations of a whole journal",
          "[journal][journal_salvage][unit]") {
    sim::Disk disk;
    fill_for_salvage(disk);
    const auto done = tool::salvage_journal(disk, "q", "new", small_journal(2));
    REQUIRE(done);
    CHECK(done->copied == salvaged_operations - salvaged_acked);
    CHECK(done->inspection.is_whole());
    CHECK(is_copy_of(disk, waiting_but(0)));
}

TEST_CASE("tool::salvage_journal copies around damage, and does not change the damaged journal",
          "[journal][journal_salvage][fault]") {
    sim::Disk disk;
    fill_for_salvage(disk);
    const std::string path = "q/" + journal_format::segment_name(2);
    Bytes bytes = disk.contents(path);
    // The record of the first operation, after the header.
    std::size_t at = journal_format::segment_header_bytes;
    while (journal_format::decode_record_header(bytes.data() + at).kind !=
           journal_format::Kind::operation) {
        at += journal_format::record_bytes(
            journal_format::decode_record_header(bytes.data() + at).length);
    }
    const std::uint64_t number = journal_format::decode_record_header(bytes.data() + at).number;
    bytes[at] ^= std::byte{1};
    disk.put(path, bytes);
    const Bytes damaged = disk.contents(path);

    const auto done = tool::salvage_journal(disk, "q", "new", small_journal(2));
    REQUIRE(done);
    CHECK(done->copied == salvaged_operations - salvaged_acked - 1);
    CHECK(done->inspection.lost == std::vector<tool::JournalReport::Range>{{number, number}});
    CHECK(disk.contents(path) == damaged);
    CHECK(is_copy_of(disk, waiting_but(number)));
}

TEST_CASE("tool::salvage_journal does not overwrite a journal, and fails without one to read",
          "[journal][journal_salvage][unit]") {
    sim::Disk disk;
    fill_for_salvage(disk);
    { REQUIRE(SimJournal::open(disk, "new", small_journal(2))); }
    const sim::Disk::Image before = disk.image();
    const auto there = tool::salvage_journal(disk, "q", "new", small_journal(2));
    REQUIRE_FALSE(there);
    CHECK(there.error().code == std::errc::file_exists);
    CHECK(there.error().where == "new");
    CHECK(tool::salvage_journal(disk, "q", "q", small_journal(2)).error().code ==
          std::errc::file_exists);
    CHECK(disk.image() == before);

    const auto none = tool::salvage_journal(disk, "nowhere", "other", small_journal(2));
    REQUIRE_FALSE(none);
    CHECK(none.error().where == "nowhere");
    CHECK(disk.list("other")->empty());
}

TEST_CASE("tool::salvage_journal reports a full disk of the new journal",
          "[journal][journal_salvage][fault]") {
    sim::Disk disk;
    fill_for_salvage(disk);
    const std::uint64_t before = disk.operations();
    REQUIRE(tool::salvage_journal(disk, "q", "new", small_journal(2)));
    const std::uint64_t needed = disk.operations() - before;
    for (std::uint64_t failing = 1; failing <= needed; ++failing) {
        sim::Disk other;
        fill_for_salvage(other);
        other.fail_at(other.operations() + failing,
                      std::make_error_code(std::errc::no_space_on_device));
        const auto done = tool::salvage_journal(other, "q", "new", small_journal(2));
        INFO("operation " << failing);
        // A failure while the new journal is closed may have no effect; then all operations are
        // there.
        if (done) {
            REQUIRE(is_copy_of(other, waiting_but(0)));
        } else {
            REQUIRE(done.error().code == std::errc::no_space_on_device);
        }
    }
}

TEST_CASE("tool::salvage_journal copies operations of any length",
          "[journal][journal_salvage][regression]") {
    sim::Disk disk;
    const Bytes longest(50'000, std::byte{7});
    {
        auto journal = SimJournal::open(
            disk, "q", {.segment_bytes = 1 << 17, .record_bytes_max = 60'000, .seed = Seed{1}});
        REQUIRE(journal);
        REQUIRE(journal->append(as_bytes("short")));
        REQUIRE(journal->append(longest));
        REQUIRE(journal->append(as_bytes("short again")));
        REQUIRE_FALSE(journal->commit());
    }
    const auto done = tool::salvage_journal(disk, "q", "new", small_journal(2));
    REQUIRE(done);
    CHECK(done->copied == 3);
    auto journal = SimJournal::open(disk, "new", small_journal(3));
    REQUIRE(journal);
    const auto body = journal->read(2);
    REQUIRE(body);
    CHECK(std::equal(body->begin(), body->end(), longest.begin(), longest.end()));
}

TEST_CASE(
    "tool::salvage_journal keeps operations after a damaged record, committed in a crash loop",
    "[journal][salvage][regression]") {
    const int kills = GENERATE(1, 2, 3, 4, 40);
    sim::Disk disk;
    const auto open = [&] { return SimJournal::open(disk, "q", small_journal(1)); };
    const auto add_one = [&] {
        auto journal = open();
        REQUIRE(journal);
        REQUIRE(journal->append(as_bytes("operation")));
        REQUIRE_FALSE(journal->commit());
        disk.kill();
    };
    add_one();
    for (int i = 0; i < kills; ++i) {
        REQUIRE(open());
        disk.kill();
    }
    add_one();
    Bytes bytes = disk.contents(segment_file(1));
    bytes[journal_format::segment_header_bytes + journal_format::record_header_bytes] ^=
        std::byte{1};
    disk.put(segment_file(1), bytes);
    std::vector<std::uint64_t> shown;
    const auto report = tool::inspect_journal(
        disk, "q", [&](std::uint64_t number, BytesView) { shown.push_back(number); });
    REQUIRE(report);
    CHECK(shown == std::vector<std::uint64_t>{2});
    CHECK(report->unfinished_bytes == 0);
    CHECK(report->damages.size() == 1);
}
