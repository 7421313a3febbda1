// SPDX-License-Identifier: MIT
// Goal: after any outages both sides of all bridges converge, no edit is lost, and then no more
// calls are made. Method: scripts of faults over many seeds, in a simulated world.
#include <belay/sync/bridge.hpp>

#include <algorithm>
#include <memory>

#include "support/catch.hpp"
#include "support/seeds.hpp"
#include "support/sync/bridge_rig.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

using Behaviour = Server::Behaviour;

/// The settings of a world of bridges.
struct Script {
    /// Both clients edit all sessions. Otherwise, each session has one client that edits it.
    bool all_write = false;
    /// The server stamps pushed scenes by a clock of its own, which is ahead by this.
    std::optional<Duration> restamps{};
    bool forgets = true;
    bool restarts = true;
    std::uint32_t extra_turns_one_in = 0;
};

struct Client {
    using Machine = Bridge<std::reference_wrapper<Board>, std::reference_wrapper<Server>,
                           decltype(policies::bridge()), BridgeRecorder>;

    void make(Server& server, sim::Host& host) {
        bridge.reset();
        bridge =
            std::make_unique<Machine>(std::ref(board), std::ref(server), policies::bridge(),
                                      BridgeOptions{.pull = {.interval = 10s},
                                                    .outage_wait = {FullJitter{}, Cap{8s}, 500ms},
                                                    .answer_within = 2s,
                                                    .calls_max = 2},
                                      BridgeRecorder{&reported});
        host.attach(*bridge);
        bridge->start();
    }
    [[nodiscard]] std::size_t count(std::string_view beginning) const {
        return static_cast<std::size_t>(
            std::count_if(reported.begin(), reported.end(),
                          [&](const std::string& line) { return line.starts_with(beginning); }));
    }

    Board board{};
    std::vector<std::string> reported{};
    std::unique_ptr<Machine> bridge{};
};

class Outages {
public:
    Outages(Seed seed, const Script& script)
        : script_{script}, world_{seed, {.extra_turns_one_in = script.extra_turns_one_in}} {
        server_.network = &there_;
        server_.latency = [this] { return slow_ ? within(4s) : within(50ms); };
        if (script.restamps) {
            server_.restamp = [this] {
                return stamp(elapsed(Instant{}, world_.now()) + *script_.restamps, 9);
            };
        }
        for (const char* name : {"a", "b", "c"}) {
            for (Client& client : clients_) client.board.empty.emplace_back(name);
        }
        for (Client& client : clients_) client.make(server_, here_);
    }

    /// Runs ten minutes with faults and edits, then five minutes without.
    void run() {
        for (const Instant end = after(world_.now(), 10min); world_.now() < end;) {
            trouble();
            for (std::uint64_t edits = draw(8); edits != 0; --edits) {
                edit();
                world_.run_for(within(4s));
            }
            world_.run_for(within(20s));
        }
        server_.behaviour = Server::Behaviour::works;
        server_.moods.clear();
        slow_ = false;
        world_.run_for(5min);
    }

    void check() {
        for (Client& client : clients_) {
            REQUIRE(client.bridge->connectivity().kind == Connectivity::Kind::connected);
            for (const auto& [name, scene] : server_.scenes) {
                REQUIRE(client.board.scenes[name].content == scene.content);
            }
            REQUIRE(client.board.scenes.size() == server_.scenes.size());
        }
        // If the server keeps stamps, the latest edit of each session is there.
        if (!script_.restamps) {
            for (const auto& [name, scene] : latest_) REQUIRE(server_.scenes[name] == scene);
        }
        // With one writer there is no conflict, and no edit is missing.
        if (!script_.all_write) {
            for (const auto& [name, content] : written_) {
                REQUIRE(server_.scenes[name].content == content);
            }
            for (const Client& client : clients_) REQUIRE(client.count("conflict") == 0);
        }
        REQUIRE(server_.pushes.size() <= 8 * edits_ + 100);
        // Equal sessions are pulled, and cause no other call.
        const std::size_t pushes = server_.pushes.size();
        const std::size_t applied = clients_[0].board.applied.size();
        world_.run_for(100s);
        REQUIRE(server_.pushes.size() == pushes);
        REQUIRE(clients_[0].board.applied.size() == applied);
    }
    [[nodiscard]] const std::vector<std::string>& pushes() const { return server_.pushes; }

private:
    std::uint64_t draw(std::uint64_t below) { return uniform_upto(world_.bits(), below - 1); }
    Duration within(Duration most) {
        return Duration{static_cast<std::int64_t>(draw(static_cast<std::uint64_t>(most.count())))};
    }
    static Stamp stamp(Duration time, unsigned origin) {
        return {.wall = WallTime{time}, .counter = 0, .origin = {std::byte(origin)}};
    }

