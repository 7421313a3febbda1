// SPDX-License-Identifier: MIT
// Goal: the metrics of sessions and outboxes have all their numbers. Method: structured bindings
// that name each member; scripted servers.
#include <belay/session/session_metrics.hpp>

#include "support/metrics/collected.hpp"
#include "support/session/outbox_rig.hpp"
#include "support/session/session_rig.hpp"

using namespace belay;
using belay_test::Collected;

TEST_CASE("visit_metrics passes each member of SessionStatus and OutboxStatus",
          "[session][metrics][unit]") {
    SessionStatus session;
    auto& [link, blocked, details, taken, accepted, acknowledged, flush_error] = session;
    static_cast<void>(details);  // facts about one event, which are no metrics
    link.state = LinkState::connected;
    blocked = Blocked::fenced;
    flush_error = make_error_code(std::errc::no_space_on_device);
    belay_test::check_each_member_visited(session, taken, accepted, acknowledged);
    CHECK(Collected{session}["session.state.connected"] == 1);
    CHECK(Collected{session}["session.flush_failed"] == 1);
    CHECK(Collected{session}["session.blocked.fenced"] == 1);
    CHECK_FALSE(Collected{session}.has("session.blocked.unknown"));
    CHECK(Collected{session}.has("session.blocked.journal_failed"));
    CHECK(to_string(static_cast<Blocked>(static_cast<int>(Blocked::journal_failed) + 1)) ==
          "unknown");

    OutboxStatus outbox;
    auto& [of, waiting, in_flight, sent, sent_again, delivered, unsent, undeliverable, error] =
        outbox;
    of.state = LinkState::connected;
    error = make_error_code(std::errc::io_error);
    belay_test::check_each_member_visited(outbox, waiting, in_flight, sent, sent_again, delivered,
                                          unsent, undeliverable);
    CHECK(Collected{outbox}["outbox.failed"] == 1);
    CHECK(Collected{outbox}["outbox.state.connected"] == 1);
}

TEST_CASE("visit_metrics passes the numbers of a Session and of an Outbox",
          "[session][metrics][unit]") {
    belay_test::SessionRig<> session;
    session.send("a");
    session.run();
    CHECK(Collected{*session.session}["session.taken"] == 1);
    CHECK(Collected{*session.session}["session.blocked.none"] == 1);
    CHECK(Collected{*session.session}["session.flush_failed"] == 0);
    belay_test::OutboxRig<belay_test::OutboxMemory> outbox{belay_test::at_least_once};
    outbox.push("a");
    outbox.connect();
    CHECK(Collected{*outbox.box}["outbox.sent"] == 1);
    CHECK(Collected{*outbox.box}["outbox.failed"] == 0);
}
