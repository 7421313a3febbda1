// SPDX-License-Identifier: MIT
// Serves a document that several clients edit, over real sockets and real files. A writer changes
// it and a reader receives the change; after a restart of the server another reader receives it.
#include <cstdio>
#include <filesystem>
#include <initializer_list>
#include <string>
#include <string_view>

#include <belay/belay.hpp>
#include <belay/posix.hpp>
#include <belay/posix/journal_rooms.hpp>
#include <belay/room.hpp>

using namespace belay;  // in examples only
using namespace std::chrono_literals;

namespace {

Bytes bytes_of(std::initializer_list<int> values) {
    Bytes bytes;
    for (const int value : values) bytes.push_back(static_cast<std::byte>(value));
    return bytes;
}

/// The observer of the server.
struct Log {
    void on_room_event(const RoomEvent& event) {
        std::printf("%s: %s\n", event.room_id.c_str(), to_string(event.kind).data());
    }
};

/// A client. In a browser, Yjs makes these frames; here they are ready-made.
struct Client {
    Bytes edit;
    std::string received{};

    void on_state(auto& link, const Transition& change) {
        if (change.to.state != LinkState::connected) return;
        static_cast<void>(link.send(bytes_of({0, 0, 1, 0})));  // requests the document
        if (!edit.empty()) static_cast<void>(link.send(edit));
    }
    void on_message(auto&, const Bytes& frame) { received += as_text(frame); }
};

/// Runs the server until a reader has received the text.   Returns: whether it has.
bool serve(const std::string& directory, Client writer) {
    posix::Loop<> loop;
    auto log = posix::Journal::open(directory + "/log", {.verify = Verify::skip_damage});
    if (!log) return std::puts(log.error().message().c_str()), false;
    auto stored = posix::JournalRooms::open(directory + "/rooms", std::move(*log));
    if (!stored) return std::puts(stored.error().message().c_str()), false;
    RoomManager rooms{std::move(*stored), EveryoneEdits{}, Log{}};
    loop.attach(rooms);
    rooms.start();
    const auto accept = [&](posix::Accepted<> client) {
        rooms.accept(std::move(client), YjsProtocol{}, RoomRequest{.room_id = "plan"});
    };
    posix::Listener listener{loop, accept};  // for browsers: beast::Listener, with WebSockets
    if (listener.listen({"127.0.0.1", 0})) return false;

    const posix::Endpoint server{"127.0.0.1", listener.port()};
    const Policy policy{Backoff{FullJitter{}, Cap{1s}, 10ms}, ResetWhenStable{1s}};
    Supervisor writing{posix::Tcp{loop, server}, policy, std::move(writer)};
    Supervisor reading{posix::Tcp{loop, server}, policy, Client{}};
    loop.attach(writing);
    loop.attach(reading);
    writing.start();
    reading.start();
    const auto received = [&] {
        return reading.observer().received.find("at dawn") != std::string::npos;
    };
    const bool ok = loop.run_until(received, 10s) || received();
    std::printf("the reader %s the text\n", ok ? "received" : "lacks");

    rooms.stop();  // closes the clients, and saves the document
    loop.run_until([&] { return rooms.rooms() == 0; }, 10s);
    return ok;
}

}  // namespace

int main() {
    const std::filesystem::path directory =
        std::filesystem::temp_directory_path() / ("belay-rooms-" + std::to_string(entropy()));
    std::filesystem::create_directory(directory);
    // The update that doc.getText('t').insert(0, 'at dawn') of client 7 makes, in a frame of
    // y-websocket.
    const Client writer{
        bytes_of({0, 2, 17, 1, 1, 7, 0, 4, 1, 1, 't', 7, 'a', 't', ' ', 'd', 'a', 'w', 'n', 0})};
    const bool first = serve(directory.string(), writer);
    std::puts("the server restarts");
    const bool second = serve(directory.string(), Client{});
    std::filesystem::remove_all(directory);
    return first && second ? 0 : 1;
}
