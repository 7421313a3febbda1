// SPDX-License-Identifier: MIT
/// \file tests/support/room/server_cluster.hpp
/// Three servers with one storage in a simulated world.
#pragma once

#include <algorithm>
#include <chrono>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <belay/room/room_manager.hpp>

#include "support/room/room_world.hpp"
#include "support/room/shared_rooms.hpp"

namespace belay_test {

using ServerRooms = RoomManager<SharedRooms, ListedRights, RoomRecorder>;

/// Servers "server1" to "server3", and clients that dial one of them.
struct Cluster {
    /// Makes a server check every 5 s whether the store was emptied.
    struct Looks {
        SharedStore* store;
        int number;
        sim::Host* host;
        void operator()() const {
            store->look(number);
            host->after(std::chrono::seconds{5}, *this);
        }
    };
    explicit Cluster(Seed seed = Seed{1}, std::vector<YjsDocumentOptions> documents = {},
                     const RoomOptions& chosen = {})
        : Cluster{std::make_unique<sim::World>(seed), std::move(documents), chosen} {}
    /// Uses the world of an exploration.
    explicit Cluster(sim::World& w, std::vector<YjsDocumentOptions> documents = {},
                     const RoomOptions& chosen = {})
        : options{chosen}, world{w} {
        documents.resize(3);
        for (int n = 1; n <= 3; ++n) {
            const YjsDocumentOptions limits = documents[static_cast<std::size_t>(n - 1)];
            hosts.push_back(&world.host("server" + std::to_string(n), [=, this](sim::Host& h) {
                auto rooms = std::make_unique<ServerRooms>(
                    SharedRooms{store, n}, ListedRights{&rights, &h}, options,
                    RoomRecorder{&reported}, YjsDocument{limits});
                h.attach(*rooms);
                rooms->start();
                h.after(std::chrono::seconds{5}, Looks{&store, n, &h});
                h.listen(1, [this, r = rooms.get()](sim::Accepted a) {
                    const std::string who{a.peer()};
                    const RoomRequest request{.room_id = "board", .token = who, .ip = who};
                    Coded<sim::Accepted> t{std::move(a)};
                    if (in_band.contains(who))
                        r->accept(std::move(t), HocuspocusProtocol{}, request);
                    else
                        r->accept(std::move(t), YjsProtocol{}, request);
                });
                return rooms;
            }));
        }
    }
    [[nodiscard]] ServerRooms& rooms(int n) {
        return *hosts[static_cast<std::size_t>(n - 1)]->process<ServerRooms>();
    }
    [[nodiscard]] sim::Host& host(int n) { return *hosts[static_cast<std::size_t>(n - 1)]; }
    [[nodiscard]] std::unique_ptr<RoomEditor> editor(const std::string& name, std::uint64_t author,
                                                     int server) {
        auto made = std::make_unique<RoomEditor>(world, name, author);
        made->dials = "server" + std::to_string(server);
        made->dial();
        world.run_for(std::chrono::seconds{1});
        return made;
    }
    [[nodiscard]] Bytes document(int n) {
        const auto parts = rooms(n).get_state("board");
        return !parts || parts->empty() ? Bytes(2) : parts->front();
    }
    /// The document that a server would load now.
    [[nodiscard]] Bytes stored() {
        YjsDocument all;
        const auto& room = store.rooms.at("board");
        for (const Bytes& update : room.snapshot) static_cast<void>(all.apply(update));
        for (const auto& entry : room.entries) static_cast<void>(all.apply(entry.update));
        const auto parts = all.snapshot();
        return parts.empty() ? Bytes(2) : parts.front();
    }
    [[nodiscard]] std::size_t entries() { return store.rooms.at("board").entries.size(); }
    [[nodiscard]] bool was_notified(std::string_view part) const {
        return std::any_of(reported.begin(), reported.end(),
                           [&](const std::string& line) { return line.find(part) != line.npos; });
    }

    RoomOptions options;
    SharedStore store{};
    RoomRights rights{};
    std::vector<std::string> reported{};
    std::set<std::string> in_band{};  ///< hosts that speak hocuspocus
    sim::World& world;
    std::vector<sim::Host*> hosts{};

private:
    Cluster(std::unique_ptr<sim::World> own, std::vector<YjsDocumentOptions> documents,
            const RoomOptions& chosen)
        : Cluster{*own, std::move(documents), chosen} {
        own_ = std::move(own);
    }

    std::unique_ptr<sim::World> own_{};  // the last member: processes refer to the others
};

/// The storage of a cluster as hosts of its world, so that the faults of a scenario hit it:
/// "storage" carries out calls, and "feed" reports changes.
class StoreOnHosts {
public:
    explicit StoreOnHosts(Cluster& c)
        : cluster_{&c}, storage_{c.world, "storage"}, feed_{c.world, "feed"} {
        follow();
    }

private:
    void follow() {
        using Reach = StorageHost::Reach;
        SharedStore& store = cluster_->store;
        for (int n = 1; n <= 3; ++n) {
            SharedStore::Server& server = store.servers[n];
            const Reach calls = storage_.reach(cluster_->host(n));
            server.unanswered = calls == Reach::unanswered;
            if (server.away != (calls == Reach::away)) store.away(n, !server.away);
            if (server.late != (calls == Reach::late)) store.late(n, !server.late);
            const bool untold = feed_.reach(cluster_->host(n)) != Reach::works;
            if (server.unsubscribed != untold) store.unsubscribed(n, untold);
        }
        cluster_->world.after(std::chrono::milliseconds{200}, [this] { follow(); });
    }

    Cluster* cluster_;
    StorageHost storage_;
    StorageHost feed_;
};

}  // namespace belay_test
