// SPDX-License-Identifier: MIT
#include <cstdio>
#include <cstdlib>
#include <span>

#include <belay/redis/rooms.hpp>
#include <belay/posix/loop.hpp>
#include <belay/room/on_thread.hpp>
#include <belay/room/room_manager.hpp>

struct App {
    void on_room_failed(const belay::RoomFailure& f) { std::printf("%s: %s\n", f.room_id.c_str(), f.error.message().c_str()); }
};

// excerpt: begin
using Rooms = belay::RoomManager<belay::OnThread<belay::redis::Rooms>, belay::EveryoneEdits, App>;
// excerpt: end

int main() {
    belay::redis::RoomsOptions redis;  // 127.0.0.1:6379, no password
    if (const char* const socket = std::getenv("REDIS_SOCKET")) redis.socket = socket;

    // Elsewhere they are two processes, on two machines.
    belay::posix::Loop loop;
    // excerpt: begin
    Rooms here{belay::OnThread{belay::redis::Rooms{redis}}, belay::EveryoneEdits{}};
    Rooms there{belay::OnThread{belay::redis::Rooms{redis}}, belay::EveryoneEdits{}};
    // excerpt: end
    for (Rooms* const rooms : {&here, &there}) {
        loop.attach(*rooms);
        rooms->start();
        if (!rooms->get_or_create_room("board")) return 1;
        loop.run_until([&] { return rooms->stats("board")->loaded; });
    }

    constexpr unsigned char typed[] = {1, 1, 7, 0, 4, 1, 1, 't', 2, 'h', 'i', 0};  // "hi", as Yjs writes it
    if (here.apply_update("board", std::as_bytes(std::span{typed}))) return 1;
    loop.run_until([&] { return !there.get_state("board")->empty(); });
    const auto seen = *there.get_state("board");
    std::printf("seen there: %zu bytes\n", seen.front().size());
}
