// SPDX-License-Identifier: MIT
// Goal: ThreadSleeper sleeps until the instant, and a stop ends the sleep. Method: real time and
// threads.
#include <belay/drive/thread_sleeper.hpp>

#include <atomic>
#include <thread>
#include <vector>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/policy/rules.hpp>

#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;

namespace {

// A stop token that must be polled, like std::stop_token.
struct Flag {
    const std::atomic<bool>* set;
    [[nodiscard]] bool stop_requested() const noexcept { return set->load(); }
};

template <class F>
Duration duration_of(F&& f) {
    const Instant before = SteadyClock{}.now();
    f();
    return elapsed(before, SteadyClock{}.now());
}

}  // namespace

TEST_CASE("ThreadSleeper sleeps until the instant, and not less", "[drive][thread_sleeper][unit]") {
    ThreadSleeper sleeper;
    const Instant until = after(sleeper.now(), 20ms);
    sleeper.sleep_until(until, NeverStops{});
    CHECK(sleeper.now() >= until);
    const auto past = [&] { sleeper.sleep_until(after(sleeper.now(), 0ns), NeverStops{}); };
    CHECK(duration_of(past) < 5s);
    CHECK(duration_of([&] { sleeper.sleep_until(always, NeverStops{}); }) < 5s);
}

TEST_CASE("ThreadSleeper wakes for a StopSource, however long the wait is",
          "[drive][thread_sleeper][unit]") {
    const StopSource source;
    std::thread stopper{[&] {
        std::this_thread::sleep_for(20ms);
        source.request_stop();
    }};
    ThreadSleeper sleeper;
    sleeper.sleep_until(never, source.token());
    CHECK(source.token().stop_requested());
    stopper.join();
    CHECK(duration_of([&] { sleeper.sleep_until(never, source.token()); }) < 5s);
}

TEST_CASE("ThreadSleeper polls any other token, also in an endless wait",
          "[drive][thread_sleeper][unit]") {
    std::atomic<bool> set{false};
    std::thread stopper{[&] {
        std::this_thread::sleep_for(20ms);
        set = true;
    }};
    ThreadSleeper sleeper;
    sleeper.sleep_until(never, Flag{&set});
    CHECK(set);
    stopper.join();
}

TEST_CASE("ThreadSleeper has its own random bits, or those of a seed",
          "[drive][thread_sleeper][unit]") {
    ThreadSleeper a;
    ThreadSleeper b;
    CHECK(a.bits()() != b.bits()());
    ThreadSleeper c{Seed{7}};
    ThreadSleeper d{Seed{7}};
    for (int i = 0; i < 3; ++i) CHECK(c.bits()() == d.bits()());
    ThreadSleeper copy{c};
    const std::uint64_t next = c.bits()();
    CHECK(copy.bits()() == next);
    copy = c;
    CHECK(copy.bits()() == c.bits()());
}

TEST_CASE("Threads that share a ThreadSleeper draw from generators of their own",
          "[drive][thread_sleeper][regression]") {
    const bool is_seeded = GENERATE(false, true);
    ThreadSleeper sleeper = is_seeded ? ThreadSleeper{Seed{7}} : ThreadSleeper{};
    Random& own = sleeper.bits();
    std::vector<std::uint64_t> drawn{own()};
    bool is_shared = true;
    std::thread other{[&] {
        Random& others = sleeper.bits();
        is_shared = &others == &own;
        drawn.push_back(others());
    }};
    other.join();
    CHECK_FALSE(is_shared);
    CHECK(drawn[0] != drawn[1]);
    const Policy policy{Backoff{NoJitter{}, Cap{1ms}, 1us}, MaxAttempts{3}};
    std::vector<std::thread> threads;
    std::atomic<int> calls{0};
    for (int i = 0; i < 4; ++i) {
        threads.emplace_back(
            [&] { static_cast<void>(retry(policy, sleeper, [&] { return ++calls, false; })); });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(calls == 12);
}

TEST_CASE("retry without a sleeper really waits", "[drive][thread_sleeper][unit]") {
    const Policy policy{Backoff{NoJitter{}, Cap{1s}, 5ms}, MaxAttempts{3}};
    int calls = 0;
    CHECK(duration_of([&] { CHECK_FALSE(retry(policy, [&] { return ++calls, false; })); }) >= 15ms);
    CHECK(calls == 3);
}

TEST_CASE("retry is ended by a stop from another thread in the middle of a wait",
          "[drive][thread_sleeper][unit]") {
    const StopSource source;
    std::atomic<int> calls{0};
    std::thread stopper{[&] {
        while (calls == 0) std::this_thread::yield();
        source.request_stop();
    }};
    struct Observer {
        int retries = 0;
        void on_retry(const RetryPlanned&) { ++retries; }
    } observer;
    const auto result = retry(
        Backoff{NoJitter{}, Cap{forever}, 24h}, [&] { return ++calls, false; }, source.token(),
        observer);
    stopper.join();
    CHECK(result.error() == CallErrc::stopped);
    CHECK(calls == 1);
    CHECK(observer.retries == 1);
}
