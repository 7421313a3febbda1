// SPDX-License-Identifier: MIT
// Goal: misuse of this component does not compile, and the error states the reason. Method: each
// case, from one expect-error to the next, has an error of that text; with BELAY_CONTROL all of
// them compile.
#include <belay/work/work_queue.hpp>

#include "support/queue/queue_archetypes.hpp"

// expect-error: WorkQueue: DeadLetters must be KeepDead or have
namespace work_queue_dead_letters {
struct NoLetters {
#if defined(BELAY_CONTROL)
    bool try_push(belay::Bytes&&) noexcept { return true; }
#endif
};

}  // namespace work_queue_dead_letters
template class belay::WorkQueue<belay_test::MinimalSequenced, work_queue_dead_letters::NoLetters>;

// expect-error: returns bool or std::error_code
namespace work_queue_dead_letters_answer {
// A Result is true if it accepted the letter, and an error_code is true if it did not.
struct Letters {
#if defined(BELAY_CONTROL)
    std::error_code try_push(belay::Bytes&&) noexcept { return {}; }
#else
    belay::Result<int> try_push(belay::Bytes&&) noexcept { return 1; }
#endif
};

}  // namespace work_queue_dead_letters_answer
template class belay::WorkQueue<belay_test::MinimalSequenced,
                                work_queue_dead_letters_answer::Letters>;

// expect-error: WorkQueue: the observer has no hook
namespace work_queue_observer {
struct Observer {
#if defined(BELAY_CONTROL)
    void on_dead(const belay::DeadWork&) {}
#else
    void on_death(const belay::DeadWork&) {}
#endif
};

}  // namespace work_queue_observer
template class belay::WorkQueue<belay_test::MinimalSequenced, belay::KeepDead,
                                work_queue_observer::Observer>;

// expect-error: WorkQueue: the observer's on_dropped must be 'on_dropped
namespace work_queue_observer_hook {
struct Observer {
    void on_dead(const belay::DeadWork&) {}
#if defined(BELAY_CONTROL)
    void on_dropped(const belay::DeadWork&) {}
#else
    void on_dropped(belay::BytesView) {}
#endif
};

}  // namespace work_queue_observer_hook
template class belay::WorkQueue<belay_test::MinimalSequenced, belay::KeepDead,
                                work_queue_observer_hook::Observer>;

// expect-error: WorkQueue::open: pass the moment after the options
namespace work_queue_without_moment {
using Work = belay::WorkQueue<belay_test::MinimalSequenced>;
void use(belay_test::MinimalSequenced log) {
#if defined(BELAY_CONTROL)
    static_cast<void>(Work::open(std::move(log), belay::WorkOptions{}, belay::Moment{}));
#else
    static_cast<void>(Work::open(std::move(log), belay::WorkOptions{}));
#endif
}
}  // namespace work_queue_without_moment

// expect-error: WorkQueue: a queue is opened
namespace work_queue_constructed {
void use(belay_test::MinimalSequenced log) {
#if defined(BELAY_CONTROL)
    auto queue = belay::WorkQueue<belay_test::MinimalSequenced>::open(
        std::move(log), belay::WorkOptions{}, belay::Moment{});
#else
    belay::WorkQueue queue{log};
#endif
}
}  // namespace work_queue_constructed
