// SPDX-License-Identifier: MIT
// Goal: Deque is a storage whose steady state allocates nothing. Method: conformance, a counting
// new.
#include <belay/queue/storages.hpp>

#include <any>
#include <array>
#include <memory>
#include <vector>

#include <belay/queue/concurrent_rings.hpp>

#include "support/aborts.hpp"
#include "support/default_member.hpp"
#include "support/queue/storage_conformance.hpp"

using namespace belay;
using belay_test::check_storage_conformance;

namespace {

/// Counts the blocks that hold values of it: each block is one `new`.
struct CountedValue {
    std::uint64_t value = 0;
    friend bool operator==(const CountedValue&, const CountedValue&) = default;
};

}  // namespace

static_assert(belay_test::DefaultMember<Deque<std::string>>);

TEST_CASE("check::storage finds no fault in Deque, with and without a bound",
          "[queue][deque][property]") {
    const auto value = [](std::uint64_t i) { return CountedValue{i}; };
    check_storage_conformance([] { return Deque<CountedValue>{}; }, value);
    check_storage_conformance([] { return Deque<CountedValue>{1}; }, value);
    check_storage_conformance([] { return Deque<CountedValue>{300}; }, value);
    // Few values fit in a block, so that blocks are allocated and freed often.
    struct Large {
        std::uint64_t value;
        std::array<std::byte, 500> rest{};
        bool operator==(const Large& o) const { return value == o.value; }
    };
    check_storage_conformance([] { return Deque<Large>{}; },
                              [](std::uint64_t i) { return Large{i}; });
    check_storage_conformance([] { return Deque<std::string>{20}; },
                              [](std::uint64_t i) { return std::string(i % 40, 'x'); });
}

TEST_CASE("Deque keeps values in place while others are pushed and popped",
          "[queue][deque][unit]") {
    Deque<CountedValue> deque;
    CHECK(deque.try_push(CountedValue{1}));
    const CountedValue* const first = deque.front();
    for (std::uint64_t i = 0; i < 10'000; ++i) CHECK(deque.try_push(CountedValue{i}));
    CHECK(deque.front() == first);
    CHECK(first->value == 1);
}

TEST_CASE("Deque keeps one spare block, so that a constant size allocates nothing",
          "[queue][deque][unit]") {
    Deque<CountedValue> deque;
    const CountedValue* places[2] = {};
    // 128 values of 8 bytes fill a block. Pushes and pops around this number use the same two
    // blocks.
    for (int round = 0; round < 100; ++round) {
        for (std::uint64_t i = 0; i < 128; ++i) CHECK(deque.try_push(CountedValue{i}));
        const CountedValue* const place = deque.front();
        bool known = false;
        for (const CountedValue*& p : places) {
            if (p == nullptr) p = place;
            if (p == place) {
                known = true;
                break;
            }
        }
        CHECK(known);
        for (std::uint64_t i = 0; i < 128; ++i) CHECK(deque.try_pop()->value == i);
    }
}

TEST_CASE("Deque destroys its values, once", "[queue][deque][unit]") {
    const auto shared = std::make_shared<int>(1);
    {
        Deque<std::shared_ptr<int>> deque;
        for (int i = 0; i < 200; ++i) CHECK(deque.try_push(shared));
        Deque<std::shared_ptr<int>> moved{std::move(deque)};
        deque = Deque<std::shared_ptr<int>>{};
        CHECK(moved.size() == 200);
        CHECK(deque.size() == 0);
        CHECK(shared.use_count() == 201);
    }
    CHECK(shared.use_count() == 1);
}

TEST_CASE("Deque::try_push adds nothing when the copy throws", "[queue][deque][unit]") {
    // Four values fit in a block, so that the copy also throws at the begin of a block.
    struct ThrowsOnCopy {
        explicit ThrowsOnCopy(int n) : number{n} {}
        ThrowsOnCopy(const ThrowsOnCopy& other) : number{other.number} {
            if (number < 0) throw number;
        }
        ThrowsOnCopy(ThrowsOnCopy&& other) noexcept : number{other.number} {}
        int number;
        std::array<std::byte, 300> rest{};
    };
    Deque<ThrowsOnCopy> deque;
    const ThrowsOnCopy bomb{-1};
    for (int i = 0; i < 10; ++i) {
        CHECK_THROWS_AS(deque.try_push(bomb), int);
        CHECK(deque.size() == static_cast<std::size_t>(i));
        CHECK(deque.try_push(ThrowsOnCopy{i}));
    }
    for (int i = 0; i < 10; ++i) CHECK(deque.try_pop()->number == i);
    CHECK(deque.size() == 0);
}

TEST_CASE("Deque that is full copies nothing", "[queue][deque][unit]") {
    struct Copied {
        explicit Copied(int& c) : copies{&c} {}
        Copied(const Copied& other) : copies{other.copies} { ++*copies; }
        Copied(Copied&& other) noexcept : copies{other.copies} {}
        int* copies;
    };
    int copies = 0;
    Deque<Copied> deque{1};
    const Copied value{copies};
    CHECK(deque.try_push(value));
    CHECK_FALSE(deque.try_push(value));
    CHECK(copies == 1);
}

TEST_CASE("Deque accepts values larger than a block, and of odd sizes", "[queue][deque][unit]") {
    struct Huge {
        explicit Huge(int n) : number{n} {}
        int number;
        std::array<std::byte, 5'000> rest{};
    };
    struct Odd {
        std::array<unsigned char, 7> bytes{};
    };
    Deque<Huge> huge;
    Deque<Odd> odd;
    for (int i = 0; i < 500; ++i) {
        CHECK(huge.try_push(Huge{i}));
        Odd o;
        o.bytes.fill(static_cast<unsigned char>(i));
        CHECK(odd.try_push(std::move(o)));
    }
    for (int i = 0; i < 500; ++i) {
        CHECK(huge.try_pop()->number == i);
        CHECK(odd.try_pop()->bytes[6] == static_cast<unsigned char>(i));
    }
}

TEST_CASE("Deque aborts on a capacity of 0", "[queue][deque][unit]") {
    CHECK(belay_test::aborts_with([] { Deque<int>{0}; }).find("the capacity must be > 0") !=
          std::string::npos);
    Deque<int> smallest{1};
    CHECK(smallest.try_push(1));
    CHECK_FALSE(smallest.try_push(2));
}

TEMPLATE_TEST_CASE("A ring or deque copies a list that may contain itself as it is",
                   "[queue][deque][unit]", Ring<std::vector<std::any>>,
                   Deque<std::vector<std::any>>, SpscRing<std::vector<std::any>>,
                   MpmcRing<std::vector<std::any>>) {
    const std::vector<std::any> two{1, 2};
    TestType queue{4};
    CHECK(queue.try_push(two));
    CHECK(queue.try_pop()->size() == 2);
}
