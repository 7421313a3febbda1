// SPDX-License-Identifier: MIT
// Goal: clients of two servers have one document if either server is killed, and if Redis is
// restarted with its data and without, emptied, trimmed, or frozen. Method: real processes.
#include <belay/redis/rooms.hpp>

#include "support/redis/room_process.hpp"
#include "support/redis/server.hpp"

using namespace belay;
using namespace std::literals;
using belay_test::RedisServer;
using belay_test::RoomProcess;
using belay_test::TcpEditor;

namespace {

redis::RoomsOptions quick(const RedisServer& redis) {
    redis::RoomsOptions options;
    options.socket = redis.socket();
    options.retry_after = 20ms;
    options.connect_timeout = 1s;
    options.command_timeout = 1s;
    return options;
}

/// Two servers, with a client each.
struct TwoServers {
    explicit TwoServers(RedisServer::Settings settings = {}) : redis{std::move(settings)} {
        ann.dial(one->port());
        bob.dial(two->port());
        until([&] { return ann.synced && bob.synced; });
    }
    /// Waits until `holds()`. If it never holds, the test's own time limit ends it.
    template <class F>
    void until(F&& holds) {
        REQUIRE(loop.run_until([&] {
            loop.after(1ms, [] {});
            return holds();
        }));
    }
    /// Dials again, like the client of Yjs, until `holds()`.
    template <class F>
    void editing_until(F&& holds) {
        until([&] {
            if (!ann.online()) ann.dial(one->port());
            if (!bob.online()) bob.dial(two->port());
            return holds();
        });
    }
    /// Both type, and see the edits of each other.
    void both_edit() {
        const Bytes a = ann.type("a");
        const Bytes b = bob.type("b");
        editing_until([&] { return ann.has(b) && bob.has(a); });
        CHECK(ann.document() == bob.document());
    }
    /// Both servers are replaced, and the new ones have loaded the stored room.
    void begin_again() {
        for (RoomProcess* const old : {&*one, &*two}) old->kill();
        until([&] { return !ann.online() && !bob.online(); });
        one.emplace(quick(redis));
        two.emplace(quick(redis));
        ann.dial(one->port());
        bob.dial(two->port());
        until([&] { return ann.synced && bob.synced; });
    }
    /// The number of scripts that Redis has run, of all servers.
    [[nodiscard]] std::size_t scripts() const {
        const std::string all = redis.command({"INFO", "commandstats"});
        const std::string name = "cmdstat_eval:calls=";
        const auto at = all.find(name);
        return at == all.npos ? 0 : std::stoul(all.substr(at + name.size()));
    }
    /// The text that a client reads from a new server.
    void new_server_agrees() {
        RoomProcess three{quick(redis)};
        TcpEditor cid{loop, 3};
        cid.dial(three.port());
        until([&] { return cid.synced && cid.document() == ann.document(); });
    }

    RedisServer redis;
    std::optional<RoomProcess> one{std::in_place, quick(redis)};
    std::optional<RoomProcess> two{std::in_place, quick(redis)};
    posix::Loop<> loop{};
    TcpEditor ann{loop, 1};
    TcpEditor bob{loop, 2};
};

}  // namespace

TEST_CASE("two servers over Redis: each edit is seen by all, once", "[redis][servers]") {
    TwoServers t;
    for (int i = 0; i < 20; ++i) {
        t.ann.type("a");
        t.bob.type("b");
    }
    t.until([&] { return t.ann.document() == t.bob.document() && t.ann.updates == 20; });
    CHECK(t.bob.updates == 20);
    t.ann.show("{\"name\":\"ann\"}");
    t.until([&] { return t.bob.present.contains(1); });
    CHECK(t.bob.present.at(1) == "{\"name\":\"ann\"}");
    t.new_server_agrees();
    CHECK(t.ann.updates == 20);
}

