// SPDX-License-Identifier: MIT
// Goal: on a disk that is full, that ignores syncs or that writes to a wrong place, a journal
// rejects or reports, and never returns a wrong operation. Method: each fault at each operation of
// the disk.
#include <algorithm>
#include <map>
#include <set>
#include <span>
#include <string>
#include <system_error>
#include <utility>

#include <belay/journal/journal.hpp>
#include <belay/queue/overflows.hpp>
#include <belay/queue/queue.hpp>
#include <belay/sim/crash_points.hpp>
#include <belay/sim/disk.hpp>

#include "support/catch.hpp"
#include "support/journal/journal_model.hpp"

using namespace belay;
using namespace belay_test;

namespace {

/// Appends operations until a call fails.   Returns: the last one that a commit has confirmed.
std::uint64_t append_until_it_fails(sim::Disk& disk, std::uint64_t operations) {
    auto journal = SimJournal::open(disk, "q", small_journal(1));
    std::uint64_t confirmed = 0;
    if (!journal) return confirmed;
    for (std::uint64_t n = journal->last() + 1; n <= operations; ++n) {
        if (!journal->append(body_of(n, 0)) || journal->commit()) break;
        confirmed = n;
    }
    return confirmed;
}
/// The operations that the next process finds.
struct Found {
    std::uint64_t last = 0;
    bool refused = false;  // by open or by read
    bool right = true;
};
Found read_back(sim::Disk& disk) {
    auto journal = SimJournal::open(disk, "q", small_journal(2));
    if (!journal) return {.refused = true, .right = !journal.error().message().empty()};
    Found found{.last = journal->last()};
    for (std::uint64_t n = journal->base(); n <= journal->last(); ++n) {
        const auto body = journal->read(n);
        const Bytes expected = body_of(n, 0);
        // A record whose checksum is wrong is an error.
        found.refused = found.refused || !body;
        found.right = found.right && (!body || std::equal(body->begin(), body->end(),
                                                          expected.begin(), expected.end()));
    }
    return found;
}

}  // namespace

TEST_CASE("Journal on a disk that fills at any operation keeps what it has confirmed",
          "[journal][journal_disk_faults][fault]") {
    sim::Disk whole;
    REQUIRE(append_until_it_fails(whole, 60) == 60);
    for (std::uint64_t at = 1; at <= whole.operations(); ++at) {
        INFO("operation " << at);
        sim::Disk disk;
        disk.fill_at(at);
        const std::uint64_t confirmed = append_until_it_fails(disk, 60);
        disk.kill();
        disk.mend();
        REQUIRE(read_back(disk).last >= confirmed);
        // With space, the next process continues.
        REQUIRE(append_until_it_fails(disk, 80) == 80);
        disk.kill();
        const Found found = read_back(disk);
        REQUIRE(found.right);
        REQUIRE(found.last == 80);
    }
}

TEST_CASE("Journal on a disk that ignores syncs may lose operations, and returns no wrong one",
          "[journal][journal_disk_faults][fault]") {
    int lost = 0;
    for (std::uint64_t seed = 1; seed <= 300; ++seed) {
        INFO("crash " << seed);
        sim::Disk disk;
        REQUIRE(append_until_it_fails(disk, 10) == 10);
        disk.ignore_syncs(true);
        const std::uint64_t confirmed = append_until_it_fails(disk, 40);
        disk.crash(Random{Seed{seed}});
        disk.ignore_syncs(false);
        const Found found = read_back(disk);
        REQUIRE(found.right);
        lost += found.refused || found.last < confirmed ? 1 : 0;
        // The operations that were durable before are there, or the journal reports an error.
        REQUIRE((found.refused || found.last >= 10));
    }
    CHECK(lost > 0);
}

TEST_CASE("Journal returns no wrong operation after any write to a wrong place",
          "[journal][journal_disk_faults][fault]") {
    sim::Disk whole;
    REQUIRE(append_until_it_fails(whole, 60) == 60);
    int noticed = 0;
    for (std::uint64_t at = 1; at <= whole.operations(); ++at) {
        INFO("operation " << at);
        sim::Disk disk;
        disk.misdirect_at(at);
        static_cast<void>(append_until_it_fails(disk, 60));
        disk.kill();
        const Found found = read_back(disk);
        REQUIRE(found.right);
        noticed += found.refused ? 1 : 0;
    }
    CHECK(noticed > 20);
}

