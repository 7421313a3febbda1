// SPDX-License-Identifier: MIT
// Goal: a million operations are each done once over kills, on a disk that stays small; an old item
// pins nothing; keys fit the space they are given. Method: long histories on a simulated disk,
// bytes counted by it. What is held in memory: allocation.test.cpp.
#include <belay/queue/journal.hpp>
#include <belay/queue/work_queue.hpp>
#include <belay/sim/disk.hpp>

#include <memory>
#include <vector>

#include "support/catch.hpp"
#include "support/seeds.hpp"

using namespace belay;
using namespace std::chrono_literals;

namespace {

using Log = Journal<sim::Disk>;
using Work = WorkQueue<Log>;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool slow_build = true;
#elif defined(__has_feature)
constexpr bool slow_build = __has_feature(address_sanitizer) || __has_feature(thread_sanitizer);
#else
constexpr bool slow_build = false;
#endif

constexpr std::size_t segment_bytes = std::size_t{256} << 10;

struct Rig {
    void open() {
        work.reset();
        auto log = Log::open(
            disk, "w",
            {.segment_bytes = segment_bytes, .record_bytes_max = 4096, .seed = Seed{++openings}});
        REQUIRE(log);
        auto opened = Work::open(std::move(*log), options, now);
        REQUIRE(opened);
        work = std::make_unique<Work>(std::move(*opened));
    }

