// SPDX-License-Identifier: MIT
// Goal: Priority takes important values first, starves no lane, and supports the operations of
// its lanes. Method: the storage check, a model of its rule, the values that pass a waiting one;
// a queue compared with a queue without lanes.
#include <belay/queue/priority.hpp>

#include <deque>
#include <memory>
#include <vector>

#include <belay/journal/journal.hpp>
#include <belay/queue/encoded.hpp>
#include <belay/queue/flush_every.hpp>
#include <belay/queue/overflows.hpp>
#include <belay/queue/storages.hpp>
#include <belay/queue/weighed.hpp>
#include <belay/sim/crash_points.hpp>

#include "support/aborts.hpp"
#include "support/journal/journal_model.hpp"
#include "support/queue/storage_conformance.hpp"
#include "support/seeds.hpp"

using namespace belay;
using namespace std::chrono_literals;
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

/// Pops all values, and returns their lanes as text.
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

TEST_CASE("check::storage finds no fault in Priority, whichever lane is used",
          "[queue][priority][property]") {
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
    // Values are in both lanes, but none is in the upper lane while it could overtake. The order is
    // that of one lane.
    check_storage_conformance(
        [] {
            return Priority{
                std::array{Priority{std::array{Deque<int>{}, Deque<int>{}}, Always<1>{}},
                           Priority{std::array{Deque<int>{}, Deque<int>{}}, Always<1>{}}},
                Always<1>{}};
        },
        number);
}

