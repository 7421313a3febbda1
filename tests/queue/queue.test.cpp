// SPDX-License-Identifier: MIT
// Goal: Queue adds limit, suspend and drain to a storage. Method: examples, and a model for drain.
#include <belay/queue/queue.hpp>

#include <belay/journal/journal.hpp>
#include <belay/queue/overflows.hpp>
#include <belay/queue/storages.hpp>
#include <belay/sim/crash_points.hpp>
#include <memory>

#include "support/aborts.hpp"
#include "support/catch.hpp"
#include "support/queue/queue_archetypes.hpp"
#include "support/seeds.hpp"
#include "support/sim/power_lost_at_end.hpp"

using namespace belay;

static_assert(std::is_same_v<decltype(Queue{Ring<int, 4>{}}), Queue<Ring<int, 4>, Reject>>);
static_assert(std::is_same_v<decltype(Queue{Deque<int>{}, {.limit = 3}}), Queue<Deque<int>>>);
static_assert(std::is_same_v<decltype(Queue{Deque<int>{}, DropOldest{}, {.limit = 3}}),
                             Queue<Deque<int>, DropOldest>>);
static_assert(std::is_default_constructible_v<Queue<Ring<int, 4>>>);
static_assert(!Queue<Deque<int>>::drops && Queue<Deque<int>, DropOldest>::drops);

namespace {

Queue<Deque<int>> filled(int count) {
    Queue queue{Deque<int>{}};
    for (int i = 1; i <= count; ++i) REQUIRE_FALSE(queue.push(i));
    return queue;
}

}  // namespace

TEST_CASE("Queue has a default limit of 1000 values", "[queue][queue][unit]") {
    Queue queue{Deque<int>{}};
    CHECK(queue.limit() == 1000);
    for (int i = 0; i < 1000; ++i) REQUIRE_FALSE(queue.push(i));
    CHECK(queue.full());
    CHECK(queue.push(1000) == QueueErrc::queue_full);
    CHECK(queue.size() == 1000);
    CHECK(*queue.pop() == 0);
    CHECK_FALSE(queue.push(1000));
}

TEST_CASE("Queue's limit is the storage's capacity where that is smaller", "[queue][queue][unit]") {
    Queue queue{Ring<int, 4>{}};
    CHECK(queue.limit() == 4);
    CHECK(Queue{Ring<int, 4>{}, {.limit = 2}}.limit() == 2);
}

TEST_CASE("Queue::push leaves a rejected value unchanged", "[queue][queue][unit]") {
    Queue queue{Deque<std::unique_ptr<int>>{}, {.limit = 1}};
    CHECK_FALSE(queue.push(std::make_unique<int>(1)));
    auto refused = std::make_unique<int>(2);
    CHECK(queue.push(std::move(refused)) == QueueErrc::queue_full);
    REQUIRE(refused != nullptr);
    CHECK(*refused == 2);
}

TEST_CASE("Queue::push adds a text as bytes", "[queue][queue][unit]") {
    Queue queue{Deque<Bytes>{}};
    CHECK_FALSE(queue.push("text"));
    CHECK_FALSE(queue.push(std::string{"more"}));
    CHECK_FALSE(queue.push(to_bytes("bytes")));
    CHECK(as_text(queue.pop().value()) == "text");
    CHECK(as_text(queue.pop().value()) == "more");
    CHECK(as_text(queue.pop().value()) == "bytes");
    // A storage of texts stores text.
    Queue texts{Deque<std::string>{}};
    CHECK_FALSE(texts.push("text"));
    CHECK(texts.pop() == "text");
}

TEST_CASE("Queue::suspend rejects pushes, and nothing else, until resume", "[queue][queue][unit]") {
    auto queue = filled(2);
    queue.suspend();
    CHECK(queue.suspended());
    CHECK(queue.push(3) == QueueErrc::queue_suspended);
    CHECK(*queue.pop() == 1);
    CHECK(queue.drain([](int) {}).drained == 1);
    queue.resume();
    CHECK_FALSE(queue.push(3));
    CHECK(queue.size() == 1);
}

