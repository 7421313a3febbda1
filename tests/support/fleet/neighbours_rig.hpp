// SPDX-License-Identifier: MIT
/// \file tests/support/fleet/neighbours_rig.hpp
/// NeighboursRig: services whose servers connect after a time, or never, in one fleet.
#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "support/fleet/fleet_rig.hpp"

namespace belay_test {

/// A fleet in which each server takes a given time to connect.
struct NeighboursRig {
    static constexpr belay::Duration never_connects = belay::forever;

    /// The server of one service.
    struct Server {
        belay::Duration takes{};       // from the dial until it is open
        int dials = 0;                 // the dials that were seen
        int opened = 0;                // the last dial that was opened
        int hangs = 0;                 // the number of the dial that hangs
        bool stays_silent = false;     // no dial opens for now
        belay::Duration dialled_at{};  // time of the last dial
    };

    explicit NeighboursRig(belay::FleetOptions options = {}) : rig{options} {}

    /// Adds services whose servers take this long, and starts them. Returns: the index of the
    /// first.
    std::size_t add(int count, belay::Duration takes, std::uint8_t priority = 0) {
        const std::size_t first = rig.transports.size();
        rig.add(count, priority);
        servers.resize(rig.transports.size(), Server{.takes = takes});
        rig.fleet.start();
        run(now);
        return first;
    }
    /// Passes time, in steps of 50 ms.
    void run(belay::Duration until) {
        for (;;) {
            rig.run(now);
            for (std::size_t i = 0; i < servers.size(); ++i) look(i);
            rig.run(now);
            if (++steps % 16 == 0) count();
            if (now >= until) return;
            now = std::min(until, now + std::chrono::milliseconds{50});
        }
    }
    /// Runs until `done()`.   Returns: the passed time, at most `most` and a step.
    template <class F>
    belay::Duration until(F done, belay::Duration most) {
        const belay::Duration from = now;
        while (!done() && now - from <= most) run(now + std::chrono::milliseconds{50});
        return now - from;
    }
    [[nodiscard]] bool is_up(std::size_t i) const {
        return rig.transports[i].live != 0 && servers[i].opened == rig.transports[i].dials;
    }
    void lose(std::size_t i) {
        servers[i].opened = 0;
        rig.fail(i);
    }

    FleetRig rig;
    belay::Duration now{};
    std::vector<Server> servers{};
    std::size_t most_fast = 0;
    std::size_t most_slow = 0;
    int miscounts = 0;  // how often the status had a wrong number of dials

private:
    void look(std::size_t i) {
        const TransportState& transport = rig.transports[i];
        Server& server = servers[i];
        if (std::exchange(server.dials, transport.dials) != transport.dials)
            server.dialled_at = now;
        if (transport.live == 0 || server.opened == transport.dials || server.dials == 0) return;
        if (server.stays_silent || server.hangs == transport.dials ||
            now - server.dialled_at < server.takes)
            return;
        server.opened = transport.dials;
        rig.open(i);
    }
    void count() {
        const belay::FleetStatus status = rig.fleet.status();
        most_fast = std::max(most_fast, status.dialling);
        most_slow = std::max(most_slow, status.dialling_slowly);
        std::size_t opening = 0;
        for (std::size_t i = 0; i < servers.size(); ++i) {
            if (rig.transports[i].live != 0 && !is_up(i)) ++opening;
        }
        if (opening != status.dialling + status.dialling_slowly) ++miscounts;
    }

    unsigned steps = 0;
};

}  // namespace belay_test
