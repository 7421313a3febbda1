// SPDX-License-Identifier: MIT
// Goal: a flush waits for the threads of the last one, for a limited time, and no thread waits for
// ever. Method: a disk that counts flushes and yields and controls the time, and threads whose
// progress is controlled by conditions.
#include <belay/journal/detail/group_writer.hpp>
#include <belay/journal/journal.hpp>

#include <mutex>
#include <set>
#include <thread>

#include "support/journal/journal_model.hpp"
#include "support/journal/paced_disk.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

/// A file that threads write to. A flush takes 100 us.
struct Group {
    using Placed = belay::detail::PlacedFile<PacedDisk>;
    using Writer = belay::detail::GroupWriter<Placed>;

    explicit Group(Flush mode = Flush::group)
        : writer{open("f"), journal_format::segment_header_bytes, 0, 4096, mode, {}} {
        disk.on_sync = [this] {
            disk.pass(100us);
            const int number = ++syncs;
            syncs.notify_all();
            return on_sync ? on_sync(number) : std::error_code{};
        };
    }

    Placed open(const std::string& path) {
        auto file = disk.open(path, OpenMode::replace);
        REQUIRE(file);
        const auto identity = file->identity();
        REQUIRE(identity);
        return {disk, std::move(*file), *identity, path};
    }
    /// Puts an operation, and returns when it is on the medium.
    std::error_code commit() {
        const Writer::Guard guard{writer};
        writer.put(journal_format::Kind::operation, writer.last() + 1, as_bytes("operation"), 0);
        return writer.write_all(true);
    }
    /// Returns when `count` threads wait for a flush that has not begun.
    void wait_for_waiting(std::uint32_t count) {
        for (;;) {
            {
                const Writer::Guard guard{writer};
                if (writer.waiting() == count) return;
            }
            std::this_thread::yield();
        }
    }
    /// Commits, and during its flush `others` threads begin to commit, too. Returns when this
    /// commit is complete, and the other threads are about to flush, or have.
    std::vector<std::thread> commit_with(std::uint32_t others) {
        std::vector<std::thread> threads;
        on_sync = [&, this](int number) {
            if (number != 1) return std::error_code{};
            for (std::uint32_t n = 0; n < others; ++n) {
                threads.emplace_back([this] {
                    if (commit()) ++errors;
                });
            }
            wait_for_waiting(others);
            return std::error_code{};
        };
        CHECK_FALSE(commit());
        while (disk.yields == 0 && syncs < 2) std::this_thread::yield();
        return threads;
    }

    PacedDisk disk;
    std::atomic<int> syncs{0};
    std::atomic<int> errors{0};
    std::function<std::error_code(int)> on_sync;
    Writer writer;
};

void join(std::vector<std::thread>& threads) {
    for (std::thread& thread : threads) thread.join();
}

}  // namespace

TEST_CASE("GroupWriter: a flush waits for the threads that the last one served",
          "[journal][group_writer][unit]") {
    const std::uint32_t others = GENERATE(1U, 2U, 7U);
    Group group;
    std::mutex mutex;
    std::set<std::thread::id> yielding;
    group.disk.on_yield = [&] {
        const std::lock_guard lock{mutex};
        yielding.insert(std::this_thread::get_id());
    };
    auto threads = group.commit_with(others);
    // This thread returns, and completes the group: no flush need wait for a thread that yields.
    CHECK_FALSE(group.commit());
    join(threads);
    CHECK(group.syncs == 2);
    CHECK(group.errors == 0);
    CHECK(group.writer.durable() == 2 + others);
    // The other threads sleep.
    CHECK(yielding.size() == 1);
}

