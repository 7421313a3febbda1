// SPDX-License-Identifier: MIT
// Goal: a Bridge is a service of a Fleet, with its dial limit, its verdict on the network, its
// status and its manual retry, and it loses no edit through all of that. Method: servers that
// fail in the ways of a network, in a simulated world.
#include <belay/sync/bridge_service.hpp>

#include <functional>
#include <string>
#include <vector>

#include <belay/fleet.hpp>

#include "support/catch.hpp"
#include "support/sync/bridge_fleet.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

using Reach = FarServer::Reach;

}  // namespace

TEST_CASE("A Bridge as a service of a Fleet has the bridge's interface and the fleet's status",
          "[sync][bridge_service][unit]") {
    BridgeFleet f{1};
    auto& a = f.bridge(0);
    CHECK(a.name() == "a");
    CHECK(&a.local() == &f.at(0).board);
    CHECK(&a.remote() == &f.at(0).server);
    CHECK(a.observer().lines == &f.at(0).lines);
    CHECK(f.state(0) == LinkState::stopped);
    CHECK(f.fleet->size() == 1);
    f.start();
    f.start();  // has no effect
    f.run_for(1ms);
    CHECK(f.state(0) == LinkState::connecting);
    CHECK(f.fleet->counters().dialling == 1);
    CHECK(a.connectivity().kind == Connectivity::Kind::disconnected);
    f.run_for(1s);
    CHECK(f.state(0) == LinkState::connected);
    CHECK(f.fleet->counters().dialling == 0);
    CHECK(a.connectivity().kind == Connectivity::Kind::connected);
    CHECK(f.there(0) == "old");  // the first pull comes with the first dial

    f.edit(0, "new");
    CHECK(f.fleet->status().queued == 1);
    CHECK(f.fleet->status().services[0].queued == 1);
    f.run_for(1s);
    CHECK(f.there(0) == "new");
    CHECK(f.fleet->status().queued == 0);
    CHECK(f.changes == std::vector<std::string>{"a connecting", "a connected"});

    f.edit(0, "last");
    a.stop();
    f.run_for(1s);
    CHECK(f.there(0) == "last");
    CHECK(a.ended());
    CHECK(f.state(0) == LinkState::stopped);
    CHECK(f.fleet->counters().count(LinkState::stopped) == 1);
    CHECK(f.changes.back() == "a stopped");
    CHECK(f.at(0).lines.back() == "disconnected planned");
    const int calls = f.at(0).server.calls;
    f.start();  // a bridge that has ended stays so
    f.run_for(2min);
    CHECK(f.at(0).server.calls == calls);
}

TEST_CASE("A bridge calls its remote once while it dials, and waits for its turn before",
          "[sync][bridge_service][unit]") {
    BridgeFleet f{2, 0, {.dials_max = 1}};
    for (int i = 0; i < 2; ++i) {
        for (const char* s : {"t", "u", "v"}) f.at(i).board.scenes[s] = Drawing{"x", ms(1)};
    }
    f.at(0).server.become(Reach::frozen);
    f.start();
    f.run_for(1s);
    CHECK(f.at(0).server.calls == 1);
    CHECK(f.at(1).server.calls == 0);
    CHECK(f.fleet->counters().waiting_to_dial == 1);
    CHECK(f.fleet->status().services[1].waiting_to_dial);
    f.run_for(2s);  // the first dial takes long
    CHECK(f.fleet->counters().dialling_slowly == 1);
    CHECK(f.at(0).server.calls == 1);
    CHECK(f.state(1) == LinkState::connected);
    CHECK(f.at(1).server.most_under_way > 1);
    f.at(0).server.become(Reach::up);
    f.run_for(1s);
    CHECK(f.state(0) == LinkState::connected);
    CHECK(f.there(0, "v") == "x");
}

TEST_CASE("Bridges of higher priority dial first", "[sync][bridge_service][unit]") {
    BridgeFleet f{1, 0, {.dials_max = 1}};
    auto& urgent = f.add("z", {.priority = 1});
    f.become(Reach::frozen);
    f.start();
    f.run_for(1ms);
    CHECK(urgent.server.calls == 1);
    CHECK(f.at(0).server.calls == 0);
}

