// SPDX-License-Identifier: MIT
// Goal: journal/ works under -fno-exceptions -fno-rtti. Method: each part once, without a framework.
#include <belay/journal/journal.hpp>
#include <belay/queue/encoded.hpp>
#include <belay/queue/flush_every.hpp>
#include <belay/queue/overflows.hpp>
#include <belay/queue/queue.hpp>
#include <belay/sim/disk.hpp>

#include "support/queue/number_codec.hpp"

using namespace belay;
using belay_test::NumberCodec;

namespace {

bool journal_works() {
    sim::Disk disk;
    for (std::uint64_t run = 1; run <= 2; ++run) {
        auto journal = Journal<sim::Disk>::open(disk, "q", {.seed = Seed{1}});
        if (!journal || journal->run() != run) return false;
        Queue queue{std::move(*journal)};
        if (queue.push(as_bytes("operation")) || queue.storage().commit()) return false;
        if (queue.storage().durable() != run || queue.size() != run) return false;
    }
    return true;
}

bool encoded_and_flushed_work() {
    sim::Disk disk;
    auto journal = Journal<sim::Disk>::open(disk, "q", {.flush = Flush::none, .seed = Seed{1}});
    if (!journal) return false;
    Queue queue{Encoded{std::move(*journal), NumberCodec{}}, DropNewest{}, {}, QueueCounters{}};
    FlushEvery flusher{queue, Duration{1}};
    if (queue.push(7u) || queue.push(0u) != QueueErrc::bad_encoding) return false;
    flusher.appended();
    flusher.advance(Instant{});
    flusher.advance(Instant{Duration{1}});
    return !queue.unflushed() && queue.observer().rejected == 1 && queue.pop() == 7u;
}

}  // namespace

int main() {
    if (!journal_works()) return 1;
    if (!encoded_and_flushed_work()) return 2;
    return 0;
}
