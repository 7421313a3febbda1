// SPDX-License-Identifier: MIT
// For the pages on queues: a user's values, and the code that uses them.
#pragma once

#include <string>
#include <thread>

#include <belay/journal.hpp>
#include <belay/queue.hpp>

#include "usual.hpp"

namespace frames::queue {

struct Task {
    std::uint64_t number = 0;
    bool is_control = false;
    bool operator==(const Task&) const = default;
};
struct Position {};
struct Sample {};
struct Order {
    int number;
    std::string what;
};
using Mine = Deque<Task>;  // a storage

bool send(const Task& task);
bool run(const Task& task);
bool ship(const Order& order);
bool ship(BytesView job);
bool set_aside(BytesView job);
void look_at(BytesView letter);
void print(std::uint64_t number, BytesView operation);
extern const Bytes sample;
extern bool working, stopping;
extern Result<posix::Journal, JournalError> journal, dead;

}  // namespace frames::queue
