// SPDX-License-Identifier: MIT
// Goal: an inspection finds exactly the operations that exist, around any damage, and reports no
// crash as damage. Method: whole journals, every bit of one flipped, files missing and cut,
// every crash of a script.
#include <belay/journal/journal_inspect.hpp>
#include <belay/sim/crash_points.hpp>

#include <map>
#include <memory>

#include "support/journal/each_bit.hpp"
#include "support/journal/journal_model.hpp"

using namespace belay;
using namespace belay_test;

namespace {

constexpr std::uint64_t inspected_operations = 60;
constexpr std::uint64_t inspected_acked = 5;

/// Several segments with every kind of record, closed in order.
void fill_segments(sim::Disk& disk) {
    for (std::uint64_t run = 0; run < 3; ++run) {
        auto journal = SimJournal::open(disk, "q", small_journal(run + 1));
        REQUIRE(journal);
        for (std::uint64_t i = 0; i < inspected_operations / 3; ++i) {
            REQUIRE(journal->append(body_of(journal->last() + 1, 0)));
            if (i % 4 == 3) REQUIRE_FALSE(journal->commit());
        }
        if (run == 1) {
            REQUIRE_FALSE(journal->ack(inspected_acked));
            REQUIRE_FALSE(journal->keep(as_bytes("a note")));
            REQUIRE_FALSE(journal->pin_store(Id{std::byte{7}}));
        }
        REQUIRE_FALSE(journal->commit());
    }
}

struct Observed {
    tool::JournalReport inspection;
    std::map<std::uint64_t, Bytes> bodies;
    bool right = true;
};

std::optional<Observed> look(sim::Disk& disk) {
    Observed observed;
    std::uint64_t previous = 0;
    auto found = tool::inspect_journal(disk, "q", [&](std::uint64_t number, BytesView body) {
        const Bytes expected = body_of(number, 0);
        observed.right = observed.right && number > previous &&
                         std::equal(body.begin(), body.end(), expected.begin(), expected.end());
        observed.bodies[number] = to_bytes(body);
        previous = number;
    });
    if (!found) return std::nullopt;
    observed.inspection = std::move(*found);
    return observed;
}

std::uint64_t lost(const tool::JournalReport& inspection) {
    std::uint64_t sum = 0;
    for (const tool::JournalReport::Range& range : inspection.lost)
        sum += range.last - range.first + 1;
    return sum;
}

}  // namespace

TEST_CASE("tool::inspect_journal reports every operation, and changes no file",
          "[journal][journal_inspect][unit]") {
    sim::Disk disk;
    fill_segments(disk);
    const sim::Disk::Image before = disk.image();
    const auto observed = look(disk);
    REQUIRE(observed);
    CHECK(disk.image() == before);
    CHECK(observed->right);
    CHECK(observed->bodies.size() == inspected_operations);
    const tool::JournalReport& found = observed->inspection;
    CHECK(found.is_whole());
    CHECK(found.acked == inspected_acked);
    CHECK(found.operations == inspected_operations - inspected_acked);
    CHECK(found.run == 3);
    CHECK(as_text(found.note) == "a note");
    CHECK(found.store_pin == Id{std::byte{7}});
    CHECK(found.unfinished_bytes == 0);
    CHECK_FALSE(found.unfinished_roll);
    REQUIRE(found.segments.size() >= 3);
    CHECK(found.segments.front().path == segment_file(1));
    CHECK(found.segments.front().first == 1);
    CHECK(found.segments.front().sealed);
    CHECK_FALSE(found.segments.back().sealed);
    CHECK(found.segments.back().last == inspected_operations);

    // The same holds while a journal is open.
    auto journal = SimJournal::open(disk, "q", small_journal(9));
    REQUIRE(journal);
    CHECK(look(disk)->inspection.journal == journal->journal_id());
}

TEST_CASE("tool::inspect_journal reports the reason if it cannot inspect",
          "[journal][journal_inspect][unit]") {
    sim::Disk disk;
    const auto none = tool::inspect_journal(disk, "nowhere", [](std::uint64_t, BytesView) {});
    REQUIRE_FALSE(none);
    CHECK(none.error().where == "nowhere");

    REQUIRE_FALSE(disk.create_directory("empty"));
    const auto empty = tool::inspect_journal(disk, "empty", [](std::uint64_t, BytesView) {});
    REQUIRE_FALSE(empty);
    CHECK(empty.error().what == "the directory has no journal");
    CHECK(empty.error().message().find("files that end in .journal") != std::string::npos);

    fill_segments(disk);
    for (const std::uint32_t version : {1U, 3U}) {
        Bytes other = disk.contents(segment_file(2));
        store_le<std::uint32_t>(other.data() + 8, version);
        store_le<std::uint32_t>(other.data() + 124, part::crc32c(BytesView{other}.first(124)));
        disk.put(segment_file(2), other);
        const auto found = tool::inspect_journal(disk, "q", [](std::uint64_t, BytesView) {});
        REQUIRE_FALSE(found);
        CHECK(found.error().code == QueueErrc::other_version);
        CHECK(found.error().where == segment_file(2));
        CHECK(found.error().what == "it has version " + std::to_string(version) +
                                        ", and this program reads only version 2");
    }
}

