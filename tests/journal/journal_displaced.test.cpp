// SPDX-License-Identifier: MIT
// Goal: a journal that is open, or is being opened, reads nothing of a copy that replaces its
// files, and writes nothing to it. Method: a disk on which the files are replaced by copies, at a
// moment that the test chooses.
#include <belay/journal/journal.hpp>

#include <functional>
#include <string>

#include "support/journal/journal_model.hpp"

using namespace belay;
using namespace belay_test;

namespace {

/// Calls `on_read` before each read.
struct ReadWatchingDisk : sim::Disk {
    class File : public sim::Disk::File {
    public:
        File(sim::Disk::File file, ReadWatchingDisk& disk) noexcept
            : sim::Disk::File{std::move(file)}, disk_{&disk} {}
        [[nodiscard]] Result<std::size_t> read(std::uint64_t offset,
                                               std::span<std::byte> into) const noexcept {
            if (disk_->on_read) disk_->on_read();
            return sim::Disk::File::read(offset, into);
        }

    private:
        ReadWatchingDisk* disk_;
    };
    [[nodiscard]] Result<File> open(const std::string& path, OpenMode mode) noexcept {
        auto file = sim::Disk::open(path, mode);
        if (!file) return file.error();
        return File{std::move(*file), *this};
    }
    /// Restores a backup of all files. A process that has a file open keeps the former one.
    void put_back(const Image& backup) {
        for (const auto& [path, bytes] : backup) put(path, bytes);
    }

    std::function<void()> on_read;
};
using WatchedJournal = Journal<ReadWatchingDisk>;

}  // namespace

TEST_CASE("Journal::read returns nothing of a copy that replaced its files",
          "[journal][journal_displaced][regression]") {
    // The copy continues in the last file, or in a file that this journal has sealed since.
    const bool rolls = GENERATE(false, true);
    ReadWatchingDisk disk;
    {
        auto journal = WatchedJournal::open(disk, "q", small_journal(1));
        REQUIRE(journal);
        REQUIRE(journal->append(as_bytes("first")));
        REQUIRE_FALSE(journal->commit());
    }
    const sim::Disk::Image backup = disk.image();
    auto journal = WatchedJournal::open(disk, "q", small_journal(2));
    REQUIRE(journal);
    REQUIRE(journal->append(as_bytes("pay 100 to Ann")));
    while (rolls && disk.contents(segment_file(2)).empty()) {
        REQUIRE(journal->append(Bytes(500)));
    }
    REQUIRE_FALSE(journal->commit());
    disk.put_back(backup);
    {
        auto copy = WatchedJournal::open(disk, "q", small_journal(2));
        REQUIRE((copy.has_value() || rolls));
        if (copy) {
            REQUIRE(copy->append(as_bytes("pay 900 to Bob")));
            REQUIRE_FALSE(copy->commit());
            REQUIRE(copy->run() == journal->run());
        }
    }
    CHECK(journal->read(2).error() == QueueErrc::displaced);
    CHECK(journal->check(1).error() == QueueErrc::displaced);
    // A deleted file counts as displaced, too.
    REQUIRE_FALSE(disk.remove(segment_file(1)));
    CHECK(journal->read(2).error() == QueueErrc::displaced);
}

TEST_CASE("Journal::read continues in the file that it has open",
          "[journal][journal_displaced][unit]") {
    ReadWatchingDisk disk;
    auto journal = WatchedJournal::open(disk, "q", small_journal(1));
    REQUIRE(journal);
    REQUIRE(journal->append(as_bytes("first")));
    REQUIRE_FALSE(journal->commit());
    REQUIRE(journal->read(1));
    disk.put_back(disk.image());
    CHECK(as_text(*journal->read(1)) == "first");
}

TEST_CASE("Journal::open writes nothing to a copy that replaces its files while it reads",
          "[journal][journal_displaced][regression]") {
    // Each step of opening has work: unused files, a torn end, and records that are not known as
    // durable.
    ReadWatchingDisk disk;
    {
        auto journal = WatchedJournal::open(disk, "q", small_journal(1));
        REQUIRE(journal);
        for (std::uint64_t n = 1; disk.contents(segment_file(4)).empty(); ++n) {
            REQUIRE(journal->append(body_of(n, 0)));
        }
        REQUIRE_FALSE(journal->commit());
        REQUIRE_FALSE(journal->ack(journal->last() - 1));
        REQUIRE_FALSE(journal->commit());
        REQUIRE(journal->append(body_of(journal->last() + 1, 0)));
        REQUIRE_FALSE(journal->commit());
        disk.kill();
    }
    const std::string last = segment_file(4);
    Bytes torn = disk.contents(last);
    const std::size_t used = static_cast<std::size_t>(detail::bytes_before_zeros(torn));
    torn[used + 16] = std::byte{7};
    disk.put(last, torn);
    disk.put("q/segment.tmp", Bytes(10));
    const sim::Disk::Image backup = disk.image();

    std::uint64_t reads = 0;
    disk.on_read = [&] { ++reads; };
    REQUIRE(WatchedJournal::open(disk, "q", small_journal(2)));
    const std::uint64_t all_reads = reads;
    REQUIRE(all_reads > 1);
    std::uint64_t refused = 0;
    for (std::uint64_t at = 1; at <= all_reads; ++at) {
        disk.on_read = {};
        disk.restore(backup);
        reads = 0;
        disk.on_read = [&] {
            if (++reads == at) disk.put_back(backup);
        };
        const auto opened = WatchedJournal::open(disk, "q", small_journal(2));
        INFO("before read " << at << " of " << all_reads);
        if (opened) {
            // The files were replaced before the journal opened the last one, so it has opened the
            // copy.
            CHECK(disk.contents(last) != torn);
            continue;
        }
        ++refused;
        CHECK(opened.error().code == QueueErrc::displaced);
        CHECK(disk.image() == backup);
    }
    CHECK(refused > 0);
}
