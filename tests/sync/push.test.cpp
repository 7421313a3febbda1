// SPDX-License-Identifier: MIT
// Goal: a Push pushes, and never fetches. Method: scripted sides.
#include <belay/sync/bridge.hpp>

#include "support/catch.hpp"
#include "support/sync/bridge_rig.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

TEST_CASE("Push pushes changed scenes only", "[sync][push][unit]") {
    sim::World world{Seed{1}};
    sim::Host& host = world.host("here");
    Board board;
    Server server;
    server.scenes["s"] = {"newer there", ms(99)};
    board.scenes = {{"s", {"1", ms(1)}}, {"unchanged", {"1", ms(1)}}};
    Push push{std::ref(board), std::ref(server), policies::bridge(),
              BridgePushOptions{.debounce = 2s}};
    static_assert(MachineLike<decltype(push)>);
    host.attach(push);
    push.start();
    push.changed("s");
    push.changed("missing");
    push.changed("unchanged", Origin::remote);
    world.run_for(1999ms);
    CHECK(server.pushes.empty());
    world.run_for(1ms);
    CHECK(server.pushes == std::vector<std::string>{"s=1"});
    push.changed("s");
    world.run_for(1h);
    CHECK(server.pushes.size() == 1);  // it is there already
    CHECK(server.fetches.empty());
    push.stop();
    world.run_for(0s);
    CHECK(push.ended());
}
