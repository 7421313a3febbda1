// SPDX-License-Identifier: MIT
// expect-error: Queue: the observer hears nothing
#include <belay/queue/deque.hpp>
#include <belay/queue/queue.hpp>

struct Observer {
#ifdef BELAY_CONTROL
    void on_pushed(std::size_t size);
#else
    void on_push(std::size_t size);
#endif
};

belay::Queue queue{belay::Deque<int>{}, belay::Reject{}, {}, Observer{}};