TEST_CASE("Queue::hold_oldest keeps the oldest value from pop and from the overflow policy",
          "[queue][queue][unit]") {
    Queue queue{Deque<int>{}, DropOldest{}, {.limit = 2}};
    for (const int value : {1, 2}) REQUIRE_FALSE(queue.push(value));
    queue.hold_oldest(true);
    CHECK(queue.push(3) == QueueErrc::queue_full);
    CHECK_FALSE(queue.pop());
    queue.hold_oldest(false);
    CHECK_FALSE(queue.push(3));
    CHECK(queue.pop() == 2);
}

TEST_CASE("Queue::drain executes in order, and reports how many", "[queue][queue][unit]") {
    auto queue = filled(5);
    std::vector<int> observed;
    const DrainReport result = queue.drain([&](int value) { observed.push_back(value); });
    CHECK(result.drained == 5);
    CHECK_FALSE(result.error);
    CHECK(observed == std::vector{1, 2, 3, 4, 5});
    CHECK(queue.empty());
}

TEST_CASE("Queue::drain stops at the first failure, which stays the first value",
          "[queue][queue][property]") {
    CHECK(
        rc::check("exactly those before the failure are gone", [](std::uint8_t n, std::uint8_t f) {
            const int count = n % 50;
            const int fails = f % 60;
            auto queue = filled(count);
            std::vector<int> observed;
            const DrainReport result = queue.drain([&](int value) {
                observed.push_back(value);
                return value - 1 != fails;
            });
            const int done = std::min(count, fails);
            RC_ASSERT(result.drained == static_cast<std::size_t>(done));
            RC_ASSERT((result.error == QueueErrc::executor_failed) == (fails < count));
            RC_ASSERT(queue.size() == static_cast<std::size_t>(count - done));
            if (fails < count) {
                RC_ASSERT(observed.back() == fails + 1);
                RC_ASSERT(*queue.pop() == fails + 1);
            }
        }));
}

TEST_CASE("Queue::drain accepts every return type of an executor", "[queue][queue][unit]") {
    auto queue = filled(8);
    const std::error_code lost = std::make_error_code(std::errc::connection_reset);
    CHECK(queue.drain([](int) {}, 1).drained == 1);
    CHECK(queue.drain([](int) { return true; }, 1).drained == 1);
    CHECK(queue.drain([](int) { return std::error_code{}; }, 1).drained == 1);
    CHECK(queue.drain([](int) { return Result<int>{7}; }, 1).drained == 1);
    CHECK(queue.drain([](int) { return Result<void>{}; }, 1).drained == 1);
    CHECK(queue.drain([](int) { return false; }, 1).error == QueueErrc::executor_failed);
    CHECK(queue.drain([&](int) { return lost; }, 1).error == lost);
    CHECK(queue.drain([&](int) { return Result<int>{lost}; }, 1).error == lost);
    CHECK(queue.size() == 3);
}

TEST_CASE("Queue::drain leaves values pushed meanwhile for the next drain",
          "[queue][queue][unit]") {
    auto queue = filled(3);
    const DrainReport result = queue.drain([&](int value) { CHECK_FALSE(queue.push(value + 10)); });
    CHECK(result.drained == 3);
    CHECK(queue.size() == 3);
    CHECK(*queue.pop() == 11);
}

namespace {

/// Removes negative values when front() is called, as an Encoded with dead letters does.
struct SkipsNegative : Deque<int> {
    SkipsNegative() = default;
    int* front() {
        while (size() != 0 && *Deque<int>::front() < 0) ack();
        return Deque<int>::front();
    }
};

}  // namespace

