// SPDX-License-Identifier: MIT
// Goal: the states and events of fleets and pools have a text. Method: values by hand.
#include <belay/fleet/fleet_text.hpp>

#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;

TEST_CASE("to_string of a FleetStatus counts the services in each state", "[fleet][text][unit]") {
    FleetStatus status;
    status.services.resize(3);
    status.totals[static_cast<std::size_t>(LinkState::connected)] = 2;
    status.totals[static_cast<std::size_t>(LinkState::cooldown)] = 1;
    status.dialling = 4;
    CHECK(to_string(status) ==
          "services=3 cooldown=1 connected=2 queued=0 dialling=4 dialling_slowly=0 "
          "network_suspect=false");
    CHECK(to_string(FleetCounters{.totals = status.totals, .held = 5, .network_suspect = true}) ==
          "cooldown=1 connected=2 in_line=0 dialling=0 dialling_slowly=0 network_suspect=true "
          "held=5 scouts=0");
}

TEST_CASE("to_string of a ServiceStatus quotes a name that has a line end", "[fleet][text][unit]") {
    CHECK(to_string(ServiceStatus{.name = "a\nb", .queued = 2, .waiting_to_dial = true}) ==
          "service=\"a\\nb\" state=stopped attempt=0 since=always queued=2 in_line=true");
}

TEST_CASE("to_string of a NetworkSuspect and of a PoolStatus has each number",
          "[fleet][text][unit]") {
    CHECK(to_string(NetworkSuspect{.retry_at = Instant{4s},
                                   .services = 12,
                                   .times = 1,
                                   .failure = {.cause = Cause::timed_out}}) ==
          "since=never retry_at=4s services=12 times=1 failure=timed_out");
    CHECK(to_string(PoolStatus{.size = 1,
                               .connected = 2,
                               .leased = 3,
                               .suspect = 4,
                               .idle = 5,
                               .awaited = 6,
                               .scouting = true}) ==
          "size=1 connected=2 leased=3 suspect=4 idle=5 awaited=6 scouting=true");
}
