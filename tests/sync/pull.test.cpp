// SPDX-License-Identifier: MIT
// Goal: a Pull fetches newer scenes, reports the edits that are lost by it, and pushes nothing.
// Method: scripted sides.
#include <belay/sync/bridge.hpp>

#include "support/catch.hpp"
#include "support/sync/bridge_rig.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

TEST_CASE("Pull applies newer scenes, and changes nothing on the remote", "[sync][pull][unit]") {
    sim::World world{Seed{1}};
    sim::Host& host = world.host("here");
    Board board;
    Server server;
    std::vector<std::string> reported;
    server.scenes["s"] = {"1", ms(5)};
    board.empty = {"s"};
    Pull pull{std::ref(board), std::ref(server), policies::bridge(),
              BridgePullOptions{.interval = 10s}, BridgeRecorder{&reported}};
    static_assert(MachineLike<decltype(pull)>);
    host.attach(pull);
    pull.start();
    world.run_for(10s);
    CHECK(board.scenes["s"].content == "1");
    board.scenes["s"] = {"an edit that goes nowhere", ms(6)};
    world.run_for(1min);
    CHECK(board.scenes["s"].stamp == ms(6));
    server.scenes["s"] = {"2", ms(7)};
    world.run_for(10s);
    CHECK(board.scenes["s"].content == "2");
    CHECK(reported ==
          std::vector<std::string>{
              "connected", "conflict s here an edit that goes nowhere there 2 kept remote"});
    CHECK(server.pushes.empty());
    pull.stop();
    world.run_for(0s);
    CHECK(pull.ended());
}
