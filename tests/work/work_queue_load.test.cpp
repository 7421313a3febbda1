// SPDX-License-Identifier: MIT
// Goal: a million waiting operations are each completed once over kills, on a disk that stays
// small. An old item does not keep the log. Keys fit into their space. Method: long histories on a
// simulated disk, which counts the bytes. Memory is measured in allocation.test.cpp.
#include <belay/journal/journal.hpp>
#include <belay/sim/disk.hpp>
#include <belay/work/work_queue.hpp>

#include <memory>
#include <vector>

#include "support/catch.hpp"
#include "support/sanitizer.hpp"
#include "support/seeds.hpp"

using namespace belay;
using namespace std::chrono_literals;

namespace {

using Log = Journal<sim::Disk>;
using SimWork = WorkQueue<Log>;

constexpr std::size_t segment_bytes = std::size_t{256} << 10;

struct LoadRig {
    void open() {
        work.reset();
        auto log = Log::open(
            disk, "w",
            {.segment_bytes = segment_bytes, .record_bytes_max = 4096, .seed = Seed{++openings}});
        REQUIRE(log);
        auto opened = SimWork::open(std::move(*log), options, now);
        REQUIRE(opened);
        work = std::make_unique<SimWork>(std::move(*opened));
    }

    sim::Disk disk;
    WorkOptions options;
    Moment now{Instant{1s}, WallTime{1'700'000'000s}};
    std::uint64_t openings = 0;
    std::unique_ptr<SimWork> work;
};

Bytes sized_body(std::uint64_t n, std::size_t size = 16) {
    Bytes body(size);
    store_le<std::uint64_t>(body.data(), n);
    store_le<std::uint64_t>(body.data() + 8, detail::mix64(n));
    return body;
}

/// Pushes numbered items and works them off, and records the possible states of each.
class LoadWorker {
public:
    enum class ItemState : std::uint8_t {
        waiting,       // durable, and not leased
        leased,        // leased in this process; it waits again in the next one
        acknowledged,  // not durable: ended in this process, and may wait again in the next one
        over           // never again
    };

    LoadWorker(LoadRig& rig, std::size_t items) : rig_{&rig} { items_.reserve(items); }

    [[nodiscard]] std::uint64_t pushed() const { return items_.size(); }
    [[nodiscard]] std::uint64_t over() const { return over_; }
    [[nodiscard]] std::uint64_t repeated() const { return repeated_; }

    /// Pushes this many items. They are durable after the next commit().
    void push(std::uint64_t count) {
        for (; count != 0; --count) {
            REQUIRE(rig_->work->push(sized_body(pushed()), rig_->now));
            items_.push_back(ItemState::waiting);
        }
    }
    void commit() {
        REQUIRE_FALSE(rig_->work->commit());
        for (const std::uint64_t n : acknowledged_) items_[n] = ItemState::over;
        over_ += acknowledged_.size();
        acknowledged_.clear();
    }
    /// Leases this many items, if there are.
    void lease_some(int count) {
        for (; count != 0; --count) {
            const auto lease = rig_->work->lease(rig_->now);
            if (!lease) {
                REQUIRE(rig_->work->size() == leases_.size());
                return;
            }
            const std::uint64_t n = load_le<std::uint64_t>(lease->body.data());
            REQUIRE(n < pushed());
            REQUIRE(load_le<std::uint64_t>(lease->body.data() + 8) == detail::mix64(n));
            REQUIRE(items_[n] == ItemState::waiting);
            items_[n] = ItemState::leased;
            leases_.push_back({*lease, n});
        }
    }
    /// Acknowledges leases, in any order, until this many are left.
    void finish(std::size_t left, Random& bits) {
        while (leases_.size() > left) {
            std::swap(leases_[bits() % leases_.size()], leases_.back());
            const HeldLease& lease = leases_.back();
            REQUIRE_FALSE(rig_->work->ack(lease.lease));
            items_[lease.number] = ItemState::acknowledged;
            acknowledged_.push_back(lease.number);
            leases_.pop_back();
        }
    }
    /// Checks the items in a new process: all items that waited or were leased, once each and in
    /// order, and those that were acknowledged or not. Pre: every push was durable.
    void come_back() {
        for (const HeldLease& lease : leases_) items_[lease.number] = ItemState::waiting;
        leases_.clear();
        std::uint64_t next = 0;
        const std::error_code error = rig_->work->for_each([&](const WorkItem& item) {
            const std::uint64_t n = load_le<std::uint64_t>(item.body.data());
            REQUIRE(n >= next);
            REQUIRE(n < pushed());
            next = n + 1;
            if (items_[n] == ItemState::acknowledged) {
                items_[n] = ItemState::waiting;
                ++repeated_;
            }
            REQUIRE(items_[n] == ItemState::waiting);
        });
        REQUIRE_FALSE(error);
        std::erase_if(acknowledged_,
                      [&](std::uint64_t n) { return items_[n] == ItemState::waiting; });
        REQUIRE(rig_->work->size() == pushed() - over_ - acknowledged_.size());
    }

private:
    struct HeldLease {
        Lease lease;
        std::uint64_t number;
    };

    LoadRig* rig_;
    std::vector<ItemState> items_;  // by number
    std::vector<std::uint64_t> acknowledged_;
    std::vector<HeldLease> leases_;
    std::uint64_t over_ = 0;
    std::uint64_t repeated_ = 0;
};

/// A million in Release, and fewer in slower builds.
std::uint64_t load() {
    if (belay_test::sanitized) return 30'000;
    return belay_test::from_environment("BELAY_SEEDS", 2000) >= 2000 ? 1'000'000 : 200'000;
}

}  // namespace

TEST_CASE("WorkQueue completes a million operations once each, killed again and again",
          "[work][work_queue][load]") {
    const std::uint64_t count = load();
    LoadRig rig;
    rig.options = {.record_bytes_max = 4096, .slack_bytes = 1 << 20};
    rig.open();
    Random bits{Seed{1}};
    LoadWorker worker{rig, count};
    const int round = static_cast<int>(count / 2000);
    // Seven items are pushed for each one that ends, so that most of them wait before the last
    // push.
    const std::uint64_t pushes = 7 * count / 2000;
    std::size_t waiting_max = 0;
    for (int step = 1; worker.over() < count; ++step) {
        worker.push(std::min(pushes, count - worker.pushed()));
        waiting_max = std::max(waiting_max, rig.work->size());
        worker.commit();
        // Two processes, so that items with acknowledgements that are not durable could be leased
        // again.
        for (int half = 0; half < 2; ++half) {
            worker.lease_some(round / 2);
            worker.finish(rig.work->size() > 300 ? 300 : 0, bits);
        }
        REQUIRE(rig.disk.used_bytes() <
                2 * rig.work->bytes() + rig.options.slack_bytes + 3 * segment_bytes);
        if (step % 97 != 0) continue;
        // Items that were acknowledged since the last sync have ended, or return.
        if (bits() % 2 == 0) {
            rig.disk.kill();
        } else {
            rig.disk.crash(bits);
        }
        rig.open();
        worker.come_back();
    }
    CHECK(worker.pushed() == count);
    CHECK(waiting_max > count / 4 * 3);
    CHECK(worker.repeated() > 0);
    CHECK(rig.work->empty());
}

TEST_CASE("WorkQueue: one old item keeps no more of the log than the slack",
          "[work][work_queue][load]") {
    LoadRig rig;
    rig.options = {.lease = 1s,
                   .deliveries_max = WorkOptions::any_number,
                   .record_bytes_max = 4096,
                   .slack_bytes = 1 << 20};
    rig.open();
    REQUIRE(rig.work->push(sized_body(7, 100), rig.now));
    auto stuck = rig.work->lease(rig.now);
    REQUIRE(stuck);
    REQUIRE_FALSE(rig.work->extend(*stuck, rig.now, 10'000h));
    const int count = belay_test::sanitized ? 20'000 : 200'000;
    std::uint64_t bytes_max = 0;
    for (int i = 0; i < count; ++i) {
        REQUIRE(rig.work->push(sized_body(1, 400), rig.now));
        const auto lease = rig.work->lease(rig.now);
        REQUIRE(lease);
        REQUIRE_FALSE(rig.work->ack(*lease));
        if (i % 16 == 0) {
            REQUIRE_FALSE(rig.work->commit());
            bytes_max = std::max(bytes_max, rig.disk.used_bytes());
        }
    }
    CHECK(bytes_max < (1 << 20) + 4 * segment_bytes);
    CHECK(rig.work->size() == 1);
    // It is still the same item, and the lease counts.
    const auto body = rig.work->read(stuck->id);
    REQUIRE(body);
    CHECK(load_le<std::uint64_t>(body->data()) == 7);
    CHECK_FALSE(rig.work->ack(*stuck));
    CHECK(rig.work->empty());
}

TEST_CASE("WorkQueue without keys writes only its entries to the log", "[work][work_queue][load]") {
    // If items are acknowledged in order, only the log itself writes for the ends.
    LoadRig rig;
    rig.options = {.record_bytes_max = 4096};
    rig.open();
    for (int i = 0; i < 10'000; ++i) {
        REQUIRE(rig.work->push(sized_body(1, 100), rig.now));
        const auto lease = rig.work->lease(rig.now);
        REQUIRE(lease);
        REQUIRE_FALSE(rig.work->ack(*lease));
    }
    REQUIRE_FALSE(rig.work->commit());
    CHECK(rig.work->log().last() == 10'000);
    CHECK(rig.work->log().base() == 10'001);
}

TEST_CASE("WorkQueue: the keys of a large window use their space once or twice",
          "[work][work_queue][load]") {
    LoadRig rig;
    const std::size_t keys = belay_test::sanitized ? 5'000 : 100'000;
    rig.options = {.keys = keys, .record_bytes_max = 4096, .slack_bytes = 256 << 10};
    rig.open();
    std::uint64_t bytes_max = 0;
    const std::uint64_t count = 6 * keys;
    for (std::uint64_t i = 0; i < count; ++i) {
        const std::string key = std::to_string(i);
        REQUIRE(rig.work->push(sized_body(i, 20), rig.now, {.key = key}));
        const auto lease = rig.work->lease(rig.now);
        REQUIRE(lease);
        REQUIRE_FALSE(rig.work->ack(*lease));
        if (i % 64 != 0) continue;
        REQUIRE_FALSE(rig.work->commit());
        bytes_max = std::max(bytes_max, rig.disk.used_bytes());
    }
    const std::uint64_t window = keys * 16;
    CHECK(bytes_max < 5 * window + (512 << 10) + 4 * segment_bytes);
    REQUIRE_FALSE(rig.work->commit());
    rig.disk.kill();
    rig.open();
    for (std::uint64_t i = count - keys; i < count; i += keys / 100) {
        const std::string key = std::to_string(i);
        const auto again = rig.work->push(sized_body(i, 20), rig.now, {.key = key});
        REQUIRE(again.error() == QueueErrc::duplicate);
    }
}
