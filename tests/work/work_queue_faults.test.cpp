// SPDX-License-Identifier: MIT
// Goal: a failure of the log is reported, and leaves the queue unchanged. Method: histories in
// which any one call of the log, or all calls from one on, find no space; a rejected call has no
// effect. And a case for each way in which an item could be lost, duplicated, or use ever more
// space.
#include <belay/queue/storages.hpp>

#include <belay/work/work_queue.hpp>

#include "support/work/start_times.hpp"
#include "support/work/work_model.hpp"
#include "support/work/work_queue_steps.hpp"

using namespace belay;
using namespace belay_test;

namespace {

/// Runs a history over a medium with faults. Openings are checked as after a crash, because notes
/// that had no space may be lost then.
void run(MemoryMedium& medium, std::uint64_t script, std::size_t& refused) {
    WorkModel<MemoryMedium> model{medium, script};
    std::size_t at = 0;
    for (const auto& [call, draw] : make_work_script(script, 150)) {
        bool good = true;
        if (call == WorkCall::reopen && at != 0) {
            medium.fails_from = ~std::uint64_t{0};
            model.drop_process();
            good = model.recover();
        } else if (!model.call(call, draw)) {
            ++refused;
        }
        INFO("script " << script << ", call " << at << ": " << model.message());
        REQUIRE(good);
        REQUIRE(model.message().empty());
        ++at;
    }
    medium.fails_from = ~std::uint64_t{0};
    medium.fails_once = false;
    model.drop_process();
    const bool good = model.recover();
    INFO("script " << script << ": " << model.message());
    REQUIRE(good);
}

/// The options of a queue over a journal with the given options.
WorkOptions as_long_as(const JournalOptions& journal) {
    return {.record_bytes_max = journal.record_bytes_max};
}

}  // namespace

TEST_CASE("WorkQueue continues after any one call of the log found no space",
          "[work][work_queue][fault]") {
    std::size_t refused = 0;
    for (std::uint64_t script = 400; script < 408; ++script) {
        MemoryMedium whole;
        std::size_t none = 0;
        run(whole, script, none);
        CHECK(none == 0);
        for (std::uint64_t fails = 1; fails <= whole.calls; ++fails) {
            MemoryMedium medium;
            medium.fails_from = fails;
            medium.fails_once = true;
            medium.fails_with = std::make_error_code(std::errc::no_space_on_device);
            run(medium, script, refused);
        }
    }
    CHECK(refused > 100);
}

TEST_CASE("WorkQueue accepts acknowledgements without space, and records them when there is space",
          "[work][work_queue][fault]") {
    using Work = WorkQueue<MemoryLog>;
    const Moment now{Instant{1s}, WallTime{1s}};
    MemoryMedium medium;
    std::optional<Work> work{std::move(*Work::open(MemoryLog{medium}, {}, now))};
    for (int i = 0; i < 500; ++i) REQUIRE(work->push(as_bytes("x"), now));
    REQUIRE_FALSE(work->commit());
    std::vector<Lease> leases;
    for (int i = 0; i < 500; ++i) leases.push_back(*work->lease(now));
    medium.fails_with = std::make_error_code(std::errc::no_space_on_device);
    medium.fails_from = 0;
    for (std::size_t i = 0; i < 500; i += 2) REQUIRE_FALSE(work->ack(leases[i]));
    CHECK(work->size() == 250);
    CHECK(work->commit() == std::errc::no_space_on_device);
    CHECK_FALSE(work->failed());
    CHECK(work->nack(leases[1], now) == std::errc::no_space_on_device);
    CHECK(work->leased() == 250);
    medium.fails_from = ~std::uint64_t{0};
    CHECK_FALSE(work->nack(leases[1], now));
    REQUIRE_FALSE(work->commit());
    work.reset();
    medium.crash();
    work.emplace(std::move(*Work::open(MemoryLog{medium}, {}, now)));
    CHECK(work->size() == 250);
}

TEST_CASE("WorkQueue: a crash may duplicate a dead letter, and never loses it",
          "[work][work_queue][fault]") {
    using Letters = Deque<Bytes>;
    using Work = WorkQueue<MemoryLog, Letters>;
    const Moment now{Instant{1s}, WallTime{1s}};
    MemoryMedium medium;
    const WorkOptions options{.deliveries_max = 1};
    std::optional<Work> work{std::move(*Work::open(MemoryLog{medium}, options, now))};
    // The first item is before it, so the log does not give up the second one on its own.
    for (const char* const body : {"first", "letter"}) REQUIRE(work->push(as_bytes(body), now));
    REQUIRE_FALSE(work->commit());
    REQUIRE(work->lease(now));
    const auto die = [&] {
        const auto lease = work->lease(now);
        REQUIRE(lease);
        REQUIRE(as_text(lease->body) == "letter");
        REQUIRE_FALSE(work->nack(*lease, now));
        CHECK(work->dead_letters().size() == 1);
        CHECK(work->size() == 1);
    };
    const auto crash = [&] {
        work.reset();
        medium.crash();
        work.emplace(std::move(*Work::open(MemoryLog{medium}, options, now)));
    };
    die();
    crash();
    CHECK(work->size() == 2);
    REQUIRE(work->lease(now));
    die();
    REQUIRE_FALSE(work->commit());
    crash();
    CHECK(work->size() == 1);
}

