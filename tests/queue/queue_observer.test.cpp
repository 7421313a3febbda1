// SPDX-License-Identifier: MIT
// Goal: a queue's observer is notified of every event, after it happened, and its exceptions do
// no harm. Method: a recording observer.
#include <belay/queue/queue.hpp>

#include <belay/queue/overflows.hpp>
#include <belay/queue/storages.hpp>
#include <concepts>
#include <functional>
#include <memory>
#include <string>

#include "support/catch.hpp"
#include "support/core/observed_in_every_form.hpp"
#include "support/queue/queue_archetypes.hpp"

using namespace belay;

namespace {

struct RecordedText {
    std::string text;

    void on_pushed(std::size_t size) { text += "pushed:" + std::to_string(size) + " "; }
    void on_rejected(const std::error_code& why) {
        text += "rejected:" + std::to_string(why.value()) + " ";
    }
    void on_dropped(int value) { text += "dropped:" + std::to_string(value) + " "; }
    void on_popped(std::size_t size) noexcept { text += "popped:" + std::to_string(size) + " "; }
    void on_drained(const DrainReport& result) noexcept {
        text += "drained:" + std::to_string(result.drained) + "," +
                std::to_string(result.error.value()) + " ";
    }
    std::string take() { return std::exchange(text, {}); }
};

struct EmptyObserver : NoObserver {};
struct Templated {
    int pushes = 0;
    void on_pushed(auto) { ++pushes; }
};

/// Causes the same events for an observer of any form.
const auto lifecycle_of_a_queue = [](auto observer) {
    Queue queue{Deque<int>{}, DropOldest{}, {.limit = 2}, std::move(observer)};
    for (int i = 1; i <= 3; ++i) CHECK_FALSE(queue.push(i));
    CHECK(queue.pop() == 2);
    static_cast<void>(queue.drain([](int) {}));
    CHECK_FALSE(queue.push(4));
    // A Session does the same.
    queue.storage().ack();
    queue.notify_released(1);
    queue.suspend();
    CHECK(queue.push(5));
};
const belay_test::Recorded all_of_a_queue{"pushed 1", "pushed 2",   "dropped 1",
                                          "pushed 2", "popped 1",   "drained 1",
                                          "pushed 1", "released 1", "rejected 2"};

struct QueueRecorder {
    belay_test::Recorded& reported;
    void on_pushed(std::size_t size) { reported.push_back("pushed " + std::to_string(size)); }
    void on_rejected(const std::error_code& why) {
        reported.push_back("rejected " + std::to_string(why.value()));
    }
    void on_dropped(int value) { reported.push_back("dropped " + std::to_string(value)); }
    void on_popped(std::size_t size) noexcept {
        reported.push_back("popped " + std::to_string(size));
    }
    void on_drained(const DrainReport& report) noexcept {
        reported.push_back("drained " + std::to_string(report.drained));
    }
    void on_released(std::size_t count, std::size_t) {
        reported.push_back("released " + std::to_string(count));
    }
};
struct QueueRecorderWithMachine {
    belay_test::Recorded& reported;
    void on_pushed(const auto& queue, std::size_t size) {
        if (queue.size() == size) QueueRecorder{reported}.on_pushed(size);
    }
    void on_rejected(auto& queue, const std::error_code& why) {
        if (queue.suspended()) QueueRecorder{reported}.on_rejected(why);
    }
    void on_dropped(const auto& queue, int value) {
        if (queue.size() == 1) QueueRecorder{reported}.on_dropped(value);
    }
    void on_popped(const auto& queue, std::size_t size) noexcept {
        if (queue.size() == size) QueueRecorder{reported}.on_popped(size);
    }
    void on_drained(const auto& queue, const DrainReport& report) noexcept {
        if (queue.empty()) QueueRecorder{reported}.on_drained(report);
    }
    void on_released(const auto& queue, std::size_t count, std::size_t size) {
        if (queue.size() == size) QueueRecorder{reported}.on_released(count, size);
    }
};
using AnyQueue = Queue<Deque<int>>;
struct QueueAllWrong : NoObserver {
    void on_pushed(AnyQueue&, std::size_t);
    void on_rejected(std::error_code&);
    void on_dropped(const char*);
    void on_dropped(auto&, auto&);
    void on_popped() noexcept;
    void on_drained(std::size_t, std::error_code) noexcept;
    void on_released(std::size_t);
};
using OfQueue = detail::QueueHooks<const AnyQueue, int>;
static_assert(!OfQueue::Pushed::right<QueueAllWrong> && !OfQueue::Rejected::right<QueueAllWrong>);
static_assert(!OfQueue::Dropped::right<QueueAllWrong> && !OfQueue::Popped::right<QueueAllWrong>);
static_assert(!OfQueue::Drained::right<QueueAllWrong> && !OfQueue::Released::right<QueueAllWrong>);

struct ThrowingOverflow {
    static constexpr bool drops = true;
    bool drops_first;
    std::error_code make_space(auto& space) {
        if (drops_first) static_cast<void>(space.drop_oldest());
        throw 4;
    }
};

}  // namespace

