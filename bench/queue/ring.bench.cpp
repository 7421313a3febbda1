// SPDX-License-Identifier: MIT
// What push + pop of 8 random bytes costs on one thread: beside a plain array, boost's ring,
// std::deque, and a locked one.
#include <belay/queue/storages.hpp>

#include <array>
#include <deque>
#include <mutex>

#include <benchmark/benchmark.h>

#if __has_include(<boost/lockfree/spsc_queue.hpp>)
#    include <boost/lockfree/spsc_queue.hpp>
#    define BELAY_BENCH_BOOST 1
#endif

#include <belay/core/random.hpp>
#include <belay/queue/queue.hpp>
#include <belay/queue/weighed.hpp>

using namespace belay;

namespace {

constexpr std::size_t capacity = 1024;

// Queues live in memory, not in registers: ClobberMemory says so, to all of them alike. Each holds
// some values all the time.
template <class Push, class Pop>
void push_pop(benchmark::State& state, Push push, Pop pop) {
    // Drawn before the clock runs, and few enough for the first cache.
    std::array<std::uint64_t, 256> values;
    Random bits{Seed{1}};
    for (std::uint64_t& value : values) value = bits();
    for (std::size_t i = 0; i < 16; ++i) push(values[i]);
    std::size_t next = 0;
    for (auto _ : state) {
        push(values[next++ % values.size()]);
        benchmark::ClobberMemory();
        // A variable, since of a result in passing the compiler may leave out the reading.
        std::uint64_t popped = pop();
        benchmark::DoNotOptimize(popped);
        benchmark::ClobberMemory();
    }
    state.SetItemsProcessed(state.iterations());
}

void belay_ring(benchmark::State& state) {
    Ring<std::uint64_t, capacity> ring;
    benchmark::DoNotOptimize(&ring);
    push_pop(
        state, [&](std::uint64_t v) { return ring.try_push(v); },
        [&] { return ring.try_pop().value_or(0); });
}
BENCHMARK(belay_ring)->Name("queue/ring/push_pop/belay");

void belay_ring_dynamic(benchmark::State& state) {
    Ring<std::uint64_t> ring{capacity};
    benchmark::DoNotOptimize(&ring);
    push_pop(
        state, [&](std::uint64_t v) { return ring.try_push(v); },
        [&] { return ring.try_pop().value_or(0); });
}
BENCHMARK(belay_ring_dynamic)->Name("queue/ring/push_pop/belay_dynamic");

/// What one writes by hand where it must be fast: an array and two indices.
struct PlainArray {
    std::uint64_t slots[capacity];
    std::size_t head = 0;
    std::size_t tail = 0;
};
void plain_array(benchmark::State& state) {
    PlainArray ring;
    benchmark::DoNotOptimize(&ring);
    push_pop(
        state,
        [&](std::uint64_t v) {
            if (ring.tail - ring.head == capacity) return false;
            ring.slots[ring.tail++ % capacity] = v;
            return true;
        },
        [&] { return ring.head == ring.tail ? 0 : ring.slots[ring.head++ % capacity]; });
}
BENCHMARK(plain_array)->Name("queue/ring/push_pop/plain_array");

#if defined(BELAY_BENCH_BOOST)
void boost_spsc(benchmark::State& state) {
    boost::lockfree::spsc_queue<std::uint64_t, boost::lockfree::capacity<capacity>> queue;
    benchmark::DoNotOptimize(&queue);
    push_pop(
        state, [&](std::uint64_t v) { return queue.push(v); },
        [&] {
            std::uint64_t value = 0;
            queue.pop(value);
            return value;
        });
}
BENCHMARK(boost_spsc)->Name("queue/ring/push_pop/boost_spsc");
#endif

void mutex_deque(benchmark::State& state) {
    std::mutex mutex;
    std::deque<std::uint64_t> deque;
    benchmark::DoNotOptimize(&deque);
    push_pop(
        state,
        [&](std::uint64_t v) {
            const std::lock_guard lock{mutex};
            deque.push_back(v);
            return true;
        },
        [&] {
            const std::lock_guard lock{mutex};
            const std::uint64_t value = deque.front();
            deque.pop_front();
            return value;
        });
}
BENCHMARK(mutex_deque)->Name("queue/queue/push_pop/mutex_deque");

void belay_deque(benchmark::State& state) {
    Deque<std::uint64_t> deque;
    benchmark::DoNotOptimize(&deque);
    push_pop(
        state, [&](std::uint64_t v) { return deque.try_push(v); },
        [&] { return deque.try_pop().value_or(0); });
}
BENCHMARK(belay_deque)->Name("queue/deque/push_pop/belay");

void std_deque(benchmark::State& state) {
    std::deque<std::uint64_t> deque;
    benchmark::DoNotOptimize(&deque);
    push_pop(
        state,
        [&](std::uint64_t v) {
            deque.push_back(v);
            return true;
        },
        [&] {
            const std::uint64_t value = deque.front();
            deque.pop_front();
            return value;
        });
}
BENCHMARK(std_deque)->Name("queue/deque/push_pop/std_deque");

// What the parts of a queue cost for who uses them: the first is without any.

template <class Q>
void queue_of(benchmark::State& state, Q queue) {
    benchmark::DoNotOptimize(&queue);
    push_pop(
        state, [&](std::uint64_t v) { return !queue.push(v); },
        [&] { return queue.pop().value_or(0); });
}

struct EightBytes {
    std::size_t operator()(std::uint64_t) const noexcept { return 8; }
};

void queue_alone(benchmark::State& state) {
    queue_of(state, Queue{Ring<std::uint64_t, capacity>{}});
}
BENCHMARK(queue_alone)->Name("queue/queue/push_pop/belay");

void queue_counted(benchmark::State& state) {
    queue_of(state, Queue{Ring<std::uint64_t, capacity>{}, Reject{}, {}, QueueCounters{}});
}
BENCHMARK(queue_counted)->Name("queue/queue/push_pop/with_counters");

void queue_weighed(benchmark::State& state) {
    queue_of(state, Queue{Weighed{Ring<std::uint64_t, capacity>{}, EightBytes{}},
                          {.limit = 1000, .bytes_limit = 8000}});
}
BENCHMARK(queue_weighed)->Name("queue/queue/push_pop/with_bytes_limit");

/// With a sample at every 16th push: a turn of a loop.
void queue_aged(benchmark::State& state) {
    Queue queue{Ring<std::uint64_t, capacity>{}, Reject{}, {}, QueueCounters{}};
    OldestAge<> oldest;
    Duration::rep pushes = 0;
    benchmark::DoNotOptimize(&queue);
    benchmark::DoNotOptimize(&oldest);
    push_pop(
        state,
        [&](std::uint64_t v) {
            if (++pushes % 16 == 0) {
                const Instant now{Duration{pushes}};
                oldest.sample(now, queue.observer().pushed, queue.size());
            }
            return !queue.push(v);
        },
        [&] { return queue.pop().value_or(0); });
}
BENCHMARK(queue_aged)->Name("queue/queue/push_pop/with_oldest_age");

}  // namespace
