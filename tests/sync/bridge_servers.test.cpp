// SPDX-License-Identifier: MIT
// Goal: two bridges on one server end their exchange for every kind of server, and both sides have
// the scenes of the server. Method: 14 kinds of servers, clients with and without a memory, clocks
// that differ, and restarts, in a simulated world.
#include <belay/sync/bridge.hpp>

#include <algorithm>
#include <memory>

#include "support/catch.hpp"
#include "support/seeds.hpp"
#include "support/sync/server_kinds.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

/// A client: its board, its clock, and its bridge.
template <class TheBoard>
struct TalkingClient {
    using Machine = Bridge<std::reference_wrapper<TheBoard>, std::reference_wrapper<Server>,
                           decltype(policies::bridge()), std::reference_wrapper<TalkingClient>>;

    void make(Server& server, sim::Host& host) {
        bridge = nullptr;
        bridge =
            std::make_unique<Machine>(std::ref(board), std::ref(server), policies::bridge(),
                                      BridgeOptions{.pull = {.interval = 10s}}, std::ref(*this));
        host.attach(*bridge);
        bridge->start();
    }
    void on_conflict(const BridgeConflict<std::string>& conflict) {
        ++conflicts;
        // An open conflict is decided by this side: it keeps the later scene, as without a restart.
        if (!conflict.open) return;
        const bool theirs =
            board.scenes[std::string{conflict.session}].stamp < conflict.remote.stamp;
        edit(theirs ? conflict.remote.content : conflict.local.content, conflict.remote.stamp);
    }
    void edit(const std::string& content, const Stamp& saw = {}) {
        Drawing& scene = board.scenes["s"];
        // The stamp is later than all that were applied, as that of a HybridClock, or it is that of
        // a plain clock.
        const Duration above =
            std::max(saw.wall, scene.stamp.wall).time_since_epoch() + Duration{1};
        scene.content = content;
        scene.stamp = {.wall = WallTime{bare_clock ? wall() : std::max(wall(), above)},
                       .origin = id};
        bridge->changed("s");
    }

    bool bare_clock = false;
    Id id{};
    std::function<Duration()> wall{};
    TheBoard board{};
    int conflicts = 0;
    std::unique_ptr<Machine> bridge{};
};

struct ClientKinds {
    bool restart = false;
    /// Stamps are from a clock that ignores other stamps.
    bool bare_clocks = false;
    /// The server refuses a push that replaces another scene than the one that it has.
    bool compares = false;
    /// The time of each call.
    Duration latency{};
};
struct ExchangeCounts {
    std::size_t edits = 0;
    std::size_t pushes = 0;
    std::size_t late_pushes = 0;
};

/// Makes edits by both, alone, in turn and at one moment. Then sixty intervals pass, in which
/// nothing happens.
template <class TheBoard>
ExchangeCounts exchange_on(ServerKind kind, Seed seed, Duration skew, ClientKinds how) {
    sim::World world{seed};
    sim::Host& here = world.host("here");
    Server server;
    become(server, kind, world);
    server.compares = how.compares;
    if (how.latency != Duration{}) server.network = &world.host("there");
    server.latency = [&how] { return how.latency; };
    TalkingClient<TheBoard> clients[2];
    for (unsigned i = 0; i < 2; ++i) {
        clients[i].id = {std::byte(i + 1)};
        clients[i].board.empty = {"s"};
        clients[i].wall = [&world, ahead = i == 0 ? skew : Duration{}] {
            return elapsed(Instant{}, world.now()) + 24h + ahead;
        };
        clients[i].bare_clock = how.bare_clocks;
        clients[i].make(server, here);
    }
    ExchangeCounts seen;
    const auto draw = [&](std::uint64_t below) { return uniform_upto(world.bits(), below - 1); };
    for (int i = 0; i < 40; ++i) {
        // Some edits restore an earlier content, as an undo does.
        const std::string content = draw(4) == 0 ? "0" : std::to_string(++seen.edits);
        const std::uint64_t who = draw(3);
        if (who != 1) clients[0].edit(content + "a");
        if (who != 0) clients[1].edit(content + "b");
        world.run_for(Duration{static_cast<std::int64_t>(draw(
            static_cast<std::uint64_t>((draw(2) == 0 ? Duration{1s} : Duration{20s}).count())))});
        if (how.restart && draw(5) == 0) clients[draw(2)].make(server, here);
    }
    world.run_for(2min);
    seen.pushes = server.pushes.size();
    world.run_for(60 * 10s);
    seen.late_pushes = server.pushes.size() - seen.pushes;
    for (TalkingClient<TheBoard>& client : clients) {
        REQUIRE(client.bridge->connectivity().kind == Connectivity::Kind::connected);
        REQUIRE(client.board.scenes["s"].content == server.scenes["s"].content);
    }
    return seen;
}

template <class TheBoard>
void play_all_kinds(const ClientKinds& how) {
    for (const auto& [kind, name] : server_kinds) {
        INFO(name);
        for (const Duration skew : {Duration{}, Duration{-2h}, Duration{2h}}) {
            for_each_seed(
                [&, of = kind](Seed seed) {
                    const ExchangeCounts seen = exchange_on<TheBoard>(of, seed, skew, how);
                    REQUIRE(seen.late_pushes == 0);
                    REQUIRE(seen.pushes <= 120);
                },
                20);
        }
    }
}

}  // namespace

TEST_CASE("Bridge: two bridges on one server end their exchange, for every kind of server",
          "[sync][bridge][sim]") {
    play_all_kinds<Board>({});
    play_all_kinds<RememberingBoard>({});
}

TEST_CASE(
    "Bridge: bridges that remember end their exchange over restarts, for every kind of server",
    "[sync][bridge][sim]") {
    play_all_kinds<RememberingBoard>({.restart = true});
}

TEST_CASE("Bridge: two bridges on a server that compares end their exchange, for every kind",
          "[sync][bridge][sim]") {
    play_all_kinds<Board>({.compares = true});
    play_all_kinds<RememberingBoard>({.restart = true, .compares = true});
}

TEST_CASE("Bridge: clients whose stamps are no later than what they change end their exchange, too",
          "[sync][bridge][sim]") {
    play_all_kinds<Board>({.bare_clocks = true});
    play_all_kinds<RememberingBoard>({.restart = true, .bare_clocks = true});
}

TEST_CASE("Bridge: two bridges on a slow server end their exchange, for every kind of server",
          "[sync][bridge][sim]") {
    play_all_kinds<Board>({.latency = 20ms});
    play_all_kinds<RememberingBoard>({.latency = 1s});
}
