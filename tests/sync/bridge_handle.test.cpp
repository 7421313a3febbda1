// SPDX-License-Identifier: MIT
// Goal: a bridge ends within a second of stop(), in any state, and does nothing afterwards;
// handles report this from any thread. Method: both sides and the time are scripted; and
// threads.
#include <belay/sync/bridge.hpp>

#include <atomic>
#include <thread>

#include <belay/backoff/jitters.hpp>
#include <belay/drive/loop.hpp>
#include <belay/policy/rules.hpp>

#include "support/aborts.hpp"
#include "support/catch.hpp"
#include "support/sync/bridge_rig.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

using Behaviour = Server::Behaviour;
using Shown = Connectivity::Kind;
using Recorded = std::vector<std::string>;

/// Returns the time from stop() to the end of the bridge.
Duration end_of(auto& rig) {
    const Instant since = rig.world.now();
    rig.bridge->stop();
    REQUIRE(rig.world.run_until([&] { return rig.bridge->ended(); }, 1h));
    return elapsed(since, rig.world.now());
}
/// Checks that no call, change or report is made any more.
void stays_silent(auto& rig) {
    const auto fetches = rig.server.fetches.size();
    const auto pushes = rig.server.pushes.size();
    const auto lines = rig.reported.size();
    const int reads = rig.board.reads;
    rig.edit("s", "after the end", 1'000'000);
    rig.server.behaviour = Behaviour::works;
    for (auto& kept : rig.server.kept_fetches) {
        CHECK_FALSE(kept.wanted());
        kept(std::optional<Drawing>{Drawing{"late", ms(2'000'000)}});
    }
    for (auto& kept : rig.server.kept_pushes) {
        CHECK_FALSE(kept.wanted());
        kept(Failure{});
    }
    rig.run_for(24h);
    CHECK(rig.server.fetches.size() == fetches);
    CHECK(rig.server.pushes.size() == pushes);
    CHECK(rig.board.reads == reads);
    CHECK(rig.reported.size() == lines);
    CHECK(rig.board.applied.empty());
    CHECK(rig.bridge->deadline() == never);
}

/// A server whose close() is answered when the test does so.
struct ClosingServer : Server {
    void close(Completion<Failure> done) {
        ++closes;
        if (throws_at_close) throw std::runtime_error{"close"};
        if (!hangs_at_close) return done(close_failure);
        goodbyes.push_back(std::move(done));
    }
    int closes = 0;
    bool throws_at_close = false;
    bool hangs_at_close = false;
    Failure close_failure{};
    std::vector<Completion<Failure>> goodbyes{};
};

/// A machine that the bridge runs. It looks for calls whose answers are not wanted any more.
struct RunServer : Server {
    int* given_up;
    int* turns;
    void attach(Waker waker) { waker_ = std::move(waker); }
    [[nodiscard]] Instant deadline() const noexcept { return due; }
    void advance(Instant now) {
        ++*turns;
        if (due <= now) due = after(now, 7min);
        std::erase_if(kept_fetches, [&](const auto& kept) {
            if (!kept.wanted()) ++*given_up;
            return !kept.wanted();
        });
    }
    Instant due = Instant{};
    Waker waker_{};
};

}  // namespace

TEST_CASE("Bridge::stop ends at once when there is nothing to do", "[sync][bridge][unit]") {
    BridgeRig rig;
    rig.board.scenes["s"] = rig.server.scenes["s"] = {"0", ms(1)};
    rig.start();
    rig.run_for(31s);
    CHECK(end_of(rig) == 0s);
    CHECK(rig.reported.back() == "disconnected planned");
    stays_silent(rig);
}

TEST_CASE("Bridge::stop ends a wait of an outage, and one between two attempts",
          "[sync][bridge][unit]") {
    BridgeRig rig;
    rig.start();
    rig.server.behaviour = Behaviour::fails;
    rig.edit("s", "1", 2);
    rig.run_for(10min);
    CHECK(rig.kind() == Shown::reconnecting);
    CHECK(end_of(rig) == 0s);
    stays_silent(rig);

    BridgeRig second{{}, Policy{MaxAttempts{2}, Backoff{NoJitter{}, Cap{9s}, 9s}}};
    second.start();
    second.server.behaviour = Behaviour::fails;
    second.edit("s", "1", 2);
    second.run_for(5s);
    CHECK(second.server.fetches.size() == 1);
    CHECK(end_of(second) == 1s);
    stays_silent(second);
}

