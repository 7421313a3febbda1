// SPDX-License-Identifier: MIT
// Goal: which side decided a failure is in the failure, and the breaker and the fleet use it: a
// failure of this side never counts against a peer, and only an answer proves that the network
// works. Method: the tables of errors.
#include <belay/call/attempt.hpp>

#include <belay/core/http_failure.hpp>
#include <belay/fleet/detail/scheduled_transport.hpp>
#include <belay/link/link_errc.hpp>
#include <belay/policy/detail/causes.hpp>
#include <belay/session/session_format.hpp>

#include "support/catch.hpp"

using namespace belay;
using belay::detail::is_answer;
using belay::detail::may_be_network;
using belay::detail::peer_evidence;
using belay::detail::PeerEvidence;

namespace {

Failure of(const std::error_code& error) { return Failure::from(error); }

}  // namespace

TEST_CASE("A failure of this side counts neither against a peer nor against the network",
          "[fleet][failure][unit]") {
    for (const Failure& failure :
         {of(std::make_error_code(std::errc::not_enough_memory)),
          of(std::make_error_code(std::errc::too_many_files_open)), of(CallErrc::call_rejected),
          of(CallErrc::breaker_open), failure_of(LinkErrc::no_token),
          failure_of(LinkErrc::open_threw), failure_of(LinkErrc::message_rejected),
          failure_of(LinkErrc::requests_full), failure_of(LinkErrc::handler_threw),
          failure_of(SessionErrc::journal_failed), failure_of(SessionErrc::token_too_long)}) {
        CAPTURE(failure.message());
        CHECK(peer_evidence(failure) == PeerEvidence::nothing);
        CHECK_FALSE(may_be_network(failure));
        CHECK_FALSE(is_answer(failure));
    }
}

TEST_CASE("An error of this side's network counts against the network, and against no peer",
          "[fleet][failure][regression]") {
    for (const auto error :
         {std::errc::network_unreachable, std::errc::network_down, std::errc::address_not_available,
          std::errc::permission_denied, std::errc::operation_not_permitted,
          std::errc::address_family_not_supported, std::errc::invalid_argument}) {
        const Failure failure =
            belay::detail::socket_failure(std::make_error_code(error), Cause::refused);
        CAPTURE(failure.message());
        CHECK(peer_evidence(failure) == PeerEvidence::nothing);
        CHECK(may_be_network(failure));
        CHECK_FALSE(is_answer(failure));
    }
}

TEST_CASE("Only an answer of a peer proves that the network works", "[fleet][failure][unit]") {
    for (const Failure& answer :
         {http_failure(502), http_failure(404),
          of(std::make_error_code(std::errc::connection_refused)),
          failure_of(LinkErrc::too_many_pings), Failure{.cause = Cause::overloaded}}) {
        CAPTURE(answer.message());
        CHECK(is_answer(answer));
    }
    for (const Failure& none :
         {http_failure(0), failure_of(LinkErrc::closed_by_peer),
          failure_of(LinkErrc::heartbeat_lost), failure_of(SessionErrc::silent),
          of(std::make_error_code(std::errc::permission_denied)), Failure{.cause = Cause::lost}}) {
        CAPTURE(none.message());
        CHECK_FALSE(is_answer(none));
    }
    CHECK(failure_of(LinkErrc::heartbeat_lost).origin == Failure::Origin::silent);
    CHECK(failure_of(SessionErrc::silent).origin == Failure::Origin::silent);
}
