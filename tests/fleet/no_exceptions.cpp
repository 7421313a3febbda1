// SPDX-License-Identifier: MIT
// Goal: a fleet and a pool work in a program built without exceptions and RTTI.
#include <string>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/caps.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/fleet.hpp>

using namespace belay;
using namespace std::chrono_literals;

namespace {

struct FleetSocket {
    using message_type = std::string;
    struct Connection {
        SendResult send(const std::string&) noexcept { return SendResult::sent; }
    };
    Link<std::string>* last;
    Connection open(const Link<std::string>& link) {
        *last = link;
        link.opened();
        return {};
    }
};

struct FleetApp {
    int* messages;
    void on_message(std::string) { ++*messages; }
};
struct Alarm {
    int outages = 0;
    void on_network_suspect(const NetworkSuspect&) { ++outages; }
};

}  // namespace

int main() {
    Link<std::string> links[3];
    int messages = 0;
    Fleet fleet{FleetOptions{}, Alarm{}};
    fleet.attach(Waker{});
    const Policy policy{Backoff{NoJitter{}, Cap{1s}, 1s}};
    for (int i = 0; i < 3; ++i)
        fleet.add(std::to_string(i), FleetSocket{links + i}, policy, FleetApp{&messages});
    fleet.start();
    Instant now{};
    const auto run = [&](Duration more) {
        const Instant until = after(now, more);
        for (int i = 0; i < 1000 && fleet.deadline() <= until; ++i) {
            now = detail::larger(now, fleet.deadline());
            fleet.advance(now);
        }
        now = until;
    };
    run(1s);
    bool right = fleet.status().count(LinkState::connected) == 3;
    for (Link<std::string>& link : links) static_cast<void>(link.received("hello"));
    run(1s);
    right = right && messages == 3;
    for (Link<std::string>& link : links) link.closed();
    run(500ms);
    right = right && fleet.observer().outages == 1;
    run(10s);
    right = right && fleet.status().count(LinkState::connected) == 3 && fleet.remove("1");
    right = right && fleet.size() == 2;

    Pool pool{FleetSocket{links}, policy, {.size = 2}};
    pool.attach(Waker{});
    pool.start();
    for (int i = 0; i < 100 && pool.deadline() <= now; ++i) pool.advance(now);
    PoolLease lease = pool.acquire();
    right = right && lease.send("hello") == SendResult::sent;
    pool.stop();
    return right && !lease ? 0 : 1;
}