// ---- durability is never reported too early -----------------------------------------------------

namespace {

using Memory = WorkQueue<MemoryLog>;
const std::error_code no_space = std::make_error_code(std::errc::no_space_on_device);

Memory open_memory(MemoryMedium& medium, const WorkOptions& options = {}) {
    auto opened = Memory::open(MemoryLog{medium}, options, when);
    REQUIRE(opened);
    return std::move(*opened);
}
/// From here on the medium has no space, or has space again.
void set_full(MemoryMedium& medium, bool full) {
    medium.fails_with = no_space;
    medium.fails_from = full ? 0 : ~std::uint64_t{0};
}
Lease lease_next(Memory& work) {
    auto lease = work.lease(when);
    REQUIRE(lease);
    return *lease;
}

}  // namespace

TEST_CASE("WorkQueue::commit reports acknowledgements that are not durable",
          "[work][work_queue][fault]") {
    MemoryMedium medium;
    medium.acks_are_late = true;
    std::optional<Memory> work{open_memory(medium)};
    for (int i = 0; i < 5; ++i) REQUIRE(work->push(as_bytes("x"), when));
    REQUIRE_FALSE(work->commit());
    for (int i = 0; i < 3; ++i) REQUIRE_FALSE(work->ack(lease_next(*work)));
    medium.acks_have_no_space = true;
    CHECK(work->commit() == std::errc::no_space_on_device);
    CHECK_FALSE(work->failed());
    medium.acks_have_no_space = false;
    CHECK_FALSE(work->commit());
    work.reset();
    medium.crash();
    work.emplace(open_memory(medium));
    CHECK(work->size() == 2);
}

TEST_CASE("WorkQueue over a journal: an acknowledgement that commit confirmed is not lost",
          "[work][work_queue][fault]") {
    std::size_t refused = 0;
    for (const int acks : {20, 40, 60, 100, 200}) {
        sim::Disk disk;
        disk.limit_bytes(100 << 10);
        const JournalOptions options{.segment_bytes = 64 << 10, .record_bytes_max = 32 << 10};
        auto log = SimJournal::open(disk, "w", options);
        REQUIRE(log);
        auto work = WorkQueue<SimJournal>::open(std::move(*log), as_long_as(options), when);
        REQUIRE(work);
        while (work->push(Bytes(100), when)) {
        }
        static_cast<void>(work->commit());
        std::size_t durable = work->size();
        for (int i = 0; i < acks; ++i) {
            const auto lease = work->lease(when);
            if (!lease || work->ack(*lease)) break;
            if (!work->commit()) {
                durable = work->size();
            } else {
                ++refused;
            }
        }
        disk.kill();
        work = WorkError{no_space};
        disk.kill();
        disk.limit_bytes(10 << 20);
        auto again = SimJournal::open(disk, "w", options);
        REQUIRE(again);
        auto reopened = WorkQueue<SimJournal>::open(std::move(*again), as_long_as(options), when);
        REQUIRE(reopened);
        CHECK(reopened->size() <= durable);
    }
    CHECK(refused > 0);
}

TEST_CASE("WorkQueue::nack without space for a dead letter leaves the lease",
          "[work][work_queue][fault]") {
    MemoryMedium medium;
    const WorkOptions options{.deliveries_max = 1, .slack_bytes = 0};
    std::optional<Memory> work{open_memory(medium, options)};
    REQUIRE(work->push(as_bytes("poison"), when));
    Lease lease = lease_next(*work);
    set_full(medium, true);
    CHECK(work->nack(lease, when) == std::errc::no_space_on_device);
    set_full(medium, false);
    CHECK(work->dead() == 0);
    CHECK(work->leased() == 1);
    // It is not dead in its copy either.
    REQUIRE_FALSE(work->extend(lease, when, 1000h));
    for (int i = 0; i < 60; ++i) {
        REQUIRE(work->push(Bytes(100), when));
        REQUIRE_FALSE(work->ack(lease_next(*work)));
    }
    REQUIRE_FALSE(work->commit());
    CHECK_FALSE(entries_of_kind(medium, detail::WorkKind::moved).empty());
    work.emplace(open_memory(medium, options));
    CHECK(work->dead() == 0);
    CHECK_FALSE(work->nack(lease_next(*work), when));
    CHECK(work->dead() == 1);
}

