// SPDX-License-Identifier: MIT
// expect-error: Queue: the observer's on_drained must be noexcept
#include <belay/queue/deque.hpp>
#include <belay/queue/queue.hpp>

struct Observer {
#ifdef BELAY_CONTROL
    void on_drained(const belay::DrainReport& result) noexcept;
#else
    void on_drained(const belay::DrainReport& result);
#endif
};

belay::Queue queue{belay::Deque<int>{}, belay::Reject{}, {}, Observer{}};
