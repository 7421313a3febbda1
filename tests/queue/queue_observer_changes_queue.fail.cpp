// SPDX-License-Identifier: MIT
// expect-error: Queue: the observer's on_pushed must be 'on_pushed
#include <belay/queue/deque.hpp>
#include <belay/queue/queue.hpp>

// A hook may ask the queue, and must not change it.
struct Observer;
using Watched = belay::Queue<belay::Deque<int>, belay::Reject, Observer>;
struct Observer {
#ifdef BELAY_CONTROL
    void on_pushed(const Watched& queue, std::size_t size);
#else
    void on_pushed(Watched& queue, std::size_t size);
#endif
};

Watched queue{belay::Deque<int>{}, belay::Reject{}, {}, Observer{}};
