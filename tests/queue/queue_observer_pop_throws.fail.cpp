// SPDX-License-Identifier: MIT
// expect-error: Queue: the observer's on_popped must be noexcept
#include <belay/queue/deque.hpp>
#include <belay/queue/queue.hpp>

struct Observer {
#ifdef BELAY_CONTROL
    void on_popped(std::size_t size) noexcept;
#else
    void on_popped(std::size_t size);
#endif
};

belay::Queue queue{belay::Deque<int>{}, belay::Reject{}, {}, Observer{}};
