// SPDX-License-Identifier: MIT
// Goal: the states and events of connections have a text. Method: values by hand, and each
// enumerator.
#include <belay/link/link_text.hpp>

#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;

TEST_CASE("to_string of a LinkStatus prints the members that are set, and `never` by its name",
          "[link][text][unit]") {
    CHECK(to_string(LinkStatus{}) == "state=stopped attempt=0 since=always");
    const LinkStatus status{.state = LinkState::cooldown,
                            .withdrawn = true,
                            .attempt = 2,
                            .since = Instant{3s},
                            .retry_at = Instant{4500ms},
                            .down_since = Instant{1s},
                            .failure = {.cause = Cause::refused, .retry_after = 1s},
                            .decided_by = "Backoff"};
    const std::string pairs =
        "state=cooldown attempt=2 since=3s retry_at=4.5s down_since=1s failure=\"refused, retry "
        "after 1s\" withdrawn=true by=Backoff";
    CHECK(to_string(status) == pairs);
    CHECK(to_string(Transition{LinkState::connecting, status}) == "from=connecting " + pairs);
    CHECK(to_string(connectivity(LinkStatus{})) == "kind=disconnected since=never");
    CHECK(to_string(Connectivity{.kind = Connectivity::Kind::reconnecting,
                                 .since = Instant{1s},
                                 .reason = {.cause = Cause::lost},
                                 .attempt = 3}) ==
          "kind=reconnecting since=1s attempt=3 reason=lost");
}

TEST_CASE("to_string of a SendResult and of a Gate names each of them", "[link][text][unit]") {
    CHECK(to_string(SendResult::sent) == "sent");
    CHECK(to_string(SendResult::busy) == "busy");
    CHECK(to_string(SendResult::down) == "down");
    CHECK(to_string(SendResult::rejected) == "rejected");
    CHECK(to_string(static_cast<SendResult>(9)) == "unknown");
    CHECK(to_string(Gate::network) == "network");
    CHECK(to_string(Gate::hidden) == "hidden");
    CHECK(to_string(Gate::paused) == "paused");
    CHECK(to_string(Gate::custom) == "custom");
    CHECK(to_string(static_cast<Gate>(std::uint32_t{1} << 31)) == "custom+23");
    CHECK(to_string(static_cast<Gate>(0)) == "unknown");
    CHECK(to_string(static_cast<Gate>(3)) == "unknown");
}
