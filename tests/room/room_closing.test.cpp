// SPDX-License-Identifier: MIT
// Goal: rejected clients that do not close their connections take no place of other clients.
// Method: transports that never end in a simulated world, more of them than clients_max.
#include <belay/room/room_manager.hpp>

#include "support/catch.hpp"
#include "support/room/hocuspocus_client.hpp"
#include "support/room/room_world.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

/// A server that admits ten clients, and honest clients.
struct TenPlaces {
    explicit TenPlaces(Seed seed = Seed{1}) : w{seed, {.clients_max = 10, .waiting_max = 5}} {
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
                         {.room_id = "board", .token = "bad", .ip = "192.0.2.1"});
    }
    [[nodiscard]] long online() const {
        return std::count_if(honest.begin(), honest.end(),
                             [](const auto& one) { return one->online() && one->synced; });
    }

    RoomWorld w;
    std::vector<std::unique_ptr<RoomEditor>> honest{};
};

}  // namespace

TEST_CASE("RoomManager: rejected clients that do not close take no place of other clients",
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
    // No honest client is closed for later ones.
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

TEST_CASE(
    "RoomManager aborts the client that it closed first, and not the one that connected first",
    "[room][room_closing][regression][sim]") {
    // Whether an abort overtakes a close code depends on the network, so there are several seeds.
    for (std::uint64_t seed = 1; seed <= 10; ++seed) {
        TenPlaces t{Seed{seed}};
        RoomEditor& ada = *t.honest[0];
        ada.dial();
        t.w.run(1s);
        REQUIRE(ada.online());
        for (int n = 0; n < 14; ++n) t.reject(YjsProtocol{});
        t.w.run(1s);
        REQUIRE(t.w.rooms().clients() == 15);
        t.w.rights.grants["user0"] = Grant{"user0", Access::none, forever};
        t.w.rooms().reauthorize("board");
        t.w.run(20us);  // it is closed, and its code is on the way
        REQUIRE(t.w.rooms().counters().reasons.of(RoomErrc::forbidden) == 1);
        t.reject(YjsProtocol{});
        t.w.run(1s);
        CHECK(ada.closed_with == 4003);
    }
}

TEST_CASE("RoomManager aborts no closed client for a document that it refuses",
          "[room][room_closing][regression][sim]") {
    RoomWorld w{Seed{1}, {.clients_max = 10, .clients_per_user_max = 1, .waiting_max = 5}};
    w.rights.grants["bad"] = Grant{"", Access::none, forever};
    HocuspocusClient ada{w, "ada"};
    ada.enter({"one"});
    for (int n = 0; n < 20; ++n) {
        w.rooms().accept(AbortedUpgrade{.gone = false}, YjsProtocol{},
                         {.room_id = "board", .token = "bad", .ip = "192.0.2.1"});
    }
    w.run(20ms);
    REQUIRE(w.rooms().clients() == 15);
    ada.token("two", "ada");
    w.run(20ms);
    CHECK(w.rooms().clients() == 15);
    CHECK(ada.closed_with == 0);
}
