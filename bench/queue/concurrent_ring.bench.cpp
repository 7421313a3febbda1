// SPDX-License-Identifier: MIT
// How many values the rings pass between threads, beside the packaged lock-free queues. One
// iteration passes 2^18 random values; threads are started and ended outside the measured time.
#include <belay/core/random.hpp>
#include <belay/queue/concurrent_rings.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <span>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

#include <benchmark/benchmark.h>

#if defined(__linux__)
#    include <pthread.h>
#endif
#if __has_include(<boost/lockfree/spsc_queue.hpp>)
#    include <boost/lockfree/queue.hpp>
#    include <boost/lockfree/spsc_queue.hpp>
#    define BELAY_BENCH_BOOST 1
#endif
#if __has_include(<readerwriterqueue/readerwriterqueue.h>)
#    include <readerwriterqueue/readerwriterqueue.h>
#    define BELAY_BENCH_READERWRITERQUEUE 1
#endif
#if __has_include(<concurrentqueue/concurrentqueue.h>)
#    include <concurrentqueue/concurrentqueue.h>
#    define BELAY_BENCH_CONCURRENTQUEUE 1
#endif
#if __has_include(<atomic_queue/atomic_queue.h>)
#    include <atomic_queue/atomic_queue.h>
#    define BELAY_BENCH_ATOMIC_QUEUE 1
#endif

using namespace belay;

namespace {

constexpr std::size_t capacity = 1024;
constexpr std::size_t values_an_iteration = std::size_t{1} << 18;
constexpr std::size_t batch = 32;

using Small = std::uint64_t;
struct alignas(8) Large {
    std::array<std::uint64_t, 8> words;
};

void set(Small& value, std::uint64_t word) { value = word; }
void set(Large& value, std::uint64_t word) { value.words.fill(word); }
std::uint64_t read(const Small& value) { return value; }
std::uint64_t read(const Large& value) { return value.words[0] ^ value.words[7]; }

/// Random payloads, so that nothing can be predicted or compressed.
template <class T>
const std::array<T, 256>& payloads() {
    static const auto made = [] {
        std::array<T, 256> values;
        std::uint64_t state = 1;
        for (T& value : values) {
            state = state * 6364136223846793005U + 1442695040888963407U;
            set(value, state ^ (state >> 32));
        }
        return values;
    }();
    return made;
}

/// Pauses, and gives the processor away when that did not help. How long is drawn: waits of one
/// length keep two threads in step, one behind the other over a ring that is full, or empty, all
/// the time, and then only this one case is measured.
class Backing {
public:
    explicit Backing(unsigned side) : bits_{Seed{side + 1}} {}
    /// After so many tries in vain before this one.
    void off(unsigned tries) {
        if (tries % 16 == 15) std::this_thread::yield();
        for (std::uint64_t i = bits_() % 8; i != 0; --i) detail::pause_briefly();
        detail::pause_briefly();
    }

private:
    Random bits_;
};

void pin(std::thread& thread, unsigned core) {
#if defined(__linux__)
    cpu_set_t cores;
    CPU_ZERO(&cores);
    CPU_SET(core % std::thread::hardware_concurrency(), &cores);
    pthread_setaffinity_np(thread.native_handle(), sizeof cores, &cores);
#else
    static_cast<void>(thread);
    static_cast<void>(core);
#endif
}

/// Runs all of `bodies` at once, a thread each, and answers how long they took; two are pinned.
template <class... Bodies>
double timed(unsigned threads, const Bodies&... bodies) {
    std::atomic<unsigned> ready{0};
    std::atomic<bool> go{false};
    std::vector<std::thread> running;
    const auto start = [&](const auto& body) {
        running.emplace_back([&] {
            ready.fetch_add(1);
            while (!go.load()) std::this_thread::yield();
            body();
        });
        if (threads == 2) pin(running.back(), static_cast<unsigned>(running.size() - 1));
    };
    (start(bodies), ...);
    while (ready.load() != threads) std::this_thread::yield();
    const auto begin = std::chrono::steady_clock::now();
    go.store(true);
    for (std::thread& thread : running) thread.join();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

/// `Peer` has `bool push(const T&)` and `bool pop(T&)`.
template <class Peer, class T>
void produce(Peer& peer, std::size_t count) {
    const std::array<T, 256>& values = payloads<T>();
    Backing backing{0};
    for (std::size_t i = 0; i < count; ++i) {
        for (unsigned n = 0; !peer.push(values[i % 256]); ++n) backing.off(n);
    }
}
template <class Peer, class T>
void consume(Peer& peer, std::size_t count) {
    std::uint64_t sum = 0;
    T value{};
    Backing backing{1};
    for (std::size_t i = 0; i < count; ++i) {
        for (unsigned n = 0; !peer.pop(value); ++n) backing.off(n);
        sum += read(value);
    }
    benchmark::DoNotOptimize(sum);
}

template <class Peer, class T, unsigned producers, unsigned consumers>
void pass(benchmark::State& state) {
    for (auto _ : state) {
        Peer peer;
        const auto producer = [&] { produce<Peer, T>(peer, values_an_iteration / producers); };
        const auto consumer = [&] { consume<Peer, T>(peer, values_an_iteration / consumers); };
        double seconds = 0;
        if constexpr (producers == 2 && consumers == 2) {
            seconds = timed(4, producer, consumer, producer, consumer);
        } else if constexpr (producers == 2) {
            seconds = timed(3, producer, producer, consumer);
        } else {
            seconds = timed(2, producer, consumer);
        }
        state.SetIterationTime(seconds);
    }
    state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(values_an_iteration));
}

template <class Peer, class T>
void pass_batches(benchmark::State& state) {
    for (auto _ : state) {
        Peer peer;
        const auto producer = [&] {
            std::array<T, 256> values = payloads<T>();
            Backing backing{0};
            for (std::size_t sent = 0; sent < values_an_iteration;) {
                const std::span<T> next{values.data() + sent % 256 / batch * batch, batch};
                const std::span<T> left = next.first(std::min(batch, values_an_iteration - sent));
                std::size_t n = 0;
                for (unsigned tries = 0; (n = peer.ring.push_some(left)) == 0; ++tries) {
                    backing.off(tries);
                }
                sent += n;
            }
        };
        const auto consumer = [&] {
            std::uint64_t sum = 0;
            std::array<T, batch> values{};
            Backing backing{1};
            for (std::size_t got = 0; got < values_an_iteration;) {
                std::size_t n = 0;
                for (unsigned tries = 0; (n = peer.ring.pop_some(values)) == 0; ++tries) {
                    backing.off(tries);
                }
                for (std::size_t i = 0; i < n; ++i) sum += read(values[i]);
                got += n;
            }
            benchmark::DoNotOptimize(sum);
        };
        state.SetIterationTime(timed(2, producer, consumer));
    }
    state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(values_an_iteration));
}