TEST_CASE("A bridge whose remote alone is silent fails on its own, and reconnects by its waits",
          "[sync][bridge_service][unit]") {
    BridgeFleet f{1, 2, {}, {.answer_within = 2s}};
    f.start();
    f.run_for(10s);
    REQUIRE(f.state(0) == LinkState::connected);
    f.at(0).server.become(Reach::black_hole);
    f.edit(0, "new");
    f.run_for(500ms + 2s + 100ms);
    CHECK(f.fleet->counters().held == 1);  // nothing is called meanwhile
    f.run_for(1s);
    CHECK_FALSE(f.fleet->counters().network_suspect);
    CHECK(f.state(0) != LinkState::connected);
    CHECK(f.bridge(0).status().failure.error() == std::errc::timed_out);
    CHECK_FALSE(f.bridge(0).status().withdrawn);
    CHECK(f.bridge(0).connectivity().kind != Connectivity::Kind::connected);
    CHECK(f.bridge(0).handle().connectivity().kind != Connectivity::Kind::connected);
    f.run_for(30min);
    CHECK(f.at(0).server.calls < 120);  // 60 s at most, 30 s on average
    CHECK(f.at(0).server.under_way > 0);
    CHECK(f.fleet->status().queued == 1);
    CHECK(f.bridge(0).connectivity().kind == Connectivity::Kind::reconnecting);
    // An attempt that is under way ends after 2 s; until then there is no wait to end.
    for (int i = 0; i < 30 && f.state(0) == LinkState::connecting; ++i) f.run_for(100ms);
    f.at(0).server.become(Reach::up);
    CHECK(f.fleet->reconnect_now("a").granted);
    f.run_for(1s);
    CHECK(f.state(0) == LinkState::connected);
    CHECK(f.there(0) == "new");
    CHECK(f.bridge(0).status().attempt == 0);
    CHECK(f.at(0).lines.back() == "pushed s");
    CHECK(f.count(0, "connected") == 2);
}

TEST_CASE("Bridges whose remotes are silent together suspect the network, and count no attempt",
          "[sync][bridge_service][unit]") {
    BridgeFleet f{3, 0, {}, {.pull = {.interval = 10s}, .answer_within = 2s}};
    f.start();
    f.run_for(1s);
    f.become(Reach::black_hole);
    f.edit(0, "new");
    f.run_for(15s);
    CHECK(f.fleet->counters().network_suspect);
    CHECK(f.fleet->observer().suspicions > 0);
    f.run_for(1h);
    CHECK(f.fleet->counters().network_suspect);
    for (int i = 0; i < 3; ++i) {
        const LinkStatus& now = f.bridge(i).status();
        CHECK(now.withdrawn);
        // Failures before the suspicion have counted, and the dial of a scout may be running.
        CHECK(now.attempt <= 3);
    }
    // One call at a time: a scout.
    const int before = f.at(0).server.calls + f.at(1).server.calls + f.at(2).server.calls;
    f.run_for(10min);
    const int after = f.at(0).server.calls + f.at(1).server.calls + f.at(2).server.calls;
    CHECK(after - before <= 150);
    // A manual retry does not wait for the network.
    f.at(1).server.become(Reach::up);
    CHECK(f.bridge(1).reconnect_now().until != never);
    f.run_for(2s);
    CHECK(f.state(1) == LinkState::connected);
    CHECK_FALSE(f.fleet->counters().network_suspect);
    f.become(Reach::up);
    CHECK(f.world.run_until([&] { return f.there(0) == "new"; }, 10s));
}

TEST_CASE("A connected bridge without a call does not hide that the network has failed",
          "[sync][bridge_service][unit]") {
    BridgeFleet f{1, 3, {}, {.pull = {.enabled = false}}};
    f.start();
    f.edit(0, "new");
    f.run_for(10s);
    REQUIRE(f.state(0) == LinkState::connected);
    for (const auto& state : f.plain) Plain{const_cast<Plain::State*>(&state)}.lose();
    f.run_for(300ms);
    CHECK(f.fleet->counters().network_suspect);
    CHECK(f.state(0) == LinkState::connected);

    SECTION("an answer to a call ends the suspicion") {
        f.edit(0, "newer");
        f.run_for(520ms);  // after the debounce
        CHECK(f.there(0) == "newer");
        CHECK_FALSE(f.fleet->counters().network_suspect);
        CHECK(f.fleet->counters().scouts == 0);
    }
    SECTION("a lost call is part of the suspicion, and counts as no attempt") {
        f.at(0).server.become(Reach::black_hole);
        f.edit(0, "newer");
        f.run_for(12s);
        CHECK(f.fleet->counters().network_suspect);
        CHECK(f.bridge(0).status().withdrawn);
        f.at(0).server.become(Reach::up);
        for (auto& state : f.plain) state.up = true;
        CHECK(f.world.run_until(
            [&] { return f.fleet->counters().count(LinkState::connected) == 4; }, 10s));
        f.run_for(1s);
        CHECK(f.there(0) == "newer");
    }
}

