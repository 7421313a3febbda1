// SPDX-License-Identifier: MIT
// Goal: one flush serves all threads that wait, and confirms no operation that was appended
// later. Method: a disk whose flushes are counted, and held until every thread is in place.
#include <belay/journal/journal.hpp>

#include <atomic>
#include <latch>
#include <thread>
#include <vector>

#include "support/journal/journal_model.hpp"
#include "support/journal/watched_disk.hpp"

using namespace belay;
using namespace belay_test;

namespace {

/// Counts flushes, and holds those that are not allowed yet.
class Gate {
public:
    /// Allows the flushes up to this one, counted from the first.
    void let_through(int number) {
        allowed_ = number;
        allowed_.notify_all();
    }
    void open() { let_through(everything); }
    /// From here on flushes return an error.
    void fail() { fails_ = true; }
    [[nodiscard]] int started() const { return started_; }
    /// Returns when flush `number` has begun.
    void wait_for(int number) const {
        for (int n = started_; n < number; n = started_) started_.wait(n);
    }

    [[nodiscard]] std::error_code pass() {
        const int own = ++started_;
        started_.notify_all();
        for (int n = allowed_; n < own; n = allowed_) allowed_.wait(n);
        return fails_ ? std::make_error_code(std::errc::io_error) : std::error_code{};
    }

private:
    static constexpr int everything = 1 << 30;

    std::atomic<int> started_{0};
    std::atomic<int> allowed_{everything};
    std::atomic<bool> fails_{false};
};

/// A disk with a gate before the flushes of its files.
struct GatedDisk : WatchedDisk {
    GatedDisk() {
        on_sync = [this] { return gate.pass(); };
    }
    Gate gate;
};

using GatedJournal = Journal<WatchedDisk>;

GatedJournal open_gated(GatedDisk& disk, Flush flush = Flush::group) {
    JournalOptions options = small_journal(1);
    options.flush = flush;
    auto journal = GatedJournal::open(disk, "q", options);
    REQUIRE(journal);
    return std::move(*journal);
}

/// One thread flushes; meanwhile `others` threads append, and flush, too. Then `go_on` allows the
/// flush. Returns the number of threads whose flush succeeded.
template <class GoOn>
int flush_from_threads(GatedDisk& disk, GatedJournal& journal, int others, GoOn go_on) {
    std::atomic<int> good{0};
    std::latch appended{others};
    const auto flush = [&] {
        if (!journal.flush()) ++good;
    };
    const int before = disk.gate.started();
    disk.gate.let_through(before);
    std::vector<std::thread> threads;
    REQUIRE(journal.append(as_bytes("first")));
    threads.emplace_back(flush);
    disk.gate.wait_for(before + 1);
    for (int i = 0; i < others; ++i) {
        threads.emplace_back([&] {
            const auto number = journal.append(as_bytes("other"));
            appended.count_down();
            if (number) flush();
        });
    }
    appended.wait();
    go_on();
    for (std::thread& thread : threads) thread.join();
    return good;
}

}  // namespace

TEST_CASE("Journal: one flush serves all threads that wait for it", "[journal][journal][unit]") {
    const Flush flush = GENERATE(Flush::group, Flush::none);
    const int others = GENERATE(1, 2, 7);
    // The positions of the threads at the end of the flush differ from round to round.
    for (int round = 0; round < 20; ++round) {
        GatedDisk disk;
        GatedJournal journal = open_gated(disk, flush);
        const int before = disk.gate.started();
        const int good = flush_from_threads(disk, journal, others, [&disk] { disk.gate.open(); });
        CHECK(good == 1 + others);
        // The first flush began without their operations. The second has all of them.
        CHECK(disk.gate.started() - before == 2);
        CHECK_FALSE(journal.unflushed());
        CHECK(journal.durable() == static_cast<std::uint64_t>(1 + others));
        // A call without new operations needs no flush.
        CHECK_FALSE(journal.flush());
        CHECK_FALSE(journal.commit());
        CHECK(disk.gate.started() - before == 2);
    }
}

