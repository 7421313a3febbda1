// SPDX-License-Identifier: MIT
// Goal: the requirements of the document on the bridge, by its own names: its test plan, then its
// other lines. Method: the test plays both sides, in manual time.
#include <belay/sync/bridge.hpp>

#include <belay/call/call_text.hpp>
#include <belay/core/tee.hpp>

#include "support/catch.hpp"
#include "support/sync/bridge_rig.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

using SpecLines = std::vector<std::string>;
using Shown = Connectivity::Kind;
using Behaviour = Server::Behaviour;

/// No pull happens on its own within a test.
BridgeOptions seldom() { return {.pull = {.interval = std::chrono::hours{1}}}; }

/// Runs a machine as its only driver, and counts its turns.
template <class M>
struct TurnsOf {
    M& machine;
    int turns = 0;
    void attach(Waker waker) { machine.attach(std::move(waker)); }
    Instant deadline() const noexcept { return machine.deadline(); }
    void advance(Instant now) {
        ++turns;
        machine.advance(now);
    }
};

}  // namespace

// ---- the test plan -------------------------------------------------------------------------------

TEST_CASE("bridge 1: push fails, then succeeds", "[spec][bridge]") {
    BridgeRig rig{seldom()};
    rig.server.behaviour = Behaviour::fails;
    rig.start();
    rig.edit("s", "drawn", 1);
    rig.run_for(700ms);  // a first attempt, and some of the others
    CHECK(rig.server.fetches.size() > 1);
    rig.server.behaviour = Behaviour::works;
    rig.run_for(10s);
    CHECK(rig.server.scenes["s"].content == "drawn");
    CHECK(rig.server.pushes == SpecLines{"s=drawn"});
    CHECK(rig.kind() == Shown::connected);
    // The push itself is in the log, too.
    rig.server.moods.emplace("t", Behaviour::works);
    rig.edit("t", "new", 2);
    rig.server.on_push = [&, n = 0]() mutable {
        rig.server.moods["t"] = ++n < 3 ? Behaviour::fails : Behaviour::works;
    };
    rig.run_for(10s);
    CHECK(rig.server.pushes == SpecLines{"s=drawn", "t=new", "t=new", "t=new"});
    CHECK(rig.count("pushed t") == 1);
}

TEST_CASE("bridge 2: push fails permanently and keeps retrying", "[spec][bridge]") {
    BridgeRig rig{seldom()};
    rig.start();
    rig.edit("s", "1", 1);
    rig.run_for(10s);
    REQUIRE(rig.kind() == Shown::connected);
    rig.server.behaviour = Behaviour::fails;
    rig.edit("s", "2", 2);
    rig.run_for(5s);
    CHECK(rig.kind() != Shown::connected);
    CHECK(rig.bridge->connectivity().reason.cause == Cause::lost);
    rig.run_for(30min);
    CHECK(rig.kind() == Shown::reconnecting);
    // Calls of five attempts, with waits that grow to 30 s on average.
    const std::size_t tries = rig.server.fetches.size();
    CHECK(tries > 100);
    CHECK(tries < 1000);
    rig.run_for(24h);
    CHECK(rig.server.fetches.size() > tries + 1000);
    rig.server.behaviour = Behaviour::works;
    rig.run_for(70s);  // no further local change
    CHECK(rig.server.scenes["s"].content == "2");
    CHECK(rig.kind() == Shown::connected);
}

TEST_CASE("bridge 3: pull applies what is newer", "[spec][bridge]") {
    BridgeRig rig;
    rig.board.scenes = {{"old", {"a", ms(10)}}, {"same", {"b", ms(10)}}, {"new", {"c", ms(10)}}};
    rig.server.scenes = {{"old", {"A", ms(11)}}, {"same", {"B", ms(10)}}, {"new", {"C", ms(9)}}};
    rig.start();
    rig.run_for(30s);
    CHECK(rig.board.applied == SpecLines{"old=A remote"});
    CHECK(rig.board.scenes["old"].stamp == ms(11));
    rig.server.scenes["old"] = {"AA", ms(12)};
    rig.run_for(30s);
    CHECK(rig.board.applied == SpecLines{"old=A remote", "old=AA remote"});
    // A pulled scene is not pushed back, and a newer local one is pushed.
    CHECK(rig.server.pushes == SpecLines{"new=c"});
}

