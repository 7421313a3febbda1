// SPDX-License-Identifier: MIT
// Goal: hooks may stop or destroy the bridge, throw, or change sessions, and receive the right
// events. Method: one scenario, with another action at each of its events.
#include <belay/sync/bridge_options.hpp>

#include <belay/call/call_text.hpp>
#include <belay/core/tee.hpp>
#include <belay/sync/bridge.hpp>

#include "support/catch.hpp"
#include "support/sync/bridge_rig.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

/// Runs an action at the n-th hook.
struct Acting {
    int at;
    std::function<void(int)>* act;
    int* received;

    void receive() {
        if (++*received == at) (*act)(*received);
    }
    void on_state(const Connectivity&) { receive(); }
    void on_pushed(std::string_view, const Stamp&) { receive(); }
    void on_conflict(const BridgeConflict<std::string>&) { receive(); }
    void on_error(const BridgeError&) { receive(); }
    void on_attempt(const Attempt&) { receive(); }
    void on_retry(const RetryPlanned&) { receive(); }
    void on_success(const Attempt&) { receive(); }
    void on_give_up(const RetryEnded&) { receive(); }
};

/// The same, for hooks with the bridge as first parameter.
struct WithBridge {
    int states = 0;
    int pushes = 0;
    void on_state(auto& bridge, const Connectivity& view) {
        ++states;
        CHECK(bridge.connectivity().kind == view.kind);
    }
    void on_pushed(auto& bridge, std::string_view session, const Stamp& stamp) {
        ++pushes;
        CHECK(bridge.local().scenes[std::string{session}].stamp == stamp);
    }
};

/// Runs a history with all hooks, and calls `act` at the hook number `at`.
struct History {
    explicit History(int at, std::function<void(History&)> act)
        : doing{[this, act](int) { act(*this); }} {
        board.scenes = {{"a", {"0", ms(1)}}, {"b", {"0", ms(1)}}};
        server.scenes = board.scenes;
        bridge = std::make_unique<Machine>(
            std::ref(board), std::ref(server), policies::bridge(),
            BridgeOptions{.pull = {.interval = 5s}},
            Tee<Acting, RetryCounters>{Acting{at, &doing, &received}, RetryCounters{}});
        host.attach(*bridge);
        bridge->start();
    }
    void edit(const char* session, const char* content, std::int64_t at) {
        board.scenes[session] = {content, ms(at)};
        if (bridge) bridge->changed(session);
    }
    /// Throws the exception that a hook threw.
    void run() {
        for (; step < 8; ++step) {
            if (step == 1) edit("a", "1", 2);
            if (step == 2) {
                server.scenes["b"] = {"theirs", ms(9)};
                edit("b", "mine", 8);
            }
            server.behaviour = step == 3 ? Server::Behaviour::fails : Server::Behaviour::works;
            if (step == 3) edit("a", "2", 10);
            if (step == 4) server.moods["b"] = Server::Behaviour::fails;
            if (step == 4) server.failure = {Cause::permanent};
            if (step == 5) server.failure = {Cause::lost};
            if (step == 5) server.moods.clear();
            if (step == 5) edit("a", "3", 11);
            world.run_for(6s);
        }
        world.run_for(5min);
    }

    using Machine = Bridge<std::reference_wrapper<Board>, std::reference_wrapper<Server>,
                           decltype(policies::bridge()), Tee<Acting, RetryCounters>>;
    sim::World world{Seed{11}};
    sim::Host& host = world.host("here");
    Board board{};
    Server server{};
    std::function<void(int)> doing;
    int received = 0;
    int step = 0;
    std::unique_ptr<Machine> bridge{};
};

/// Returns the number of hooks that are called in that history.
int hooks() {
    History plain{0, [](History&) {}};
    plain.run();
    REQUIRE(plain.board.scenes == plain.server.scenes);
    REQUIRE(plain.board.scenes["b"].content == "theirs");
    const RetryCounters& counted = plain.bridge->observer().get<1>();
    REQUIRE(counted.retries >= 1);
    REQUIRE(counted.give_ups >= 1);
    return plain.received;
}

}  // namespace

