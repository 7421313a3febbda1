// SPDX-License-Identifier: MIT
#include <cstdio>

#include <belay/belay.hpp>
#include <belay/fleet.hpp>
#include <belay/posix.hpp>
using namespace belay;
using namespace std::chrono_literals;

struct App {  // of one service: the hooks of a Supervisor's observer
    void on_message(const auto& message) { std::printf("%d bytes\n", static_cast<int>(message.size())); }
};

int main() {
    posix::Loop loop;  // first, because the transports refer to it
    // excerpt: begin
    Fleet fleet{FleetOptions{.hold = 50ms, .suspect_wait = 10ms}};
    loop.attach(fleet);

    const Policy policy{Backoff{FullJitter{}, Cap{30s}, 1s}, ResetWhenStable{10s}};
    const auto server = [&] { return Heartbeat{posix::Tcp{loop, {"127.0.0.1", 1}}, {.every = 10s, .dead_after = 25s}}; };
    auto& render = fleet.add("render", server(), policy, App{});  // no server listens there
    fleet.add("assets", server(), policy);
    fleet.add("intents", server(), policy);
    fleet.start();
    // excerpt: end

    if (!loop.run_until([&] { return fleet.status().network_suspect; }, 10s)) return 1;
    std::printf("the network is suspect\n");
    render.reconnect_now();  // a service has all commands of a Supervisor
    for (const auto& service : fleet.status().services) std::printf("%s\n", service.name.c_str());
    fleet.remove("assets");
}
