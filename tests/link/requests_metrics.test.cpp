// SPDX-License-Identifier: MIT
// Goal: the metrics of a Requests have all its numbers. Method: a structured binding that names
// each member; questions over a scripted connection.
#include <belay/link/requests_metrics.hpp>

#include "support/link/requests_rig.hpp"
#include "support/metrics/collected.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::Collected;

TEST_CASE("visit_metrics passes each member of RequestsStatus", "[link][requests][metrics][unit]") {
    RequestsStatus status;
    auto& [link, waiting, in_flight, asked, answered, late, broken, cancelled, sent_again,
           unmatched] = status;
    link.state = LinkState::connected;
    belay_test::check_each_member_visited(status, waiting, in_flight, asked, answered, late, broken,
                                          cancelled, sent_again, unmatched);
    CHECK(Collected{status}["requests.state.connected"] == 1);
}

TEST_CASE("visit_metrics passes the numbers of a Requests", "[link][requests][metrics][unit]") {
    belay_test::RequestsRig<part::InOrder> rig;
    rig.connect();
    rig.ask("a");
    rig.ask("b");
    rig.run();
    rig.answer("of a");
    const Collected collected{*rig.box};
    CHECK(collected["requests.asked"] == 2);
    CHECK(collected["requests.answered"] == 1);
    CHECK(collected["requests.in_flight"] == 1);
}
