// SPDX-License-Identifier: MIT
// Goal: an item that cannot be read is one dead letter until it is purged, with any other entries
// of it in the log. A disk that fails to read for a while makes no dead letter. Method: a log in
// memory with damaged single entries, while the queue is open or between two openings; a journal
// over a disk of which parts cannot be read.
#include <belay/journal/journal.hpp>
#include <belay/sim/disk.hpp>
#include <belay/work/work_queue.hpp>

#include <span>
#include <vector>

#include "support/work/start_times.hpp"
#include "support/work/work_queue_steps.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

using MemoryWork = WorkQueue<MemoryLog>;

MemoryWork open_memory_work(MemoryMedium& medium, const WorkOptions& options = {}) {
    auto opened = MemoryWork::open(MemoryLog{medium}, options, when);
    REQUIRE(opened);
    return std::move(*opened);
}
Moment later(Duration time) { return {when.now + time, when.wall + time}; }

/// The single dead letter; without a body.
WorkItem only_dead(MemoryWork& work) {
    std::vector<WorkItem> shown;
    CHECK_FALSE(work.for_each_dead([&](const WorkItem& item) { shown.push_back(item); }));
    REQUIRE(shown.size() == 1);
    shown[0].body = {};
    return shown[0];
}

/// A disk that cannot read a range of each file.
struct PartlyReadableDisk : sim::Disk {
    class File : public sim::Disk::File {
    public:
        File(sim::Disk::File file, const PartlyReadableDisk& disk) noexcept
            : sim::Disk::File{std::move(file)}, disk_{&disk} {}
        [[nodiscard]] Result<std::size_t> read(std::uint64_t offset,
                                               std::span<std::byte> to) const noexcept {
            if (offset < disk_->bad_to && offset + to.size() > disk_->bad_from) {
                return std::make_error_code(std::errc::io_error);
            }
            return sim::Disk::File::read(offset, to);
        }

    private:
        const PartlyReadableDisk* disk_;
    };
    [[nodiscard]] Result<File> open(const std::string& path, OpenMode mode) noexcept {
        auto file = sim::Disk::open(path, mode);
        if (!file) return file.error();
        return File{std::move(*file), *this};
    }
    std::uint64_t bad_from = 0;
    std::uint64_t bad_to = 0;
};
using DiskWork = WorkQueue<Journal<PartlyReadableDisk>>;

DiskWork open_disk_work(PartlyReadableDisk& disk) {
    auto journal = Journal<PartlyReadableDisk>::open(disk, "work", {});
    REQUIRE(journal);
    auto opened = DiskWork::open(std::move(*journal), {}, when);
    REQUIRE(opened);
    return std::move(*opened);
}

/// Works off the queue like a driver, until `end` or until it is empty. Returns the number of
/// calls.
std::size_t drive(DiskWork& work, Moment& now, Instant end, std::vector<std::uint64_t>& done) {
    for (std::size_t calls = 1;; ++calls) {
        if (const auto lease = work.lease(now)) {
            done.push_back(lease->id);
            REQUIRE_FALSE(work.ack(*lease));
        }
        if (work.deadline() <= now.now) continue;
        if (work.deadline() >= end) return calls;
        now.now = work.deadline();
    }
}

}  // namespace

TEST_CASE("WorkQueue over a Journal makes no item dead while the disk fails to read for 59 s",
          "[work][work_queue][regression]") {
    struct Case {
        std::size_t pushes;    // not durable; the journal has the last of them in memory
        std::uint64_t bad_to;  // the system has the rest in memory
        std::size_t readable_min;
    };
    const auto outage = GENERATE(Case{0, ~std::uint64_t{0}, 0}, Case{70, ~std::uint64_t{0}, 5},
                                 Case{130, ~std::uint64_t{0}, 5}, Case{0, 336 << 10, 5});
    PartlyReadableDisk disk;
    {
        DiskWork work = open_disk_work(disk);
        for (int i = 0; i < 200; ++i) REQUIRE(work.push(Bytes(2000), when));
        REQUIRE_FALSE(work.commit());
    }
    DiskWork work = open_disk_work(disk);
    disk.bad_to = outage.bad_to;
    for (std::size_t i = 0; i < outage.pushes; ++i) REQUIRE(work.push(as_bytes("new"), when));
    Moment now = when;
    std::vector<std::uint64_t> done;
    const std::size_t calls = drive(work, now, when.now + 59s, done);
    CHECK(work.dead() == 0);
    CHECK(done.size() >= outage.readable_min);
    CHECK(calls <= 8 * (200 + outage.pushes));
    disk.bad_to = 0;
    now.now = when.now + 59s;
    drive(work, now, never, done);
    CHECK(work.empty());
    CHECK(work.dead() == 0);
    CHECK(done.size() == 200 + outage.pushes);
}

