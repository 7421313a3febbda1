// SPDX-License-Identifier: MIT
// Goal: machines run in a Boost io_context, whatever is destroyed when. Method: real contexts and
// threads; counts and order, no measured time. The standalone asio: standalone_asio.test.cpp.
#include <belay/adapter/asio_loop.hpp>

#include <belay/adapter/boost_asio.hpp>

#include "support/adapter/asio_loop_suite.hpp"
#include "support/catch.hpp"

namespace {
using Suite = belay_test::AsioLoopSuite<boost::asio::io_context>;
}

TEST_CASE("check::driver finds nothing wrong with AsioLoop", "[adapter][asio_loop][unit]") {
    Suite::checked();
}

TEST_CASE("AsioLoop runs machines, timers and posts of other threads",
          "[adapter][asio_loop][unit]") {
    Suite::runs_machines();
}

TEST_CASE("context.run() ends when no machine waits for anything", "[adapter][asio_loop][unit]") {
    Suite::context_ends();
}

TEST_CASE("A timer that was asked for again does not come twice", "[adapter][asio_loop][fault]") {
    Suite::timer_comes_once();
}

TEST_CASE("AsioLoop may end while handlers are queued, and in a machine's turn",
          "[adapter][asio_loop][fault]") {
    Suite::loop_may_end();
}

TEST_CASE("A context may end with what AsioLoop has queued", "[adapter][asio_loop][fault]") {
    Suite::context_may_end();
}

TEST_CASE("AsioLoop goes on after what a machine throws", "[adapter][asio_loop][fault]") {
    Suite::machine_throws();
}

TEST_CASE("AsioLoop's machines are woken from threads that outlive it",
          "[adapter][asio_loop][fault]") {
    Suite::woken_by_threads();
}
