// SPDX-License-Identifier: MIT
// Goal: a thread that waits on a BlockingRing wakes up for every change and for the close, and
// no value is lost. Method: every order of the atomic accesses of small scripts, and real
// threads.
#include <belay/queue/concurrent_rings.hpp>

#include <memory>
#include <thread>

#include "support/queue/ring_model.hpp"
#include "support/queue/ring_suite.hpp"

using namespace belay;
using belay_test::Faulty;
using belay_test::ModelAtomic;
using belay_test::NumberedItem;
using belay_test::OrderedAtomic;
using belay_test::Received;
using belay_test::TrackedOver;

namespace {

static_assert(noexcept(std::declval<BlockingRing<SpscRing<int>>&>().push_wait(1)));
static_assert(noexcept(std::declval<BlockingRing<SpscRing<int>>&>().pop_wait()));
static_assert(!std::is_move_constructible_v<BlockingRing<SpscRing<int>>>,
              "a thread may sleep on it");

template <template <class> class Ring, template <class> class Atomic>
std::string blocking_mistake(std::size_t capacity, const std::vector<std::string>& scripts,
                             int filled = 0) {
    using Blocking = BlockingRing<Ring<TrackedOver<Atomic>>>;
    const auto make = [capacity] {
        return std::make_unique<Blocking>(capacity, BlockingRingOptions{.spins = 0});
    };
    return belay_test::explore_ring(make, capacity, true, scripts, filled).mistake;
}

/// `producers` threads push with waits. The last of them to end closes the ring.
template <class Ring>
void check_waits(std::size_t capacity, std::uint32_t producers, std::uint32_t consumers,
                 std::uint32_t each, unsigned spins) {
    BlockingRing<Ring> ring{capacity, {.spins = spins}};
    std::atomic<std::uint32_t> producing{producers};
    std::vector<Received> received(consumers, Received{producers});
    std::vector<std::thread> threads;
    for (std::uint32_t p = 0; p < producers; ++p) {
        threads.emplace_back([&, p] {
            std::uint32_t taken = 0;
            for (std::uint32_t n = 0; n < each; ++n)
                taken += ring.push_wait(NumberedItem{p, n}) ? 1U : 0U;
            if (producing.fetch_sub(1) == 1) ring.close();
            if (taken != each) received[0].mistake = "a push was refused before the close";
        });
    }
    for (std::uint32_t c = 0; c < consumers; ++c) {
        threads.emplace_back([&, c] {
            std::array<NumberedItem, 4> batch;
            while (const auto one = ring.pop_wait()) {
                received[c].add(*one);
                const std::size_t n = ring.pop_some_wait(batch);
                for (std::size_t i = 0; i < n; ++i) received[c].add(batch[i]);
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
    belay_test::check_received(received, producers, each);
}

/// Producers push until they are rejected, consumers run a worker loop, and one thread closes. Each
/// accepted value must be popped.
template <class Ring>
void check_overlapping_close(std::uint32_t producers, std::uint32_t consumers, int round) {
    BlockingRing<Ring> ring{1U << round % 7, {.spins = round % 2 == 0 ? 0U : 64U}};
    std::atomic<std::uint64_t> pushed{0}, taken{0};
    std::vector<std::thread> threads;
    for (std::uint32_t p = 0; p < producers; ++p) {
        threads.emplace_back([&, p] {
            std::uint32_t n = 0;
            while (ring.push_wait(NumberedItem{p, n})) ++n;
            pushed += n;
        });
    }
    for (std::uint32_t c = 0; c < consumers; ++c) {
        threads.emplace_back([&] {
            std::uint64_t n = 0;
            while (ring.pop_wait()) ++n;
            taken += n;
        });
    }
    for (int i = 0; i < round * 20; ++i) std::this_thread::yield();
    ring.close();
    for (std::thread& thread : threads) thread.join();
    CHECK(pushed == taken);
    CHECK(ring.size() == 0);
}

/// Checks that a rejected push leaves the value unchanged.
template <class Value>
void check_rejected_is_unchanged() {
    for (int round = 0; round < 60; ++round) {
        BlockingRing<SpscRing<Value>> ring{64};
        bool unchanged = false;
        int pushed = 0;
        std::thread producer{[&] {
            for (;; ++pushed) {
                Value value{std::make_unique<int>(pushed)};
                if (ring.push_wait(std::move(value))) continue;
                unchanged = *value == pushed;
                return;
            }
        }};
        int next = 0;
        for (; next < round * 5; ++next) {
            const auto got = ring.pop_wait();
            if (**got != next) FAIL("out of order");
        }
        ring.close();
        while (const auto got = ring.pop_wait()) {
            if (**got != next++) FAIL("out of order");
        }
        producer.join();
        CHECK(unchanged);
        CHECK(next == pushed);
    }
}

}  // namespace

TEST_CASE("BlockingRing behaves like its ring", "[queue][blocking_ring][unit]") {
    BlockingRing<SpscRing<std::unique_ptr<int>>> ring{2};
    CHECK(ring.capacity() == 2);
    CHECK(ring.try_push(std::make_unique<int>(1)));
    CHECK(ring.push_wait(std::make_unique<int>(2)));
    auto refused = std::make_unique<int>(3);
    CHECK_FALSE(ring.try_push(std::move(refused)));
    CHECK(*refused == 3);
    CHECK(ring.size() == 2);
    CHECK(**ring.try_pop() == 1);
    CHECK(**ring.pop_wait() == 2);
    std::array<std::unique_ptr<int>, 3> batch{std::make_unique<int>(4), std::make_unique<int>(5),
                                              std::make_unique<int>(6)};
    CHECK(ring.push_some(batch) == 2);
    CHECK(*batch[2] == 6);
    CHECK(ring.pop_some_wait(batch) == 2);
    CHECK((*batch[0] == 4 && *batch[1] == 5));
    CHECK(ring.pop_some(batch) == 0);
}

TEST_CASE("BlockingRing accepts values that can be moved and not assigned",
          "[queue][blocking_ring][regression]") {
    int ran = 0;
    const auto task = [&ran] { ++ran; };
    using Task = std::remove_const_t<decltype(task)>;
    static_assert(!std::is_move_assignable_v<Task>);
    BlockingRing<MpmcRing<Task>> tasks{2};
    CHECK(tasks.push_wait(Task{task}));
    tasks.close();
    while (const auto taken = tasks.pop_wait()) (*taken)();
    CHECK(ran == 1);
}

TEST_CASE("BlockingRing::close rejects pushes, and returns the remaining values",
          "[queue][blocking_ring][unit]") {
    BlockingRing<MpmcRing<std::string>> ring{4};
    CHECK(ring.try_push("a"));
    CHECK(ring.try_push("b"));
    CHECK_FALSE(ring.closed());
    ring.close();
    ring.close();
    CHECK(ring.closed());
    std::string refused = "c";
    CHECK_FALSE(ring.try_push(std::move(refused)));
    CHECK_FALSE(ring.push_wait(std::move(refused)));
    CHECK(refused == "c");
    CHECK(ring.push_some(std::span{&refused, 1}) == 0);
    CHECK(ring.pop_wait() == "a");
    std::array<std::string, 2> rest;
    CHECK(ring.pop_some_wait(rest) == 1);
    CHECK(rest[0] == "b");
    CHECK(ring.pop_wait() == std::nullopt);
    CHECK(ring.pop_some_wait(rest) == 0);
}

TEMPLATE_TEST_CASE("BlockingRing::pop_some_wait into an empty span returns 0 at once",
                   "[queue][blocking_ring][unit]", SpscRing<int>, MpmcRing<int>) {
    BlockingRing<TestType> ring{2};
    CHECK(ring.pop_some_wait({}) == 0);  // empty, and without a producer
    REQUIRE(ring.try_push(1));
    CHECK(ring.pop_some_wait({}) == 0);
    CHECK(ring.pop_some({}) == 0);
    CHECK(ring.push_some({}) == 0);
    CHECK(ring.pop_wait() == 1);
    ring.close();
    CHECK(ring.pop_some_wait({}) == 0);
}

#if !BELAY_TEST_SANITIZED  // a sanitizer does not support fibers
TEST_CASE("BlockingRing wakes a waiting thread, in every order of its accesses",
          "[queue][blocking_ring][property]") {
    CHECK(blocking_mistake<SpscRing, ModelAtomic>(1, {"w", "t"}) == "");
    CHECK(blocking_mistake<SpscRing, ModelAtomic>(1, {"p", "T"}) == "");
    CHECK(blocking_mistake<SpscRing, ModelAtomic>(1, {"pw", "t"}) == "");
    CHECK(blocking_mistake<SpscRing, ModelAtomic>(1, {"wc", "tt"}) == "");
    CHECK(blocking_mistake<SpscRing, ModelAtomic>(2, {"Pc", "T"}) == "");
    CHECK(blocking_mistake<SpscRing, ModelAtomic>(2, {"P", "tt"}) == "");
    // A thread waits for space, which each of the ways to pop frees.
    CHECK(blocking_mistake<SpscRing, ModelAtomic>(1, {"w", "o"}, 1) == "");
    CHECK(blocking_mistake<SpscRing, ModelAtomic>(1, {"w", "O"}, 1) == "");
    CHECK(blocking_mistake<SpscRing, ModelAtomic>(1, {"w", "T"}, 1) == "");
    CHECK(blocking_mistake<SpscRing, ModelAtomic>(1, {"w", "c"}, 1) == "");
    CHECK(blocking_mistake<MpmcRing, ModelAtomic>(1, {"pw", "c", "o"}) == "");
    CHECK(blocking_mistake<MpmcRing, ModelAtomic>(1, {"c", "t", "t"}) == "");
}

TEST_CASE("BlockingRing accepts or rejects a value that is pushed during a close",
          "[queue][blocking_ring][property][regression]") {
    CHECK(blocking_mistake<SpscRing, ModelAtomic>(1, {"w", "ct"}) == "");
    CHECK(blocking_mistake<SpscRing, ModelAtomic>(2, {"P", "cT"}) == "");
    CHECK(blocking_mistake<SpscRing, ModelAtomic>(1, {"w", "t", "c"}) == "");
    CHECK(blocking_mistake<MpmcRing, ModelAtomic>(2, {"P", "cT"}) == "");
    CHECK(blocking_mistake<MpmcRing, ModelAtomic>(1, {"w", "ct"}) == "");
    CHECK(blocking_mistake<MpmcRing, ModelAtomic>(1, {"p", "cT"}) == "");
}

TEST_CASE("BlockingRing must wake all, and announce its waits by an exchange",
          "[queue][blocking_ring][property]") {
    const std::string hangs = "a thread waits for ever";
    CHECK(blocking_mistake<MpmcRing, Faulty<belay_test::Fault::wakes_one>::Atomic>(
              2, {"P", "t", "t"}) == hangs);
    CHECK(blocking_mistake<SpscRing, Faulty<belay_test::Fault::adds_nothing_by_load>::Atomic>(
              1, {"w", "t"}) == hangs);
}

TEST_CASE("BlockingRing needs each of its memory orders", "[queue][blocking_ring][property]") {
    const auto look = [] {
        std::string found = blocking_mistake<SpscRing, OrderedAtomic>(1, {"w", "t"});
        if (found.empty()) found = blocking_mistake<SpscRing, OrderedAtomic>(1, {"c", "t"});
        if (found.empty()) found = blocking_mistake<SpscRing, OrderedAtomic>(1, {"pw", "t"});
        if (found.empty()) found = blocking_mistake<SpscRing, OrderedAtomic>(1, {"wc", "tt"});
        return found;
    };
    CHECK(belay_test::needless_orders(look) == std::vector<std::string>{});
}
#endif

TEST_CASE("BlockingRing passes every value on between threads that wait",
          "[queue][blocking_ring][unit]") {
    for (const unsigned spins : {0U, 64U}) {
        check_waits<SpscRing<NumberedItem>>(1, 1, 1, 2'000, spins);
        check_waits<SpscRing<NumberedItem>>(64, 1, 1, 20'000, spins);
        check_waits<MpmcRing<NumberedItem>>(2, 3, 1, 2'000, spins);
        check_waits<MpmcRing<NumberedItem>>(2, 2, 2, 2'000, spins);
        check_waits<MpmcRing<NumberedItem>>(64, 3, 3, 5'000, spins);
    }
}

TEST_CASE("BlockingRing gives a worker loop every value that a push accepted during a close",
          "[queue][blocking_ring][regression]") {
    // Threads that spin take long on a busy machine. The exploration above tries every order.
    for (int round = 0; round < 15; ++round) {
        check_overlapping_close<SpscRing<NumberedItem>>(1, 1, round);
        check_overlapping_close<MpmcRing<NumberedItem>>(3, 1, round);
        check_overlapping_close<MpmcRing<NumberedItem>>(3, 2, round);
    }
}

TEST_CASE("BlockingRing does not change a value that it rejects during a close",
          "[queue][blocking_ring][regression]") {
    // Values that can be assigned, and values that cannot.
    check_rejected_is_unchanged<std::unique_ptr<int>>();
    struct Fixed {
        explicit Fixed(std::unique_ptr<int> n) : number{std::move(n)} {}
        Fixed(Fixed&&) noexcept = default;
        int& operator*() const { return *number; }
        const int fixed = 0;
        std::unique_ptr<int> number;
    };
    static_assert(!std::is_move_assignable_v<Fixed>);
    check_rejected_is_unchanged<Fixed>();
}

TEST_CASE("BlockingRing::close ends the waits of both sides", "[queue][blocking_ring][unit]") {
    BlockingRing<MpmcRing<int>> empty{1}, full{1};
    CHECK(full.try_push(1));
    std::atomic<int> ended{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 2; ++i) {
        threads.emplace_back([&] { ended += empty.pop_wait() ? 0 : 1; });
        threads.emplace_back([&] { ended += full.push_wait(2) ? 0 : 1; });
    }
    empty.close();
    full.close();
    for (std::thread& thread : threads) thread.join();
    CHECK(ended == 4);
    CHECK(full.try_pop() == 1);
}
