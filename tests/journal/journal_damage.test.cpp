// SPDX-License-Identifier: MIT
// Goal: damage is reported, and damaged data is never returned. Method: every bit of a journal
// flipped, files cut and swapped.
#include <belay/journal/journal.hpp>
#include <belay/sim/disk.hpp>

#include "support/journal/each_bit.hpp"
#include "support/journal/journal_model.hpp"
#include "support/journal/watched_disk.hpp"
#include "support/seeds.hpp"

using namespace belay;
using namespace belay_test;

namespace {

/// Three segments; everything is durable, 5 is acknowledged; closed in order, or killed.
sim::Disk::Image make_image(bool closed) {
    sim::Disk disk;
    auto journal = SimJournal::open(disk, "q", small_journal(1));
    REQUIRE(journal);
    for (std::uint64_t n = 1; n <= 48; ++n) {
        REQUIRE(journal->append(body_of(n, 0)));
        if (n == 10) REQUIRE_FALSE(journal->keep(as_bytes("a note")));
        if (n == 40) REQUIRE_FALSE(journal->ack(5));
        if (n % 4 == 0) REQUIRE_FALSE(journal->commit());
    }
    if (!closed) disk.kill();
    // The image contains the writes of the close, unless the process was killed.
    { auto gone = std::move(*journal); }
    return disk.image();
}

std::uint64_t last_segment(const sim::Disk::Image& image) {
    std::uint64_t last = 0;
    for (const auto& [path, bytes] : image) {
        last = std::max(last, journal_format::segment_index(path.substr(2)));
    }
    return last;
}

/// Processes in turn, each of them killed: 3 operations, `idle` openings without any, 20 more
/// operations, then `idle_after` openings.
sim::Disk::Image make_killed_runs(std::uint32_t idle, std::uint32_t idle_after) {
    sim::Disk disk;
    const auto run = [&](int operations) {
        auto journal = SimJournal::open(disk, "q", small_journal(1));
        REQUIRE(journal);
        for (int i = 0; i < operations; ++i) {
            REQUIRE(journal->append(as_bytes("payload-abcdefgh")));
            REQUIRE_FALSE(journal->commit());
        }
        disk.kill();
    };
    run(3);
    for (std::uint32_t i = 0; i < idle; ++i) run(0);
    run(20);
    for (std::uint32_t i = 0; i < idle_after; ++i) run(0);
    return disk.image();
}

JournalOptions verify_everything() {
    JournalOptions options = small_journal(2);
    options.verify = Verify::everything;
    return options;
}

/// The result of opening, and whether everything that it returns is what was put in.
struct Outcome {
    std::error_code error = {};
    std::uint64_t base = 0;
    std::uint64_t last = 0;
    std::string note = {};
    bool right = true;
    bool reported = false;
};

Outcome open_image(sim::Disk& disk) {
    auto journal = SimJournal::open(disk, "q", verify_everything());
    if (!journal) {
        const bool explained = !journal.error().where.empty() && !journal.error().message().empty();
        return {.error = journal.error().code, .right = explained, .reported = true};
    }
    Outcome outcome{.base = journal->base(),
                    .last = journal->last(),
                    .note = std::string{as_text(journal->kept())},
                    .reported = journal->report().truncated_bytes != 0};
    for (std::uint64_t n = journal->base(); n <= journal->last(); ++n) {
        const auto body = journal->read(n);
        const Bytes expected = body_of(n, 0);
        outcome.right = outcome.right && body &&
                        std::equal(body->begin(), body->end(), expected.begin(), expected.end());
    }
    return outcome;
}

}  // namespace

