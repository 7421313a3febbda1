// SPDX-License-Identifier: MIT
// Goal: the effects of a wall clock that jumps on expiring work are limited. Method: a queue in
// memory, and two clocks, of which one jumps.
#include <belay/work/work_queue.hpp>

#include <memory>
#include <string>
#include <vector>

#include <belay/queue/storages.hpp>

#include "support/catch.hpp"
#include "support/journal/memory_log.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::MemoryLog;
using belay_test::MemoryMedium;

namespace {

constexpr auto a_year = 365 * 24h;

struct DeadLetterLog {
    void on_dead(const DeadWork& work) {
        received.push_back("dead " + std::string{as_text(work.body)});
        CHECK(work.cause == DeathCause::expired);
    }
    void on_dropped(const DeadWork& work) {
        received.push_back("dropped " + std::string{as_text(work.body)});
    }
    std::vector<std::string> received;
};

template <class DeadLetters = KeepDead>
struct ClockRig {
    using Work = WorkQueue<MemoryLog, DeadLetters, DeadLetterLog>;

    explicit ClockRig(const WorkOptions& with = {}) : options{with} { open(); }

    void open() {
        work.reset();
        auto opened = Work::open(MemoryLog{medium}, options, now);
        REQUIRE(opened);
        work = std::make_unique<Work>(std::move(*opened));
    }
    std::uint64_t push(const char* body, const PushOptions& with = {}) {
        const auto id = work->push(as_bytes(body), now, with);
        REQUIRE(id);
        return *id;
    }
    /// The body of the leased item; empty if there is none.
    std::string lease_next() {
        const auto lease = work->lease(now);
        if (!lease) return {};
        last = *lease;
        return std::string{as_text(lease->body)};
    }
    [[nodiscard]] const std::vector<std::string>& received() const {
        return work->observer().received;
    }

    MemoryMedium medium;
    WorkOptions options;
    Moment now{Instant{1s}, WallTime{1'700'000'000s}};
    std::unique_ptr<Work> work;
    Lease last;
};

using Lines = std::vector<std::string>;

}  // namespace

TEST_CASE(
    "WorkQueue: a wall clock that jumps ahead makes expiring items dead letters, and deletes none",
    "[work][work_queue][unit]") {
    ClockRig rig;
    const std::uint64_t id = rig.push("expires", {.expires_after = 1h});
    rig.push("stays");
    rig.push("waits", {.delay = 60s});
    rig.now.wall += a_year;
    // No time has passed on the machine's steady clock.
    CHECK(rig.lease_next() == "stays");
    CHECK(rig.lease_next().empty());
    CHECK(rig.work->deadline() == rig.last.deadline);
    CHECK(rig.work->delayed() == 1);
    CHECK(rig.work->dead() == 1);
    CHECK(rig.received() == Lines{"dead expires"});

    // Setting the clock right restores no item: users decide about dead letters.
    rig.now.wall -= a_year;
    CHECK(rig.lease_next().empty());
    REQUIRE_FALSE(rig.work->for_each_dead([id](const WorkItem& item) {
        CHECK(item.id == id);
        CHECK(item.cause == DeathCause::expired);
        CHECK(as_text(item.body) == "expires");
    }));
    REQUIRE_FALSE(rig.work->revive(id, rig.now));
    CHECK(rig.lease_next() == "expires");
    // It does not expire any more, for any time of the clock.
    REQUIRE_FALSE(rig.work->nack(rig.last, rig.now));
    rig.now.wall += a_year;
    CHECK(rig.lease_next() == "expires");
    CHECK_FALSE(rig.work->ack(rig.last));
    CHECK(rig.work->dead() == 0);
}

TEST_CASE(
    "WorkQueue: a wall clock that jumps ahead deletes expiring items only with "
    "WorkOptions::Expired::drop",
    "[work][work_queue][unit]") {
    ClockRig rig{{.expired = WorkOptions::Expired::drop}};
    rig.push("expires", {.expires_after = 1h});
    rig.push("stays");
    rig.now.wall += a_year;
    CHECK(rig.lease_next() == "stays");
    CHECK(rig.received() == Lines{"dropped expires"});
    CHECK(rig.work->dead() == 0);
    CHECK(rig.work->size() == 1);
    // They are deleted for ever, also if the clock is set right.
    REQUIRE_FALSE(rig.work->commit());
    rig.now.wall -= a_year;
    rig.open();
    CHECK(rig.work->size() == 1);
    CHECK(rig.work->dead() == 0);
    CHECK(rig.lease_next() == "stays");
}

TEST_CASE("WorkQueue: an item expires at its time, not after it", "[work][work_queue][unit]") {
    ClockRig rig{{.lease = 1s}};
    rig.push("expires", {.expires_after = 1h});
    rig.now = {rig.now.now + 1h, rig.now.wall + 1h - 1ms};
    CHECK(rig.lease_next() == "expires");
    rig.now = {rig.now.now + 1h, rig.now.wall + 1ms};
    CHECK(rig.lease_next().empty());
    CHECK(rig.received() == Lines{"dead expires"});
}

TEST_CASE("WorkQueue: an item that expires by a clock jump moves to the dead letter storage",
          "[work][work_queue][unit]") {
    ClockRig<Deque<Bytes>> rig;
    rig.push("expires", {.expires_after = 1h});
    rig.now.wall += a_year;
    CHECK(rig.lease_next().empty());
    CHECK(rig.work->empty());
    const auto letter = rig.work->dead_letters().try_pop();
    REQUIRE(letter);
    CHECK(as_text(*letter) == "expires");
}

TEST_CASE("WorkQueue: an item that is leased when the wall clock jumps can be acknowledged",
          "[work][work_queue][unit]") {
    ClockRig rig{{.lease = 30s}};
    rig.push("done", {.expires_after = 1h});
    rig.push("given back", {.expires_after = 1h});
    CHECK(rig.lease_next() == "done");
    const Lease done = rig.last;
    CHECK(rig.lease_next() == "given back");
    rig.now.wall += a_year;
    // The leases use the machine's steady clock.
    CHECK(rig.lease_next().empty());
    CHECK(rig.work->leased() == 2);
    CHECK_FALSE(rig.work->ack(done));
    CHECK_FALSE(rig.work->nack(rig.last, rig.now));
    CHECK(rig.received().empty());
    CHECK(rig.lease_next().empty());
    CHECK(rig.received() == Lines{"dead given back"});
}

TEST_CASE("WorkQueue: a wall clock that steps back delays expiry by the same time",
          "[work][work_queue][unit]") {
    ClockRig rig{{.lease = 1s}};
    rig.push("expires", {.expires_after = 1h});
    rig.now.wall -= a_year;
    rig.now = {rig.now.now + 2h, rig.now.wall + 2h};
    CHECK(rig.lease_next() == "expires");
    rig.open();
    CHECK(rig.lease_next() == "expires");
    REQUIRE_FALSE(rig.work->nack(rig.last, rig.now));
    rig.now.wall += a_year;
    CHECK(rig.lease_next().empty());
    CHECK(rig.work->dead() == 1);
}

TEST_CASE("WorkQueue: a wall clock that is wrong at an opening only makes dead letters",
          "[work][work_queue][unit]") {
    // Machines may start with a wrong clock, and set it a moment later.
    ClockRig rig;
    rig.push("expires", {.expires_after = 1h});
    REQUIRE_FALSE(rig.work->commit());
    rig.now.wall += a_year;
    rig.open();
    REQUIRE_FALSE(rig.work->commit());
    rig.now.wall -= a_year;
    CHECK(rig.lease_next() == "expires");
}
