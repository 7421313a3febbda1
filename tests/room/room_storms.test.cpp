// SPDX-License-Identifier: MIT
// Goal: faults of a whole site under load lose nothing that a client has seen, and end. Method:
// servers, a storage and many clients in simulated worlds; a failover, and a restart.
#include <belay/room/room_manager.hpp>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/room/server_cluster.hpp"
#include "support/seeds.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

/// Ten clients of one room at three servers, which make 1,000 edits a second together.
struct BusyCluster {
    explicit BusyCluster(Seed seed) : c{seed} {
        for (std::size_t i = 0; i < 10; ++i)
            clients.push_back(c.editor("client" + std::to_string(i), 1 + i, 1 + int(i % 3)));
    }
    /// Types for so long. With `redial`, a client that was closed dials again.
    void type_for(Duration d, bool redial) {
        for (Duration past{}; past < d; past += 10ms) {
            for (const auto& client : clients) {
                if (redial && !client->online()) client->dial();
                edits.push_back(client->type("e"));
            }
            c.world.run_for(10ms);
        }
    }
    /// The clients from the `first` one on leave, so that they cannot restore lost edits.
    void hang_up(std::size_t first) {
        while (clients.size() > first) {
            gone.push_back(std::move(clients.back()));
            gone.back()->hang_up();
            clients.pop_back();
        }
    }
    /// The old master has confirmed the last 200 entries, and the new one lacks them.
    void fail_over() {
        for (int n = 1; n <= 3; ++n) c.store.away(n, true);
        const std::size_t confirmed = c.entries();
        REQUIRE(confirmed >= 300);
        c.store.lose_tail("board", 200);
        REQUIRE(lacking(c.stored()) >= 200);
        type_for(100ms, true);
        for (int n = 1; n <= 3; ++n) {
            c.store.away(n, false);
            type_for(20ms, true);
        }
    }
    /// The number of edits that a document lacks.
    [[nodiscard]] std::size_t lacking(const Bytes& document) const {
        YjsDocument all;
        REQUIRE_FALSE(all.apply(document));
        static_cast<void>(all.state_vector());
        return static_cast<std::size_t>(std::ranges::count_if(
            edits, [&](const Bytes& edit) { return all.check(edit).value_or(true); }));
    }
    /// Each server and the storage have all edits, and a new client gets them.
    void check_kept() {
        CHECK(lacking(c.stored()) == 0);
        for (int n = 1; n <= 3; ++n) {
            CHECK(c.document(n) == c.stored());
            const auto reader = c.editor("reader" + std::to_string(n), 100 + std::uint64_t(n), n);
            CHECK(lacking(reader->document()) == 0);
        }
    }

    Cluster c;
    std::vector<std::unique_ptr<RoomEditor>> clients{};
    std::vector<std::unique_ptr<RoomEditor>> gone{};
    std::vector<Bytes> edits{};
};

}  // namespace

TEST_CASE("servers: a failover under 1,000 edits a second loses no edit that a server has",
          "[room][fanout][seeds]") {
    for_each_seed(
        [](Seed seed) {
            BusyCluster w{seed};
            w.type_for(300ms, false);
            w.c.world.run_for(50ms);
            w.hang_up(7);
            w.fail_over();
            w.type_for(200ms, true);
            for (int round = 0; round < 5; ++round) {
                for (const auto& client : w.clients) {
                    if (!client->online()) client->dial();
                }
                w.c.world.run_for(5s);
            }
            for (const auto& client : w.clients) {
                CHECK(client->online());
                CHECK(w.lacking(client->document()) == 0);
            }
            w.check_kept();
            // Each server saves, and delivers edits as before.
            const Bytes last = w.clients[0]->type("last");
            w.c.world.run_for(1min);
            for (const auto& client : w.clients) CHECK(client->has(last));
            CHECK(w.c.entries() == 0);
        },
        histories(3));
}

TEST_CASE("servers: after a failover the servers alone restore the edits of clients that left",
          "[room][fanout][seeds]") {
    for_each_seed(
        [](Seed seed) {
            BusyCluster w{seed};
            w.type_for(300ms, false);
            w.c.world.run_for(50ms);
            w.hang_up(0);
            w.fail_over();
            w.c.world.run_for(25s);
            w.check_kept();
        },
        histories(3));
}

namespace {

/// 50 rooms with six clients each.
struct FullSite {
    static constexpr std::size_t boards = 50;

