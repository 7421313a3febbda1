// SPDX-License-Identifier: MIT
/// \file tests/support/queue/ring_suite.hpp
/// The common tests of SpscRing and MpmcRing, as functions over `Ring<T>`.
#pragma once

#include <array>
#include <atomic>
#include <deque>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "support/aborts.hpp"
#include "support/catch.hpp"
#include "support/queue/storage_conformance.hpp"

namespace belay_test {

/// Batches and single values at random, compared with a std::deque.
template <class Ring>
void check_batches() {
    struct Step {
        bool push;
        std::size_t count;  // 0: one value without a batch
    };
    const auto step =
        rc::gen::construct<Step>(rc::gen::arbitrary<bool>(), rc::gen::inRange<std::size_t>(0, 12));
    const auto steps = rc::gen::container<std::vector<Step>>(step);
    CHECK(rc::check("batches transfer as many values as fit, in order", [&] {
        Ring ring{*rc::gen::inRange<std::size_t>(1, 10)};
        std::deque<int> model;
        int next = 0;
        for (const Step& s : *steps) {
            const std::size_t most = s.push ? ring.capacity() - model.size() : model.size();
            const std::size_t wanted = std::max<std::size_t>(s.count, 1);
            const std::size_t fits = std::min(most, wanted);
            std::vector<std::unique_ptr<int>> values(wanted);
            if (s.push) {
                for (std::size_t i = 0; i < wanted; ++i) {
                    values[i] = std::make_unique<int>(next + static_cast<int>(i));
                }
                const std::size_t n =
                    s.count == 0 ? ring.try_push(std::move(values[0])) : ring.push_some(values);
                RC_ASSERT(n == fits);
                for (std::size_t i = 0; i < wanted; ++i) {
                    // Values that were not accepted are unchanged.
                    RC_ASSERT((values[i] == nullptr) == (i < n));
                    if (i < n) model.push_back(next + static_cast<int>(i));
                }
                next += static_cast<int>(n);
            } else {
                if (s.count == 0) {
                    auto got = ring.try_pop();
                    RC_ASSERT(got.has_value() == (fits == 1));
                    if (got) values[0] = std::move(*got);
                } else {
                    RC_ASSERT(ring.pop_some(values) == fits);
                }
                for (std::size_t i = 0; i < fits; ++i) {
                    RC_ASSERT(*values[i] == model.front());
                    model.pop_front();
                }
            }
            RC_ASSERT(ring.size() == model.size());
        }
    }));
}

/// `Ring<T>` is a storage with every kind of capacity, and moves like one.
template <template <class> class Ring>
void check_ring_conforms() {
    const auto value = [](std::uint64_t i) { return static_cast<int>(i); };
    for (const std::size_t capacity : {1U, 2U, 3U, 5U, 8U, 13U}) {
        CHECK(Ring<int>{capacity}.capacity() == capacity);
        check_storage_conformance([capacity] { return Ring<int>{capacity}; }, value);
    }
    check_storage_conformance([] { return Ring<std::string>{7}; },
                              [](std::uint64_t i) { return std::string(i % 40, 'x'); });
}

template <template <class> class Ring>
void check_lifetimes() {
    const auto shared = std::make_shared<int>(1);
    {
        Ring<std::shared_ptr<int>> ring{3};
        for (int i = 0; i < 3; ++i) CHECK(ring.try_push(shared));
        CHECK_FALSE(ring.try_push(shared));
        CHECK(shared.use_count() == 4);
        CHECK(ring.try_pop() == shared);
        CHECK(shared.use_count() == 3);
        CHECK(ring.try_push(shared));  // the next value is stored at the other end
        Ring<std::shared_ptr<int>> moved{std::move(ring)};
        CHECK(moved.size() == 3);
        Ring<std::shared_ptr<int>> other{9};
        CHECK(other.try_push(shared));
        other = std::move(moved);
        CHECK(other.size() == 3);
        CHECK(other.capacity() == 3);
        CHECK(shared.use_count() == 4);
        Ring<std::shared_ptr<int>>& same = other;
        other = std::move(same);
        CHECK(other.size() == 3);
    }
    CHECK(shared.use_count() == 1);
}

/// A copy that throws adds no value, and leaves no gap that would hide the values after it.
template <template <class> class Ring>
void check_throwing_copy() {
    struct Bomb {
        explicit Bomb(int n) : number{n} {}
        Bomb(const Bomb& other) : number{other.number} {
            if (number < 0) throw number;
        }
        Bomb(Bomb&& other) noexcept : number{other.number} {}
        int number;
    };
    static_assert(!noexcept(std::declval<Ring<Bomb>&>().try_push(std::declval<const Bomb&>())));
    static_assert(noexcept(std::declval<Ring<Bomb>&>().try_push(std::declval<Bomb>())));
    Ring<Bomb> ring{2};
    const Bomb bomb{-1}, good{1};
    CHECK_THROWS_AS(ring.try_push(bomb), int);
    CHECK(ring.size() == 0);
    CHECK(ring.try_push(good));
    CHECK_THROWS_AS(ring.try_push(bomb), int);
    CHECK(ring.try_push(Bomb{2}));
    CHECK(ring.try_pop()->number == 1);
    CHECK(ring.try_pop()->number == 2);
    CHECK_FALSE(ring.try_pop());
}

/// Values may require more alignment than operator new has by default.
template <template <class> class Ring>
void check_alignment() {
    struct alignas(256) Wide {
        char byte;
    };
    Ring<Wide> ring{3};
    for (char i = 0; i < 3; ++i) CHECK(ring.try_push(Wide{i}));
    if constexpr (requires { ring.front(); }) {
        CHECK(reinterpret_cast<std::uintptr_t>(ring.front()) % 256 == 0);
    }
    for (char i = 0; i < 3; ++i) CHECK(ring.try_pop()->byte == i);
}

template <template <class> class Ring>
void check_bad_capacities() {
    const std::string output = "the capacity must be from 1 to 2^48";
    CHECK(aborts_with([] { Ring<int>{0}; }).find(output) != std::string::npos);
    CHECK(aborts_with([] { Ring<int>{~std::size_t{0}}; }).find(output) != std::string::npos);
    CHECK(aborts_with([] { Ring<int>{(std::size_t{1} << 48) + 1}; }).find(output) !=
          std::string::npos);
}

template <template <class> class Ring>
void check_ack_asks_for_a_value() {
    Ring<int> ring{2};
    CHECK(aborts_with([&] { ring.ack(); }).find("the ring must not be empty") != std::string::npos);
}

/// The promises of every ring between threads to one thread.
template <template <class> class Ring>
void check_ring() {
    static_assert(std::is_nothrow_move_constructible_v<Ring<int>> &&
                  !std::is_copy_constructible_v<Ring<int>>);
    SECTION("check::storage finds no fault, with every kind of capacity") {
        check_ring_conforms<Ring>();
    }
    SECTION("push_some and pop_some transfer as many values as fit") {
        check_batches<Ring<std::unique_ptr<int>>>();
    }
    SECTION("destroys its values, once") { check_lifetimes<Ring>(); }
    SECTION("adds nothing when the copy throws") { check_throwing_copy<Ring>(); }
    SECTION("respects the alignment of its values") { check_alignment<Ring>(); }
    SECTION("rejects a capacity of zero, and an impossible one") { check_bad_capacities<Ring>(); }
    if constexpr (requires(Ring<int>& ring) { ring.ack(); }) {
        SECTION("ack without a value aborts") { check_ack_asks_for_a_value<Ring>(); }
    }
}

/// A value between threads: its producer, and its number. The other members detect torn values.
struct NumberedItem {
    NumberedItem() = default;
    NumberedItem(std::uint32_t p, std::uint32_t n) : producer{p}, number{n}, echo{n}, sum{p + n} {}
    [[nodiscard]] bool whole() const { return echo == number && sum == producer + number; }
    std::uint32_t producer = 0;
    std::uint32_t number = 0;
    std::uint64_t echo = 0;
    std::uint64_t sum = 0;
};

/// The values that one consumer received.
class Received {
public:
    explicit Received(std::size_t producers) : last_(producers, -1) {}