static_assert(sizeof(Queue<Ring<int, 4>>) == sizeof(Queue<Ring<int, 4>, Reject, EmptyObserver>),
              "an observer that sees nothing takes no room");
static_assert(std::is_same_v<decltype(Queue{Ring<int, 4>{}, Reject{}, {}, RecordedText{}}),
                             Queue<Ring<int, 4>, Reject, RecordedText>>);
static_assert(std::is_default_constructible_v<Queue<Ring<int, 4>, Reject, RecordedText>>);
static_assert(!std::is_default_constructible_v<
              Queue<Ring<int, 4>, Reject, std::reference_wrapper<RecordedText>>>);

TEST_CASE("Queue calls each hook, in every form of observer", "[queue][queue_observer][unit]") {
    belay_test::observed_in_every_form<QueueRecorder>(lifecycle_of_a_queue, all_of_a_queue);
    belay_test::observed_in_every_form<QueueRecorderWithMachine>(lifecycle_of_a_queue,
                                                                 all_of_a_queue);
}

TEST_CASE("Queue::observer is the observer itself, also through a std::ref",
          "[queue][queue_observer][regression]") {
    RecordedText recorded;
    Queue queue{Deque<int>{}, Reject{}, {}, std::ref(recorded)};
    static_assert(std::is_same_v<decltype(queue.observer()), RecordedText&>);
    CHECK(&queue.observer() == &recorded);
    CHECK(&std::as_const(queue).observer() == &recorded);
    const Queue own{Deque<int>{}, Reject{}, {}, RecordedText{"x"}};
    static_assert(std::is_same_v<decltype(own.observer()), const RecordedText&>);
    CHECK(own.observer().text == "x");
}

TEST_CASE("A queue's Tee counts a dropped value that another observer takes",
          "[queue][queue_observer][unit]") {
    struct Keeper {
        std::vector<std::string> kept{};
        void on_dropped(std::string value) { kept.push_back(std::move(value)); }
    };
    struct Looks {
        std::vector<const void*> observed{};
        void on_dropped(const std::string& value) { observed.push_back(value.data()); }
    };
    Queue queue{
        Deque<std::string>{}, DropNewest{}, {.limit = 1}, Tee{Keeper{}, QueueCounters{}, Looks{}}};
    CHECK_FALSE(queue.push(std::string("first")));
    std::string second(100, 'x');
    const void* const heap = second.data();
    CHECK_FALSE(queue.push(std::move(second)));
    const std::string third(100, 'y');
    CHECK_FALSE(queue.push(third));
    CHECK(queue.observer().get<0>().kept ==
          std::vector{std::string(100, 'x'), std::string(100, 'y')});
    CHECK(queue.observer().get<1>().dropped == 2);
    // The last observer sees only the values that were moved. All observers see a value that was
    // passed by reference.
    CHECK(queue.observer().get<2>().observed ==
          std::vector{heap, static_cast<const void*>(third.data())});
}

