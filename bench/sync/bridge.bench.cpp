// SPDX-License-Identifier: MIT
// A bridge of 1,000 sessions whose remote answers at once: an interval in which nothing changes, and
// changes that are pushed; beside a loop by hand that compares stamps, and pushes what was marked.
#include <benchmark/benchmark.h>

#include <map>
#include <set>
#include <string>

#include <belay/call/policies.hpp>
#include <belay/sync.hpp>

namespace {

using namespace belay;
using Drawing = Scene<std::string>;
using Drawings = std::map<std::string, Drawing, std::less<>>;

constexpr int bridge_sessions = 1000;

Drawings drawings() {
    Drawings made;
    for (int i = 0; i < bridge_sessions; ++i) {
        made["session-" + std::to_string(i)] = {std::string(1000, 'x'), Stamp{.counter = 1}};
    }
    return made;
}

struct Board {
    using content_type = std::string;
    std::vector<std::string> sessions() {
        std::vector<std::string> names;
        names.reserve(scenes.size());
        for (const auto& [name, scene] : scenes) names.push_back(name);
        return names;
    }
    Result<std::optional<Drawing>> read(std::string_view session) {
        const auto at = scenes.find(session);
        return at == scenes.end() ? std::nullopt : std::optional{at->second};
    }
    std::error_code apply(std::string_view session, Drawing scene, Origin) {
        scenes.find(session)->second = std::move(scene);
        return {};
    }
    void edit() {
        for (auto& [name, scene] : scenes) {
            ++scene.stamp.counter;
            scene.content[scene.stamp.counter % 1000] ^= 1;
        }
    }
    Drawings scenes = drawings();
};

struct Server {
    using content_type = std::string;
    void fetch(std::string_view session,
               Completion<Result<std::optional<Scene<std::string>>, Failure>> done) {
        const auto at = scenes.find(session);
        done(at == scenes.end() ? std::nullopt : std::optional{at->second});
    }
    void push(std::string_view session, Drawing scene, Completion<Failure> done) {
        scenes.find(session)->second = std::move(scene);
        done(Failure{});
    }
    Drawings scenes = drawings();
};

struct BridgeLoop {
    Board board{};
    Server server{};
    Bridge<std::reference_wrapper<Board>, std::reference_wrapper<Server>,
           decltype(policies::bridge())>
        bridge{std::ref(board), std::ref(server), policies::bridge()};
    Instant now{};

    BridgeLoop() {
        bridge.attach(Waker{});
        bridge.start();
        run(std::chrono::seconds{30});
    }
    void run(Duration d) {
        const Instant end = after(now, d);
        for (Instant due = bridge.deadline(); due <= end; due = bridge.deadline()) {
            now = due < now ? now : due;
            bridge.advance(now);
        }
        now = end;
    }
};

void sessions(benchmark::State& state) {
    state.SetItemsProcessed(state.iterations() * std::int64_t{bridge_sessions});
}

void idle(benchmark::State& state) {
    BridgeLoop loop;
    for (auto _ : state) loop.run(std::chrono::seconds{30});
    sessions(state);
}
void idle_by_hand(benchmark::State& state) {
    Board board;
    Server server;
    for (auto _ : state) {
        for (const auto& [name, scene] : board.scenes) {
            const Drawing fetched = server.scenes.find(name)->second;
            if (fetched.stamp > scene.stamp) static_cast<void>(board.apply(name, fetched, {}));
        }
        benchmark::ClobberMemory();
    }
    sessions(state);
}
void change(benchmark::State& state) {
    BridgeLoop loop;
    for (auto _ : state) {
        loop.board.edit();
        for (const auto& [name, scene] : loop.board.scenes) loop.bridge.changed(name);
        loop.run(std::chrono::milliseconds{600});
    }
    sessions(state);
    if (loop.server.scenes != loop.board.scenes) state.SkipWithError("the two sides differ");
}
void change_by_hand(benchmark::State& state) {
    Board board;
    Server server;
    std::set<std::string, std::less<>> marked;
    for (auto _ : state) {
        board.edit();
        for (const auto& [name, scene] : board.scenes) marked.insert(name);
        for (const std::string& name : marked) {
            const Drawing fetched = server.scenes.find(name)->second;
            Drawing scene = board.scenes.find(name)->second;
            if (fetched.stamp < scene.stamp) server.scenes.find(name)->second = std::move(scene);
        }
        marked.clear();
    }
    sessions(state);
    if (server.scenes != board.scenes) state.SkipWithError("the two sides differ");
}
BENCHMARK(idle)->Name("sync/bridge/idle_interval_of_1000/belay");
BENCHMARK(idle_by_hand)->Name("sync/bridge/idle_interval_of_1000/by_hand");
BENCHMARK(change)->Name("sync/bridge/changes_of_1000/belay");
BENCHMARK(change_by_hand)->Name("sync/bridge/changes_of_1000/by_hand");

}  // namespace
