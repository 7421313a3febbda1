// SPDX-License-Identifier: MIT
// Goal: a program with a former name of a link's members compiles, and does the same as with the
// present one. Method: the former name next to the present one, on scripted transports.
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

#include <belay/link/served_link.hpp>
#include <belay/link/supervisor.hpp>
#include <belay/link/validated.hpp>
#include <belay/policy/max_attempts.hpp>

#include "support/link/link_rig.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;
using belay_test::FakeTransport;
using belay_test::TransportState;

TEST_CASE("Supervisor::heard_at returns what received_at returns", "[link][former_names][unit]") {
    TransportState transport;
    Supervisor link{FakeTransport<>{transport}, Policy{MaxAttempts{1}}};
    link.attach(Waker{});
    link.start();
    link.advance(at(1s));
    transport.link.opened();
    CHECK(receive(transport.link, "1") == belay::driver::Post::taken);
    link.advance(at(2s));
    CHECK(link.received_at() == at(2s));
    CHECK(link.heard_at() == at(2s));
}

TEST_CASE("ServedLink::take_heard does what take_sign_of_life does", "[link][former_names][unit]") {
    TransportState transport;
    ServedLink<FakeTransport<>> link{FakeTransport<>{transport}, 2, Waker{}, 1};
    CHECK_FALSE(link.take_heard());
    CHECK(receive(transport.link, "1") == belay::driver::Post::taken);
    link.advance(at(1s), 2, [](std::string, Lane) {});
    CHECK(link.take_heard());
    CHECK_FALSE(link.take_sign_of_life());
}

TEST_CASE("Verdict::refused is Verdict::rejected", "[link][former_names][unit]") {
    STATIC_REQUIRE(Verdict::Kind::refused == Verdict::Kind::rejected);
    const Failure why{Cause::unauthorized};
    CHECK(Verdict::refused(why).kind() == Verdict::rejected(why).kind());
    CHECK(Verdict::refused(why).failure() == why);
}