TEST_CASE("Bridge::stop ends a hanging request, a pull at once and a push within a second",
          "[sync][bridge][unit]") {
    BridgeRig rig;
    rig.board.scenes["s"] = rig.server.scenes["s"] = {"0", ms(1)};
    rig.start();
    rig.server.behaviour = Behaviour::hangs;
    rig.run_for(31s);
    REQUIRE(rig.server.fetches.size() >= 1);
    CHECK(end_of(rig) <= 1s);
    stays_silent(rig);

    BridgeRig second{{.pull = {.enabled = false}}};
    second.server.behaviour = Behaviour::hangs;
    second.start();
    second.edit("s", "1", 2);
    second.run_for(1s);
    REQUIRE(second.server.kept_pushes.size() == 1);
    CHECK(end_of(second) == 1s);
    stays_silent(second);
}

TEST_CASE("Bridge::stop pushes the remaining edits, if the remote is reachable",
          "[sync][bridge][unit]") {
    BridgeRig rig{{.push = {.debounce = 10s}}};
    rig.board.scenes["s"] = rig.server.scenes["s"] = {"0", ms(1)};
    rig.start();
    rig.run_for(31s);
    REQUIRE(rig.kind() == Shown::connected);
    for (int i = 0; i < 20; ++i) rig.edit("s" + std::to_string(i), "1", 2);
    CHECK(end_of(rig) == 0s);
    CHECK(rig.server.scenes.size() == 21);
    CHECK(rig.count("pushed") == 20);
    stays_silent(rig);
}

TEST_CASE("Bridge::stop pushes an edit made during a running push, too", "[sync][bridge][unit]") {
    BridgeRig rig{{.pull = {.enabled = false}}};
    rig.server.network = &rig.host;
    rig.server.latency = [] { return 300ms; };
    rig.start();
    rig.edit("s", "1", 2);
    rig.run_for(600ms);
    REQUIRE(rig.server.pushes.size() == 1);
    rig.edit("s", "2", 3);
    CHECK(end_of(rig) == 500ms);
    CHECK(rig.server.scenes["s"].content == "2");
    stays_silent(rig);
}

TEST_CASE("Bridge::stop before start, and twice", "[sync][bridge][unit]") {
    BridgeRig rig;
    rig.edit("s", "1", 2);
    rig.bridge->stop();
    rig.bridge->stop();
    rig.run_for(0s);
    CHECK(rig.bridge->ended());
    CHECK(rig.reported == Recorded{"disconnected planned"});
    stays_silent(rig);
    const std::string output = aborts_with([&] { rig.bridge->start(); });
    CHECK(output.find("Bridge::start: call it only once") != std::string::npos);
}

TEST_CASE("Bridge::stop may be called by both sides, in the middle of a round",
          "[sync][bridge][unit]") {
    for (const bool throws : {false, true}) {
        BridgeRig rig;
        rig.board.empty = {"s"};
        rig.server.on_fetch = [&] {
            rig.bridge->stop();
            if (throws) throw std::runtime_error{"and more"};
        };
        rig.start();
        rig.run_for(31s);
        CHECK(rig.bridge->ended());
        CHECK(rig.server.fetches.size() == 1);
        rig.server.on_fetch = {};
        stays_silent(rig);
    }
    BridgeRig rig;
    rig.board.empty = {"r", "s"};
    rig.server.scenes = {{"r", {"1", ms(1)}}, {"s", {"1", ms(1)}}};
    rig.board.on_apply = [&](std::string_view, Origin) { rig.bridge->stop(); };
    rig.start();
    rig.run_for(31s);
    CHECK(rig.bridge->ended());
    CHECK(rig.board.applied == Recorded{"r=1 remote"});
}

TEST_CASE("Bridge::stop calls close() of a remote, and waits for it for at most a second",
          "[sync][bridge][unit]") {
    enum class Way { answers, fails, hangs, throws, away };
    for (const Way way : {Way::answers, Way::fails, Way::hangs, Way::throws, Way::away}) {
        sim::World world{Seed{1}};
        sim::Host& host = world.host("here");
        Board board;
        ClosingServer server;
        Recorded reported;
        Bridge bridge{std::ref(board), std::ref(server), policies::bridge(),
                      BridgeOptions{.push = {.debounce = 10s}}, BridgeRecorder{&reported}};
        host.attach(bridge);
        bridge.start();
        board.scenes["s"] = {"1", ms(1)};
        bridge.changed("s");
        if (way == Way::fails) server.close_failure = {Cause::permanent};
        server.hangs_at_close = way == Way::hangs;
        server.throws_at_close = way == Way::throws;
        if (way == Way::away) server.behaviour = Behaviour::fails;
        world.run_for(way == Way::away ? 5min : 1s);
        bridge.stop();
        const Instant since = world.now();
        REQUIRE(world.run_until([&] { return bridge.ended(); }, 1h));
        CHECK(elapsed(since, world.now()) == (way == Way::hangs ? Duration{1s} : Duration{}));
        CHECK(server.closes == (way == Way::away ? 0 : 1));
        if (way != Way::away) CHECK(server.pushes == Recorded{"s=1"});
        world.run_for(1h);
        const auto errors =
            std::count_if(reported.begin(), reported.end(),
                          [](const std::string& line) { return line.starts_with("error  close"); });
        CHECK(errors == (way == Way::answers || way == Way::away ? 0 : 1));
        CHECK(reported.back() == "disconnected planned");
        CHECK(server.closes <= 1);
    }
}

