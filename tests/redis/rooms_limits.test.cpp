// SPDX-License-Identifier: MIT
// Goal: no room, client or reply uses the resources of the other rooms of a redis::Rooms. Method:
// changes and messages that wait, long streams, and a proxy.
#include <belay/redis/rooms.hpp>

#include <atomic>
#include <chrono>
#include <string>

#include "support/eventually.hpp"
#include "support/redis/proxy.hpp"
#include "support/redis/rooms_rig.hpp"

using namespace belay;
using namespace std::literals;
using namespace belay_test;

namespace {

/// Adds entries to the stream of "board", in one step.
void add_entries(const RedisServer& server, int count, std::size_t bytes) {
    server.command({"EVAL",
                    "for i = 1, ARGV[1] do "
                    "redis.call('XADD', KEYS[1], '*', 's', 'other', 'n', '', 'u', i .. ARGV[2]) "
                    "end",
                    "1", updates_key, std::to_string(count), std::string(bytes, 'x')});
}
/// A number in the answer to INFO; 0 if it is missing.
unsigned long redis_number(const RedisServer& server, const char* section,
                           const std::string& name) {
    const std::string all = server.command({"INFO", section});
    const std::size_t at = all.find(name);
    return at == all.npos ? 0 : std::stoul(all.substr(at + name.size()));
}

}  // namespace

TEST_CASE("redis::Rooms: the changes that wait for their flush are bounded",
          "[redis][redis_rooms][fault]") {
    const RedisServer server;
    redis::RoomsOptions options = rooms_at(server);
    options.unflushed_bytes_max = 1000;
    redis::Rooms rooms{options};
    CHECK(rooms.append("board", Bytes(1000)) == RoomErrc::storage_busy);
    CHECK(!rooms.append("board", Bytes(500)));
    CHECK(rooms.append("other", Bytes(500)) == RoomErrc::storage_busy);
    driver::Question<part::FlushedRooms> flushing;
    rooms.flush(flushing.ask());
    CHECK(flushing.take()->error.code == RoomErrc::unknown_room);
    CHECK(!rooms.append("other", Bytes(500)));
}

TEST_CASE("redis::Rooms skips a save whose caller has given up", "[redis][redis_rooms][fault]") {
    const RedisServer server;
    SharedRooms rooms{rooms_at(server)};
    begin(rooms);
    append(rooms, "a");
    const std::uint64_t read = (*load(rooms))->position;
    server.freeze();
    // The thread waits for this answer meanwhile.
    driver::Question<Result<std::optional<StoredRoom>, PersistenceError>> loading;
    rooms.load("board", loading.ask());
    driver::Question<PersistenceError> saving;
    const std::vector<Bytes> snapshot{to_bytes("[a]")};
    rooms.save("board", snapshot, read, saving.ask());
    saving.drop();
    server.thaw();
    CHECK(words_in(load(rooms)) == "|a,");
}

TEST_CASE("redis::Rooms: messages that wait are published together",
          "[redis][redis_rooms][fault]") {
    const RedisServer server;
    const auto published = [&] {
        return redis_number(server, "commandstats", "cmdstat_publish:calls=");
    };
    const auto read_events = [&] {
        return redis_number(server, "stats", "total_reads_processed:");
    };
    SharedRooms rooms{rooms_at(server)};
    const unsigned long before = read_events();
    server.freeze();
    const unsigned long count = 5'000;
    for (unsigned long i = 0; i < count; ++i)
        rooms.publish("room " + std::to_string(i % 10), as_bytes(std::to_string(i)));
    server.thaw();
    REQUIRE(eventually([&] { return published() >= count; }));
    CHECK(published() == count);
    // Each `published` is a connection.
    CHECK(read_events() - before < count / 2);
}

TEST_CASE("redis::Rooms publishes the messages that wait when it ends",
          "[redis][redis_rooms][unit]") {
    const RedisServer server;
    const unsigned long count = 1'000;
    {
        SharedRooms rooms{rooms_at(server)};
        for (unsigned long i = 0; i < count; ++i)
            rooms.publish("room " + std::to_string(i % 2), as_bytes(std::to_string(i)));
    }
    CHECK(redis_number(server, "commandstats", "cmdstat_publish:calls=") == count);
}