    sim::Disk disk;
    WorkOptions options;
    Moment now{Instant{1s}, WallTime{1'700'000'000s}};
    std::uint64_t openings = 0;
    std::unique_ptr<Work> work;
};

Bytes body_of(std::uint64_t n, std::size_t size = 16) {
    Bytes body(size);
    store_le<std::uint64_t>(body.data(), n);
    store_le<std::uint64_t>(body.data() + 8, detail::mix64(n));
    return body;
}

}  // namespace

TEST_CASE("WorkQueue does a million operations once each, killed again and again",
          "[queue][work_queue][load]") {
    const std::uint64_t count = slow_build ? 30'000 : 1'000'000;
    Rig rig;
    rig.options = {.record_bytes_max = 4096, .slack_bytes = 1 << 20};
    rig.open();
    Random bits{Seed{1}};
    enum : std::uint8_t { waits, acknowledged, over };
    std::vector<std::uint8_t> is(count, waits);
    std::vector<std::uint64_t> since_sync;  // acknowledged
    std::uint64_t pushed = 0, over_count = 0, repeated = 0;
    std::uint64_t bytes_max = 0;
    std::vector<Lease> held;
    const auto sync = [&] {
        REQUIRE_FALSE(rig.work->sync());
        for (const std::uint64_t n : since_sync) {
            if (is[n] != over) ++over_count;
            is[n] = over;
        }
        since_sync.clear();
    };
    for (std::uint64_t step = 1; over_count < count; ++step) {
        for (int i = 0; i < 120 && pushed < count && rig.work->size() < 20'000; ++i) {
            REQUIRE(rig.work->push(body_of(pushed++), rig.now));
        }
        sync();
        for (int i = 0; i < 100; ++i) {
            const auto lease = rig.work->lease(rig.now);
            if (!lease) break;
            const std::uint64_t n = load_le<std::uint64_t>(lease->body.data());
            REQUIRE(n < pushed);
            REQUIRE(load_le<std::uint64_t>(lease->body.data() + 8) == detail::mix64(n));
            REQUIRE(is[n] != over);
            held.push_back(*lease);
            held.back().id = n;
        }
        while (held.size() > 300 || (rig.work->size() == held.size() && !held.empty())) {
            // In any order.
            const std::size_t i = bits() % held.size();
            REQUIRE_FALSE(rig.work->ack(held[i]));
            is[held[i].id] = acknowledged;
            since_sync.push_back(held[i].id);
            held[i] = held.back();
            held.pop_back();
        }
        bytes_max = std::max(bytes_max, rig.disk.used_bytes());
        if (step % (slow_build ? 20 : 97) != 0) continue;
        // What was acknowledged since the last sync is over, or comes back.
        if (bits() % 2 == 0) {
            rig.disk.kill();
        } else {
            rig.disk.crash(bits);
        }
        held.clear();
        rig.open();
        REQUIRE_FALSE(rig.work->for_each([&](const WorkItem& item) {
            const std::uint64_t n = load_le<std::uint64_t>(item.body.data());
            if (is[n] == acknowledged) ++repeated;
            if (is[n] == acknowledged) is[n] = waits;
            REQUIRE(is[n] == waits);
        }));
        std::erase_if(since_sync, [&](std::uint64_t n) { return is[n] == waits; });
        REQUIRE(rig.work->size() == pushed - over_count - since_sync.size());
    }
    CHECK(pushed == count);
    CHECK(repeated > 0);
    CHECK(rig.work->empty());
    // At most 20'000 live operations of 48 bytes, twice; what may be dead, and segments.
    CHECK(bytes_max < 2 * 20'000 * 48 + (2 << 20) + 4 * segment_bytes);
}

TEST_CASE("WorkQueue: one old item pins no more than the slack", "[queue][work_queue][load]") {
    Rig rig;
    rig.options = {.lease = 1s,
                   .deliveries_max = WorkOptions::any_number,
                   .record_bytes_max = 4096,
                   .slack_bytes = 1 << 20};
    rig.open();
    REQUIRE(rig.work->push(body_of(7, 100), rig.now));
    auto stuck = rig.work->lease(rig.now);
    REQUIRE(stuck);
    REQUIRE_FALSE(rig.work->extend(*stuck, rig.now, 10'000h));
    const int count = slow_build ? 20'000 : 200'000;
    std::uint64_t bytes_max = 0;
    for (int i = 0; i < count; ++i) {
        REQUIRE(rig.work->push(body_of(1, 400), rig.now));
        const auto lease = rig.work->lease(rig.now);
        REQUIRE(lease);
        REQUIRE_FALSE(rig.work->ack(*lease));
        if (i % 16 == 0) {
            REQUIRE_FALSE(rig.work->sync());
            bytes_max = std::max(bytes_max, rig.disk.used_bytes());
        }
    }
    CHECK(bytes_max < (1 << 20) + 4 * segment_bytes);
    CHECK(rig.work->size() == 1);
    // It is the same item still, and the loan counts.
    const auto body = rig.work->read(stuck->id);
    REQUIRE(body);
    CHECK(load_le<std::uint64_t>(body->data()) == 7);
    CHECK_FALSE(rig.work->ack(*stuck));
    CHECK(rig.work->empty());
}

TEST_CASE("WorkQueue without keys is in its log what it keeps", "[queue][work_queue][load]") {
    // Acknowledged in order, nothing is written for the ends but what the log itself writes.
    Rig rig;
    rig.open();
    for (int i = 0; i < 10'000; ++i) {
        REQUIRE(rig.work->push(body_of(1, 100), rig.now));
        const auto lease = rig.work->lease(rig.now);
        REQUIRE(lease);
        REQUIRE_FALSE(rig.work->ack(*lease));
    }
    REQUIRE_FALSE(rig.work->sync());
    CHECK(rig.work->log().last() == 10'000);
    CHECK(rig.work->log().base() == 10'001);
}

TEST_CASE("WorkQueue: the keys of a large window take their space once or twice",
          "[queue][work_queue][load]") {
    Rig rig;
    const std::size_t keys = slow_build ? 5'000 : 100'000;
    rig.options = {.keys = keys, .record_bytes_max = 4096, .slack_bytes = 256 << 10};
    rig.open();
    std::uint64_t bytes_max = 0;
    const std::uint64_t count = 6 * keys;
    for (std::uint64_t i = 0; i < count; ++i) {
        const std::string key = std::to_string(i);
        REQUIRE(rig.work->push(body_of(i, 20), rig.now, {.key = key}));
        const auto lease = rig.work->lease(rig.now);
        REQUIRE(lease);
        REQUIRE_FALSE(rig.work->ack(*lease));
        if (i % 64 != 0) continue;
        REQUIRE_FALSE(rig.work->sync());
        bytes_max = std::max(bytes_max, rig.disk.used_bytes());
    }
    const std::uint64_t window = keys * 16;
    CHECK(bytes_max < 5 * window + (512 << 10) + 4 * segment_bytes);
    REQUIRE_FALSE(rig.work->sync());
    rig.disk.kill();
    rig.open();
    for (std::uint64_t i = count - keys; i < count; i += keys / 100) {
        const std::string key = std::to_string(i);
        const auto again = rig.work->push(body_of(i, 20), rig.now, {.key = key});
        REQUIRE(again.error() == QueueErrc::duplicate);
    }
}
