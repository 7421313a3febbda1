// SPDX-License-Identifier: MIT
// Goal: Priority takes the important first, starves nobody, and is a storage. Method: the storage
// check, a model of its rule, what a waiting value sees pass.
#include <belay/queue/priority.hpp>

#include <deque>
#include <memory>
#include <vector>

#include <belay/queue/deque.hpp>
#include <belay/queue/journal.hpp>
#include <belay/queue/ring.hpp>
#include <belay/sim/disk.hpp>

#include "support/aborts.hpp"
#include "support/journal_model.hpp"
#include "support/storage_conformance.hpp"

using namespace belay;
using belay_test::check_storage_conformance;

namespace {

struct Task {
    std::size_t lane = 0;
    int number = 0;
    friend bool operator==(const Task&, const Task&) = default;
};
struct ByLane {
    std::size_t operator()(const Task& task) const noexcept { return task.lane; }
};
template <std::size_t lane>
struct Always {
    template <class Value>
    std::size_t operator()(const Value&) const noexcept {
        return lane;
    }
};

using Three = Priority<Deque<Task>, 3, ByLane>;
using Journals = Priority<belay_test::SimJournal, 2, Always<1>>;
static_assert(LeasableLike<Three> && LeasableLike<Journals>);
static_assert(noexcept(std::declval<Three&>().try_push(Task{})));

std::array<Deque<Task>, 3> three_lanes(std::size_t each = no_limit) {
    return {Deque<Task>{each}, Deque<Task>{each}, Deque<Task>{each}};
}

/// The lanes from which everything comes out, as text.
template <class Storage>
std::string order_of(Storage& storage) {
    std::string lanes;
    while (const std::optional<Task> task = storage.try_pop()) lanes += std::to_string(task->lane);
    return lanes;
}

void push(Three& storage, std::size_t lane, int count) {
    for (int i = 0; i < count; ++i) REQUIRE(storage.try_push(Task{lane, i}));
}

}  // namespace

TEST_CASE("Priority conforms, whichever lane is used", "[queue][priority][property]") {
    const auto number = [](std::uint64_t i) { return static_cast<int>(i); };
    check_storage_conformance(
        [] {
            return Priority{std::array{Ring<int, 5>{}}, Always<0>{}};
        },
        number);
    check_storage_conformance(
        [] {
            return Priority{std::array{Deque<int>{}, Deque<int>{}, Deque<int>{}}, Always<0>{}};
        },
        number);
    check_storage_conformance(
        [] {
            return Priority{std::array{Deque<int>{}, Deque<int>{}, Deque<int>{}}, Always<2>{},
                            PriorityOptions{.in_a_row = 1}};
        },
        number);
    // Values go to and fro, but the upper lane is never there to overtake: one lane's order is
    // kept.
    check_storage_conformance(
        [] {
            return Priority{
                std::array{Priority{std::array{Deque<int>{}, Deque<int>{}}, Always<1>{}},
                           Priority{std::array{Deque<int>{}, Deque<int>{}}, Always<1>{}}},
                Always<1>{}};
        },
        number);
}

TEST_CASE("Priority over journals conforms, opened again and again",
          "[queue][priority][property]") {
    std::vector<std::unique_ptr<sim::Disk>> disks;
    const auto open = [&] {
        const auto journal = [&](const char* path) {
            return belay_test::SimJournal::open(*disks.back(), path, belay_test::small_journal(1))
                .value();
        };
        return Journals{std::array{journal("control"), journal("data")}};
    };
    check_storage_conformance(
        [&] {
            disks.push_back(std::make_unique<sim::Disk>());
            return open();
        },
        [](std::uint64_t i) { return Bytes(i % 50, std::byte(i)); }, open, {.histories = 20});
}

TEST_CASE("Priority takes the upper lane first, and each lane in order",
          "[queue][priority][unit]") {
    Three storage{three_lanes()};
    CHECK_FALSE(storage.try_pop());
    for (int i = 0; i < 3; ++i) {
        for (const std::size_t lane : {2U, 0U, 1U}) REQUIRE(storage.try_push(Task{lane, i}));
    }
    CHECK(storage.size() == 9);
    for (const std::size_t lane : {0U, 1U, 2U}) {
        for (int i = 0; i < 3; ++i) CHECK(storage.try_pop() == Task{lane, i});
    }
    CHECK_FALSE(storage.try_pop());
}

TEST_CASE("Priority gives a lane that let in_a_row values pass its turn",
          "[queue][priority][unit]") {
    Three two{three_lanes(), ByLane{}, {.in_a_row = 2}};
    push(two, 0, 6);
    push(two, 1, 2);
    CHECK(order_of(two) == "00100100");
    push(two, 0, 6);
    push(two, 1, 2);
    push(two, 2, 2);
    // Both are due at once: the upper goes first.
    CHECK(order_of(two) == "0012001200");

    Three eight{three_lanes()};
    push(eight, 0, 20);
    push(eight, 2, 2);
    CHECK(order_of(eight) == "0000000020000000020000");

    Three strict{three_lanes(), ByLane{}, {.in_a_row = no_limit}};
    push(strict, 1, 20);
    push(strict, 0, 20);
    CHECK(order_of(strict) == std::string(20, '0') + std::string(20, '1'));
}