TEST_CASE("UnpublishedMessages keeps the last message about a client, within its limits",
          "[redis][redis_rooms][unit]") {
    detail::UnpublishedMessages messages{{3, 200, 5, 1'000'000}};
    using Kind = detail::PeerMessage::Kind;
    const auto about = [](std::uint64_t client, std::string_view state, Kind kind = Kind::state) {
        return encode(detail::PeerMessage{
            .kind = kind, .client = client, .user = {}, .awareness = as_bytes(state)});
    };
    const auto taken = [&] {
        std::string all;
        for (const part::PublishedMessage& message : messages.take()) {
            const auto peer = detail::decode_peer_message(message.bytes);
            all += message.id + ':';
            all += peer ? std::to_string(peer->client) + std::string{as_text(peer->awareness)}
                        : std::string{as_text(message.bytes)};
            all += ' ';
        }
        return all;
    };
    SECTION("in the place of the previous one") {
        messages.push("a", about(1, "old"));
        messages.push("a", about(2, "x"));
        messages.push("b", about(1, "other room"));
        messages.push("a", about(1, "new"));
        messages.push("b", about(1, "", Kind::left));
        CHECK(taken() == "a:1new b:1 a:2x ");
        CHECK(messages.empty());
    }
    SECTION("a client that leaves comes last") {
        // Client 2 has taken over the id of client 1.
        messages.push("a", about(1, "renewed"));
        messages.push("a", about(2, "taken"));
        messages.push("a", about(1, "", Kind::left));
        CHECK(taken() == "a:2taken a:1 ");
        messages.push("a", about(1, "", Kind::left));
        messages.push("a", about(2, "x"));
        messages.push("a", about(1, "back"));
        CHECK(taken() == "a:2x a:1back ");
        CHECK(messages.empty());
    }
    SECTION("a departure is not dropped for states") {
        messages.push("a", about(9, "old"));
        messages.push("a", about(8, "", Kind::left));
        for (std::uint64_t client = 1; client <= 4; ++client) messages.push("a", about(client, ""));
        messages.push("b", about(1, ""));
        messages.push("b", about(2, ""));
        messages.push("b", about(3, "too many"));
        messages.push("b", about(2, "", Kind::left));
        messages.push("c", about(1, "", Kind::left));
        messages.push("d", about(1, "one has left, so there is space"));
        CHECK(taken() == "a:8 b:1 c:1 d:1one has left, so there is space a:2 b:2 a:3 a:4 ");
        CHECK(messages.empty());
    }
    SECTION("departures have limits, too") {
        for (std::uint64_t client = 1; client <= 4; ++client)
            messages.push("a", about(client, "", Kind::left));
        for (std::uint64_t client = 1; client <= 4; ++client)
            messages.push("b", about(client, "", Kind::left));
        CHECK(taken() == "a:2 b:1 a:3 b:2 a:4 ");
    }
    SECTION("a longer state that does not fit leaves no older one") {
        messages.push("a", about(1, "old"));
        messages.push("a", about(1, std::string(200, 'x')));
        CHECK(taken().empty());
        CHECK(messages.empty());
    }
    SECTION("messages about no client stay") {
        messages.push("a", about(0, "", Kind::query));
        messages.push("a", about(0, "x"));
        messages.push("a", as_bytes("any"));
        CHECK(taken() == "a:0 a:0x a:any ");
    }
    SECTION("the oldest of the room is dropped") {
        messages.push("b", as_bytes("b"));
        for (const char* const text : {"1", "2", "3", "4"}) messages.push("a", as_bytes(text));
        CHECK(taken() == "b:b a:2 a:3 a:4 ");
        messages.push("a", Bytes(150));
        messages.push("a", as_bytes("x"));
        messages.push("a", Bytes(201));
        messages.push("a", Bytes(200, std::byte{'y'}));
        CHECK(taken() == "a:" + std::string(200, 'y') + ' ');
    }
    SECTION("above the limits of all rooms, the new one is dropped") {
        for (const char* const room : {"a", "b", "c", "d", "e", "f"})
            messages.push(room, as_bytes("x"));
        CHECK(taken() == "a:x b:x c:x d:x e:x ");
        CHECK(messages.empty());
        messages.push("f", as_bytes("y"));
        CHECK(taken() == "f:y ");
    }
}

TEST_CASE("redis::Rooms: a reply that is too long is an error of its room, and no outage",
          "[redis][redis_rooms][fault]") {
    const RedisServer server;
    belay_test::RedisProxy proxy{server.socket()};
    redis::RoomsOptions options = rooms_at(server);
    options.socket = proxy.socket();
    options.reply_bytes_max = 1;
    options.command_timeout = 15min;
    options.retry_after = 1h;
    SharedRooms rooms{options};
    begin(rooms);
    proxy.next(RedisProxy::Fault::endless_reply);
    const PersistenceError error = load(rooms, "other").error();
    CHECK(error.code == redis::Errc::reply_too_long);
    CHECK(error.message().find("other rooms are not affected") != std::string::npos);
    // A call during an outage would fail for an hour.
    append(rooms, "a");
    CHECK(words_in(load(rooms)) == "|a,");
}

