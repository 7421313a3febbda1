// SPDX-License-Identifier: MIT
// expect-error: answers bool or std::error_code
#include <belay/work/work_queue.hpp>

#include "support/queue/queue_archetypes.hpp"

// A Result says with true that it took the letter, an error_code that it did not.
struct Letters {
#if defined(BELAY_CONTROL)
    std::error_code try_push(belay::Bytes&&) noexcept { return {}; }
#else
    belay::Result<int> try_push(belay::Bytes&&) noexcept { return 1; }
#endif
};

template class belay::WorkQueue<belay_test::MinimalSequenced, Letters>;
