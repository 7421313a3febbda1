// SPDX-License-Identifier: MIT
// Goal: a program with a former name of a Queue compiles, and does the same as with the present one.
// Method: the former name next to the present one, with an observer.
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

#include <belay/queue/deque.hpp>
#include <belay/queue/drop_oldest.hpp>
#include <belay/queue/queue.hpp>
#include <belay/queue/storage_check.hpp>

#include "support/catch.hpp"

using namespace belay;

static_assert(check::StorageRule::refuses_when_full == check::StorageRule::rejects_when_full);
static_assert(check::StorageRule::refusal_changes_nothing ==
              check::StorageRule::rejection_changes_nothing);

namespace {

struct ReleasedCount {
    std::size_t* released;
    void on_released(std::size_t count, std::size_t) const { *released += count; }
};

}  // namespace

TEST_CASE("Queue::tell_released does what notify_released does", "[queue][former_names][unit]") {
    std::size_t released = 0;
    Queue queue{Deque<int>{2}, DropOldest{}, ReleasedCount{&released}};
    queue.tell_released(1);
    CHECK(released == 1);
    queue.notify_released(2);
    CHECK(released == 3);
}
