// SPDX-License-Identifier: MIT
// Goal: clients that were rejected, and do not close their connections, take no place of others.
// Method: transports that never end in a simulated world, more of them than clients_max.
#include <belay/room/room_manager.hpp>

#include "support/catch.hpp"
#include "support/room/hocuspocus_client.hpp"
#include "support/room/room_world.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

/// A server with ten places, and honest clients.
struct TenPlaces {
    TenPlaces() {
        w.rights.grants["bad"] = Grant{"", Access::none, forever};
        for (int i = 0; i < 11; ++i) {
            const std::string name = "user" + std::to_string(i);
            honest.push_back(std::make_unique<RoomEditor>(w, name, 1));
        }
    }
    /// A peer that does not answer, and is rejected.
    template <class Protocol>
    void reject(Protocol protocol) {
        w.rooms().accept(AbortedUpgrade{.gone = false}, std::move(protocol),
                         {.board = "board", .token = "bad", .ip = "192.0.2.1"});
    }
    [[nodiscard]] long online() const {
        return std::count_if(honest.begin(), honest.end(),
                             [](const auto& one) { return one->online() && one->synced; });
    }

    RoomWorld w{Seed{1}, {.clients_max = 10, .waiting_max = 5}};
    std::vector<std::unique_ptr<RoomEditor>> honest{};
};

}  // namespace

TEST_CASE("RoomManager: rejected clients that do not close take no place of others",
          "[room][room_closing][sim]") {
    TenPlaces t;
    SECTION("that come one after the other") {
        for (std::size_t i = 0; i < 11; ++i) {
            for (int n = 0; n < 20; ++n) t.reject(YjsProtocol{});
            t.honest[i]->dial();
            t.w.run(20ms);
        }
    }
    SECTION("that come at the same time") {
        for (int n = 0; n < 100; ++n) t.reject(YjsProtocol{});
        t.w.run(20ms);
        CHECK(t.w.rooms().clients() == 15);
        for (const auto& one : t.honest) one->dial();
    }
    SECTION("over connections with several documents") {
        for (std::size_t i = 0; i < 11; ++i) {
            for (int n = 0; n < 20; ++n) t.reject(HocuspocusProtocol{});
            t.honest[i]->dial();
            t.w.run(20ms);
        }
    }
    t.w.run(1s);
    // The limit counts those that joined.
    CHECK(t.online() == 10);
    CHECK(t.w.rooms().clients() <= 15);
    // No honest client makes way for later ones.
    for (int n = 0; n < 50; ++n) {
        t.reject(YjsProtocol{});
        t.w.run(20ms);
    }
    CHECK(t.online() == 10);
    t.w.run(30s);
    CHECK(t.w.rooms().clients() == 10);
}

TEST_CASE("RoomManager: rejected clients that do not close take no place of a second document",
          "[room][room_closing][sim]") {
    TenPlaces t;
    HocuspocusClient ada{t.w, "ada"};
    ada.enter({"one"});
    for (int n = 0; n < 100; ++n) t.reject(YjsProtocol{});
    t.w.run(20ms);
    CHECK(t.w.rooms().clients() == 15);
    ada.token("two", "ada");
    t.w.run(1s);
    CHECK(ada.closed_with == 0);
    CHECK(ada.received().size() == 1);
    CHECK(t.w.rooms().clients() == 15);
}
