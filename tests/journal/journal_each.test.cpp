// SPDX-License-Identifier: MIT
// Goal: with Flush::each a successful call is durable, and a failed call has stored nothing.
// Method: losses of power, failing calls, and checks during the flush.
#include <belay/journal/journal.hpp>
#include <belay/queue/queue.hpp>
#include <belay/sim/crash_points.hpp>

#include <atomic>
#include <memory>
#include <thread>

#include "support/journal/journal_model.hpp"
#include "support/journal/watched_disk.hpp"
#include "support/queue/storage_conformance.hpp"

using namespace belay;
using namespace belay_test;

namespace {

using Call = JournalModel::Call;

JournalOptions each_call(std::uint64_t seed) {
    JournalOptions options = small_journal(seed);
    options.flush = Flush::each;
    return options;
}

SimJournal open_each(sim::Disk& disk, const JournalOptions& options = each_call(1)) {
    auto journal = SimJournal::open(disk, "q", options);
    INFO((journal ? "" : journal.error().message()));
    REQUIRE(journal);
    return std::move(journal).value();
}

std::error_code no_space() { return std::make_error_code(std::errc::no_space_on_device); }
std::error_code io_error() { return std::make_error_code(std::errc::io_error); }

/// The results that the returned calls have confirmed.
struct Confirmed {
    std::unique_ptr<JournalModel> model;
    std::uint64_t last = 0;
    std::uint64_t acked = 0;
    Bytes note{};
    bool note_in_flight = false;