TEST_CASE("WorkQueue records dead letters and deliveries later when there was no space",
          "[work][work_queue][fault]") {
    const bool at_the_end = GENERATE(false, true);
    MemoryMedium medium;
    const WorkOptions options{.lease = 1s, .deliveries_max = 2};
    std::optional<Memory> work{open_memory(medium, options)};
    REQUIRE(work->push(as_bytes("expires"), when, {.expires_after = 1s}));
    REQUIRE(work->push(as_bytes("times out"), when));
    REQUIRE_FALSE(work->commit());
    lease_next(*work);
    lease_next(*work);
    const Moment later{when.now + 2s, when.wall + 2s};
    set_full(medium, true);
    const auto again = work->lease(later);
    REQUIRE(again);
    CHECK(again->delivery == 2);
    CHECK(work->dead() == 1);
    CHECK(work->commit() == std::errc::no_space_on_device);
    set_full(medium, false);
    if (!at_the_end) {
        REQUIRE_FALSE(work->commit());
        set_full(medium, true);
    }
    work.reset();
    set_full(medium, false);
    work.emplace(open_memory(medium, options));
    CHECK(work->dead() == 1);
    CHECK(lease_next(*work).delivery == 2);
}

TEST_CASE("WorkQueue: a recorded delivery counts also when the late worker continues",
          "[work][work_queue][regression]") {
    // The note is made when the lease times out or, without space, at the next sync.
    const bool has_space = GENERATE(true, false);
    MemoryMedium medium;
    Memory work = open_memory(medium, {.slack_bytes = 1000});
    for (const char* const body : {"first", "late"}) REQUIRE(work.push(as_bytes(body), when));
    REQUIRE_FALSE(work.nack(lease_next(work), when, 5s));
    Lease late = lease_next(work);
    REQUIRE(late.id == 2);
    const Moment later{when.now + 31s, when.wall + 31s};
    set_full(medium, !has_space);
    REQUIRE(work.lease(later)->id == 1);
    REQUIRE_FALSE(work.extend(late, later, 1h));
    set_full(medium, false);
    REQUIRE_FALSE(work.commit());
    const auto durable_count = [&] {
        MemoryMedium copy = medium;
        copy.crash();
        Memory other = open_memory(copy);
        std::uint32_t count = 0;
        CHECK_FALSE(other.for_each([&](const WorkItem& item) {
            if (item.id == 2) count = item.deliveries;
        }));
        return count;
    };
    const auto copy_forward = [&] {
        const std::uint64_t before = medium.base;
        pass_through(work, 60, later);
        REQUIRE(medium.base > before + 30);
    };
    CHECK(durable_count() == 1);
    copy_forward();
    CHECK(durable_count() == 1);
    // The next delivery does not count before it has failed.
    REQUIRE_FALSE(work.nack(late, later));
    const auto next = work.lease(later);
    REQUIRE(next);
    REQUIRE(next->delivery == 2);
    copy_forward();
    CHECK(durable_count() == 1);
}

TEST_CASE("WorkQueue::lease flushes the storage for dead letters once for many dead items",
          "[work][work_queue][regression]") {
    struct Letters {
        bool try_push(Bytes&& body) { return taken.push_back(std::move(body)), true; }
        std::error_code commit() {
            ++flushes;
            return syncs ? std::error_code{} : no_space;
        }
        std::vector<Bytes> taken;
        int flushes = 0;
        bool syncs = true;
    };
    MemoryMedium medium;
    auto opened = WorkQueue<MemoryLog, Letters>::open(MemoryLog{medium}, Letters{}, {}, when);
    REQUIRE(opened);
    auto& work = *opened;
    for (int i = 0; i < 1000; ++i) {
        REQUIRE(work.push(as_bytes(std::to_string(i)), when, {.expires_after = 1s}));
    }
    REQUIRE(work.push(as_bytes("good"), when));
    Letters& letters = work.dead_letters();
    letters.syncs = GENERATE(true, false);
    const auto lease = work.lease({when.now + 2s, when.wall + 2s});
    REQUIRE(lease);
    CHECK(as_text(lease->body) == "good");
    CHECK(letters.flushes == 4);
    REQUIRE(letters.taken.size() == 1000);
    CHECK(as_text(letters.taken[999]) == "999");
    CHECK(work.size() == 1);
    CHECK(work.delayed() == 0);
    CHECK(work.dead() == (letters.syncs ? 0U : 1000U));
}

