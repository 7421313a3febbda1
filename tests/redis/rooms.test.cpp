// SPDX-License-Identifier: MIT
// Goal: redis::Rooms is a storage of rooms and a fan-out whose snapshots cover no unread entry,
// and it reports failures. Method: the check of persistences, and single calls, with a
// redis-server of its own.
#include <belay/redis/rooms.hpp>

#include <chrono>
#include <set>
#include <string>
#include <thread>

#include <belay/room/persistence_check.hpp>
#include <belay/room/shared_persistence_check.hpp>

#include "support/eventually.hpp"
#include "support/redis/proxy.hpp"
#include "support/redis/rooms_rig.hpp"

using namespace belay;
using namespace std::literals;
using namespace belay_test;

static_assert(explain::persistence_like<redis::Rooms>() && BlockingFanoutLike<redis::Rooms>);
static_assert(FanoutLike<OnThread<redis::Rooms>>);
static_assert(std::is_nothrow_move_constructible_v<redis::Rooms> &&
              std::is_nothrow_move_assignable_v<redis::Rooms>);

TEST_CASE("check::persistence finds no fault in redis::Rooms", "[redis][rooms][property]") {
    const RedisServer server;
    int made = 0;
    const auto open = [&] { return redis::Rooms{rooms_at(server, "p" + std::to_string(made))}; };
    const auto fault = check::persistence(
        [&] {
            ++made;
            return open();
        },
        open, {.histories = 12, .steps = 150});
    if (fault)
        FAIL(to_string(fault->rule) << ", history " << fault->history << ", step " << fault->step);
    CHECK(made == 12);
}

TEST_CASE("check::shared_persistence finds no fault in redis::Rooms over lost entries",
          "[redis][rooms][property]") {
    const RedisServer server;
    const auto prefix = [](std::uint64_t history) { return "s" + std::to_string(history); };
    const auto fault = check::shared_persistence(
        [&](std::uint64_t history) { return SharedRooms{rooms_at(server, prefix(history))}; },
        [&](std::uint64_t history) {
            const std::string key = prefix(history) + ":{room}:updates";
            server.command({"EVAL",
                            "local all = redis.call('XRANGE', KEYS[1], '-', '+') "
                            "return redis.call('XDEL', KEYS[1], all[#all][1])",
                            "1", key});
            // After an outage, servers compare what they have read.
            server.command({"CLIENT", "KILL", "TYPE", "pubsub"});
            return true;
        },
        [] { std::this_thread::yield(); }, {.histories = 8, .steps = 60});
    if (fault)
        FAIL(to_string(fault->rule) << ", history " << fault->history << ", step " << fault->step);
}

TEST_CASE_METHOD(TwoRedisRooms,
                 "redis::Rooms: a subscriber receives the changes that other servers append",
                 "[redis][rooms][unit]") {
    CHECK(words_in(load(two)) == "none");
    // The subscription waits, because there is no room yet.
    driver::Question<Result<part::FanoutBatch, PersistenceError>> waiting;
    two.subscribe("board", no_id, 0, waiting.ask());
    begin(one);
    append(one, "a");
    append(one, "b");
    REQUIRE(eventually([&] { return waiting.answered(); }));
    Result<part::FanoutBatch, PersistenceError> batch = *waiting.take();
    REQUIRE(batch);
    CHECK(batch->epoch == some_epoch);
    keep_own(*batch, two);
    std::string all = words_in(batch);
    while (all.size() < 4) {
        batch = receive(two, batch->entries.back().position);
        all += words_in(batch);
    }
    CHECK(all == "a,b,");
    // The other server begins the room, too, and it continues.
    begin(two, other_epoch);
    append(two, "c");
    CHECK(words_in(receive(two, batch->entries.back().position)) == "c*,");
    REQUIRE(load(one));
    CHECK((*load(one))->epoch == some_epoch);
    CHECK(words_in(load(one)) == "|a,b,c,");
    CHECK(server.command({"EXISTS", "belay:{board}:updates"}) == "1");
}