TEST_CASE("Priority counts what a lane lets pass only while it waits", "[queue][priority][unit]") {
    Three storage{three_lanes(), ByLane{}, {.in_a_row = 2}};
    push(storage, 0, 10);
    for (int i = 0; i < 5; ++i) CHECK(storage.try_pop()->lane == 0);
    push(storage, 1, 1);  // it has waited for nothing so far
    CHECK(storage.try_pop()->lane == 0);
    CHECK(storage.try_pop()->lane == 0);
    CHECK(storage.try_pop()->lane == 1);
    CHECK(storage.try_pop()->lane == 0);
}

TEST_CASE("Priority: a waiting value sees at most in_a_row + i - 1 pass from above",
          "[queue][priority][property]") {
    CHECK(rc::check("no lane starves", [] {
        const std::size_t in_a_row = *rc::gen::inRange<std::size_t>(1, 6);
        constexpr std::size_t lanes = 4;
        Priority storage{std::array{Deque<Task>{}, Deque<Task>{}, Deque<Task>{}, Deque<Task>{}},
                         ByLane{},
                         {.in_a_row = in_a_row}};
        std::array<std::deque<int>, lanes> model;
        std::array<std::size_t, lanes> passed{};
        int next = 0;
        // 0 to 3: a push there; above: what is next is taken, by pop or by loan.
        for (const int step : *rc::gen::container<std::vector<int>>(rc::gen::inRange(0, 8))) {
            if (step < 4) {
                const auto lane = static_cast<std::size_t>(step);
                RC_ASSERT(storage.try_push(Task{lane, next}));
                model[lane].push_back(next++);
                continue;
            }
            std::optional<Task> got;
            if (step % 2 == 0) {
                got = storage.try_pop();
            } else if (const Task* lent = storage.front(); lent != nullptr) {
                got = *lent;
                storage.ack();
            }
            if (!got) {
                RC_ASSERT(storage.size() == 0U);
                continue;
            }
            RC_ASSERT(!model[got->lane].empty() && got->number == model[got->lane].front());
            model[got->lane].pop_front();
            passed[got->lane] = 0;
            for (std::size_t i = got->lane + 1; i < lanes; ++i) {
                passed[i] = model[i].empty() ? 0 : passed[i] + 1;
                RC_ASSERT(passed[i] <= in_a_row + i - 1);
            }
        }
    }));
}

TEST_CASE("Priority keeps lending a value while a more important one comes",
          "[queue][priority][unit]") {
    Three storage{three_lanes()};
    push(storage, 2, 2);
    const Task* const lent = storage.front();
    REQUIRE(lent != nullptr);
    push(storage, 0, 1);
    CHECK(storage.front() == lent);
    CHECK(*lent == Task{2, 0});
    storage.ack();
    CHECK(storage.size() == 2);
    CHECK(*storage.front() == Task{0, 0});
    storage.nack();
    CHECK(order_of(storage) == "02");
}

TEST_CASE("Priority: what was given back is first in its lane, behind more important lanes",
          "[queue][priority][unit]") {
    Three storage{three_lanes()};
    push(storage, 1, 2);
    REQUIRE(storage.front() != nullptr);
    push(storage, 0, 1);
    storage.nack();
    CHECK(storage.try_pop() == Task{0, 0});
    CHECK(storage.try_pop() == Task{1, 0});
    CHECK(storage.try_pop() == Task{1, 1});
    // A loan that nack ended is no turn.
    Three two{three_lanes(), ByLane{}, {.in_a_row = 2}};
    push(two, 0, 3);
    push(two, 1, 1);
    for (int i = 0; i < 5; ++i) {
        REQUIRE(two.front() != nullptr);
        two.nack();
    }
    CHECK(order_of(two) == "0010");
}

TEST_CASE("Priority::try_pop takes what was lent", "[queue][priority][unit]") {
    Three storage{three_lanes()};
    push(storage, 1, 1);
    REQUIRE(storage.front() != nullptr);
    push(storage, 0, 1);
    CHECK(storage.try_pop() == Task{1, 0});
    CHECK(storage.try_pop() == Task{0, 0});
    CHECK(storage.front() == nullptr);
    push(storage, 2, 1);
    CHECK(*storage.front() == Task{2, 0});
}

namespace {
/// Its first value cannot be read, until it is given up.
struct Unreadable {
    using value_type = Task;
    Deque<Task> held{10};
    bool broken = false;

    [[nodiscard]] bool try_push(Task&& task) noexcept { return held.try_push(std::move(task)); }
    [[nodiscard]] std::optional<Task> try_pop() { return broken ? std::nullopt : held.try_pop(); }
    [[nodiscard]] Task* front() noexcept { return broken ? nullptr : held.front(); }
    void ack() noexcept {
        broken = false;
        static_cast<void>(held.try_pop());
    }
    void nack() noexcept {}
    [[nodiscard]] std::size_t size() const noexcept { return held.size(); }
    [[nodiscard]] std::size_t capacity() const noexcept { return held.capacity(); }
};
}  // namespace