TEST_CASE("Journal returns no wrong operation after any single bit flip",
          "[journal][journal][fault]") {
    const bool closed = GENERATE(true, false);
    const sim::Disk::Image image = make_image(closed);
    REQUIRE(last_segment(image) == 3);
    std::uint64_t refused = 0, cut = 0, same = 0;
    // Closing adds only one record, and sanitizers do not check values. Every seventh bit is enough
    // for both: at least one bit of each byte.
    const bool every_bit = !closed && from_environment("BELAY_SEEDS", 2000) >= 1000;
    const std::size_t step = every_bit ? 1 : 7;
    for (const auto& [path, bytes] : image) {
        // The zeros after the end matter, too; 64 of them are enough.
        std::size_t used = bytes.size();
        while (used != 0 && bytes[used - 1] == std::byte{0}) --used;
        for (std::size_t bit = 0; bit < std::min(bytes.size(), used + 64) * 8; bit += step) {
            sim::Disk disk;
            disk.restore(image);
            Bytes damaged = bytes;
            damaged[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
            disk.put(path, std::move(damaged));
            const sim::Disk::Image before = disk.image();
            const Outcome outcome = open_image(disk);
            INFO(path << ", bit " << bit << ": " << outcome.error.message());
            REQUIRE(outcome.right);
            if (outcome.error) {
                ++refused;
                REQUIRE((outcome.error == QueueErrc::corrupt ||
                         outcome.error == QueueErrc::foreign_file ||
                         outcome.error == QueueErrc::other_version));
                REQUIRE(disk.image() == before);  // no file was changed
                continue;
            }
            // Later records show that the note and the acknowledgement were flushed: no flip
            // changes them.
            REQUIRE(outcome.note == "a note");
            REQUIRE(outcome.base == 6);
            if (outcome.last < 48) {
                ++cut;
                REQUIRE(outcome.reported);
                // Only operations that no later record shows to be flushed are cut off.
                REQUIRE_FALSE(closed);
                REQUIRE(path == segment_file(3));
                REQUIRE(outcome.last >= 44);
            } else {
                ++same;  // padding, or the last acknowledgement, which is repeated
            }
        }
    }
    CHECK(refused > 1000);
    CHECK((cut > 0) == !closed);
    CHECK(same > 0);
}

TEST_CASE("Journal::open detects damage before any number of runs without an operation",
          "[journal][journal][fault]") {
    using namespace journal_format;
    const std::uint32_t idle = GENERATE(0U, 1U, 2U, 5U, 40U);
    const std::uint32_t idle_after = GENERATE(0U, 3U);
    const sim::Disk::Image image = make_killed_runs(idle, idle_after);
    const std::size_t third = segment_header_bytes + 2 * record_bytes(16);
    const std::size_t openings = third + record_bytes(16);
    // Consecutive openings are written to two places.
    const std::uint32_t places = std::min(idle + 1, 2U);
    const std::size_t operations = openings + places * record_bytes(4);
    // The begin and end of the damage: single bytes, and a hole of many records.
    struct Hole {
        std::size_t begin, end;
    };
    std::vector<Hole> holes{{segment_header_bytes + record_header_bytes + 3, 0},
                            {third + record_header_bytes + 3, 0},
                            {third + 20, 0},
                            {operations + record_header_bytes + 3, 0},
                            {third, operations},
                            {openings, operations}};
    for (std::uint32_t i = 0; i < places; ++i) {
        holes.push_back({openings + i * record_bytes(4), 0});
    }
    for (const Hole& hole : holes) {
        sim::Disk disk;
        disk.restore(image);
        Bytes bytes = disk.contents(segment_file(1));
        for (std::size_t i = hole.begin; i < std::max(hole.end, hole.begin + 1); ++i) {
            bytes[i] ^= std::byte{0x55};
        }
        disk.put(segment_file(1), bytes);
        const sim::Disk::Image before = disk.image();
        const auto journal = SimJournal::open(disk, "q");
        INFO(idle << " runs, damage at " << hole.begin << " to " << hole.end);
        REQUIRE_FALSE(journal);
        CHECK(journal.error().code == QueueErrc::corrupt);
        CHECK(journal.error().offset <= hole.begin);
        CHECK(journal.error().offset + record_bytes(16) > hole.begin);
        CHECK(disk.image() == before);
    }
}

TEST_CASE("Journal::open does not treat openings alone as evidence of damage",
          "[journal][journal][fault]") {
    // Nothing shows that an opening that is not whole was ever flushed. The bytes after it may have
    // been kept by chance.
    using namespace journal_format;
    const sim::Disk::Image image = make_killed_runs(0, 3);
    const std::size_t openings = segment_header_bytes + 23 * record_bytes(16) + record_bytes(4);
    // Run 5 began in the place of run 3, and before run 4.
    for (std::size_t i = 0; i < 2; ++i) {
        sim::Disk disk;
        disk.restore(image);
        Bytes bytes = disk.contents(segment_file(1));
        bytes[openings + i * record_bytes(4) + 8] ^= std::byte{0x40};
        disk.put(segment_file(1), bytes);
        const auto journal = SimJournal::open(disk, "q");
        REQUIRE(journal);
        CHECK(journal->last() == 23);
        CHECK(journal->run() == 5 + i);
        CHECK(journal->report().truncated_bytes == record_bytes(4) - (i == 0 ? 0 : 4));
        CHECK(journal->report().truncated_offset == openings + i * record_bytes(4));
    }
}

TEST_CASE("Journal::open reports the place of damage in the middle", "[journal][journal][fault]") {
    sim::Disk disk;
    disk.restore(make_image(false));
    Bytes bytes = disk.contents(segment_file(1));
    bytes[journal_format::segment_header_bytes + 8] ^= std::byte{1};
    disk.put(segment_file(1), bytes);
    const auto journal = SimJournal::open(disk, "q", verify_everything());
    REQUIRE_FALSE(journal);
    CHECK(journal.error().code == QueueErrc::corrupt);
    CHECK(journal.error().where == segment_file(1));
    CHECK(journal.error().offset == journal_format::segment_header_bytes);
    CHECK(journal.error().message().find("restore the directory") != std::string::npos);
}

TEST_CASE("Journal::open reports the place and length of the tail that it cuts off",
          "[journal][journal][fault]") {
    sim::Disk disk;
    disk.restore(make_image(false));
    Bytes bytes = disk.contents(segment_file(3));
    std::size_t used = bytes.size();
    while (bytes[used - 1] == std::byte{0}) --used;
    // Half of a record, as a torn write leaves it.
    for (std::size_t i = 0; i < 20; ++i) bytes[journal_format::aligned(used) + i] = std::byte{0x5A};
    disk.put(segment_file(3), bytes);
    {
        const auto journal = SimJournal::open(disk, "q", small_journal(2));
        REQUIRE(journal);
        CHECK(journal->last() == 48);
        CHECK(journal->report().truncated_bytes == 20);
        CHECK(journal->report().truncated_path == segment_file(3));
        CHECK(journal->report().truncated_offset == journal_format::aligned(used));
    }
    const auto again = SimJournal::open(disk, "q", small_journal(2));
    REQUIRE(again);
    CHECK(again->report().truncated_bytes == 0);
}

TEST_CASE("Journal::open fails when a file is missing", "[journal][journal][fault]") {
    const auto missing = GENERATE(std::uint64_t{1}, std::uint64_t{2}, std::uint64_t{3});
    sim::Disk disk;
    disk.restore(make_image(true));
    REQUIRE_FALSE(disk.remove(segment_file(missing)));
    const auto journal = SimJournal::open(disk, "q");
    REQUIRE_FALSE(journal);
    CHECK(journal.error().code == QueueErrc::corrupt);
    CHECK(journal.error().where == segment_file(missing));
}

TEST_CASE("Journal::open fails when a file is cut short", "[journal][journal][fault]") {
    const auto index = GENERATE(std::uint64_t{1}, std::uint64_t{3});
    const sim::Disk::Image image = make_image(true);
    for (std::size_t length = 0; length < 4096; length += 97) {
        sim::Disk disk;
        disk.restore(image);
        Bytes bytes = disk.contents(segment_file(index));
        bytes.resize(length);
        disk.put(segment_file(index), bytes);
        const auto journal = SimJournal::open(disk, "q");
        REQUIRE_FALSE(journal);
        CHECK(journal.error().code == QueueErrc::corrupt);
        CHECK(journal.error().where == segment_file(index));
    }
}

TEST_CASE("Journal::open rejects files that are not its own", "[journal][journal][fault]") {
    sim::Disk disk;
    disk.restore(make_image(true));
    SECTION("another program's file under a segment's name") {
        disk.put(segment_file(4), Bytes(500, std::byte{'x'}));
        const auto journal = SimJournal::open(disk, "q");
        REQUIRE_FALSE(journal);
        CHECK(journal.error().code == QueueErrc::foreign_file);
        CHECK(journal.error().where == segment_file(4));
    }
    SECTION("a segment of another journal") {
        sim::Disk other;
        {
            auto journal = SimJournal::open(other, "q", small_journal(9));
            REQUIRE(journal);
            for (std::uint64_t n = 1; n <= 64; ++n) REQUIRE(journal->append(body_of(n, 0)));
        }
        disk.put(segment_file(2), other.contents(segment_file(2)));
        const auto journal = SimJournal::open(disk, "q");
        REQUIRE_FALSE(journal);
        CHECK(journal.error().code == QueueErrc::foreign_file);
        CHECK(journal.error().where == segment_file(2));
    }
    SECTION("an older copy of one of its own segments") {
        disk.put(segment_file(3), disk.contents(segment_file(2)));
        const auto journal = SimJournal::open(disk, "q");
        REQUIRE_FALSE(journal);
        CHECK(journal.error().code == QueueErrc::corrupt);
        CHECK(journal.error().where == segment_file(3));
    }
    SECTION("files with other names are ignored") {
        disk.put("q/README", Bytes(3));
        disk.put("q/1.journal", Bytes(3));
        CHECK(SimJournal::open(disk, "q"));
    }
}

TEST_CASE("Journal::open rejects files of another version", "[journal][journal][fault]") {
    sim::Disk disk;
    disk.restore(make_image(true));
    std::string what;
    SECTION("a header of version 1 or 3") {
        const std::uint8_t version = GENERATE(std::uint8_t{1}, std::uint8_t{3});
        Bytes bytes = disk.contents(segment_file(3));
        bytes[8] = std::byte{version};
        disk.put(segment_file(3), bytes);
        what = " (it has version " + std::to_string(version) +
               ", and this program reads only version 2)";
    }
    SECTION("a record of a kind that does not exist yet") {
        namespace format = journal_format;
        Bytes bytes = disk.contents(segment_file(1));
        const auto header = *format::decode_segment_header(bytes);
        std::byte* const p = bytes.data() + format::segment_header_bytes;
        format::RecordHeader h = format::decode_record_header(p);
        h.kind = static_cast<format::Kind>(7);
        format::encode(h, p);
        const std::uint32_t crc = part::crc32c({p + format::record_header_bytes, h.length});
        store_le<std::uint32_t>(
            p, format::record_crc(p, crc,
                                  format::record_seed(header.nonce, format::segment_header_bytes)));
        disk.put(segment_file(1), bytes);
    }
    const sim::Disk::Image before = disk.image();
    const auto journal = SimJournal::open(disk, "q", verify_everything());
    REQUIRE_FALSE(journal);
    CHECK(journal.error().code == QueueErrc::other_version);
    if (!what.empty()) {
        CHECK(journal.error().message() ==
              segment_file(3) + ": the journal has another version of its format" + what +
                  ": open it with the version of belay that wrote it, or move it away to begin a "
                  "new one.");
    }
    CHECK(disk.image() == before);
}

namespace {

/// Changes a file that a journal has open.
void damage_in_place(sim::Disk& disk, const std::string& path, const Bytes& bytes) {
    auto file = disk.open(path, OpenMode::write);
    REQUIRE(file);
    REQUIRE_FALSE(file->write(0, bytes));
}

}  // namespace

TEST_CASE("Journal::read detects changes to an open file", "[journal][journal][fault]") {
    sim::Disk disk;
    disk.restore(make_image(true));
    auto journal = SimJournal::open(disk, "q");
    REQUIRE(journal);
    Bytes bytes = disk.contents(segment_file(1));
    for (std::size_t i = journal_format::segment_header_bytes; i < bytes.size(); ++i) {
        bytes[i] ^= std::byte{4};
    }
    damage_in_place(disk, segment_file(1), bytes);
    CHECK(journal->read(journal->base()).error() == QueueErrc::corrupt);
    CHECK_FALSE(journal->try_pop());
    CHECK(journal->size() == 43);
}

TEST_CASE("Journal::read does not trust a damaged length", "[journal][journal][fault]") {
    using namespace journal_format;
    // The first length adds nothing to an offset of 32 bits. The others point back, or out of the
    // file.
    const auto length = GENERATE(0xFFFFFFE8U, 0xFFFFFFE0U, 0xFFFFFFFFU, 0x7FFFFFFFU, 0x1000U);
    sim::Disk disk;
    auto journal = SimJournal::open(disk, "q", small_journal(1));
    REQUIRE(journal);
    REQUIRE(journal->append(body_of(1, 0)));
    Id store = no_id;
    store[0] = std::byte{1};
    REQUIRE_FALSE(journal->pin_store(store));
    REQUIRE(journal->append(body_of(2, 0)));
    REQUIRE_FALSE(journal->commit());
    Bytes bytes = disk.contents(segment_file(1));
    const std::size_t pin = segment_header_bytes + record_bytes(body_of(1, 0).size());
    REQUIRE(decode_record_header(bytes.data() + pin).kind == Kind::pin);
    store_le<std::uint32_t>(bytes.data() + pin + 4, length);
    damage_in_place(disk, segment_file(1), bytes);
    REQUIRE(journal->read(1));
    // The damaged record is no operation, and the operation after it is whole.
    const auto second = journal->read(2);
    REQUIRE(second);
    const Bytes expected = body_of(2, 0);
    CHECK(std::equal(second->begin(), second->end(), expected.begin(), expected.end()));
    CHECK(journal->check(2));  // The check is stored, so no record is read
}

namespace {

/// The place of an operation in a segment.
struct Extent {
    std::size_t begin, end;
    std::uint64_t number;
};

std::vector<Extent> operations_in(const Bytes& segment) {
    using namespace journal_format;
    std::vector<Extent> found;
    std::size_t at = segment_header_bytes;
    while (at + record_header_bytes <= segment.size()) {
        const RecordHeader h = decode_record_header(segment.data() + at);
        if (h.kind == Kind::none) break;
        const std::size_t end = at + record_header_bytes + h.length;
        if (h.kind == Kind::operation) found.push_back({at, end, h.number});
        at += record_bytes(h.length);
    }
    return found;
}

/// Several runs with pins and notes, in three segments; `acked` are acknowledged.
sim::Disk::Image make_runs(std::vector<std::uint32_t>& salts, std::uint64_t acked) {
    sim::Disk disk;
    for (int run = 0; run < 8; ++run) {
        auto journal = SimJournal::open(disk, "q", small_journal(1));
        REQUIRE(journal);
        for (int i = 0; i < 9; ++i) {
            REQUIRE(journal->append(body_of(journal->last() + 1, journal->salt())));
            salts.push_back(journal->salt());
            if (i == 3) REQUIRE_FALSE(journal->keep(as_bytes("note " + std::to_string(run))));
        }
        REQUIRE_FALSE(journal->pin_store(Id{static_cast<std::byte>(run)}));
        if (run == 7) REQUIRE_FALSE(journal->ack(acked));
    }
    return disk.image();
}

}  // namespace

TEST_CASE("Verify::tail: a flipped byte of a sealed segment returns the right bytes, or an error",
          "[journal][journal][fault]") {
    std::vector<std::uint32_t> salts{0};
    const sim::Disk::Image image = make_runs(salts, 4);
    REQUIRE(last_segment(image) >= 3);
    sim::Disk whole;
    whole.restore(image);
    std::vector<std::uint64_t> checks;
    Bytes note;
    {
        auto journal = SimJournal::open(whole, "q", small_journal(2));
        REQUIRE(journal);
        for (std::uint64_t n = 4; n <= journal->last(); ++n) checks.push_back(*journal->check(n));
        note.assign(journal->kept().begin(), journal->kept().end());
    }
    const std::uint64_t last = 3 + checks.size();
    std::vector<Bytes> bodies(last + 1);
    for (std::uint64_t n = 1; n <= last; ++n) bodies[n] = body_of(n, salts[n]);
    std::uint64_t refused = 0, found = 0, silent = 0;
    const std::size_t step = from_environment("BELAY_SEEDS", 2000) >= 1000 ? 1 : 3;
    for (std::uint64_t index = 1; index < last_segment(image); ++index) {
        sim::Disk disk;
        disk.restore(image);
        const Bytes bytes = disk.contents(segment_file(index));
        const std::vector<Extent> operations = operations_in(bytes);
        for (std::size_t at = 0; at < bytes.size(); at += step) {
            const unsigned flip = at % 4 == 0 ? 0xFFU : 1U << (at % 8);
            disk.restore(image);
            Bytes damaged = bytes;
            damaged[at] ^= static_cast<std::byte>(flip);
            disk.put(segment_file(index), std::move(damaged));
            const sim::Disk::Image before = disk.image();
            auto journal = SimJournal::open(disk, "q", small_journal(2));
            INFO(segment_file(index) << ", byte " << at << ", flip " << flip);
            if (!journal) {
                ++refused;
                REQUIRE(disk.image() == before);
                continue;
            }
            REQUIRE(journal->last() == last);
            REQUIRE(journal->base() == 5);
            REQUIRE(as_text(journal->kept()) == as_text(note));
            std::uint64_t errors = 0;
            bool right = true;
            for (const bool backwards : {false, true}) {
                for (std::uint64_t i = 5; i <= last; ++i) {
                    const std::uint64_t n = backwards ? last + 5 - i : i;
                    right = right && journal->salt_of(n) == salts[n];
                    const auto body = journal->read(n);
                    errors += body ? 0U : 1U;
                    right = right && (body ? as_text(*body) == as_text(bodies[n])
                                           : body.error() == QueueErrc::corrupt);
                }
            }
            for (std::uint64_t n = 4; n <= last; ++n) {
                const auto check = journal->check(n);
                right = right &&
                        (check ? *check == checks[n - 4] : check.error() == QueueErrc::corrupt);
            }
            for (const Extent& operation : operations) {
                const bool hit = at >= operation.begin && at < operation.end;
                right = right && !(hit && operation.number >= 5 && journal->read(operation.number));
            }
            REQUIRE(right);
            ++(errors != 0 ? found : silent);
        }
    }
    CHECK(refused > 100);
    CHECK(found > 1000);
    CHECK(silent > 100);  // padding, acknowledged operations, and records that are no operations
}

TEST_CASE("Journal::open detects damage in a note that a segment was made with",
          "[journal][journal][fault]") {
    using namespace journal_format;
    sim::Disk disk;
    {
        auto journal = SimJournal::open(disk, "q", small_journal(1));
        REQUIRE(journal);
        REQUIRE_FALSE(journal->keep(as_bytes("the note")));
        // No operation was put into the second segment yet.
        while (disk.list("q")->size() < 3) {
            REQUIRE(journal->append(body_of(1, 0)));
        }
        disk.kill();
    }
    const sim::Disk::Image image = disk.image();
    REQUIRE(decode_segment_header(disk.contents(segment_file(2)))->made_bytes == 160);
    for (std::size_t at = 128; at < 160; ++at) {
        for (const Verify verify : {Verify::tail, Verify::everything}) {
            disk.restore(image);
            Bytes bytes = disk.contents(segment_file(2));
            bytes[at] ^= std::byte{0x10};
            disk.put(segment_file(2), bytes);
            JournalOptions options = small_journal(2);
            options.verify = verify;
            const auto journal = SimJournal::open(disk, "q", options);
            INFO("byte " << at);
            REQUIRE_FALSE(journal);
            CHECK(journal.error().code == QueueErrc::corrupt);
            CHECK(journal.error().where == segment_file(2));
            CHECK(journal.error().offset == 128);
        }
    }
    disk.restore(image);
    CHECK(as_text(SimJournal::open(disk, "q", small_journal(2))->kept()) == "the note");
}

TEST_CASE("Verify::tail: opening rejects a seal with impossible values",
          "[journal][journal][fault]") {
    using namespace journal_format;
    std::vector<std::uint32_t> salts{0};
    const sim::Disk::Image image = make_runs(salts, 4);
    sim::Disk disk;
    disk.restore(image);
    const std::size_t at = decode_segment_header(disk.contents(segment_file(2)))->previous_seal;
    const std::uint32_t nonce = decode_segment_header(disk.contents(segment_file(1)))->nonce;
    Bytes bytes = disk.contents(segment_file(1));
    RecordHeader h = decode_record_header(bytes.data() + at);
    REQUIRE(h.kind == Kind::seal);
    const Seal whole = *decode_seal({bytes.data() + at + record_header_bytes, h.length});
    REQUIRE(whole.openings.size() >= 2);
    REQUIRE(whole.marks.size() == 1);
    std::vector<Seal> seals(9, whole);
    seals[1].check ^= 1;
    seals[2].marks[0].offset = 0;
    seals[3].marks[0].offset = 0xFFFFFFF8U;
    seals[4].marks[0].offset += 8;
    seals[5].marks.push_back({1, whole.marks[0].offset + 8});
    seals[6].marks.clear();
    seals[7].openings[0].first = ~std::uint64_t{0};
    seals[8].openings.front().run = whole.openings.back().run;
    for (std::size_t i = 0; i < seals.size(); ++i) {
        const Bytes payload = encode_seal(seals[i].check, seals[i].openings, seals[i].marks);
        Bytes file_1 = bytes;
        h.length = static_cast<std::uint32_t>(payload.size());
        std::byte* const p = file_1.data() + at;
        encode(h, p);
        std::copy(payload.begin(), payload.end(), p + record_header_bytes);
        store_le<std::uint32_t>(p, record_crc(p, part::crc32c(payload), record_seed(nonce, at)));
        disk.restore(image);
        disk.put(segment_file(1), file_1);
        auto journal = SimJournal::open(disk, "q", small_journal(2));
        INFO("seal " << i);
        // A seal that is wrong, and not impossible, is detected when it is used.
        REQUIRE((i == 0 || i == 4) == journal.has_value());
        if (i == 4) {
            CHECK(journal->check(5).error() == QueueErrc::corrupt);
            CHECK(journal->read(5));
        }
        CHECK((i == 0 || !SimJournal::open(disk, "q", verify_everything())));
    }
}

TEST_CASE("Journal::open fails when a sealed file is cut short, also where files grow",
          "[journal][journal][fault]") {
    const Verify verify = GENERATE(Verify::tail, Verify::everything);
    JournalOptions options = small_journal(1);
    options.verify = verify;
    WatchedDisk files;
    {
        auto journal = Journal<WatchedDisk>::open(files, "q", options);
        REQUIRE(journal);
        for (std::uint64_t n = 1; n <= 48; ++n) REQUIRE(journal->append(body_of(n, 0)));
    }
    const sim::Disk::Image image = files.image();
    REQUIRE(last_segment(image) == 3);
    const std::size_t size = files.contents(segment_file(1)).size();
    for (std::size_t length = 0; length <= size; length += length + 40 < size ? 37 : 1) {
        files.restore(image);
        Bytes bytes = files.contents(segment_file(1));
        bytes.resize(length);
        files.put(segment_file(1), bytes);
        const auto journal = Journal<WatchedDisk>::open(files, "q", options);
        INFO("cut to " << length << " of " << size);
        // The last bytes are padding.
        if (journal) REQUIRE(length + journal_format::alignment > size);
        if (!journal) {
            CHECK(journal.error().code == QueueErrc::corrupt);
            CHECK(journal.error().where == segment_file(1));
        }
    }
}

TEST_CASE("Journal::open makes names durable that the previous process had not made durable",
          "[journal][journal][regression]") {
    std::uint64_t found = 0;
    for (std::uint64_t halt = 1; halt < 12; ++halt) {
        WatchedDisk files;
        files.halt_at(halt);
        const bool opened =
            Journal<WatchedDisk>::open(files, "dir/q", small_journal(1)).has_value();
        files.kill();
        std::vector<std::string> synced;
        files.on_sync_directory = [&](const std::string& path) { synced.push_back(path); };
        const auto journal = Journal<WatchedDisk>::open(files, "dir/q", small_journal(1));
        REQUIRE(journal);
        if (opened || journal->report().created) continue;
        ++found;
        INFO("operation " << halt);
        CHECK(synced == std::vector<std::string>{"dir/q", "dir"});
    }
    CHECK(found > 0);
}

TEST_CASE("Journal::open makes the name of its directory durable where its absolute path leads",
          "[journal][journal][regression]") {
    struct : WatchedDisk {
        [[nodiscard]] Result<std::string> absolute(const std::string& path) const {
            return "/" + path;
        }
    } files;
    std::vector<std::string> synced;
    files.on_sync_directory = [&](const std::string& path) { synced.push_back(path); };
    REQUIRE(Journal<decltype(files)>::open(files, "q", small_journal(1)));
    CHECK(synced == std::vector<std::string>{"q", "/"});
}

TEST_CASE("Journal returns no older note or pin after a record was written twice",
          "[journal][journal][regression]") {
    using namespace journal_format;
    sim::Disk disk;
    {
        auto journal = SimJournal::open(disk, "q", small_journal(1));
        REQUIRE(journal);
        for (const char* const note : {"old note", "new note"}) {
            REQUIRE_FALSE(journal->keep(as_bytes(note)));
            REQUIRE_FALSE(journal->pin_store(Id{static_cast<std::byte>(note[0])}));
            // These show that the note and the pin were flushed.
            for (std::size_t i = 0; i < 3; ++i) {
                REQUIRE(journal->append(as_bytes("operation")));
                REQUIRE_FALSE(journal->commit());
            }
        }
        disk.kill();
    }
    const sim::Disk::Image image = disk.image();
    const Bytes whole = disk.contents(segment_file(1));
    const std::vector<PlacedRecord> records = records_of(whole);
    const std::size_t end = records.back().offset + record_bytes(records.back().header.length);
    for (const PlacedRecord& from : records) {
        for (std::size_t to = from.offset + alignment; to <= end; to += alignment) {
            Bytes bytes = whole;
            std::copy_n(whole.begin() + static_cast<std::ptrdiff_t>(from.offset),
                        record_bytes(from.header.length),
                        bytes.begin() + static_cast<std::ptrdiff_t>(to));
            disk.restore(image);
            disk.put(segment_file(1), bytes);
            INFO("the record at " << from.offset << " is also at " << to);
            const auto journal = SimJournal::open(disk, "q", small_journal(2));
            if (!journal) continue;
            // Nothing confirms the last write, so it may be cut off.
            REQUIRE(journal->last() >= 4);
            REQUIRE(as_text(journal->kept()) == "new note");
            REQUIRE(journal->store_pin() == Id{std::byte{'n'}});
            REQUIRE(journal->report().truncated_bytes != 0);
        }
    }
}

TEST_CASE("Journal::open with Verify::skip_damage opens a journal whose last file is damaged",
          "[journal][journal][fault]") {
    JournalOptions options;
    options.seed = Seed{1};
    options.segment_bytes = 64 << 10;
    options.record_bytes_max = 1024;
    options.verify = Verify::skip_damage;
    const auto append = [](SimJournal& journal, std::uint64_t from, std::uint64_t to) {
        for (std::uint64_t n = from; n <= to; ++n) {
            REQUIRE(journal.append(body_of(n, 0)));
            if (n % 3 == 0) REQUIRE_FALSE(journal.commit());
            if (n == 100) REQUIRE_FALSE(journal.ack(20));
        }
        REQUIRE_FALSE(journal.commit());
    };
    // Restarts: openings between operations, alone and in a row.
    sim::Disk whole;
    const std::uint64_t last = 150;
    for (const auto& [from, to] :
         {std::pair{1, 60}, {61, 120}, {121, 120}, {121, 120}, {121, 150}}) {
        auto journal = SimJournal::open(whole, "q", options);
        REQUIRE(journal);
        append(*journal, static_cast<std::uint64_t>(from), static_cast<std::uint64_t>(to));
        whole.kill();
    }
    const bool opened_last = GENERATE(false, true);
    if (opened_last) {
        REQUIRE(SimJournal::open(whole, "q", options));
        whole.kill();
    }
    // Damage at the end, with nothing behind it, looks like the trace of a crash.
    const std::size_t behind = opened_last ? 32 : 600;
    const sim::Disk::Image image = whole.image();
    const Bytes bytes = whole.contents(segment_file(1));
    std::size_t used = bytes.size();
    while (bytes[used - 1] == std::byte{0}) --used;
    std::size_t tried = 0;
    std::vector<std::size_t> rejected;
    for (const std::size_t length : {std::size_t{1}, std::size_t{300}, std::size_t{5'000}}) {
        for (std::size_t at = journal_format::segment_header_bytes; at + length + behind <= used;
             at += 13) {
            Bytes damaged = bytes;
            for (std::size_t i = 0; i < length; ++i) damaged[at + i] ^= std::byte{4};
            sim::Disk disk;
            disk.restore(image);
            disk.put(segment_file(1), damaged);
            ++tried;
            auto journal = SimJournal::open(disk, "q", options);
            if (!journal) {
                rejected.push_back(at);
                WARN(at << ' ' << length << ' ' << used << ' ' << journal.error().offset << ' '
                        << journal.error().what);
            }
            if (!journal) continue;
            // At least one is reported if several of the last operations are damaged.
            const std::uint64_t end = std::min(last, journal->last());
            const auto lost = [&](SimJournal& journal_then) {
                std::uint64_t now = 0;
                for (std::uint64_t n = journal_then.base(); n <= end; ++n) {
                    const auto body = journal_then.read(n);
                    if (!body) REQUIRE(body.error() == QueueErrc::corrupt);
                    if (!body) ++now;
                    if (body) REQUIRE(to_bytes(*body) == body_of(n, 0));
                }
                return now;
            };
            const std::uint64_t before = lost(*journal);
            REQUIRE(before <= length / 24 + 1);
            REQUIRE((end == last || before != 0));
            if (tried % 20 != 0) continue;
            // It goes on, in this file and the next one, and opens again.
            append(*journal, journal->last() + 1, 1'500);
            REQUIRE(lost(*journal) == before);
            disk.kill();
            auto again = SimJournal::open(disk, "q", options);
            REQUIRE(again);
            REQUIRE(again->last() == 1'500);
            REQUIRE(lost(*again) == before);
            REQUIRE(again->read(1'500));
        }
    }
    CAPTURE(rejected);
    CHECK(rejected.empty());
}

TEST_CASE("Journal::open with Verify::skip_damage opens a journal with damage in a former file",
          "[journal][journal][fault]") {
    JournalOptions options;
    options.seed = Seed{1};
    options.segment_bytes = 16 << 10;
    options.record_bytes_max = 1024;
    options.verify = Verify::skip_damage;
    sim::Disk whole;
    const std::uint64_t last = 400;
    {
        auto journal = SimJournal::open(whole, "q", options);
        REQUIRE(journal);
        for (std::uint64_t n = 1; n <= last; ++n) REQUIRE(journal->append(body_of(n, 0)));
        REQUIRE_FALSE(journal->commit());
        whole.kill();
    }
    const sim::Disk::Image image = whole.image();
    const Bytes bytes = whole.contents(segment_file(2));
    REQUIRE(!whole.contents(segment_file(3)).empty());
    std::size_t used = bytes.size();
    while (bytes[used - 1] == std::byte{0}) --used;
    for (const std::size_t length : {std::size_t{1}, std::size_t{300}, std::size_t{12'000}}) {
        for (std::size_t at = journal_format::segment_header_bytes; at < used; at += 5) {
            Bytes damaged = bytes;
            for (std::size_t i = at; i < std::min(at + length, used); ++i)
                damaged[i] ^= std::byte{4};
            sim::Disk disk;
            disk.restore(image);
            disk.put(segment_file(2), damaged);
            CAPTURE(at, length);
            auto journal = SimJournal::open(disk, "q", options);
            REQUIRE(journal);
            std::uint64_t lost = 0;
            for (std::uint64_t n = 1; n <= last; ++n) {
                const auto body = journal->read(n);
                if (!body) REQUIRE(body.error() == QueueErrc::corrupt);
                if (!body) ++lost;
                if (body) REQUIRE(to_bytes(*body) == body_of(n, 0));
            }
            REQUIRE(lost <= length / 24 + 1);
        }
    }
}
