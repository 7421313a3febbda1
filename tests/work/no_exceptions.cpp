// SPDX-License-Identifier: MIT
// Goal: work/ works under -fno-exceptions -fno-rtti. Method: each part once, without a framework.
#include <belay/journal/journal.hpp>
#include <belay/sim/disk.hpp>
#include <belay/work/work_queue.hpp>

using namespace belay;

namespace {

constexpr Moment moment_at(std::int64_t seconds) {
    const Duration passed{seconds * 1'000'000'000};
    return {Instant{passed}, WallTime{passed}};
}

/// One item is done, one expires, one is delayed. The next opening finds all of that, and the key.
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
        if (work->keep(as_bytes("note")) || work->commit()) return false;
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
    if (!work_queue_works()) return 1;
    return 0;
}