TEST_CASE("An answer of a bridge's remote keeps the network from being suspect",
          "[sync][bridge_service][unit]") {
    BridgeFleet f{1, 3};
    f.start();
    f.run_for(1s);
    for (const auto& state : f.plain) Plain{const_cast<Plain::State*>(&state)}.lose();
    f.edit(0, "new");
    f.run_for(10ms);
    REQUIRE(f.fleet->counters().held == 3);
    SECTION("a success") {}
    SECTION("a refusal") { f.at(0).server.become(Reach::overloaded); }
    CHECK(f.bridge(0).reconnect_now(true).granted);
    f.run_for(1s);
    CHECK_FALSE(f.fleet->counters().network_suspect);
    CHECK(f.fleet->observer().suspicions == 0);
}

TEST_CASE("A call that is answered before it returns is no evidence of the network",
          "[sync][bridge_service][unit]") {
    Board board;
    board.scenes["s"] = Drawing{"x", ms(1)};
    Server local;  // it answers inside of the call, for example because credentials are missing
    local.behaviour = Server::Behaviour::fails;
    local.failure = {.cause = Cause::unauthorized};
    BridgeFleet f{0, 3};
    f.start();
    f.run_for(1s);
    for (const auto& state : f.plain) Plain{const_cast<Plain::State*>(&state)}.lose();
    f.run_for(300ms);
    REQUIRE(f.fleet->counters().network_suspect);
    auto& mute =
        f.fleet->add("mute", std::ref(board), std::ref(local), policies::bridge(), BridgeOptions{});
    mute.start();
    f.run_for(1ms);
    mute.reconnect_now(true);
    f.run_for(300ms);
    CHECK(mute.status().failure.cause == Cause::unauthorized);
    CHECK(f.fleet->counters().network_suspect);
    CHECK(local.fetches.size() >= 1);
    f.fleet->remove("mute");
}

namespace {

/// A server on this machine.
struct NearServer : FarServer {
    struct Endpoint {
        std::string host = "127.0.0.1";
    };
    [[nodiscard]] const Endpoint& endpoint() const { return at; }
    Endpoint at{};
};

}  // namespace

TEST_CASE("A refusal by this machine is no evidence of the network",
          "[sync][bridge_service][unit]") {
    Board board;
    board.scenes["s"] = Drawing{"x", ms(1)};
    NearServer nearby;
    nearby.reach = Reach::refuses;
    const bool is_far = GENERATE(false, true);
    if (is_far) nearby.at.host = "plan.example";
    BridgeFleet f{0, 3};
    nearby.host = &f.host;
    f.start();
    f.run_for(1s);
    for (const auto& state : f.plain) Plain{const_cast<Plain::State*>(&state)}.lose();
    f.run_for(300ms);
    REQUIRE(f.fleet->counters().network_suspect);
    auto& plan = f.fleet->add("plan", std::ref(board), std::ref(nearby), policies::bridge(),
                              BridgeOptions{});
    plan.start();
    f.run_for(1ms);
    plan.reconnect_now(true);
    f.run_for(11ms);
    CHECK(nearby.calls == 1);
    CHECK(f.fleet->counters().network_suspect == !is_far);
    f.fleet->remove("plan");
}

TEST_CASE("A remote that answers with failures is first called again by the calls' policy",
          "[sync][bridge_service][unit]") {
    BridgeFleet f{1};
    f.start();
    f.run_for(1s);
    f.at(0).server.become(Reach::overloaded);
    f.edit(0, "new");
    f.run_for(550ms);
    CHECK(f.state(0) == LinkState::connected);
    f.at(0).server.become(Reach::up);
    f.run_for(2s);
    CHECK(f.there(0) == "new");
    CHECK(f.changes == std::vector<std::string>{"a connecting", "a connected"});
    CHECK(f.count(0, "disconnected") == 0);
    f.at(0).server.become(Reach::overloaded);
    f.edit(0, "newer");
    f.run_for(5s);
    CHECK(f.state(0) != LinkState::connected);
    CHECK(f.bridge(0).status().failure.cause == Cause::overloaded);
    CHECK_FALSE(f.bridge(0).status().withdrawn);
}

