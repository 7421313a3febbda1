// SPDX-License-Identifier: MIT
// Goal: a Queue is drained by its thread while others push into its storage: each value once, in
// the order of its producer. Method: real threads, over rings and journals; for ThreadSanitizer.
#include <belay/queue/concurrent_rings.hpp>
#include <belay/queue/queue.hpp>

#include <belay/posix/journal.hpp>

#include <atomic>
#include <thread>
#include <vector>

#include "support/catch.hpp"
#include "support/temporary_directory.hpp"

using namespace belay;
using belay_test::TemporaryDirectory;

namespace {

struct ProducerTask {
    std::uint32_t producer = 0;
    std::uint32_t number = 0;
};

Bytes bytes_of_task(ProducerTask task) {
    Bytes bytes(8);
    store_le(bytes.data(), task.producer);
    store_le(bytes.data() + 4, task.number);
    return bytes;
}
ProducerTask task_of(BytesView bytes) {
    REQUIRE(bytes.size() == 8);
    return {load_le<std::uint32_t>(bytes.data()), load_le<std::uint32_t>(bytes.data() + 4)};
}

/// Checks that each task is executed once, and those of one producer in order.
class Ledger {
public:
    explicit Ledger(std::size_t producers) : next_(producers, 0) {}

    /// Returns false if the task fails. Every seventh task fails the first time.
    bool execute(ProducerTask task) {
        if (task.producer >= next_.size() || task.number != next_[task.producer]) {
            wrong_ = true;
            return true;
        }
        if (task.number % 7 == 3 && !failed_) {
            failed_ = true;
            return false;
        }
        failed_ = false;
        ++next_[task.producer];
        ++total_;
        return true;
    }
    [[nodiscard]] std::size_t total() const { return total_; }
    [[nodiscard]] bool wrong() const { return wrong_; }

private:
    std::vector<std::uint32_t> next_;
    std::size_t total_ = 0;
    bool failed_ = false;
    bool wrong_ = false;
};

constexpr std::uint32_t in_memory = 3000;
constexpr std::uint32_t on_disk = 300;

/// Drains on this thread until all tasks are done. Each producer pushes `each` of them through
/// `push(task)`, which returns whether the task was accepted.
template <class Queue, class Push, class Read>
void drain_while_others_push(Queue& queue, std::uint32_t producers, std::uint32_t each, Push push,
                             Read read) {
    std::atomic<bool> gave_up{false};
    std::vector<std::thread> running;
    for (std::uint32_t p = 0; p < producers; ++p) {
        running.emplace_back([&, p] {
            for (std::uint32_t i = 0; i < each && !gave_up; ++i) {
                while (!push(ProducerTask{p, i}) && !gave_up) std::this_thread::yield();
            }
        });
    }
    Ledger ledger{producers};
    std::size_t drained = 0;
    std::error_code unexpected;
    while (ledger.total() < std::size_t{producers} * each && !ledger.wrong() && !unexpected) {
        const DrainReport result =
            queue.drain([&](auto&& value) { return ledger.execute(read(value)); });
        drained += result.drained;
        // While a producer pushes, the values after its own are not visible.
        if (result.error && result.error != QueueErrc::executor_failed &&
            result.error != QueueErrc::queue_empty) {
            unexpected = result.error;
        }
        if (result.drained == 0) std::this_thread::yield();
    }
    gave_up = true;
    for (std::thread& t : running) t.join();
    CHECK_FALSE(unexpected);
    CHECK_FALSE(ledger.wrong());
    CHECK(ledger.total() == drained);
    CHECK(drained == std::size_t{producers} * each);
    CHECK(queue.empty());
}

}  // namespace

TEST_CASE("Queue over an SpscRing is drained while another thread pushes",
          "[queue][queue_drain_threads][unit]") {
    Queue queue{SpscRing<ProducerTask>{64}};
    SpscRing<ProducerTask>& ring = queue.storage();
    drain_while_others_push(
        queue, 1, in_memory, [&](ProducerTask task) { return ring.try_push(std::move(task)); },
        [](const ProducerTask& task) { return task; });
}

TEST_CASE("Queue over a journal is drained while other threads append and sync",
          "[queue][queue_drain_threads][unit]") {
    for (const Flush mode : {Flush::each, Flush::group, Flush::none}) {
        const TemporaryDirectory directory;
        auto opened = posix::Journal::open(
            directory / "q",
            {.flush = mode, .segment_bytes = std::size_t{64} << 10, .record_bytes_max = 1024});
        REQUIRE(opened);
        Queue queue{std::move(*opened), {.limit = no_limit}};
        posix::Journal& journal = queue.storage();
        drain_while_others_push(
            queue, 3, on_disk,
            [&](ProducerTask task) {
                const auto number = journal.append(bytes_of_task(task));
                if (!number) return false;
                if (mode == Flush::each) return journal.durable() >= *number;
                // A flush of real files now and then is enough.
                return task.number % 20 != 0 || !journal.commit();
            },
            [](BytesView body) { return task_of(body); });
        CHECK(journal.base() == journal.last() + 1);
        CHECK_FALSE(queue.flush());
        CHECK(journal.acked_durable() == journal.last());
    }
}

TEST_CASE("Queue ignores pushes of other threads in its limit, suspension and counters",
          "[queue][queue_drain_threads][unit]") {
    Queue queue{SpscRing<ProducerTask>{8}, Reject{}, {.limit = 2}, QueueCounters{}};
    SpscRing<ProducerTask>& inbox = queue.storage();
    queue.suspend();
    CHECK(queue.push(ProducerTask{}) == QueueErrc::queue_suspended);
    for (std::uint32_t i = 0; i < 8; ++i) CHECK(inbox.try_push(ProducerTask{0, i}));
    CHECK_FALSE(inbox.try_push(ProducerTask{}));  // the storage is full
    queue.resume();
    CHECK(queue.push(ProducerTask{}) == QueueErrc::queue_full);
    CHECK(queue.observer().pushed == 0);
    CHECK(queue.observer().rejected == 2);
    CHECK(queue.drain([](const ProducerTask&) {}).drained == 8);
    CHECK(queue.observer().drained == 8);
}

TEST_CASE("The lines of docs/reference/rings.md about other threads work as described",
          "[queue][queue_drain_threads][unit]") {
    int ran = 0;
    const auto run = [&ran](const ProducerTask&) { ++ran; };
    Queue queue{SpscRing<ProducerTask>{256}};
    auto& inbox = queue.storage();  // before the threads begin
    std::atomic<bool> done{false};
    std::thread other{[&] {
        for (std::uint32_t i = 0; i < 1000; ++i) {
            while (!inbox.try_push(ProducerTask{0, i})) std::this_thread::yield();  // false: full
        }
        done = true;
    }};
    while (!done || !queue.empty()) static_cast<void>(queue.drain(run));
    other.join();
    CHECK(ran == 1000);
}