TEST_CASE("tool::inspect_journal loses one operation to one flipped bit, and finds all others",
          "[journal][journal_inspect][fault]") {
    sim::Disk disk;
    fill_segments(disk);
    const sim::Disk::Image image = disk.image();
    std::uint64_t observed_damages = 0;
    for (const auto& [path, bytes] : image) {
        if (journal_format::segment_index(path.substr(2)) == 0) continue;
        for (std::size_t at = 0; at < bytes.size(); at += 3) {
            Bytes damaged = bytes;
            damaged[at] ^= static_cast<std::byte>(1 << (at % 8));
            disk.put(path, damaged);
            const auto observed = look(disk);
            INFO(path << ", byte " << at);
            REQUIRE(observed);
            const tool::JournalReport& found = observed->inspection;
            REQUIRE(observed->right);
            REQUIRE(observed->bodies.size() + 1 >= inspected_operations);
            // A missing operation is reported as lost or, if it is in the last write, as
            // unfinished.
            const std::uint64_t missing = inspected_operations - observed->bodies.size();
            REQUIRE(lost(found) <= missing);
            if (missing != 0) REQUIRE((!found.is_whole() || found.unfinished_bytes != 0));
            observed_damages += found.damages.size();
        }
        disk.put(path, bytes);
    }
    CHECK(observed_damages > 1000);
}

TEST_CASE("tool::inspect_journal finds the operations of a file without its header",
          "[journal][journal_inspect][fault]") {
    sim::Disk disk;
    fill_segments(disk);
    const std::uint64_t segments = look(disk)->inspection.segments.size();
    for (std::uint64_t index = 1; index <= segments; ++index) {
        const Bytes bytes = disk.contents(segment_file(index));
        Bytes damaged = bytes;
        for (std::size_t i = 0; i < journal_format::segment_header_bytes; ++i) {
            damaged[i] = std::byte{0xA5};
        }
        disk.put(segment_file(index), damaged);
        const auto observed = look(disk);
        REQUIRE(observed);
        CHECK(observed->right);
        CHECK(observed->bodies.size() == inspected_operations);
        REQUIRE(observed->inspection.damages.size() == 1);
        CHECK(observed->inspection.damages[0].path == segment_file(index));
        CHECK(observed->inspection.damages[0].bytes == journal_format::segment_header_bytes);
        disk.put(segment_file(index), bytes);
    }
}

TEST_CASE("tool::inspect_journal reports the operations lost with a missing or cut file",
          "[journal][journal_inspect][fault]") {
    sim::Disk disk;
    fill_segments(disk);
    const tool::JournalReport whole = look(disk)->inspection;
    const tool::JournalReport::Segment& second = whole.segments[1];
    const Bytes bytes = disk.contents(second.path);

    REQUIRE_FALSE(disk.remove(second.path));
    const auto missing = look(disk);
    REQUIRE(missing);
    CHECK(missing->bodies.size() == inspected_operations - second.operations);
    REQUIRE(missing->inspection.damages.size() == 1);
    CHECK(missing->inspection.damages[0].path == second.path);
    CHECK(missing->inspection.lost ==
          std::vector<tool::JournalReport::Range>{{second.first, second.last}});
    CHECK(missing->inspection.operations == whole.operations - second.operations);

    for (std::size_t keep = 0; keep < second.end; keep += 64) {
        disk.put(second.path, {bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(keep)});
        const auto cut = look(disk);
        REQUIRE(cut);
        REQUIRE(cut->right);
        REQUIRE_FALSE(cut->inspection.is_whole());
        // A cut seal is damage, and no operation is lost with it.
        REQUIRE(cut->bodies.size() + lost(cut->inspection) == inspected_operations);
    }

    disk.put(second.path, disk.contents(segment_file(1)));  // a copy in the wrong place
    const auto copied = look(disk);
    REQUIRE(copied);
    CHECK(copied->right);
    CHECK_FALSE(copied->inspection.is_whole());
}

