// SPDX-License-Identifier: MIT
/// \file tests/support/redis/rooms_rig.hpp
/// The calls of a redis::Rooms as functions that wait for its answers, and the answers as text.
#pragma once

#include <poll.h>

#include <chrono>
#include <cstring>
#include <string>
#include <vector>

#include <belay/redis/rooms.hpp>
#include <belay/room/on_thread.hpp>

#include "support/eventually.hpp"
#include "support/redis/server.hpp"

namespace belay_test {

using namespace belay;

inline constexpr Id some_epoch{std::byte{1}};
inline constexpr Id other_epoch{std::byte{2}};

[[nodiscard]] inline redis::RoomsOptions rooms_at(const RedisServer& server,
                                                  std::string prefix = "belay") {
    redis::RoomsOptions options;
    options.prefix = std::move(prefix);
    options.socket = server.socket();
    options.retry_after = std::chrono::milliseconds{20};
    return options;
}

/// A redis::Rooms as servers use it.
struct SharedRooms : OnThread<redis::Rooms> {
    explicit SharedRooms(const redis::RoomsOptions& options) : OnThread{redis::Rooms{options}} {}
};

/// Waits for the other thread.
template <class V, class Ask>
[[nodiscard]] V awaited(Ask&& ask) {
    driver::Question<V> question;
    ask(question.ask());
    REQUIRE(eventually([&] { return question.answered(); }));
    std::optional<V> answer = question.take();
    REQUIRE(answer);
    return std::move(*answer);
}
[[nodiscard]] inline part::FlushedRooms flushed(SharedRooms& rooms) {
    return awaited<part::FlushedRooms>([&](auto done) { rooms.flush(std::move(done)); });
}
[[nodiscard]] inline PersistenceError flush(SharedRooms& rooms) { return flushed(rooms).error; }
/// An id for the changes of one server.
[[nodiscard]] inline Id server_of(const SharedRooms& rooms) {
    Id id{};
    const auto* const place = &rooms;
    std::memcpy(id.data(), &place, sizeof place);
    return id;
}
[[nodiscard]] inline part::LoadedRoom load(SharedRooms& rooms, std::string_view id = "board") {
    return awaited<part::LoadedRoom>([&](auto done) { rooms.load(id, std::move(done)); });
}
[[nodiscard]] inline PersistenceError save(SharedRooms& rooms, std::string_view snapshot,
                                           std::uint64_t covers) {
    const std::vector<Bytes> parts{to_bytes(snapshot)};
    return awaited<PersistenceError>(
        [&](auto done) { rooms.save("board", parts, covers, std::move(done)); });
}
/// Removes the ids of changes that another server has made.
inline void keep_own(part::FanoutBatch& batch, const SharedRooms& rooms) {
    for (part::FanoutBatch::Entry& entry : batch.entries)
        if (entry.change.server != server_of(rooms)) entry.change = {};
}
[[nodiscard]] inline Result<part::FanoutBatch, PersistenceError> receive(SharedRooms& rooms,
                                                                         std::uint64_t from) {
    auto batch = awaited<Result<part::FanoutBatch, PersistenceError>>(
        [&](auto done) { rooms.subscribe("board", no_id, from, std::move(done)); });
    if (batch) keep_own(*batch, rooms);
    return batch;
}
/// Appends an update.   Returns: its position.
inline std::uint64_t append(SharedRooms& rooms, std::string_view text) {
    REQUIRE_FALSE(rooms.append("board", as_bytes(text), {server_of(rooms), 1}));
    const part::FlushedRooms answer = flushed(rooms);
    INFO(answer.error.message());
    REQUIRE_FALSE(answer.error);
    REQUIRE((answer.positions.size() == 1 && answer.positions.front().first == "board"));
    return answer.positions.front().second;
}
inline void begin(SharedRooms& rooms, const Id& epoch = some_epoch) {
    REQUIRE(!rooms.begin("board", epoch, false));
    REQUIRE_FALSE(flush(rooms));
}
/// "a,b*": the updates; own ones with a star.
[[nodiscard]] inline std::string words_in(
    const Result<part::FanoutBatch, PersistenceError>& batch) {
    REQUIRE(batch);
    std::string text;
    for (const auto& entry : batch->entries) {
        text += as_text(entry.update);
        if (entry.change.server != no_id) text += '*';
        text += ',';
    }
    return text;
}
/// "snapshot|a,b,".
[[nodiscard]] inline std::string words_in(const part::LoadedRoom& found) {
    REQUIRE(found);
    if (!*found) return "none";
    std::string text;
    for (const Bytes& part : (*found)->snapshot) text += as_text(part);
    text += '|';
    for (const Bytes& update : (*found)->updates) text += std::string{as_text(update)} + ',';
    return text;
}

inline const std::string updates_key = "belay:{board}:updates";
inline const std::string room_key = "belay:{board}:room";

[[nodiscard]] inline PersistenceError reset(SharedRooms& rooms, const Id& epoch) {
    REQUIRE(!rooms.reset("board", epoch));
    return flush(rooms);
}
[[nodiscard]] inline PersistenceError erase(SharedRooms& rooms) {
    REQUIRE_FALSE(rooms.erase("board"));
    return flush(rooms);
}
/// Like a server that returns the content that it has.
[[nodiscard]] inline PersistenceError give_back(SharedRooms& rooms, const Id& epoch,
                                                std::string_view text) {
    REQUIRE(!rooms.begin("board", epoch, true));
    REQUIRE(!rooms.append("board", as_bytes(text)));
    return flush(rooms);
}
[[nodiscard]] inline std::string listed(SharedRooms& rooms) {
    const auto ids =
        awaited<part::ListedRooms>([&](auto done) { rooms.list({}, 9, std::move(done)); });
    REQUIRE(ids);
    std::string all;
    for (const std::string& id : *ids) all += id + ',';
    return all;
}
/// Waits until Redis answers again.
inline void back(SharedRooms& rooms) {
    REQUIRE(eventually([&] { return load(rooms, "elsewhere").has_value(); }));
}
inline void lose_last_entry(const RedisServer& server) {
    server.command({"EVAL",
                    "local all = redis.call('XRANGE', KEYS[1], '-', '+') "
                    "return redis.call('XDEL', KEYS[1], all[#all][1])",
                    "1", updates_key});
}

/// Two servers of rooms, and the Redis that they share.
struct TwoRedisRooms {
    const RedisServer server{};
    SharedRooms one{rooms_at(server)};
    SharedRooms two{rooms_at(server)};

    /// The board was begun, and a replica takes over that lacks its last entry, "lost", and whose
    /// clock is a little late: it has "a" and "b".   Returns: the position of the lost entry.
    [[nodiscard]] std::uint64_t lose_by_failover() {
        begin(one);
        const std::uint64_t kept = append(one, "a");
        ::poll(nullptr, 0, 5);
        append(one, "lost");
        const std::uint64_t read = (*load(two))->position;
        server.command(
            {"EVAL",
             "local all = redis.call('XRANGE', KEYS[1], '-', '+') "
             "redis.call('DEL', KEYS[1]) "
             "redis.call('XADD', KEYS[1], all[1][1], unpack(all[1][2])) "
             "return redis.call('XADD', KEYS[1], ARGV[1], 's', 'other', 'n', '', 'u', 'b')",
             "1", updates_key, detail::redis_entry_id(kept + 1)});
        return read;
    }
};

}  // namespace belay_test
