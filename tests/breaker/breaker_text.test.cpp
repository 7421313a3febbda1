// SPDX-License-Identifier: MIT
// Goal: the events and snapshots of a breaker have a text. Method: values by hand, and each
// enumerator.
#include <belay/breaker/breaker_text.hpp>

#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;

TEST_CASE("to_string of a BreakerEvent has its change, its reason and its number",
          "[breaker][text][unit]") {
    BreakerEvent event{.change = BreakerEvent::Change::opened,
                       .state = BreakerState::open,
                       .cause = Cause::refused,
                       .code = 111,
                       .at = Instant{5s},
                       .open_until = Instant{35s},
                       .number = 1};
    CHECK(to_string(event) ==
          "change=opened state=open cause=refused code=111 at=5s open_until=35s number=1");
    event = {.change = BreakerEvent::Change::mode_set, .mode = BreakerMode::disabled, .number = 2};
    CHECK(to_string(event) == "change=mode_set state=closed mode=disabled at=0s number=2");
    event = {.change = BreakerEvent::Change::reopened, .open_until = never};
    CHECK(to_string(event) == "change=reopened state=closed at=0s open_until=never number=0");
}

TEST_CASE("to_string of a BreakerSnapshot has all its values", "[breaker][text][unit]") {
    CHECK(to_string(BreakerSnapshot{.state = BreakerState::open, .openings = 2, .remaining = 5s}) ==
          "state=open mode=automatic openings=2 remaining=5s");
}
