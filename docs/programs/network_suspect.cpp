// SPDX-License-Identifier: MIT
#include <cstdio>

#include <belay/belay.hpp>
#include <belay/fleet.hpp>
#include <belay/posix.hpp>
using namespace belay;
using namespace std::chrono_literals;

// excerpt: begin
struct Alarm {
    void on_network_suspect(const NetworkSuspect& what) {
        if (what.times != 1) return;  // a later scout of the same outage
        std::printf("the network is suspect: %d services failed at once\n", static_cast<int>(what.services));
    }
};
// excerpt: end

int main() {
    posix::Loop loop;
    Fleet fleet{FleetOptions{.hold = 50ms, .suspect_wait = 10ms}, Alarm{}};
    loop.attach(fleet);
    const Policy policy{Backoff{FullJitter{}, Cap{30s}, 1s}, ResetWhenStable{10s}};
    for (const char* const name : {"assets", "intents", "render"}) {
        fleet.add(name, posix::Tcp{loop, {"127.0.0.1", 1}}, policy);  // no server listens there
    }
    fleet.start();
    return loop.run_until([&] { return fleet.status().network_suspect; }, 10s) ? 0 : 1;
}
