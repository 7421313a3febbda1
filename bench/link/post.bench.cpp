// SPDX-License-Identifier: MIT
// What a message costs the thread that gives it to a supervisor of another thread to send, beside a queue
// under a mutex with a condition variable, both bounded alike. Processor time of the posting thread: how
// soon the other one gets a processor is the machine's.
#include <belay/link/supervisor.hpp>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include <benchmark/benchmark.h>

#include <belay/drive/loop.hpp>
#include <belay/policy/rules.hpp>

using namespace belay;

namespace {

constexpr std::size_t room = 1024;
constexpr std::uint64_t burst = 64;  // posts for each iteration

struct Counted {
    using message_type = std::uint64_t;
    struct Connection {
        SendResult send(const std::uint64_t&) noexcept {
            sent->fetch_add(1, std::memory_order_relaxed);
            return SendResult::sent;
        }
        std::atomic<std::uint64_t>* sent;
    };
    std::atomic<std::uint64_t>* sent;
    Connection open(const Link<std::uint64_t>& link) {
        link.opened();
        return {sent};
    }
};

void post_belay(benchmark::State& state) {
    std::atomic<std::uint64_t> sent{0};
    std::atomic<bool> over{false};
    Loop<> loop;
    Supervisor link{Counted{&sent}, MaxAttempts{1}, {.messages_max = room}};
    loop.attach(link);
    link.start();
    const auto handle = link.handle();
    std::thread home{[&] { static_cast<void>(loop.run_until([&] { return over.load(); })); }};
    while (handle.status().state != LinkState::connected) std::this_thread::yield();
    std::uint64_t posted = 0;
    for (auto _ : state) {
        for (const std::uint64_t end = posted + burst; posted < end;) {
            if (handle.post(posted) == driver::Post::taken) {
                ++posted;
            } else {
                std::this_thread::yield();
            }
        }
    }
    while (sent.load() != posted) std::this_thread::yield();
    loop.post([&] { over = true; });
    home.join();
    state.SetItemsProcessed(static_cast<std::int64_t>(posted));
}
BENCHMARK(post_belay)->Name("link/handle/post/belay");

void post_mutex(benchmark::State& state) {
    std::atomic<std::uint64_t> sent{0};
    std::mutex mutex;
    std::condition_variable filled;
    std::deque<std::uint64_t> queue;
    bool over = false;
    std::thread home{[&] {
        std::unique_lock lock{mutex};
        for (;;) {
            filled.wait(lock, [&] { return over || !queue.empty(); });
            if (queue.empty()) return;
            queue.pop_front();
            lock.unlock();
            sent.fetch_add(1, std::memory_order_relaxed);
            lock.lock();
        }
    }};
    std::uint64_t posted = 0;
    for (auto _ : state) {
        for (const std::uint64_t end = posted + burst; posted < end;) {
            bool taken = false;
            {
                const std::lock_guard lock{mutex};
                taken = queue.size() < room;
                if (taken) queue.push_back(posted);
            }
            if (taken) {
                filled.notify_one();
                ++posted;
            } else {
                std::this_thread::yield();
            }
        }
    }
    while (sent.load() != posted) std::this_thread::yield();
    {
        const std::lock_guard lock{mutex};
        over = true;
    }
    filled.notify_one();
    home.join();
    state.SetItemsProcessed(static_cast<std::int64_t>(posted));
}
BENCHMARK(post_mutex)->Name("link/handle/post/mutex");

}  // namespace
