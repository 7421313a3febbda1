// SPDX-License-Identifier: MIT
// Goal: rooms in Redis lose no confirmed change, and restore no erased history, for any loss or
// rejection of Redis, and in any order of notifications. Method: single calls, with a redis-server
// of its own.
#include <belay/redis/rooms.hpp>

#include <chrono>
#include <filesystem>
#include <fstream>

#include "support/eventually.hpp"
#include "support/page.hpp"
#include "support/redis/proxy.hpp"
#include "support/redis/rooms_rig.hpp"

using namespace belay;
using namespace std::literals;
using namespace belay_test;

using State = part::FanoutBatch::State;

namespace {

/// Returns a number that a redis-server has for PING: of calls, or of rejected calls.
std::size_t pings(const std::string& commandstats, const std::string& number) {
    const auto line = commandstats.find("cmdstat_ping:");
    if (line == commandstats.npos) return 0;
    const auto at = commandstats.find(number + "=", line);
    return at < commandstats.find('\n', line)
               ? std::stoul(commandstats.substr(at + number.size() + 1))
               : 0;
}

}  // namespace

TEST_CASE("redis::Rooms needs only the permissions that the page lists",
          "[redis][redis_rooms][unit]") {
    const TemporaryDirectory dir;
    std::ofstream{dir / "users"} << block_of_page("how-to/several-servers.md", "user default")
                                 << "\nuser watcher on nopass -@all +info\n";
    const RedisServer server{{"--aclfile", dir / "users"}};
    redis::RoomsOptions options = rooms_at(server);
    options.user = "rooms";
    options.password = "secret";
    options.command_timeout = 1s;
    SharedRooms rooms{options};
    begin(rooms);
    std::uint64_t read = (*load(rooms))->position;
    append(rooms, "a");
    const Result<part::FanoutBatch, PersistenceError> batch = receive(rooms, read);
    CHECK(words_in(batch) == "a*,");
    read = batch->entries.back().position;
    CHECK_FALSE(save(rooms, "[a]", read));
    CHECK(listed(rooms) == "board,");
    rooms.publish("board", as_bytes("word"));
    CHECK(receive(rooms, read)->messages.size() == 1);
    // A silent Redis gets a PING.
    driver::Question<Result<part::FanoutBatch, PersistenceError>> waiting;
    rooms.subscribe("board", no_id, read, waiting.ask());
    const auto sent = [&] {
        return pings(server.command_of("watcher", {"INFO", "commandstats"}), "calls");
    };
    REQUIRE(eventually([&] { return sent() != 0; }, 10ms));
    append(rooms, "b");
    REQUIRE(eventually([&] { return waiting.answered(); }));
    const Result<part::FanoutBatch, PersistenceError> after = *waiting.take();
    CHECK(words_in(after) == "b*,");
    read = after->entries.back().position;
    REQUIRE_FALSE(reset(rooms, other_epoch));
    REQUIRE_FALSE(erase(rooms));
    CHECK(receive(rooms, read)->state == State::over);
    CHECK(words_in(load(rooms)) == "none");
}

TEST_CASE("redis::Rooms: a room that could not be erased is listed",
          "[redis][redis_rooms][fault]") {
    const RedisServer server;
    RedisProxy proxy{server.socket()};
    redis::RoomsOptions options = rooms_at(server);
    options.socket = proxy.socket();
    SharedRooms one{options};
    begin(one);
    CHECK(listed(one) == "board,");
    SECTION("the connection is lost after each of its commands") {
        const int replies = GENERATE(0, 1, 2);
        proxy.lose_reply_behind(replies);
        CHECK(erase(one));
        back(one);
        CHECK(listed(one) == (words_in(load(one)) == "none" ? "" : "board,"));
    }
    SECTION("without memory it can be erased") {
        server.command({"CONFIG", "SET", "maxmemory", "1"});
        REQUIRE(!one.append("board", as_bytes("a")));
        CHECK(flush(one).code == redis::Errc::out_of_memory);
        CHECK_FALSE(erase(one));
        CHECK(listed(one).empty());
        CHECK(words_in(load(one)) == "none");
    }
    SECTION("another server begins it meanwhile") {
        SharedRooms two{rooms_at(server)};
        CHECK_FALSE(erase(one));
        CHECK(listed(one).empty());
        begin(two, other_epoch);
        CHECK(listed(one) == "board,");
    }
}

