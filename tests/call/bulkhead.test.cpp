// SPDX-License-Identifier: MIT
// Goal: Bulkhead never has more than its limit running or waiting, and every permit and slot is
// returned. Method: examples and threads.
#include <belay/call/limiters.hpp>

#include <atomic>
#include <optional>
#include <thread>
#include <vector>

#include <belay/call/retry.hpp>
#include <belay/policy/policy.hpp>
#include <belay/policy/shared.hpp>

#include "support/archetypes.hpp"
#include "support/budget/granted.hpp"
#include "support/catch.hpp"
#include "support/shorthand.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::at;
using belay_test::granted;

static_assert(ShareableLike<Bulkhead>);

TEST_CASE("Bulkhead rejects beyond its limit, until a permit is returned",
          "[call][bulkhead][unit]") {
    Bulkhead bulkhead{{.limit = 2, .ask_every = 3ms}};
    Random bits{Seed{1}};
    Turn turn{at(1s), bits};
    auto first = bulkhead.acquire(turn);
    std::optional second{bulkhead.acquire(turn)};
    CHECK(first);
    CHECK(*second);
    CHECK(bulkhead.running() == 2);
    const auto rejected = bulkhead.acquire(turn);
    CHECK_FALSE(rejected);
    CHECK(rejected.retry_at() == at(1003ms));
    CHECK(bulkhead.admit(turn.now) == Advice::suspend(at(1003ms)));
    SECTION("by success") { first.success(turn); }
    SECTION("by failure") { CHECK(first.failure(turn) == Advice::go()); }
    SECTION("without a verdict") { first.neutral(); }
    SECTION("by its destructor") { second.reset(); }
    CHECK(bulkhead.running() == 1);
    CHECK(bulkhead.admit(turn.now) == Advice::go());
    CHECK(granted(bulkhead.acquire(turn)));
    CHECK(bulkhead.running() == 1);
}

TEST_CASE("Bulkhead counts admitted and rejected callers", "[call][bulkhead][unit]") {
    Bulkhead bulkhead{{.limit = 1}};
    CHECK(bulkhead.counters() == PermitCounters{});
    for (int i = 0; i < 3; ++i) {
        const auto permit = bulkhead.acquire(at(0s));
        CHECK_FALSE(granted(bulkhead.acquire(at(0s))));
        CHECK(bulkhead.admit(at(0s)).verb == Advice::Verb::suspend);
    }
    CHECK(bulkhead.counters() == PermitCounters{.admitted = 3, .rejected = 3});
}

TEST_CASE("A permit of Bulkhead is returned once, however often it is finished or moved",
          "[call][bulkhead][unit]") {
    Bulkhead bulkhead{{.limit = 5}};
    auto kept = bulkhead.acquire(at(0s));
    auto permit = bulkhead.acquire(at(0s));
    auto moved = std::move(permit);
    moved.neutral();
    moved.neutral();
    permit.neutral();
    CHECK(bulkhead.running() == 1);
    kept = bulkhead.acquire(at(0s));
    CHECK(bulkhead.running() == 1);
}

TEST_CASE("retry waits for a shared Bulkhead, and holds a permit only during a call",
          "[call][bulkhead][unit]") {
    Bulkhead bulkhead{{.limit = 1, .ask_every = 10ms}};
    Random bits{Seed{1}};
    belay_test::MinimalSleeper sleeper{bits};
    std::optional other{bulkhead.acquire(at(0s))};
    struct Frees {
        std::optional<Bulkhead::Permit>* permit;
        int asked = 0;
        void on_rejection(const CallRejected& rejection) {
            CHECK(rejection.advice.by == "Bulkhead");
            CHECK(rejection.attempt.number == 1);
            if (++asked == 3) permit->reset();
        }
    } observer{&other};
    int calls = 0;
    CHECK(retry(
        Policy{Shared{bulkhead}}, sleeper,
        [&] {
            CHECK(bulkhead.running() == 1);
            return ++calls == 3;
        },
        NeverStops{}, observer));
    // Three waits, each of them extended by a random part of `ask_every`.
    CHECK(sleeper.now() >= at(30ms));
    CHECK(sleeper.now() <= at(60ms));
    CHECK(bulkhead.running() == 0);
}

TEST_CASE("Bulkhead admits at most its limit, from any number of threads",
          "[call][bulkhead][unit]") {
    Bulkhead bulkhead{{.limit = 2}};
    std::atomic<int> inside{0};
    std::atomic<bool> overrun{false};
    std::atomic<int> calls{0};
    const auto hammer = [&] {
        for (int i = 0; i < 10'000; ++i) {
            if (const auto permit = bulkhead.acquire(at(0s))) {
                if (inside.fetch_add(1) >= 2) overrun = true;
                ++calls;
                inside.fetch_sub(1);
            }
        }
    };
    std::vector<std::thread> threads;
    for (int i = 0; i < 3; ++i) threads.emplace_back(hammer);
    for (std::thread& thread : threads) thread.join();
    CHECK_FALSE(overrun);
    CHECK(calls > 0);
    CHECK(bulkhead.running() == 0);
    CHECK(bulkhead.waiting() == 0);
}

TEST_CASE("A Bulkhead with a limit of 1 synchronizes the memory of its calls",
          "[call][bulkhead][unit]") {
    // The count is not atomic: a race would be detected by the thread sanitizer, and lose counts.
    int count = 0;
    Bulkhead bulkhead{{.limit = 1}};
    const auto hammer = [&] {
        for (int done = 0; done < 2'000;) {
            if (const auto permit = bulkhead.acquire(at(0s))) {
                ++count;
                ++done;
            } else {
                std::this_thread::yield();
            }
        }
    };
    std::thread other{hammer};
    hammer();
    other.join();
    CHECK(count == 4'000);
}