TEST_CASE("Queue::drain executes exactly the waiting values that were not set aside",
          "[queue][queue][property]") {
    belay_test::for_each_seed([](Seed seed) {
        Random bits{seed};
        Queue queue{SkipsNegative{}};
        std::vector<int> expected;
        for (int i = 1; i <= 20; ++i) {
            const bool is_bad = bits() % 3 == 0;
            REQUIRE_FALSE(queue.push(is_bad ? -i : i));
            if (!is_bad) expected.push_back(i);
        }
        const std::size_t most = bits() % 2 == 0 ? no_limit : bits() % 20;
        if (most < expected.size()) expected.resize(most);
        std::vector<int> executed;
        const DrainReport result = queue.drain(
            [&](int value) {
                executed.push_back(value);
                for (std::uint64_t more = bits() % 3; more > 0; --more) {
                    REQUIRE_FALSE(queue.push(bits() % 4 == 0 ? -100 : 100));
                }
            },
            most);
        REQUIRE(executed == expected);
        REQUIRE(result.drained == expected.size());
        REQUIRE_FALSE(result.error);
        // The next drain executes the rest.
        REQUIRE_FALSE(queue.drain([](int) {}).error);
        REQUIRE(queue.empty());
    });
}

TEST_CASE("Queue::drain and pop are rejected inside an executor", "[queue][queue][unit]") {
    auto queue = filled(1);
    static_cast<void>(queue.drain([&](int) {
        CHECK(queue.drain([](int) {}).error == QueueErrc::draining);
        CHECK_FALSE(queue.pop());
    }));
    CHECK(queue.empty());
    CHECK_FALSE(queue.push(1));
    CHECK(queue.pop());
}

TEST_CASE("Queue::drain keeps the operation whose executor throws", "[queue][queue][unit]") {
    auto queue = filled(3);
    CHECK_THROWS_AS(queue.drain([](int value) {
        if (value == 2) throw value;
    }),
                    int);
    CHECK(queue.size() == 2);
    CHECK(queue.drain([](int) {}).drained == 2);
}

TEST_CASE("Queue over a Journal drains operations, and gives access to the rest",
          "[queue][queue][unit]") {
    sim::Disk disk;
    auto journal = Journal<sim::Disk>::open(disk, "q");
    REQUIRE(journal);
    Queue queue{std::move(journal).value()};
    for (const char* text : {"one", "two", "three"}) CHECK_FALSE(queue.push(as_bytes(text)));
    CHECK_FALSE(queue.storage().commit());
    CHECK(queue.storage().durable() == 3);
    std::string observed;
    const DrainReport result = queue.drain([&](BytesView body) {
        observed += as_text(body);
        return as_text(body) != "two";
    });
    CHECK(result.drained == 1);
    CHECK(observed == "onetwo");
    CHECK(queue.size() == 2);
    CHECK(as_text(*queue.pop()) == "two");
    CHECK(queue.storage().base() == 3);
}

TEST_CASE("Queue passes on the storage's reason for a rejection", "[queue][queue][fault]") {
    sim::Disk disk;
    auto journal = Journal<sim::Disk>::open(disk, "q", {.record_bytes_max = 8});
    REQUIRE(journal);
    Queue queue{std::move(journal).value()};
    CHECK(queue.push(as_bytes("far too long")) == QueueErrc::too_large);
    CHECK_FALSE(queue.push(as_bytes("short")));
    CHECK_FALSE(queue.storage().commit());
    auto file = disk.open("q/0000000000000001.journal", OpenMode::write);
    REQUIRE(file);
    REQUIRE_FALSE(file->write(0, Bytes(4096)));
    const DrainReport result = queue.drain([](BytesView) {});
    CHECK(result.drained == 0);
    CHECK(result.error == QueueErrc::corrupt);
    CHECK(queue.size() == 1);
}

namespace {

/// A storage of texts that counts their bytes.
struct Scales : Deque<std::string> {
    Scales() = default;
    bool try_push(std::string&& text) noexcept {
        weight += text.size();
        return Deque<std::string>::try_push(std::move(text));
    }
    std::optional<std::string> try_pop() {
        std::optional<std::string> text = Deque<std::string>::try_pop();
        if (text) weight -= text->size();
        return text;
    }
    std::uint64_t bytes() const noexcept { return weight; }
    std::uint64_t weight = 0;
};

}  // namespace