TEST_CASE("redis::Rooms: a restored history that another server ended is not begun again",
          "[redis][redis_rooms][fault]") {
    const RedisServer server;
    RedisProxy proxy{server.socket()};
    redis::RoomsOptions options = rooms_at(server);
    options.socket = proxy.socket();
    SharedRooms one{options};
    SharedRooms two{rooms_at(server)};
    begin(one);
    append(one, "a");
    REQUIRE(load(two));
    server.command({"FLUSHALL"});
    CHECK(words_in(load(one)) == "none");
    CHECK(words_in(load(two)) == "none");
    bool erased = false;
    SECTION("without an answer to the server that restored it") {
        proxy.lose_reply_behind(1);
        CHECK(give_back(one, some_epoch, "a").rooms.empty());
        REQUIRE(server.command({"EXISTS", room_key}) == "1");
        back(one);
        SECTION("and it was erased") { erased = !erase(two); }
        SECTION("and it was reset") { REQUIRE_FALSE(reset(two, other_epoch)); }
    }
    SECTION("by the server that restored it") {
        REQUIRE_FALSE(give_back(two, some_epoch, "a"));
        SECTION("and it was erased") { erased = !erase(two); }
        SECTION("and it was reset") { REQUIRE_FALSE(reset(two, other_epoch)); }
    }
    // A server compares the room before it restores its own content.
    const part::LoadedRoom found = load(one);
    REQUIRE(found);
    CHECK(found->has_value() != erased);
    const PersistenceError error = give_back(one, some_epoch, "a");
    CHECK(error.code == RoomErrc::history_reset);
    CHECK(words_in(load(two)) == (erased ? "none" : "|"));
    // A server that restores a backup begins its history. That can be lost, and restored as another
    // one.
    if (!erased) REQUIRE_FALSE(erase(two));
    begin(two);
    server.command({"DEL", room_key});
    CHECK(words_in(load(two)) == "none");
    CHECK_FALSE(give_back(two, some_epoch, "backup"));
    CHECK(words_in(load(one)) == "|backup,");
}

TEST_CASE_METHOD(TwoRedisRooms,
                 "redis::Rooms: a room can be erased or reset also if Redis has just lost it",
                 "[redis][redis_rooms][fault]") {
    begin(one);
    append(one, "a");
    const std::uint64_t read = (*load(two))->position;
    server.command({"FLUSHALL"});
    SECTION("erased") {
        REQUIRE_FALSE(erase(one));
        CHECK(receive(two, read)->state == State::over);
        CHECK(give_back(two, some_epoch, "a").code == RoomErrc::history_reset);
        CHECK(words_in(load(one)) == "none");
    }
    SECTION("reset") {
        REQUIRE_FALSE(reset(one, other_epoch));
        CHECK(receive(two, read)->state == State::over);
        CHECK(give_back(two, some_epoch, "a").code == RoomErrc::history_reset);
        CHECK(words_in(load(one)) == "|");
    }
}

TEST_CASE_METHOD(TwoRedisRooms,
                 "redis::Rooms: a change belongs to the history in which it was made",
                 "[redis][redis_rooms][fault]") {
    const part::ChangeId old{server_of(one), 1, some_epoch};
    SECTION("made before another one was loaded") {
        begin(one);
        REQUIRE(!one.append("board", as_bytes("old"), old));
        REQUIRE_FALSE(reset(two, other_epoch));
        CHECK(words_in(load(one)) == "|");
        const PersistenceError error = flush(one);
        CHECK(error.code == RoomErrc::history_reset);
        CHECK(error.rooms.size() == 1);
    }
    SECTION("of a room that was subscribed, and not loaded") {
        CHECK(words_in(load(one)) == "none");
        begin(two);
        append(two, "a");
        CHECK(words_in(receive(one, 0)) == "a,");
        REQUIRE_FALSE(reset(two, other_epoch));
        REQUIRE(!one.append("board", as_bytes("old"), old));
        CHECK(flush(one).code == RoomErrc::history_reset);
    }
    SECTION("that was not begun, because it had been erased") {
        begin(one);
        REQUIRE_FALSE(reset(two, other_epoch));
        driver::Question<part::FlushedRooms> first;
        REQUIRE(!one.begin("board", some_epoch, true));
        one.flush(first.ask());
        REQUIRE(!one.append("board", as_bytes("old"), old));
        CHECK(words_in(load(one)) == "|");
        CHECK(first.take()->error.code == RoomErrc::history_reset);
        CHECK(flush(one).code == RoomErrc::history_reset);
    }
    CHECK(words_in(load(two)) == "|");
    // The next changes are of the new history.
    REQUIRE(load(one));
    append(one, "new");
    CHECK(words_in(load(two)) == "|new,");
}