TEST_CASE("Queue notifies its observer of each push, pop, rejection and drain",
          "[queue][queue_observer][unit]") {
    Queue queue{Deque<int>{}, Reject{}, {.limit = 2}, RecordedText{}};
    RecordedText& recorded = queue.observer();
    CHECK_FALSE(queue.push(1));
    CHECK_FALSE(queue.push(2));
    CHECK(queue.push(3) == QueueErrc::queue_full);
    CHECK(recorded.take() == "pushed:1 pushed:2 rejected:1 ");
    CHECK(queue.pop() == 1);
    CHECK(recorded.take() == "popped:1 ");
    queue.suspend();
    CHECK(queue.push(3) == QueueErrc::queue_suspended);
    CHECK(recorded.take() == "rejected:2 ");
    queue.resume();
    CHECK_FALSE(queue.push(3));
    CHECK(queue.drain([](int value) { return value != 3; }).drained == 1);
    CHECK(recorded.take() == "pushed:2 drained:1,7 ");
    CHECK(queue.drain([](int) {}).drained == 1);
    CHECK(recorded.take() == "drained:1,0 ");
    // Without an event, no hook is called. A drain without a value is an event.
    CHECK_FALSE(queue.pop());
    CHECK(recorded.take() == "");
    CHECK(queue.drain([](int) {}).drained == 0);
    CHECK(recorded.take() == "drained:0,0 ");
}

TEST_CASE("Queue reports a dropped value before the push that replaced it",
          "[queue][queue_observer][unit]") {
    Queue oldest{Deque<int>{}, DropOldest{}, {.limit = 1}, RecordedText{}};
    CHECK_FALSE(oldest.push(1));
    CHECK_FALSE(oldest.push(2));
    CHECK(oldest.observer().take() == "pushed:1 dropped:1 pushed:1 ");
    Queue newest{Deque<int>{}, DropNewest{}, {.limit = 1}, RecordedText{}};
    CHECK_FALSE(newest.push(1));
    CHECK_FALSE(newest.push(2));
    CHECK(newest.observer().take() == "pushed:1 dropped:2 ");
}

TEST_CASE("Queue notifies its observer of a rejection by the storage",
          "[queue][queue_observer][fault]") {
    struct Refuses : Deque<int> {
        Refuses() = default;
        std::error_code try_push(int&&) noexcept { return make_error_code(QueueErrc::too_large); }
    };
    Queue queue{Refuses{}, Reject{}, {}, RecordedText{}};
    CHECK(queue.push(1) == QueueErrc::too_large);
    CHECK(queue.observer().take() == "rejected:4 ");
}

TEST_CASE("Queue does not report a drain that never began, and reports the outer one once",
          "[queue][queue_observer][unit]") {
    Queue queue{Deque<int>{}, Reject{}, {}, RecordedText{}};
    CHECK_FALSE(queue.push(1));
    static_cast<void>(queue.observer().take());
    static_cast<void>(queue.drain([&](int) {
        CHECK(queue.drain([](int) {}).error == QueueErrc::draining);
        CHECK_FALSE(queue.pop());
        CHECK(queue.observer().take() == "");
    }));
    CHECK(queue.observer().take() == "drained:1,0 ");
}

TEST_CASE("Queue reports a drain that an exception ends, with the values before it",
          "[queue][queue_observer][fault]") {
    Queue queue{Deque<int>{}, Reject{}, {}, RecordedText{}};
    for (const int value : {1, 2, 3}) CHECK_FALSE(queue.push(int{value}));
    static_cast<void>(queue.observer().take());
    CHECK_THROWS_AS(queue.drain([](int value) {
        if (value == 2) throw value;
    }),
                    int);
    CHECK(queue.observer().take() == "drained:1,7 ");
    CHECK(queue.size() == 2);
    CHECK(queue.drain([](int) {}).drained == 2);
}

