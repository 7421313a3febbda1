// SPDX-License-Identifier: MIT
// expect-error: Queue: the observer's on_dropped must be 'on_dropped
#include <belay/queue/deque.hpp>
#include <belay/queue/queue.hpp>

struct Observer {
    void on_pushed(std::size_t size);
#ifdef BELAY_CONTROL
    void on_dropped(int value);
#else
    void on_dropped(const char* value);
#endif
};

belay::Queue queue{belay::Deque<int>{}, belay::Reject{}, {}, Observer{}};