TEST_CASE("two servers over Redis: one is killed, and restarted", "[redis][servers]") {
    TwoServers t;
    t.both_edit();
    const Bytes last = t.ann.type("last");
    t.until([&] { return t.bob.has(last); });
    t.one->kill();
    const Bytes meanwhile = t.bob.type("meanwhile");
    t.until([&] { return !t.ann.online(); });
    const Bytes offline = t.ann.type("offline");
    RoomProcess again{quick(t.redis)};
    t.ann.dial(again.port());
    t.until([&] { return t.ann.has(meanwhile) && t.bob.has(offline); });
    CHECK(t.ann.document() == t.bob.document());
}

TEST_CASE("two servers over Redis: Redis is killed and restarted", "[redis][servers]") {
    const bool keeps = GENERATE(true, false);
    TwoServers t{keeps ? RedisServer::Settings{"--appendonly", "yes", "--appendfsync", "always"}
                       : RedisServer::Settings{}};
    t.both_edit();
    const Bytes last = t.ann.type("last");
    t.until([&] { return t.bob.has(last); });
    t.redis.kill();
    // The content can be read meanwhile. A client that edits is closed with a code that permits
    // another dial.
    TcpEditor cid{t.loop, 3};
    cid.dial(t.two->port());
    t.until([&] { return cid.synced && cid.has(last); });
    t.ann.type("unstored");
    t.until([&] { return !t.ann.online(); });
    CHECK(t.ann.closed_with == 1013);
    CHECK(cid.online());
    t.redis.start();
    t.both_edit();
    t.new_server_agrees();
    CHECK(cid.has(last));
}

TEST_CASE("two servers over Redis: Redis is emptied", "[redis][servers]") {
    TwoServers t;
    t.both_edit();
    SECTION("the server that began the room is running") {}
    SECTION("the servers have only loaded the room") { t.begin_again(); }
    t.redis.command({"FLUSHALL"});
    // The editors dial again without a wait: a rejection must not last long.
    const std::size_t before = t.scripts();
    t.both_edit();
    CHECK(t.scripts() - before < 200);
    // The next loss follows at once. The restored content waits a little.
    t.redis.command({"FLUSHALL"});
    t.both_edit();
    t.new_server_agrees();
}

TEST_CASE("two servers over Redis: Redis is emptied, without an edit", "[redis][servers]") {
    TwoServers t;
    t.both_edit();
    SECTION("the server that began the room is running") {}
    SECTION("the servers have only loaded the room") { t.begin_again(); }
    t.redis.command({"FLUSHALL"});
    t.until([&] { return t.redis.command({"EXISTS", "belay:{board}:room"}) == "1"; });
    t.new_server_agrees();
    CHECK((t.ann.online() && t.bob.online()));
}

TEST_CASE("two servers over Redis: another program trims the stream", "[redis][servers]") {
    TwoServers t;
    t.both_edit();
    t.redis.command({"XTRIM", "belay:{board}:updates", "MAXLEN", "0"});
    t.both_edit();
    t.new_server_agrees();
}

TEST_CASE("two servers over Redis: Redis is frozen for a while", "[redis][servers]") {
    TwoServers t;
    t.both_edit();
    t.redis.freeze();
    const Bytes waits = t.ann.type("waits");
    t.until([&] { return !t.ann.online(); });
    CHECK(t.ann.closed_with == 1013);
    CHECK_FALSE(t.bob.has(waits));
    TcpEditor cid{t.loop, 3};
    cid.dial(t.two->port());
    t.until([&] { return cid.synced; });
    t.redis.thaw();
    t.editing_until([&] { return t.bob.has(waits); });
    t.both_edit();
    t.new_server_agrees();
}

TEST_CASE("two servers over Redis: another program writes garbage", "[redis][servers]") {
    TwoServers t;
    t.both_edit();
    t.redis.command({"XADD", "belay:{board}:updates", "*", "u", "garbage"});
    t.redis.command({"PUBLISH", "belay:{board}:channel", "mgarbage"});
    t.both_edit();
    t.new_server_agrees();
    CHECK((t.ann.online() && t.bob.online()));
}
