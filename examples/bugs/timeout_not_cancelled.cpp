// SPDX-License-Identifier: MIT
// The client does not cancel the timeout of a number that was acknowledged. It ends the wait for a
// later number, too early.
#include "bugs.hpp"
#include "counter.hpp"

namespace bugs {

bool timeout_not_cancelled(sim::World& world, bool mended) {
    auto& last = world.make<std::uint64_t>(0U);
    ClientOptions options;
    options.timeout = options.timeout_after_loss = 500ms;
    options.cancels_timeouts = mended;
    return run_counter(world, options, [&last](sim::Host&, Observed& observed) {
        return Memory{observed, last};
    });
}

}  // namespace bugs