TEST_CASE("bridge 4: shutdown stops both", "[spec][bridge]") {
    BridgeRig rig;
    rig.board.scenes = {{"s", {"a", ms(1)}}};
    rig.start();
    rig.run_for(40s);
    REQUIRE(rig.server.fetches.size() >= 1);
    const BridgeHandle handle = rig.bridge->handle();
    CHECK_FALSE(handle.ended());
    CHECK(handle.stop() == driver::Post::taken);
    rig.run_for(1s);
    CHECK(handle.ended());
    CHECK(rig.bridge->ended());
    const std::size_t fetches = rig.server.fetches.size();
    const std::size_t pushes = rig.server.pushes.size();
    const int reads = rig.board.reads;
    rig.edit("s", "b", 2);
    rig.run_for(1h);
    CHECK(rig.server.fetches.size() == fetches);
    CHECK(rig.server.pushes.size() == pushes);
    CHECK(rig.board.reads == reads);
    CHECK(rig.bridge->deadline() == never);
}

TEST_CASE("bridge 5: state query", "[spec][bridge]") {
    BridgeRig rig{seldom()};
    const BridgeHandle handle = rig.bridge->handle();
    rig.start();
    rig.run_for(1s);
    CHECK(handle.connectivity().kind == Shown::disconnected);
    CHECK(handle.connectivity().reason.cause == Cause::none);
    CHECK(handle.connectivity().since == Instant{});
    rig.edit("s", "1", 1);
    rig.run_for(1s);
    CHECK(handle.connectivity().kind == Shown::connected);
    rig.server.behaviour = Behaviour::fails;
    rig.server.failure = {Cause::timed_out};
    rig.edit("s", "2", 2);
    CHECK(rig.world.run_until([&] { return rig.kind() == Shown::disconnected; }, 10s));
    CHECK(handle.connectivity().reason.cause == Cause::timed_out);
    CHECK(handle.connectivity().since == rig.world.now());
    CHECK(rig.world.run_until([&] { return rig.kind() == Shown::reconnecting; }, 2min));
    const std::uint32_t attempt = handle.connectivity().attempt;
    CHECK(attempt >= 1);
    CHECK(rig.world.run_until([&] { return handle.connectivity().attempt > attempt; }, 2min));
    rig.server.behaviour = Behaviour::works;
    CHECK(
        rig.world.run_until([&] { return handle.connectivity().kind == Shown::connected; }, 2min));
    handle.stop();
    rig.run_for(1s);
    CHECK(handle.connectivity().kind == Shown::disconnected);
    CHECK(handle.connectivity().reason.cause == Cause::planned);
}

// ---- its other lines -----------------------------------------------------------------------------

TEST_CASE("bridge task 1: a call has five attempts, and transport failures only are retried",
          "[spec][bridge]") {
    for (const Cause cause : {Cause::lost, Cause::refused, Cause::timed_out, Cause::overloaded}) {
        BridgeOptions options = seldom();
        options.outage_wait = {FullJitter{}, Cap{1000h}, 1000h};
        BridgeRig rig{options};
        rig.server.behaviour = Behaviour::fails;
        rig.server.failure = {cause};
        rig.start();
        rig.edit("s", "1", 1);
        CHECK(rig.world.run_until([&] { return rig.count("reconnecting 4") != 0; }, 10s));
        CHECK(rig.server.fetches.size() == 5);
        rig.run_for(1min);  // the rest of the wait of an outage
        CHECK(rig.server.fetches.size() == 5);
    }
    for (const Cause cause : {Cause::protocol, Cause::permanent, Cause::forbidden}) {
        BridgeRig rig{seldom()};
        rig.server.network = &rig.host;
        rig.server.behaviour = Behaviour::fails;
        rig.server.failure = {cause};
        rig.start();
        rig.edit("s", "1", 1);
        CHECK(rig.world.run_until([&] { return rig.count("error s fetch") != 0; }, 10s));
        CHECK(rig.server.fetches.size() == 1);
        CHECK(rig.kind() == Shown::connected);  // the server has answered
    }
}

TEST_CASE("bridge task 1: each retry is a line in a log", "[spec][bridge]") {
    SpecLines lines;
    sim::World world{Seed{1}};
    sim::Host& host = world.host("here");
    Board board;
    Server server;
    server.behaviour = Behaviour::fails;
    board.scenes = {{"s", {"a", ms(1)}}};
    Push push{std::ref(board), std::ref(server), policies::bridge(), BridgePushOptions{},
              Tee{RetryLog{[&](std::string_view line) { lines.emplace_back(line); }, "push"},
                  BridgeRecorder{&lines}}};
    host.attach(push);
    push.start();
    push.changed("s");
    world.run_for(600ms);
    server.behaviour = Behaviour::works;
    world.run_for(10s);
    REQUIRE(lines.size() >= 3);
    CHECK(lines[0].starts_with("push: attempt 1 failed (lost"));
    CHECK(lines[lines.size() - 3].find("succeeded") != std::string::npos);
    CHECK(lines[lines.size() - 2] == "connected");
    CHECK(lines[lines.size() - 1] == "pushed s");
}

