// SPDX-License-Identifier: MIT
// Goal: each hook is heard, with the manager in front or without. Method: observers in all forms.
#include <belay/room/room_observer.hpp>

#include <functional>

#include <belay/core/tee.hpp>
#include <belay/room/memory_rooms.hpp>
#include <belay/room/room_manager.hpp>
#include <belay/sim/world.hpp>

#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;

namespace {

struct CountingRoomEar {
    int stopped = 0;
    void on_stopped(std::error_code) { ++stopped; }
};
struct RoomEarWithRooms {
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

TEST_CASE("RoomManager tells observers in all forms", "[room][room_observer][unit]") {
    CountingRoomEar ear;
    int with = 0;
    stop_one(std::ref(ear));
    stop_one(RoomEarWithRooms{&with});
    stop_one(NoObserver{});
    stop_one(CountingRoomEar{});
    stop_one(Tee{std::ref(ear), RoomEarWithRooms{&with}});
    CHECK(ear.stopped == 2);
    CHECK(with == 2);
}

TEST_CASE("RoomManager: a hook may destroy it", "[room][room_observer][unit]") {
    sim::World world{Seed{1}};
    sim::Host& server = world.host("server");
    struct Ender {
        std::function<void()>* end;
        void on_stopped(std::error_code) { (*end)(); }
    };
    std::function<void()> end;
    using Rooms = RoomManager<MemoryRooms, EveryoneEdits, Ender>;
    auto rooms =
        std::make_unique<Rooms>(MemoryRooms{}, EveryoneEdits{}, RoomOptions{}, Ender{&end});
    end = [&] { rooms.reset(); };
    server.attach(*rooms);
    rooms->start();
    rooms->stop();
    world.run_for(1s);
    CHECK(rooms == nullptr);
}
