// SPDX-License-Identifier: MIT
// expect-error: MpmcRing: T must be movable and destructible without throwing
#include <belay/queue/mpmc_ring.hpp>

struct Value {
    Value() = default;
#ifdef BELAY_CONTROL
    Value(Value&&) noexcept;
#else
    Value(Value&&);
#endif
};

void make() { belay::MpmcRing<Value> ring{1}; }
