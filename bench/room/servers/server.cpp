// SPDX-License-Identifier: MIT
// A server of rooms, beside those of others under node/: everybody may edit.
//   rooms_under_load synced|unsynced|memory DIR
// Boards are kept in a journal that waits for the disk, in one that does not, or in memory. Prints
// "port N"; whoever says something then has free memory given back, and is told so.
#include <malloc.h>

#include <array>
#include <cstdio>
#include <string>

#include <belay/asio/boost.hpp>
#include <belay/beast/listener.hpp>
#include <belay/posix/journal_rooms.hpp>
#include <belay/room.hpp>
#include <belay/room/on_thread.hpp>

#include <boost/asio/posix/stream_descriptor.hpp>

using namespace belay;

namespace {

/// Of limits by address and room: all load comes from one.
beast::ListenerOptions listener_options() {
    beast::ListenerOptions options;
    options.waiting_per_ip_max = 1'000;
    options.connections_per_ip_max = 20'000;
    options.upgrades_per_ip_and_minute = 1'000'000;
    return options;
}

/// Snapshots are no part of what is measured, and deleted content is forgotten, as by the others.
template <class Persistence>
int serve(Persistence persistence) {
    boost::asio::io_context context{1};
    AsioLoop loop{context};
    RoomManager rooms{std::move(persistence), EveryoneEdits{},
                      RoomOptions{.save_after = std::chrono::hours{1},
                                  // All clients have one address.
                                  .clients_per_user_max = no_limit,
                                  .read_rate_max = std::size_t{1} << 30},
                      NoObserver{}, YjsDocument{{.compaction = Compaction::coalesce_and_scrub}}};
    loop.attach(rooms);
    rooms.start();
    beast::Listener listener{loop,
                             [&](beast::Accepted<> client) {
                                 RoomRequest request = room_request(client.request(), "/");
                                 rooms.accept(std::move(client), YjsProtocol{}, std::move(request));
                             },
                             listener_options()};
    if (const auto error = listener.listen({"127.0.0.1", 0})) {
        return std::fprintf(stderr, "127.0.0.1: %s\n", error.message().c_str()), 1;
    }
    std::printf("port %d\n", listener.port());
    std::fflush(stdout);

    boost::asio::posix::stream_descriptor in{context, 0};
    std::array<char, 64> output{};
    const auto read = [&](const auto& again) -> void {
        in.async_read_some(boost::asio::buffer(output), [&, again](const auto& error, std::size_t) {
            if (error) return context.stop();
            ::malloc_trim(0);
            std::puts("tidied");
            std::fflush(stdout);
            again(again);
        });
    };
    read(read);
    context.run();
    return 0;
}

int serve_files(const std::string& directory, Flush flush) {
    auto log = posix::Journal::open(directory + "/log", {.flush = flush});
    if (!log) return std::fprintf(stderr, "%s\n", log.error().message().c_str()), 1;
    auto rooms = posix::JournalRooms::open(directory + "/boards", std::move(*log));
    if (!rooms) return std::fprintf(stderr, "%s\n", rooms.error().message().c_str()), 1;
    return serve(OnThread{std::move(*rooms)});
}

}  // namespace

int main(int count, char** arguments) {
    const std::string store = count == 3 ? arguments[1] : "";
    if (store == "memory") return serve(MemoryRooms{});
    if (store == "unsynced") return serve_files(arguments[2], Flush::none);
    if (store == "synced") return serve_files(arguments[2], Flush::group);
    return std::fputs("usage: rooms_under_load synced|unsynced|memory DIR\n", stderr), 2;
}
