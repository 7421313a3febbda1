// SPDX-License-Identifier: MIT
// Goal: queue/ works under -fno-exceptions -fno-rtti. Method: each part once, without a framework.
#include <belay/queue/block.hpp>
#include <belay/queue/blocking_ring.hpp>
#include <belay/queue/deque.hpp>
#include <belay/queue/drop_newest.hpp>
#include <belay/queue/drop_oldest.hpp>
#include <belay/queue/encoded.hpp>
#include <belay/queue/flush_every.hpp>
#include <belay/queue/journal.hpp>
#include <belay/queue/mpmc_ring.hpp>
#include <belay/queue/mpsc_ring.hpp>
#include <belay/queue/oldest_age.hpp>
#include <belay/queue/queue.hpp>
#include <belay/queue/queue_counters.hpp>
#include <belay/queue/ring.hpp>
#include <belay/queue/spsc_ring.hpp>
#include <belay/queue/weighed.hpp>
#include <belay/queue/work_queue.hpp>
#include <belay/sim/disk.hpp>

using namespace belay;

namespace {

bool storages_work() {
    Queue ring{Ring<int, 4>{}, {.limit = 2}, DropOldest{}};
    Queue deque{Deque<int>{}, {.limit = 1}};
    return !ring.push(1) && !ring.push(2) && !ring.push(3) && ring.pop() == 2 && !deque.push(1) &&
           deque.push(2) == QueueErrc::queue_full && deque.drain([](int) {}).drained == 1;
}

template <class R>
bool passes_on(R ring) {
    return ring.try_push(7) && ring.try_push(8) && !ring.try_push(9) && ring.try_pop() == 7;
}
bool rings_work() {
    BlockingRing<SpscRing<int>> blocking{2};
    const bool taken = blocking.push_wait(1);
    blocking.close();
    return passes_on(SpscRing<int>{2}) && passes_on(MpscRing<int>{2}) &&
           passes_on(MpmcRing<int>{2}) && taken && blocking.pop_wait() == 1 && !blocking.pop_wait();
}

bool journal_works() {
    sim::Disk disk;
    for (std::uint64_t run = 1; run <= 2; ++run) {
        auto journal = Journal<sim::Disk>::open(disk, "q", {.seed = Seed{1}});
        if (!journal || journal->run() != run) return false;
        Queue queue{std::move(*journal)};
        if (queue.push(as_bytes("operation")) || queue.storage().sync()) return false;
        if (queue.storage().durable() != run || queue.size() != run) return false;
    }
    return true;
}

struct NumberCodec {
    bool encode(const std::uint32_t& number, Bytes& into) {
        into.resize(4);
        store_le(into.data(), number);
        return number != 0;
    }
    std::optional<std::uint32_t> decode(BytesView bytes) {
        if (bytes.size() != 4) return std::nullopt;
        return load_le<std::uint32_t>(bytes.data());
    }
};

bool encoded_and_flushed_work() {
    sim::Disk disk;
    auto journal = Journal<sim::Disk>::open(disk, "q", {.sync = Sync::none, .seed = Seed{1}});
    if (!journal) return false;
    Queue queue{Encoded{std::move(*journal), NumberCodec{}}, {}, DropNewest{}, QueueCounters{}};
    FlushEvery flusher{queue, Duration{1}};
    if (queue.push(7u) || queue.push(0u) != QueueErrc::bad_encoding) return false;
    flusher.appended();
    flusher.advance(Instant{});
    flusher.advance(Instant{Duration{1}});
    OldestAge<> oldest;
    oldest.sample(Instant{}, queue.observer().pushed, queue.size());
    return !queue.unflushed() && queue.observer().refused == 1 && queue.pop() == 7u &&
           oldest.age(Instant{Duration{2}}) == Duration{2};
}

bool limits_of_bytes_work() {
    Queue queue{Weighed{Deque<Bytes>{}}, {.bytes_limit = 3}, DropNewest{}, QueueCounters{}};
    return !queue.push(Bytes(4)) && !queue.push(Bytes(1)) && queue.observer().dropped == 1 &&
           queue.bytes() == 4;
}

constexpr Moment moment_at(std::int64_t seconds) {
    const Duration passed{seconds * 1'000'000'000};
    return {Instant{passed}, WallTime{passed}};
}

/// One item is done, one expires, one is delayed; the next opening knows all of it, and the key.
bool work_queue_works() {
    constexpr Duration second{1'000'000'000};
    sim::Disk disk;
    const auto open_at = [&disk](std::int64_t seconds) {
        auto journal = Journal<sim::Disk>::open(disk, "w", {.seed = Seed{1}});
        return WorkQueue<Journal<sim::Disk>>::open(std::move(*journal), {.keys = 4},
                                                   moment_at(seconds));
    };
    {
        auto work = open_at(0);
        if (!work || !work->push(as_bytes("done"), moment_at(0), {.key = "key"}) ||
            !work->push(as_bytes("expires"), moment_at(0), {.expires_after = second}) ||
            !work->push(as_bytes("delayed"), moment_at(0), {.delay = 9 * second})) {
            return false;
        }
        const auto done = work->lease(moment_at(0));
        if (!done || as_text(done->body) != "done" || work->ack(*done)) return false;
        if (work->lease(moment_at(2)).error() != QueueErrc::queue_empty) return false;
        if (work->keep(as_bytes("note")) || work->sync()) return false;
    }
    auto work = open_at(3);
    if (!work || work->size() != 1 || work->delayed() != 1 || work->dead() != 1) return false;
    const PushOptions again{.key = "key"};
    if (work->push(as_bytes("done"), moment_at(3), again).error() != QueueErrc::duplicate) {
        return false;
    }
    const auto delayed = work->lease(moment_at(9));
    return as_text(work->kept()) == "note" && delayed && as_text(delayed->body) == "delayed" &&
           !work->nack(*delayed, moment_at(9)) && !work->revive(2, moment_at(9)) &&
           work->size() == 2;
}

}  // namespace

int main() {
    if (!storages_work()) return 1;
    if (!journal_works()) return 2;
    if (!rings_work()) return 3;
    if (!encoded_and_flushed_work()) return 4;
    if (!limits_of_bytes_work()) return 5;
    if (!work_queue_works()) return 6;
    return 0;
}