namespace {

/// A disk on which single files cannot be opened, or cannot be deleted.
struct DiskWithBadFiles : sim::Disk {
    struct File : sim::Disk::File {
        [[nodiscard]] Result<std::size_t> read(std::uint64_t offset,
                                               std::span<std::byte> into) const noexcept {
            if (offset >= end) return std::make_error_code(std::errc::io_error);
            return sim::Disk::File::read(offset, into);
        }
        std::uint64_t end;  // the first byte that cannot be read
    };
    [[nodiscard]] Result<File> open(const std::string& path, OpenMode mode) noexcept {
        ++opened[path];
        if (unreadable.contains(path)) return std::make_error_code(std::errc::io_error);
        Result<sim::Disk::File> file = sim::Disk::open(path, mode);
        if (!file) return file.error();
        const auto bad = bad_from.find(path);
        return File{std::move(*file), bad == bad_from.end() ? no_limit : bad->second};
    }
    [[nodiscard]] std::error_code remove(const std::string& path) noexcept {
        if (stuck.contains(path)) return std::make_error_code(std::errc::permission_denied);
        return sim::Disk::remove(path);
    }
    [[nodiscard]] std::size_t segments() const { return list("q")->size() - 1; }

    std::set<std::string> unreadable;
    std::map<std::string, std::uint64_t> bad_from;  // the offset from which a file cannot be read
    std::set<std::string> stuck;
    std::map<std::string, int> opened;
};
using BadFilesJournal = Journal<DiskWithBadFiles>;

/// Appends, commits and acknowledges.   Returns: how many acknowledgements returned an error.
int pass_on(BadFilesJournal& journal, int operations) {
    int errors = 0;
    for (int i = 0; i < operations; ++i) {
        const auto number = journal.append(Bytes(400));
        REQUIRE(number);
        REQUIRE_FALSE(journal.commit());
        errors += journal.ack(*number) ? 1 : 0;
        REQUIRE(journal.base() == *number + 1);
    }
    return errors;
}

/// Leaves five files. The first three are released, and could not be deleted.
/// Returns: the last operation.
std::uint64_t leave_released_files(DiskWithBadFiles& disk) {
    std::uint64_t last = 0;
    auto journal = BadFilesJournal::open(disk, "q", small_journal(1));
    REQUIRE(journal);
    for (std::uint64_t i = 1; i <= 3; ++i) disk.stuck.insert(segment_file(i));
    while (disk.segments() < 5) REQUIRE(journal->append(body_of(++last, 0)));
    REQUIRE_FALSE(journal->commit());
    std::uint64_t acked = 0;
    while (journal->undeleted_files() < 3) static_cast<void>(journal->ack(++acked));
    REQUIRE_FALSE(journal->commit());
    disk.kill();
    return last;
}

}  // namespace

TEST_CASE("Journal deletes a released file that cannot be read if its identity is right",
          "[journal][journal_disk_faults][fault]") {
    DiskWithBadFiles disk;
    auto journal = BadFilesJournal::open(disk, "q", small_journal(1));
    REQUIRE(journal);
    disk.unreadable.insert(segment_file(1));
    CHECK(pass_on(*journal, 60) == 0);
    CHECK(journal->undeleted_files() == 0);
    CHECK(disk.contents(segment_file(1)).empty());
    CHECK(disk.segments() <= 2);
}

TEST_CASE("Journal does not delete an unreadable file that replaced its own",
          "[journal][journal_disk_faults][fault]") {
    DiskWithBadFiles disk;
    auto journal = BadFilesJournal::open(disk, "q", small_journal(1));
    REQUIRE(journal);
    while (disk.segments() < 2) REQUIRE(journal->append(Bytes(400)));
    REQUIRE_FALSE(journal->commit());
    disk.put(segment_file(1), to_bytes(as_bytes("of somebody else")));
    disk.unreadable.insert(segment_file(1));
    CHECK(journal->ack(journal->last()) == std::errc::io_error);
    CHECK_FALSE(journal->ack(journal->last()));
    CHECK(journal->undeleted_files() == 1);
    CHECK(as_text(disk.contents(segment_file(1))) == "of somebody else");
}

TEST_CASE("Journal::read opens no file if the path of the last file names another file",
          "[journal][journal_disk_faults][fault]") {
    DiskWithBadFiles disk;
    auto journal = BadFilesJournal::open(disk, "q", small_journal(1));
    REQUIRE(journal);
    while (disk.segments() < 3) REQUIRE(journal->append(Bytes(400)));
    REQUIRE_FALSE(journal->commit());
    REQUIRE(journal->read(1));
    disk.put(segment_file(3), disk.contents(segment_file(3)));
    CHECK(journal->read(1));
    CHECK(journal->read(journal->last() - 1).error() == QueueErrc::displaced);
    CHECK(journal->read(8).error() == QueueErrc::displaced);
}

