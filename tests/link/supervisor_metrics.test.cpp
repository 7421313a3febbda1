// SPDX-License-Identifier: MIT
// Goal: the metrics of a supervised connection show its state and the cause of its last failure.
// Method: a scripted connection.
#include <belay/link/supervisor_metrics.hpp>

#include "support/link/link_rig.hpp"
#include "support/metrics/collected.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::Collected;

TEST_CASE("visit_metrics passes the state of a Supervisor", "[link][metrics][unit]") {
    belay_test::TransportState transport;
    belay_test::LinkRig rig{belay_test::FakeTransport<>{transport}};
    CHECK(Collected{rig.link}["supervisor.state.stopped"] == 1);
    rig.start();
    transport.link.closed({.cause = Cause::refused});
    rig.run(0s);
    const Collected waits{rig.link};
    CHECK(waits["supervisor.state.cooldown"] == 1);
    CHECK(waits["supervisor.state.stopped"] == 0);
    CHECK(waits["supervisor.last_failure.refused"] == 1);
    CHECK(waits["supervisor.attempt"] == 1);
    rig.run(10s);
    transport.link.opened();
    rig.run(10s);
    const Collected connected{rig.link.status()};
    CHECK(connected["supervisor.state.connected"] == 1);
    CHECK(connected["supervisor.last_failure.none"] == 1);
    CHECK_FALSE(connected.has("supervisor.state.unknown"));
    CHECK_FALSE(connected.has("supervisor.last_failure.unknown"));
    // This is the last cause. A cause that was added after it would be missing.
    CHECK(connected.has("supervisor.last_failure.unauthorized"));
    CHECK(to_string(static_cast<Cause>(static_cast<int>(Cause::unauthorized) + 1)) == "unknown");
}