    void add(const NumberedItem& item) {
        if (!item.whole()) mistake = "a torn value";
        auto& last = last_[item.producer];
        if (static_cast<std::int64_t>(item.number) <= last) mistake = "a producer's order broke";
        last = item.number;
        ++count;
        sum += item.number;
    }

    std::string mistake;
    std::uint64_t count = 0;
    std::uint64_t sum = 0;

private:
    std::vector<std::int64_t> last_;
};

/// Checks that the consumers have `each` values of each producer: once, whole, in order.
inline void check_received(const std::vector<Received>& received, std::uint32_t producers,
                           std::uint32_t each) {
    std::uint64_t count = 0, sum = 0;
    for (const Received& r : received) {
        CHECK(r.mistake == "");
        count += r.count;
        sum += r.sum;
    }
    CHECK(count == std::uint64_t{each} * producers);
    CHECK(sum == std::uint64_t{each} * (each - 1) / 2 * producers);
}

/// Producers and consumers on real threads, single values and batches: each value arrives once,
/// whole, in the order of its producer. `each` is the number of values of a producer.
template <class Ring>
void check_under_load(std::size_t capacity, std::uint32_t producers, std::uint32_t consumers,
                      std::uint32_t each) {
    Ring ring{capacity};
    std::atomic<std::uint32_t> producing{producers};
    std::vector<Received> received(consumers, Received{producers});
    std::vector<std::thread> threads;
    for (std::uint32_t p = 0; p < producers; ++p) {
        threads.emplace_back([&, p] {
            for (std::uint32_t n = 0; n < each;) {
                const std::uint32_t before = n;
                if (n % 5 == 0 && n + 3 <= each) {
                    std::array<NumberedItem, 3> batch{NumberedItem{p, n}, NumberedItem{p, n + 1},
                                                      NumberedItem{p, n + 2}};
                    n += static_cast<std::uint32_t>(ring.push_some(batch));
                } else if (ring.try_push(NumberedItem{p, n})) {
                    ++n;
                }
                if (n == before) std::this_thread::yield();
            }
            producing.fetch_sub(1);
        });
    }
    for (std::uint32_t c = 0; c < consumers; ++c) {
        threads.emplace_back([&, c] {
            for (;;) {
                const bool last_look = producing.load() == 0;
                std::array<NumberedItem, 4> batch;
                const std::size_t n = ring.pop_some(batch);
                for (std::size_t i = 0; i < n; ++i) received[c].add(batch[i]);
                const auto one = ring.try_pop();
                if (one) received[c].add(*one);
                if (n == 0 && !one && last_look) return;
                if (n == 0) std::this_thread::yield();
                if (ring.size() > capacity) received[c].mistake = "size() is out of bounds";
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
    check_received(received, producers, each);
    CHECK(ring.size() == 0);
}

}  // namespace belay_test
