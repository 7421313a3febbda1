// SPDX-License-Identifier: MIT
// expect-error: DriverLike: D needs .driver::Post post.f.., any thread
#include <belay/core/driver_like.hpp>

struct Driver {
    template <class M>
    void attach(M&) {}
#if defined(BELAY_CONTROL)
    template <class F>
    belay::driver::Post post(F) {
        return belay::driver::Post::gone;
    }
#endif
    belay::Instant now() const noexcept { return belay::never; }
};

static_assert(belay::explain::driver_like<Driver>());
