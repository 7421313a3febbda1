// SPDX-License-Identifier: MIT
// Goal: postgres::Rooms is a storage of rooms that several servers share. Method: the checks of
// persistences, with a PostgreSQL server of its own.
#include <belay/postgres/rooms.hpp>

#include <sys/mount.h>

#include <atomic>
#include <string>
#include <thread>

#include <belay/room/on_thread.hpp>
#include <belay/room/persistence_check.hpp>
#include <belay/room/shared_persistence_check.hpp>

#include "support/postgres/server.hpp"

using namespace belay;
using belay_test::PostgresServer;

static_assert(explain::persistence_like<postgres::Rooms>() && BlockingFanoutLike<postgres::Rooms>);
static_assert(FanoutLike<OnThread<postgres::Rooms>>);

TEST_CASE("check::persistence finds no fault in postgres::Rooms", "[postgres][rooms][property]") {
    const PostgresServer server;
    int made = 0;
    const auto open = [&] { return postgres::Rooms{server.options("p" + std::to_string(made))}; };
    const auto fault = check::persistence(
        [&] {
            ++made;
            return open();
        },
        open, {.histories = 3, .steps = 100});
    if (fault)
        FAIL(to_string(fault->rule) << ", history " << fault->history << ", step " << fault->step);
    CHECK(made == 3);
}

TEST_CASE("check::shared_persistence finds no fault in postgres::Rooms over lost entries",
          "[postgres][rooms][property]") {
    const PostgresServer server;
    const auto prefix = [](std::uint64_t history) { return "s" + std::to_string(history); };
    const auto fault = check::shared_persistence(
        [&](std::uint64_t history) {
            postgres::RoomsOptions options = server.options(prefix(history));
            options.poll_every = std::chrono::milliseconds{50};
            return OnThread{postgres::Rooms{options}};
        },
        [&](std::uint64_t history) {
            const std::string p = prefix(history);
            server.command("DELETE FROM " + p + "_update WHERE position = (SELECT position FROM " +
                           p + "_room)");
            server.command("UPDATE " + p + "_room SET position = position - 1");
            return true;
        },
        [] { std::this_thread::yield(); }, {.histories = 4, .steps = 40});
    if (fault)
        FAIL(to_string(fault->rule) << ", history " << fault->history << ", step " << fault->step);
}

namespace {

constexpr Id some_epoch{std::byte{1}};
constexpr Id other_epoch{std::byte{2}};
using Batch = Result<part::FanoutBatch, PersistenceError>;
using State = part::FanoutBatch::State;

/// The answer of a call that answers before it returns.
template <class V, class Ask>
[[nodiscard]] V pg_answer(Ask&& ask) {
    driver::Question<V> question;
    ask(question.ask());
    REQUIRE(question.answered());
    return std::move(*question.take());
}
[[nodiscard]] part::FlushedRooms pg_flush(postgres::Rooms& rooms) {
    return pg_answer<part::FlushedRooms>([&](auto done) { rooms.flush(std::move(done)); });
}
[[nodiscard]] part::LoadedRoom pg_load(postgres::Rooms& rooms, std::string_view id = "board") {
    return pg_answer<part::LoadedRoom>([&](auto done) { rooms.load(id, std::move(done)); });
}
/// Appends and flushes.   Returns: the code of the flush.
std::error_code pg_append(postgres::Rooms& rooms, std::string_view text,
                          std::string_view id = "board") {
    REQUIRE(!rooms.append(id, as_bytes(text), {some_epoch, 1, some_epoch}));
    return pg_flush(rooms).error.code;
}
/// Saves a snapshot of one part.   Returns: its code.
std::error_code pg_save(postgres::Rooms& rooms, std::string_view text, std::uint64_t covers,
                        std::string_view id = "board") {
    const Bytes part = to_bytes(as_bytes(text));
    return pg_answer<PersistenceError>([&](auto done) {
               rooms.save(id, std::span{&part, 1}, covers, std::move(done));
           })
        .code;
}
void pg_begin(postgres::Rooms& rooms) {
    REQUIRE(!rooms.begin("board", some_epoch, false));
    REQUIRE_FALSE(pg_flush(rooms).error);
}
[[nodiscard]] std::string pg_words(const part::LoadedRoom& found) {
    REQUIRE(found);
    std::string all;
    if (*found)
        for (const Bytes& update : (*found)->updates) all += as_text(update);
    return *found ? all : "none";
}
[[nodiscard]] part::ReadRooms pg_wait(detail::PostgresSubscription& waits, const Id& epoch,
                                      std::uint64_t from) {
    return waits.wait({{"board", {epoch, from, true}}}, {"board"}, std::chrono::milliseconds{1});
}
/// Waits until calls are answered again.
void pg_back(postgres::Rooms& rooms) {
    REQUIRE(belay_test::eventually([&] { return pg_load(rooms, "none").has_value(); }));
}

/// The database has lost an update that `one` has appended, and that `two` has read, at `read`.
void pg_check_loss(postgres::Rooms& one, postgres::Rooms& two, std::uint64_t read) {
    pg_back(one);
    pg_back(two);
    detail::PostgresSubscription waits = two.subscription();
    const part::ReadRooms found = pg_wait(waits, some_epoch, read);
    REQUIRE((found && found->size() == 1));
    CHECK(found->begin()->second.state == State::gap);
    // It would hide the loss.
    CHECK(pg_append(one, "next") == RoomErrc::unknown_room);
    CHECK(pg_words(pg_load(one)) == "kept");
    CHECK(!pg_append(one, "next"));
    CHECK(pg_words(pg_load(two)) == "keptnext");
    CHECK((*pg_load(two))->position > read);
}

}  // namespace

