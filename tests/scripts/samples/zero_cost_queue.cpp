// SPDX-License-Identifier: MIT
// Compiled by zero_cost.py: with -DZERO_COST_OBSERVER=0 nobody observes, with 1 one without hooks
// does, with 2 one that does nothing in its hooks, with 3 one that counts.
#include <belay/queue/overflows.hpp>
#include <belay/queue/queue.hpp>
#include <belay/queue/storages.hpp>

using namespace belay;

#if ZERO_COST_OBSERVER <= 1
struct Watcher : NoObserver {};
#elif ZERO_COST_OBSERVER == 2
struct Watcher {
    void on_pushed(std::size_t) noexcept {}
    void on_rejected(const std::error_code&) noexcept {}
    void on_dropped(int) noexcept {}
    void on_popped(std::size_t) noexcept {}
    void on_drained(const DrainReport&) noexcept {}
};
#else
using Watcher = QueueCounters;
#endif

#if ZERO_COST_OBSERVER == 0
using Watched = Queue<Ring<int, 64>, DropOldest>;
#else
using Watched = Queue<Ring<int, 64>, DropOldest, Watcher>;
#endif

bool work_on(int value);

std::error_code push(Watched& queue, int value) { return queue.push(value); }
std::optional<int> pop(Watched& queue) { return queue.pop(); }
DrainReport drain(Watched& queue) { return queue.drain(work_on); }
