// SPDX-License-Identifier: MIT
// Goal: OldestAge is never too low, and too high by no more than documented. Method: queues
// whose values carry the time of their push, in virtual time.
#include <belay/queue/queue.hpp>

#include <belay/core/random.hpp>
#include <belay/queue/overflows.hpp>
#include <belay/queue/storages.hpp>

#include "support/catch.hpp"
#include "support/shorthand.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::at;

namespace {

constexpr Duration after_two_of_three() {
    OldestAge<4> oldest;
    oldest.sample(at(0s), 0, 0);
    oldest.sample(at(1s), 1, 1);
    oldest.sample(at(2s), 2, 2);
    oldest.sample(at(3s), 3, 1);
    return oldest.age(at(5s));
}
// The third was pushed between 2s and 3s.
static_assert(after_two_of_three() == 3s);

}  // namespace

TEST_CASE("OldestAge is zero while no value waits", "[queue][oldest_age][unit]") {
    OldestAge<> oldest;
    CHECK(oldest.age(at(1h)) == 0s);
    oldest.sample(at(1h), 0, 0);
    CHECK(oldest.age(at(2h)) == 0s);
    oldest.sample(at(2h), 5, 0);
    CHECK(oldest.age(at(3h)) == 0s);
    oldest.sample(at(3h), 6, 1);
    CHECK(oldest.age(at(3h)) == 1h);  // pushed after 2h
    CHECK(oldest.age(at(4h)) == 2h);
    oldest.sample(at(5h), 6, 0);
    CHECK(oldest.age(at(6h)) == 0s);
}

TEST_CASE("OldestAge counts values that it finds from its first sample",
          "[queue][oldest_age][unit]") {
    // A journal that was opened has operations that this object has not counted.
    OldestAge<> oldest;
    oldest.sample(at(10s), 0, 7);
    CHECK(oldest.age(at(10s)) == 0s);
    CHECK(oldest.age(at(15s)) == 5s);
    oldest.sample(at(20s), 3, 8);
    CHECK(oldest.age(at(20s)) == 10s);
    oldest.sample(at(30s), 3, 3);
    CHECK(oldest.age(at(30s)) == 20s);  // pushed after 10s
}

TEST_CASE("OldestAge survives a clock that stands still", "[queue][oldest_age][unit]") {
    OldestAge<4> oldest;
    for (std::uint64_t i = 0; i < 100; ++i) oldest.sample(at(1s), i, static_cast<std::size_t>(i));
    CHECK(oldest.age(at(1s)) == 0s);
    CHECK(oldest.age(at(3s)) == 2s);
}

TEST_CASE("OldestAge is precise again some samples after a long wait",
          "[queue][oldest_age][unit]") {
    OldestAge<> oldest;
    std::uint64_t pushed = 1;
    for (int second = 0; second < 10'000; ++second) oldest.sample(at(second * 1s), pushed, 1);
    CHECK(oldest.age(at(10'000s)) == 10'000s);
    // From here on each value waits for three seconds.
    for (int second = 10'000; second < 10'100; ++second) {
        oldest.sample(at(second * 1s), ++pushed, 3);
    }
    CHECK(oldest.age(at(10'099s)) == 3s);
}

namespace {

/// Runs a random history, and compares each age with the first value's time of push.
template <std::size_t Marks, class Overflow>
void stays_close(std::uint64_t seed) {
    Random bits{Seed{seed}};
    Queue queue{Deque<Instant>{}, Overflow{}, {.limit = 300}, QueueCounters{}};
    OldestAge<Marks> oldest;
    const Duration interval = 10ms;
    Duration longest{};
    Instant now = at(0s);
    // The queue fills for a while, and then empties.
    std::uint64_t pushes_of_ten = 5;
    for (int turn = 0; turn < 2000; ++turn, now += interval) {
        if (bits() % 200 == 0) pushes_of_ten = bits() % 11;
        for (std::uint64_t i = bits() % 4; i != 0; --i) {
            if (bits() % 10 < pushes_of_ten) {
                // The push is at some time in the turn that ends now.
                static_cast<void>(queue.push(now));
            } else {
                static_cast<void>(queue.pop());
            }
        }
        oldest.sample(now, queue.observer().pushed, queue.size());
        Instant* const first = queue.storage().front();
        const Duration truth = first == nullptr ? Duration::zero() : now - *first;
        if (truth > longest) longest = truth;
        if (first == nullptr) RC_ASSERT(oldest.age(now) == 0s);
        RC_ASSERT(oldest.age(now) >= truth);
        RC_ASSERT(oldest.age(now) <= truth + interval + longest * 6 / Marks);
        RC_ASSERT(oldest.age(now + 1s) == (first == nullptr ? 0s : oldest.age(now) + 1s));
    }
}

}  // namespace

TEST_CASE("OldestAge is never too low, and too high by no more than documented",
          "[queue][oldest_age][property]") {
    CHECK(rc::check("Reject", [](std::uint64_t seed) { stays_close<32, Reject>(seed); }));
    CHECK(rc::check("few marks", [](std::uint64_t seed) { stays_close<5, Reject>(seed); }));
    CHECK(rc::check("many marks", [](std::uint64_t seed) { stays_close<500, Reject>(seed); }));
    CHECK(rc::check("DropOldest", [](std::uint64_t seed) { stays_close<32, DropOldest>(seed); }));
    CHECK(rc::check("DropNewest", [](std::uint64_t seed) { stays_close<32, DropNewest>(seed); }));
}
