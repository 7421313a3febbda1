// SPDX-License-Identifier: MIT
// Goal: a salvaged work queue has every readable item in its state, and no finished one; a copy
// made by the journal's tool is rejected. Method: one queue with items in every state, whole and
// damaged at each byte that matters.
#include <belay/work/work_salvage.hpp>

#include <belay/journal/journal_salvage.hpp>
#include <belay/work/work_queue.hpp>

#include <memory>

#include "support/journal/journal_model.hpp"
#include "support/work/start_times.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

using SimWork = WorkQueue<SimJournal>;

constexpr Moment three_seconds_on{Instant{103s}, WallTime{1'700'000'003s}};

Result<SimWork, WorkError> open_work(sim::Disk& disk, const char* path, std::uint64_t seed,
                                     const Moment& now) {
    auto journal = SimJournal::open(disk, path, small_journal(seed));
    REQUIRE(journal);
    return SimWork::open(std::move(*journal),
                         {.deliveries_max = 2, .keys = 4, .record_bytes_max = 1024}, now);
}

/// Items 1 to 8: one waits, one after it was done, one failed once, one is delayed for 10 s, one
/// expires after 60 s, one is dead, two wait.
void fill_for_salvage(sim::Disk& disk) {
    auto work = open_work(disk, "w", 1, start);
    REQUIRE(work);
    for (const char* const body : {"plain", "done", "failed"}) {
        REQUIRE(work->push(as_bytes(body), start));
    }
    REQUIRE(work->push(as_bytes("delayed"), start, {.delay = 10s}));
    REQUIRE(work->push(as_bytes("expires"), start, {.expires_after = 60s}));
    REQUIRE(work->push(as_bytes("dead"), start, {.key = "k"}));
    for (const char* const body : {"seven", "eight"}) REQUIRE(work->push(as_bytes(body), start));
    std::vector<Lease> leases;
    for (int i = 0; i < 5; ++i) leases.push_back(*work->lease(start));
    REQUIRE_FALSE(work->ack(leases[1]));
    REQUIRE_FALSE(work->nack(leases[2], start, 1s));
    REQUIRE_FALSE(work->nack(leases[4], start));
    const auto dying = work->lease(start);
    REQUIRE(dying);
    REQUIRE(dying->id == 6);
    REQUIRE_FALSE(work->nack(*dying, start));
    REQUIRE_FALSE(work->commit());
}

/// The items of a queue, concatenated: body, state, deliveries.
std::string all_shown(SimWork& work) {
    std::string text;
    const auto show = [&text](const WorkItem& item) {
        text += std::string{as_text(item.body)} + '/' +
                std::to_string(static_cast<int>(item.state)) + '/' +
                std::to_string(item.deliveries) + ' ';
    };
    REQUIRE_FALSE(work.for_each(show));
    REQUIRE_FALSE(work.for_each_dead(show));
    return text;
}

}  // namespace

TEST_CASE("tool::salvage_work_queue copies existing items with their state",
          "[work][work_salvage][unit]") {
    sim::Disk disk;
    fill_for_salvage(disk);
    const auto done =
        tool::salvage_work_queue(disk, "w", "new", three_seconds_on, small_journal(2));
    REQUIRE(done);
    CHECK(done->copied == 7);
    CHECK(done->unreadable == 0);
    CHECK(done->inspection.is_whole());
    auto before = open_work(disk, "w", 3, three_seconds_on);
    REQUIRE(before);
    auto work = open_work(disk, "new", 4, three_seconds_on);
    REQUIRE(work);
    CHECK(all_shown(*work) == all_shown(*before));
    CHECK(work->delayed() == 1);
    CHECK(*work->oldest(three_seconds_on.wall) == 3s);
    const auto next = work->lease(three_seconds_on);
    REQUIRE(next);
    CHECK(as_text(next->body) == "plain");
    CHECK(next->pushed == start.wall);
    // 7 s of the delay are left. The item that expires 60 s after its push has expired.
    CHECK(work->delayed() == 1);
    static_cast<void>(work->lease({three_seconds_on.now + 8s, three_seconds_on.wall + 60s}));
    CHECK(work->delayed() == 0);
    // The numbers of the new queue are kept over another opening.
    REQUIRE_FALSE(work->ack(*next));
    REQUIRE_FALSE(work->commit());
    work = open_work(disk, "other", 5, three_seconds_on);
    work = open_work(disk, "new", 6, three_seconds_on);
    REQUIRE(work);
    CHECK(all_shown(*work).find("plain") == std::string::npos);
}

TEST_CASE("WorkQueue rejects its journal when it was salvaged as a plain journal",
          "[work][work_salvage][unit]") {
    sim::Disk disk;
    fill_for_salvage(disk);
    REQUIRE(tool::salvage_journal(disk, "w", "copy", small_journal(2)));
    const auto work = open_work(disk, "copy", 3, three_seconds_on);
    REQUIRE_FALSE(work);
    CHECK(work.error().code == QueueErrc::foreign_file);
    CHECK(work.error().message().find("use tool::salvage_work_queue") != std::string::npos);
}

TEST_CASE("tool::salvage_work_queue skips damaged entries, anywhere",
          "[work][work_salvage][fault]") {
    sim::Disk whole;
    fill_for_salvage(whole);
    const std::string path = "w/" + journal_format::segment_name(1);
    std::uint64_t passed_over = 0;
    for (std::uint64_t at = journal_format::segment_header_bytes;
         at < journal_format::segment_header_bytes + 700; at += 7) {
        sim::Disk disk;
        fill_for_salvage(disk);
        Bytes bytes = disk.contents(path);
        bytes[at] ^= std::byte{1};
        disk.put(path, bytes);
        const auto done =
            tool::salvage_work_queue(disk, "w", "new", three_seconds_on, small_journal(2));
        if (!done) continue;
        auto work = open_work(disk, "new", 3, three_seconds_on);
        REQUIRE(work);
        REQUIRE(work->size() + work->dead() == done->copied);
        // At most one entry was lost: an item, or the state of one.
        REQUIRE(done->copied >= 6);
        REQUIRE(done->copied <= 8);
        passed_over += done->unreadable;
    }
    CHECK(passed_over > 10);
}

TEST_CASE("tool::salvage_work_queue reports invalid sources and targets",
          "[work][work_salvage][unit]") {
    sim::Disk disk;
    CHECK_FALSE(tool::salvage_work_queue(disk, "w", "new", three_seconds_on, small_journal(2)));
    fill_for_salvage(disk);
    REQUIRE(tool::salvage_work_queue(disk, "w", "new", three_seconds_on, small_journal(2)));
    const sim::Disk::Image before = disk.image();
    CHECK_FALSE(tool::salvage_work_queue(disk, "w", "w", three_seconds_on, small_journal(2)));
    const auto again =
        tool::salvage_work_queue(disk, "w", "new", three_seconds_on, small_journal(2));
    REQUIRE_FALSE(again);
    CHECK(again.error().code == std::errc::file_exists);
    CHECK(disk.image() == before);
    {
        auto other = SimJournal::open(disk, "other", small_journal(3));
        REQUIRE(other);
        REQUIRE(other->append(as_bytes("no entry of a work queue")));
        REQUIRE_FALSE(other->commit());
    }
    const auto foreign =
        tool::salvage_work_queue(disk, "other", "third", three_seconds_on, small_journal(2));
    REQUIRE_FALSE(foreign);
    CHECK(foreign.error().what.find("entry 1: ") == 0);
}
