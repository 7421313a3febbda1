// SPDX-License-Identifier: MIT
// expect-error: WorkQueue: the observer hears nothing
#include <belay/work/work_queue.hpp>

#include "support/queue/queue_archetypes.hpp"

struct Observer {
#if defined(BELAY_CONTROL)
    void on_dead(const belay::DeadWork&) {}
#else
    void on_death(const belay::DeadWork&) {}
#endif
};

template class belay::WorkQueue<belay_test::MinimalSequenced, belay::KeepDead, Observer>;
