// SPDX-License-Identifier: MIT
// Goal: a WorkQueue keeps each of its promises. Method: journals on a simulated disk, and time
// set by hand.
#include <belay/work/work_queue.hpp>

#include <belay/journal/journal.hpp>
#include <belay/queue/storages.hpp>
#include <belay/sim/disk.hpp>

#include <algorithm>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include "support/aborts.hpp"
#include "support/catch.hpp"
#include "support/journal/memory_log.hpp"
#include "support/seeds.hpp"

using namespace belay;
using namespace std::chrono_literals;

namespace {

using Log = Journal<sim::Disk>;

/// A queue on a disk, and the time.
template <class Dead = KeepDead, class Observer = NoObserver>
struct Rig {
    using Work = WorkQueue<Log, Dead, Observer>;

    explicit Rig(WorkOptions with = {}, std::uint64_t seed = 0) : options{with}, openings{seed} {
        options.record_bytes_max = std::min<std::size_t>(options.record_bytes_max, 32 << 10);
        open();
    }

    void open() {
        work.reset();
        auto log = Log::open(
            disk, "w",
            {.segment_bytes = 64 << 10, .record_bytes_max = 32 << 10, .seed = Seed{++openings}});
        REQUIRE(log);
        auto opened = Work::open(std::move(*log), Dead{}, options, now, observer);
        REQUIRE(opened);
        work = std::make_unique<Work>(std::move(*opened));
    }
    void pass(Duration time) { now = {now.now + time, now.wall + time}; }
    std::uint64_t push(std::string_view body, const PushOptions& with = {}) {
        const auto id = work->push(as_bytes(body), now, with);
        REQUIRE(id);
        return *id;
    }
    /// The body of the next leased item; empty if there is none.
    std::string lease_next() {
        const auto got = work->lease(now);
        if (got) last = *got;
        return got ? std::string{as_text(got->body)} : "";
    }