TEST_CASE("tool::inspect_journal reports a missing file at either end",
          "[journal][journal_inspect][regression]") {
    sim::Disk disk;
    {
        auto journal = SimJournal::open(disk, "q", small_journal(1));
        REQUIRE(journal);
        for (std::uint64_t n = 1; n <= inspected_operations; ++n)
            REQUIRE(journal->append(body_of(n, 0)));
        REQUIRE_FALSE(journal->commit());
    }
    const tool::JournalReport whole = look(disk)->inspection;
    REQUIRE(whole.is_whole());
    REQUIRE(whole.segments.size() > 2);
    const tool::JournalReport::Segment& first = whole.segments.front();
    const tool::JournalReport::Segment& last = whole.segments.back();
    const Bytes first_bytes = disk.contents(first.path);
    const Bytes last_bytes = disk.contents(last.path);

    REQUIRE_FALSE(disk.remove(first.path));
    const tool::JournalReport headless = look(disk)->inspection;
    CHECK_FALSE(headless.damages.empty());
    CHECK(headless.lost == std::vector<tool::JournalReport::Range>{{1, first.last}});
    CHECK(headless.operations == inspected_operations - first.last);

    disk.put(first.path, Bytes(4096));
    const tool::JournalReport zeros = look(disk)->inspection;
    CHECK_FALSE(zeros.damages.empty());
    CHECK(zeros.lost == std::vector<tool::JournalReport::Range>{{1, first.last}});
    CHECK(zeros.operations == inspected_operations - first.last);
    disk.put(first.path, first_bytes);

    REQUIRE_FALSE(disk.remove(last.path));
    const tool::JournalReport tailless = look(disk)->inspection;
    REQUIRE(tailless.damages.size() == 1);
    CHECK(tailless.damages[0].path == last.path);

    // Only zeros are missing, and the file is reported as changed.
    disk.put(last.path, {last_bytes.begin(), last_bytes.end() - 8});
    CHECK_FALSE(look(disk)->inspection.is_whole());
}

TEST_CASE("tool::inspect_journal distinguishes a flipped version from a later one",
          "[journal][journal_inspect][regression]") {
    sim::Disk disk;
    fill_segments(disk);
    for (std::size_t at = 8; at < 12; ++at) {
        Bytes bytes = disk.contents(segment_file(2));
        bytes[at] ^= std::byte{0x10};
        disk.put(segment_file(2), bytes);
        const auto observed = look(disk);
        REQUIRE(observed);
        CHECK(observed->bodies.size() == inspected_operations);
        REQUIRE(observed->inspection.damages.size() == 1);
        CHECK(observed->inspection.damages[0].offset == 8);
        bytes[at] ^= std::byte{0x10};
        disk.put(segment_file(2), bytes);
    }
    // A whole record of a kind that does not exist.
    Bytes bytes = disk.contents(segment_file(1));
    std::byte* const record = bytes.data() + journal_format::segment_header_bytes;
    journal_format::RecordHeader h = journal_format::decode_record_header(record);
    h.kind = static_cast<journal_format::Kind>(9);
    journal_format::encode(h, record);
    const auto header = journal_format::decode_segment_header(bytes);
    REQUIRE(header);
    h.crc = journal_format::record_crc(
        record, part::crc32c({record + journal_format::record_header_bytes, h.length}),
        journal_format::record_seed(header->nonce, journal_format::segment_header_bytes));
    journal_format::encode(h, record);
    disk.put(segment_file(1), bytes);
    const auto later = tool::inspect_journal(disk, "q", [](std::uint64_t, BytesView) {});
    REQUIRE_FALSE(later);
    CHECK(later.error().code == QueueErrc::other_version);
}

