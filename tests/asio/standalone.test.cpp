// SPDX-License-Identifier: MIT
// Goal: AsioLoop works with the standalone asio as with Boost's. Method: the same suites, in a
// program of their own, because the two cannot be in one translation unit, nor safely in one
// program.
#include <belay/asio/standalone.hpp>

#include "support/asio/loop_suite.hpp"
#include "support/asio/tcp_suite.hpp"
#include "support/catch.hpp"

TEST_CASE("AsioLoop works in the io_context of the standalone asio", "[asio][standalone][unit]") {
    using Suite = belay_test::AsioLoopSuite<asio::io_context>;
    SECTION("check::driver") { Suite::checked(); }
    SECTION("AsioLoop runs machines, timers and posts of other threads") { Suite::runs_machines(); }
    SECTION("context.run() ends when no machine waits for an event") { Suite::context_ends(); }
    SECTION("A timer that is requested again does not fire twice") { Suite::timer_comes_once(); }
    SECTION("AsioLoop may end while handlers are queued, and in a machine's turn") {
        Suite::loop_may_end();
    }
    SECTION("A context may end while AsioLoop has queued handlers") { Suite::context_may_end(); }
    SECTION("AsioLoop continues after an exception of a machine") { Suite::machine_throws(); }
    SECTION("AsioLoop's machines are woken from threads that outlive it") {
        Suite::woken_by_threads();
    }
}

TEST_CASE("AsioTcp works over the sockets of the standalone asio", "[asio][standalone][unit]") {
    using Suite = belay_test::AsioTcpSuite<asio::io_context>;
    SECTION("check::transport") { Suite::checked(); }
    SECTION("no server listens") { Suite::no_listener(); }
    SECTION("peers that end") { Suite::peers_that_end(); }
    SECTION("destroyed at any time") { Suite::destroyed_at_any_time(); }
    SECTION("bytes on the wire") { Suite::bytes_on_the_wire(); }
    SECTION("a slow peer in a drain") { Suite::slow_peer_in_a_drain(); }
    SECTION("half-closed in a drain") { Suite::half_closed_in_a_drain(); }
    SECTION("behind a bad network") { Suite::behind_a_bad_network(); }
    SECTION("silent addresses of a name") { Suite::dials_past_silent_addresses(); }
    SECTION("a name that refuses") { Suite::dials_that_fail(); }
    SECTION("a name of both families") { Suite::names_of_both_families(); }
    SECTION("the end of a race") { Suite::ends_in_a_race(); }
    SECTION("check::transport over a Unix domain socket") { Suite::checked_over_unix(); }
    SECTION("paths without a server") { Suite::bad_unix_paths(); }
}
