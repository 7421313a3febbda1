// SPDX-License-Identifier: MIT
// expect-error: SpscRing: T must be movable and destructible without throwing
#include <belay/queue/spsc_ring.hpp>

struct Value {
    Value() = default;
#ifdef BELAY_CONTROL
    Value(Value&&) noexcept;
#else
    Value(Value&&);
#endif
};

void make() { belay::SpscRing<Value> ring{1}; }
