// SPDX-License-Identifier: MIT
// The client waits for an acknowledgement that went down with its connection, and sends nothing
// when it is connected again.
#include "bugs.hpp"
#include "counter.hpp"

namespace bugs {

bool lost_wake_up(sim::World& world, bool mended) {
    auto& last = world.make<std::uint64_t>(0U);
    ClientOptions options;
    if (!mended) {
        options.resends_at_once = false;
        options.timeout = options.timeout_after_loss = forever;
    }
    return run_counter(world, options, [&last](sim::Host&, Observed& observed) {
        return Memory{observed, last};
    });
}

}  // namespace bugs
