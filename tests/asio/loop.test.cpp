// SPDX-License-Identifier: MIT
// Goal: machines run in a Boost io_context, in any order of destruction. Method: real contexts
// and threads; counts and order, no measured time. The standalone asio is in
// standalone_asio.test.cpp.
#include <belay/asio/loop.hpp>

#include <belay/asio/boost.hpp>

#include "support/asio/loop_suite.hpp"
#include "support/catch.hpp"

namespace {
using Suite = belay_test::AsioLoopSuite<boost::asio::io_context>;
}

TEST_CASE("check::driver finds no fault in AsioLoop", "[asio][loop][unit]") { Suite::checked(); }

TEST_CASE("AsioLoop runs machines, timers and posts of other threads", "[asio][loop][unit]") {
    Suite::runs_machines();
}

TEST_CASE("context.run() ends when no machine waits for an event", "[asio][loop][unit]") {
    Suite::context_ends();
}

TEST_CASE("An AsioLoop timer that is requested again does not fire twice", "[asio][loop][fault]") {
    Suite::timer_comes_once();
}

TEST_CASE("AsioLoop may end while handlers are queued, and in a machine's turn",
          "[asio][loop][fault]") {
    Suite::loop_may_end();
}

TEST_CASE("A context may end while AsioLoop has queued handlers", "[asio][loop][fault]") {
    Suite::context_may_end();
}

TEST_CASE("AsioLoop continues after an exception of a machine", "[asio][loop][fault]") {
    Suite::machine_throws();
}

TEST_CASE("AsioLoop's machines are woken from threads that outlive it", "[asio][loop][fault]") {
    Suite::woken_by_threads();
}
