// SPDX-License-Identifier: MIT
// expect-error: Priority: lane_of needs 'operator
#include <belay/queue/priority.hpp>
#include <belay/queue/ring.hpp>

struct LaneOf {
    std::size_t operator()(int value) const
#ifdef BELAY_CONTROL
        noexcept
#endif
    {
        return value > 0 ? 0 : 1;
    }
};

belay::Priority<belay::Ring<int, 4>, 2, LaneOf> storage{{}};