TEST_CASE("Journal: a running flush does not make later operations durable",
          "[journal][journal][unit]") {
    GatedDisk disk;
    GatedJournal journal = open_gated(disk);
    const int before = disk.gate.started();
    const int good = flush_from_threads(disk, journal, 3, [&] {
        CHECK(journal.durable() == 0);
        // The flush that is under way ends; the next one is held.
        disk.gate.let_through(before + 1);
        disk.gate.wait_for(before + 2);
        CHECK(journal.last() == 4);
        CHECK(journal.durable() == 1);
        CHECK(journal.unflushed());
        disk.gate.open();
    });
    CHECK(good == 4);
    CHECK(journal.durable() == 4);
}

TEST_CASE("Journal: a failed flush is returned to all threads that wait for it",
          "[journal][journal][fault]") {
    for (int round = 0; round < 20; ++round) {
        GatedDisk disk;
        GatedJournal journal = open_gated(disk);
        const int before = disk.gate.started();
        const int good = flush_from_threads(disk, journal, 5, [&] {
            disk.gate.fail();
            disk.gate.open();
        });
        CHECK(good == 0);
        // No thread tries again: the kernel would report pages as clean that were never written.
        CHECK(disk.gate.started() - before == 1);
        CHECK(journal.failed() == std::errc::io_error);
        CHECK(journal.durable() == 0);
    }
}

TEST_CASE("Flush::none: commit does not flush in any thread", "[journal][journal][unit]") {
    GatedDisk disk;
    GatedJournal journal = open_gated(disk, Flush::none);
    const int before = disk.gate.started();
    std::atomic<int> wrong{0};
    {
        std::vector<std::thread> threads;
        for (int t = 0; t < 4; ++t) {
            threads.emplace_back([&] {
                for (int i = 0; i < 5; ++i) {
                    const auto number = journal.append(as_bytes("x"));
                    if (!number || journal.commit() || journal.durable() < *number) ++wrong;
                }
            });
        }
        for (std::thread& thread : threads) thread.join();
    }
    CHECK(wrong == 0);
    CHECK(disk.gate.started() == before);
    CHECK(journal.unflushed());
}

TEST_CASE("Journal: threads go on after flushes that fail, and lose nothing that was confirmed",
          "[journal][journal][fault]") {
    constexpr int threads = 4;
    constexpr int rounds = 60;
    const Flush mode = GENERATE(Flush::group, Flush::each, Flush::none);
    WatchedDisk disk;
    std::atomic<int> syncs{0};
    std::atomic<bool> fails{true};
    disk.on_sync = [&] {
        const bool now = ++syncs % 5 == 0 && fails;
        return now ? std::make_error_code(std::errc::io_error) : std::error_code{};
    };
    std::atomic<std::uint64_t> confirmed{0};
    std::atomic<std::uint64_t> taken{0};
    {
        JournalOptions options = small_journal(1);
        options.flush = mode;
        syncs = 0;
        fails = false;
        auto journal = GatedJournal::open(disk, "q", options);
        REQUIRE(journal);
        fails = true;
        std::vector<std::thread> all;
        for (int i = 0; i < threads; ++i) {
            all.emplace_back([&] {
                for (int round = 0; round < rounds; ++round) {
                    const auto number = journal->append(as_bytes("an operation"));
                    if (number) ++taken;
                    if (!number || journal->flush()) continue;
                    std::uint64_t before = confirmed;
                    while (before < *number && !confirmed.compare_exchange_weak(before, *number)) {
                    }
                }
            });
        }
        for (std::thread& one : all) one.join();
        fails = false;
        CHECK_FALSE(journal->failed());
        CHECK_FALSE(journal->flush());
        CHECK(journal->last() == taken);
        CHECK(confirmed > 0);
        CHECK(taken > threads * rounds / 3);
        Random bits{Seed{1}};
        disk.crash(bits);
    }
    auto again = SimJournal::open(disk, "q", small_journal(2));
    REQUIRE(again);
    CHECK(again->last() == taken);
    for (std::uint64_t n = 1; n <= again->last(); ++n) {
        CHECK(as_text(*again->read(n)) == "an operation");
    }
}
