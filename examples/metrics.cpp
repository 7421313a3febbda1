// SPDX-License-Identifier: MIT
// The metrics of a fleet: two services answer, one is not there. It prints what a scrape would get.
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include <belay/belay.hpp>
#include <belay/fleet.hpp>
#include <belay/fleet/fleet_metrics.hpp>
#include <belay/link/link_metrics.hpp>
#include <belay/metrics.hpp>
#include <belay/posix.hpp>

using namespace belay;  // in examples only
using namespace std::chrono_literals;

int main() {
    posix::Loop<> loop;
    using ServedConnection = Supervisor<posix::Accepted<>, MaxAttempts>;
    std::vector<std::unique_ptr<ServedConnection>> served_connections;
    posix::Listener host{loop, [&](posix::Accepted<> connection) {
                             served_connections.push_back(std::make_unique<ServedConnection>(
                                 std::move(connection), MaxAttempts{1}));
                             loop.attach(*served_connections.back());
                             served_connections.back()->start();
                         }};
    if (host.listen({"127.0.0.1", 0})) return 2;

    Fleet fleet;
    loop.attach(fleet);
    const Policy policy{Backoff{FullJitter{}, Cap{100ms}, 5ms}, ResetWhenStable{1s}};
    const posix::Tcp to_host{loop, {"127.0.0.1", host.port()}};
    // A LinkMetrics counts what happens to one service, and measures its outages.
    auto& assets = fleet.add("assets", to_host, policy, LinkMetrics{"assets"});
    auto& absent = fleet.add("intents", posix::Tcp{loop, {"127.0.0.1", 1}}, policy,
                             LinkMetrics{"intents"});  // nothing listens there
    auto& render = fleet.add("render", to_host, policy, LinkMetrics{"render"});
    fleet.start();
    const auto shown = [&] {
        return fleet.counters().count(LinkState::connected) == 2 &&
               absent.observer().counters().attempts >= 3;
    };
    if (!loop.run_until(shown, 10s)) return 1;

    metrics::Page page{{.samples_max = 1000}};  // a new one for each scrape
    page.add("main", fleet);                    // how many services are in each state
    page.add("main", fleet.status());           // which services are connected
    for (auto* service : {&assets, &absent, &render}) {
        page.add(service->observer().name(), service->observer());
    }
    std::string text;
    to_prometheus(text, page);
    std::fputs(text.c_str(), stdout);
    return text.find("belay_fleet_services{fleet=\"main\",state=\"connected\"} 2\n") != text.npos &&
                   page.dropped() == 0
               ? 0
               : 1;
}
