// SPDX-License-Identifier: MIT
// Orders that are worked off out of order, tried again later, given up after three times, and taken
// once, whatever is killed when.
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

/// One order of three does not work; that one never does.
bool ship(BytesView order) { return as_text(order) != "a piano"; }

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
        // The client did not hear the answer, and asks again.
        const auto again = orders->push(as_bytes("a book"), now(), {.key = "a book"});
        std::printf("a book, again: %s\n", again.error().message().c_str());
        if (orders->commit()) return 1;

        while (auto job = orders->lease(now())) {
            const std::string what{as_text(job->body)};
            const bool done = ship(job->body);
            std::printf("%s, delivery %u: %s\n", what.c_str(), job->delivery,
                        done ? "shipped" : "failed");
            // A real program waits longer before it tries again: nack(*job, now(), 10s).
            if (done ? orders->ack(*job) : orders->nack(*job, now())) return 1;
            shipped += done ? 1U : 0U;
        }
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
