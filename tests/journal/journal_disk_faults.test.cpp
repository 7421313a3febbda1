// SPDX-License-Identifier: MIT
// Goal: a disk that is full, that lies or that writes to a wrong place makes a journal refuse or
// report, but never return a wrong operation. Method: each fault at each operation of the disk.
#include <algorithm>
#include <system_error>
#include <utility>

#include <belay/journal/journal.hpp>
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
/// What the next process finds.
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
        // What was durable before is there, or the journal reports why not.
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