TEST_CASE("tool::inspect_journal finds damage next to an unfinished change of segments",
          "[journal][journal_inspect][regression]") {
    // A new file after one without a seal, as a crash leaves it.
    sim::Disk disk;
    {
        auto journal = SimJournal::open(disk, "q", small_journal(1));
        REQUIRE(journal);
        REQUIRE_FALSE(journal->keep(as_bytes("a note")));
        std::uint64_t n = 0;
        while (disk.contents(segment_file(2)).empty()) REQUIRE(journal->append(body_of(++n, 0)));
        disk.kill();
    }
    Bytes sealed = disk.contents(segment_file(1));
    const auto next = journal_format::decode_segment_header(disk.contents(segment_file(2)));
    REQUIRE(next);
    for (std::size_t i = next->previous_seal; i < sealed.size(); ++i) sealed[i] = std::byte{0};
    disk.put(segment_file(1), sealed);
    Bytes fresh = disk.contents(segment_file(2));
    for (std::size_t i = next->made_bytes; i < fresh.size(); ++i) fresh[i] = std::byte{0};
    disk.put(segment_file(2), fresh);
    const tool::JournalReport crash = look(disk)->inspection;
    CHECK(crash.is_whole());
    CHECK(crash.unfinished_roll);

    fresh[journal_format::segment_header_bytes + journal_format::record_header_bytes] ^=
        std::byte{1};
    disk.put(segment_file(2), fresh);
    CHECK_FALSE(look(disk)->inspection.is_whole());
}

namespace {

/// A disk that counts the bytes that are read.
struct CountingDisk : sim::Disk {
    struct File : sim::Disk::File {
        File(sim::Disk::File file, CountingDisk& d) noexcept
            : sim::Disk::File{std::move(file)}, disk{&d} {}
        Result<std::size_t> read(std::uint64_t offset, std::span<std::byte> into) const noexcept {
            disk->longest = std::max(disk->longest, into.size());
            disk->total += into.size();
            return sim::Disk::File::read(offset, into);
        }
        CountingDisk* disk;
    };
    Result<File> open(const std::string& path, OpenMode mode) noexcept {
        auto file = sim::Disk::open(path, mode);
        if (!file) return file.error();
        return File{std::move(*file), *this};
    }
    std::size_t longest = 0;
    std::uint64_t total = 0;
};

}  // namespace

TEST_CASE("tool::inspect_journal reads in small pieces, and skips zeros",
          "[journal][journal_inspect][regression]") {
    CountingDisk disk;
    fill_segments(disk);
    const std::uint64_t last = look(disk)->inspection.segments.back().index;
    constexpr std::size_t size = std::size_t{64} << 20;
    Bytes bytes = disk.contents(segment_file(last));
    SECTION("after the last record") { bytes.resize(size); }
    SECTION("between records") {
        // The last operation is far behind the others, and was made when the zeros were there.
        using namespace journal_format;
        const std::uint32_t nonce = decode_segment_header(bytes)->nonce;
        std::size_t at = 0;
        for (const PlacedRecord& record : records_of(bytes)) {
            if (record.header.kind == Kind::operation) at = record.offset;
        }
        RecordHeader h = decode_record_header(bytes.data() + at);
        const std::size_t end = at + record_bytes(h.length);
        const Bytes body(bytes.begin() + static_cast<std::ptrdiff_t>(at + record_header_bytes),
                         bytes.begin() + static_cast<std::ptrdiff_t>(end));
        bytes.resize(at);
        bytes.resize(size);
        std::byte* const half = bytes.data() + size / 2;
        h.durable = size / 2;
        encode(h, half);
        std::copy(body.begin(), body.end(), half + record_header_bytes);
        h.crc = record_crc(half, part::crc32c(BytesView{body}.first(h.length)),
                           record_seed(nonce, size / 2));
        encode(h, half);
    }
    disk.put(segment_file(last), bytes);
    const auto found = tool::inspect_journal(disk, "q", [](std::uint64_t, BytesView) {});
    REQUIRE(found);
    CHECK(found->segments.back().bytes == size);
    CHECK(found->operations + lost(*found) == inspected_operations - inspected_acked);
    CHECK(disk.longest <= 256 << 10);
    CHECK(disk.total <= 12 * size);
}

TEST_CASE("tool::inspect_journal reports as whole exactly the journals that open",
          "[journal][journal_inspect][regression]") {
    using namespace journal_format;
    sim::Disk disk;
    std::uint64_t last = 0;
    {
        auto journal = SimJournal::open(disk, "q", small_journal(1));
        REQUIRE(journal);
        while (disk.contents(segment_file(3)).empty()) {
            REQUIRE(journal->append(body_of(++last, 0)));
        }
        REQUIRE_FALSE(journal->commit());
        disk.kill();
    }
    REQUIRE(look(disk)->inspection.is_whole());
    const sim::Disk::Image image = disk.image();
    const std::uint64_t end = look(disk)->inspection.segments.back().end;
    Bytes bytes = disk.contents(segment_file(3));
    SECTION("a valid record repeated after the end: a write that was replayed") {
        const auto from = bytes.begin() + segment_header_bytes;
        const RecordHeader h = decode_record_header(bytes.data() + segment_header_bytes);
        std::copy(from, from + static_cast<std::ptrdiff_t>(record_bytes(h.length)),
                  bytes.begin() + static_cast<std::ptrdiff_t>(end));
    }
    SECTION("a new file, cut short") {
        bytes.resize(2000);
        std::fill(bytes.begin() + segment_header_bytes, bytes.end(), std::byte{0});
    }
    disk.put(segment_file(3), bytes);
    const auto observed = look(disk);
    const auto opened = SimJournal::open(disk, "q", small_journal(1));
    REQUIRE_FALSE(opened);
    REQUIRE(observed);
    CHECK_FALSE(observed->inspection.is_whole());
    REQUIRE(observed->inspection.damages.size() == 1);
    CHECK(observed->inspection.damages[0].path == opened.error().where);
    CHECK(observed->inspection.damages[0].offset == opened.error().offset);
}