TEST_CASE("Queue keeps its state when a hook throws", "[queue][queue_observer][fault]") {
    struct Throws {
        bool armed = true;
        void on_pushed(std::size_t) {
            if (armed) throw 1;
        }
        void on_rejected(const std::error_code&) {
            if (armed) throw 2;
        }
        void on_dropped(int) {
            if (armed) throw 3;
        }
    };
    Queue queue{Deque<int>{}, Reject{}, {.limit = 1}, Throws{}};
    CHECK_THROWS_AS(queue.push(1), int);
    CHECK(queue.size() == 1);
    CHECK_THROWS_AS(queue.push(2), int);
    CHECK(queue.size() == 1);

    Queue dropping{Deque<int>{}, DropOldest{}, {.limit = 1}, Throws{false}};
    CHECK_FALSE(dropping.push(1));
    dropping.observer().armed = true;
    CHECK_THROWS_AS(dropping.push(2), int);
    CHECK(dropping.empty());  // the oldest is dropped, and the newest was not accepted
    dropping.observer().armed = false;
    CHECK_FALSE(dropping.push(3));
    CHECK(dropping.pop() == 3);
}

TEST_CASE("Queue keeps its state when the overflow policy throws",
          "[queue][queue_observer][fault]") {
    const bool drops_first = GENERATE(true, false);
    Queue queue{Deque<std::string>{}, ThrowingOverflow{drops_first}, {.limit = 2}};
    REQUIRE_FALSE(queue.push("1"));
    REQUIRE_FALSE(queue.push("2"));
    std::string third = "3";
    CHECK_THROWS_AS(queue.push(std::move(third)), int);
    CHECK(third == "3");  // NOLINT(bugprone-use-after-move): the push did not take it
    CHECK(queue.size() == (drops_first ? 1 : 2));
    if (drops_first) CHECK_FALSE(queue.push(std::move(third)));
    CHECK(queue.pop() == (drops_first ? "2" : "1"));
    CHECK(queue.pop() == (drops_first ? "3" : "2"));
    CHECK(queue.empty());
}

TEST_CASE("Queue accepts an observer that lives elsewhere, and one whose hooks are templates",
          "[queue][queue_observer][unit]") {
    RecordedText recorded;
    Queue queue{Deque<int>{}, Reject{}, {}, std::ref(recorded)};
    CHECK_FALSE(queue.push(1));
    CHECK(recorded.take() == "pushed:1 ");
    auto moved = std::move(queue);
    CHECK(moved.pop() == 1);
    CHECK(recorded.take() == "popped:0 ");

    Queue templated{Deque<int>{}, Reject{}, {}, Templated{}};
    CHECK_FALSE(templated.push(1));
    CHECK(templated.observer().pushes == 1);
}

TEST_CASE("A hook may keep a dropped value", "[queue][queue_observer][unit]") {
    struct Keeper {
        std::unique_ptr<int> last;
        void on_dropped(std::unique_ptr<int>&& value) { last = std::move(value); }
    };
    Queue queue{Ring<std::unique_ptr<int>, 2>{}, DropOldest{}, {.limit = 1}, Keeper{}};
    CHECK_FALSE(queue.push(std::make_unique<int>(1)));
    CHECK_FALSE(queue.push(std::make_unique<int>(2)));
    REQUIRE(queue.observer().last != nullptr);
    CHECK(*queue.observer().last == 1);
}

TEST_CASE("Queue takes an observer without options", "[queue][observer][unit]") {
    struct Sizes {
        std::size_t last = 0;
        void on_pushed(std::size_t size) { last = size; }
    };
    Sizes sizes;
    Queue queue{Deque<int>{}, Reject{}, std::ref(sizes)};
    STATIC_REQUIRE(
        std::same_as<decltype(queue), Queue<Deque<int>, Reject, std::reference_wrapper<Sizes>>>);
    CHECK_FALSE(queue.push(1));
    CHECK(sizes.last == 1);
}