TEST_CASE("bridge task 2: a push that failed needs no further local change", "[spec][bridge]") {
    sim::World world{Seed{1}};
    sim::Host& host = world.host("here");
    Board board;
    Server server;
    server.behaviour = Behaviour::fails;
    board.scenes = {{"s", {"a", ms(1)}}};
    Push push{std::ref(board), std::ref(server), policies::bridge()};
    host.attach(push);
    push.start();
    push.changed("s");
    world.run_for(1h);
    board.scenes["s"] = {"b", ms(2)};
    push.changed("s");
    world.run_for(1h);
    CHECK(server.scenes.empty());
    server.behaviour = Behaviour::works;
    const std::size_t before = server.pushes.size();
    world.run_for(61s);
    CHECK(server.scenes["s"].content == "b");
    CHECK(server.pushes.size() == before + 1);
    CHECK(server.fetches.empty());  // no fetch was made
}

TEST_CASE("bridge task 3: every known session is pulled every interval, 30 s by default",
          "[spec][bridge]") {
    static_assert(BridgePullOptions{}.interval == 30s);
    static_assert(BridgePullOptions{}.enabled);
    BridgeRig rig;
    rig.board.scenes = {{"a", {"1", ms(1)}}, {"b", {"1", ms(1)}}};
    rig.board.empty = {"c"};
    rig.server.scenes = rig.board.scenes;
    rig.start();
    rig.run_for(30s);
    CHECK(rig.server.fetches == SpecLines{"c", "a", "b"});
    rig.run_for(300s);
    CHECK(rig.server.fetches.size() == 33);
    CHECK(rig.server.pushes.empty());
    CHECK(rig.board.applied.empty());
}

TEST_CASE("bridge task 3: pulls may be off, and pushes, too", "[spec][bridge]") {
    BridgeRig rig{{.pull = {.enabled = false}}};
    rig.board.scenes = {{"s", {"a", ms(1)}}};
    rig.start();
    rig.run_for(1h);
    CHECK(rig.server.fetches.empty());
    CHECK(rig.bridge->deadline() == never);
    rig.edit("s", "b", 2);
    rig.run_for(1s);
    CHECK(rig.server.pushes == SpecLines{"s=b"});

    sim::World world{Seed{1}};
    sim::Host& host = world.host("here");
    Pull pull{std::ref(rig.board), std::ref(rig.server), policies::bridge()};
    host.attach(pull);
    pull.start();
    rig.board.scenes["s"] = {"c", ms(3)};
    world.run_for(1h);
    CHECK(rig.server.pushes == SpecLines{"s=b"});
    CHECK(rig.board.applied.empty());
    rig.server.scenes["s"] = {"d", ms(4)};
    world.run_for(30s);
    CHECK(rig.board.applied == SpecLines{"s=d remote"});
}

TEST_CASE("bridge task 3: a fetch that fails is reported, and the others continue",
          "[spec][bridge]") {
    BridgeRig rig;
    rig.board.empty = {"bad", "good"};
    rig.server.scenes = {{"bad", {"1", ms(1)}}, {"good", {"1", ms(1)}}};
    rig.server.moods = {{"bad", Behaviour::fails}};
    rig.server.failure = {Cause::permanent};
    rig.start();
    rig.run_for(30s);
    CHECK(rig.board.applied == SpecLines{"good=1 remote"});
    CHECK(rig.count("error bad fetch permanent") >= 1);
    rig.server.moods.clear();
    rig.run_for(61s);
    CHECK(rig.board.scenes["bad"].content == "1");
}

TEST_CASE("an idle bridge of 1,000 sessions wakes once each interval", "[spec][bridge]") {
    sim::World world{Seed{3}};
    sim::Host& host = world.host("here");
    Board board;
    Server server;
    for (int i = 0; i < 1000; ++i) board.scenes["s" + std::to_string(i)] = {"x", ms(1)};
    server.scenes = board.scenes;
    Bridge bridge{std::ref(board), std::ref(server), policies::bridge()};
    TurnsOf<decltype(bridge)> counted{bridge};
    host.attach(counted);
    bridge.start();
    world.run_for(30s);
    counted.turns = 0;
    server.fetches.clear();
    world.run_for(100 * 30s);
    CHECK(counted.turns == 100);
    CHECK(server.fetches.size() == 100'000);
    CHECK(server.pushes.empty());
}