TEST_CASE("Queue is full at either of its limits", "[queue][queue][unit]") {
    Queue queue{Scales{}, {.limit = 3, .bytes_limit = 10}};
    CHECK_FALSE(queue.push(std::string(9, 'a')));
    CHECK(queue.bytes() == 9);
    CHECK_FALSE(queue.full());
    CHECK_FALSE(queue.push(std::string(9, 'b')));  // the push that crosses the limit
    CHECK(queue.full());
    CHECK(queue.push("c") == QueueErrc::queue_full);
    CHECK(queue.pop());
    CHECK_FALSE(queue.push(""));
    CHECK_FALSE(queue.push(""));
    CHECK(queue.bytes() == 9);
    CHECK(queue.push("") == QueueErrc::queue_full);
    CHECK(queue.size() == 3);
}

TEST_CASE("Queue counts no bytes without a bytes_limit", "[queue][queue][unit]") {
    Queue queue{Scales{}};
    queue.storage().weight = ~std::uint64_t{0} - 1;
    CHECK_FALSE(queue.push("a"));
    CHECK_FALSE(queue.push(""));
}

TEST_CASE("Queue accepts a value when it is empty, also if its storage still counts bytes",
          "[queue][queue][unit]") {
    Queue queue{Scales{}, {.bytes_limit = 1}};
    queue.storage().weight = 1000;
    CHECK_FALSE(queue.full());
    CHECK_FALSE(queue.push(std::string(5, 'a')));
    CHECK(queue.push("b") == QueueErrc::queue_full);
    CHECK(queue.pop() == std::string(5, 'a'));
    CHECK_FALSE(queue.push("b"));
}

TEST_CASE("Queue accepts a bytes_limit only over a storage that counts bytes",
          "[queue][queue][unit]") {
    const auto complaint = [](auto make) { return belay_test::aborts_with(make); };
    CHECK(complaint([] {
              Queue{Deque<int>{}, {.bytes_limit = 1}};
          }).find("'bytes()'") != std::string::npos);
    CHECK(complaint([] {
              Queue{Scales{}, {.bytes_limit = 0}};
          }).find("limit of bytes must") != std::string::npos);
    CHECK(complaint([] {
              Queue{Scales{}, {.limit = 0}};
          }).find("the limit must") != std::string::npos);
    CHECK(Queue{Scales{}}.limit() == 1000);
    CHECK(Queue{Scales{}, {.limit = 1000, .bytes_limit = 1}}.limit() == 1000);
}

TEST_CASE("Queue has no limit of values besides a bytes_limit that is given alone",
          "[queue][queue][regression]") {
    CHECK(Queue{Scales{}, {.bytes_limit = 1}}.limit() == Scales{}.capacity());
    sim::Disk disk;
    auto journal = Journal<sim::Disk>::open(disk, "q", {.seed = Seed{1}});
    REQUIRE(journal);
    Queue queue{std::move(*journal), DropOldest{}, {.bytes_limit = 100 << 20}, QueueCounters{}};
    for (int i = 0; i < 5000; ++i) REQUIRE_FALSE(queue.push("a small line"));
    CHECK(queue.size() == 5000);
    CHECK(queue.observer().dropped == 0);
}

