// SPDX-License-Identifier: MIT
// A durable queue of orders. An order is leased and acknowledged, or delivered again; after three
// deliveries it becomes a dead letter. An order whose key is remembered is rejected, also after a
// crash.
#include <cstdio>
#include <filesystem>
#include <string>

#include <belay/belay.hpp>
#include <belay/posix.hpp>
#include <belay/work/work_queue.hpp>

using namespace belay;  // in examples only
using namespace std::chrono_literals;

namespace {

using Orders = WorkQueue<posix::Journal>;

Moment now() {
    return {SteadyClock{}.now(),
            std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now())};
}

/// Opens the queue, as every start of the program does.
Result<Orders, WorkError> open_orders(const std::string& path) {
    auto journal = posix::Journal::open(path);
    if (!journal) return WorkError{journal.error().code, 0, "the journal"};
    return Orders::open(std::move(*journal), {.lease = 30s, .deliveries_max = 3, .keys = 10'000},
                        now());
}

/// Ships an order.   Returns: whether it succeeded; for a piano it never does.
bool ship(const Lease& job) {
    const std::string order{as_text(job.body)};
    const bool shipped = order != "a piano";
    std::printf("%s, delivery %u: %s\n", order.c_str(), job.delivery,
                shipped ? "shipped" : "failed");
    return shipped;
}

}  // namespace

int main() {
    const std::filesystem::path directory =
        std::filesystem::temp_directory_path() / ("belay-example-" + std::to_string(entropy()));
    std::size_t shipped = 0;
    {
        auto orders = open_orders(directory.string());
        if (!orders) return std::printf("%s\n", orders.error().message().c_str()), 1;
        for (const char* const order : {"a piano", "a book", "a lamp"}) {
            if (!orders->push(as_bytes(order), now(), {.key = order})) return 1;
        }
        if (orders->commit()) return 1;  // the orders are on the disk
        while (auto job = orders->lease(now())) {
            const bool done = ship(*job);
            // A real program waits before the next delivery: nack(*job, now(), 10s).
            if (done ? orders->ack(*job) : orders->nack(*job, now())) return 1;
            shipped += done ? 1U : 0U;
        }
        // The client did not receive the answer, and sends the order again.
        const auto again = orders->push(as_bytes("a book"), now(), {.key = "a book"});
        std::printf("a book, again: %s\n", again.error().message().c_str());
        if (orders->commit()) return 1;
    }
    auto orders = open_orders(directory.string());
    if (!orders) return std::printf("%s\n", orders.error().message().c_str()), 1;
    std::printf("after a restart %zu wait, %zu are dead\n", orders->size(), orders->dead());
    const bool as_expected = shipped == 2 && orders->empty() && orders->dead() == 1;
    if (orders->for_each_dead([](const WorkItem& item) {
            std::printf("dead: %s\n", std::string{as_text(item.body)}.c_str());
        })) {
        return 1;
    }
    std::filesystem::remove_all(directory);
    return as_expected ? 0 : 1;
}