TEST_CASE("A bridge whose credentials are rejected calls again after its waits",
          "[sync][bridge_service][unit]") {
    BridgeFleet f{1};
    f.at(0).server.become(Reach::unauthorized);
    f.start();
    f.run_for(10min);
    CHECK(f.state(0) == LinkState::cooldown);
    CHECK(f.bridge(0).status().failure.cause == Cause::unauthorized);
    CHECK(f.at(0).server.calls > 5);
    CHECK(f.at(0).server.calls < 200);
    f.at(0).server.become(Reach::up);
    CHECK(f.world.run_until([&] { return f.state(0) == LinkState::connected; }, 61s));
    f.at(0).server.become(Reach::unauthorized);
    f.edit(0, "new");
    f.run_for(2min);
    f.at(0).server.become(Reach::up);
    CHECK(f.world.run_until([&] { return f.there(0) == "new"; }, 61s));
}

TEST_CASE("A slow session does not disconnect a bridge whose remote answers others",
          "[sync][bridge_service][unit]") {
    BridgeFleet f{1, 0, {}, {.pull = {.interval = 1s}, .answer_within = 2s}};
    f.at(0).board.scenes["slow"] = Drawing{"x", ms(1)};
    f.at(0).server.slow_session = "slow";
    f.start();
    f.run_for(9s);
    CHECK(f.state(0) == LinkState::connected);
    CHECK(f.count(0, "disconnected") == 0);
    f.run_for(1min);
    f.edit(0, "new");
    f.run_for(5s);
    CHECK(f.there(0) == "new");
}

TEST_CASE("A bridge without a call to make does not dial", "[sync][bridge_service][unit]") {
    SECTION("it only pushes") {
        BridgeFleet f{1, 0, {}, {.pull = {.enabled = false}}};
        f.start();
        f.run_for(1h);
        CHECK(f.state(0) == LinkState::offline);
        CHECK(f.at(0).server.calls == 0);
        CHECK_FALSE(f.bridge(0).reconnect_now(true).granted);
        f.run_for(1s);
        f.edit(0, "new");
        f.run_for(2s);
        CHECK(f.there(0) == "new");
        CHECK(f.state(0) == LinkState::connected);
    }
    SECTION("its local side has no session") {
        BridgeFleet f{1};
        f.at(0).board.scenes.clear();
        f.start();
        f.run_for(5min);
        CHECK(f.state(0) == LinkState::offline);
        CHECK(f.fleet->counters().dialling == 0);
        CHECK(f.at(0).server.calls == 0);
        f.at(0).board.scenes["s"] = Drawing{"found", ms(1)};
        f.run_for(32s);
        CHECK(f.there(0) == "found");
        CHECK(f.state(0) == LinkState::connected);
    }
}

TEST_CASE("A bridge in a fleet that stops pushes its edits, unless its remote is gone",
          "[sync][bridge_service][unit]") {
    BridgeFleet f{1, 0, {}, {.pull = {.enabled = false}}};
    f.start();
    f.run_for(1s);
    REQUIRE(f.state(0) == LinkState::offline);
    SECTION("it was never connected") {
        f.edit(0, "new");
        f.bridge(0).stop();
        f.run_for(500ms);
        CHECK(f.there(0) == "new");
        CHECK(f.bridge(0).ended());
    }
    SECTION("it dials") {
        f.edit(0, "new");
        f.at(0).server.become(Reach::frozen);
        f.run_for(600ms);
        REQUIRE(f.state(0) == LinkState::connecting);
        f.bridge(0).stop();
        f.run_for(500ms);
        CHECK_FALSE(f.bridge(0).ended());
        f.at(0).server.become(Reach::up);
        f.run_for(100ms);
        CHECK(f.there(0) == "new");
        CHECK(f.bridge(0).ended());
    }
    SECTION("it has no answer for a second") {
        f.edit(0, "new");
        f.at(0).server.become(Reach::frozen);
        f.bridge(0).stop();
        f.run_for(1100ms);
        CHECK(f.bridge(0).ended());
    }
    SECTION("its remote is gone") {
        f.edit(0, "new");
        f.at(0).server.become(Reach::refuses);
        f.run_for(5s);
        f.edit(0, "newer");
        f.bridge(0).stop();
        f.run_for(10ms);
        CHECK(f.bridge(0).ended());
    }
    CHECK(f.state(0) == LinkState::stopped);
}

TEST_CASE("An idle bridge in a fleet wakes once each interval", "[sync][bridge_service][unit]") {
    BridgeFleet f{1, 0, {}, {.pull = {.interval = 10s}}};
    f.start();
    f.run_for(30s);
    const int before = f.at(0).server.calls;
    f.run_for(100s);
    CHECK(f.at(0).server.calls - before == 10);
}