TEST_CASE("Bridge runs a remote that is a machine", "[sync][bridge][unit]") {
    int given_up = 0;
    int turns = 0;
    sim::World world{Seed{1}};
    sim::Host& host = world.host("here");
    Board board;
    board.empty = {"s"};
    RunServer mine{{}, &given_up, &turns};
    mine.behaviour = Behaviour::hangs;
    Bridge bridge{std::ref(board), std::move(mine), Policy{MaxAttempts{1}}};
    host.attach(bridge);
    CHECK(bridge.deadline() == never);
    bridge.start();
    // The machine runs as soon as the answer is not wanted any more, and not at its next deadline.
    REQUIRE(world.run_until([&] { return bridge.remote().fetches.size() == 1; }, 30s));
    world.run_for(10s);
    CHECK(given_up == 1);
    world.run_for(24h);
    CHECK(turns > 205);  // the machine's own deadlines
    CHECK(given_up > 1000);
    CHECK(bridge.remote().kept_fetches.size() <= 1);
    bridge.stop();
    world.run_for(1s);
    const int then = turns;
    world.run_for(1h);
    CHECK(turns == then);
}

TEST_CASE("Bridge: its destructor drops running calls, and later answers have no effect",
          "[sync][bridge][unit]") {
    BridgeRig rig;
    rig.board.empty = {"s"};
    rig.server.behaviour = Behaviour::hangs;
    rig.start();
    rig.run_for(31s);
    REQUIRE(rig.server.kept_fetches.size() >= 1);
    const BridgeHandle handle = rig.bridge->handle();
    rig.bridge.reset();
    for (auto& kept : rig.server.kept_fetches) {
        CHECK_FALSE(kept.wanted());
        kept(std::optional<Drawing>{Drawing{"late", ms(1)}});
    }
    CHECK(handle.ended());
    CHECK(handle.stop() == driver::Post::gone);
    rig.run_for(1h);
    CHECK(rig.board.applied.empty());
}

TEST_CASE("BridgeHandle that refers to no bridge reports it", "[sync][bridge_handle][unit]") {
    const BridgeHandle handle;
    CHECK(handle.ended());
    CHECK(handle.connectivity().kind == Shown::disconnected);
    CHECK(handle.stop() == driver::Post::gone);
}

TEST_CASE("BridgeHandle: queries and commands may be called from any thread",
          "[sync][bridge_handle][unit]") {
    struct Threaded {
        using content_type = std::string;
        std::atomic<int>* answered;
        std::vector<std::thread>* threads;
        void fetch(std::string_view,
                   Completion<Result<std::optional<Scene<std::string>>, Failure>> done) {
            threads->emplace_back([done = std::move(done), count = answered]() mutable {
                done(std::optional<Drawing>{});
                ++*count;
            });
        }
        void push(std::string_view, const Drawing&, Completion<Failure> done) {
            threads->emplace_back([done = std::move(done), count = answered]() mutable {
                done(Failure{});
                ++*count;
            });
        }
    };
    std::atomic<int> answered{0};
    std::vector<std::thread> threads;
    Board board;
    for (int i = 0; i < 20; ++i) board.scenes[std::to_string(i)] = {"x", ms(1)};
    Loop loop;
    Bridge bridge{std::ref(board), Threaded{&answered, &threads}, policies::bridge(),
                  BridgeOptions{.pull = {.interval = 1ms}, .push = {.debounce = 0ns}}};
    loop.attach(bridge);
    bridge.start();
    const BridgeHandle handle = bridge.handle();
    std::thread watcher{[&handle, &answered] {
        while (answered.load() < 40 || handle.connectivity().kind != Shown::connected) {
            std::this_thread::yield();
        }
        static_cast<void>(handle.stop());
        while (!handle.ended()) std::this_thread::yield();
    }};
    loop.run_until([&] { return bridge.ended(); });
    watcher.join();
    for (std::thread& thread : threads) thread.join();
    CHECK(bridge.ended());
}
