// SPDX-License-Identifier: MIT
// Goal: Ring is a storage that allocates nothing. Method: the conformance suite, counted lifetimes.
#include <belay/queue/storages.hpp>

#include <memory>

#include "support/aborts.hpp"
#include "support/queue/storage_conformance.hpp"

using namespace belay;
using belay_test::check_storage_conformance;

static_assert(sizeof(Ring<std::uint64_t, 4>) == 4 * 8 + 2 * sizeof(std::size_t));
static_assert(noexcept(std::declval<Ring<int, 4>&>().try_push(1)));
static_assert(noexcept(std::declval<Ring<int, 4>&>().try_pop()));
static_assert(
    !noexcept(std::declval<Ring<std::string, 4>&>().try_push(std::declval<const std::string&>())));
static_assert(std::is_nothrow_move_constructible_v<Ring<std::string, 4>>);
static_assert(!std::is_default_constructible_v<Ring<int>> &&
              std::is_default_constructible_v<Ring<int, 4>>);

namespace {
int value(std::uint64_t i) { return static_cast<int>(i); }
std::unique_ptr<int> owned(std::uint64_t i) { return std::make_unique<int>(static_cast<int>(i)); }
}  // namespace

TEST_CASE("check::storage finds no fault in Ring, with every kind of capacity",
          "[queue][ring][property]") {
    check_storage_conformance([] { return Ring<int, 1>{}; }, value);
    check_storage_conformance([] { return Ring<int, 3>{}; }, value);
    check_storage_conformance([] { return Ring<int, 8>{}; }, value);
    check_storage_conformance([] { return Ring<int>{1}; }, value);
    check_storage_conformance([] { return Ring<int>{5}; }, value);
    check_storage_conformance([] { return Ring<int>{16}; }, value);
    check_storage_conformance([] { return Ring<std::string>{7}; },
                              [](std::uint64_t i) { return std::string(i % 40, 'x'); });
}

TEST_CASE("Ring destroys its values, once", "[queue][ring][unit]") {
    const auto shared = std::make_shared<int>(1);
    {
        Ring<std::shared_ptr<int>, 4> ring;
        Ring<std::shared_ptr<int>> heap{4};
        for (int i = 0; i < 3; ++i) {
            CHECK(ring.try_push(shared));
            CHECK(heap.try_push(shared));
        }
        CHECK(shared.use_count() == 7);
        ring.ack();
        CHECK(shared.use_count() == 6);
        Ring<std::shared_ptr<int>, 4> moved{std::move(ring)};
        Ring<std::shared_ptr<int>> other{2};
        other = std::move(heap);
        CHECK(shared.use_count() == 6);
        CHECK(moved.size() == 2);
        CHECK(other.size() == 3);
        CHECK(ring.size() == 0);
    }
    CHECK(shared.use_count() == 1);
}

TEST_CASE("Ring accepts move-only values", "[queue][ring][unit]") {
    Ring<std::unique_ptr<int>, 1> ring;
    CHECK(ring.try_push(owned(1)));
    std::unique_ptr<int> refused = owned(2);
    CHECK_FALSE(ring.try_push(std::move(refused)));
    CHECK(*refused == 2);
    CHECK(**ring.front() == 1);
    CHECK(**ring.try_pop() == 1);
}

TEST_CASE("Ring::try_push adds nothing when the copy throws", "[queue][ring][unit]") {
    struct ThrowsOnCopy {
        ThrowsOnCopy() = default;
        ThrowsOnCopy(const ThrowsOnCopy&) { throw 1; }
        ThrowsOnCopy(ThrowsOnCopy&&) noexcept {}
    };
    Ring<ThrowsOnCopy, 2> ring;
    const ThrowsOnCopy bomb;
    CHECK_THROWS_AS(ring.try_push(bomb), int);
    CHECK(ring.size() == 0);
    CHECK(ring.try_push(ThrowsOnCopy{}));
}

TEST_CASE("Ring rejects a capacity of zero, and an impossible one", "[queue][ring][unit]") {
    const std::string output = "the capacity must be from 1 to 2^48";
    CHECK(belay_test::aborts_with([] { Ring<int>{0}; }).find(output) != std::string::npos);
    CHECK(belay_test::aborts_with([] { Ring<int>{~std::size_t{0}}; }).find(output) !=
          std::string::npos);
}

TEST_CASE("Ring respects the alignment of its values", "[queue][ring][unit]") {
    struct alignas(128) Wide {
        int number;
    };
    Ring<Wide, 3> fixed;
    Ring<Wide> dynamic{3};
    for (int i = 0; i < 3; ++i) {
        CHECK(fixed.try_push(Wide{i}));
        CHECK(dynamic.try_push(Wide{i}));
    }
    for (int i = 0; i < 3; ++i) {
        CHECK(reinterpret_cast<std::uintptr_t>(fixed.front()) % 128 == 0);
        CHECK(reinterpret_cast<std::uintptr_t>(dynamic.front()) % 128 == 0);
        CHECK(fixed.try_pop()->number == i);
        CHECK(dynamic.try_pop()->number == i);
    }
}