TEST_CASE("Bridge: the bridge may be destroyed in each hook", "[sync][bridge_observer][unit]") {
    const int all = hooks();
    REQUIRE(all > 40);
    for (int at = 1; at <= all; ++at) {
        History history{at, [](History& h) { h.bridge.reset(); }};
        history.run();
        CHECK(history.received == at);
        CHECK_FALSE(history.bridge);
    }
}

TEST_CASE("Bridge: it may be stopped in each hook", "[sync][bridge_observer][unit]") {
    const int all = hooks();
    for (int at = 1; at <= all; ++at) {
        Instant stopped = never;
        History history{at, [&](History& h) {
                            stopped = h.world.now();
                            h.bridge->stop();
                        }};
        history.run();
        CHECK(history.bridge->ended());
        const int received = history.received;
        history.world.run_for(1h);
        CHECK(history.received == received);
    }
}

TEST_CASE("Bridge: an exception of a hook leaves the turn, and the bridge continues",
          "[sync][bridge_observer][unit]") {
    const int all = hooks();
    for (int at = 1; at <= all; ++at) {
        History history{at, [](History&) { throw std::runtime_error{"hook"}; }};
        bool thrown = false;
        try {
            history.run();
        } catch (const std::runtime_error&) {
            thrown = true;
        }
        CHECK(thrown);
        ++history.step;
        history.run();
        history.edit("a", "last", 100);
        history.world.run_for(5min);
        CHECK(history.board.scenes == history.server.scenes);
        CHECK(history.server.scenes["a"].content == "last");
    }
}

TEST_CASE("Bridge: changed() in a hook is a change", "[sync][bridge_observer][unit]") {
    const int all = hooks();
    for (int at = 1; at <= all; ++at) {
        History history{at, [](History& h) { h.edit("c", "new", 1); }};
        history.run();
        CHECK(history.server.scenes["c"].content == "new");
    }
}

TEST_CASE("Bridge: observers in all forms, with and without the bridge as first parameter",
          "[sync][bridge_observer][unit]") {
    sim::World world{Seed{1}};
    sim::Host& host = world.host("here");
    Board board;
    Server server;
    board.scenes = {{"s", {"0", ms(1)}}};
    std::vector<std::string> reported;
    WithBridge second{};
    Bridge none{std::ref(board), std::ref(server), policies::bridge(), BridgeOptions{},
                NoObserver{}};
    Bridge by_value{std::ref(board), std::ref(server), policies::bridge(), BridgeOptions{},
                    BridgeRecorder{&reported}};
    Bridge by_reference{std::ref(board), std::ref(server), policies::bridge(), BridgeOptions{},
                        std::ref(second)};
    Bridge several{std::ref(board), std::ref(server), policies::bridge(), BridgeOptions{},
                   Tee{std::ref(second), BridgeRecorder{&reported}}};
    Push push{std::ref(board), std::ref(server), policies::bridge(), BridgePushOptions{},
              std::ref(second)};
    Pull pull{std::ref(board), std::ref(server), policies::bridge(), BridgePullOptions{},
              std::ref(second)};
    host.attach(none);
    host.attach(by_value);
    host.attach(by_reference);
    host.attach(several);
    host.attach(push);
    host.attach(pull);
    none.start();
    by_value.start();
    by_reference.start();
    several.start();
    push.start();
    push.changed("s");
    pull.start();
    world.run_for(1min);
    CHECK(reported == std::vector<std::string>{"connected", "connected"});
    CHECK(second.states == 4);
    CHECK(second.pushes == 1);
}

TEST_CASE("to_string(BridgeError::Step) names all values", "[sync][bridge_observer][unit]") {
    using Step = BridgeError::Step;
    CHECK(to_string(Step::list) == "list");
    CHECK(to_string(Step::read) == "read");
    CHECK(to_string(Step::apply) == "apply");
    CHECK(to_string(Step::fetch) == "fetch");
    CHECK(to_string(Step::push) == "push");
    CHECK(to_string(Step::close) == "close");
    CHECK(to_string(Step{9}) == "unknown");
}