TEST_CASE("redis::Rooms: a loss is not hidden by the next change", "[redis][redis_rooms][fault]") {
    const RedisServer server;
    SharedRooms one{rooms_at(server)};
    begin(one);
    const std::uint64_t read = (*load(one))->position;
    append(one, "lost");
    lose_last_entry(server);
    // The change was confirmed, and was not read back yet.
    REQUIRE(!one.append("board", as_bytes("next")));
    CHECK(flush(one).code == RoomErrc::unknown_room);
    CHECK(receive(one, read)->state == State::gap);
    REQUIRE(load(one));
    append(one, "lost");
    CHECK(words_in(load(one)) == "|lost,");
}

TEST_CASE("redis::Rooms: a loss is not hidden by the next snapshot",
          "[redis][redis_rooms][fault]") {
    const RedisServer server;
    SharedRooms one{rooms_at(server)};
    begin(one);
    append(one, "read");
    const std::uint64_t read = (*load(one))->position;
    append(one, "lost");
    lose_last_entry(server);
    // The document contains the change, and the entry that the snapshot would cover exists.
    CHECK(save(one, "[read,lost]", read).code == RoomErrc::stale_snapshot);
    CHECK(receive(one, read)->state == State::gap);
    CHECK(words_in(load(one)) == "|read,");
    CHECK_FALSE(save(one, "[read]", read));
}

TEST_CASE("redis::Rooms: a flush returns the position of its last entry",
          "[redis][redis_rooms][fault]") {
    const RedisServer server;
    SharedRooms one{rooms_at(server)};
    begin(one);
    // These are of other servers, within one millisecond.
    const std::string ms =
        std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(
                           (std::chrono::system_clock::now() + 1h).time_since_epoch())
                           .count());
    server.command({"XADD", updates_key, ms + "-0", "u", "a"});
    const std::uint64_t read = (*load(one))->position;
    server.command({"XADD", updates_key, ms + "-1", "u", "b"});
    const std::uint64_t own = append(one, "own");
    const Result<part::FanoutBatch, PersistenceError> batch = receive(one, read);
    CHECK(words_in(batch) == "b,own*,");
    CHECK(own == batch->entries.back().position);
    CHECK_FALSE(save(one, "[a,b]", batch->entries.front().position));
    CHECK(words_in(load(one)) == "[a,b]|own,");
}

TEST_CASE("redis::Rooms: a single server saves at the positions of its flushes",
          "[redis][redis_rooms][unit]") {
    const RedisServer server;
    SharedRooms alone{rooms_at(server, "alone")};
    begin(alone);
    std::string all;
    for (const char* const text : {"a", "b", "c"}) {
        all += text;
        CHECK_FALSE(save(alone, all, append(alone, text)));
    }
    CHECK(words_in(load(alone)) == "abc|");
}

TEST_CASE_METHOD(TwoRedisRooms,
                 "redis::Rooms: a snapshot of lost entries replaces no entries of Redis",
                 "[redis][redis_rooms][fault]") {
    const std::uint64_t read = lose_by_failover();
    SharedRooms three{rooms_at(server)};
    CHECK_FALSE(save(three, "[a,b]", (*load(three))->position));
    append(three, "c");
    CHECK(save(two, "[a,lost]", read).code == RoomErrc::stale_snapshot);
    CHECK(words_in(load(three)) == "[a,b]|c,");
    // The room is compared, and restored.
    CHECK(receive(two, read)->state == State::gap);
}

TEST_CASE("redis::Rooms leaves a server that has become a replica", "[redis][redis_rooms][fault]") {
    const RedisServer first;
    const RedisServer second;
    // The address leads to the master, like a name.
    const TemporaryDirectory directory;
    const std::string name = directory / "master";
    std::filesystem::create_symlink(first.socket(), name);
    redis::RoomsOptions options = rooms_at(first);
    options.socket = name;
    SharedRooms rooms{options};
    begin(rooms);
    const std::uint64_t read = (*load(rooms))->position;
    driver::Question<Result<part::FanoutBatch, PersistenceError>> waiting;
    rooms.subscribe("board", no_id, read, waiting.ask());
    ::poll(nullptr, 0, 100);
    // Existing connections stay.
    CHECK(first.command({"REPLICAOF", "127.0.0.1", "1"}) == "OK");
    std::filesystem::remove(name);
    std::filesystem::create_symlink(second.socket(), name);
    REQUIRE(!rooms.append("board", as_bytes("refused")));
    CHECK(flush(rooms).code == redis::Errc::read_only);
    CHECK(eventually(
        [&] {
            REQUIRE(!rooms.begin("board", some_epoch, true));
            return !flush(rooms);
        },
        10ms));
    CHECK(second.command({"EXISTS", room_key}) == "1");
    // The subscription gets the reason, and continues on the new master.
    REQUIRE(eventually([&] { return waiting.answered(); }));
    CHECK(waiting.take()->error().code == redis::Errc::read_only);
    rooms.subscribe("board", no_id, read, waiting.ask());
    REQUIRE(eventually([&] { return waiting.answered(); }));
}

