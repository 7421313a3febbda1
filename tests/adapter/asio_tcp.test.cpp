// SPDX-License-Identifier: MIT
// Goal: AsioTcp is a correct transport over Boost's sockets, and makes no call after its end.
// Method: check::transport with an echo over real sockets; plain sockets as peers. The
// standalone asio is in standalone_asio.test.cpp.
#include <belay/adapter/asio_tcp.hpp>

#include <belay/adapter/boost_asio.hpp>

#include "support/adapter/asio_tcp_suite.hpp"
#include "support/catch.hpp"

namespace {
using TcpSuite = belay_test::AsioTcpSuite<boost::asio::io_context>;
}

TEST_CASE("check::transport finds no fault in AsioTcp", "[adapter][asio_tcp][unit]") {
    TcpSuite::checked();
}

TEST_CASE("AsioTcp: no server listens, or the name is unknown", "[adapter][asio_tcp][fault]") {
    TcpSuite::no_listener();
}

TEST_CASE("AsioTcp: the peer ends, sends too much, or resets", "[adapter][asio_tcp][fault]") {
    TcpSuite::peers_that_end();
}

TEST_CASE("AsioTcp passes no socket to programs that are started", "[adapter][asio_tcp][unit]") {
    TcpSuite::not_inherited();
}

TEST_CASE("AsioTcp may be destroyed at any time, and its handlers run later",
          "[adapter][asio_tcp][fault]") {
    TcpSuite::destroyed_at_any_time();
}

TEST_CASE("AsioTcp writes the same bytes as posix::Tcp, and sends them before a stop completes",
          "[adapter][asio_tcp][unit]") {
    TcpSuite::bytes_on_the_wire();
}

TEST_CASE("AsioTcp counts output to a slow peer in a drain as a sign of life",
          "[adapter][asio_tcp][fault]") {
    TcpSuite::slow_peer_in_a_drain();
}

TEST_CASE("AsioTcp sends queued bytes to a peer that has only closed its own side",
          "[adapter][asio_tcp][fault]") {
    TcpSuite::half_closed_in_a_drain();
}

TEST_CASE("AsioTcp delivers the complete messages of an answer that is cut anywhere",
          "[adapter][asio_tcp][fault]") {
    TcpSuite::behind_a_bad_network();
}

TEST_CASE("AsioTcp connects to a name whose first addresses drop packets, 250 ms after each",
          "[adapter][asio_tcp][regression]") {
    TcpSuite::dials_past_silent_addresses();
}

TEST_CASE("AsioTcp reports each address of a name that refuses, with its own cause",
          "[adapter][asio_tcp][fault]") {
    TcpSuite::dials_that_fail();
}

TEST_CASE("AsioTcp dials both families of a name", "[adapter][asio_tcp][unit]") {
    TcpSuite::names_of_both_families();
}

TEST_CASE("AsioTcp may end at any time of a dial of several addresses",
          "[adapter][asio_tcp][fault]") {
    TcpSuite::ends_in_a_race();
}

TEST_CASE("check::transport finds no fault in AsioTcp over a Unix domain socket",
          "[adapter][asio_tcp][unit]") {
    TcpSuite::checked_over_unix();
}

TEST_CASE("AsioTcp reports each path without a server with its own reason",
          "[adapter][asio_tcp][fault]") {
    TcpSuite::bad_unix_paths();
}
