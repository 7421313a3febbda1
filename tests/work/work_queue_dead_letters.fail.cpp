// SPDX-License-Identifier: MIT
// expect-error: WorkQueue: DeadLetters must be KeepDead or have
#include <belay/work/work_queue.hpp>

#include "support/queue/queue_archetypes.hpp"

struct NoLetters {
#if defined(BELAY_CONTROL)
    bool try_push(belay::Bytes&&) noexcept { return true; }
#endif
};

template class belay::WorkQueue<belay_test::MinimalSequenced, NoLetters>;
