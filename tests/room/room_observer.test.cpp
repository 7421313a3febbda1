// SPDX-License-Identifier: MIT
// Goal: each hook is called, with and without the manager as first parameter. Method: observers
// in all forms.
#include <belay/room/room_observer.hpp>

#include <functional>

#include <belay/core/tee.hpp>
#include <belay/room/memory_rooms.hpp>
#include <belay/room/room_manager.hpp>
#include <belay/sim/world.hpp>

#include "support/catch.hpp"
#include "support/room/served_room.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;
using Recorded = std::vector<std::string>;

namespace {

struct CountingRoomObserver {
    int stopped = 0;
    void on_stopped(std::error_code) { ++stopped; }
};
struct RoomObserverWithManager {
    int* stopped;
    void on_stopped(auto& rooms, std::error_code) { *stopped += rooms.rooms() == 0 ? 1 : 100; }
};

template <class O>
void stop_one(O observer) {
    sim::World world{Seed{1}};
    sim::Host& server = world.host("server");
    RoomManager rooms{MemoryRooms{}, EveryoneEdits{}, RoomOptions{}, std::move(observer)};
    server.attach(rooms);
    rooms.start();
    world.run_for(1s);
    rooms.stop();
    world.run_for(1s);
}

}  // namespace

TEST_CASE("RoomManager accepts observers in all forms", "[room][room_observer][unit]") {
    CountingRoomObserver observer;
    int with = 0;
    stop_one(std::ref(observer));
    stop_one(RoomObserverWithManager{&with});
    stop_one(NoObserver{});
    stop_one(CountingRoomObserver{});
    stop_one(Tee{std::ref(observer), RoomObserverWithManager{&with}});
    CHECK(observer.stopped == 2);
    CHECK(with == 2);
}

TEST_CASE_METHOD(RoomOfOne, "RoomManager notifies of events of rooms and clients, in order",
                 "[room][room_observer][sim]") {
    RoomEditor bob{w, "bob", 2};
    w.dial(bob);
    CHECK(w.rooms().observer().last_joined == w.last_client);
    alice.type("one");
    bob.type("two");
    w.run(1s);
    alice.type("three");
    w.run(4900ms);
    CHECK(w.events == Recorded{"loaded board 0", "joined board alice 1", "joined board bob 2"});
    w.disk.save_takes = 2s;
    w.run(1s);
    CHECK(w.events.back() == "changed board 2");  // once for all
    w.run(3s);
    CHECK(w.events.back() == "saved board 2");
    w.events.clear();
    alice.hang_up();
    w.run(1min);
    w.rooms().remove_client(w.last_client);
    w.run(1s);
    CHECK(w.events == Recorded{"left board alice 1", "left board bob 0"});
    w.run(1h);
    CHECK(w.events.back() == "unloaded board 0");
    CHECK(w.events.size() == 3);
}

TEST_CASE_METHOD(RoomOfOne, "RoomManager: a failed save reports its changes once",
                 "[room][room_observer][sim]") {
    w.events.clear();
    w.disk.fail_saves = 2;
    alice.type("x");
    w.run(1min);
    CHECK(w.events == Recorded{"changed board 1", "saved board 1"});
    w.events.clear();
    // A reload is not reported as an eviction and a load.
    w.disk.fail_flushes = 1;
    RoomEditor bob{w, "bob", 2};
    w.dial(bob);
    bob.type("y");
    w.run(1min);
    CHECK(w.events == Recorded{"joined board bob 2", "left board bob 1"});
}

TEST_CASE("RoomManager: on_left follows each on_joined, and on_unloaded each on_loaded",
          "[room][room_observer][sim]") {
    RoomWorld w;
    RoomEditor alice{w, "alice", 1};
    RoomEditor bob{w, "bob", 2};
    const auto dial_both = [&] {
        w.dial(alice);
        w.dial(bob);
        w.events.clear();
    };
    dial_both();
    w.rooms().erase("board", Completion<PersistenceError>{[](auto) noexcept {}});
    w.run(1s);
    CHECK(w.events == Recorded{"left board bob 1", "left board alice 0", "unloaded board 0"});
    dial_both();
    w.rooms().reset("board", Completion<PersistenceError>{[](auto) noexcept {}});
    w.run(1s);
    CHECK(w.events == Recorded{"left board bob 1", "left board alice 0", "unloaded board 0"});
    // A rejected client is not reported as joined, and a room that failed to load is not reported
    // as evicted.
    w.rights.grants["bob"] = {"bob", Access::none, forever};
    w.disk.fail_loads = 1;
    dial_both();
    CHECK(w.events == Recorded{});
    dial_both();
    alice.type("x");
    w.run(1s);
    w.rooms().stop();
    w.run(1s);
    CHECK(w.events ==
          Recorded{"left board alice 0", "changed board 0", "saved board 0", "unloaded board 0"});
}

TEST_CASE("RoomManager: a hook may destroy the manager", "[room][room_observer][unit]") {
    sim::World world{Seed{1}};
    sim::Host& server = world.host("server");
    struct EndingObserver {
        std::function<void()>* end;
        void on_stopped(std::error_code) { (*end)(); }
    };
    std::function<void()> end;
    using Rooms = RoomManager<MemoryRooms, EveryoneEdits, EndingObserver>;
    auto rooms = std::make_unique<Rooms>(MemoryRooms{}, EveryoneEdits{}, RoomOptions{},
                                         EndingObserver{&end});
    end = [&] { rooms.reset(); };
    server.attach(*rooms);
    rooms->start();
    rooms->stop();
    world.run_for(1s);
    CHECK(rooms == nullptr);
}