TEST_CASE("Calls whose connection is lost are made again on the next one",
          "[sync][bridge_service][unit]") {
    BridgeFleet f{1};
    for (const char* s : {"t", "u", "v", "w"}) f.at(0).board.scenes[s] = Drawing{"x", ms(1)};
    f.start();
    f.run_for(1s);
    f.at(0).server.latency = 1s;
    for (const char* s : {"s", "t", "u", "v", "w"}) f.edit(0, std::string{"new "} + s, s);
    f.run_for(2600ms);  // the pushes are under way
    REQUIRE(f.at(0).server.under_way == 5);
    const auto lose = GENERATE(0, 1, 2);
    if (lose == 0) CHECK(f.fleet->report_unhealthy("a"));
    if (lose == 1) f.bridge(0).reconnect_now(true);
    if (lose == 2) {
        f.at(0).server.become(Reach::refuses);
        f.run_for(2s);
        f.at(0).server.become(Reach::up);
    }
    f.run_for(10s);
    for (const char* s : {"s", "t", "u", "v", "w"}) CHECK(f.there(0, s) == std::string{"new "} + s);
    CHECK(f.state(0) == LinkState::connected);
    CHECK(f.fleet->status().queued == 0);
    CHECK(f.count(0, "conflict") == 0);
}

TEST_CASE("A connection that is lost does not wait for the answers to its calls",
          "[sync][bridge_service][unit]") {
    BridgeFleet f{1};
    f.start();
    f.run_for(1s);
    f.at(0).server.become(Reach::frozen);
    f.edit(0, "new");
    f.run_for(1s);
    REQUIRE(f.at(0).server.waiting.size() == 1);
    CHECK(f.fleet->report_unhealthy("a"));
    f.run_for(2s);  // the wait is 1 s at most
    CHECK(f.at(0).server.waiting.size() == 2);
    CHECK(f.state(0) == LinkState::connecting);
    f.at(0).server.become(Reach::up);
    f.run_for(1s);
    CHECK(f.there(0) == "new");
}

TEST_CASE("A dial of a bridge that the slow group has no place for is made again",
          "[sync][bridge_service][unit]") {
    BridgeFleet f{3, 0, {.dials_max = 1, .slow_dials_max = 1, .suspects_min = 10}};
    f.become(Reach::black_hole);
    f.start();
    f.run_for(2min);
    f.become(Reach::up);
    // The limit is one answer_within for each dial before it, and the longest wait.
    CHECK(f.world.run_until([&] { return f.fleet->counters().count(LinkState::connected) == 3; },
                            60s + 3 * 10s));
    f.run_for(1s);
    for (int i = 0; i < 3; ++i) CHECK(f.there(i) == "old");
}

TEST_CASE("A bridge dials a slow remote for as long as an answer may take",
          "[sync][bridge_service][unit]") {
    // The answer takes half of a second less than answer_within, which is above and below the limit
    // of other dials.
    for (const Duration within : {Duration{10s}, Duration{60s}}) {
        CAPTURE(within / 1s);
        BridgeFleet f{3, 0, {.dials_max = 1}, {.answer_within = within}};
        for (auto& one : f.all) one.server.latency = (within - 500ms) / 2;
        f.start();
        CHECK(f.world.run_until(
            [&] { return f.fleet->counters().count(LinkState::connected) == 3; }, within + 2 * 2s));
        for (int i = 0; i < 3; ++i) f.edit(i, "new");
        CHECK(f.world.run_until([&] { return f.fleet->status().queued == 0; }, 3 * within));
        for (int i = 0; i < 3; ++i) CHECK(f.there(i) == "new");
        CHECK(f.fleet->counters().count(LinkState::connected) == 3);
    }
}

TEST_CASE("Fifty bridges to a remote that was unavailable are in step within 65 s of its return",
          "[sync][bridge_service][sim]") {
    const Reach reach = GENERATE(Reach::refuses, Reach::black_hole, Reach::overloaded);
    BridgeFleet f{50};
    f.start();
    f.run_for(60s);
    REQUIRE(f.fleet->counters().count(LinkState::connected) == 50);
    f.become(reach);
    for (int i = 0; i < 50; ++i) f.edit(i, "new");
    f.run_for(5min);
    CHECK(f.fleet->counters().count(LinkState::connected) == 0);
    f.become(Reach::up);
    // The longest wait is 60 s.
    CHECK(f.world.run_until(
        [&] {
            return f.fleet->status().queued == 0 &&
                   f.fleet->counters().count(LinkState::connected) == 50;
        },
        65s));
    for (int i = 0; i < 50; ++i) CHECK(f.there(i) == "new");
}