TEST_CASE("WorkQueue sends a dead letter once, however often the commit fails",
          "[work][work_queue][regression]") {
    struct Letters {
        std::error_code try_push(Bytes&& body) {
            if (!has_space) return no_space;
            taken.push_back(std::move(body));
            return {};
        }
        std::error_code commit() const { return syncs ? std::error_code{} : no_space; }
        std::vector<Bytes> taken;
        bool has_space = true;
        bool syncs = false;
    };
    MemoryMedium medium;
    auto opened = WorkQueue<MemoryLog, Letters>::open(MemoryLog{medium}, Letters{},
                                                      {.deliveries_max = 1}, when);
    REQUIRE(opened);
    auto& work = *opened;
    Letters& letters = work.dead_letters();
    for (const char* const body : {"a", "b"}) REQUIRE(work.push(as_bytes(body), when));
    REQUIRE_FALSE(work.commit());
    const auto first = work.lease(when);
    const auto second = work.lease(when);
    REQUIRE(second);
    set_full(medium, true);
    letters.has_space = false;
    CHECK(work.nack(*first, when) == no_space);
    letters.has_space = true;
    for (int i = 0; i < 3; ++i) {
        CHECK(work.nack(*first, when) == no_space);
        CHECK(work.nack(*second, when) == no_space);
    }
    CHECK(letters.taken.size() == 2);
    CHECK(work.leased() == 2);
    // One dies here, because its letter is not durable. The other dies when its lease times out.
    set_full(medium, false);
    CHECK_FALSE(work.nack(*first, when));
    CHECK(work.dead() == 1);
    letters.syncs = true;
    const Moment later{when.now + 31s, when.wall + 31s};
    CHECK(work.lease(later).error() == QueueErrc::queue_empty);
    CHECK(work.size() == 0);
    CHECK(work.dead() == 1);
    CHECK(letters.taken.size() == 2);
    // A revived item dies again, and has another letter: the first may have been read and removed.
    REQUIRE_FALSE(work.revive(1, later));
    const auto again = work.lease(later);
    REQUIRE(again);
    REQUIRE_FALSE(work.nack(*again, later));
    CHECK(letters.taken.size() == 3);
    CHECK(work.dead() == 0);
}

TEST_CASE("WorkQueue reserves space for the end of an item before its dead letter is sent",
          "[work][work_queue][fault]") {
    struct Letters {
        bool try_push(Bytes&&) noexcept {
            *last_at_push = medium->last;
            return true;
        }
        MemoryMedium* medium;
        std::uint64_t* last_at_push;
    };
    MemoryMedium medium;
    std::uint64_t last_at_push = 0;
    auto work = WorkQueue<MemoryLog, Letters>::open(
        MemoryLog{medium}, Letters{&medium, &last_at_push}, {.deliveries_max = 1}, when);
    REQUIRE(work);
    std::vector<Lease> leases;
    for (int i = 0; i < 70; ++i) REQUIRE(work->push(as_bytes("x"), when));
    for (int i = 0; i < 70; ++i) leases.push_back(*work->lease(when));
    for (std::size_t i = 1; i <= 64; ++i) REQUIRE_FALSE(work->ack(leases[i]));
    REQUIRE(medium.last == 70);
    REQUIRE_FALSE(work->nack(leases[66], when));
    // The allocations are done: if they had failed, the letter would not have been sent.
    CHECK(last_at_push == 71);
    CHECK(work->size() == 5);
}

TEST_CASE("WorkQueue allocates nothing in its destructor", "[work][work_queue][fault]") {
    MemoryMedium medium;
    for (const std::uint64_t last : {std::uint64_t{254}, std::uint64_t{255}}) {
        medium = MemoryMedium{};
        {
            Memory work = open_memory(medium);
            for (std::uint64_t i = 0; i < last; ++i) REQUIRE(work.push(as_bytes("x"), when));
            lease_next(work);
            REQUIRE_FALSE(work.ack(lease_next(work)));
        }
        // The numbers from 0 to 255 fit into four blocks.
        CHECK(medium.last == 255);
    }
}

// ---- unreadable entries -------------------------------------------------------------------------

TEST_CASE("WorkQueue opens with a damaged entry, and keeps it as a dead letter",
          "[work][work_queue][fault]") {
    MemoryMedium medium;
    std::optional<Memory> work{open_memory(medium)};
    for (const char* const body : {"1", "2", "3"}) REQUIRE(work->push(as_bytes(body), when));
    REQUIRE_FALSE(work->commit());
    medium.damaged.insert(2);
    for (int openings = 0; openings < 2; ++openings) {
        work.emplace(open_memory(medium));
        CHECK(work->size() == 2);
        CHECK(work->dead() == 1);
        CHECK_FALSE(work->for_each_dead([](const WorkItem& item) {
            CHECK(item.id == 2);
            CHECK(item.cause == DeathCause::unreadable);
        }));
    }
    lease_next(*work);
    CHECK(as_text(lease_next(*work).body) == "3");
    REQUIRE_FALSE(work->purge_dead());
    REQUIRE_FALSE(work->commit());
    work.reset();
    medium.crash();
    work.emplace(open_memory(medium));
    CHECK(work->dead() == 0);
    CHECK(work->size() == 2);
}

TEST_CASE("WorkQueue skips a damaged entry whose item is finished", "[work][work_queue][fault]") {
    MemoryMedium medium;
    const WorkOptions options{.keys = 10};
    {
        Memory work = open_memory(medium, options);
        for (const char* const key : {"a", "b", "c"}) {
            REQUIRE(work.push(as_bytes("x"), when, {.key = key}));
        }
        for (int i = 0; i < 2; ++i) REQUIRE_FALSE(work.ack(lease_next(work)));
        REQUIRE_FALSE(work.commit());
    }
    medium.damaged.insert(2);
    const Memory work = open_memory(medium, options);
    CHECK(work.dead() == 0);
    CHECK(work.size() == 1);
}