/// Push and pop on one thread, with 16 values in it all the time.
template <class Peer>
void push_pop(benchmark::State& state) {
    const std::array<Small, 256>& values = payloads<Small>();
    Peer peer;
    for (std::size_t i = 0; i < 16; ++i) peer.push(values[i]);
    std::size_t next = 0;
    for (auto _ : state) {
        peer.push(values[next++ % values.size()]);
        Small value = 0;
        peer.pop(value);
        benchmark::DoNotOptimize(value);
    }
    state.SetItemsProcessed(state.iterations());
}

template <class Ring, std::size_t room = capacity>
struct Ours {
    Ring ring{room};
    bool push(const typename Ring::value_type& value) { return ring.try_push(value); }
    bool pop(typename Ring::value_type& into) {
        const auto value = ring.try_pop();
        if (value) into = *value;
        return value.has_value();
    }
};

#if defined(BELAY_BENCH_BOOST)
template <class T, std::size_t room>
struct BoostSpsc {
    boost::lockfree::spsc_queue<T, boost::lockfree::capacity<room>> queue;
    bool push(const T& value) { return queue.push(value); }
    bool pop(T& into) { return queue.pop(into); }
};
template <class T>
struct BoostQueue {
    boost::lockfree::queue<T, boost::lockfree::capacity<capacity>> queue;
    bool push(const T& value) { return queue.push(value); }
    bool pop(T& into) { return queue.pop(into); }
};
#endif
#if defined(BELAY_BENCH_READERWRITERQUEUE)
/// For as much room as the others have: of what is asked for it makes one block, a power of two of
/// which one slot stays empty, and above 1,023 values blocks of 512, of which it then has twice as
/// many as it needs.
template <class T, std::size_t room>
struct ReaderWriterQueue {
    moodycamel::ReaderWriterQueue<T> queue{room <= 1024 ? room - 1 : room / 2};
    bool push(const T& value) { return queue.try_enqueue(value); }
    bool pop(T& into) { return queue.try_dequeue(into); }
};
#endif
#if defined(BELAY_BENCH_CONCURRENTQUEUE)
template <class T>
struct ConcurrentQueue {
    // Room for all its producers' blocks, so that it allocates no more than the rings.
    moodycamel::ConcurrentQueue<T> queue{4 * capacity};
    bool push(const T& value) { return queue.try_enqueue(value); }
    bool pop(T& into) { return queue.try_dequeue(into); }
};
#endif
#if defined(BELAY_BENCH_ATOMIC_QUEUE)
template <class T, bool one_to_one, std::size_t room = capacity>
struct AtomicQueue {
    atomic_queue::AtomicQueue2<T, room, true, true, false, one_to_one> queue;
    bool push(const T& value) { return queue.try_push(value); }
    bool pop(T& into) { return queue.try_pop(into); }
};
#endif