TEST_CASE("Priority: a value that cannot be read starves no other lane, and can be given up",
          "[queue][priority][regression]") {
    Priority storage{std::array<Unreadable, 2>{}, ByLane{}, {.in_a_row = 2}};
    REQUIRE(storage.try_push(Task{0, 0}));
    for (int i = 0; i < 3; ++i) REQUIRE(storage.try_push(Task{1, i}));
    storage.lane(0).broken = true;
    int served = 0;
    for (int i = 0; i < 9; ++i) served += storage.try_pop().has_value() ? 1 : 0;
    CHECK(served == 3);
    CHECK(storage.size() == 1);
    CHECK(storage.front() == nullptr);
    storage.ack();
    CHECK(storage.size() == 0);
}

TEST_CASE("Priority: a full lane keeps nothing out of the others", "[queue][priority][unit]") {
    Priority storage{std::array{Deque<Task>{1}, Deque<Task>{3}}, ByLane{}};
    static_assert(storage.lane_count == 2);
    CHECK(storage.capacity() == 4);
    for (int i = 0; i < 3; ++i) CHECK(storage.try_push(Task{1, i}));
    Task refused{1, 3};
    CHECK_FALSE(storage.try_push(std::move(refused)));
    CHECK(refused == Task{1, 3});
    CHECK(storage.lane(1).size() == 3);
    CHECK(storage.try_push(Task{0, 0}));
    CHECK_FALSE(storage.try_push(Task{0, 1}));
    CHECK(storage.size() == storage.capacity());
    CHECK(order_of(storage) == "0111");
    CHECK(Three{three_lanes()}.capacity() == no_limit);
    CHECK(Three{three_lanes(no_limit - 1)}.capacity() == no_limit);
}

TEST_CASE("Priority under a Queue: control before data, also in a drain",
          "[queue][priority][unit]") {
    Queue queue{Priority{std::array{Deque<Task>{10}, Deque<Task>{10}}, ByLane{}}, {.limit = 12}};
    for (int i = 0; i < 10; ++i) CHECK_FALSE(queue.push(Task{1, i}));
    CHECK(queue.push(Task{1, 10}) == QueueErrc::queue_full);
    CHECK_FALSE(queue.push(Task{0, 0}));
    const Task copied{0, 1};
    CHECK_FALSE(queue.push(copied));
    CHECK(queue.push(Task{0, 2}) == QueueErrc::queue_full);  // the limit of the queue itself

    std::vector<std::size_t> lanes;
    const DrainResult first = queue.drain([&](Task& task) {
        lanes.push_back(task.lane);
        return lanes.size() != 4;
    });
    CHECK(first.drained == 3);
    CHECK(first.error == QueueErrc::executor_failed);
    CHECK_FALSE(queue.push(Task{0, 9}));
    CHECK(queue.pop() == Task{0, 9});
    CHECK(queue.pop() == Task{1, 1});
    CHECK(lanes == std::vector<std::size_t>{0, 0, 1, 1});
    CHECK_THROWS_AS(queue.drain([](Task&) { throw 7; }), int);
    CHECK(queue.drain([](Task&) {}).drained == 8);
}

TEST_CASE("Priority moves with its loan and its turns", "[queue][priority][unit]") {
    Three storage{three_lanes(), ByLane{}, {.in_a_row = 2}};
    push(storage, 0, 4);
    push(storage, 1, 2);
    CHECK(storage.try_pop()->lane == 0);
    Three moved{std::move(storage)};
    CHECK(moved.try_pop()->lane == 0);
    REQUIRE(moved.front() != nullptr);
    storage = std::move(moved);
    CHECK(storage.front()->lane == 1);
    storage.ack();
    CHECK(order_of(storage) == "001");
}

TEST_CASE("Priority stops a lane_of that names no lane, and loans that are none",
          "[queue][priority][unit]") {
    const auto stops_with = [](const std::string& what, auto f) {
        const std::string text = belay_test::aborts_with(f);
        INFO(text);
        CHECK(text.find(what) != std::string::npos);
    };
    stops_with("lane_of must name a lane", [] {
        Three storage{three_lanes()};
        static_cast<void>(storage.try_push(Task{3, 0}));
    });
    stops_with("Priority::ack: there must be a loan", [] { Three{three_lanes()}.ack(); });
    stops_with("Priority::nack: there must be a loan", [] {
        Three storage{three_lanes()};
        push(storage, 0, 1);
        static_cast<void>(storage.front());
        storage.nack();
        storage.nack();
    });
    stops_with("in_a_row must be > 0", [] { Three{three_lanes(), ByLane{}, {.in_a_row = 0}}; });
    stops_with("there must be such a lane",
               [] { static_cast<void>(Three{three_lanes()}.lane(3)); });
}