TEST_CASE("redis::Rooms loads a long stream in steps", "[redis][redis_rooms][fault]") {
    const RedisServer server;
    belay_test::RedisProxy proxy{server.socket()};
    redis::RoomsOptions options = rooms_at(server);
    options.socket = proxy.socket();
    redis::RoomsOptions patient = rooms_at(server);
    patient.command_timeout = 15min;
    SharedRooms other{patient};
    SharedRooms rooms{options};
    begin(rooms);
    const auto saved = [&](std::string_view snapshot) {
        CHECK_FALSE(save(other, snapshot, (*load(other))->position));
    };
    SECTION("of many entries") {
        add_entries(server, 10'000, 1);
        const auto found = load(rooms);
        REQUIRE(found);
        REQUIRE((*found)->updates.size() == 10'000);
        CHECK(as_text((*found)->updates[0]) == "1x");
        CHECK(as_text((*found)->updates[4096]) == "4097x");
        CHECK(as_text((*found)->updates.back()) == "10000x");
        CHECK(words_in(receive(other, (*found)->position - 1)) == "10000x,");
    }
    SECTION("of long entries") {
        add_entries(server, 2, std::size_t{9} << 20);
        const unsigned long before = redis_number(server, "commandstats", "cmdstat_eval:calls=");
        const auto found = load(other);
        REQUIRE(found);
        REQUIRE((*found)->updates.size() == 2);
        CHECK(as_text((*found)->updates.back()).starts_with("2x"));
        CHECK(redis_number(server, "commandstats", "cmdstat_eval:calls=") == before + 2);
    }
    SECTION("that grows between two steps") {
        add_entries(server, 5'000, 1);
        proxy.call_before_next_reply([&] { append(other, "late"); });
        const auto found = load(rooms);
        REQUIRE(found);
        REQUIRE((*found)->updates.size() == 5'001);
        CHECK(as_text((*found)->updates.back()) == "late");
    }
    SECTION("that a save trims between two steps") {
        add_entries(server, 5'000, 1);
        proxy.call_before_next_reply([&] {
            saved("[all]");
            append(other, "b");
            saved("[all,b]");
            append(other, "c");
        });
        CHECK(words_in(load(rooms)) == "[all,b]|c,");
    }
    SECTION("whose history ends between two steps") {
        add_entries(server, 5'000, 1);
        proxy.call_before_next_reply([&] {
            CHECK_FALSE(reset(other, other_epoch));
            add_entries(server, 2, 1);
        });
        const auto found = load(rooms);
        CHECK(words_in(found) == "|1x,2x,");
        CHECK((*found)->epoch == other_epoch);
    }
    SECTION("that is erased between two steps") {
        add_entries(server, 5'000, 1);
        proxy.call_before_next_reply([&] { CHECK_FALSE(erase(other)); });
        CHECK(words_in(load(rooms)) == "none");
    }
}

TEST_CASE("redis::Rooms: Redis reads few long entries for one answer to a subscription",
          "[redis][redis_rooms][fault]") {
    const RedisServer server;
    SharedRooms rooms{rooms_at(server)};
    begin(rooms);
    const std::uint64_t read = (*load(rooms))->position;
    add_entries(server, 40, std::size_t{600} << 10);
    const unsigned long used = redis_number(server, "memory", "used_memory:");
    const Result<part::FanoutBatch, PersistenceError> some = receive(rooms, read);
    REQUIRE(some);
    CHECK(some->entries.size() == 1);
    CHECK(redis_number(server, "memory", "used_memory_peak:") - used < std::size_t{15} << 20);
}

static_assert(detail::HasRoomsToSave<redis::Rooms>);

TEST_CASE("redis::Rooms: a room to which much was added since its last save must be saved",
          "[redis][redis_rooms][unit]") {
    const RedisServer server;
    redis::RoomsOptions options = rooms_at(server);
    options.uncovered_bytes_max = 10;
    SharedRooms rooms{options};
    begin(rooms);
    append(rooms, "1234567890");
    CHECK(rooms.rooms_to_save().empty());
    REQUIRE(!rooms.append("board", as_bytes("1")));
    CHECK(rooms.rooms_to_save().empty());
    REQUIRE_FALSE(flush(rooms));
    CHECK(rooms.rooms_to_save() == std::vector<std::string>{"board"});
    CHECK_FALSE(save(rooms, "[all]", (*load(rooms))->position));
    CHECK(rooms.rooms_to_save().empty());
    append(rooms, "1");
    CHECK(rooms.rooms_to_save().empty());
    append(rooms, "1234567890");
    CHECK(rooms.rooms_to_save() == std::vector<std::string>{"board"});
    // Redis rejects the save, and the manager decides when it tries again.
    CHECK(save(rooms, "[old]", 0).code == RoomErrc::stale_snapshot);
    CHECK(rooms.rooms_to_save().empty());
}

TEST_CASE("redis::Rooms: a room whose history another server ends need not be saved",
          "[redis][redis_rooms][unit]") {
    const RedisServer server;
    redis::RoomsOptions options = rooms_at(server);
    options.uncovered_bytes_max = 10;
    SharedRooms rooms{options};
    SharedRooms other{options};
    const std::vector<std::string> board{"board"};
    begin(rooms);
    const std::uint64_t from = (*load(rooms))->position;
    append(rooms, "12345678901");
    REQUIRE(rooms.rooms_to_save() == board);
    REQUIRE(load(other));
    SECTION("a subscription reports the erase") {
        CHECK(words_in(receive(rooms, from)) == "12345678901*,");
        REQUIRE_FALSE(erase(other));
        const auto end = receive(rooms, from);
        REQUIRE(end);
        CHECK(end->state == part::FanoutBatch::State::over);
        CHECK(rooms.rooms_to_save().empty());
    }
    SECTION("a load finds no room") {
        REQUIRE_FALSE(erase(other));
        CHECK(words_in(load(rooms)) == "none");
        CHECK(rooms.rooms_to_save().empty());
    }
    SECTION("a load finds another history") {
        REQUIRE_FALSE(reset(other, other_epoch));
        append(other, "new");
        CHECK(words_in(load(rooms)) == "|new,");
        CHECK(rooms.rooms_to_save().empty());
    }
    SECTION("a load finds the history") {
        CHECK(words_in(load(rooms)) == "|12345678901,");
        CHECK(rooms.rooms_to_save() == board);
    }
    SECTION("a subscription to the history before reports its end") {
        CHECK(words_in(receive(rooms, from)) == "12345678901*,");
        REQUIRE_FALSE(reset(rooms, other_epoch));
        CHECK(rooms.rooms_to_save().empty());
        append(rooms, "12345678901");
        CHECK(receive(rooms, from)->state == part::FanoutBatch::State::over);
        CHECK(rooms.rooms_to_save() == board);
    }
}

TEST_CASE("redis::Rooms: only stored changes can be the reason to save a room",
          "[redis][redis_rooms][fault]") {
    const RedisServer server;
    redis::RoomsOptions options = rooms_at(server);
    options.uncovered_bytes_max = 10;
    SharedRooms rooms{options};
    begin(rooms);
    const std::vector<std::string> board{"board"};
    SECTION("Redis refuses an append") {
        SharedRooms other{options};
        REQUIRE(load(other));
        REQUIRE_FALSE(erase(other));
        REQUIRE(!rooms.append("board", as_bytes("12345678901")));
        CHECK(flush(rooms).code == RoomErrc::history_reset);
        CHECK(rooms.rooms_to_save().empty());
    }
    SECTION("Redis refuses an append to another room") {
        REQUIRE(!rooms.append("board", as_bytes("12345678901")));
        REQUIRE(!rooms.append("none", as_bytes("12345678901")));
        CHECK(flush(rooms).code == RoomErrc::unknown_room);
        CHECK(rooms.rooms_to_save() == board);
    }
    SECTION("Redis refuses to erase the room") {
        append(rooms, "12345678901");
        REQUIRE(server.command({"ACL", "SETUSER", "default", "-del"}) == "OK");
        CHECK(erase(rooms));
        CHECK(rooms.rooms_to_save() == board);
        REQUIRE(server.command({"ACL", "SETUSER", "default", "+del"}) == "OK");
        CHECK_FALSE(erase(rooms));
        CHECK(rooms.rooms_to_save().empty());
    }
    SECTION("Redis refuses to begin another history") {
        append(rooms, "12345678901");
        REQUIRE(server.command({"ACL", "SETUSER", "default", "-del"}) == "OK");
        CHECK(reset(rooms, other_epoch));
        CHECK(rooms.rooms_to_save() == board);
    }
}

TEST_CASE("redis::Rooms lists many rooms in few round trips", "[redis][redis_rooms][unit]") {
    const RedisServer server;
    SharedRooms rooms{rooms_at(server)};
    const int count = 300;
    for (int i = 0; i < count; ++i)
        REQUIRE(!rooms.begin(std::to_string(1000 + i), some_epoch, false));
    REQUIRE_FALSE(flush(rooms));
    // The room is listed, and lost.
    server.command({"DEL", "belay:{1007}:room"});
    const unsigned long before = redis_number(server, "stats", "total_reads_processed:");
    const auto listed_after = [&](std::string_view after, std::size_t most) {
        const auto ids = awaited<Result<std::vector<std::string>, PersistenceError>>(
            [&](auto done) { rooms.list(after, most, std::move(done)); });
        REQUIRE(ids);
        return *ids;
    };
    CHECK(listed_after({}, 5'000).size() == count - 1);
    CHECK(listed_after("1004", 4) == std::vector<std::string>{"1005", "1006", "1008", "1009"});
    CHECK(listed_after("1297", 4) == std::vector<std::string>{"1298", "1299"});
    CHECK(listed_after("1299", 4).empty());
    CHECK(redis_number(server, "stats", "total_reads_processed:") - before < 20);
}

TEST_CASE("redis::Rooms: a subscription with much to read answers a few rooms at a time",
          "[redis][redis_rooms][fault]") {
    constexpr std::size_t count = 200;
    const RedisServer server;
    redis::Rooms rooms{rooms_at(server)};
    part::RoomReaders readers;
    std::set<std::string> all;
    for (std::size_t i = 0; i < count; ++i) {
        REQUIRE(!rooms.begin(std::to_string(i), some_epoch, false));
        readers.try_emplace(std::to_string(i));
        all.insert(std::to_string(i));
    }
    driver::Question<part::FlushedRooms> flushing;
    rooms.flush(flushing.ask());
    REQUIRE_FALSE(flushing.take()->error);
    auto waits = rooms.subscription();
    const auto calls = [&] { return redis_number(server, "commandstats", "cmdstat_eval:calls="); };
    const unsigned long before = calls();
    part::ReadRooms found = waits.wait(readers, all, 1ms);
    // All entries have been read, and the loss of all is detected at once.
    REQUIRE(eventually([&] {
        if (found && found->empty()) found = waits.wait(readers, {}, 1ms);
        return calls() > before + count;
    }));
    REQUIRE((found && found->empty()));
    server.command({"FLUSHALL"});
    // A message to publish waits for one answer only.
    REQUIRE(eventually([&] {
        found = waits.wait(readers, {}, 1ms);
        REQUIRE(found);
        CHECK(found->size() < count / 4);
        for (const auto& [id, batch] : *found) {
            CHECK(batch.state == part::FanoutBatch::State::gap);
            CHECK(readers.erase(id) == 1);
        }
        return readers.empty();
    }));
}

TEST_CASE("redis::Rooms: an edit enters no later history after its subscription has ended",
          "[redis][redis_rooms][unit]") {
    const RedisServer server;
    SharedRooms rooms{rooms_at(server)};
    SharedRooms other{rooms_at(server)};
    begin(rooms);
    driver::Question<Result<part::FanoutBatch, PersistenceError>> waiting;
    rooms.subscribe("board", no_id, (*load(rooms))->position, waiting.ask());
    const auto subscribed = [&] {
        return server.command({"PUBSUB", "CHANNELS"}).find("board") != std::string::npos;
    };
    REQUIRE(eventually(subscribed));
    // This is the state of a room that is in use, and waits until it is loaded again.
    waiting.drop();
    REQUIRE(eventually([&] { return !subscribed(); }));
    static_cast<void>(load(rooms, "none"));  // one more turn of the thread
    CHECK_FALSE(reset(other, other_epoch));
    REQUIRE(!rooms.append("board", as_bytes("former")));
    CHECK(flush(rooms).code == RoomErrc::history_reset);
    CHECK(words_in(load(other)) == "|");
}

TEST_CASE("RedisRoomLogs remembers no room that does not exist", "[redis][redis_rooms][unit]") {
    detail::RedisRoomLogs logs{1};
    logs.loaded("none", {});
    redis::RoomsStatus status;
    logs.count(status);
    CHECK(status.rooms_known == 0);
}
