// SPDX-License-Identifier: MIT
// Goal: queue/ works under -fno-exceptions -fno-rtti. Method: each part once, without a framework.
#include <belay/queue/block.hpp>
#include <belay/queue/deque.hpp>
#include <belay/queue/drop_oldest.hpp>
#include <belay/queue/journal.hpp>
#include <belay/queue/queue.hpp>
#include <belay/queue/ring.hpp>
#include <belay/sim/disk.hpp>

using namespace belay;

namespace {

bool storages_work() {
    Queue ring{Ring<int, 4>{}, {.limit = 2}, DropOldest{}};
    Queue deque{Deque<int>{}, {.limit = 1}};
    return !ring.push(1) && !ring.push(2) && !ring.push(3) && ring.pop() == 2 && !deque.push(1) &&
           deque.push(2) == QueueErrc::queue_full && deque.drain([](int) {}).drained == 1;
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

}  // namespace

int main() {
    if (!storages_work()) return 1;
    if (!journal_works()) return 2;
    return 0;
}