TEST_CASE(
    "WorkQueue over a Journal: a bad sector blocks no other item, and its items die after 1 min",
    "[work][work_queue][regression]") {
    PartlyReadableDisk disk;
    DiskWork work = open_disk_work(disk);
    const std::size_t items = GENERATE(1U, 20U, 80U);
    for (std::size_t i = 0; i < items; ++i) REQUIRE(work.push(Bytes(1000), when));
    REQUIRE_FALSE(work.commit());
    disk.bad_to = 4096;
    Moment now = when;
    std::vector<std::uint64_t> done;
    // The others are leased at once: the first read of each damaged item is the only wait.
    const std::size_t calls = drive(work, now, when.now + 500ms, done);
    CHECK(now.now == when.now);
    CHECK(calls <= items + 1);
    CHECK(work.size() + done.size() == items);
    const std::size_t bad = work.size();
    CHECK(bad != 0);
    CHECK(work.delayed() == bad);
    // The journal reads 64 KiB at once.
    CHECK(done.size() + 66 >= items);
    drive(work, now, when.now + 1min, done);
    CHECK(work.dead() == 0);
    CHECK(drive(work, now, never, done) <= 2 * bad + 2);
    CHECK(work.empty());
    CHECK(work.dead() == bad);
    CHECK(elapsed(when.now, now.now) < 62s);
}

TEST_CASE("WorkQueue: a damaged item is a dead letter, also after a nack, a revival or a failure",
          "[work][work_queue][regression]") {
    enum class Noted { delayed, given_back, revived, failed };
    const Noted noted = GENERATE(Noted::delayed, Noted::given_back, Noted::revived, Noted::failed);
    MemoryMedium medium;
    const WorkOptions options{.deliveries_max = noted == Noted::delayed ? 5U : 2U,
                              .slack_bytes = 1000};
    {
        MemoryWork work = open_memory_work(medium, options);
        REQUIRE(work.push(as_bytes("damaged"), when));
        const int deliveries = noted == Noted::revived || noted == Noted::failed ? 2 : 1;
        for (int i = 0; i < deliveries; ++i) {
            const auto lease = work.lease(when);
            REQUIRE(lease);
            REQUIRE_FALSE(work.nack(*lease, when, noted == Noted::delayed ? 24h : 0h));
        }
        if (noted == Noted::revived) REQUIRE_FALSE(work.revive(1, when));
        REQUIRE_FALSE(work.commit());
    }
    medium.damaged.insert(1);
    for (int openings = 0; openings < 2; ++openings) {
        MemoryWork work = open_memory_work(medium, options);
        CHECK(work.size() == 0);
        CHECK(work.delayed() == 0);
        CHECK(work.deadline() == never);
        CHECK(work.dead() == 1);
        CHECK(only_dead(work).id == 1);
        CHECK(only_dead(work).cause == DeathCause::unreadable);
    }
    // A purged item keeps no log entry.
    {
        MemoryWork work = open_memory_work(medium, options);
        REQUIRE_FALSE(work.purge_dead());
        pass_through(work, 100, when);
        CHECK(medium.entries.size() < 30);
    }
    CHECK(open_memory_work(medium, options).dead() == 0);
}

