// SPDX-License-Identifier: MIT
// Goal: a journal allocates nothing within a segment, and holds as much memory as its page
// states. Method: a counting operator new.
#include <belay/posix/journal.hpp>
#include <belay/sim/detail/disk_inode.hpp>

#include <algorithm>

#include "support/catch.hpp"
#include "support/counting_new.hpp"
#include "support/held.hpp"
#include "support/temporary_directory.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::Counting;
using belay_test::Held;
using belay_test::page_size;

TEST_CASE("Journal appends, syncs and acknowledges within a segment without allocating",
          "[journal][allocation][unit]") {
    const belay_test::TemporaryDirectory directory;
    auto journal = posix::Journal::open(directory.path() + "/journal", {.flush = Flush::none});
    REQUIRE(journal);
    const Bytes body(256, std::byte{7});
    bool worked = journal->append(body).has_value();
    std::size_t made = 0;
    {
        const Counting counting;
        for (int i = 0; i < 1000; ++i) {
            const Result<std::uint64_t> number = journal->append(body);
            worked = worked && number && (i % 10 != 0 || !journal->commit()) &&
                     !journal->ack(*number - 1);
        }
        made = counting.made();
    }
    CHECK(worked);
    CHECK(made == 0);
}

TEST_CASE("Journal holds half a byte for each waiting operation, and none for acknowledged ones",
          "[journal][allocation][unit]") {
    const belay_test::TemporaryDirectory directory;
    constexpr std::int64_t many = 200'000;
    // The segments are small, so that there are many files.
    const JournalOptions files_of_1_mib{
        .flush = Flush::none, .segment_bytes = 1 << 20, .record_bytes_max = 1000};
    const Bytes body(16, std::byte{7});
    Held observed;
    {
        const Counting counting;
        auto journal = posix::Journal::open(directory / "q", files_of_1_mib);
        // Includes the buffer to read files.
        observed.worked = journal && journal->append(body) && !journal->commit() &&
                          journal->read(1) && !journal->ack(1);
        observed.fixed = counting.held();
        for (int round = 0; observed.worked && round < 4; ++round) {
            for (std::int64_t i = 0; i < many; ++i) {
                observed.worked = observed.worked && journal->append(body);
            }
            for (std::uint64_t n = journal->base(); n <= journal->last(); ++n) {
                observed.worked = observed.worked && journal->read(n);
            }
            observed.filled = std::max(observed.filled, counting.held() - observed.fixed);
            observed.worked =
                observed.worked && !journal->commit() && !journal->ack(journal->last());
            observed.drained = std::max(observed.drained, counting.held() - observed.fixed);
            if (round == 0) observed.first_peak = counting.peak();
            observed.last_peak = counting.peak();
        }
    }
    REQUIRE(observed.worked);
    INFO("fixed " << observed.fixed << ", filled " << observed.filled << ", drained "
                  << observed.drained << ", peaks " << observed.first_peak << ' '
                  << observed.last_peak);
    CHECK(observed.fixed > 0);
    CHECK(observed.filled > 0);
    CHECK(observed.filled < many / 2);
    CHECK(observed.drained <= 4 * page_size);
    // There may be one more file.
    CHECK(observed.last_peak <= observed.first_peak + many / 10);
}

TEST_CASE("Journal::open reads small files without a large buffer", "[journal][allocation][unit]") {
    const belay_test::TemporaryDirectory directory;
    const JournalOptions small{
        .flush = Flush::none, .segment_bytes = 4096, .record_bytes_max = 512};
    std::int64_t peak = 0;
    bool worked = true;
    for (int opening = 0; opening < 2; ++opening) {
        const Counting counting;
        auto journal = posix::Journal::open(directory / "q", small);
        worked = worked && journal && journal->append(Bytes(100)) && !journal->commit() &&
                 journal->read(journal->last());
        peak = counting.peak();
    }
    CHECK(worked);
    // Records that are not written yet have a buffer of 256 KiB.
    CHECK(peak < 300'000);
}

TEST_CASE("DiskInode without memory for a change leaves the file unchanged",
          "[journal][allocation][unit]") {
    using Inode = sim::detail::DiskInode;
    using Change = void (*)(Inode&);
    const Change changes[] = {[](Inode& inode) { inode.grow(9000); },
                              [](Inode& inode) { inode.resize(1100); },
                              [](Inode& inode) { inode.write(100, as_bytes("short")); },
                              [](Inode& inode) { inode.write(1000, Bytes(9000, std::byte{1})); }};
    const Change change = changes[GENERATE(0, 1, 2, 3)];
    Inode whole{Bytes(2000)};
    change(whole);
    std::size_t failures = 0;
    bool ends = false;
    for (std::size_t good = 0; !ends; ++good) {
        INFO("after " << good << " allocations");
        Inode inode{Bytes(2000)};
        const auto attempt = [&] {
            try {
                change(inode);
            } catch (const std::bad_alloc&) {
                ++failures;
            }
        };
        ends = belay_test::without_memory(attempt, good) == 0;
        if (!ends) {
            CHECK(inode.bytes() == Bytes(2000));
            CHECK(inode.dirty().empty());
            change(inode);
        }
        CHECK(inode.bytes() == whole.bytes());
        CHECK(inode.dirty() == whole.dirty());
    }
    CHECK(failures > 0);
}