    sim::Disk disk;
    WorkOptions options;
    Moment now{Instant{100s}, WallTime{1'700'000'000s}};
    Observer observer{};
    std::uint64_t openings = 0;
    std::unique_ptr<Work> work;
    Lease last{};
};

/// The events of an observer; shared, because observers are copied into the queue.
struct WorkNotes {
    void on_dead(const DeadWork& dead) {
        deaths->push_back(std::to_string(dead.id) + " " + std::string{as_text(dead.body)} + " " +
                          std::to_string(static_cast<int>(dead.cause)) + " " +
                          std::to_string(dead.deliveries));
    }
    void on_dropped(const DeadWork& dead) { drops->push_back(std::string{as_text(dead.body)}); }
    std::shared_ptr<std::vector<std::string>> deaths = std::make_shared<std::vector<std::string>>();
    std::shared_ptr<std::vector<std::string>> drops = std::make_shared<std::vector<std::string>>();
};

/// The bodies that `for_each` shows, concatenated.
template <class Rig>
std::string all(Rig& rig) {
    std::string text;
    REQUIRE_FALSE(rig.work->for_each(
        [&](const WorkItem& item) { text += std::string{as_text(item.body)} + ' '; }));
    return text;
}

std::error_code code(QueueErrc error) { return make_error_code(error); }

}  // namespace

// ---- leases -------------------------------------------------------------------------------------

TEST_CASE("WorkQueue::push takes a text as bytes", "[work][work_queue]") {
    Rig<> rig{{.keys = 10}};
    REQUIRE(rig.work->push("tea", rig.now));
    REQUIRE(rig.work->push(std::string{"milk"}, rig.now, {.key = "m"}));
    CHECK(rig.work->push("milk", rig.now, {.key = "m"}).error() == QueueErrc::duplicate);
    CHECK(as_text(rig.work->lease(rig.now)->body) == "tea");
    CHECK(as_text(rig.work->lease(rig.now)->body) == "milk");
}

TEST_CASE("WorkQueue leases in the order of the pushes, and acknowledges in any order",
          "[work][work_queue][unit]") {
    Rig rig;
    for (const char* const body : {"a", "b", "c"}) rig.push(body);
    CHECK(rig.lease_next() == "a");
    const Lease a = rig.last;
    CHECK(a.id == 1);
    CHECK(a.delivery == 1);
    CHECK(a.deadline == rig.now.now + 30s);
    CHECK(a.pushed == rig.now.wall);
    CHECK(rig.lease_next() == "b");
    CHECK_FALSE(rig.work->ack(rig.last));
    CHECK(rig.lease_next() == "c");
    CHECK(rig.work->leased() == 2);
    CHECK_FALSE(rig.work->ack(rig.last));
    CHECK(rig.lease_next().empty());
    CHECK(rig.work->lease(rig.now).error() == QueueErrc::queue_empty);
    CHECK(rig.work->size() == 1);
    CHECK_FALSE(rig.work->ack(a));
    CHECK(rig.work->empty());
    CHECK(rig.work->bytes() == 0);
}

TEST_CASE("WorkQueue: acknowledgements out of order are kept over a reopening",
          "[work][work_queue][unit]") {
    Rig rig;
    for (int i = 0; i < 200; ++i) rig.push(std::to_string(i));
    std::vector<Lease> leases;
    for (int i = 0; i < 200; ++i) {
        rig.lease_next();
        leases.push_back(rig.last);
    }
    for (std::size_t i = 1; i < 200; i += 2) REQUIRE_FALSE(rig.work->ack(leases[i]));
    REQUIRE_FALSE(rig.work->commit());
    rig.disk.kill();
    rig.open();
    CHECK(rig.work->size() == 100);
    for (int i = 0; i < 200; i += 2) REQUIRE(rig.lease_next() == std::to_string(i));
}

TEST_CASE("WorkQueue::nack returns an item to its position", "[work][work_queue][unit]") {
    Rig rig;
    for (const char* const body : {"a", "b", "c"}) rig.push(body);
    CHECK(rig.lease_next() == "a");
    const Lease a = rig.last;
    CHECK(rig.lease_next() == "b");
    CHECK_FALSE(rig.work->nack(a, rig.now));
    CHECK(rig.work->ack(a) == QueueErrc::lease_ended);
    CHECK(rig.work->nack(a, rig.now) == QueueErrc::lease_ended);
    CHECK(rig.lease_next() == "a");
    CHECK(rig.last.delivery == 2);
    CHECK(rig.work->ack(a) == QueueErrc::lease_ended);
    CHECK(rig.lease_next() == "c");
}

TEST_CASE("WorkQueue::release returns an item, and its delivery does not count",
          "[work][work_queue][unit]") {
    WorkOptions options{.deliveries_max = 2, .count_before_lease = GENERATE(false, true)};
    Rig rig{options};
    rig.push("a");
    rig.push("b");
    Lease first{};
    for (int i = 0; i < 10; ++i) {
        CHECK(rig.lease_next() == "a");
        CHECK(rig.last.delivery == 1);
        if (i == 0) first = rig.last;
        CHECK(rig.work->release(rig.last, rig.now, -1ns) == code(QueueErrc::bad_argument));
        CHECK_FALSE(rig.work->release(rig.last, rig.now, 5s));
        CHECK(rig.work->release(rig.last, rig.now, 5s) == code(QueueErrc::lease_ended));
        CHECK(rig.work->delayed() == 1);
        rig.pass(5s);
    }
    CHECK(rig.work->release(first, rig.now, 5s) == code(QueueErrc::lease_ended));
    CHECK(rig.lease_next() == "a");
    CHECK_FALSE(rig.work->nack(rig.last, rig.now));
    // The last allowed delivery.
    CHECK(rig.lease_next() == "a");
    CHECK(rig.last.delivery == 2);
    CHECK_FALSE(rig.work->release(rig.last, rig.now, 1s));
    CHECK_FALSE(rig.work->commit());
    rig.pass(1s);
    rig.open();
    CHECK(rig.work->dead() == 0);
    CHECK(rig.lease_next() == "a");
    CHECK(rig.last.delivery == 2);
    CHECK_FALSE(rig.work->nack(rig.last, rig.now));
    CHECK(rig.work->dead() == 1);
    CHECK(rig.lease_next() == "b");
}

TEST_CASE("WorkQueue::release without a delay returns an item to its position at once",
          "[work][work_queue][unit]") {
    Rig rig{{.deliveries_max = 2, .count_before_lease = GENERATE(false, true)}};
    rig.push("a");
    rig.push("b");
    for (int i = 0; i < 10; ++i) {
        CHECK(rig.lease_next() == "a");
        CHECK(rig.last.delivery == 1);
        CHECK_FALSE(rig.work->release(rig.last, rig.now, 0ns));
        CHECK(rig.work->release(rig.last, rig.now, 0ns) == code(QueueErrc::lease_ended));
        CHECK(rig.work->leased() == 0);
        CHECK(rig.work->delayed() == 0);
        CHECK(rig.work->deadline() == always);
    }
    CHECK_FALSE(rig.work->commit());
    rig.open();
    CHECK(rig.lease_next() == "a");
    CHECK(rig.last.delivery == 1);
}

TEST_CASE("WorkQueue: a delayed item does not block others, and becomes ready on its own",
          "[work][work_queue][unit]") {
    Rig rig;
    rig.push("later", {.delay = 5s});
    rig.push("now");
    CHECK(rig.work->delayed() == 1);
    CHECK(rig.work->deadline() == always);
    CHECK(rig.lease_next() == "now");
    CHECK(rig.lease_next().empty());
    CHECK(rig.work->deadline() == rig.now.now + 5s);
    CHECK_FALSE(rig.work->nack(rig.last, rig.now, 2s));
    CHECK(rig.work->deadline() == rig.now.now + 2s);
    rig.pass(2s - 1ns);
    CHECK(rig.lease_next().empty());
    rig.pass(1ns);
    CHECK(rig.lease_next() == "now");
    CHECK_FALSE(rig.work->ack(rig.last));
    rig.pass(3s);
    CHECK(rig.lease_next() == "later");
    CHECK(rig.last.delivery == 1);
    CHECK_FALSE(rig.work->ack(rig.last));
    CHECK(rig.work->deadline() == never);
}

TEST_CASE("WorkQueue: an item whose lease timed out is leased again, and the old lease is fenced",
          "[work][work_queue][unit]") {
    Rig rig{{.lease = 10s}};
    rig.push("a");
    rig.push("b");
    CHECK(rig.lease_next() == "a");
    const Lease old = rig.last;
    CHECK(rig.lease_next() == "b");
    CHECK(rig.work->deadline() == rig.now.now + 10s);
    rig.pass(10s);
    CHECK(rig.lease_next() == "a");
    CHECK(rig.last.delivery == 2);
    CHECK(rig.work->ack(old) == QueueErrc::lease_ended);
    CHECK(rig.work->nack(old, rig.now) == QueueErrc::lease_ended);
    Lease extended = old;
    CHECK(rig.work->extend(extended, rig.now, 1s) == QueueErrc::lease_ended);
    CHECK(extended.deadline == old.deadline);
    CHECK_FALSE(rig.work->ack(rig.last));
}

TEST_CASE("WorkQueue: a late ack counts until the item is leased again",
          "[work][work_queue][unit]") {
    Rig rig{{.lease = 10s}};
    rig.push("a");
    rig.push("b");
    CHECK(rig.lease_next() == "a");
    const Lease a = rig.last;
    rig.pass(1h);
    // This ends the lease of the first item, and leases it again, so that lease is ended, and the
    // item returned.
    CHECK(rig.lease_next() == "a");
    CHECK_FALSE(rig.work->ack(rig.last));
    CHECK(rig.work->ack(a) == QueueErrc::lease_ended);
    CHECK(rig.lease_next() == "b");
    const Lease b = rig.last;
    rig.pass(1h);
    CHECK_FALSE(rig.work->ack(b));
    CHECK(rig.work->empty());
}

TEST_CASE("WorkQueue::extend makes a lease longer, or shorter", "[work][work_queue][unit]") {
    Rig rig{{.lease = 10s}};
    rig.push("a");
    rig.lease_next();
    Lease lease = rig.last;
    CHECK_FALSE(rig.work->extend(lease, rig.now, 60s));
    CHECK(lease.deadline == rig.now.now + 60s);
    rig.pass(59s);
    CHECK(rig.lease_next().empty());
    CHECK_FALSE(rig.work->extend(lease, rig.now, 500ms));
    rig.pass(500ms);
    CHECK(rig.lease_next() == "a");
    CHECK(rig.last.delivery == 2);
}

TEST_CASE("WorkQueue: opening ends all leases, and an old lease is invalid",
          "[work][work_queue][unit]") {
    Rig rig;
    rig.push("a");
    CHECK(rig.lease_next() == "a");
    const Lease before = rig.last;
    rig.open();
    CHECK(rig.work->leased() == 0);
    CHECK(rig.lease_next() == "a");
    CHECK(rig.last.delivery == 1);
    // The lease has the same slot and the same token as the new one.
    CHECK(before.token == rig.last.token);
    CHECK(rig.work->ack(before) == QueueErrc::lease_ended);
    CHECK(rig.work->nack(before, rig.now) == QueueErrc::lease_ended);
    CHECK_FALSE(rig.work->ack(rig.last));
}

TEST_CASE("WorkQueue: a lease of another queue is invalid", "[work][work_queue][unit]") {
    Rig rig;
    Rig other{WorkOptions{}, 100};
    rig.push("mine");
    other.push("theirs");
    REQUIRE(rig.lease_next() == "mine");
    REQUIRE(other.lease_next() == "theirs");
    // The leases differ only in the queue.
    Lease theirs = other.last;
    REQUIRE(theirs.id == rig.last.id);
    REQUIRE(theirs.slot == rig.last.slot);
    REQUIRE(theirs.token == rig.last.token);
    CHECK(rig.work->ack(theirs) == QueueErrc::lease_ended);
    CHECK(rig.work->nack(theirs, rig.now) == QueueErrc::lease_ended);
    CHECK(rig.work->extend(theirs, rig.now, 1h) == QueueErrc::lease_ended);
    CHECK(theirs.deadline == other.last.deadline);
    CHECK(other.work->ack(rig.last) == QueueErrc::lease_ended);
    CHECK(rig.work->leased() == 1);
    CHECK(other.work->leased() == 1);
    CHECK_FALSE(rig.work->ack(rig.last));
    CHECK_FALSE(other.work->nack(other.last, other.now));
    CHECK(rig.work->empty());
    CHECK(other.lease_next() == "theirs");
}

TEST_CASE("WorkQueue::read returns the body of a leased item by its id",
          "[work][work_queue][unit]") {
    Rig rig;
    rig.push("first");
    rig.push("second");
    rig.lease_next();
    const Lease first = rig.last;
    rig.lease_next();
    const auto body = rig.work->read(first.id);
    REQUIRE(body);
    CHECK(as_text(*body) == "first");
    CHECK_FALSE(rig.work->ack(first));
    CHECK(rig.work->read(first.id).error() == QueueErrc::unknown_number);
    CHECK(rig.work->read(99).error() == QueueErrc::unknown_number);
    CHECK(rig.work->read(0).error() == QueueErrc::unknown_number);
}

// ---- deaths -------------------------------------------------------------------------------------

TEST_CASE("WorkQueue: a poison item becomes a dead letter, and blocks no other item",
          "[work][work_queue][unit]") {
    Rig<KeepDead, WorkNotes> rig{{.lease = 1s, .deliveries_max = 3}};
    rig.push("poison");
    rig.push("good");
    CHECK(rig.lease_next() == "poison");
    CHECK_FALSE(rig.work->nack(rig.last, rig.now));
    CHECK(rig.lease_next() == "poison");
    rig.pass(1s);
    CHECK(rig.lease_next() == "poison");
    CHECK(rig.last.delivery == 3);
    CHECK(rig.work->dead() == 0);
    CHECK_FALSE(rig.work->nack(rig.last, rig.now));
    CHECK(*rig.observer.deaths == std::vector<std::string>{"1 poison 1 3"});
    CHECK(rig.work->dead() == 1);
    CHECK(rig.lease_next() == "good");
    CHECK_FALSE(rig.work->ack(rig.last));
    CHECK(rig.work->size() == 0);
    rig.open();
    CHECK(rig.work->dead() == 1);
    CHECK(rig.lease_next().empty());
    std::vector<WorkItem> dead;
    CHECK_FALSE(rig.work->for_each_dead([&](const WorkItem& item) {
        dead.push_back(item);
        CHECK(as_text(item.body) == "poison");
    }));
    REQUIRE(dead.size() == 1);
    CHECK(dead[0].cause == DeathCause::failed);
    CHECK(dead[0].state == WorkItem::State::dead);
    CHECK(dead[0].deliveries == 3);
}

TEST_CASE("WorkQueue: a last lease that times out makes a dead letter, too",
          "[work][work_queue][unit]") {
    Rig rig{{.lease = 1s, .deliveries_max = 1}};
    rig.push("a");
    rig.push("b");
    CHECK(rig.lease_next() == "a");
    const Lease a = rig.last;
    rig.pass(1s);
    CHECK(rig.lease_next() == "b");
    CHECK(rig.work->dead() == 1);
    CHECK(rig.work->ack(a) == QueueErrc::lease_ended);
}

TEST_CASE("WorkQueue::revive returns a dead letter to the queue, purge_dead deletes it",
          "[work][work_queue][unit]") {
    Rig rig{{.deliveries_max = 1}};
    const std::uint64_t a = rig.push("a");
    rig.push("b", {.expires_after = 1s});
    rig.lease_next();
    CHECK_FALSE(rig.work->nack(rig.last, rig.now));
    rig.pass(1s);
    CHECK(rig.lease_next().empty());
    CHECK(rig.work->dead() == 2);
    CHECK(rig.work->revive(77, rig.now) == QueueErrc::unknown_number);
    CHECK_FALSE(rig.work->revive(a, rig.now));
    CHECK(rig.work->revive(a, rig.now) == QueueErrc::unknown_number);
    CHECK_FALSE(rig.work->revive(2, rig.now));
    rig.open();
    CHECK(rig.lease_next() == "a");
    CHECK(rig.last.delivery == 1);
    CHECK_FALSE(rig.work->nack(rig.last, rig.now));
    // The item had expired, and does not expire again.
    CHECK(rig.lease_next() == "b");
    CHECK_FALSE(rig.work->ack(rig.last));
    CHECK(rig.work->dead() == 1);
    CHECK_FALSE(rig.work->purge_dead());
    CHECK(rig.work->dead() == 0);
    CHECK_FALSE(rig.work->commit());
    rig.disk.kill();
    rig.open();
    CHECK(rig.work->dead() == 0);
    CHECK(rig.work->log().base() == rig.work->log().last() + 1);
}

TEST_CASE("WorkQueue moves dead letters into another storage, and keeps those that it rejects",
          "[work][work_queue][unit]") {
    struct OneLetter {
        std::error_code try_push(Bytes&& letter) noexcept {
            if (!letters.empty()) return make_error_code(QueueErrc::queue_full);
            letters.push_back(std::move(letter));
            return {};
        }
        std::error_code commit() noexcept {
            ++syncs;
            return {};
        }
        std::vector<Bytes> letters;
        int syncs = 0;
    };
    Rig<OneLetter, WorkNotes> rig{{.deliveries_max = 1}};
    for (const char* const body : {"a", "b"}) {
        rig.push(body);
        rig.lease_next();
        CHECK_FALSE(rig.work->nack(rig.last, rig.now));
    }
    REQUIRE(rig.work->dead_letters().letters.size() == 1);
    CHECK(as_text(rig.work->dead_letters().letters[0]) == "a");
    CHECK(rig.work->dead_letters().syncs == 1);
    CHECK(rig.work->dead() == 1);
    CHECK(rig.observer.deaths->size() == 2);
    CHECK(rig.work->size() == 0);
    // The queue keeps its dead letters when it is assigned to itself.
    auto& itself = *rig.work;
    *rig.work = std::move(itself);
    CHECK(rig.work->dead() == 1);
    CHECK(rig.work->dead_letters().letters.size() == 1);

    Rig<Deque<Bytes>> other{{.deliveries_max = 1}};
    other.push("a");
    other.lease_next();
    CHECK_FALSE(other.work->nack(other.last, other.now));
    CHECK(other.work->dead() == 0);
    CHECK(other.work->dead_letters().size() == 1);
    other.open();
    CHECK(other.work->size() == 0);
}

TEST_CASE(
    "WorkQueue: an expired item becomes a dead letter or is dropped, and is reported either way",
    "[work][work_queue][unit]") {
    for (const WorkOptions::Expired what :
         {WorkOptions::Expired::dead_letter, WorkOptions::Expired::drop}) {
        Rig<KeepDead, WorkNotes> rig{{.expired = what}};
        rig.push("old", {.expires_after = 10s});
        rig.push("new");
        rig.pass(10s);
        CHECK(rig.lease_next() == "new");
        CHECK(rig.work->dead() == (what == WorkOptions::Expired::dead_letter ? 1u : 0u));
        CHECK(*rig.observer.deaths == (what == WorkOptions::Expired::dead_letter
                                           ? std::vector<std::string>{"1 old 2 0"}
                                           : std::vector<std::string>{}));
        CHECK(rig.observer.drops->size() == (what == WorkOptions::Expired::drop ? 1u : 0u));
        CHECK_FALSE(rig.work->commit());
        rig.disk.kill();
        rig.open();
        CHECK(all(rig) == "new ");
    }
}

TEST_CASE("WorkQueue counts deliveries before leasing, because an item may kill its process",
          "[work][work_queue][unit]") {
    Rig rig{{.deliveries_max = 3, .count_before_lease = true}};
    rig.push("killer");
    rig.push("good");
    REQUIRE_FALSE(rig.work->commit());
    for (std::uint32_t i = 1; i <= 3; ++i) {
        REQUIRE(rig.lease_next() == "killer");
        CHECK(rig.last.delivery == i);
        rig.disk.crash(Random{Seed{i}});
        rig.open();
    }
    CHECK(rig.lease_next() == "good");
    CHECK(rig.work->dead() == 1);
}

TEST_CASE("WorkQueue skips a damaged item, and reports it", "[work][work_queue][fault]") {
    const Moment now{Instant{}, WallTime{1'700'000'000s}};
    belay_test::MemoryMedium medium;
    WorkNotes reported;
    auto opened =
        WorkQueue<belay_test::MemoryLog>::open(belay_test::MemoryLog{medium}, {}, now, reported);
    REQUIRE(opened);
    using Work = std::remove_cvref_t<decltype(*opened)>;
    static_assert(std::is_same_v<Work, WorkQueue<belay_test::MemoryLog, KeepDead, WorkNotes>>);
    for (const char* const body : {"first", "second"}) {
        REQUIRE(opened->push(as_bytes(body), now));
    }
    medium.damaged.insert(1);
    const auto lease = opened->lease(now);
    REQUIRE(lease);
    CHECK(as_text(lease->body) == "second");
    CHECK(*reported.deaths == std::vector<std::string>{"1  3 0"});
    CHECK(opened->dead() == 1);
    CHECK_FALSE(opened->for_each_dead([](const WorkItem& item) {
        CHECK(item.body.empty());
        CHECK(item.cause == DeathCause::unreadable);
    }));
    CHECK_FALSE(opened->purge_dead());
    CHECK(medium.base == 2);
}

// ---- keys ---------------------------------------------------------------------------------------

TEST_CASE("WorkQueue accepts work with the same key once", "[work][work_queue][unit]") {
    Rig rig{{.keys = 3}};
    const auto push = [&](std::string_view key, std::string_view body) {
        return rig.work->push(as_bytes(body), rig.now, {.key = key}).error();
    };
    CHECK_FALSE(push("1", "a"));
    CHECK(push("1", "a") == QueueErrc::duplicate);
    CHECK(push("1", "b") == QueueErrc::key_conflict);
    CHECK(rig.work->size() == 1);
    CHECK_FALSE(push("2", "a"));
    CHECK_FALSE(push("3", "a"));
    // The same holds after the end of the work, and in another process.
    while (!rig.lease_next().empty()) CHECK_FALSE(rig.work->ack(rig.last));
    CHECK(push("1", "a") == QueueErrc::duplicate);
    CHECK_FALSE(rig.work->commit());
    rig.disk.kill();
    rig.open();
    CHECK(push("1", "a") == QueueErrc::duplicate);
    CHECK(push("1", "b") == QueueErrc::key_conflict);
    // The window is full: the oldest key is forgotten.
    CHECK_FALSE(push("4", "a"));
    CHECK_FALSE(push("1", "b"));
    CHECK(push("3", "a") == QueueErrc::duplicate);
}

TEST_CASE("WorkQueue frees the key of an item that ends without ack, and by forget_key",
          "[work][work_queue][unit]") {
    const bool reopens = GENERATE(false, true);
    Rig rig{{.deliveries_max = 1, .keys = 4, .slack_bytes = 200}};
    const auto push = [&](std::string_view key) {
        return rig.work->push(as_bytes("x"), rig.now, {.key = key}).error();
    };
    const auto settle = [&] {
        REQUIRE_FALSE(rig.work->commit());
        if (!reopens) return;
        rig.disk.kill();
        rig.open();
    };
    SECTION("forget_key, after an ack, while the item is there, and of a key that is unknown") {
        rig.push("x", {.key = "1"});
        rig.lease_next();
        CHECK_FALSE(rig.work->ack(rig.last));
        rig.push("x", {.key = "2"});
        CHECK_FALSE(rig.work->forget_key("1"));
        CHECK_FALSE(rig.work->forget_key("2"));
        CHECK_FALSE(rig.work->forget_key("3"));
        settle();
        for (const char* const key : {"1", "2"}) {
            CHECK_FALSE(push(key));
            CHECK(push(key) == QueueErrc::duplicate);
        }
        CHECK(rig.work->size() == 3);
    }
    SECTION("an expired item") {
        rig.options.expired =
            GENERATE(WorkOptions::Expired::drop, WorkOptions::Expired::dead_letter);
        rig.open();
        rig.push("x", {.key = "1", .expires_after = 1s});
        rig.pass(2s);
        CHECK(push("1") == QueueErrc::duplicate);
        CHECK(rig.lease_next().empty());
        settle();
        CHECK_FALSE(push("1"));
    }
    SECTION("a dead letter keeps it until it is purged, also after a copy of it") {
        const std::uint64_t id = rig.push("x", {.key = "1"});
        rig.lease_next();
        CHECK_FALSE(rig.work->nack(rig.last, rig.now));
        CHECK(rig.work->dead() == 1);
        for (int i = 0; i < 100; ++i) {
            rig.push(std::string(100, 'y'));
            rig.lease_next();
            CHECK_FALSE(rig.work->ack(rig.last));
            CHECK_FALSE(rig.work->commit());
        }
        CHECK(rig.work->log().base() > id);
        CHECK(push("1") == QueueErrc::duplicate);
        settle();
        CHECK(push("1") == QueueErrc::duplicate);
        CHECK_FALSE(rig.work->purge_dead());
        settle();
        CHECK_FALSE(push("1"));
        CHECK_FALSE(rig.work->purge());
        settle();
        CHECK_FALSE(push("1"));
    }
    SECTION("a dead letter does not free the key of a later item") {
        rig.push("x", {.key = "1"});
        rig.lease_next();
        CHECK_FALSE(rig.work->nack(rig.last, rig.now));
        CHECK_FALSE(rig.work->forget_key("1"));
        CHECK_FALSE(push("1"));
        CHECK_FALSE(rig.work->purge_dead());
        settle();
        CHECK(push("1") == QueueErrc::duplicate);
    }
    SECTION("its place in the window stays") {
        for (const char* const key : {"1", "2", "3", "4"}) CHECK_FALSE(push(key));
        CHECK_FALSE(rig.work->forget_key("2"));
        settle();
        CHECK_FALSE(push("5"));
        CHECK_FALSE(push("1"));
        CHECK(push("3") == QueueErrc::duplicate);
    }
}

TEST_CASE("WorkQueue frees the key of a letter that its storage has accepted",
          "[work][work_queue][unit]") {
    Rig<Deque<Bytes>> rig{{.deliveries_max = 1, .keys = 4}};
    rig.push("x", {.key = "1"});
    rig.lease_next();
    CHECK_FALSE(rig.work->nack(rig.last, rig.now));
    CHECK(rig.work->dead_letters().size() == 1);
    rig.push("x", {.key = "1"});
}

TEST_CASE("WorkQueue keeps its keys while their log entries are deleted",
          "[work][work_queue][unit]") {
    Rig rig{{.keys = 3000, .record_bytes_max = 1024, .slack_bytes = 64 << 10}};
    const auto key = [](int i) { return "order " + std::to_string(i); };
    for (int i = 0; i < 20000; ++i) {
        rig.push("x", {.key = key(i)});
        rig.lease_next();
        REQUIRE_FALSE(rig.work->ack(rig.last));
        if (i % 100 == 0) REQUIRE_FALSE(rig.work->commit());
    }
    REQUIRE_FALSE(rig.work->commit());
    // Keys of 48 KB. The log has them twice at most, and the entries that are given up for them.
    CHECK(rig.work->log().base() > 15000);
    rig.disk.kill();
    rig.open();
    for (int i = 17000; i < 20000; ++i) {
        const auto again = rig.work->push(as_bytes("x"), rig.now, {.key = key(i)});
        REQUIRE(again.error() == QueueErrc::duplicate);
    }
    CHECK(rig.work->push(as_bytes("x"), rig.now, {.key = key(16999)}));
}

TEST_CASE("WorkQueue may be opened with another size of the key window",
          "[work][work_queue][unit]") {
    Rig rig{{.keys = 10}};
    for (int i = 0; i < 10; ++i) rig.push("x", {.key = std::to_string(i)});
    rig.options.keys = 4;
    rig.open();
    CHECK(rig.work->push(as_bytes("x"), rig.now, {.key = "6"}).error() == QueueErrc::duplicate);
    CHECK(rig.work->push(as_bytes("x"), rig.now, {.key = "5"}));
    rig.options.keys = 0;
    rig.open();
    rig.push("x");
    CHECK(rig.work->push(as_bytes("x"), rig.now, {.key = "5"}).error() == QueueErrc::bad_argument);
}

TEST_CASE("WorkQueue opened without keys gives up the entries that the log kept for them",
          "[work][work_queue][unit]") {
    Rig rig{{.keys = 10}};
    for (int i = 0; i < 10; ++i) {
        rig.push("x", {.key = std::to_string(i)});
        rig.lease_next();
        REQUIRE_FALSE(rig.work->ack(rig.last));
    }
    REQUIRE_FALSE(rig.work->commit());
    CHECK(rig.work->log().base() == 1);
    rig.options.keys = 0;
    rig.open();
    CHECK(rig.work->log().base() > 10);
}

// ---- limits -------------------------------------------------------------------------------------

TEST_CASE("WorkQueue rejects items above its limits of number and bytes",
          "[work][work_queue][unit]") {
    Rig rig{{.items_max = 3}};
    for (int i = 0; i < 3; ++i) rig.push("x");
    CHECK(rig.work->push(as_bytes("x"), rig.now).error() == QueueErrc::queue_full);
    rig.lease_next();
    CHECK(rig.work->push(as_bytes("x"), rig.now).error() == QueueErrc::queue_full);
    CHECK_FALSE(rig.work->ack(rig.last));
    rig.push("x");

    Rig small{{.bytes_max = 1000, .record_bytes_max = 512}};
    const std::string body(300, 'x');
    small.push(body);
    small.push(body);
    CHECK(small.work->push(as_bytes(body), small.now).error() == QueueErrc::queue_full);
    CHECK(small.work->bytes() == 2 * 336);
    const std::string large(465, 'x');
    CHECK(small.work->push(as_bytes(large), small.now).error() == QueueErrc::too_large);
    CHECK(small.work->size() == 2);
}

TEST_CASE("WorkQueue uses no more bytes of the log than its limit",
          "[work][work_queue][regression]") {
    // Entries with every field, and each length of padding.
    for (std::size_t length = 0; length < 16; ++length) {
        Rig rig{{.keys = 100, .bytes_max = 1000}};
        std::error_code error;
        std::size_t pushed = 0;
        for (; !error; ++pushed) {
            const std::string key = std::to_string(pushed);
            error =
                rig.work
                    ->push(Bytes(length), rig.now, {.key = key, .delay = 1h, .expires_after = 2h})
                    .error();
            CHECK(rig.work->bytes() <= 1000);
        }
        CHECK(error == QueueErrc::queue_full);
        CHECK(pushed > 10);
    }
}

TEST_CASE("WorkQueue: a lease that timed out counts until its item becomes a dead letter",
          "[work][work_queue][regression]") {
    Rig rig{{.deliveries_max = 1}};
    rig.push("x");
    REQUIRE(rig.lease_next() == "x");
    rig.pass(31s);
    REQUIRE_FALSE(rig.work->extend(rig.last, rig.now, 30s));
    rig.pass(31s);
    CHECK(rig.work->lease(rig.now).error() == QueueErrc::queue_empty);
    CHECK(rig.work->dead() == 1);
    CHECK(rig.work->ack(rig.last) == QueueErrc::lease_ended);
    CHECK(rig.work->nack(rig.last, rig.now) == QueueErrc::lease_ended);
    CHECK(rig.work->extend(rig.last, rig.now, 30s) == QueueErrc::lease_ended);
}

TEST_CASE("WorkQueue::open rejects impossible options", "[work][work_queue][unit]") {
    const Moment now{};
    const WorkOptions wrong[] = {
        {.lease = 0s},    {.deliveries_max = 0}, {.keys = std::size_t{1} << 31},
        {.items_max = 0}, {.bytes_max = 0},      {.record_bytes_max = 127}};
    for (const WorkOptions& options : wrong) {
        sim::Disk disk;
        const auto opened = WorkQueue<Log>::open(std::move(*Log::open(disk, "w")), options, now);
        REQUIRE_FALSE(opened);
        CHECK(opened.error() == code(QueueErrc::bad_options));
        CHECK(opened.error().message() == "the options are not allowed (" +
                                              std::string{options.check()} +
                                              "): see WorkOptions for the allowed values");
    }
}

// ---- clocks -------------------------------------------------------------------------------------

TEST_CASE("WorkQueue: a wall clock that jumps lengthens no stored delay",
          "[work][work_queue][unit]") {
    Rig rig;
    rig.push("x", {.delay = 60s});
    // The clock goes back by a year: the rest of the delay is unchanged.
    rig.now.wall -= 365 * 24h;
    rig.open();
    CHECK(rig.lease_next().empty());
    CHECK(rig.work->deadline() == rig.now.now + 60s);
    // In a running queue the wall clock has no effect.
    rig.now.wall += 365 * 24h + 1h;
    CHECK(rig.lease_next().empty());
    // It jumped ahead: the delay has ended.
    rig.open();
    CHECK(rig.lease_next() == "x");
}

TEST_CASE("WorkQueue: repeated jumps of the wall clock never lengthen a delay",
          "[work][work_queue][property]") {
    belay_test::for_each_seed(
        [](Seed seed) {
            Random bits{seed};
            Rig rig;
            const Duration delay{static_cast<std::int64_t>(1 + bits() % 100'000'000'000)};
            rig.push("x", {.delay = delay});
            Duration most = delay;
            bool was_leased = false;
            for (int i = 0; i < 20 && !was_leased; ++i) {
                rig.pass(Duration{static_cast<std::int64_t>(bits() % 10'000'000'000)});
                const auto jump = static_cast<std::int64_t>(bits() % 200'000'000'000);
                rig.now.wall += Duration{jump - 100'000'000'000};
                const bool opens = bits() % 2 == 0;
                if (opens) rig.open();
                was_leased = !rig.lease_next().empty();
                if (was_leased) break;
                const Duration left = rig.work->deadline() - rig.now.now;
                REQUIRE(left > 0ns);
                REQUIRE(left <= delay);
                // In one process the delay only gets shorter.
                if (!opens) REQUIRE(left <= most);
                most = left;
            }
            rig.pass(delay);
            if (!was_leased) REQUIRE(rig.lease_next() == "x");
        },
        200);
}

TEST_CASE("WorkQueue: a delay continues over a reopening", "[work][work_queue][unit]") {
    Rig rig;
    rig.push("pushed", {.delay = 60s});
    rig.push("given back");
    CHECK(rig.lease_next() == "given back");
    CHECK_FALSE(rig.work->nack(rig.last, rig.now, 50s));
    rig.pass(20s);
    rig.now.now = Instant{5s};  // another start of the machine, another steady clock
    rig.open();
    CHECK(rig.work->delayed() == 2);
    CHECK(rig.work->deadline() == Instant{35s});
    rig.pass(30s);
    CHECK(rig.lease_next() == "given back");
    CHECK(rig.last.delivery == 2);
    rig.pass(10s);
    CHECK(rig.lease_next() == "pushed");
}

TEST_CASE("WorkQueue stores any time and any delay", "[work][work_queue][unit]") {
    Rig rig;
    rig.push("ages ago", {.delay = forever, .expires_after = forever - 1ns});
    for (const WallTime wall : {WallTime::min(), WallTime{}, WallTime::max()}) {
        rig.now.wall = wall;
        rig.push("x", {.delay = 1ns, .expires_after = 1ns});
        rig.open();
        CHECK(rig.work->oldest(wall));
    }
    rig.now.wall = WallTime{};
    rig.open();
    CHECK(rig.work->deadline() != never);
    CHECK(rig.work->size() == 4);
}

TEST_CASE("WorkQueue::deadline is before never while an item waits for ever",
          "[work][work_queue][regression]") {
    Rig rig;
    rig.push("delayed", {.delay = forever});
    CHECK(rig.work->delayed() == 1);
    CHECK(rig.work->deadline() == never - 1ns);
    rig.open();
    CHECK(rig.work->deadline() != never);
    CHECK(rig.lease_next().empty());
    CHECK_FALSE(rig.work->purge());
    CHECK(rig.work->deadline() == never);
}

// ---- inspection ---------------------------------------------------------------------------------

TEST_CASE("WorkQueue::for_each visits the items in order, in any state",
          "[work][work_queue][unit]") {
    Rig rig;
    for (const char* const body : {"a", "b", "c", "d", "e"}) {
        rig.push(body, {.delay = *body == 'd' ? 1h : 0h});
    }
    rig.lease_next();
    rig.lease_next();
    CHECK_FALSE(rig.work->nack(rig.last, rig.now));
    CHECK(all(rig) == "a b c d e ");
    std::string states;
    CHECK_FALSE(rig.work->for_each([&](const WorkItem& item) {
        states += std::to_string(static_cast<int>(item.state)) + std::to_string(item.deliveries);
    }));
    CHECK(states == "2101001000");
    const auto next = rig.work->peek();
    REQUIRE(next);
    CHECK(as_text(next->body) == "b");
    CHECK(next->id == 2);
    CHECK(next->pushed == rig.now.wall);
    CHECK(rig.work->leased() == 1);
    CHECK_FALSE(rig.work->purge());
    CHECK(all(rig).empty());
    CHECK(rig.work->peek().error() == QueueErrc::queue_empty);
    rig.open();
    CHECK(rig.work->empty());
}

TEST_CASE("WorkQueue::purge keeps dead letters", "[work][work_queue][unit]") {
    Rig rig{{.deliveries_max = 1}};
    for (int i = 0; i < 200; ++i) rig.push(std::to_string(i));
    CHECK(rig.lease_next() == "0");
    CHECK_FALSE(rig.work->nack(rig.last, rig.now));
    CHECK_FALSE(rig.work->purge());
    CHECK_FALSE(rig.work->commit());
    rig.disk.kill();
    rig.open();
    CHECK(rig.work->size() == 0);
    CHECK(rig.work->dead() == 1);
}

TEST_CASE("WorkQueue::oldest returns the age of the oldest item", "[work][work_queue][unit]") {
    Rig rig;
    CHECK(*rig.work->oldest(rig.now.wall) == 0ns);
    rig.push("a");
    rig.pass(5s);
    rig.push("b");
    rig.pass(5s);
    CHECK(*rig.work->oldest(rig.now.wall) == 10s);
    CHECK(*rig.work->oldest(rig.now.wall - 1h) == 0ns);
    rig.lease_next();
    CHECK(*rig.work->oldest(rig.now.wall) == 10s);
    CHECK_FALSE(rig.work->ack(rig.last));
    CHECK(*rig.work->oldest(rig.now.wall) == 5s);
}

// ---- failures -----------------------------------------------------------------------------------

TEST_CASE("WorkQueue works on a full disk, and frees space", "[work][work_queue][fault]") {
    Rig rig;
    const std::string body(1000, 'x');
    rig.disk.limit_bytes(200 << 10);
    std::size_t taken = 0;
    for (; taken < 1000; ++taken) {
        const auto id = rig.work->push(as_bytes(body), rig.now);
        if (id) continue;
        CHECK(id.error() == std::errc::no_space_on_device);
        break;
    }
    CHECK(rig.work->size() == taken);
    CHECK_FALSE(rig.work->failed());
    std::size_t done = 0;
    while (!rig.lease_next().empty()) {
        REQUIRE_FALSE(rig.work->ack(rig.last));
        ++done;
    }
    CHECK(done == taken);
    CHECK_FALSE(rig.work->commit());
    CHECK(rig.work->push(as_bytes(body), rig.now));
}

TEST_CASE("WorkQueue reports that the log has failed", "[work][work_queue][fault]") {
    Rig rig;
    rig.push("a");
    rig.push("b");
    rig.lease_next();
    rig.disk.refuse(true);
    CHECK(rig.work->commit() == std::errc::io_error);
    CHECK(rig.work->failed() == std::errc::io_error);
    CHECK(rig.work->push(as_bytes("c"), rig.now).error() == std::errc::io_error);
    CHECK(rig.work->lease(rig.now).error() == std::errc::io_error);
    CHECK(rig.work->ack(rig.last) == std::errc::io_error);
    CHECK(rig.work->nack(rig.last, rig.now) == std::errc::io_error);
    CHECK(rig.work->extend(rig.last, rig.now, 1s) == std::errc::io_error);
    CHECK(rig.work->size() == 2);
    // It goes on when the disk works again.
    rig.disk.refuse(false);
    CHECK_FALSE(rig.work->ack(rig.last));
    CHECK(rig.lease_next() == "b");
    CHECK_FALSE(rig.work->commit());
    CHECK(rig.work->size() == 1);
}

TEST_CASE("WorkQueue::open reports the entry that it cannot decode", "[work][work_queue][fault]") {
    sim::Disk disk;
    {
        auto log = Log::open(disk, "w");
        REQUIRE(log->append(as_bytes(std::string_view{"\1\0\0\0\0\0\0\0body", 12})));
        REQUIRE(log->append(as_bytes("something that is no entry")));
        REQUIRE_FALSE(log->commit());
    }
    const auto opened = WorkQueue<Log>::open(std::move(*Log::open(disk, "w")), {}, Moment{});
    REQUIRE_FALSE(opened);
    CHECK(opened.error().number == 2);
    CHECK(opened.error() == code(QueueErrc::other_version));
    CHECK(opened.error().message() ==
          "entry 2: the journal has another version of its format (the kind of the entry is "
          "unknown)");
}

// ---- values out of range, and preconditions -----------------------------------------------------

TEST_CASE("WorkQueue returns bad_argument for durations out of their range, and is unchanged",
          "[work][work_queue][unit]") {
    Rig rig;
    rig.push("a");
    rig.lease_next();
    // The rest of a deadline that has passed, as a program computes it.
    for (const Duration passed : {Duration{-1ns}, Duration::min()}) {
        for (const PushOptions& with :
             {PushOptions{.delay = passed}, PushOptions{.expires_after = passed}}) {
            const auto pushed = rig.work->push(as_bytes("x"), rig.now, with);
            CHECK(pushed.error() == QueueErrc::bad_argument);
        }
        CHECK(rig.work->nack(rig.last, rig.now, passed) == QueueErrc::bad_argument);
        CHECK(rig.work->release(rig.last, rig.now, passed) == QueueErrc::bad_argument);
        CHECK(rig.work->extend(rig.last, rig.now, passed) == QueueErrc::bad_argument);
    }
    CHECK(rig.work->push(as_bytes("x"), rig.now, {.expires_after = 0ns}).error() ==
          QueueErrc::bad_argument);
    const Instant deadline = rig.last.deadline;
    CHECK(rig.work->extend(rig.last, rig.now, 0ns) == QueueErrc::bad_argument);
    CHECK(rig.last.deadline == deadline);
    CHECK(rig.work->deadline() == deadline);
    CHECK(rig.work->size() == 1);
    CHECK(rig.work->leased() == 1);
    CHECK_FALSE(rig.work->ack(rig.last));
}

TEST_CASE("WorkQueue aborts when it is used after a move", "[work][work_queue][unit]") {
    Rig rig;
    rig.push("a");
    rig.lease_next();
    const auto dies = [](auto&& f, const char* why) {
        return belay_test::aborts_with(f).find(why) != std::string::npos;
    };
    auto moved = std::move(*rig.work);
    CHECK(moved.size() == 1);
    CHECK(dies([&] { static_cast<void>(rig.work->lease(rig.now)); }, "moved from"));
    CHECK_FALSE(moved.ack(rig.last));
    *rig.work = std::move(moved);
    CHECK(rig.work->empty());
}