TEST_CASE("check::storage finds no fault in Priority over journals, reopened again and again",
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

TEST_CASE("Priority returns the upper lane first, and each lane in order",
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

TEST_CASE("Priority gives a turn to a lane that in_a_row values have passed",
          "[queue][priority][unit]") {
    Three two{three_lanes(), ByLane{}, {.in_a_row = 2}};
    push(two, 0, 6);
    push(two, 1, 2);
    CHECK(order_of(two) == "00100100");
    push(two, 0, 6);
    push(two, 1, 2);
    push(two, 2, 2);
    // Both lanes are due at once, and the upper one is first.
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

TEST_CASE("Priority counts the values that pass a lane only while it waits",
          "[queue][priority][unit]") {
    Three storage{three_lanes(), ByLane{}, {.in_a_row = 2}};
    push(storage, 0, 10);
    for (int i = 0; i < 5; ++i) CHECK(storage.try_pop()->lane == 0);
    push(storage, 1, 1);  // no value has passed it yet
    CHECK(storage.try_pop()->lane == 0);
    CHECK(storage.try_pop()->lane == 0);
    CHECK(storage.try_pop()->lane == 1);
    CHECK(storage.try_pop()->lane == 0);
}

TEST_CASE("Priority: at most in_a_row + i - 1 values from above pass a waiting value",
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
        // Steps 0 to 3 push into that lane. Other steps take the next value, by a pop or by a
        // lease.
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

TEST_CASE("Priority keeps leasing a value while a more important one arrives",
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

TEST_CASE("Priority: a returned value is first in its lane, after more important lanes",
          "[queue][priority][unit]") {
    Three storage{three_lanes()};
    push(storage, 1, 2);
    REQUIRE(storage.front() != nullptr);
    push(storage, 0, 1);
    storage.nack();
    CHECK(storage.try_pop() == Task{0, 0});
    CHECK(storage.try_pop() == Task{1, 0});
    CHECK(storage.try_pop() == Task{1, 1});
}

TEST_CASE("Priority: a lane whose leases are returned has used its turns",
          "[queue][priority][regression]") {
    Three storage{three_lanes(), ByLane{}, {.in_a_row = 2}};
    push(storage, 0, 3);
    push(storage, 1, 1);
    std::string lent;
    for (int i = 0; i < 5; ++i) {
        lent += std::to_string(storage.front()->lane);
        storage.nack();
    }
    CHECK(lent == "00100");
    CHECK(order_of(storage) == "1000");
}

TEST_CASE("Queue over lanes: work that always fails does not stop other lanes from being drained",
          "[queue][priority][regression]") {
    Queue queue{Priority{std::array{Deque<Task>{10}, Deque<Task>{10}}, ByLane{}, {.in_a_row = 2}}};
    REQUIRE_FALSE(queue.push(Task{0, 0}));
    for (int i = 0; i < 3; ++i) REQUIRE_FALSE(queue.push(Task{1, i}));
    std::string served;
    for (int i = 0; i < 12; ++i) {
        const DrainReport result = queue.drain([&](const Task& task) {
            if (task.lane == 0) return false;
            served += std::to_string(task.number);
            return true;
        });
        CHECK(result.error == QueueErrc::executor_failed);
    }
    CHECK(served == "012");
    CHECK(queue.size() == 1);
}

TEST_CASE("Priority::try_pop takes the leased value", "[queue][priority][unit]") {
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
/// A lane whose first value cannot be read until it is acknowledged.
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

TEST_CASE("Priority: an unreadable value starves no other lane, and can be removed",
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

    // The same holds for a storage that leases values.
    REQUIRE(storage.try_push(Task{0, 0}));
    for (int i = 0; i < 3; ++i) REQUIRE(storage.try_push(Task{1, i}));
    storage.lane(0).broken = true;
    served = 0;
    for (int i = 0; i < 9; ++i) {
        if (storage.front() == nullptr) continue;
        storage.ack();
        ++served;
    }
    CHECK(served == 3);
    CHECK(storage.front() == nullptr);
    storage.ack();
    CHECK(storage.size() == 0);
}

namespace {
/// Values with odd numbers cannot be decoded, and become dead letters.
struct EvenOnly {
    bool encode(const Task& task, Bytes& into) const {
        into = {static_cast<std::byte>(task.lane), static_cast<std::byte>(task.number)};
        return true;
    }
    [[nodiscard]] std::optional<Task> decode(BytesView bytes) const {
        const auto number = static_cast<int>(bytes[1]);
        if (number % 2 != 0) return std::nullopt;
        return Task{static_cast<std::size_t>(bytes[0]), number};
    }
};
using Burying = Encoded<Deque<Bytes>, EvenOnly, Deque<Bytes>>;
auto burying_lanes() {
    const auto lane = [] { return Burying{Deque<Bytes>{10}, {}, Deque<Bytes>{10}}; };
    return Priority{std::array{lane(), lane(), lane()}, ByLane{}};
}

/// A lane whose values cannot be read, because reading them throws.
struct Throwing : Unreadable {
    [[nodiscard]] std::optional<Task> try_pop() {
        if (broken) throw std::bad_alloc{};
        return Unreadable::try_pop();
    }
    [[nodiscard]] Task* front() {
        if (broken) throw std::bad_alloc{};
        return Unreadable::front();
    }
};
}  // namespace

TEST_CASE("Priority: a lane whose last values become dead letters hides no other lane",
          "[queue][priority][regression]") {
    Queue queue{burying_lanes()};
    const auto fill = [&] {
        for (const Task task : {Task{0, 1}, Task{0, 3}, Task{1, 5}, Task{2, 6}}) {
            REQUIRE_FALSE(queue.push(task));
        }
    };
    fill();
    CHECK(queue.pop() == Task{2, 6});
    CHECK(queue.empty());
    CHECK_FALSE(queue.pop());
    fill();
    std::vector<Task> observed;
    const DrainReport result = queue.drain([&](const Task& task) { observed.push_back(task); });
    CHECK(observed == std::vector{Task{2, 6}});
    CHECK_FALSE(result.error);
    CHECK(queue.empty());
    CHECK(queue.storage().lane(0).dead_letters().size() == 4);
    CHECK(queue.storage().lane(1).dead_letters().size() == 2);
}

TEST_CASE("Priority: a lane that throws starves no other lane", "[queue][priority][regression]") {
    for (const bool lent : {false, true}) {
        Priority storage{std::array<Throwing, 2>{}, ByLane{}, {.in_a_row = 2}};
        REQUIRE(storage.try_push(Task{0, 0}));
        for (int i = 0; i < 3; ++i) REQUIRE(storage.try_push(Task{1, i}));
        storage.lane(0).broken = true;
        std::string served;
        for (int i = 0; i < 9; ++i) {
            try {
                if (lent) {
                    if (const Task* const task = storage.front()) {
                        served += std::to_string(task->number);
                        storage.ack();
                    }
                } else if (const auto task = storage.try_pop()) {
                    served += std::to_string(task->number);
                }
            } catch (const std::bad_alloc&) {
            }
        }
        CHECK(served == "012");
        CHECK(storage.size() == 1);
    }
}

TEST_CASE("Priority: a full lane does not block the others", "[queue][priority][unit]") {
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

TEST_CASE("Priority under a Queue returns control values before data, also in a drain",
          "[queue][priority][unit]") {
    Queue queue{Priority{std::array{Deque<Task>{10}, Deque<Task>{10}}, ByLane{}}, {.limit = 12}};
    for (int i = 0; i < 10; ++i) CHECK_FALSE(queue.push(Task{1, i}));
    CHECK(queue.push(Task{1, 10}) == QueueErrc::queue_full);
    CHECK_FALSE(queue.push(Task{0, 0}));
    const Task copied{0, 1};
    CHECK_FALSE(queue.push(copied));
    CHECK(queue.push(Task{0, 2}) == QueueErrc::queue_full);  // the limit of the queue itself

    std::vector<std::size_t> lanes;
    const DrainReport first = queue.drain([&](Task& task) {
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

// ---- optional operations of lanes ---------------------------------------------------------------

namespace {

/// Numbers whose size, durability and errors a test sets. Counts its commits and flushes.
struct CountedLane {
    using value_type = int;
    Deque<int> held{100};
    std::uint64_t weight = 0;
    bool dirty = false;
    int syncs = 0;
    int flushes = 0;
    std::error_code fails_with;

    [[nodiscard]] bool try_push(int&& value) noexcept { return held.try_push(std::move(value)); }
    [[nodiscard]] std::optional<int> try_pop() { return held.try_pop(); }
    [[nodiscard]] std::size_t size() const noexcept { return held.size(); }
    [[nodiscard]] std::size_t capacity() const noexcept { return held.capacity(); }

    [[nodiscard]] std::uint64_t bytes() const noexcept { return weight; }
    [[nodiscard]] std::error_code commit() noexcept {
        ++syncs;
        return fails_with;
    }
    [[nodiscard]] std::error_code flush() noexcept {
        ++flushes;
        if (!fails_with) dirty = false;
        return fails_with;
    }
    [[nodiscard]] bool unflushed() const noexcept { return dirty; }
};
/// Syncs, but may throw, and has no `flush`.
struct ThrowingCommit {
    using value_type = int;
    [[nodiscard]] bool try_push(int&&) noexcept { return false; }
    [[nodiscard]] std::optional<int> try_pop() { return std::nullopt; }
    [[nodiscard]] std::size_t size() const noexcept { return 0; }
    [[nodiscard]] std::size_t capacity() const noexcept { return 1; }
    [[nodiscard]] std::error_code commit() { return {}; }
};
/// Syncs, and cannot flush.
struct OnlyCommit : ThrowingCommit {
    [[nodiscard]] std::error_code commit() noexcept { return {}; }
};

template <class Storage>
using Two = Priority<Storage, 2, Always<1>>;
template <class Storage>
constexpr int extras_of =
    (detail::CountsBytes<Storage> ? 1 : 0) + (detail::HasStorageCommit<Storage> ? 10 : 0) +
    (detail::HasFlush<Storage> ? 100 : 0) + (detail::HasUnflushed<Storage> ? 1000 : 0);
template <class Storage>
constexpr bool offers_what_lanes_have = extras_of<Two<Storage>> == extras_of<Storage> &&
                                        extras_of<Two<Two<Storage>>> == extras_of<Storage>;

static_assert(offers_what_lanes_have<CountedLane> && extras_of<CountedLane> == 1111);
static_assert(offers_what_lanes_have<belay_test::SimJournal> && extras_of<Journals> == 1111);
static_assert(offers_what_lanes_have<Weighed<Deque<Bytes>>>);
static_assert(offers_what_lanes_have<Deque<Task>> && extras_of<Three> == 0);
static_assert(offers_what_lanes_have<ThrowingCommit> && extras_of<ThrowingCommit> == 0);
static_assert(offers_what_lanes_have<OnlyCommit> && extras_of<OnlyCommit> == 10);
static_assert(FlushableLike<Journals> && !FlushableLike<Three>);
template <class Storage>
constexpr bool queue_flushes = requires(Queue<Storage>& queue) { queue.flush(); };
static_assert(queue_flushes<Journals> && queue_flushes<Two<OnlyCommit>> && !queue_flushes<Three>);
static_assert(FlushableLike<Queue<Journals>>);

/// Chooses lane 0 or 1 by the first byte.
struct ByFirstByte {
    std::size_t operator()(BytesView body) const noexcept {
        return !body.empty() && body.front() != std::byte{} ? 1 : 0;
    }
};
auto try_journal_on(sim::Disk& disk, const char* path) {
    return belay_test::SimJournal::open(
        disk, path,
        {.flush = Flush::none, .segment_bytes = 4096, .record_bytes_max = 512, .seed = Seed{1}});
}
belay_test::SimJournal journal_on(sim::Disk& disk, const char* path = "q") {
    auto journal = try_journal_on(disk, path);
    REQUIRE(journal);
    return std::move(*journal);
}

}  // namespace

TEST_CASE("Priority::bytes is the sum of its lanes' bytes, and ends at the largest number",
          "[queue][priority][unit]") {
    Priority storage{std::array<CountedLane, 3>{}, Always<0>{}};
    CHECK(storage.bytes() == 0);
    storage.lane(0).weight = 5;
    storage.lane(2).weight = 7;
    CHECK(storage.bytes() == 12);
    storage.lane(1).weight = ~std::uint64_t{0} - 12;
    CHECK(storage.bytes() == ~std::uint64_t{0});
    storage.lane(0).weight = 6;
    CHECK(storage.bytes() == ~std::uint64_t{0});

    Priority weighed{std::array{Weighed{Deque<Bytes>{}}, Weighed{Deque<Bytes>{}}}, ByFirstByte{}};
    CHECK(weighed.try_push(Bytes(3, std::byte{0})));
    CHECK(weighed.try_push(Bytes(4, std::byte{1})));
    CHECK(weighed.bytes() == 2 * sizeof(Bytes) + 7);
    CHECK(weighed.try_pop() == Bytes(3, std::byte{0}));
    CHECK(weighed.bytes() == sizeof(Bytes) + 4);
}

TEST_CASE("Priority::commit and flush try every lane, and return the first error",
          "[queue][priority][fault]") {
    Priority storage{std::array<CountedLane, 3>{}, Always<0>{}};
    const auto all = [&](int syncs, int flushes) {
        for (std::size_t i = 0; i < 3; ++i) {
            CHECK(storage.lane(i).syncs == syncs);
            CHECK(storage.lane(i).flushes == flushes);
        }
    };
    CHECK_FALSE(storage.unflushed());
    for (std::size_t i = 0; i < 3; ++i) {
        storage.lane(i).dirty = true;
        CHECK(storage.unflushed());
        CHECK_FALSE(storage.flush());
        CHECK_FALSE(storage.unflushed());
    }
    CHECK_FALSE(storage.commit());
    all(1, 3);
    storage.lane(1).fails_with = std::make_error_code(std::errc::no_space_on_device);
    storage.lane(2).fails_with = std::make_error_code(std::errc::io_error);
    for (std::size_t i = 0; i < 3; ++i) storage.lane(i).dirty = true;
    CHECK(storage.commit() == std::errc::no_space_on_device);
    CHECK(storage.flush() == std::errc::no_space_on_device);
    all(2, 4);
    CHECK_FALSE(storage.lane(0).dirty);
    CHECK(storage.unflushed());
    storage.lane(1).fails_with = {};
    CHECK(storage.commit() == std::errc::io_error);
    CHECK(storage.flush() == std::errc::io_error);
    storage.lane(2).fails_with = {};
    CHECK_FALSE(storage.flush());
    CHECK_FALSE(storage.unflushed());
}

TEST_CASE("Queue over a lane of bytes behaves as over the storage itself",
          "[queue][priority][property]") {
    belay_test::for_each_seed(
        [](Seed seed) {
            Random bits{seed};
            const QueueOptions options{.limit = 1 + bits() % 60,
                                       .bytes_limit = 8'192 + bits() % 20'000};
            sim::Disk plain_disk;
            sim::Disk laned_disk;
            Queue plain{journal_on(plain_disk), DropOldest{}, options};
            Queue laned{Priority{std::array{journal_on(laned_disk)}, Always<0>{}}, DropOldest{},
                        options};
            const auto each = [&](auto call) { return call(plain) == call(laned); };
            for (int i = 0; i < 200; ++i) {
                const std::uint64_t draw = bits() % 10;
                const Bytes body(bits() % 500, static_cast<std::byte>(i));
                if (draw < 6) {
                    REQUIRE(each([&](auto& queue) { return queue.push(body); }));
                } else if (draw < 8) {
                    REQUIRE(each([](auto& queue) { return queue.pop(); }));
                } else if (draw < 9) {
                    REQUIRE(each([](auto& queue) { return queue.storage().commit(); }));
                } else {
                    REQUIRE(each([](auto& queue) { return queue.flush(); }));
                }
                REQUIRE(each([](auto& queue) {
                    return std::pair{std::pair{queue.size(), queue.bytes()},
                                     std::pair{queue.full(), queue.unflushed()}};
                }));
            }
        },
        200);
}

TEST_CASE("Queue over lanes that are journals is full by the bytes of all, and frees them",
          "[queue][priority][unit]") {
    sim::Disk disk;
    Queue queue{
        Priority{std::array{journal_on(disk, "control"), journal_on(disk, "data")}, ByFirstByte{}},
        {.limit = no_limit, .bytes_limit = 20'000}};
    std::error_code error;
    for (std::size_t i = 0; !error && i < 1000; ++i) {
        error = queue.push(Bytes(400, static_cast<std::byte>(i % 2)));
    }
    CHECK(error == QueueErrc::queue_full);
    CHECK(queue.bytes() >= 20'000);
    CHECK(queue.bytes() < 20'500);
    CHECK(queue.bytes() == queue.storage().lane(0).bytes() + queue.storage().lane(1).bytes());
    CHECK(queue.storage().lane(0).bytes() < 15'000);
    const std::size_t waiting = queue.size();
    CHECK(queue.drain([](BytesView) {}).drained == waiting);
    CHECK(queue.bytes() < 10'000);
    CHECK_FALSE(queue.push(Bytes(400, std::byte{1})));
}

TEST_CASE("Queue::flush makes other lanes durable when one lane's disk fails",
          "[queue][priority][fault]") {
    Random bits{Seed{1}};
    sim::Disk bad;
    sim::Disk good;
    {
        Queue queue{Priority{std::array{journal_on(bad), journal_on(good)}, ByFirstByte{}}};
        for (std::size_t i = 0; i < 10; ++i) {
            REQUIRE_FALSE(queue.push(Bytes(50, static_cast<std::byte>(i % 2))));
        }
        CHECK(queue.unflushed());
        bad.fail_at(bad.operations() + 1, std::make_error_code(std::errc::io_error));
        CHECK(queue.flush() == std::errc::io_error);
        CHECK(queue.storage().lane(0).unflushed());
        CHECK_FALSE(queue.storage().lane(1).unflushed());
        CHECK(queue.unflushed());
        good.halt_at(good.operations() + 1);
    }
    good.crash(bits);
    CHECK(journal_on(good).size() == 5);
}

TEST_CASE("FlushEvery over lanes: a power loss costs at most one interval of each lane",
          "[queue][priority][fault]") {
    static constexpr auto interval = 20ms;
    struct Life {
        std::array<std::vector<Instant>, 2> pushed_at;
        Instant now{};
    };
    belay_test::for_each_seed(
        [](Seed seed) {
            const auto live = [seed](sim::Disk& disk) {
                Random bits{seed};
                Life life;
                Instant& now = life.now;
                auto control = try_journal_on(disk, "control");
                auto data = try_journal_on(disk, "data");
                if (!control || !data) return life;
                Queue queue{
                    Priority{std::array{std::move(*control), std::move(*data)}, ByFirstByte{}}};
                FlushEvery flusher{queue, interval};
                flusher.attach(Waker{});
                const Instant end = now + std::chrono::milliseconds{bits() % 200};
                for (; now < end && !flusher.error(); now += 1ms) {
                    if (flusher.deadline() <= now) flusher.advance(now);
                    const std::size_t lane = bits() % 4 == 0 ? 0 : 1;
                    if (bits() % 2 == 0) {
                        life.pushed_at[lane].push_back(now);
                        if (queue.push(Bytes(100, static_cast<std::byte>(lane)))) break;
                        flusher.appended();
                    }
                    if (flusher.deadline() <= now) flusher.advance(now);
                }
                disk.halt_at(disk.operations() + 1);
                return life;
            };
            const auto recover = [](sim::Disk& disk, const Life& life) {
                for (std::size_t lane = 0; lane < 2; ++lane) {
                    const auto journal = journal_on(disk, lane == 0 ? "control" : "data");
                    const std::vector<Instant>& pushed = life.pushed_at[lane];
                    if (journal.last() > pushed.size()) return false;
                    for (std::size_t lost = journal.last(); lost < pushed.size(); ++lost) {
                        if (life.now - pushed[lost] > interval + 1ms) return false;
                    }
                }
                return true;
            };
            const auto report = sim::crash_points(
                live, recover, {.drawn_max = 1, .enumerated_max = 1, .seed = seed});
            INFO(report.failure);
            REQUIRE(report);
        },
        20);
}

TEST_CASE("Priority moves with its lease and its turns", "[queue][priority][unit]") {
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

TEST_CASE("Priority puts a value into the last lane, and counts it, if lane_of returns no lane",
          "[queue][priority][unit]") {
    Three storage{three_lanes(2)};
    CHECK(storage.misplaced() == 0);
    push(storage, 2, 1);
    for (const std::size_t wrong : {std::size_t{3}, ~std::size_t{0}}) {
        const bool taken = storage.try_push(Task{wrong, 7});
        // The last lane has its own limit.
        CHECK(taken == (wrong == 3));
    }
    CHECK(storage.misplaced() == 2);
    CHECK(storage.size() == 2);
    push(storage, 0, 1);
    CHECK(storage.try_pop() == Task{0, 0});
    CHECK(storage.try_pop() == Task{2, 0});
    CHECK(storage.try_pop() == Task{3, 7});
}

TEST_CASE(
    "Priority aborts on in_a_row = 0, on ack without a lease, and on a lane that does not exist",
    "[queue][priority][unit]") {
    const auto stops_with = [](const std::string& what, auto f) {
        const std::string text = belay_test::aborts_with(f);
        INFO(text);
        CHECK(text.find(what) != std::string::npos);
    };
    stops_with("Priority::ack: a value must be leased", [] { Three{three_lanes()}.ack(); });
    stops_with("Priority::nack: a value must be leased", [] {
        Three storage{three_lanes()};
        push(storage, 0, 1);
        static_cast<void>(storage.front());
        storage.nack();
        storage.nack();
    });
    stops_with("in_a_row must be > 0", [] { Three{three_lanes(), ByLane{}, {.in_a_row = 0}}; });
    stops_with("the lane must exist", [] { static_cast<void>(Three{three_lanes()}.lane(3)); });
}