TEST_CASE("WorkQueue reads an item again after doubling waits, and leases the others meanwhile",
          "[work][work_queue][regression]") {
    MemoryMedium medium;
    Memory work = open_memory(medium);
    for (int i = 0; i < 2; ++i) REQUIRE(work.push(as_bytes("x"), when));
    medium.bad_sector = 1;
    Moment now = when;
    CHECK(work.lease(now).error() == std::errc::io_error);
    CHECK(work.deadline() == always);
    CHECK(work.delayed() == 1);
    const Lease other = lease_next(work);
    CHECK(other.id == 2);
    REQUIRE_FALSE(work.ack(other));
    std::size_t failures = 1;
    for (Duration wait = 0s; work.dead() == 0; ++failures) {
        CHECK(work.lease(now).error() == QueueErrc::queue_empty);
        const Duration next = elapsed(now.now, work.deadline());
        CHECK(next >= 2 * wait);
        CHECK(elapsed(when.now, now.now) < 1min);
        wait = next;
        now.now = work.deadline();
        const std::error_code error = work.lease(now).error();
        const bool waits = work.dead() == 0;
        CHECK(error == (waits ? std::make_error_code(std::errc::io_error)
                              : make_error_code(QueueErrc::queue_empty)));
    }
    CHECK(failures == 7);
    CHECK(elapsed(when.now, now.now) >= 1min);
    CHECK(elapsed(when.now, now.now) < 61s);
    CHECK(work.deadline() == never);
    // A revived item has its whole time again.
    REQUIRE_FALSE(work.revive(1, now));
    CHECK(work.lease(now).error() == std::errc::io_error);
    CHECK(work.dead() == 0);
    medium.bad_sector = 0;
    now.now = work.deadline();
    CHECK(work.lease(now)->id == 1);
}

TEST_CASE("WorkQueue keeps an item that is read between failures of the medium",
          "[work][work_queue][regression]") {
    MemoryMedium medium;
    Memory work = open_memory(medium);
    REQUIRE(work.push(as_bytes("x"), when));
    const int reader = GENERATE(0, 1);
    Moment now = when;
    for (int round = 0; round < 3; ++round) {
        medium.bad_sector = 1;
        for (int failure = 0; failure < 6; ++failure) {
            CHECK(work.lease(now).error() == std::errc::io_error);
            now.now = work.deadline();
        }
        medium.bad_sector = 0;
        if (reader == 0) {
            const Result<Lease> lease = work.lease(now);
            REQUIRE(lease);
            REQUIRE_FALSE(work.nack(*lease, now));
        } else {
            REQUIRE(work.read(1));
        }
    }
    CHECK(work.dead() == 0);
}

