// SPDX-License-Identifier: MIT
/// \file tests/support/worlds/broken_hosts.hpp
/// Faults of several hosts at once, or for good, which drawn scenarios do not have.
#pragma once

#include <chrono>
#include <string_view>
#include <vector>

#include <belay/sim/world.hpp>

namespace belay_test {

/// Breaks a host for good: without power, frozen, rejecting connections, or unreachable for another
/// one.
inline void break_for_good(belay::sim::World& world, belay::sim::Host& host,
                           belay::sim::Host& other) {
    switch (world.choose("how it breaks", 4)) {
        case 0:
            return world.kill(host);
        case 1:
            return world.pause(host);
        case 2:
            world.network().drop_connections(host, other);
            return world.network().refuse(host);
        default:
            return world.network().partition(host, other);
    }
}

/// In half of the worlds, cuts a host off from all others for 1 s to `most`, with or without
/// resets. The cut begins within the first 5 s.
inline void cut_off(belay::sim::World& world, belay::sim::Host& host,
                    const std::vector<belay::sim::Host*>& others, belay::Duration most) {
    using namespace std::chrono_literals;
    if (world.chance("an outage", 50)) return;
    const auto some = [&world](std::string_view tag, belay::Duration limit) {
        const auto count = static_cast<std::uint64_t>(limit / 1ms);
        return std::chrono::milliseconds{static_cast<std::int64_t>(world.choose(tag, count))};
    };
    const belay::Duration from = some("from", 5s);
    const bool resets = world.chance("resets", 50);
    world.at(from, [&world, &host, &others, resets] {
        for (belay::sim::Host* const other : others) {
            if (resets) world.network().drop_connections(host, *other);
            world.network().partition(host, *other);
        }
    });
    world.at(from + 1s + some("lasts", most - 1s), [&world, &host, &others] {
        if (world.healed_at()) return;  // hosts that are cut off now stay so
        for (belay::sim::Host* const other : others) world.network().heal(host, *other);
    });
}

}  // namespace belay_test