    FullSite(Seed seed, const RoomOptions& options) : w{seed, options} {
        w.rights.takes = 2ms;
        w.disk.flush_takes = 2ms;
        w.disk.load_takes = 20ms;
        w.disk.save_takes = 30ms;
        for (std::size_t i = 0; i < 6 * boards; ++i) {
            const std::string name = "client" + std::to_string(i);
            w.requests[name] = {.room_id = board_of(i), .token = name};
            clients.push_back(std::make_unique<RoomEditor>(w, name, 1 + i));
        }
    }
    [[nodiscard]] static std::string board_of(std::size_t client) {
        return "board" + std::to_string(client % boards);
    }
    /// All clients dial at one instant. The first one that has joined with a peer types meanwhile.
    void dial() {
        const Instant began = w.world.now();
        RoomEditor* author = nullptr;
        RoomEditor* reader = nullptr;
        Bytes edit;
        Instant typed_at{};
        longest_edit = Duration{};
        edits_meanwhile = redials = 0;
        for (const auto& client : clients) client->dial();
        const auto is_in = [](const auto& client) { return client->synced; };
        while (elapsed(began, w.world.now()) < 10s && !std::ranges::all_of(clients, is_in)) {
            for (std::size_t i = 0; i < boards && author == nullptr; ++i) {
                if (!is_in(clients[i]) || !is_in(clients[i + boards])) continue;
                author = clients[i].get();
                reader = clients[i + boards].get();
            }
            if (author != nullptr && (edit.empty() || reader->has(edit))) {
                edit = author->type("meanwhile");
                typed_at = w.world.now();
                ++edits_meanwhile;
            }
            w.run(1ms);
            redial(elapsed(began, w.world.now()));
            if (!edit.empty())
                longest_edit = std::max(longest_edit, elapsed(typed_at, w.world.now()));
        }
        join = elapsed(began, w.world.now());
    }

    /// All clients type while the server runs, and again while it is down.
    void restart() {
        for (const auto& client : clients) client->type("before");
        w.run(1s);
        w.world.kill(w.server);
        w.run(100ms);
        w.world.restart(w.server);
        for (const auto& client : clients) offline.push_back(client->type("offline"));
    }
    /// Whether all clients have joined, and each one's last edit has reached a peer.
    void check_kept() {
        w.run(1s);
        for (std::size_t i = 0; i < clients.size(); ++i) {
            CHECK(clients[i]->online());
            CHECK(clients[(i + boards) % clients.size()]->has(offline[i]));
        }
    }

    /// A client that was closed dials again after 100 ms at most.
    void redial(Duration past) {
        if (past % 100ms != 0ms) return;
        for (const auto& client : clients) {
            if (client->online()) continue;
            client->dial();
            ++redials;
        }
    }

    Duration join{};          ///< until the last one had joined; 10 s: one had not
    Duration longest_edit{};  ///< until the reader had it
    std::size_t edits_meanwhile = 0;
    std::size_t redials = 0;  ///< since all dialled
    std::vector<Bytes> offline{};
    RoomWorld w;
    std::vector<std::unique_ptr<RoomEditor>> clients{};
};

}  // namespace

TEST_CASE("RoomManager: after a restart all clients of 50 rooms return within a bounded time",
          "[room][room_storms][seeds]") {
    for_each_seed(
        [](Seed seed) {
            FullSite site{seed, {.loads_max = 10}};
            site.dial();
            site.restart();
            site.dial();
            // Five times ten loads, and a check, a flush and the network.
            CHECK(site.join <= 5 * 20ms + 20ms);
            // The turns of the server go on: an edit takes as long as at other times.
            CHECK(site.edits_meanwhile >= 3);
            CHECK(site.longest_edit <= 20ms);
            site.check_kept();
            CHECK(site.w.reported.empty());
            CHECK(site.w.disk.loading_max == 10);
        },
        histories(2));
}

TEST_CASE("RoomManager: after a restart more clients return than may wait, and all join in turn",
          "[room][room_storms][seeds]") {
    for_each_seed(
        [](Seed seed) {
            FullSite site{seed, {.loads_max = 10, .waiting_max = 60}};
            site.dial();
            site.restart();
            site.dial();
            CHECK(site.redials != 0);
            // At least 60 join between two dials.
            CHECK(site.join <= 600ms);
            CHECK(site.edits_meanwhile >= 3);
            CHECK(site.longest_edit <= 20ms);
            site.check_kept();
        },
        histories(2));
}
