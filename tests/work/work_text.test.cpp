// SPDX-License-Identifier: MIT
// Goal: the errors and events of work queues have a text without bodies, which may be secret.
// Method: values by hand, and each enumerator.
#include <belay/work/lease.hpp>

#include <belay/work/work_options.hpp>

#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;

TEST_CASE("to_string of a WorkItem and of a DeadWork has no byte of the body",
          "[work][text][unit]") {
    CHECK(to_string(WorkItem{.id = 7,
                             .body = as_bytes("secret"),
                             .state = WorkItem::State::leased,
                             .deliveries = 2,
                             .pushed = WallTime{1'700'000'000s}}) ==
          "id=7 state=leased deliveries=2 bytes=6 pushed=2023-11-14T22:13:20Z");
    CHECK(to_string(WorkItem{.state = WorkItem::State::dead, .cause = DeathCause::expired}) ==
          "id=0 state=dead cause=expired deliveries=0 bytes=0 pushed=1970-01-01T00:00:00Z");
    CHECK(to_string(DeadWork{.id = 7, .body = as_bytes("secret"), .deliveries = 3}) ==
          "id=7 cause=failed deliveries=3 bytes=6");
    CHECK(to_string(WorkItem::State::ready) == "ready");
    CHECK(to_string(WorkItem::State::delayed) == "delayed");
    CHECK(to_string(static_cast<WorkItem::State>(9)) == "unknown");
}

TEST_CASE("to_string of a WorkError is its message", "[work][text][unit]") {
    const WorkError error{.code = make_error_code(std::errc::io_error), .number = 17};
    CHECK(to_string(error) == error.message());
}