TEST_CASE("WorkQueue makes no item dead, and reads few, while the medium reads none of them",
          "[work][work_queue][regression]") {
    MemoryMedium medium;
    // Only an I/O error is evidence of a bad sector, and no other error, however long it lasts.
    const bool is_io = GENERATE(true, false);
    if (!is_io) medium.read_error = std::make_error_code(std::errc::timed_out);
    const Duration outage = is_io ? Duration{59s} : Duration{1h};
    Memory work = open_memory(medium);
    const std::uint64_t items = GENERATE(1U, 2U, 10'000U);
    for (std::uint64_t i = 0; i < items; ++i) REQUIRE(work.push(as_bytes("x"), when));
    REQUIRE_FALSE(work.commit());
    medium.reads_fail = true;
    medium.reads = 0;
    Moment now = when;
    std::size_t calls = 0;
    for (; elapsed(when.now, now.now) < outage; ++calls) {
        REQUIRE_FALSE(work.lease(now));
        if (work.deadline() > now.now) now.now = work.deadline();
    }
    CHECK(work.dead() == 0);
    const auto seconds = static_cast<std::size_t>(outage / 1s);
    CHECK(medium.reads <= 7 * 128 * (seconds + 1));
    CHECK(calls <= medium.reads + 2 * (seconds + 1));
    CHECK(work.delayed() <= 128 * (seconds + 4));
    if (items == 1) CHECK(medium.reads < 8 + seconds / 30);
    medium.reads_fail = false;
    now.now += 30s + 1s;
    for (std::uint64_t i = 1; i <= items; ++i) REQUIRE(work.lease(now)->id == i);
}

TEST_CASE("WorkQueue counts no delivery when the item could not be read after its note",
          "[work][work_queue][regression]") {
    MemoryMedium medium;
    const WorkOptions options{.deliveries_max = 3, .count_before_lease = true};
    Memory work = open_memory(medium, options);
    for (int i = 0; i < 2; ++i) REQUIRE(work.push(as_bytes("x"), when));
    medium.bad_after_sync = 1;
    Moment now = when;
    CHECK(work.lease(now).error() == std::errc::io_error);
    // It does not block the next item.
    CHECK(work.lease(now)->id == 2);
    const std::uint64_t last = medium.last;
    for (int i = 0; i < 9; ++i) {
        now.now += 1s;
        CHECK(work.lease(now).error() == std::errc::io_error);
    }
    CHECK(work.dead() == 0);
    CHECK(medium.last == last);
    medium.bad_after_sync = 0;
    now.now += 1s;
    CHECK(work.lease(now)->delivery == 1);
}

TEST_CASE("WorkQueue::release needs no space, and its delivery does not count later",
          "[work][work_queue][regression]") {
    MemoryMedium medium;
    const WorkOptions options{
        .lease = 10s, .deliveries_max = 3, .count_before_lease = GENERATE(false, true)};
    std::optional<Memory> work{open_memory(medium, options)};
    REQUIRE(work->push(as_bytes("x"), when));
    REQUIRE_FALSE(work->commit());
    medium.fails_with = std::make_error_code(std::errc::no_space_on_device);
    Moment now = when;
    for (int round = 0; round < 20; ++round) {
        const Result<Lease> lease = work->lease(now);
        REQUIRE(lease);
        CHECK(lease->delivery == 1);
        medium.fails_from = 0;
        CHECK_FALSE(work->release(*lease, now, 5s));
        CHECK(work->ack(*lease) == QueueErrc::lease_ended);
        CHECK(work->deadline() == now.now + 5s);
        CHECK(work->commit());
        if (options.count_before_lease) medium.fails_from = ~std::uint64_t{0};
        now.now += 11s;
    }
    // The note without space has the rest of the delay.
    const Result<Lease> lease = work->lease(now);
    REQUIRE(lease);
    medium.fails_from = 0;
    CHECK_FALSE(work->release(*lease, now, 5s));
    medium.fails_from = ~std::uint64_t{0};
    CHECK_FALSE(work->commit());
    work.reset();
    medium.crash();
    work.emplace(open_memory(medium, options));
    CHECK(work->delayed() == 1);
    CHECK(work->lease({when.now + 24h, when.wall + 24h})->delivery == 1);
}

TEST_CASE("WorkQueue records a delivery once, however often its commit finds no space",
          "[work][work_queue][regression]") {
    MemoryMedium medium;
    const WorkOptions options{.deliveries_max = 3, .count_before_lease = true, .slack_bytes = 1000};
    Memory work = open_memory(medium, options);
    for (int i = 0; i < 60; ++i) REQUIRE(work.push(Bytes(100), when));
    std::vector<Lease> leases;
    for (int i = 0; i < 60; ++i) leases.push_back(lease_next(work));
    REQUIRE_FALSE(work.nack(leases[0], when));
    const auto durable_count = [&] {
        MemoryMedium copy = medium;
        copy.crash();
        Memory other = open_memory(copy, options);
        std::uint32_t count = 0;
        CHECK_FALSE(other.for_each([&](const WorkItem& item) {
            if (item.id == 1) count = item.deliveries;
        }));
        return count;
    };
    medium.sync_has_no_space = true;
    const std::uint64_t before = medium.last;
    for (int i = 0; i < 100; ++i) CHECK(work.lease(when).error() == no_space);
    CHECK(medium.last == before + 1);
    CHECK(durable_count() == 1);
    medium.sync_has_no_space = false;
    SECTION("the delivery counts once when the item is leased") {
        CHECK(lease_next(work).delivery == 2);
        CHECK(medium.last == before + 1);
        CHECK(durable_count() == 2);
    }
    SECTION("a copy of the item keeps the delivery that the log had") {
        for (std::size_t i = 1; i < 60; ++i) REQUIRE_FALSE(work.ack(leases[i]));
        REQUIRE_FALSE(work.commit());
        REQUIRE(entries_of_kind(medium, detail::WorkKind::moved).size() == 1);
        CHECK(durable_count() == 2);
        CHECK(lease_next(work).delivery == 2);
        CHECK(durable_count() == 2);
    }
}

// ---- growth -------------------------------------------------------------------------------------

TEST_CASE("WorkQueue copies no entry with unlimited slack", "[work][work_queue][unit]") {
    MemoryMedium medium;
    Memory work = open_memory(medium, {.slack_bytes = no_limit});
    std::vector<Lease> leases;
    for (int i = 0; i < 10; ++i) REQUIRE(work.push(as_bytes("x"), when));
    for (int i = 0; i < 10; ++i) leases.push_back(lease_next(work));
    for (std::size_t i = 1; i < 9; ++i) REQUIRE_FALSE(work.ack(leases[i]));
    REQUIRE_FALSE(work.commit());
    CHECK(entries_of_kind(medium, detail::WorkKind::moved).empty());
}

TEST_CASE("WorkQueue copies items that are longer than its options, or reports that it cannot",
          "[work][work_queue][fault]") {
    MemoryMedium medium;
    {
        Memory work = open_memory(medium);
        REQUIRE(work.push(Bytes(2000), when));
        REQUIRE_FALSE(work.commit());
    }
    const bool log_takes_it = GENERATE(true, false);
    if (!log_takes_it) medium.record_bytes_max = 1024;
    Memory work = open_memory(medium, {.record_bytes_max = 1024, .slack_bytes = 1000});
    Lease first = lease_next(work);
    REQUIRE_FALSE(work.extend(first, when, 1000h));
    for (int i = 0; i < 300; ++i) {
        REQUIRE(work.push(Bytes(500), when));
        REQUIRE_FALSE(work.ack(lease_next(work)));
        const std::error_code error = work.commit();
        REQUIRE((!error || (!log_takes_it && error == QueueErrc::too_large)));
    }
    CHECK((medium.entries.size() < 20) == log_takes_it);
    CHECK((work.commit() == QueueErrc::too_large) == !log_takes_it);
    REQUIRE_FALSE(work.ack(first));
    CHECK_FALSE(work.commit());
    CHECK(medium.entries.size() < 20);
}

TEST_CASE("WorkQueue continues to copy its keys after there was no space",
          "[work][work_queue][fault]") {
    MemoryMedium medium;
    const WorkOptions options{.keys = 1000, .record_bytes_max = 1024, .slack_bytes = 1000};
    std::optional<Memory> work{open_memory(medium, options)};
    std::vector<Lease> leases;
    for (int i = 0; i < 1000; ++i) {
        REQUIRE(work->push(as_bytes("x"), when, {.key = std::to_string(i)}));
    }
    for (int i = 0; i < 1000; ++i) leases.push_back(lease_next(*work));
    medium.fails_with = no_space;
    for (const Lease& lease : leases) REQUIRE_FALSE(work->ack(lease));
    // There is space for five entries each time, and the window needs 24.
    const std::uint64_t before = medium.last;
    for (int i = 0; i < 10; ++i) {
        medium.fails_from = medium.calls + 6;
        static_cast<void>(work->lease(when));
    }
    CHECK(medium.last - before < 30);
    set_full(medium, false);
    REQUIRE_FALSE(work->commit());
    CHECK(medium.base > before);
    work.reset();
    work.emplace(open_memory(medium, options));
    CHECK(work->push(as_bytes("x"), when, {.key = "0"}).error() == QueueErrc::duplicate);
    CHECK(work->push(as_bytes("x"), when, {.key = "999"}).error() == QueueErrc::duplicate);
}

TEST_CASE("WorkQueue that is only pushed to and purged stays small", "[work][work_queue][unit]") {
    MemoryMedium medium;
    Memory work = open_memory(medium, {.keys = 10, .slack_bytes = 1000});
    for (int i = 0; i < 2000; ++i) {
        REQUIRE(work.push(as_bytes("x"), when, {.key = std::to_string(i)}));
        REQUIRE_FALSE(work.purge());
        REQUIRE_FALSE(work.commit());
    }
    CHECK(medium.entries.size() < 100);
}

TEST_CASE("WorkQueue remembers a key at its last position, also in a larger window",
          "[work][work_queue][unit]") {
    MemoryMedium medium;
    const auto push = [](Memory& work, const char* key) {
        return work.push(as_bytes("x"), when, {.key = key}).error();
    };
    {
        Memory work = open_memory(medium, {.keys = 3});
        for (const char* const key : {"K", "A", "B", "C", "K"}) REQUIRE_FALSE(push(work, key));
        REQUIRE_FALSE(work.commit());
    }
    Memory work = open_memory(medium, {.keys = 4});
    CHECK_FALSE(push(work, "D"));
    CHECK(push(work, "K") == QueueErrc::duplicate);
    CHECK_FALSE(push(work, "A"));
}

TEST_CASE("WorkQueue::flush flushes a log whose commit does not", "[work][work_queue][unit]") {
    sim::Disk disk;
    const JournalOptions options{
        .flush = Flush::none, .segment_bytes = 64 << 10, .record_bytes_max = 32 << 10};
    auto log = SimJournal::open(disk, "w", options);
    REQUIRE(log);
    auto work = WorkQueue<SimJournal>::open(std::move(*log), as_long_as(options), when);
    REQUIRE(work);
    for (const char* const body : {"a", "b"}) REQUIRE(work->push(as_bytes(body), when));
    REQUIRE_FALSE(work->commit());
    CHECK(work->unflushed());
    REQUIRE_FALSE(work->flush());
    CHECK_FALSE(work->unflushed());
    REQUIRE(work->lease(when));
    const auto second = work->lease(when);
    REQUIRE(second);
    REQUIRE_FALSE(work->ack(*second));
    CHECK(work->unflushed());
    REQUIRE_FALSE(work->flush());
    CHECK_FALSE(work->unflushed());
}

TEST_CASE("WorkQueue: an acknowledgement that only the log received waits for a flush, too",
          "[work][work_queue][fault]") {
    Random bits{Seed{1}};
    sim::Disk disk;
    const JournalOptions options{
        .flush = Flush::none, .segment_bytes = 64 << 10, .record_bytes_max = 32 << 10};
    const auto open = [&] {
        auto log = SimJournal::open(disk, "w", options);
        REQUIRE(log);
        auto work = WorkQueue<SimJournal>::open(std::move(*log), as_long_as(options), when);
        REQUIRE(work);
        return std::move(*work);
    };
    {
        WorkQueue<SimJournal> work = open();
        for (const char* const body : {"a", "b"}) REQUIRE(work.push(as_bytes(body), when));
        REQUIRE_FALSE(work.flush());
        const auto first = work.lease(when);
        REQUIRE(first);
        CHECK_FALSE(work.unflushed());
        REQUIRE_FALSE(work.ack(*first));  // acknowledged in order, so there is no entry for it
        CHECK(work.unflushed());
        REQUIRE_FALSE(work.flush());
        CHECK_FALSE(work.unflushed());
        disk.halt_at(disk.operations() + 1);
    }
    disk.crash(bits);
    WorkQueue<SimJournal> work = open();
    CHECK_FALSE(work.unflushed());
    CHECK(work.size() == 1);
}

TEST_CASE("WorkQueue::flush reaches the medium also if an item can never be copied",
          "[work][work_queue][fault]") {
    Random bits{Seed{1}};
    sim::Disk disk;
    JournalOptions options{
        .flush = Flush::none, .segment_bytes = 64 << 10, .record_bytes_max = 2048};
    const auto open = [&] {
        auto log = SimJournal::open(disk, "w", options);
        REQUIRE(log);
        auto work = WorkQueue<SimJournal>::open(
            std::move(*log), {.lease = 1h, .record_bytes_max = 1024, .slack_bytes = 1000}, when);
        REQUIRE(work);
        return std::move(*work);
    };
    {
        auto log = SimJournal::open(disk, "w", options);
        REQUIRE(log);
        auto work = WorkQueue<SimJournal>::open(std::move(*log), {.record_bytes_max = 2048}, when);
        REQUIRE(work);
        REQUIRE(work->push(Bytes(1500), when));
        REQUIRE_FALSE(work->commit());
    }
    options.record_bytes_max = 1024;
    std::size_t pushed = 1;
    {
        WorkQueue<SimJournal> work = open();
        REQUIRE(work.lease(when));
        while (work.commit() != QueueErrc::too_large) {
            REQUIRE(pushed < 100);
            REQUIRE(work.push(Bytes(500), when));
            const auto lease = work.lease(when);
            REQUIRE(lease);
            REQUIRE_FALSE(work.ack(*lease));
            ++pushed;
        }
        REQUIRE(work.push(as_bytes("new"), when));
        CHECK(work.flush() == QueueErrc::too_large);
        CHECK_FALSE(work.unflushed());
        disk.halt_at(disk.operations() + 1);
    }
    disk.crash(bits);
    WorkQueue<SimJournal> work = open();
    CHECK(work.size() == 2);
    const auto last = work.read(work.log().last());
    REQUIRE(last);
    CHECK(as_text(*last) == "new");
}

TEST_CASE("WorkQueue loses no dead letter at a power loss, also into a journal with Flush::none",
          "[work][work_queue][regression]") {
    using Work = WorkQueue<SimJournal, SimJournal>;
    for (const Flush flush : {Flush::none, Flush::group, Flush::each}) {
        const JournalOptions options{
            .flush = flush, .segment_bytes = 64 << 10, .record_bytes_max = 32 << 10};
        for (std::uint64_t torn = 1; torn <= 50; ++torn) {
            sim::Disk disk;
            const auto open_at = [&](const char* path) {
                auto journal = SimJournal::open(disk, path, options);
                REQUIRE(journal);
                return std::move(*journal);
            };
            const auto open = [&] {
                auto work = Work::open(
                    open_at("w"), open_at("dead"),
                    {.deliveries_max = 1, .record_bytes_max = options.record_bytes_max}, when);
                REQUIRE(work);
                return std::move(*work);
            };
            {
                Work work = open();
                REQUIRE(work.push(as_bytes("letter"), when));
                REQUIRE_FALSE(work.flush());
                const auto lease = work.lease(when);
                REQUIRE(lease);
                REQUIRE_FALSE(work.nack(*lease, when));
                REQUIRE_FALSE(work.flush());
                REQUIRE(work.size() == 0);
                REQUIRE(work.dead() == 0);
                // The queue is not closed in order.
                disk.halt_at(disk.operations() + 1);
            }
            Random bits{Seed{torn}};
            disk.crash(bits);
            Work work = open();
            INFO("mode " << static_cast<int>(flush) << ", torn " << torn);
            REQUIRE(work.size() == 0);
            REQUIRE(work.dead_letters().size() == 1);
            REQUIRE(as_text(*work.dead_letters().front()) == "letter");
        }
    }
}
