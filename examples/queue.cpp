// SPDX-License-Identifier: MIT
// A durable queue: what is taken survives the process, and is worked off in order, each once.
#include <cstdio>
#include <filesystem>
#include <string>

#include <belay/belay.hpp>
#include <belay/posix.hpp>

using namespace belay;  // in examples only

namespace {

/// Opens the queue, as every start of the program does.
Result<Queue<posix::Journal>, JournalError> open_queue(const std::string& path) {
    auto journal = posix::Journal::open(path, {.sync = Sync::group});
    if (!journal) return journal.error();
    return Queue{std::move(journal).value(), {.limit = 100}};
}

}  // namespace

int main() {
    const std::filesystem::path directory =
        std::filesystem::temp_directory_path() / ("belay-example-" + std::to_string(entropy()));
    const std::string path = directory.string();
    int worked = 0;
    {
        auto queue = open_queue(path);
        if (!queue) return std::printf("%s\n", queue.error().message().c_str()), 1;
        for (const char* const job : {"first", "second", "third"}) {
            if (queue->push(as_bytes(job))) return 1;
        }
        // One flush for all three: from here on they survive a kill and a loss of power.
        if (queue->storage().sync()) return 1;
        // The second does not work now: it stays first in the queue, and nothing overtakes it.
        const DrainResult result = queue->drain([&](BytesView job) {
            std::printf("working on the %s\n", std::string{as_text(job)}.c_str());
            return ++worked < 2;
        });
        std::printf("%zu done, then: %s\n", result.drained, result.error.message().c_str());
    }
    auto queue = open_queue(path);
    if (!queue) return std::printf("%s\n", queue.error().message().c_str()), 1;
    std::printf("after a restart %zu are left\n", queue->size());
    const DrainResult rest = queue->drain([](BytesView job) {
        std::printf("working on the %s\n", std::string{as_text(job)}.c_str());
        return true;
    });
    std::filesystem::remove_all(directory);
    return worked == 2 && rest.drained == 2 && queue->empty() ? 0 : 1;
}
