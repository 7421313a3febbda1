// SPDX-License-Identifier: MIT
// The memory of an idle room and client in a RoomManager, and the work for a delivered update. No sockets and no
// storage count: bench/room/servers has whole servers. docs/contributing/performance.md has the command that
// counts instructions.
#include <malloc.h>

#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include <belay/drive/manual_loop.hpp>
#include <belay/room.hpp>

namespace {

using namespace belay;

/// Stores nothing, so that only the memory of the manager counts.
class Nowhere {
public:
    void load(std::string_view, Completion<part::LoadedRoom> d) {
        d(part::LoadedRoom{std::optional<StoredRoom>{}});
    }
    std::error_code append(std::string_view, BytesView) { return {}; }
    std::error_code reset(std::string_view, const Id&) { return {}; }
    std::error_code erase(std::string_view) { return {}; }
    void flush(Completion<part::FlushedRooms> done) { done(part::FlushedRooms{}); }
    void save(std::string_view, std::span<const Bytes>, std::uint64_t,
              Completion<PersistenceError> done) {
        done(PersistenceError{});
    }
    void list(std::string_view, std::size_t, Completion<part::ListedRooms> done) {
        done(part::ListedRooms{std::vector<std::string>{}});
    }
};

/// A client that accepts each frame at once. `out` becomes its way to the manager.
struct Reader {
    using message_type = Bytes;
    struct Connection {
        SendResult send(const Bytes&) noexcept {
            ++*frames;
            return SendResult::sent;
        }
        std::size_t* frames;
    };
    Connection open(const Link<Bytes>& link) {
        static_cast<void>(link.opened());
        *out = link;
        return {frames};
    }
    std::size_t* frames;
    Link<Bytes>* out;
};

/// Time that the program sets.
struct SetClock {
    [[nodiscard]] Instant now() const noexcept { return time; }
    static inline Instant time{std::chrono::hours{1}};
};

/// The token of a request is the name of its user, who may edit.
struct TokenIsName {
    void check(const RoomRequest& request, Completion<Grant> answer) const {
        answer(Grant{request.token, Access::edit, forever});
    }
};

struct Rooms {
    Rooms() {
        loop.attach(manager);
        manager.start();
        loop.poll();
    }
    void pass(Duration time) {
        SetClock::time += time;
        loop.poll();
    }
    ManualLoop<SetClock> loop{SetClock{}};
    RoomManager<Nowhere, TokenIsName> manager{Nowhere{}, TokenIsName{},
                                              RoomOptions{.rooms_max = 20'000}};
};

/// An update that adds letters after the first `clock` letters of one author.
[[nodiscard]] Bytes typed(std::uint64_t clock, std::string_view text) {
    Bytes update{std::byte{1}, std::byte{1}, std::byte{9}};
    yjs::append_varuint(update, clock);
    if (clock == 0) {
        update.insert(update.end(), {std::byte{4}, std::byte{1}});
        yjs::append_varbytes(update, as_bytes("t"));
    } else {
        update.insert(update.end(), {std::byte{0x84}, std::byte{9}});
        yjs::append_varuint(update, clock - 1);
    }
    yjs::append_varbytes(update, as_bytes(text));
    update.push_back(std::byte{0});
    return update;
}

void idle_room(benchmark::State& state) {
    constexpr std::size_t counted = 10'000;
    for (auto _ : state) {
        Rooms rooms;
        std::size_t before = 0;
        for (std::size_t i = 0; i <= counted; ++i) {
            if (i == 1) before = ::mallinfo2().uordblks;
            const std::string board = "room" + std::to_string(i);
            if (!rooms.manager.get_or_create_room(board)) return state.SkipWithError("no room");
            rooms.loop.poll();
            if (rooms.manager.apply_update(board, typed(0, std::string(100, 'x'))))
                return state.SkipWithError("no edit");
            rooms.loop.poll();
        }
        // They are saved, and their edits do not wait any more.
        for (int second = 0; second < 60; ++second) rooms.pass(std::chrono::seconds{1});
        const std::size_t after = ::mallinfo2().uordblks;
        state.counters["bytes_each"] = static_cast<double>(after - before) / counted;
    }
}

/// 10,000 clients in 100 rooms. A client without a name has no share.
void idle_client(benchmark::State& state) {
    constexpr std::size_t counted = 10'000;
    const bool named = state.range(0) != 0;
    for (auto _ : state) {
        Rooms rooms;
        std::size_t frames = 0;
        std::vector<Link<Bytes>> clients(counted + 100);
        std::size_t before = 0;
        for (std::size_t i = 0; i < clients.size(); ++i) {
            if (i == 100) before = ::mallinfo2().uordblks;
            RoomRequest request{.room_id = "room" + std::to_string(i % 100)};
            if (named) request.token = "user number " + std::to_string(i);
            rooms.manager.accept(Reader{&frames, &clients[i]}, YjsProtocol{}, std::move(request));
            rooms.loop.poll();
        }
        rooms.pass(std::chrono::seconds{1});
        const std::size_t after = ::mallinfo2().uordblks;
        if (rooms.manager.counters().joined != clients.size())
            return state.SkipWithError("not joined");
        state.counters["bytes_each"] = static_cast<double>(after - before) / counted;
    }
}

/// One of 100 clients writes `updates` letters, each in a turn of its own.
void delivered(benchmark::State& state) {
    const auto updates = static_cast<std::uint64_t>(state.range(0));
    for (auto _ : state) {
        Rooms rooms;
        std::size_t frames = 0;
        std::vector<Link<Bytes>> clients(100);
        for (Link<Bytes>& client : clients) {
            rooms.manager.accept(Reader{&frames, &client}, YjsProtocol{},
                                 RoomRequest{.room_id = "board"});
            rooms.loop.poll();
        }
        frames = 0;
        for (std::uint64_t i = 0; i < updates; ++i) {
            Bytes frame = YjsProtocol{}.write({part::RoomMessage::Kind::update, typed(i, "x")});
            static_cast<void>(clients.front().received(std::move(frame)));
            rooms.loop.poll();
            if (i % 50 == 0) rooms.pass(std::chrono::milliseconds{100});
        }
        if (frames != updates * (clients.size() - 1)) state.SkipWithError("not delivered");
        state.counters["delivered"] = static_cast<double>(frames);
    }
}

BENCHMARK(idle_room)->Name("room/footprint/idle_room/belay")->Iterations(1);
BENCHMARK(idle_client)
    ->Name("room/footprint/idle_client/belay")
    ->ArgName("named")
    ->Arg(0)
    ->Arg(1)
    ->Iterations(1);
BENCHMARK(delivered)->Name("room/footprint/delivered/belay")->Arg(1000)->Arg(2000)->Iterations(1);

}  // namespace
