// SPDX-License-Identifier: MIT
// The client takes three refused connections in a row for a permanent error, and gives up.
#include "bugs.hpp"
#include "counter.hpp"

namespace bugs {

bool reset_on_connect(sim::World& world, bool mended) {
    auto& last = world.make<std::uint64_t>(0U);
    ClientOptions options;
    if (!mended) options.attempts = 3;
    return run_counter(world, options, [&last](sim::Host&, Observed& observed) {
        return Memory{observed, last};
    });
}

}  // namespace bugs