TEST_CASE("redis::Rooms: a Redis that cannot save still counts as reachable",
          "[redis][redis_rooms][fault]") {
    const RedisServer server{{"--save", "900 1", "--dbfilename", "taken"}};
    const std::string taken = server.socket().substr(0, server.socket().rfind('/')) + "/taken";
    std::filesystem::create_directories(taken + "/by something");
    redis::RoomsOptions options = rooms_at(server);
    options.command_timeout = 1s;
    SharedRooms rooms{options};
    begin(rooms);
    const std::uint64_t read = (*load(rooms))->position;
    server.command({"BGSAVE"});
    REQUIRE(eventually([&] { return server.command({"SET", "x", "y"}).starts_with("MISCONF"); }));
    REQUIRE(server.command({"PING"}).starts_with("MISCONF"));
    driver::Question<Result<part::FanoutBatch, PersistenceError>> waiting;
    rooms.subscribe("board", no_id, read, waiting.ask());
    REQUIRE(!rooms.append("board", as_bytes("refused")));
    CHECK(flush(rooms).code == redis::Errc::cannot_persist);
    // It gets PINGs meanwhile, and rejects these, too.
    const auto rejected = [&] {
        return pings(server.command({"INFO", "commandstats"}), "rejected_calls");
    };
    const std::size_t before = rejected();
    CHECK(eventually(
        [&] {
            CHECK(load(rooms));
            return rejected() >= before + 2;
        },
        10ms));
    CHECK_FALSE(waiting.answered());
    server.command({"CONFIG", "SET", "stop-writes-on-bgsave-error", "no"});
    append(rooms, "a");
    REQUIRE(eventually([&] { return waiting.answered(); }));
    CHECK(words_in(*waiting.take()) == "a*,");
}