TEST_CASE("Queue over a Journal accepts only a bytes_limit of two segments or more",
          "[queue][queue][unit]") {
    // With a smaller limit, dropping would free nothing: DropOldest would keep one value until a
    // file was full.
    const auto open = [](sim::Disk& disk) {
        auto journal = Journal<sim::Disk>::open(
            disk, "q", {.segment_bytes = 8192, .record_bytes_max = 512, .seed = Seed{1}});
        REQUIRE(journal);
        return std::move(*journal);
    };
    CHECK(belay_test::aborts_with([&] {
              sim::Disk disk;
              Queue{open(disk), DropOldest{}, {.bytes_limit = 16'383}};
          }).find("at least two segments") != std::string::npos);
    sim::Disk disk;
    Queue queue{open(disk), DropOldest{}, {.limit = no_limit, .bytes_limit = 16'384}};
    for (int i = 0; i < 200; ++i) {
        REQUIRE_FALSE(queue.push(Bytes(500)));
        CHECK((i < 10 || queue.size() >= 10));
    }
}

TEST_CASE("Queue over a Journal that had larger segments drops only until it is within its limit",
          "[queue][queue][regression]") {
    // The last file kept its size, so DropOldest dropped all values until that file was full.
    sim::Disk disk;
    const auto open = [&](std::size_t segment_bytes) {
        auto journal = Journal<sim::Disk>::open(
            disk, "q", {.segment_bytes = segment_bytes, .record_bytes_max = 512, .seed = Seed{1}});
        REQUIRE(journal);
        return std::move(*journal);
    };
    {
        Queue before{open(std::size_t{1} << 20), {.limit = no_limit}};
        for (int i = 0; i < 100; ++i) REQUIRE_FALSE(before.push(Bytes(500)));
    }
    Queue queue{open(8192), DropOldest{}, {.limit = no_limit, .bytes_limit = 16'384}};
    CHECK(queue.size() == 100);
    for (int i = 0; i < 200; ++i) {
        REQUIRE_FALSE(queue.push(Bytes(500)));
        CHECK((i < 10 || queue.size() >= 10));
    }
}

TEST_CASE("Queue over a Journal keeps the files within a limit of bytes, and continues",
          "[queue][queue][unit]") {
    sim::Disk disk;
    const JournalOptions options{.segment_bytes = 4096, .record_bytes_max = 512, .seed = Seed{1}};
    auto journal = Journal<sim::Disk>::open(disk, "q", options);
    REQUIRE(journal);
    Queue queue{std::move(journal).value(), {.limit = no_limit, .bytes_limit = 16'384}};
    const Bytes body(500);
    int pushed = 0;
    for (int round = 0; round < 20; ++round) {
        while (!queue.push(body)) ++pushed;
        REQUIRE(queue.full());
        REQUIRE(queue.bytes() < 16'384 + 600);
        while (queue.full()) REQUIRE(queue.pop());
    }
    CHECK(pushed > 60);
    while (queue.pop()) --pushed;
    CHECK_FALSE(queue.push(body));
}

TEST_CASE("Queue::flush makes waiting values durable, by flush() or commit() of the storage",
          "[queue][queue][unit]") {
    struct Synced : Deque<int> {
        Synced() = default;
        int syncs = 0;
        std::error_code commit() noexcept { return ++syncs, make_error_code(QueueErrc::corrupt); }
    };
    struct Flushed : Synced {
        int flushes = 0;
        std::error_code flush() noexcept { return ++flushes, std::error_code{}; }
        bool unflushed() const noexcept { return flushes == 0; }
    };
    Queue synced{Synced{}};
    CHECK(synced.flush() == QueueErrc::corrupt);
    CHECK(synced.storage().syncs == 1);
    Queue flushed{Flushed{}};
    CHECK(flushed.unflushed());
    CHECK_FALSE(flushed.flush());
    CHECK_FALSE(flushed.unflushed());
    CHECK(flushed.storage().syncs == 0);
    static_assert(FlushableLike<Queue<Flushed>>);
    static_assert(!FlushableLike<Queue<Synced>> && !FlushableLike<Queue<Deque<int>>>);
    static_assert(!detail::HasFlush<Queue<Deque<int>>>);
}

TEST_CASE("Queue over a Journal destroyed normally loses nothing, also in a power loss",
          "[queue][queue][fault]") {
    for (const Flush mode : {Flush::group, Flush::none}) {
        const auto report = belay_test::power_lost_at_end(
            [&](sim::Disk& disk) {
                auto journal = Journal<sim::Disk>::open(
                    disk, "q", {.flush = mode, .segment_bytes = 4096, .record_bytes_max = 512});
                REQUIRE(journal);
                Queue queue{std::move(journal).value()};
                for (int i = 0; i < 10; ++i) {
                    CHECK_FALSE(queue.push(as_bytes(std::to_string(i))));
                }
                CHECK(queue.pop());
                CHECK(queue.drain([](BytesView) {}, 2).drained == 2);
                return true;
            },
            [](sim::Disk& disk, bool) {
                auto journal = Journal<sim::Disk>::open(disk, "q");
                if (!journal) return false;
                Queue queue{std::move(journal).value()};
                return queue.size() == 7 && as_text(*queue.pop()) == "3";
            });
        INFO(report.failure);
        CHECK(report);
        CHECK(report.complete);
    }
}
