// SPDX-License-Identifier: MIT
// Goal: an item that cannot be read is one dead letter until it is purged, whatever other
// entries the log has for it. Method: a log in memory with damaged single entries, while the
// queue is open or between two openings.
#include <belay/work/work_queue.hpp>

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

/// The one dead letter; without a body.
WorkItem only_dead(MemoryWork& work) {
    std::vector<WorkItem> shown;
    CHECK_FALSE(work.for_each_dead([&](const WorkItem& item) { shown.push_back(item); }));
    REQUIRE(shown.size() == 1);
    shown[0].body = {};
    return shown[0];
}

}  // namespace

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
    // Purged, it pins nothing.
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
    medium.acks_have_no_space = true;  // so that what was copied is there still
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
    std::vector<std::string> shown;
    const auto show = [&](const WorkItem& item) {
        shown.push_back(std::to_string(item.id) + " " + std::string{as_text(item.body)} + " " +
                        std::to_string(static_cast<int>(item.cause)));
    };
    CHECK_FALSE(work.for_each_dead(show));
    CHECK(shown == std::vector<std::string>{"1  3", "2 b 1"});
    // Of one that can be read, as far as is known, it is told.
    medium.bad_sector = 2;
    CHECK(work.for_each_dead(show) == std::errc::io_error);
}

TEST_CASE("WorkQueue: a finished item that was copied does not return when its copy is damaged",
          "[work][work_queue][regression]") {
    enum class Gone { purged_dead, revived_and_purged, done_before };
    const Gone gone = GENERATE(Gone::purged_dead, Gone::revived_and_purged, Gone::done_before);
    MemoryMedium medium;
    const WorkOptions options{.slack_bytes = 1000};
    // A full list of ends, one less, and one: there is room for both names of the last.
    const std::size_t others = GENERATE(std::size_t{0}, std::size_t{62}, std::size_t{63});
    {
        MemoryWork work = open_memory_work(medium, options);
        // The first stays in front, so that the log's base does not say what is gone.
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
        // It stays in front, dead.
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