TEST_CASE("Journal continues when a released file cannot be deleted, and reports it once",
          "[journal][journal_disk_faults][regression]") {
    DiskWithBadFiles disk;
    {
        auto journal = BadFilesJournal::open(disk, "q", small_journal(1));
        REQUIRE(journal);
        REQUIRE(pass_on(*journal, 60) == 0);
        const std::uint64_t bytes = journal->bytes();
        // Two of the next files stay.
        std::uint64_t index = 1;
        while (disk.contents(segment_file(index)).empty()) ++index;
        disk.stuck = {segment_file(index), segment_file(index + 1)};
        disk.opened.clear();
        CHECK(pass_on(*journal, 900) == 2);
        CHECK(journal->undeleted_files() == 2);
        CHECK(disk.segments() <= 4);
        CHECK(journal->bytes() <= bytes + 4096);
        // With each new file, the journal has tried to delete one of them again.
        int files = 0;
        for (const auto& [path, times] : disk.opened) files += path > *disk.stuck.rbegin() ? 1 : 0;
        const int tried = disk.opened[segment_file(index)] + disk.opened[segment_file(index + 1)];
        CHECK(files > 100);
        CHECK(tried > files / 2);
        CHECK(tried < files + 6);
        // One can be deleted again: the journal detects that with the next files.
        disk.stuck.erase(segment_file(index));
        CHECK(pass_on(*journal, 30) == 0);
        CHECK(journal->undeleted_files() == 1);
        CHECK(disk.contents(segment_file(index)).empty());
    }
    {
        auto journal = BadFilesJournal::open(disk, "q", small_journal(1));
        REQUIRE(journal);
        CHECK(journal->report().undeleted_files == 1);
        CHECK(journal->undeleted_files() == 1);
        CHECK(pass_on(*journal, 60) == 0);
        disk.stuck.clear();
    }
    auto journal = BadFilesJournal::open(disk, "q", small_journal(1));
    REQUIRE(journal);
    CHECK(journal->report().undeleted_files == 0);
    CHECK(disk.segments() <= 2);
}

TEST_CASE("Journal::open does not need released files that it cannot read",
          "[journal][journal_disk_faults][regression]") {
    // Any of the released files may be unreadable: as a whole, except for its header, or from a
    // damaged record on.
    const std::uint64_t bad_from =
        GENERATE(std::uint64_t{0}, journal_format::segment_header_bytes, 1024);
    for (std::uint64_t bad = 1; bad <= 4; ++bad) {
        INFO("file " << bad << " from byte " << bad_from);
        DiskWithBadFiles disk;
        const std::uint64_t last = leave_released_files(disk);
        if (bad_from == 0) disk.unreadable.insert(segment_file(bad));
        disk.bad_from[segment_file(bad)] = bad_from;
        if (bad_from > journal_format::segment_header_bytes) {
            Bytes bytes = disk.contents(segment_file(bad));
            std::fill(bytes.begin() + 2048, bytes.begin() + 3072, std::byte{1});
            disk.put(segment_file(bad), bytes);
        }
        const sim::Disk::Image before = disk.image();
        auto journal = BadFilesJournal::open(disk, "q", small_journal(2));
        // Operations of file 4 wait.
        REQUIRE(journal.has_value() == (bad != 4));
        if (bad == 4) {
            CHECK(journal.error().code == std::errc::io_error);
            CHECK(journal.error().where == segment_file(4));
            CHECK(disk.image() == before);  // nothing was changed
            continue;
        }
        CHECK(journal->report().undeleted_files == 3);
        for (std::uint64_t n = journal->base(); n <= last; ++n) {
            const auto body = journal->read(n);
            REQUIRE(body);
            CHECK(as_text(*body) == as_text(body_of(n, 0)));
        }
        // It is readable and can be deleted again.
        disk.unreadable.clear();
        disk.bad_from.clear();
        disk.stuck.clear();
        static_cast<void>(journal->ack(last));
        CHECK(pass_on(*journal, 30) == 0);
        CHECK(journal->undeleted_files() == 0);
        CHECK(disk.segments() <= 2);
    }
}

