// SPDX-License-Identifier: MIT
// Goal: AsioTcp is a right transport over Boost's sockets, and nothing of it comes back after its end.
// Method: check::transport against an echo over real sockets; plain sockets as peers. The standalone
// asio: standalone_asio.test.cpp.
#include <belay/adapter/asio_tcp.hpp>

#include <belay/adapter/boost_asio.hpp>

#include "support/adapter/asio_tcp_suite.hpp"
#include "support/catch.hpp"

namespace {
using TcpSuite = belay_test::AsioTcpSuite<boost::asio::io_context>;
}

TEST_CASE("check::transport finds nothing wrong with AsioTcp", "[adapter][asio_tcp][unit]") {
    TcpSuite::checked();
}

TEST_CASE("AsioTcp: nobody listens, or the name is unknown", "[adapter][asio_tcp][fault]") {
    TcpSuite::nobody_listens();
}

TEST_CASE("AsioTcp: the peer ends, sends too much, or resets", "[adapter][asio_tcp][fault]") {
    TcpSuite::peers_that_end();
}

TEST_CASE("AsioTcp may be destroyed at any time, its handlers come later",
          "[adapter][asio_tcp][fault]") {
    TcpSuite::destroyed_at_any_time();
}

TEST_CASE("AsioTcp writes posix::Tcp's bytes, and what was sent before a stop leaves",
          "[adapter][asio_tcp][unit]") {
    TcpSuite::bytes_on_the_wire();
}

TEST_CASE("AsioTcp that is drained hears that a slow peer is alive", "[adapter][asio_tcp][fault]") {
    TcpSuite::slow_peer_in_a_drain();
}

TEST_CASE("AsioTcp: what waits leaves to a peer that only sends no more",
          "[adapter][asio_tcp][fault]") {
    TcpSuite::half_closed_in_a_drain();
}

TEST_CASE("AsioTcp hears what was whole before an answer was cut, wherever that is",
          "[adapter][asio_tcp][fault]") {
    TcpSuite::behind_a_bad_network();
}