// The names of one operation, with its own and all peers.
template <class Peer, class T>
void one_to_one(const std::string& name) {
    benchmark::RegisterBenchmark(name.c_str(), pass<Peer, T, 1, 1>)->UseManualTime();
}
template <class Peer, class T>
void two_to_two(const std::string& name) {
    benchmark::RegisterBenchmark(name.c_str(), pass<Peer, T, 2, 2>)->UseManualTime();
}
/// All at one room: where it is large the sides seldom meet, where it is small they often do.
template <class T, std::size_t room>
void register_spsc(const std::string& size) {
    const auto add = [&]<class Peer>(std::type_identity<Peer>, const char* name) {
        one_to_one<Peer, T>("queue/spsc_ring/pass_" + size + "/" + name +
                            "/room:" + std::to_string(room));
    };
    add(std::type_identity<Ours<SpscRing<T>, room>>{}, "belay");
#if defined(BELAY_BENCH_BOOST)
    add(std::type_identity<BoostSpsc<T, room>>{}, "boost_spsc");
#endif
#if defined(BELAY_BENCH_READERWRITERQUEUE)
    add(std::type_identity<ReaderWriterQueue<T, room>>{}, "readerwriterqueue");
#endif
#if defined(BELAY_BENCH_ATOMIC_QUEUE)
    add(std::type_identity<AtomicQueue<T, true, room>>{}, "atomic_queue");
#endif
}
template <class T>
void register_for(const std::string& size) {
    register_spsc<T, 2048>(size);
    register_spsc<T, 128>(size);
    const std::string mpmc = "queue/mpmc_ring/pass_2_to_2_" + size + "/";
    two_to_two<Ours<MpmcRing<T>>, T>(mpmc + "belay");
#if defined(BELAY_BENCH_BOOST)
    two_to_two<BoostQueue<T>, T>(mpmc + "boost_queue");
#endif
#if defined(BELAY_BENCH_CONCURRENTQUEUE)
    two_to_two<ConcurrentQueue<T>, T>(mpmc + "concurrentqueue");
#endif
#if defined(BELAY_BENCH_ATOMIC_QUEUE)
    two_to_two<AtomicQueue<T, false>, T>(mpmc + "atomic_queue");
#endif
}

const bool registered = [] {
    register_for<Small>("8_bytes");
    register_for<Large>("64_bytes");
    const auto add = [](const char* name, void (*run)(benchmark::State&)) {
        return benchmark::RegisterBenchmark(name, run);
    };
    const char* const batches = "queue/spsc_ring/batches_of_32/";
    add((batches + std::string{"belay"}).c_str(), pass_batches<Ours<SpscRing<Small>>, Small>)
        ->UseManualTime();
    add((batches + std::string{"single"}).c_str(), pass<Ours<SpscRing<Small>>, Small, 1, 1>)
        ->UseManualTime();
    add("queue/mpmc_ring/push_pop/belay", push_pop<Ours<MpmcRing<Small>>>);
#if defined(BELAY_BENCH_CONCURRENTQUEUE)
    add("queue/mpmc_ring/push_pop/concurrentqueue", push_pop<ConcurrentQueue<Small>>);
#endif
#if defined(BELAY_BENCH_BOOST)
    add("queue/mpmc_ring/push_pop/boost_queue", push_pop<BoostQueue<Small>>);
#endif
    return true;
}();

}  // namespace