TEST_CASE("postgres::Rooms survives a server that is killed, restarted and frozen",
          "[postgres][rooms][fault]") {
    PostgresServer server;
    postgres::RoomsOptions options = server.options();
    SECTION("killed") {
        postgres::Rooms rooms{options};
        pg_begin(rooms);
        REQUIRE(!pg_append(rooms, "a"));
        server.kill();
        CHECK(pg_append(rooms, "lost"));
        CHECK(pg_load(rooms).error().code == postgres::Errc::connection_lost);
        server.start();
        pg_back(rooms);
        REQUIRE(!pg_append(rooms, "b"));
        CHECK(pg_words(pg_load(rooms)) == "ab");
    }
    SECTION("frozen") {
        options.command_timeout = std::chrono::milliseconds{300};
        postgres::Rooms rooms{options};
        pg_begin(rooms);
        server.freeze(true);
        CHECK(pg_append(rooms, "unknown") == postgres::Errc::no_answer);
        server.freeze(false);
        pg_back(rooms);
        REQUIRE(!pg_append(rooms, "b"));
        CHECK(pg_words(pg_load(rooms)).ends_with("b"));
    }
}

TEST_CASE("postgres::Rooms: a server that freezes in a transaction holds its rooms for a while",
          "[postgres][rooms][fault]") {
    const PostgresServer server;
    postgres::RoomsOptions options = server.options();
    options.command_timeout = std::chrono::milliseconds{1'000};
    postgres::Rooms rooms{options};
    pg_begin(rooms);
    // The transaction of a server that sends no more commands.
    detail::PostgresConnection frozen{options};
    REQUIRE_FALSE(frozen.connect(""));
    detail::PostgresRows rows;
    REQUIRE_FALSE(frozen.run("BEGIN; UPDATE belay_room SET position = position", rows));
    CHECK(!pg_append(rooms, "a"));
    CHECK(pg_words(pg_load(rooms)) == "a");
}

TEST_CASE("postgres::Rooms: updates become visible in the order of their positions",
          "[postgres][rooms][unit]") {
    const PostgresServer server;
    postgres::Rooms one{server.options()};
    postgres::Rooms two{server.options()};
    pg_begin(one);
    const std::uint64_t began = (*pg_load(one))->position;
    // Its commit is late.
    detail::PostgresConnection late{server.options()};
    REQUIRE_FALSE(late.connect(""));
    detail::PostgresRows rows;
    REQUIRE_FALSE(late.run(
        "BEGIN; WITH head AS (UPDATE belay_room SET position = position + 1 RETURNING position) "
        "INSERT INTO belay_update SELECT 'board', position, '', 1, 'early' FROM head",
        rows));
    std::error_code error;
    std::thread other{[&] {  // without the framework, which is for one thread
        driver::Question<part::FlushedRooms> question;
        error = two.append("board", as_bytes("late"), {some_epoch, 1, some_epoch});
        if (error) return;
        two.flush(question.ask());
        error = question.answered() ? question.take()->error.code
                                    : make_error_code(RoomErrc::no_answer);
    }};
    detail::PostgresSubscription waits = one.subscription();
    part::ReadRooms read = pg_wait(waits, some_epoch, began);
    CHECK((read && read->empty()));
    REQUIRE_FALSE(late.run("COMMIT", rows));
    other.join();
    CHECK(!error);
    read = pg_wait(waits, some_epoch, began);
    REQUIRE((read && read->size() == 1 && read->begin()->second.entries.size() == 2));
    CHECK(as_text(read->begin()->second.entries[0].update) == "early");
    CHECK(as_text(read->begin()->second.entries[1].update) == "late");
}

TEST_CASE("postgres::Rooms: flushes of the same rooms in opposite order do not block each other",
          "[postgres][rooms][unit]") {
    const PostgresServer server;
    std::atomic<int> errors{0};
    const auto flushes = [&](bool backward) {
        postgres::Rooms rooms{server.options()};
        for (int i = 0; i < 50; ++i) {
            const char* const ids[] = {"a", "b"};
            for (const bool second : {backward, !backward}) {
                const std::string_view id = ids[second];
                if (i == 0) errors += rooms.begin(id, some_epoch, false) ? 1 : 0;
                errors += rooms.append(id, as_bytes("x"), {other_epoch, 1, some_epoch}) ? 1 : 0;
            }
            driver::Question<part::FlushedRooms> question;
            rooms.flush(question.ask());
            errors += question.take()->error ? 1 : 0;
        }
    };
    std::thread other{[&] { flushes(true); }};
    flushes(false);
    other.join();
    CHECK(errors == 0);
    postgres::Rooms rooms{server.options()};
    CHECK(pg_words(pg_load(rooms, "a")).size() == 100);
}

TEST_CASE("postgres::Rooms reports what the database refuses", "[postgres][rooms][fault]") {
    const PostgresServer server;
    postgres::Rooms rooms{server.options()};
    SECTION("tables that are dropped are created again") {
        pg_begin(rooms);
        server.command("DROP TABLE belay_room");
        CHECK(pg_append(rooms, "a") == postgres::Errc::no_tables);
        pg_back(rooms);
        CHECK(pg_words(pg_load(rooms)) == "none");
    }
    SECTION("tables of another version stay as they are") {
        pg_begin(rooms);
        server.command("UPDATE belay_version SET version = 2");
        postgres::Rooms other{server.options()};
        CHECK(pg_load(other).error().code == postgres::Errc::other_version);
    }
    SECTION("read-only") {
        server.command("ALTER DATABASE postgres SET default_transaction_read_only = on");
        CHECK(pg_load(rooms).error().code == postgres::Errc::read_only);
        server.command(
            "BEGIN READ WRITE; "
            "ALTER DATABASE postgres RESET default_transaction_read_only; COMMIT");
        pg_back(rooms);
    }
    SECTION("a user that it does not know") {
        postgres::RoomsOptions options = server.options();
        options.connection += " user=nobody";
        postgres::Rooms other{options};
        CHECK(pg_load(other).error().code == postgres::Errc::connection_lost);
    }
    SECTION("too many connections") {
        std::vector<PGconn*> all;
        for (int i = 0; i < 25; ++i) all.push_back(PQconnectdb(server.connection().c_str()));
        CHECK(pg_load(rooms).error().code == postgres::Errc::not_ready);
        for (PGconn* const one : all) PQfinish(one);
        pg_back(rooms);
    }
}

TEST_CASE("postgres::Rooms: a loss of read or own updates is a gap", "[postgres][rooms][fault]") {
    const PostgresServer server;
    postgres::Rooms one{server.options()};
    postgres::Rooms two{server.options()};
    pg_begin(one);
    REQUIRE(!pg_append(one, "kept"));
    const std::uint64_t kept = (*pg_load(one))->position;
    REQUIRE(!pg_append(one, "lost"));
    const std::uint64_t read = (*pg_load(two))->position;
    server.command("DELETE FROM belay_update WHERE position > " + std::to_string(kept));
    server.command("UPDATE belay_room SET position = " + std::to_string(kept));
    SECTION("another server has read it, and more was appended since") {
        REQUIRE(!pg_append(two, "later"));
        detail::PostgresSubscription waits = two.subscription();
        const part::ReadRooms found = pg_wait(waits, some_epoch, read);
        REQUIRE((found && found->size() == 1));
        CHECK(found->begin()->second.state == State::gap);
    }
    SECTION("its own server has not read it back") {
        detail::PostgresSubscription waits = one.subscription();
        const part::ReadRooms found = pg_wait(waits, some_epoch, kept);
        REQUIRE((found && found->size() == 1));
        CHECK(found->begin()->second.state == State::gap);
        // The next change would hide the loss, and so would the next snapshot.
        CHECK(pg_append(one, "next") == RoomErrc::unknown_room);
        CHECK(pg_save(one, "[kept,lost]", kept) == RoomErrc::stale_snapshot);
        CHECK(pg_words(pg_load(one)) == "kept");
        CHECK(!pg_save(one, "[kept]", kept));
    }
}

TEST_CASE("postgres::Rooms publishes messages of any length", "[postgres][rooms][unit]") {
    const PostgresServer server;
    postgres::Rooms rooms{server.options()};
    detail::PostgresSubscription one = rooms.subscription();
    detail::PostgresSubscription two = rooms.subscription();
    REQUIRE(pg_load(rooms));
    REQUIRE(pg_wait(two, no_id, 0));
    const Bytes long_one(20'000, std::byte{7});
    one.publish({{"board", {}}, {"board", long_one}, {"other", long_one}, {"board", long_one}});
    std::vector<Bytes> received;
    REQUIRE(belay_test::eventually([&] {
        const part::ReadRooms found = pg_wait(two, no_id, 0);
        if (found && found->contains("board")) {
            const auto& some = found->at("board").messages;
            received.insert(received.end(), some.begin(), some.end());
        }
        return received.size() == 3;
    }));
    CHECK(received == std::vector<Bytes>{{}, long_one, long_one});
}

TEST_CASE("postgres::Rooms: a failover to a replica that lags is a gap",
          "[postgres][rooms][fault]") {
    PostgresServer primary;
    postgres::Rooms first{primary.options()};
    pg_begin(first);
    REQUIRE(!pg_append(first, "kept"));
    PostgresServer replica{PostgresServer::ReplicaOf{primary}};
    postgres::RoomsOptions options = primary.options();
    options.connection =
        primary.connection("," + replica.host()) + " target_session_attrs=read-write";
    postgres::Rooms one{options};
    postgres::Rooms two{options};
    REQUIRE(!pg_append(one, "lost"));
    const std::uint64_t read = (*pg_load(two))->position;
    primary.kill();
    replica.start();
    CHECK(pg_append(one, "refused"));
    // Until it is promoted.
    CHECK(belay_test::eventually(
        [&] { return pg_load(one).error().code == postgres::Errc::read_only; }));
    CHECK(replica.command("SELECT pg_promote()") == "t");
    pg_check_loss(one, two, read);
}

TEST_CASE("postgres::Rooms: a database that was restored from a dump is a gap",
          "[postgres][rooms][fault]") {
    const PostgresServer server;
    const belay_test::TemporaryDirectory dumps;
    server.give(dumps.path());
    postgres::Rooms one{server.options()};
    postgres::Rooms two{server.options()};
    pg_begin(one);
    REQUIRE(!pg_append(one, "kept"));
    REQUIRE(server.runs("pg_dump", {"--clean", "--if-exists", "-f", dumps / "dump", "postgres"}));
    REQUIRE(!pg_append(one, "lost"));
    const std::uint64_t read = (*pg_load(two))->position;
    REQUIRE(server.runs("psql", {"-q", "-v", "ON_ERROR_STOP=1", "-f", dumps / "dump", "postgres"}));
    pg_check_loss(one, two, read);
}

TEST_CASE("postgres::Rooms: a full disk rejects changes, and loses none",
          "[postgres][rooms][fault]") {
    const belay_test::TemporaryDirectory small;
    const char* const path = small.path().c_str();
    struct Mounted {
        ~Mounted() {
            if (done) ::umount2(at, MNT_DETACH);
        }
        const char* at;
        bool done;
    };
    const Mounted mounted{path, ::mount("tmpfs", path, "tmpfs", 0, "size=8m") == 0};
    if (!mounted.done) {
        WARN("this user may not mount a file system, so no disk is full");
        return;
    }
    const PostgresServer server;
    server.give(small.path());
    REQUIRE(server.command("CREATE TABLESPACE small LOCATION '" + small.path() + "'").empty());
    REQUIRE(server.command("ALTER DATABASE postgres SET default_tablespace = small").empty());
    // PostgreSQL compresses text.
    std::string noise(std::size_t{1} << 20, '\0');
    std::uint32_t last = 1;
    for (char& c : noise) c = static_cast<char>((last = last * 1'664'525 + 1'013'904'223) >> 24U);
    postgres::Rooms rooms{server.options()};
    pg_begin(rooms);
    std::size_t stored = 0;
    std::error_code error;
    while (stored < 20 && !(error = pg_append(rooms, noise))) ++stored;
    CHECK(error == postgres::Errc::no_space);
    CHECK(stored > 0);
    CHECK(pg_words(pg_load(rooms)).size() == stored * noise.size());
    REQUIRE(::mount("tmpfs", path, "tmpfs", MS_REMOUNT, "size=64m") == 0);
    CHECK(!pg_append(rooms, noise));
    CHECK(pg_words(pg_load(rooms)).size() == (stored + 1) * noise.size());
}

TEST_CASE("postgres::Rooms: a room that cannot be read is named, and others are read",
          "[postgres][rooms][fault]") {
    const PostgresServer server;
    postgres::Rooms rooms{server.options()};
    part::RoomReaders readers;
    for (const std::string id : {"bad", "good", "worse"}) {
        REQUIRE(!rooms.begin(id, some_epoch, false));
        REQUIRE_FALSE(pg_flush(rooms).error);
        readers[id] = {some_epoch, (*pg_load(rooms, id))->position, true};
        REQUIRE(!pg_append(rooms, "text", id));
    }
    REQUIRE(
        server
            .command("CREATE FUNCTION damaged(bytea) RETURNS bytea STABLE LANGUAGE plpgsql AS $$ "
                     "BEGIN RAISE 'damaged' USING ERRCODE = 'data_corrupted'; END $$; "
                     "ALTER TABLE belay_update RENAME TO stored; "
                     "CREATE VIEW belay_update AS SELECT room, position, server, sequence, "
                     "CASE room WHEN 'good' THEN body ELSE damaged(body) END AS body "
                     "FROM stored")
            .empty());
    detail::PostgresSubscription waits = rooms.subscription();
    part::ReadRooms found = waits.wait(readers, {"bad", "good", "worse"}, {});
    INFO((found ? "" : found.error().message()));
    REQUIRE((found && found->size() == 1));
    CHECK(found->begin()->first == "good");
    readers["good"].waits = false;
    found = waits.wait(readers, {}, {});
    REQUIRE_FALSE(found);
    REQUIRE(found.error().rooms.size() == 2);
    CHECK(found.error().rooms[0].first == "bad");
    CHECK(found.error().rooms[1].first == "worse");
    CHECK(found.error().rooms[1].second == postgres::Errc::rejected);
    // It was reported.
    CHECK(waits.wait({}, {}, {}));
}

TEST_CASE("postgres::Rooms: a room that cannot be written is named, and others are stored",
          "[postgres][rooms][fault]") {
    const PostgresServer server;
    postgres::Rooms rooms{server.options()};
    for (const std::string id : {"bad", "good", "worse"}) {
        REQUIRE(!rooms.begin(id, some_epoch, false));
        REQUIRE_FALSE(pg_flush(rooms).error);
    }
    const auto append_all = [&] {
        for (const std::string id : {"bad", "good", "worse"})
            REQUIRE(!rooms.append(id, as_bytes("text"), {some_epoch, 1, some_epoch}));
        return pg_flush(rooms);
    };
    SECTION("a constraint") {
        REQUIRE(server.command("ALTER TABLE belay_update ADD CHECK (room = 'good')").empty());
        const part::FlushedRooms flushed = append_all();
        CHECK(flushed.error.code == postgres::Errc::rejected);
        REQUIRE(flushed.error.rooms.size() == 2);
        CHECK(flushed.error.rooms[0].first == "bad");
        CHECK(flushed.error.rooms[1].first == "worse");
        CHECK(flushed.error.rooms[1].second == postgres::Errc::rejected);
        REQUIRE(flushed.positions.size() == 1);
        CHECK(flushed.positions[0].first == "good");
        CHECK(pg_words(pg_load(rooms, "good")) == "text");
        CHECK(pg_words(pg_load(rooms, "bad")).empty());
    }
    SECTION("an error of all rooms names none") {
        server.command("DROP TABLE belay_update");
        const part::FlushedRooms flushed = append_all();
        CHECK(flushed.error.code == postgres::Errc::no_tables);
        CHECK(flushed.error.rooms.empty());
    }
}

TEST_CASE("postgres::Rooms: a notification that arrives during a query is not left behind",
          "[postgres][rooms][fault]") {
    const PostgresServer server;
    postgres::RoomsOptions options = server.options();
    options.poll_every = std::chrono::hours{1};
    postgres::Rooms rooms{options};
    pg_begin(rooms);
    const std::uint64_t began = (*pg_load(rooms))->position;
    detail::PostgresSubscription waits = rooms.subscription();
    CHECK(pg_wait(waits, some_epoch, began));
    // Each query about the room publishes a message.
    REQUIRE(
        server
            .command("CREATE FUNCTION notified(bytea) RETURNS bytea STABLE LANGUAGE plpgsql AS $$ "
                     "BEGIN PERFORM pg_notify('belay_changes', 'm' || encode('board', 'hex') || "
                     "':1:' || encode('message', 'hex')); RETURN $1; END $$; "
                     "ALTER TABLE belay_room RENAME TO stored; "
                     "CREATE VIEW belay_room AS SELECT notified(id) AS id, epoch, began, position, "
                     "covers, trimmed, snapshot FROM stored")
            .empty());
    const part::ReadRooms found = waits.wait({{"board", {some_epoch, began, true}}}, {"board"}, {});
    INFO((found ? "" : found.error().message()));
    REQUIRE((found && found->size() == 1));
    CHECK(found->begin()->second.messages.size() == 1);
}

TEST_CASE("postgres::Rooms: a subscription reads some rooms at a time, in turn, and keeps them",
          "[postgres][rooms][fault]") {
    const PostgresServer server;
    postgres::Rooms rooms{server.options()};
    part::RoomReaders readers;
    std::set<std::string> all;
    for (int i = 0; i < 40; ++i) all.insert("room" + std::to_string(i));
    for (const std::string& id : all) REQUIRE(!rooms.begin(id, some_epoch, false));
    for (const auto& [id, position] : pg_flush(rooms).positions)
        readers[id] = {some_epoch, position, true};
    for (const std::string& id : all)
        REQUIRE(!rooms.append(id, as_bytes("text"), {some_epoch, 1, some_epoch}));
    REQUIRE_FALSE(pg_flush(rooms).error);
    detail::PostgresSubscription waits = rooms.subscription();
    SECTION("a turn is bounded") {
        const part::ReadRooms found = waits.wait(readers, all, std::chrono::hours{1});
        REQUIRE((found && found->size() == 32));
        // Those that were read change again.
        const part::ReadRooms next = waits.wait(readers, all, std::chrono::hours{1});
        REQUIRE((next && next->size() == 32));
        for (const std::string& id : all) CHECK((found->contains(id) || next->contains(id)));
    }
    SECTION("a connection that is lost after some of them") {
        REQUIRE(server
                    .command("CREATE FUNCTION ends(bytea) RETURNS bytea STABLE LANGUAGE plpgsql AS "
                             "$$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN $1; "
                             "END $$; ALTER TABLE belay_update RENAME TO stored; "
                             "CREATE VIEW belay_update AS SELECT room, position, server, sequence, "
                             "CASE room WHEN 'room1' THEN ends(body) ELSE body END AS body "
                             "FROM stored")
                    .empty());
        const part::ReadRooms found =
            waits.wait(readers, {"room0", "room1"}, std::chrono::hours{1});
        INFO((found ? "" : found.error().message()));
        REQUIRE((found && found->size() == 1));
        CHECK(found->begin()->first == "room0");
        CHECK(waits.wait(readers, {}, {}).error().code == postgres::Errc::connection_lost);
    }
}

TEST_CASE("postgres::Rooms: a connection that cannot listen is made again",
          "[postgres][rooms][fault]") {
    const PostgresServer server;
    detail::PostgresConnection connection{server.options()};
    // The name that the database does not accept stands for an error of LISTEN.
    CHECK(connection.connect("LISTEN").code == postgres::Errc::rejected);
    CHECK(connection.get() == nullptr);
    // Until `retry_after`, it fails at once, with the reason.
    CHECK(belay_test::eventually([&] { return !connection.connect("LISTEN a"); }));
    CHECK(connection.take_connected());
}

TEST_CASE("postgres::Rooms: a loss of the updates alone is a gap", "[postgres][rooms][fault]") {
    const PostgresServer server;
    postgres::Rooms rooms{server.options()};
    pg_begin(rooms);
    REQUIRE(!pg_append(rooms, "a"));
    const std::uint64_t read = (*pg_load(rooms))->position;
    SECTION("they are lost") {
        server.command("TRUNCATE belay_update");
        detail::PostgresSubscription waits = rooms.subscription();
        const part::ReadRooms found = waits.wait({{"board", {some_epoch, read, true}}}, {}, {});
        REQUIRE((found && found->size() == 1));
        CHECK(found->begin()->second.state == State::gap);
    }
    SECTION("a snapshot covers them") {
        REQUIRE(!pg_save(rooms, "[a]", read));
        server.command("TRUNCATE belay_update");
        detail::PostgresSubscription waits = rooms.subscription();
        const part::ReadRooms found = waits.wait({{"board", {some_epoch, read, true}}}, {}, {});
        CHECK((found && found->empty()));
    }
}

TEST_CASE("postgres::Rooms forgets ended histories after a week", "[postgres][rooms][unit]") {
    const PostgresServer server;
    postgres::Rooms rooms{server.options()};
    pg_begin(rooms);
    const auto ended = [&] { return server.command("SELECT count(*) FROM belay_ended"); };
    REQUIRE(!rooms.reset("board", other_epoch));
    REQUIRE_FALSE(pg_flush(rooms).error);
    REQUIRE(!rooms.erase("board"));
    REQUIRE_FALSE(pg_flush(rooms).error);
    CHECK(ended() == "2");
    server.command("UPDATE belay_ended SET ended_at = ended_at - interval '6 days 23 hours'");
    pg_begin(rooms);
    REQUIRE(!rooms.reset("board", Id{std::byte{3}}));
    REQUIRE_FALSE(pg_flush(rooms).error);
    CHECK(ended() == "2");
    server.command("UPDATE belay_ended SET ended_at = ended_at - interval '1 day'");
    REQUIRE(!rooms.erase("board"));
    REQUIRE_FALSE(pg_flush(rooms).error);
    CHECK(ended() == "2");
}