TEST_CASE("redis::Rooms: subscriptions continue after a connection that ended unnoticed",
          "[redis][redis_rooms][fault]") {
    const RedisServer server;
    SharedRooms rooms{rooms_at(server)};
    SharedRooms other{rooms_at(server)};
    begin(rooms);
    const std::uint64_t read = (*load(rooms))->position;
    driver::Question<Result<part::FanoutBatch, PersistenceError>> waiting;
    rooms.subscribe("board", no_id, read, waiting.ask());
    driver::Question<Result<part::FanoutBatch, PersistenceError>> left;
    rooms.subscribe("left", no_id, 0, left.ask());
    ::poll(nullptr, 0, 200);
    // Redis is frozen, and then ends the connection. Meanwhile one room is left, and another one is
    // joined.
    redisContext* const context = redisConnectUnix(server.socket().c_str());
    freeReplyObject(redisCommand(context, "PING"));
    server.freeze();
    redisAppendCommand(context, "CLIENT KILL TYPE pubsub");
    int sent = 0;
    REQUIRE(redisBufferWrite(context, &sent) == REDIS_OK);
    left.drop();
    driver::Question<part::LoadedRoom> loading;
    rooms.load("board", loading.ask());
    driver::Question<Result<part::FanoutBatch, PersistenceError>> fresh;
    rooms.subscribe("fresh", no_id, 0, fresh.ask());
    ::poll(nullptr, 0, 1'200);
    server.thaw();
    redisFree(context);
    REQUIRE(eventually([&] { return loading.answered(); }));
    REQUIRE(load(other));
    append(other, "a");
    // With or without a notification of an outage, it gets the later changes.
    for (int outages = 0;; ++outages) {
        REQUIRE(eventually([&] { return waiting.answered(); }));
        const auto batch = *waiting.take();
        if (batch) {
            CHECK(words_in(batch) == "a*,");
            break;
        }
        REQUIRE(outages < 2);
        rooms.subscribe("board", no_id, read, waiting.ask());
    }
}

TEST_CASE_METHOD(TwoRedisRooms,
                 "redis::Rooms loads no room whose snapshot Redis has removed, until it is saved",
                 "[redis][redis_rooms][fault]") {
    begin(one);
    append(one, "a");
    // A room without a snapshot is complete.
    CHECK(words_in(load(two)) == "|a,");
    std::uint64_t read = (*load(one))->position;
    CHECK_FALSE(save(one, "[a]", read));
    append(one, "b");
    REQUIRE(server.command({"DEL", "belay:{board}:snapshot"}) == "1");
    SharedRooms fresh{rooms_at(server)};
    const PersistenceError error = load(fresh).error();
    CHECK(error.code == RoomErrc::snapshot_missing);
    CHECK(error.message().find("belay:{board}:snapshot") != std::string::npos);
    CHECK(error.message().find("noeviction") != std::string::npos);
    SECTION("by a server that has it") {
        // The server loads the remaining entries, and adds its own content.
        CHECK(words_in(receive(one, read)) == "b*,");
        const auto left = load(one);
        CHECK(words_in(left) == "|b,");
        CHECK_FALSE(save(one, "[a,b]", (*left)->position));
        CHECK(words_in(load(fresh)) == "[a,b]|");
    }
    SECTION("or erased") {
        REQUIRE_FALSE(erase(fresh));
        CHECK(words_in(load(fresh)) == "none");
        begin(fresh, other_epoch);
        CHECK(words_in(load(two)) == "|");
    }
}

TEST_CASE_METHOD(TwoRedisRooms,
                 "redis::Rooms detects the loss of its entry whose id a failover uses again",
                 "[redis][redis_rooms][fault]") {
    begin(one);
    append(one, "a");
    const std::uint64_t before = (*load(one))->position;
    append(one, "lost");
    const std::uint64_t read = (*load(two))->position;
    // The new master had not received the last entry, and assigns its id to another one.
    server.command({"EVAL",
                    "local all = redis.call('XRANGE', KEYS[1], '-', '+') "
                    "redis.call('DEL', KEYS[1]) "
                    "for i = 1, #all - 1 do "
                    "redis.call('XADD', KEYS[1], all[i][1], unpack(all[i][2])) end "
                    "return redis.call('XADD', KEYS[1], all[#all][1], 's', 'other', 'n', '', 'u', "
                    "'b')",
                    "1", updates_key});
    SECTION("when it reads") { CHECK(receive(one, before)->state == State::gap); }
    SECTION("when it appends") {
        REQUIRE(!one.append("board", as_bytes("c")));
        CHECK(flush(one).code == RoomErrc::unknown_room);
        CHECK(words_in(load(two)) == "|a,b,");
    }
    SECTION("and not on a server that has only read the entry") {
        append(two, "c");
        CHECK(words_in(receive(two, read)) == "c*,");
    }
}

TEST_CASE_METHOD(TwoRedisRooms, "redis::Rooms ignores fields that a later version adds to an entry",
                 "[redis][redis_rooms][fault]") {
    begin(one);
    append(one, "a");
    const std::uint64_t read = (*load(two))->position;
    server.command(
        {"XADD", updates_key, "*", "v", "2", "s", "other", "u", "b", "n", "12345678", "w", "more"});
    server.command({"HSET", "belay:{board}:room", "later", "field"});
    CHECK(words_in(receive(two, read)) == "b,");
    CHECK(words_in(load(one)) == "|a,b,");
    append(two, "c");
    CHECK(words_in(load(one)) == "|a,b,c,");
}

TEST_CASE_METHOD(TwoRedisRooms, "redis::Rooms: entries that are dated ahead have the stated bounds",
                 "[redis][redis_rooms][fault]") {
    begin(one);
    append(one, "a");
    const std::string until = "8796093022207";  // the last millisecond of an entry, in 2248
    SECTION("the last number of a millisecond") {
        server.command({"XSETID", updates_key, until + "-1048574"});
        append(one, "last");
        CHECK(words_in(load(two)) == "|a,last,");
        REQUIRE(!one.append("board", as_bytes("beyond")));
        CHECK(flush(one).code == redis::Errc::bad_reply);
        CHECK(load(two).error().code == redis::Errc::bad_reply);
    }
    SECTION("after the last millisecond") {
        const std::string id = "8796093022208-0";
        server.command({"XADD", updates_key, id, "s", "other", "n", "", "u", "b"});
        CHECK(load(two).error().code == redis::Errc::bad_reply);
        SECTION("the recipe of the page") {
            CHECK(server.command({"XDEL", updates_key, id}) == "1");
            CHECK(server.command({"XSETID", updates_key, "8796093022207-0"}) == "OK");
            CHECK(words_in(load(two)) == "|a,");
            append(two, "c");
            CHECK(words_in(load(one)) == "|a,c,");
        }
        SECTION("erased") {
            REQUIRE_FALSE(erase(two));
            REQUIRE(!two.begin("board", other_epoch, false));
            CHECK(flush(two).code == redis::Errc::bad_reply);
        }
        // Other rooms are not affected.
        REQUIRE(!one.begin("other", some_epoch, false));
        CHECK_FALSE(flush(one));
    }
}
