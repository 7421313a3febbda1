// SPDX-License-Identifier: MIT
// Three services as one: two answer, one is not there, and the others do not wait for it.
#include <cstdio>
#include <memory>
#include <vector>

#include <belay/belay.hpp>
#include <belay/fleet.hpp>
#include <belay/posix.hpp>

using namespace belay;  // in examples only
using namespace std::chrono_literals;

namespace {

/// The events of a service that the application prints.
struct App {
    int answers = 0;
    void on_state(auto& link, const Transition& change) {
        if (change.to.state == LinkState::connected) static_cast<void>(link.send(Bytes(5)));
    }
    void on_message(auto& link, const Bytes& message) {
        if (++answers < 100) static_cast<void>(link.send(message));
    }
};

/// The other end, which sends back each message.
struct Echo {
    void on_message(auto& link, const Bytes& message) { static_cast<void>(link.send(message)); }
};

}  // namespace

int main() {
    posix::Loop<> loop;
    using ServedConnection = Supervisor<posix::Accepted<>, MaxAttempts, Echo>;
    std::vector<std::unique_ptr<ServedConnection>> served_connections;
    posix::Listener host{loop, [&](posix::Accepted<> connection) {
                             served_connections.push_back(std::make_unique<ServedConnection>(
                                 std::move(connection), MaxAttempts{1}, Echo{}));
                             loop.attach(*served_connections.back());
                             served_connections.back()->start();
                         }};
    if (host.listen({"127.0.0.1", 0})) return 2;
    Fleet fleet;
    loop.attach(fleet);
    const Policy policy{Backoff{FullJitter{}, Cap{100ms}, 5ms}, ResetWhenStable{1s}};
    const posix::Tcp to_host{loop, {"127.0.0.1", host.port()}};
    auto& assets = fleet.add("assets", to_host, policy, App{});
    fleet.add("intents", posix::Tcp{loop, {"127.0.0.1", 1}}, policy, App{});  // no server listens
                                                                              // there
    auto& render = fleet.add("render", to_host, policy, App{});
    fleet.start();
    const auto done = [&] { return assets.observer().answers + render.observer().answers == 200; };
    if (!loop.run_until(done, 10s)) return 1;
    for (const ServiceStatus& service : fleet.status().services) {
        std::printf("%s: %s\n", service.name.c_str(), to_string(service.link.state).data());
    }
}
