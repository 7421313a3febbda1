// SPDX-License-Identifier: MIT
// Goal: the states of sessions and outboxes have a text. Method: values by hand.
#include <belay/session/session_text.hpp>

#include "support/catch.hpp"

using namespace belay;

TEST_CASE("to_string of a SessionStatus has the facts if it is blocked", "[session][text][unit]") {
    SessionStatus status{.taken = 9, .accepted = 8, .acknowledged = 3};
    CHECK(to_string(status) ==
          "state=stopped attempt=0 since=always taken=9 accepted=8 acknowledged=3");
    status.blocked = Blocked::fenced;
    status.details = {.acked = 3, .last = 8, .applied = 2, .attach = 4, .replaced_applied = 5};
    CHECK(to_string(status) ==
          "state=stopped attempt=0 since=always taken=9 accepted=8 acknowledged=3 blocked=fenced "
          "acked=3 last=8 applied=2 attach=4 replaced_applied=5");
    const auto error = make_error_code(std::errc::io_error);
    CHECK(to_string(SessionStatus{.flush_error = error}) ==
          "state=stopped attempt=0 since=always taken=0 accepted=0 acknowledged=0 flush_error=\"" +
              to_string(error) + "\"");
}

TEST_CASE("to_string of an OutboxStatus has each of its numbers", "[session][text][unit]") {
    const auto error = make_error_code(std::errc::io_error);
    CHECK(to_string(OutboxStatus{.waiting = 1,
                                 .in_flight = 2,
                                 .sent = 3,
                                 .sent_again = 4,
                                 .acknowledged = 5,
                                 .unsent = 6,
                                 .error = error}) ==
          "state=stopped attempt=0 since=always waiting=1 in_flight=2 sent=3 sent_again=4 "
          "acknowledged=5 unsent=6 error=\"" +
              to_string(error) + "\"");
}
