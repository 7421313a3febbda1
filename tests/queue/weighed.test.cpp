// SPDX-License-Identifier: MIT
// Goal: Weighed behaves like the storage that it wraps, and always has the sum of its bytes.
// Method: check::storage, and a sum compared over random histories.
#include <belay/queue/weighed.hpp>

#include <belay/core/random.hpp>
#include <belay/queue/overflows.hpp>
#include <belay/queue/queue.hpp>
#include <belay/queue/storages.hpp>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/queue/queue_archetypes.hpp"
#include "support/queue/storage_conformance.hpp"

using namespace belay;

namespace {

std::string text(std::uint64_t i) { return std::string(i % 30, 'a') + std::to_string(i); }

struct NoBytes {
    std::size_t operator()(const belay_test::MoveOnly&) const noexcept { return 0; }
};

constexpr std::size_t own = sizeof(std::string);

}  // namespace

static_assert(std::is_same_v<decltype(Weighed{Ring<std::string, 4>{}}),
                             Weighed<Ring<std::string, 4>, belay::detail::BytesOfElements>>);
static_assert(LeasableLike<Weighed<Deque<std::string>>>);
static_assert(StorageLike<Weighed<belay_test::MinimalStorage, NoBytes>> &&
              !LeasableLike<Weighed<belay_test::MinimalStorage, NoBytes>>);
static_assert(LeasableLike<Weighed<belay_test::MinimalLeasable, NoBytes>>);
static_assert(std::is_default_constructible_v<Weighed<Ring<std::string, 4>>>);

TEST_CASE("check::storage finds no fault in Weighed", "[queue][weighed][property]") {
    belay_test::check_storage_conformance([] { return Weighed{Ring<std::string>{7}}; }, text);
    belay_test::check_storage_conformance([] { return Weighed{Deque<std::string>{100}}; }, text);
}

TEST_CASE("BytesOfElements counts bytes, not elements", "[queue][weighed][unit]") {
    CHECK(belay::detail::BytesOfElements{}(std::string{"four"}) == 4);
    CHECK(belay::detail::BytesOfElements{}(Bytes(3)) == 3);
    CHECK(belay::detail::BytesOfElements{}(std::vector<std::uint32_t>(3)) == 12);
    CHECK(belay::detail::BytesOfElements{}(std::string{}) == 0);
}

TEST_CASE("Weighed counts the bytes of its values", "[queue][weighed][property]") {
    CHECK(rc::check("the sum of all that wait", [](std::uint64_t seed) {
        Random bits{Seed{seed}};
        Weighed storage{Ring<std::string>{5}};
        std::deque<std::string> model;
        for (int i = 0; i < 300; ++i) {
            switch (bits() % 6) {
                case 0:
                case 1:
                case 2: {
                    std::string value = text(bits());
                    const std::string copy = value;
                    const bool taken = bits() % 2 == 0 ? storage.try_push(std::move(value))
                                                       : storage.try_push(copy);
                    RC_ASSERT(taken == (model.size() < 5));
                    if (taken) model.push_back(copy);
                    break;
                }
                case 3:
                    RC_ASSERT(storage.try_pop().has_value() == !model.empty());
                    if (!model.empty()) model.pop_front();
                    break;
                default:
                    if (storage.front() == nullptr) break;
                    RC_ASSERT(*storage.front() == model.front());
                    if (bits() % 2 == 0) {
                        storage.ack();
                        model.pop_front();
                    } else {
                        storage.nack();
                    }
            }
            std::uint64_t sum = 0;
            for (const std::string& value : model) sum += own + value.size();
            RC_ASSERT(storage.bytes() == sum);
        }
    }));
}

TEST_CASE("A Queue over a Weighed storage has a limit of bytes", "[queue][weighed][unit]") {
    Queue queue{Weighed{Deque<std::string>{}}, {.bytes_limit = 3 * own + 100}};
    int pushed = 0;
    while (!queue.push(std::string(30, 'x'))) ++pushed;
    CHECK(pushed == 4);
    CHECK(queue.bytes() == 4 * own + 120);
    // A value that is being executed cannot be changed, and its bytes count until it is done.
    static_cast<void>(queue.drain([&](const std::string& value) {
        CHECK(value.size() == 30);
        CHECK(queue.bytes() == 4 * own + 120);
        return false;
    }));
    CHECK(queue.bytes() == 4 * own + 120);
    CHECK(queue.drain([](std::string value) { return value.size() == 30; }, 2).drained == 2);
    CHECK(queue.bytes() == 2 * own + 60);
    CHECK_FALSE(queue.push("y"));
}

TEST_CASE("A Queue over a Weighed storage drops by bytes", "[queue][weighed][unit]") {
    struct BytesOfOwned {
        std::size_t operator()(const std::unique_ptr<std::string>& value) const noexcept {
            return value ? value->size() : 0;
        }
    };
    Queue queue{Weighed{Deque<std::unique_ptr<std::string>>{}, BytesOfOwned{}},
                DropOldest{},
                {.bytes_limit = 10 + 3 * sizeof(void*)}};
    for (const std::size_t size : {4u, 4u, 4u, 1u}) {
        CHECK_FALSE(queue.push(std::make_unique<std::string>(size, 'x')));
    }
    CHECK(queue.size() == 3);
    CHECK(queue.bytes() == 9 + 3 * sizeof(void*));
    auto refused = std::make_unique<std::string>("kept");
    queue.suspend();
    CHECK(queue.push(std::move(refused)) == QueueErrc::queue_suspended);
    REQUIRE(refused != nullptr);
    CHECK(queue.bytes() == 9 + 3 * sizeof(void*));
}

TEST_CASE("Weighed keeps its bytes when it moves", "[queue][weighed][regression]") {
    Weighed<Deque<std::string>> from;
    REQUIRE(from.try_push("12345"));
    Weighed to{std::move(from)};
    CHECK(to.bytes() == own + 5);
    CHECK(from.bytes() == from.size());
    from = std::move(to);
    CHECK(from.bytes() == own + 5);
    CHECK(to.bytes() == to.size());
}

TEST_CASE("A Queue with a limit of bytes bounds empty values", "[queue][weighed][regression]") {
    Queue queue{Weighed{Deque<std::string>{}}, {.bytes_limit = 100 * own}};
    int pushed = 0;
    while (pushed < 1000 && !queue.push(std::string{})) ++pushed;
    CHECK(pushed == 100);
}
