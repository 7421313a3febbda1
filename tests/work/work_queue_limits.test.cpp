// SPDX-License-Identifier: MIT
// Goal: a log with shorter records than the queue writes is rejected at opening, or reported;
// the queue never grows silently. Method: journals and logs in memory with other limits.
#include <belay/work/work_queue.hpp>

#include <string>

#include <belay/journal/journal.hpp>
#include <belay/sim/disk.hpp>

#include "support/work/start_times.hpp"
#include "support/work/work_queue_steps.hpp"

using namespace belay;
using namespace belay_test;

namespace {

using JournalWork = WorkQueue<Journal<sim::Disk>>;

Result<JournalWork, WorkError> open_over(sim::Disk& disk, std::size_t log_takes,
                                         const WorkOptions& options) {
    auto log = Journal<sim::Disk>::open(
        disk, "w", {.segment_bytes = 1 << 20, .record_bytes_max = log_takes, .seed = Seed{1}});
    REQUIRE(log);
    return JournalWork::open(std::move(*log), options, when);
}

/// Pushes items with keys and ends them, so that no item waits.
template <class Work>
std::error_code pass_keys(Work& work, int from, int to) {
    std::error_code error;
    for (int i = from; i < to; ++i) {
        const auto id = work.push(as_bytes("x"), when, {.key = std::to_string(i)});
        REQUIRE(id);
        const auto lease = work.lease(when);
        REQUIRE(lease);
        REQUIRE_FALSE(work.ack(*lease));
        if (i % 100 == 0) error = work.commit();
    }
    const std::error_code last = work.commit();
    return last ? last : error;
}

}  // namespace

TEST_CASE("WorkQueue::open rejects a log with shorter records, and reports which limit to raise",
          "[work][work_queue_limits][regression]") {
    const std::size_t keys = GENERATE(std::size_t{0}, std::size_t{10'000});
    sim::Disk disk;
    const auto opened = open_over(disk, 1 << 16, {.keys = keys});
    REQUIRE_FALSE(opened);
    CHECK(opened.error() == make_error_code(QueueErrc::bad_options));
    CHECK(opened.error().message() ==
          "the options are not allowed (WorkOptions::record_bytes_max is 1048576, "
          "but the log accepts only 65536: open the log with at least as much, or lower the value "
          "of the queue)");
    // The advice helps, in both forms.
    CHECK(open_over(disk, 1 << 16, {.keys = keys, .record_bytes_max = 1 << 16}));
    CHECK(open_over(disk, 1 << 16, {.keys = keys, .record_bytes_max = 1 << 15}));
    CHECK_FALSE(open_over(disk, 1 << 16, {.keys = keys, .record_bytes_max = (1 << 16) + 1}));
    CHECK(open_over(disk, 1 << 19, {.keys = keys, .record_bytes_max = 1 << 19}));
}

TEST_CASE("WorkQueue with more keys than a record holds does not grow",
          "[work][work_queue_limits][regression]") {
    sim::Disk disk;
    auto work = open_over(disk, 1 << 16,
                          {.keys = 10'000, .record_bytes_max = 1 << 16, .slack_bytes = 256 << 10});
    REQUIRE(work);
    REQUIRE_FALSE(pass_keys(*work, 0, 20'000));
    const std::uint64_t base = work->log().base();
    const std::uint64_t bytes = work->log().bytes();
    CHECK(base > 1);
    REQUIRE_FALSE(pass_keys(*work, 20'000, 60'000));
    CHECK(work->log().base() > base);
    CHECK(work->log().bytes() < bytes + (2 << 20));
    CHECK(work->push(as_bytes("x"), when, {.key = "59999"}).error() == QueueErrc::duplicate);
    CHECK(work->push(as_bytes("x"), when, {.key = "50000"}).error() == QueueErrc::duplicate);
    CHECK(work->push(as_bytes("x"), when, {.key = "49998"}));
}

TEST_CASE("WorkQueue::commit reports that the log does not accept the keys",
          "[work][work_queue_limits][regression]") {
    MemoryMedium medium;
    medium.record_bytes_max = 1024;
    auto work =
        WorkQueue<MemoryLog>::open(MemoryLog{medium}, {.keys = 1000, .slack_bytes = 1000}, when);
    REQUIRE(work);
    CHECK(pass_keys(*work, 0, 2000) == QueueErrc::too_large);
}
