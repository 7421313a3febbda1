// SPDX-License-Identifier: MIT
// expect-error: MachineLike: M needs .advance.belay::Instant.
#include <belay/core/machine_like.hpp>

struct Machine {
    void attach(belay::Waker) {}
    belay::Instant deadline() const noexcept { return belay::never; }
#if defined(BELAY_CONTROL)
    void advance(belay::Instant) {}
#endif
};

static_assert(belay::explain::machine_like<Machine>());