TEST_CASE("Journal::open does not need damaged files whose operations are all acknowledged",
          "[journal][journal_disk_faults][regression]") {
    using Damage = void (*)(Bytes&);
    const Damage damages[] = {[](Bytes& bytes) { bytes[20] ^= std::byte{1}; },
                              [](Bytes& bytes) { bytes.resize(50); },
                              [](Bytes& bytes) { bytes.clear(); },
                              [](Bytes& bytes) {
                                  std::fill(bytes.begin() + journal_format::segment_header_bytes,
                                            bytes.end(), std::byte{7});
                              }};
    const Damage damage = damages[GENERATE(0, 1, 2, 3)];
    for (std::uint64_t bad = 1; bad <= 4; ++bad) {
        INFO("file " << bad);
        DiskWithBadFiles disk;
        const std::uint64_t last = leave_released_files(disk);
        Bytes bytes = disk.contents(segment_file(bad));
        damage(bytes);
        disk.put(segment_file(bad), bytes);
        const sim::Disk::Image before = disk.image();
        auto journal = BadFilesJournal::open(disk, "q", small_journal(2));
        // Operations of file 4 wait.
        REQUIRE(journal.has_value() == (bad != 4));
        if (bad == 4) {
            CHECK(journal.error().code == QueueErrc::corrupt);
            CHECK(journal.error().where == segment_file(4));
            CHECK(disk.image() == before);  // nothing was changed
            continue;
        }
        CHECK(journal->report().undeleted_files == 3);
        for (std::uint64_t n = journal->base(); n <= last; ++n) {
            const auto body = journal->read(n);
            REQUIRE(body);
            CHECK(as_text(*body) == as_text(body_of(n, 0)));
        }
        // It can be deleted again.
        disk.stuck.clear();
        static_cast<void>(journal->ack(last));
        CHECK(pass_on(*journal, 30) == 0);
        CHECK(disk.segments() <= 2);
    }
}

TEST_CASE("Journal::open needs the file before one that a change of segments left unused",
          "[journal][journal_disk_faults][regression]") {
    DiskWithBadFiles whole;
    DiskWithBadFiles disk;
    std::uint64_t flush = 1;
    for (DiskWithBadFiles* const each : {&whole, &disk}) {
        // There is no space for the seal, so the first file continues.
        each->fail_at(flush - 1, std::make_error_code(std::errc::no_space_on_device));
        auto journal = BadFilesJournal::open(*each, "q", small_journal(1));
        REQUIRE(journal);
        while (each->segments() < 2) {
            static_cast<void>(journal->ack(journal->last()));
            static_cast<void>(journal->append(Bytes(400)));
        }
        flush = each->operations();
        REQUIRE_FALSE(journal->failed());
        if (each == &disk) {
            REQUIRE(journal->append(Bytes(1)));
            REQUIRE(disk.segments() == 2);
            REQUIRE_FALSE(journal->commit());
            REQUIRE(journal->base() == journal->last());
        }
        each->kill();
    }
    const bool is_damaged = GENERATE(false, true);
    if (is_damaged) {
        Bytes bytes = disk.contents(segment_file(1));
        bytes[20] ^= std::byte{1};
        disk.put(segment_file(1), bytes);
    } else {
        disk.unreadable = {segment_file(1)};
    }
    const auto journal = BadFilesJournal::open(disk, "q", small_journal(2));
    REQUIRE_FALSE(journal);
    CHECK(journal.error().where == segment_file(1));
}

TEST_CASE("Journal::open with a damaged header loses nothing after any loss of power",
          "[journal][journal_disk_faults][fault]") {
    struct Confirmed {
        std::uint64_t last = 0;
        std::uint64_t acked = 0;
    };
    int opened = 0;
    const auto report = sim::crash_points(
        [](sim::Disk& disk) {
            Confirmed confirmed;
            auto journal = SimJournal::open(disk, "q", small_journal(1));
            for (std::size_t i = 0; i < 24 && journal; ++i) {
                const auto number = journal->append(Bytes(300 + 20 * (i % 3)));
                if (!number || journal->commit()) break;
                confirmed.last = *number;
                if (i % 4 == 3) static_cast<void>(journal->ack(confirmed.acked = *number - 1));
            }
            return confirmed;
        },
        [&](sim::Disk& disk, const Confirmed& confirmed) {
            const sim::Disk::Image image = disk.image();
            for (std::uint64_t bad = 1; bad <= 4; ++bad) {
                disk.restore(image);
                Bytes bytes = disk.contents(segment_file(bad));
                if (bytes.empty()) continue;
                bytes[20] ^= std::byte{1};
                disk.put(segment_file(bad), std::move(bytes));
                const auto journal = SimJournal::open(disk, "q", small_journal(2));
                if (!journal) continue;
                ++opened;
                if (journal->last() < confirmed.last) return false;
                if (journal->base() > confirmed.acked + 1) return false;
            }
            return true;
        },
        {.drawn_max = 2, .enumerated_max = 2});
    INFO(report.failure);
    CHECK(report);
    CHECK(opened > 0);
}

