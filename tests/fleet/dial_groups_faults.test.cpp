// SPDX-License-Identifier: MIT
// Goal: after any faults, all services whose servers can connect are connected within a stated
// time, although other servers never answer. Method: random faults of servers and of the network,
// in scripted time; BELAY_SEEDS is the number of histories.
#include <vector>

#include <belay/core/random.hpp>
#include <belay/fleet/fleet.hpp>

#include "support/fleet/neighbours_rig.hpp"
#include "support/seeds.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

/// Servers whose behaviour commands change.
struct FaultyNeighbours {
    FaultyNeighbours(Seed seed, const FleetOptions& o) : bits{seed}, options{o}, n{o} {}

    [[nodiscard]] std::uint64_t upto(std::uint64_t most) { return uniform_upto(bits, most); }
    [[nodiscard]] std::size_t any() { return upto(n.servers.size() - 1); }

    /// Sets the time of a server: short, long, or without an end.
    void change(std::size_t i) {
        const Duration takes[] = {upto(20) * 50ms, 3s + upto(140) * 50ms, forever};
        n.servers[i].takes = takes[upto(2)];
    }
    void lose_if_up(std::size_t i) {
        if (n.is_up(i)) n.lose(i);
    }
    void network(bool works) {
        is_down = !works;
        for (std::size_t i = 0; i < n.servers.size(); ++i) {
            n.servers[i].stays_silent = is_down;
            if (is_down) {
                lose_if_up(i);
            } else {
                n.servers[i].hangs = n.servers[i].dials;  // the sent bytes are lost
            }
        }
    }
    void fault() {
        const std::size_t i = any();
        switch (upto(9)) {
            case 0:
                if (n.servers.size() < 25) change(n.add(1 + static_cast<int>(upto(3)), 100ms));
                break;
            case 1:
                return lose_if_up(i);
            case 2:
                lose_if_up(i);
                return change(i);
            case 3:
                return change(i);
            case 4:
                return network(is_down);
            case 5:
                static_cast<void>(n.rig.fleet.reconnect_now(std::to_string(i), upto(1) == 0));
                break;
            case 6:
                if (upto(3) == 0) n.rig.fleet.reconnect_all(upto(1) == 0);
                break;
            case 7:
                if (n.rig.transports[i].live != 0 && !n.is_up(i)) {
                    n.rig.fail(i, Failure::from(std::make_error_code(
                                      upto(1) == 0 ? std::errc::connection_refused
                                                   : std::errc::network_unreachable)));
                }
                break;
            case 8:
                // The end of one dial in the group, or in the queue, by its own side.
                n.rig.fleet.report_unhealthy(std::to_string(i));
                break;
            default:
                if (upto(3) == 0) n.rig.fleet.remove(std::to_string(i));
                break;
        }
    }
    [[nodiscard]] bool all_up() {
        for (std::size_t i = 0; i < n.servers.size(); ++i) {
            if (n.servers[i].takes == forever || n.is_up(i)) continue;
            if (n.rig.fleet.contains(std::to_string(i))) return false;
        }
        return true;
    }

    Random bits;
    FleetOptions options;
    NeighboursRig n;
    bool is_down = false;
};

}  // namespace

TEST_CASE("Fleet: once faults end, all services that can connect are connected in bounded time",
          "[fleet][dial_groups][property]") {
    for_each_seed(
        [](Seed seed) {
            FleetOptions options{.dials_max = 1 + seed.value % 5,
                                 .slow_dials_max = 1 + seed.value % 7};
            if (seed.value % 4 == 0) options.hold = 0s;
            if (seed.value % 3 == 0) options.slow_after = 500ms;
            FaultyNeighbours f{seed, options};
            for (std::size_t i = f.n.add(4, 100ms); i-- > 0;) f.change(i);
            for (int step = 0; step < 60; ++step) {
                f.fault();
                f.n.run(f.n.now + f.upto(f.upto(5) == 0 ? 800 : 40) * 50ms);
            }
            f.network(true);
            const auto all = static_cast<int>(f.n.servers.size());
            const Duration scouts = 16s * all;
            const Duration fast = options.slow_after * all / static_cast<int>(options.dials_max);
            const int rounds = 2 + all / static_cast<int>(options.slow_dials_max);
            const Duration most = scouts + fast + 31s * rounds + 20s;
            CAPTURE(f.n.now.count(), most.count(), all);
            REQUIRE(f.n.until([&] { return f.all_up(); }, most) <= most);
            REQUIRE(f.n.most_fast <= options.dials_max);
            REQUIRE(f.n.most_slow <= options.slow_dials_max);
            REQUIRE(f.n.miscounts == 0);
            for (const TransportState& transport : f.n.rig.transports)
                REQUIRE(transport.most_live <= 1);
        },
        100);
}
