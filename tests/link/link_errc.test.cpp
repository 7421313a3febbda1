// SPDX-License-Identifier: MIT
// Goal: every error of the link layer has a text, and the cause by which policies decide.
// Method: all values.
#include <belay/link/link_errc.hpp>

#include <iterator>

#include "support/catch.hpp"

using namespace belay;

TEST_CASE("LinkErrc has a text and a cause for each value", "[link][link_errc][golden]") {
    CHECK(cause_of(LinkErrc::attempt_timed_out) == Cause::timed_out);
    CHECK(cause_of(LinkErrc::heartbeat_lost) == Cause::timed_out);
    CHECK(cause_of(LinkErrc::closed_by_peer) == Cause::lost);
    CHECK(cause_of(LinkErrc::no_token) == Cause::refused);
    CHECK(cause_of(LinkErrc::not_validated) == Cause::refused);
    CHECK(cause_of(LinkErrc::open_threw) == Cause::lost);
    CHECK(cause_of(LinkErrc::reported_unhealthy) == Cause::lost);
    CHECK(cause_of(LinkErrc::message_rejected) == Cause::permanent);
    CHECK(cause_of(LinkErrc::too_many_pings) == Cause::overloaded);
    CHECK(cause_of(LinkErrc::not_drained) == Cause::timed_out);
    CHECK(cause_of(LinkErrc::check_threw) == Cause::lost);
    CHECK(cause_of(LinkErrc::requests_full) == Cause::overloaded);
    CHECK(cause_of(LinkErrc::unanswered) == Cause::timed_out);
    CHECK(cause_of(LinkErrc::unsent) == Cause::timed_out);
    CHECK(cause_of(LinkErrc::framing_threw) == Cause::lost);
    CHECK(cause_of(LinkErrc::decorator_threw) == Cause::lost);
    CHECK(cause_of(LinkErrc::handler_threw) == Cause::lost);
    CHECK(cause_of(LinkErrc::injected) == Cause::lost);
    for (int i = 1; i <= 18; ++i)
        CHECK(belay::detail::link_category().message(i) != "unknown error");
    CHECK(belay::detail::link_category().message(19) == "unknown error");
    CHECK(std::size(belay::detail::link_error_texts) ==
          static_cast<std::size_t>(LinkErrc::injected));
    CHECK(failure_of(LinkErrc::no_token, Cause::unauthorized).cause == Cause::unauthorized);
    CHECK(failure_of(LinkErrc::no_token).error() == LinkErrc::no_token);
}