TEST_CASE_METHOD(TwoRedisRooms, "redis::Rooms: a snapshot covers the entries up to its position",
                 "[redis][rooms][unit]") {
    begin(one);
    append(one, "a");
    const std::uint64_t early = (*load(two))->position;
    append(one, "unread");
    append(two, "own");
    CHECK_FALSE(save(two, "[a]", early));
    CHECK(words_in(load(one)) == "[a]|unread,own,");
    const part::LoadedRoom read = load(one);
    const std::uint64_t last = (*read)->position;
    CHECK_FALSE(save(one, "[all]", last));
    CHECK(words_in(load(one)) == "[all]|");
    CHECK(save(two, "[old]", early).code == RoomErrc::stale_snapshot);
    CHECK(save(one, "[beyond]", last + 10'000'000'000).code == RoomErrc::bad_position);
    CHECK(words_in(load(two)) == "[all]|");
    // The entries below the last snapshot but one are removed, and no others.
    CHECK(server.command({"XLEN", "belay:{board}:updates"}) == "2");
    append(one, "b");
    CHECK_FALSE(save(one, "[all,b]", (*load(one))->position));
    CHECK(server.command({"XLEN", "belay:{board}:updates"}) == "1");
}

TEST_CASE_METHOD(TwoRedisRooms, "redis::Rooms: a snapshot does not cover entries of another copy",
                 "[redis][rooms][fault]") {
    const std::uint64_t read = lose_by_failover();
    server.command(
        {"XADD", updates_key, detail::redis_entry_id(read + 1), "s", "other", "n", "", "u", "c"});
    CHECK(save(two, "[a,lost]", read).code == RoomErrc::stale_snapshot);
    CHECK(words_in(load(one)) == "|a,b,c,");
    // The room is compared, and the lost part is restored.
    CHECK(receive(two, read)->state == part::FanoutBatch::State::gap);
}

TEST_CASE_METHOD(TwoRedisRooms, "redis::Rooms: the id of a lost entry is not used again",
                 "[redis][rooms][fault]") {
    begin(one);
    // A replica whose clock is late adds entries in a millisecond that had one before.
    std::set<std::uint64_t> times;
    std::set<std::uint64_t> sequences;
    while (times.size() < 4) {
        const std::uint64_t position = append(one, "a");
        if (times.insert(position >> detail::redis_sequence_bits).second)
            sequences.insert(position & ((1U << detail::redis_sequence_bits) - 1));
    }
    CHECK(sequences.size() > 1);
    // The clock of Redis was ahead: the ids go on after the last entry.
    const std::uint64_t ahead = (*load(one))->position + (std::uint64_t{1} << 40);
    server.command(
        {"XADD", updates_key, detail::redis_entry_id(ahead), "s", "other", "n", "", "u", "b"});
    CHECK(append(one, "c") == ahead + 1);
    CHECK(append(two, "d") == ahead + 2);
}

TEST_CASE("redis::Rooms: missing entries after a position are a gap", "[redis][rooms][fault]") {
    using State = part::FanoutBatch::State;
    const RedisServer server;
    SharedRooms one{rooms_at(server)};
    SharedRooms two{rooms_at(server)};
    begin(one);
    append(one, "a");
    const std::uint64_t read = (*load(two))->position;
    append(one, "b");
    const auto state = [&](std::uint64_t from) {
        const Result<part::FanoutBatch, PersistenceError> batch = receive(two, from);
        REQUIRE(batch);
        return batch->state;
    };
    SECTION("trimmed") {
        CHECK_FALSE(save(one, "ab", (*load(one))->position));
        CHECK(state(read) == State::goes_on);
        append(one, "c");
        CHECK_FALSE(save(one, "abc", (*load(one))->position));
        CHECK(state(read) == State::gap);
    }
    SECTION("the last entry") {
        const std::uint64_t last = (*load(two))->position;
        server.command({"EVAL",
                        "local all = redis.call('XRANGE', KEYS[1], '-', '+') "
                        "return redis.call('XDEL', KEYS[1], all[#all][1])",
                        "1", "belay:{board}:updates"});
        append(two, "c");
        CHECK(state(last) == State::gap);
    }
    SECTION("not entries that a snapshot covers") {
        const std::uint64_t last = (*load(two))->position;
        CHECK_FALSE(save(two, "ab", last));
        server.command({"XTRIM", "belay:{board}:updates", "MAXLEN", "0"});
        append(one, "c");
        CHECK(words_in(receive(two, last)) == "c,");
    }
    SECTION("the own entry, which had not been read back") {
        append(two, "own");
        server.command({"EVAL",
                        "local all = redis.call('XRANGE', KEYS[1], '-', '+') "
                        "return redis.call('XDEL', KEYS[1], all[#all][1])",
                        "1", "belay:{board}:updates"});
        CHECK(state(read) == State::gap);
    }
    SECTION("everything") {
        server.command({"FLUSHALL"});
        CHECK(state(read) == State::gap);
        // A server that could not load it then is notified again.
        CHECK(state(read) == State::gap);
        CHECK(!one.append("board", as_bytes("c")));
        CHECK(flush(one).code == RoomErrc::unknown_room);
    }
    SECTION("everything, and another history has begun") {
        server.command({"FLUSHALL"});
        begin(one, other_epoch);
        CHECK(state(read) == State::gap);
        // It is not restored into an unknown history.
        CHECK(!two.append("board", as_bytes("c")));
        CHECK(flush(two).code == RoomErrc::unknown_room);
    }
    SECTION("on purpose: erased") {
        CHECK_FALSE(one.erase("board"));
        CHECK_FALSE(flush(one));
        CHECK(state(read) == State::over);
        CHECK(words_in(load(two)) == "none");
    }
    SECTION("on purpose: reset") {
        CHECK(!one.reset("board", other_epoch));
        CHECK_FALSE(flush(one));
        CHECK(state(read) == State::over);
    }
}

TEST_CASE("redis::Rooms: an emptied Redis is detected, however busy it is",
          "[redis][rooms][fault]") {
    const RedisServer server;
    redis::RoomsOptions options = rooms_at(server);
    options.command_timeout = 1s;
    SharedRooms rooms{options};
    begin(rooms);
    const std::uint64_t read = (*load(rooms))->position;
    driver::Question<Result<part::FanoutBatch, PersistenceError>> waiting;
    rooms.subscribe("board", no_id, read, waiting.ask());
    driver::Question<Result<part::FanoutBatch, PersistenceError>> noise;
    rooms.subscribe("noise", no_id, 0, noise.ask());
    for (int times = 0; times < 2; ++times) {
        ::poll(nullptr, 0, 50);
        CHECK_FALSE(waiting.answered());
        server.command({"FLUSHALL"});
        REQUIRE(eventually([&] {
            server.command({"PUBLISH", "belay:{noise}:channel", "mnoise"});
            if (noise.answered()) {
                REQUIRE(noise.take());
                rooms.subscribe("noise", no_id, 0, noise.ask());
            }
            return waiting.answered();
        }));
        CHECK((*waiting.take())->state == part::FanoutBatch::State::gap);
        CHECK(words_in(load(rooms)) == "none");
        CHECK(server.command({"EXISTS", "belay:store"}) == "1");
        REQUIRE(!rooms.begin("board", some_epoch, true));
        REQUIRE_FALSE(flush(rooms));
        rooms.subscribe("board", no_id, (*load(rooms))->position, waiting.ask());
    }
}

TEST_CASE("redis::Rooms: a rejected change names its room, and has the room compared",
          "[redis][rooms][fault]") {
    const RedisServer server;
    SharedRooms rooms{rooms_at(server)};
    begin(rooms);
    REQUIRE(!rooms.begin("other", other_epoch, false));
    REQUIRE_FALSE(flush(rooms));
    const std::uint64_t read = (*load(rooms))->position;
    CHECK((*load(rooms, "other"))->epoch == other_epoch);
    driver::Question<Result<part::FanoutBatch, PersistenceError>> waiting;
    rooms.subscribe("board", no_id, read, waiting.ask());
    ::poll(nullptr, 0, 50);
    server.command({"DEL", "belay:{board}:room"});
    CHECK(!rooms.append("board", as_bytes("refused")));
    CHECK(!rooms.append("other", as_bytes("kept")));
    const PersistenceError error = flush(rooms);
    CHECK(error.code == RoomErrc::unknown_room);
    REQUIRE(error.rooms.size() == 1);
    CHECK(error.rooms.front().first == "board");
    CHECK(error.message().find("compares the room") != std::string::npos);
    CHECK(words_in(load(rooms, "other")) == "|kept,");
    REQUIRE(eventually([&] { return waiting.answered(); }));
    CHECK((*waiting.take())->state == part::FanoutBatch::State::gap);
}

TEST_CASE("redis::Rooms: an erased history is not begun again", "[redis][rooms][fault]") {
    const RedisServer server;
    belay_test::RedisProxy proxy{server.socket()};
    redis::RoomsOptions options = rooms_at(server);
    options.socket = proxy.socket();
    SharedRooms one{options};
    SharedRooms two{rooms_at(server)};
    CHECK(words_in(load(one)) == "none");
    SECTION("by the server that began it, and has loaded it since") {
        begin(one);
        CHECK(words_in(load(one)) == "|");
    }
    SECTION("by the server that began it") { begin(one); }
    SECTION("by a server that tried to begin it after another one") {
        begin(two, other_epoch);
        begin(one);
    }
    SECTION("by a server that began it without an answer") {
        proxy.lose_reply_behind(1);
        REQUIRE(!one.begin("board", some_epoch, false));
        CHECK(flush(one).rooms.empty());
        REQUIRE(server.command({"EXISTS", "belay:{board}:room"}) == "1");
    }
    CHECK_FALSE(two.erase("board"));
    REQUIRE_FALSE(flush(two));
    // An outage has ended.
    REQUIRE(eventually([&] {
        return awaited<part::ListedRooms>([&](auto done) { one.list({}, 9, std::move(done)); })
            .has_value();
    }));
    const auto again = [&] {
        REQUIRE(!one.begin("board", some_epoch, true));
        CHECK(!one.append("board", as_bytes("a")));
        return flush(one);
    };
    for (int times = 0; times < 2; ++times) {
        const PersistenceError error = again();
        CHECK(error.code == RoomErrc::history_reset);
        REQUIRE(error.rooms.size() == 1);
        CHECK(error.rooms.front().second == RoomErrc::history_reset);
    }
    // It is not restored into a history that another server has begun since.
    begin(two, other_epoch);
    CHECK(again().code == RoomErrc::history_reset);
    CHECK(words_in(load(two)) == "|");
    // A server without a history may begin one, also with this id: a backup is restored.
    CHECK_FALSE(two.erase("board"));
    REQUIRE_FALSE(flush(two));
    begin(one);
    append(one, "b");
    CHECK(words_in(load(two)) == "|b,");
}

TEST_CASE_METHOD(TwoRedisRooms, "redis::Rooms: an append to an ended history reports history_reset",
                 "[redis][rooms][fault]") {
    begin(one);
    CHECK_FALSE(two.erase("board"));
    REQUIRE_FALSE(flush(two));
    CHECK(!one.append("board", as_bytes("a")));
    CHECK(flush(one).code == RoomErrc::history_reset);
    // The server also gets the end of a history that it has begun and not read yet.
    CHECK(receive(one, 0)->state == part::FanoutBatch::State::over);
}

TEST_CASE("redis::Rooms: entries of other programs are passed on, and bounded",
          "[redis][rooms][fault]") {
    const RedisServer server;
    redis::RoomsOptions options = rooms_at(server);
    options.batch_entries_max = 10;
    options.batch_bytes_max = 100;
    SharedRooms one{options};
    begin(one);
    const std::uint64_t read = (*load(one))->position;
    const std::string key = "belay:{board}:updates";
    server.command({"XADD", key, "*", "x", "y"});
    server.command({"XADD", key, "*", "u", "foreign", "n", "12345678"});
    const Result<part::FanoutBatch, PersistenceError> odd = receive(one, read);
    CHECK(words_in(odd) == ",foreign,");
    for (int i = 0; i < 30; ++i) server.command({"XADD", key, "*", "u", "1"});
    server.command({"XADD", key, "*", "u", std::string(500, 'x')});
    std::vector<std::size_t> sizes;
    std::uint64_t at = odd->entries.back().position;
    while (sizes.size() < 4) {
        const Result<part::FanoutBatch, PersistenceError> some = receive(one, at);
        REQUIRE(some);
        sizes.push_back(some->entries.size());
        at = some->entries.back().position;
    }
    CHECK(sizes == std::vector<std::size_t>{10, 10, 10, 1});
    server.command({"EVAL", "for i = 1, 2000 do redis.call('PUBLISH', KEYS[1], 'm' .. i) end", "1",
                    "belay:{board}:channel"});
    // They have arrived when a later one has.
    std::string last;
    std::size_t received = 0;
    while (last != "2000") {
        const Result<part::FanoutBatch, PersistenceError> some = receive(one, at);
        REQUIRE(some);
        CHECK(some->messages.size() <= 1'000);
        received += some->messages.size();
        if (!some->messages.empty()) last = as_text(some->messages.back());
    }
    CHECK(received <= 2'000);
    // No clock returns this time.
    server.command({"XADD", key, "99999999999999999-1", "u", "late"});
    server.command({"PUBLISH", "belay:{board}:channel", "e"});
    const Result<part::FanoutBatch, PersistenceError> wrong = receive(one, at);
    REQUIRE_FALSE(wrong);
    CHECK(wrong.error().code == redis::Errc::bad_reply);
    CHECK(wrong.error().where == "belay:{board}:room");
    CHECK(one.status().outages == 0);
}

TEST_CASE("redis::Rooms reports the fault of Redis", "[redis][rooms][fault]") {
    RedisServer server{{"--requirepass", "secret"}};
    redis::RoomsOptions options = rooms_at(server);
    SECTION("a password is missing") {
        SharedRooms rooms{options};
        const part::LoadedRoom found = load(rooms);
        REQUIRE_FALSE(found);
        CHECK(found.error().code == redis::Errc::unauthorized);
        CHECK(found.error().message().find("set user and password") != std::string::npos);
        const Result<part::FanoutBatch, PersistenceError> batch = receive(rooms, 0);
        CHECK(batch.error().code == redis::Errc::unauthorized);
    }
    SECTION("a password is wrong") {
        options.password = "wrong";
        SharedRooms rooms{options};
        CHECK(load(rooms).error().code == redis::Errc::unauthorized);
        CHECK(load(rooms).error().message().find("wrong") == std::string::npos);
    }
    SECTION("no server listens") {
        options.password = "secret";
        SharedRooms rooms{options};
        begin(rooms);
        server.kill();
        CHECK_FALSE(load(rooms));
        CHECK(!rooms.append("board", as_bytes("lost")));
        CHECK(flush(rooms));
        CHECK(save(rooms, "lost", 0));
        CHECK_FALSE(
            awaited<part::ListedRooms>([&](auto done) { rooms.list({}, 9, std::move(done)); }));
        server.start();
        // Redis has started again, without its data.
        REQUIRE(eventually([&] { return load(rooms).has_value(); }));
        CHECK(words_in(load(rooms)) == "none");
    }
}

TEST_CASE("redis::Rooms: a frozen Redis is detected, and further calls fail without a second wait",
          "[redis][rooms][fault]") {
    const RedisServer server;
    redis::RoomsOptions options = rooms_at(server);
    options.command_timeout = 1s;
    options.connect_timeout = 1s;
    options.retry_after = 1h;
    SharedRooms rooms{options};
    begin(rooms);
    const std::uint64_t read = (*load(rooms))->position;
    driver::Question<Result<part::FanoutBatch, PersistenceError>> waiting;
    rooms.subscribe("board", no_id, read, waiting.ask());
    // A connection that still dials would report that the dial timed out: the calls and the
    // subscription have loaded and read by then.
    REQUIRE(eventually([&] {
        const std::string clients = server.command({"CLIENT", "LIST"});
        std::size_t evals = 0;
        for (std::size_t at = 0; (at = clients.find("cmd=eval", at)) != clients.npos; ++at) ++evals;
        return evals == 2;
    }));
    server.freeze();
    // No calls are made, except for signs of life.
    REQUIRE(eventually([&] { return waiting.answered(); }));
    CHECK(waiting.take()->error().code == redis::Errc::no_answer);
    CHECK(load(rooms).error().message().find("check that Redis runs") != std::string::npos);
    for (int i = 0; i < 100; ++i) CHECK(load(rooms).error().code == redis::Errc::no_answer);
    server.thaw();
}

TEST_CASE("redis::Rooms: a Redis that is frozen before the first call is reported with advice",
          "[redis][rooms][fault]") {
    const RedisServer server;
    redis::RoomsOptions options = rooms_at(server);
    options.connect_timeout = 100ms;
    SharedRooms rooms{options};
    server.freeze();
    const PersistenceError error = load(rooms).error();
    CHECK(error.code == std::errc::timed_out);
    CHECK(error.message().find("check that Redis runs") != std::string::npos);
    server.thaw();
}

TEST_CASE("redis::Rooms: a subscription is notified once per outage", "[redis][rooms][fault]") {
    RedisServer server;
    SharedRooms rooms{rooms_at(server)};
    begin(rooms);
    std::uint64_t read = (*load(rooms))->position;
    for (int outage = 0; outage < 2; ++outage) {
        driver::Question<Result<part::FanoutBatch, PersistenceError>> waiting;
        rooms.subscribe("board", no_id, read, waiting.ask());
        ::poll(nullptr, 0, 100);
        server.kill();
        REQUIRE(eventually([&] { return waiting.answered(); }));
        CHECK_FALSE(*waiting.take());
        rooms.subscribe("board", no_id, read, waiting.ask());
        ::poll(nullptr, 0, 300);
        CHECK_FALSE(waiting.answered());
        server.start();
        REQUIRE(eventually([&] { return waiting.answered(); }));
        CHECK((*waiting.take())->state == part::FanoutBatch::State::gap);
        CHECK(words_in(load(rooms)) == "none");
        begin(rooms);
        read = (*load(rooms))->position;
    }
}

TEST_CASE("redis::Rooms: room ids with braces and percent signs have keys of their own",
          "[redis][rooms][unit]") {
    std::set<std::string> observed;
    for (const std::string id : {"a", "}a", "{a}", "%7d", "%7da", "{", "}", "%"}) {
        const std::string key = detail::RedisRoomKeys{"belay", id}.room;
        CHECK(observed.insert(key).second);
        CHECK(key.find('}') == key.rfind('}'));
        CHECK(key.find('{') == key.rfind('{'));
        CHECK(key.find('}') > key.find('{') + 1);
    }
    CHECK(detail::RedisRoomKeys{"belay", "{a}"}.room == "belay:{%7ba%7d}:room");
}