TEST_CASE("WorkQueue counts items that an opening finds damaged, and forgets their keys",
          "[work][work_queue][fault]") {
    struct DeadLetterCounter {
        void on_dead(const DeadWork&) noexcept { ++*deaths; }
        int* deaths;
    };
    MemoryMedium medium;
    const WorkOptions options{.keys = 10};
    {
        MemoryWork work = open_memory_work(medium, options);
        for (const char* const key : {"a", "b"}) {
            REQUIRE(work.push(as_bytes("x"), when, {.key = key}));
        }
        REQUIRE_FALSE(work.commit());
    }
    medium.damaged.insert(1);
    int deaths = 0;
    auto work = WorkQueue<MemoryLog, KeepDead, DeadLetterCounter>::open(
        MemoryLog{medium}, KeepDead{}, options, when, DeadLetterCounter{&deaths});
    REQUIRE(work);
    CHECK(work->dead() == 1);
    CHECK(deaths == 0);
    CHECK(work->push(as_bytes("x"), when, {.key = "b"}).error() == QueueErrc::duplicate);
    CHECK(work->push(as_bytes("x"), when, {.key = "a"}));
}

TEST_CASE("WorkQueue: a damaged entry whose item was copied is no dead letter",
          "[work][work_queue][fault]") {
    MemoryMedium medium;
    medium.acks_are_late = true;
    medium.acks_have_no_space = true;  // so that the entries that were copied are still there
    const WorkOptions options{.slack_bytes = 1000};
    {
        MemoryWork work = open_memory_work(medium, options);
        REQUIRE(work.push(as_bytes("copied"), when, {.delay = 24h}));
        for (int i = 0; i < 50; ++i) {
            REQUIRE(work.push(Bytes(100), when));
            const auto lease = work.lease(when);
            REQUIRE(lease);
            REQUIRE_FALSE(work.ack(*lease));
            static_cast<void>(work.commit());
        }
    }
    REQUIRE_FALSE(entries_of_kind(medium, detail::WorkKind::moved).empty());
    REQUIRE(medium.base == 1);
    medium.damaged.insert(1);
    MemoryWork work = open_memory_work(medium, options);
    CHECK(work.dead() == 0);
    CHECK(work.delayed() == 1);
    const auto body = work.read(1);
    REQUIRE(body);
    CHECK(as_text(*body) == "copied");
}

TEST_CASE("WorkQueue shows all dead letters, also one that the medium cannot read",
          "[work][work_queue][regression]") {
    MemoryMedium medium;
    MemoryWork work = open_memory_work(medium, {.deliveries_max = 1});
    for (const char* const body : {"a", "b"}) REQUIRE(work.push(as_bytes(body), when));
    medium.bad_sector = 1;
    REQUIRE(work.lease(when).error() == std::errc::io_error);
    const auto second = work.lease(when);
    REQUIRE(second);
    REQUIRE_FALSE(work.nack(*second, when));
    for (Moment now = when; work.dead() != 2; now.now = work.deadline()) {
        REQUIRE_FALSE(work.lease(now));
    }
    std::vector<std::string> shown;
    const auto show = [&](const WorkItem& item) {
        shown.push_back(std::to_string(item.id) + " " + std::string{as_text(item.body)} + " " +
                        std::to_string(static_cast<int>(item.cause)));
    };
    CHECK_FALSE(work.for_each_dead(show));
    CHECK(shown == std::vector<std::string>{"1  3", "2 b 1"});
    // A dead letter that can be read, as far as is known, is reported.
    medium.bad_sector = 2;
    CHECK(work.for_each_dead(show) == std::errc::io_error);
}

