// SPDX-License-Identifier: MIT
#include <cstdio>
#include <string>

#include <belay/queue.hpp>
using namespace belay;

struct Watch : QueueCounters {  // counts, and prints dropped tasks
    void on_dropped(const std::string& task) {
        QueueCounters::on_dropped(task);
        std::printf("dropped: %s\n", task.c_str());
    }
};

int main() {
    // excerpt: begin
    Queue queue{Deque<std::string>{}, DropOldest{}, {.limit = 2}, Watch{}};
    for (const char* const task : {"tea", "milk", "sugar"}) {
        if (const std::error_code error = queue.push(task)) return 1;
    }
    const auto [drained, error] = queue.drain([](const std::string& task) {
        std::printf("working on: %s\n", task.c_str());
        return task != "sugar";  // failed: it stays the first
    });
    // excerpt: end
    std::printf("%d done, %d left\n", static_cast<int>(drained), static_cast<int>(queue.size()));
}
