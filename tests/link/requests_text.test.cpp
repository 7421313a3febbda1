// SPDX-License-Identifier: MIT
// Goal: the state of questions over a link has a text. Method: a value of each member.
#include <belay/link/requests.hpp>

#include "support/catch.hpp"

using namespace belay;

TEST_CASE("to_string of a RequestsStatus has each of its numbers", "[link][requests][text][unit]") {
    CHECK(to_string(RequestsStatus{.waiting = 1,
                                   .in_flight = 2,
                                   .asked = 3,
                                   .answered = 4,
                                   .timed_out = 5,
                                   .lost = 6,
                                   .cancelled = 7,
                                   .sent_again = 8,
                                   .unmatched = 9}) ==
          "state=stopped attempt=0 since=always waiting=1 in_flight=2 asked=3 answered=4 "
          "timed_out=5 lost=6 cancelled=7 sent_again=8 unmatched=9");
}
