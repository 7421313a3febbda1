// SPDX-License-Identifier: MIT
// expect-error: WorkQueue: the observer's on_dropped must be 'on_dropped
#include <belay/work/work_queue.hpp>

#include "support/queue/queue_archetypes.hpp"

struct Observer {
    void on_dead(const belay::DeadWork&) {}
#if defined(BELAY_CONTROL)
    void on_dropped(const belay::DeadWork&) {}
#else
    void on_dropped(belay::BytesView) {}
#endif
};

template class belay::WorkQueue<belay_test::MinimalSequenced, belay::KeepDead, Observer>;