TEST_CASE("WorkQueue: a finished item that was copied does not return when its copy is damaged",
          "[work][work_queue][regression]") {
    enum class Gone { purged_dead, revived_and_purged, done_before };
    const Gone gone = GENERATE(Gone::purged_dead, Gone::revived_and_purged, Gone::done_before);
    MemoryMedium medium;
    const WorkOptions options{.slack_bytes = 1000};
    // A full list of ends, one less, and one: there is space for both ids of the last one.
    const std::size_t others = GENERATE(std::size_t{0}, std::size_t{62}, std::size_t{63});
    {
        MemoryWork work = open_memory_work(medium, options);
        // The first item stays at the front, so that the base of the log does not show which items
        // have ended.
        REQUIRE(work.push(as_bytes("in front"), when, {.delay = 9h}));
        REQUIRE(work.push(as_bytes("damaged"), when, {.delay = 1h}));
        REQUIRE_FALSE(work.commit());
        pass_through(work, 50, when);
    }
    const std::vector<std::uint64_t> copies = entries_of_kind(medium, detail::WorkKind::moved);
    REQUIRE_FALSE(copies.empty());
    const std::uint64_t copy = copies.back();
    std::optional<MemoryWork> work{open_memory_work(medium, {.deliveries_max = 1})};
    const auto copied = work->read(2);
    REQUIRE(copied);
    REQUIRE(as_text(*copied) == "damaged");
    Moment now = later(2h);
    if (gone == Gone::revived_and_purged) {
        // It stays at the front, dead.
        now = later(10h);
        const auto front = work->lease(now);
        REQUIRE(front);
        REQUIRE(front->id == 1);
        REQUIRE_FALSE(work->nack(*front, now));
    }
    if (gone != Gone::done_before) {
        medium.damaged.insert(copy);
        REQUIRE(work->read(2).error() == QueueErrc::corrupt);
    }
    std::vector<Lease> leases;
    for (std::size_t i = 0; i < others; ++i) REQUIRE(work->push(as_bytes("x"), when));
    for (std::size_t i = 0; i < others; ++i) leases.push_back(*work->lease(when));
    for (const Lease& lease : leases) REQUIRE_FALSE(work->ack(lease));
    if (gone == Gone::done_before) {
        const auto last = work->lease(now);
        REQUIRE(last);
        REQUIRE(last->id == 2);
        REQUIRE_FALSE(work->ack(*last));
    } else {
        REQUIRE(work->lease(now).error() == QueueErrc::queue_empty);
        if (gone == Gone::purged_dead) {
            CHECK(only_dead(*work).id == 2);
            REQUIRE_FALSE(work->purge_dead());
        } else {
            REQUIRE_FALSE(work->revive(2, now));
            REQUIRE(work->size() == 1);
            REQUIRE_FALSE(work->purge());
        }
    }
    REQUIRE_FALSE(work->commit());
    REQUIRE(medium.base <= copy);
    medium.damaged.insert(copy);
    work.emplace(open_memory_work(medium));
    CHECK(work->size() + work->dead() == 1);
    CHECK_FALSE(work->read(2));
    CHECK(as_text(*work->read(1)) == "in front");
}

TEST_CASE("WorkQueue over a Journal with Verify::skip_damage opens with any damaged byte",
          "[work][work_queue][fault]") {
    using Work = WorkQueue<Journal<sim::Disk>>;
    const auto open = [](sim::Disk& disk) {
        JournalOptions small;
        small.segment_bytes = 16 << 10;
        small.record_bytes_max = 1024;
        small.verify = Verify::skip_damage;
        small.seed = Seed{1};
        auto journal = Journal<sim::Disk>::open(disk, "work", small);
        REQUIRE(journal);
        auto work = Work::open(std::move(*journal), {.record_bytes_max = 500}, when);
        INFO(work.error().message());
        REQUIRE(work);
        return std::move(*work);
    };
    sim::Disk whole;
    for (int part = 0; part < 2; ++part) {
        Work work = open(whole);
        for (int i = 0; i < 10; ++i) REQUIRE(work.push(as_bytes("item"), when));
        REQUIRE_FALSE(work.commit());
        for (int i = 0; i < 3; ++i) REQUIRE_FALSE(work.ack(*work.lease(when)));
        REQUIRE_FALSE(work.commit());
    }
    const sim::Disk::Image image = whole.image();
    const std::string path = "work/0000000000000001.journal";
    const Bytes bytes = whole.contents(path);
    std::size_t used = bytes.size();
    while (bytes[used - 1] == std::byte{0}) --used;
    for (std::size_t at = 128; at + 64 < used; at += 3) {
        Bytes damaged = bytes;
        damaged[at] ^= std::byte{8};
        sim::Disk disk;
        disk.restore(image);
        disk.put(path, damaged);
        CAPTURE(at);
        Work work = open(disk);
        std::size_t readable = 0;
        while (const auto lease = work.lease(when)) {
            CHECK(as_text(lease->body) == "item");
            REQUIRE_FALSE(work.ack(*lease));
            ++readable;
        }
        // One damaged record is an item at the most, or the acknowledgement of some.
        CHECK(readable >= 13);
        CHECK(work.dead() <= 1);
    }
}