TEST_CASE("tool::inspect_journal reports no crash as damage, and predicts the result of opening",
          "[journal][journal_inspect][fault]") {
    std::uint64_t states = 0;
    for (std::uint64_t script = 1; script <= 8; ++script) {
        const auto report = sim::crash_points(
            [&](sim::Disk& disk) {
                auto model = std::make_unique<JournalModel>(disk, script);
                run_script(*model, make_script(script, 50));
                return model;
            },
            [&](sim::Disk& disk, const std::unique_ptr<JournalModel>& model) {
                model->drop_process();
                const auto found =
                    tool::inspect_journal(disk, "q", [](std::uint64_t, BytesView) {});
                const auto opened = SimJournal::open(disk, "q", small_journal(script));
                if (!opened) return false;
                if (!found) return opened->last() == 0;  // the first file was not there
                ++states;
                return found->damages.empty() && found->lost.empty() &&
                       found->operations == opened->size() && found->acked == opened->base() - 1;
            },
            {.drawn_max = 1, .enumerated_max = 1, .seed = Seed{script * 1000}});
        INFO("script " << script << ", " << report.failure);
        REQUIRE(report);
    }
    CHECK(states > 300);
}

TEST_CASE(
    "tool::inspect_journal reports a whole record with a wrong number as damage, as open does",
    "[journal][journal_inspect][regression]") {
    // The last write was repeated, or the record before it was left out.
    const bool again = GENERATE(true, false);
    const bool is_acked = GENERATE(true, false);
    sim::Disk disk;
    {
        auto journal = SimJournal::open(disk, "q", small_journal(1));
        REQUIRE(journal);
        for (std::uint64_t n = 1; n <= 6; ++n) REQUIRE(journal->append(body_of(n, 0)));
        REQUIRE_FALSE(journal->commit());
        if (is_acked) {
            REQUIRE_FALSE(journal->ack(6));
            REQUIRE_FALSE(journal->append(body_of(7, 0)).error());
            REQUIRE_FALSE(journal->commit());
        }
        disk.kill();
    }
    Bytes bytes;
    for (const auto& [path, content] : disk.image()) {
        if (path == segment_file(1)) bytes = content;
    }
    std::vector<std::size_t> operations{};
    std::size_t end = journal_format::segment_header_bytes;
    while (true) {
        const auto h = journal_format::decode_record_header(bytes.data() + end);
        if (h.kind == journal_format::Kind::none) break;
        if (h.kind == journal_format::Kind::operation) operations.push_back(end);
        end += journal_format::record_bytes(h.length);
    }
    const auto at = [&](std::size_t i) {
        return bytes.begin() + static_cast<std::ptrdiff_t>(operations[i]);
    };
    if (again) {
        std::copy(at(5), bytes.begin() + static_cast<std::ptrdiff_t>(end),
                  bytes.begin() + static_cast<std::ptrdiff_t>(end));
    } else {
        const std::size_t size = bytes.size();
        bytes.erase(at(2), at(3));
        bytes.resize(size);
    }
    disk.put(segment_file(1), bytes);
    const auto observed = look(disk);
    REQUIRE(observed);
    CHECK_FALSE(observed->inspection.is_whole());
    REQUIRE(observed->inspection.damages.size() >= 1);
    CHECK(observed->inspection.damages[0].offset == (again ? end : operations[2]));
    CHECK(observed->inspection.damages[0].what ==
          "a record is not at the place where it was written");
    if (again) CHECK(observed->bodies.size() == operations.size());
    const auto opened = SimJournal::open(disk, "q", small_journal(1));
    REQUIRE_FALSE(opened);
    CHECK(opened.error().code == QueueErrc::corrupt);
}