    void trouble() {
        constexpr Behaviour moods[] = {Behaviour::works, Behaviour::works, Behaviour::fails,
                                       Behaviour::hangs, Behaviour::drops, Behaviour::forgets,
                                       Behaviour::throws};
        constexpr Cause causes[] = {Cause::lost, Cause::overloaded, Cause::permanent,
                                    Cause::unauthorized};
        server_.behaviour = moods[draw(7)];
        server_.failure = {.cause = causes[draw(4)]};
        if (draw(4) == 0) server_.failure.retry_after = within(20s);
        server_.moods.clear();
        if (draw(4) == 0) server_.moods["b"] = moods[draw(7)];
        slow_ = draw(3) == 0;
        if (script_.forgets && draw(6) == 0) server_.scenes.clear();
        if (script_.restarts && draw(6) == 0) clients_[draw(2)].make(server_, here_);
    }
    void edit() {
        const std::uint64_t which = draw(3);
        const std::string name = std::string(1, static_cast<char>('a' + which));
        const std::uint64_t writer = script_.all_write ? draw(2) : which % 2;
        Client& client = clients_[writer];
        Drawing& scene = client.board.scenes[name];
        // The stamp is later than all that were applied, as that of a HybridClock.
        const Duration now = std::max(elapsed(Instant{}, world_.now()),
                                      scene.stamp.wall.time_since_epoch() + Duration{1});
        scene.content += std::to_string(++edits_) + ",";
        scene.stamp = stamp(now, static_cast<unsigned>(1 + writer));
        if (!script_.all_write) written_[name] = scene.content;
        if (latest_[name].stamp < scene.stamp) latest_[name] = scene;
        client.bridge->changed(name);
    }

    Script script_;
    sim::World world_;
    sim::Host& here_ = world_.host("here");
    sim::Host& there_ = world_.host("there");
    Server server_{};
    Client clients_[2]{};
    bool slow_ = false;
    std::size_t edits_ = 0;
    std::map<std::string, std::string> written_{};
    Drawings latest_{};
};

void play(Seed seed, const Script& script) {
    Outages outages{seed, script};
    outages.run();
    outages.check();
}

}  // namespace

TEST_CASE("Bridge: no edit of a session with one writer is lost", "[sync][bridge][sim]") {
    for_each_seed([](Seed seed) { play(seed, {}); }, histories(300));
}

TEST_CASE("Bridge: of two writers the last one wins, everywhere", "[sync][bridge][sim]") {
    for_each_seed([](Seed seed) { play(seed, {.all_write = true}); }, histories(300));
}

TEST_CASE("Bridge: a server with its own clock converges, too", "[sync][bridge][sim]") {
    for (const Duration ahead : {Duration{}, Duration{1h}}) {
        for_each_seed(
            [&](Seed seed) {
                play(seed, {.all_write = true, .restamps = ahead, .forgets = false});
            },
            histories(100));
    }
}

TEST_CASE("Bridge: a driver that runs it too early changes nothing", "[sync][bridge][sim]") {
    for_each_seed(
        [](Seed seed) {
            Outages plain{seed, {.all_write = true}};
            plain.run();
            Outages eager{seed, {.all_write = true, .extra_turns_one_in = 2}};
            eager.run();
            REQUIRE(plain.pushes() == eager.pushes());
        },
        histories(50));
}