TEST_CASE("Journal::open tries all released files although one cannot be deleted",
          "[journal][journal_disk_faults][regression]") {
    DiskWithBadFiles disk;
    leave_released_files(disk);
    disk.bad_from[segment_file(1)] = journal_format::segment_header_bytes;
    disk.stuck = {segment_file(2)};
    auto journal = BadFilesJournal::open(disk, "q", small_journal(2));
    REQUIRE(journal);
    CHECK(journal->report().undeleted_files == 1);
    CHECK(disk.contents(segment_file(1)).empty());
    CHECK_FALSE(disk.contents(segment_file(2)).empty());
    CHECK(disk.contents(segment_file(3)).empty());
}

TEST_CASE("Journal without space for a new file tries again to delete released files",
          "[journal][journal_disk_faults][regression]") {
    DiskWithBadFiles disk;
    auto journal = BadFilesJournal::open(disk, "q", small_journal(1));
    REQUIRE(journal);
    disk.stuck.insert(segment_file(1));
    while (disk.segments() < 2) REQUIRE(journal->append(Bytes(400)));
    REQUIRE_FALSE(journal->commit());
    CHECK(journal->ack(journal->last() - 1) == std::errc::permission_denied);
    REQUIRE(journal->undeleted_files() == 1);
    // It can be deleted again, and there is no space for the file after which it would be tried.
    disk.stuck.clear();
    disk.fill_at(disk.operations() + 1);
    int rejected = 0;
    for (int i = 0; i < 12; ++i) rejected += journal->append(Bytes(400)) ? 0 : 1;
    CHECK(rejected == 1);
    CHECK(journal->undeleted_files() == 0);
    CHECK_FALSE(journal->commit());
}

TEST_CASE("DropOldest over a Journal whose files cannot be deleted drops no more than usual",
          "[journal][journal_disk_faults][regression]") {
    struct Count {
        std::size_t dropped = 0;
        void on_dropped(const Bytes&) { ++dropped; }
    };
    const char* const fault = GENERATE("none", "undeletable", "displaced");
    INFO(fault);
    DiskWithBadFiles disk;
    auto journal = BadFilesJournal::open(disk, "q", small_journal(1));
    REQUIRE(journal);
    Queue queue{std::move(*journal), DropOldest{},
                QueueOptions{.limit = no_limit, .bytes_limit = 16384}, Count{}};
    while (!queue.full()) REQUIRE_FALSE(queue.push(Bytes(100)));
    REQUIRE_FALSE(queue.flush());
    const std::size_t waiting = queue.size();
    REQUIRE(queue.storage().front());
    for (std::uint64_t i = 1; i < 20 && fault[0] == 'u'; ++i) disk.stuck.insert(segment_file(i));
    if (fault[0] == 'd') {
        std::uint64_t last = 100;
        while (disk.contents(segment_file(last)).empty()) --last;
        disk.put(segment_file(last), disk.contents(segment_file(last)));
    }
    CHECK_FALSE(queue.push(Bytes(100)));
    CHECK(queue.observer().dropped > 0);
    CHECK(queue.observer().dropped < waiting / 2);
}

TEST_CASE("Journal::open on a full disk reports the bytes that it could not rewrite",
          "[journal][journal_disk_faults][regression]") {
    int reported = 0;
    for (std::uint64_t failing = 1; failing < 12; ++failing) {
        sim::Disk disk;
        REQUIRE(append_until_it_fails(disk, 10) == 10);
        disk.kill();
        disk.fail_at(disk.operations() + failing,
                     std::make_error_code(std::errc::no_space_on_device));
        auto journal = SimJournal::open(disk, "q", small_journal(2));
        if (!journal) continue;
        reported += journal->report().unwritten_bytes != 0 ? 1 : 0;
        REQUIRE(journal->last() == 10);
        REQUIRE(as_text(*journal->read(10)) == as_text(body_of(10, 0)));
    }
    CHECK(reported == 1);
}