    /// Whether a loss of power lost some of them.
    [[nodiscard]] bool is_lost() const {
        const SimJournal& j = model->journal();
        const bool note_is_there = as_text(j.kept()) == as_text(note);
        return j.last() < last || j.base() - 1 < acked || !(note_is_there || note_in_flight);
    }
};

/// Runs a script until the power fails.
Confirmed run_and_listen(sim::Disk& disk, Flush mode, std::uint64_t seed) {
    Confirmed output{.model = std::make_unique<JournalModel>(disk, seed)};
    output.model->options.flush = mode;
    for (const auto& [call, draw] : make_script(seed, 50)) {
        output.note_in_flight = call == Call::keep;
        if (!output.model->call(call, draw)) break;
        output.note_in_flight = false;
        const SimJournal& j = output.model->journal();
        output.last = j.last();
        output.acked = j.base() - 1;
        output.note.assign(j.kept().begin(), j.kept().end());
    }
    return output;
}

/// The number of losses of power, at every operation of some scripts, that lost a confirmed result.
int losses(Flush mode, std::uint64_t scripts) {
    int lost = 0;
    for (std::uint64_t seed = 1; seed <= scripts; ++seed) {
        std::string message;
        const auto report =
            sim::crash_points([&](sim::Disk& disk) { return run_and_listen(disk, mode, seed); },
                              [&](sim::Disk&, const Confirmed& output) {
                                  output.model->drop_process();
                                  const bool good = output.model->recover();
                                  if (!good && message.empty()) message = output.model->message();
                                  lost += good && output.is_lost() ? 1 : 0;
                                  return good;
                              },
                              {.drawn_max = 3, .enumerated_max = 2, .seed = Seed{seed * 100'000}});
        INFO("script " << seed << ", " << report.failure << ": " << message);
        REQUIRE(report);
    }
    return lost;
}

}  // namespace

TEST_CASE("Journal with Flush::each loses no operation that a call has confirmed",
          "[journal][journal][fault]") {
    CHECK(losses(Flush::each, 5) == 0);
    // The same scripts lose operations in the other modes, which do not promise this.
    CHECK(losses(Flush::group, 2) > 0);
    CHECK(losses(Flush::none, 2) > 0);
}

TEST_CASE("check::storage finds no fault in Journal with Flush::each, also under a Queue",
          "[journal][journal][property]") {
    std::vector<std::unique_ptr<sim::Disk>> disks;
    check_storage_conformance(
        [&] {
            disks.push_back(std::make_unique<sim::Disk>());
            return open_each(*disks.back());
        },
        [](std::uint64_t i) { return body_of(i, 0); }, [&] { return open_each(*disks.back()); },
        {.histories = 40, .steps = 200, .fill = 100});
    sim::Disk disk;
    check_under_queue(open_each(disk));
}

TEST_CASE("Journal with Flush::each flushes once per call, and only if needed",
          "[journal][journal][unit]") {
    sim::Disk disk;
    SimJournal j = open_each(disk);
    const auto operations_of = [&](auto call) {
        const std::uint64_t before = disk.operations();
        call();
        return disk.operations() - before;
    };
    // One write and one flush.
    for (std::uint64_t n = 1; n <= 5; ++n) {
        CHECK(operations_of([&] { CHECK(*j.append(as_bytes("text")) == n); }) == 2);
        CHECK(j.durable() == n);
        CHECK_FALSE(j.unflushed());
    }
    CHECK(operations_of([&] { CHECK_FALSE(j.commit()); }) == 0);
    CHECK(operations_of([&] { CHECK_FALSE(j.flush()); }) == 0);
    CHECK(operations_of([&] { CHECK_FALSE(j.ack(2)); }) == 2);
    CHECK(j.acked_durable() == 2);
    CHECK(operations_of([&] { CHECK_FALSE(j.ack(2)); }) == 0);
    CHECK(operations_of([&] { CHECK_FALSE(j.ack(1)); }) == 0);
    CHECK(operations_of([&] { CHECK(j.try_pop()); }) == 2);
    CHECK(operations_of([&] { CHECK_FALSE(j.ack()); }) == 2);
    CHECK(j.acked_durable() == 4);
    CHECK(operations_of([&] { CHECK_FALSE(j.keep(as_bytes("note"))); }) == 2);
    CHECK_FALSE(j.unflushed());
    CHECK(operations_of([&] { CHECK(j.front()); }) == 0);
}

TEST_CASE("Journal with Flush::each accepts no operation for which there is no space",
          "[journal][journal][fault]") {
    for (std::uint64_t torn = 0; torn < 20; ++torn) {
        sim::Disk disk;
        {
            SimJournal j = open_each(disk);
            REQUIRE(j.append(as_bytes("one")));
            REQUIRE_FALSE(j.keep(as_bytes("before")));
            const std::uint64_t check = *j.check(1);
            for (int i = 0; i < 3; ++i) {
                disk.fail_at(disk.operations() + 1, no_space());
                CHECK(j.append(Bytes(700, std::byte{7})).error() == std::errc::no_space_on_device);
                disk.fail_at(disk.operations() + 1, no_space());
                CHECK(j.keep(Bytes(300, std::byte{7})) == std::errc::no_space_on_device);
            }
            CHECK_FALSE(j.failed());
            CHECK(j.last() == 1);
            CHECK(j.durable() == 1);
            CHECK(j.size() == 1);
            CHECK(j.read(2).error() == QueueErrc::unknown_number);
            CHECK(*j.check(1) == check);
            CHECK(as_text(j.kept()) == "before");
            // Its number is free, and its remains in the file do not disturb the next operation.
            CHECK(*j.append(as_bytes("two")) == 2);
            CHECK_FALSE(j.unflushed());
            CHECK(as_text(*j.read(2)) == "two");
            CHECK(*j.check(2) ==
                  belay::journal_format::next_check(check, as_bytes("two"), j.salt()));
            if (torn % 2 == 1) REQUIRE(j.append(as_bytes("three")));
            Random bits{Seed{torn}};
            disk.crash(bits);
        }
        SimJournal j = open_each(disk);
        REQUIRE(j.last() == 2 + torn % 2);
        CHECK(as_text(*j.read(1)) == "one");
        CHECK(as_text(*j.read(2)) == "two");
        CHECK(as_text(j.kept()) == "before");
    }
}

TEST_CASE(
    "Journal with Flush::each on a full disk rejects operations, and continues when space is free",
    "[journal][journal][fault]") {
    sim::Disk disk;
    disk.limit_bytes(2 * 4096);
    Queue queue{open_each(disk), {.limit = no_limit}};
    SimJournal& j = queue.storage();
    std::size_t taken = 0;
    std::error_code error;
    while (!error) {
        error = queue.push(body_of(taken + 1, 0));
        if (!error) ++taken;
        REQUIRE(queue.size() == taken);
        REQUIRE(j.durable() == taken);
    }
    CHECK(error == std::errc::no_space_on_device);
    CHECK_FALSE(j.failed());
    // An acknowledgement without space counts nevertheless: each value is executed once.
    std::uint64_t executed = 0;
    std::size_t drains = 0;
    while (!queue.empty() && ++drains <= taken) {
        const DrainReport result = queue.drain([&](BytesView body) {
            const Bytes expected = body_of(++executed, 0);
            return std::equal(body.begin(), body.end(), expected.begin(), expected.end());
        });
        if (result.error) CHECK(result.error == std::errc::no_space_on_device);
    }
    CHECK(executed == taken);
    CHECK(queue.empty());
    CHECK(j.acked_durable() == taken);
    CHECK_FALSE(queue.push(as_bytes("again")));
    CHECK(j.durable() == taken + 1);
}

TEST_CASE("Journal with Flush::each shows no operation whose write to a failed disk is uncertain",
          "[journal][journal][fault]") {
    // The write fails, or the flush.
    for (const std::uint64_t failing : {1U, 2U}) {
        std::uint64_t found = 0;
        for (std::uint64_t torn = 0; torn < 30; ++torn) {
            sim::Disk disk;
            {
                JournalOptions options = each_call(1);
                options.after_failure = JournalOptions::AfterFailure::stops;
                SimJournal j = open_each(disk, options);
                REQUIRE(j.append(as_bytes("one")));
                disk.fail_at(disk.operations() + failing, io_error());
                CHECK(j.append(as_bytes("two")).error() == std::errc::io_error);
                CHECK(j.failed() == std::errc::io_error);
                CHECK(j.last() == 1);
                CHECK(j.durable() == 1);
                CHECK(j.size() == 1);
                CHECK(j.append(as_bytes("three")).error() == std::errc::io_error);
                CHECK(j.keep(as_bytes("note")) == std::errc::io_error);
                CHECK(j.ack(1) == std::errc::io_error);
                CHECK(as_text(*j.read(1)) == "one");
                CHECK(j.read(2).error() == QueueErrc::unknown_number);
                // The process dies, or the power fails.
                Random bits{Seed{torn}};
                torn % 2 == 0 ? disk.kill() : disk.crash(bits);
            }
            SimJournal j = open_each(disk);
            REQUIRE((j.last() == 1 || j.last() == 2));
            CHECK(as_text(*j.read(1)) == "one");
            if (j.last() == 2) CHECK(as_text(*j.read(2)) == "two");
            found += j.last() - 1;
        }
        // An operation whose write failed is never there. One whose flush failed may be.
        CHECK((found > 0) == (failing == 2));
    }
}

TEST_CASE("Journal with Flush::each erases an operation that failed, and goes on",
          "[journal][journal][fault]") {
    for (const std::uint64_t failing : {1U, 2U}) {
        for (std::uint64_t torn = 0; torn < 30; ++torn) {
            sim::Disk disk;
            {
                SimJournal j = open_each(disk);
                REQUIRE(j.append(as_bytes("one")));
                disk.fail_at(disk.operations() + failing, io_error());
                CHECK(j.append(as_bytes("two, which is longer")).error() == std::errc::io_error);
                CHECK(j.last() == 1);
                const bool appends = torn % 3 != 0;
                if (appends) {
                    CHECK(j.append(as_bytes("three")).value() == 2);
                } else {
                    CHECK_FALSE(j.ack(1));
                }
                CHECK_FALSE(j.failed());
                Random bits{Seed{torn}};
                torn % 2 == 0 ? disk.kill() : disk.crash(bits);
                SimJournal again = open_each(disk);
                REQUIRE(again.last() == (appends ? 2 : 1));
                if (appends) CHECK(as_text(*again.read(2)) == "three");
            }
        }
    }
}

TEST_CASE("Journal with Flush::each: an operation rejected for lack of space is never found",
          "[journal][journal][regression]") {
    // The first half of a record looks whole if the rest is zeros, as in the files. After the
    // failed call the writer is killed, loses its power, or continues. Or the disk fails once more.
    enum class End { killed, power_lost, went_on, not_erased };
    const bool keeps = GENERATE(false, true);
    const End end = GENERATE(End::killed, End::power_lost, End::went_on, End::not_erased);
    const bool fails_twice = end == End::not_erased;
    for (std::uint64_t seed = 1; seed <= 10; ++seed) {
        Bytes body(50 * seed);
        body[0] = std::byte{7};
        WatchedDisk disk;
        auto j = Journal<WatchedDisk>::open(disk, "q", each_call(1));
        REQUIRE(j);
        REQUIRE(j->append(as_bytes("first")));
        disk.fail_at(disk.operations() + 1, no_space());
        if (fails_twice) {
            disk.on_write = [&] { disk.fail_at(disk.operations() + 1, no_space()); };
        }
        CHECK((keeps ? j->keep(body) : j->append(body).error()) == no_space());
        disk.on_write = nullptr;
        CHECK(j->last() == 1);
        CHECK(j->kept().empty());
        // If the disk fails twice, the journal cannot know whether the operation is there. The next
        // call erases it.
        const bool goes_on = fails_twice || end == End::went_on;
        if (goes_on) CHECK(j->append(as_bytes("second")));
        CHECK_FALSE(j->failed());
        if (end == End::power_lost) {
            Random bits{Seed{seed}};
            disk.crash(bits);
        } else {
            disk.kill();
        }
        const SimJournal again = open_each(disk);
        CHECK(again.last() == (goes_on ? 2 : 1));
        CHECK(again.kept().empty());
    }
}

TEST_CASE("Journal with Flush::each needs no space to erase a rejected operation",
          "[journal][journal][regression]") {
    WatchedDisk disk;
    auto j = Journal<WatchedDisk>::open(disk, "q", each_call(1));
    REQUIRE(j);
    REQUIRE(j->append(as_bytes("first")));
    std::string path;
    for (const auto& [name, bytes] : disk.image()) path = bytes.empty() ? path : name;
    const std::size_t before = disk.contents(path).size();
    // 16 of the 32 bytes were written, which is less than a header.
    disk.fail_at(disk.operations() + 1, no_space());
    CHECK(j->append(as_bytes("2")).error() == no_space());
    CHECK_FALSE(j->failed());
    CHECK(disk.contents(path).size() == before + 16);
    CHECK(j->append(as_bytes("2")));
}

TEST_CASE(
    "Journal::ack with Flush::each works without space, and is durable when it returns success",
    "[journal][journal][fault]") {
    sim::Disk disk;
    const auto acked_after_crash = [&disk](std::uint64_t seed) {
        Random bits{Seed{seed}};
        disk.crash(bits);
        return open_each(disk).base() - 1;
    };
    for (std::uint64_t round = 1; round <= 10; ++round) {
        disk.restore({});
        {
            SimJournal j = open_each(disk);
            for (int i = 0; i < 4; ++i) REQUIRE(j.append(as_bytes("text")));
            disk.fail_at(disk.operations() + 1, no_space());
            CHECK(j.ack(3) == std::errc::no_space_on_device);
            CHECK_FALSE(j.failed());
            CHECK(j.base() == 4);
            CHECK(j.acked_durable() == 0);
            CHECK(j.unflushed());
            if (round % 2 == 0) {
                // The same number again.
                CHECK_FALSE(j.ack(3));
                CHECK(j.acked_durable() == 3);
            }
        }
        const std::uint64_t acked = acked_after_crash(round);
        CHECK(acked == 3);  // the close tried again, too
    }
    // try_pop returns a value that it may have removed, and reports the error afterwards.
    disk.restore({});
    {
        SimJournal j = open_each(disk);
        for (int i = 0; i < 2; ++i) REQUIRE(j.append(as_bytes("text")));
        disk.fail_at(disk.operations() + 1, no_space());
        CHECK(j.try_pop());
        CHECK(j.size() == 1);
        CHECK(j.acked_durable() == 0);
        CHECK(j.try_pop());
        CHECK(j.acked_durable() == 2);
        disk.kill();
    }
    CHECK(acked_after_crash(99) == 2);
}

TEST_CASE("Journal with Flush::each shows an operation only when it is durable",
          "[journal][journal][unit]") {
    WatchedDisk disk;
    auto journal = Journal<WatchedDisk>::open(disk, "q", each_call(1));
    REQUIRE(journal);
    int flushes = 0;
    disk.on_sync = [&] {
        ++flushes;
        CHECK(journal->last() == 0);
        CHECK(journal->size() == 0);
        CHECK(journal->front().error() == QueueErrc::queue_empty);
        return std::error_code{};
    };
    REQUIRE(journal->append(as_bytes("one")));
    disk.on_sync = nullptr;
    CHECK(flushes == 1);
    CHECK(as_text(*journal->front()) == "one");
}

TEST_CASE("Journal with Flush::each continues in another thread after a failed append",
          "[journal][journal][fault]") {
    for (int round = 0; round < 20; ++round) {
        WatchedDisk disk;
        auto journal = Journal<WatchedDisk>::open(disk, "q", each_call(1));
        REQUIRE(journal);
        REQUIRE(journal->append(as_bytes("one")));
        // While the first thread writes, another one waits for it. It appends, and may have no
        // number yet, or it flushes everything that was appended.
        const bool appends = round % 2 == 0;
        std::thread other;
        std::atomic<bool> began{false};
        Result<std::uint64_t> second = std::uint64_t{0};
        std::error_code flushed;
        disk.on_write = [&] {
            if (other.joinable()) return;
            disk.fail_at(disk.operations() + 1, no_space());
            other = std::thread{[&] {
                began = true;
                if (appends) second = journal->append(as_bytes("second"));
                flushed = journal->flush();
            }};
            while (!began) std::this_thread::yield();
            for (int i = 0; i < 100 * round; ++i) std::this_thread::yield();
        };
        const auto first = journal->append(as_bytes("first"));
        other.join();
        disk.on_write = nullptr;
        CHECK(first.error() == std::errc::no_space_on_device);
        CHECK_FALSE(flushed);
        CHECK_FALSE(journal->unflushed());
        REQUIRE(second);
        CHECK(*second == (appends ? 2 : 0));
        CHECK(journal->last() == (appends ? 2 : 1));
        CHECK(journal->durable() == journal->last());
        if (appends) CHECK(as_text(*journal->read(2)) == "second");
    }
}
