// SPDX-License-Identifier: MIT
// Goal: queue/ works under -fno-exceptions -fno-rtti. Method: each part once, without a framework.
#include <thread>

#include <belay/queue/concurrent_rings.hpp>
#include <belay/queue/encoded.hpp>
#include <belay/queue/overflows.hpp>
#include <belay/queue/queue.hpp>
#include <belay/queue/storages.hpp>
#include <belay/queue/weighed.hpp>

#include "support/queue/number_codec.hpp"

using namespace belay;
using belay_test::NumberCodec;

namespace {

bool storages_work() {
    Queue ring{Ring<int, 4>{}, DropOldest{}, {.limit = 2}};
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
    return passes_on(SpscRing<int>{2}) && passes_on(MpmcRing<int>{2}) && taken &&
           blocking.pop_wait() == 1 && !blocking.pop_wait();
}

/// Two threads sleep until the other one answers. If a wake is lost, both wait for ever.
bool no_wake_is_lost() {
    BlockingRing<SpscRing<int>> questions{1, {.spins = 0}};
    BlockingRing<SpscRing<int>> answers{1, {.spins = 0}};
    std::thread other{[&] {
        while (const std::optional<int> n = questions.pop_wait()) {
            if (!answers.push_wait(-*n)) return;
        }
    }};
#ifdef _WIN32
    const int rounds = 100000;  // the wait of MinGW-w64 loses one wake in about 100,000
#else
    const int rounds = 5000;
#endif
    bool good = true;
    for (int n = 1; n <= rounds; ++n) {
        good = good && questions.push_wait(int{n}) && answers.pop_wait() == -n;
    }
    questions.close();
    other.join();
    return good;
}

bool encoded_works() {
    Queue queue{Encoded{Deque<Bytes>{}, NumberCodec{}}, DropNewest{}, {}, QueueCounters{}};
    if (queue.push(7u) || queue.push(0u) != QueueErrc::bad_encoding) return false;
    OldestAge<> oldest;
    oldest.sample(Instant{}, queue.observer().pushed, queue.size());
    return queue.observer().rejected == 1 && queue.pop() == 7u &&
           oldest.age(Instant{Duration{2}}) == Duration{2};
}

bool limits_of_bytes_work() {
    Queue queue{Weighed{Deque<Bytes>{}}, DropNewest{}, {.bytes_limit = 3}, QueueCounters{}};
    return !queue.push(Bytes(4)) && !queue.push(Bytes(1)) && queue.observer().dropped == 1 &&
           queue.bytes() == sizeof(Bytes) + 4;
}

}  // namespace

int main() {
    if (!storages_work()) return 1;
    if (!rings_work()) return 2;
    if (!encoded_works()) return 3;
    if (!limits_of_bytes_work()) return 4;
    if (!no_wake_is_lost()) return 5;
    return 0;
}