TEST_CASE("A bridge that is removed while calls are under way loses no edit",
          "[sync][bridge_service][unit]") {
    BridgeFleet f{1};
    f.start();
    f.run_for(1s);
    f.at(0).server.latency = 1s;
    f.edit(0, "new");
    f.run_for(GENERATE(100ms, 600ms, 2600ms));
    CHECK(f.fleet->remove("a"));
    f.at(0).lines.clear();
    f.run_for(10s);
    CHECK(f.at(0).lines.empty());
    CHECK(f.fleet->size() == 0);
    // The name is free again, and the next bridge finds the edit.
    f.again(f.at(0), "a", {});
    f.start();
    f.run_for(10s);
    CHECK(f.there(0) == "new");
}

TEST_CASE("A bridge may be removed, and its fleet destroyed, inside each of its hooks",
          "[sync][bridge_service][fault]") {
    const std::vector<std::string> hooks = {"on_state",   "on_pushed", "on_error",
                                            "on_service", "on_call",   "on_apply"};
    const std::vector<std::pair<std::string, std::function<void(BridgeFleet&)>>> commands = {
        {"remove", [](auto& f) { CHECK(f.fleet->remove("a")); }},
        {"stop, remove",
         [](auto& f) {
             f.bridge(0).stop();
             CHECK(f.fleet->remove("a"));
         }},
        {"stop", [](auto& f) { f.bridge(0).stop(); }},
        {"reconnect", [](auto& f) { f.bridge(0).reconnect_now(true); }},
        {"unhealthy", [](auto& f) { f.fleet->report_unhealthy("a"); }},
        {"edit", [](auto& f) { f.edit(0, "inside"); }},
        {"end", [](auto& f) { f.fleet.reset(); }},
    };
    for (const std::string& hook : hooks) {
        for (const auto& command : commands) {
            // A side must not destroy its bridge.
            if (command.first == "end" && (hook == "on_call" || hook == "on_apply")) continue;
            for (int nth = 1; nth <= 3; ++nth) {
                INFO(command.first << " in " << hook << ", call " << nth);
                BridgeFleet f{2};
                int left = nth;
                bool gone = false;
                const auto at_hook = [&](const std::string& reached) {
                    // A call that the removed bridge still makes in its turn is no hook.
                    if (reached != "on_call" && reached != "on_apply") CHECK_FALSE(gone);
                    if (gone || reached != hook || --left != 0) return;
                    gone =
                        command.first.find("remove") != std::string::npos || command.first == "end";
                    command.second(f);
                };
                f.at(0).in = at_hook;
                f.at(0).server.on_call = [&] { at_hook("on_call"); };
                f.at(0).board.on_apply = [&](std::string_view, Origin) { at_hook("on_apply"); };
                f.fleet->observer().then = [&](std::string_view service) {
                    if (service == "a") at_hook("on_service");
                };
                const auto step = [&](auto&& what) {
                    if (f.fleet == nullptr || gone) return;
                    what();
                    f.run_for(2s);
                };
                step([&] { f.start(); });
                for (int round = 1; round <= 3; ++round) {
                    step([&] { f.edit(0, "edit"); });
                    step([&] {
                        f.at(0).server.scenes["s"] =
                            Drawing{"theirs " + std::to_string(round), ms(1'000'000 * round)};
                        static_cast<void>(f.bridge(0).reconnect_now(true));
                    });
                    step([&] { f.at(0).server.become(Reach::refuses), f.edit(0, "edit"); });
                    step(
                        [&] { f.at(0).board.refuses = std::make_error_code(std::errc::io_error); });
                    step([&] { f.at(0).server.become(Reach::up); });
                    step([&] { f.at(0).board.refuses.clear(); });
                }
                step([&] { f.bridge(0).stop(); });
                if (f.fleet == nullptr) continue;
                f.run_for(1s);
                CHECK(f.fleet->contains("a") != gone);
                std::size_t counted = 0;
                for (const std::size_t n : f.fleet->counters().totals) counted += n;
                CHECK(counted == f.fleet->size());
                f.at(0).in = {};
                f.at(0).server.on_call = {};
                f.at(0).board.on_apply = {};
                f.fleet->observer().then = {};
            }
        }
    }
}
