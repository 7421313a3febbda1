// SPDX-License-Identifier: MIT
// Goal: AsioTcp is a correct transport over Boost's sockets, and makes no call after its end.
// Method: check::transport with an echo over real sockets; plain sockets as peers. The
// standalone asio is in standalone_asio.test.cpp.
#include <belay/asio/tcp.hpp>

#include <belay/asio/boost.hpp>

#include "support/asio/tcp_suite.hpp"
#include "support/catch.hpp"

namespace {
using TcpSuite = belay_test::AsioTcpSuite<boost::asio::io_context>;
}

TEST_CASE("check::transport finds no fault in AsioTcp", "[asio][tcp][unit]") {
    TcpSuite::checked();
}

TEST_CASE("AsioTcp: no server listens, or the name is unknown", "[asio][tcp][fault]") {
    TcpSuite::no_listener();
}

TEST_CASE("AsioTcp: the peer ends, sends too much, or resets", "[asio][tcp][fault]") {
    TcpSuite::peers_that_end();
}

TEST_CASE("AsioTcp passes no socket to programs that are started", "[asio][tcp][unit]") {
    TcpSuite::not_inherited();
}

TEST_CASE("AsioTcp may be destroyed at any time, and its handlers run later",
          "[asio][tcp][fault]") {
    TcpSuite::destroyed_at_any_time();
}

TEST_CASE("AsioTcp writes the same bytes as posix::Tcp, and sends them before a stop completes",
          "[asio][tcp][unit]") {
    TcpSuite::bytes_on_the_wire();
}

TEST_CASE("AsioTcp counts output to a slow peer in a drain as a sign of life",
          "[asio][tcp][fault]") {
    TcpSuite::slow_peer_in_a_drain();
}

TEST_CASE("AsioTcp sends queued bytes to a peer that has only closed its own side",
          "[asio][tcp][fault]") {
    TcpSuite::half_closed_in_a_drain();
}

TEST_CASE("AsioTcp delivers the complete messages of an answer that is cut anywhere",
          "[asio][tcp][fault]") {
    TcpSuite::behind_a_bad_network();
}

TEST_CASE("AsioTcp connects to a name whose first addresses drop packets, 250 ms after each",
          "[asio][tcp][regression]") {
    TcpSuite::dials_past_silent_addresses();
}

TEST_CASE("AsioTcp reports each address of a name that refuses, with its own cause",
          "[asio][tcp][fault]") {
    TcpSuite::dials_that_fail();
}

TEST_CASE("AsioTcp dials both families of a name", "[asio][tcp][unit]") {
    TcpSuite::names_of_both_families();
}

TEST_CASE("AsioTcp may end at any time of a dial of several addresses", "[asio][tcp][fault]") {
    TcpSuite::ends_in_a_race();
}

TEST_CASE("check::transport finds no fault in AsioTcp over a Unix domain socket",
          "[asio][tcp][unit]") {
    TcpSuite::checked_over_unix();
}

TEST_CASE("AsioTcp reports each path without a server with its own reason", "[asio][tcp][fault]") {
    TcpSuite::bad_unix_paths();
}