TEST_CASE("GroupWriter: a flush waits at most half as long as the last one took",
          "[journal][group_writer][unit]") {
    const auto [yield, yields] = GENERATE(std::pair{10us, 5}, std::pair{49us, 2},
                                          std::pair{50us, 1}, std::pair{10'000us, 1});
    Group group;
    group.disk.on_yield = [&group, each = yield] { group.disk.pass(each); };
    auto threads = group.commit_with(1);
    join(threads);
    CHECK(group.disk.yields == yields);
    CHECK(group.syncs == 2);
    // A single thread expects no other.
    for (int n = 0; n < 10; ++n) CHECK_FALSE(group.commit());
    CHECK(group.disk.yields == yields);
    CHECK(group.syncs == 12);
}

TEST_CASE("GroupWriter: Flush::each and the destructor wait for no other thread",
          "[journal][group_writer][unit]") {
    const bool each = GENERATE(true, false);
    Group group{each ? Flush::each : Flush::group};
    if (!each) {
        const Group::Writer::Guard guard{group.writer};
        group.writer.begin_end();
    }
    group.disk.on_yield = [&group] { group.disk.pass(10us); };
    auto threads = group.commit_with(3);
    join(threads);
    CHECK(group.disk.yields == 0);
    CHECK(group.syncs == 2);
    CHECK(group.writer.durable() == 4);
}

TEST_CASE("GroupWriter: a flush does not wait for a thread that yields for long",
          "[journal][group_writer][unit]") {
    Group group;
    std::vector<std::thread> threads;
    std::atomic<bool> held{true};
    const std::thread::id here = std::this_thread::get_id();
    group.disk.on_yield = [&] {
        if (std::this_thread::get_id() != here) return held.wait(true);
        // The late thread finds that its flush was made, and does not disturb this one.
        held = false;
        held.notify_all();
        join(threads);
        threads.clear();
        group.disk.pass(60us);
    };
    threads = group.commit_with(1);
    CHECK_FALSE(group.commit());
    CHECK(group.syncs == 2);
    CHECK(group.disk.yields == 1);
    // The next flush yields on its own, although the thread before still does.
    CHECK_FALSE(group.commit());
    CHECK(threads.empty());
    CHECK(group.syncs == 3);
    CHECK(group.disk.yields == 2);
    CHECK(group.errors == 0);
    CHECK(group.writer.durable() == 4);
}

TEST_CASE("GroupWriter: a write without a flush in between leaves no thread waiting",
          "[journal][group_writer][unit]") {
    Group group;
    auto threads = group.commit_with(3);
    {
        const Group::Writer::Guard guard{group.writer};
        if (!group.writer.writing()) CHECK_FALSE(group.writer.flush(false));
    }
    join(threads);
    CHECK(group.syncs == 2);
    CHECK(group.errors == 0);
    CHECK(group.writer.durable() == 4);
}

TEST_CASE("GroupWriter: a failure is returned to threads that wait for a group, too",
          "[journal][group_writer][fault]") {
    const std::uint32_t others = GENERATE(1U, 4U);
    Group group;
    auto threads = group.commit_with(others);
    group.on_sync = [](int) { return std::make_error_code(std::errc::io_error); };
    CHECK(group.commit() == std::errc::io_error);
    join(threads);
    CHECK(group.syncs == 2);
    CHECK(group.errors == static_cast<int>(others));
    CHECK(group.commit() == std::errc::io_error);
    CHECK(group.syncs == 2);
}

TEST_CASE("GroupWriter: after an error that permits a retry the next flush waits for no thread",
          "[journal][group_writer][fault]") {
    Group group;
    std::atomic<bool> held{true};
    group.disk.on_yield = [&] { held.wait(true); };
    auto threads = group.commit_with(1);
    REQUIRE_FALSE(group.disk.rename("f", "away"));
    CHECK(group.commit() == QueueErrc::displaced);
    held = false;
    held.notify_all();
    join(threads);
    CHECK(group.errors == 1);
    CHECK(group.syncs == 1);
    CHECK(group.disk.yields == 1);
    REQUIRE_FALSE(group.disk.rename("away", "f"));
    CHECK_FALSE(group.commit());
    CHECK(group.writer.durable() == 4);
    CHECK(group.syncs == 2);
    CHECK(group.disk.yields == 1);
}

TEST_CASE("GroupWriter: a new file serves threads that wait for a group",
          "[journal][group_writer][unit]") {
    Group group;
    auto threads = group.commit_with(3);
    auto next = group.open("g");
    {
        const Group::Writer::Guard guard{group.writer};
        group.writer.begin_exclusive();
        group.writer.unlock();
        bool fatal = false;
        CHECK_FALSE(group.writer.finish_file({}, fatal));
        group.writer.relock();
        group.writer.replace_file(std::move(next), journal_format::segment_header_bytes, {});
        group.writer.end_exclusive({});
    }
    join(threads);
    CHECK(group.syncs == 2);
    CHECK(group.errors == 0);
    CHECK(group.writer.durable() == 4);
    // Each thread is counted once.
    group.disk.on_yield = [&group] { group.disk.pass(60us); };
    CHECK_FALSE(group.commit());
    const int yields = group.disk.yields;
    for (int n = 0; n < 3; ++n) CHECK_FALSE(group.commit());
    CHECK(group.disk.yields == yields);
}

TEST_CASE("GroupWriter::finish_file is fatal unless it only lacks space",
          "[journal][group_writer][unit]") {
    const auto [planted, is_fatal] = GENERATE(std::pair{std::errc::io_error, true},
                                              std::pair{std::errc::no_space_on_device, false});
    Group group;
    group.disk.fail_at(group.disk.operations() + 1, std::make_error_code(planted));
    const Group::Writer::Guard guard{group.writer};
    group.writer.begin_exclusive();
    group.writer.unlock();
    bool fatal = !is_fatal;
    CHECK(group.writer.finish_file(as_bytes("seal"), fatal) == planted);
    CHECK(fatal == is_fatal);
    group.writer.relock();
    group.writer.end_exclusive({});
}

TEST_CASE("Journal: threads that commit all the time lose nothing in groups",
          "[journal][group_writer][unit]") {
    constexpr int count = 4;
    constexpr int rounds = 100;
    PacedDisk disk;
    std::atomic<int> syncs{0};
    disk.on_sync = [&] {
        ++syncs;
        disk.pass(100us);
        return std::error_code{};
    };
    disk.on_yield = [&] {
        disk.pass(1us);
        std::this_thread::yield();
    };
    auto journal = Journal<PacedDisk>::open(disk, "q", small_journal(1));
    REQUIRE(journal);
    std::atomic<int> wrong{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < count; ++t) {
        threads.emplace_back([&] {
            for (int n = 0; n < rounds; ++n) {
                const auto number = journal->append(as_bytes("operation"));
                if (!number || journal->commit() || journal->durable() < *number) ++wrong;
            }
        });
    }
    join(threads);
    CHECK(wrong == 0);
    CHECK(journal->durable() == count * rounds);
    CHECK_FALSE(journal->unflushed());
}
