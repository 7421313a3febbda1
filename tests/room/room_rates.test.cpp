// SPDX-License-Identifier: MIT
// Goal: the rate of a client counts bytes and the server's time, not messages. Method: bursts of
// cheap and of expensive messages in a simulated world.
#include <belay/room/room_manager.hpp>

#include "support/catch.hpp"
#include "support/room/room_editors.hpp"
#include "support/room/room_world.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

/// The virtual time until `done`, at most 5 minutes.
template <class Done>
Duration time_until(RoomWorld& w, Done&& done) {
    const Instant begin = w.world.now();
    while (!done() && elapsed(begin, w.world.now()) < 5min) w.run(10ms);
    return elapsed(begin, w.world.now());
}

}  // namespace

TEST_CASE("RoomManager: 20'000 updates of one letter are read at once", "[room][room_rates][sim]") {
    RoomWorld w;
    w.world.network().window_bytes(4 << 20);
    RoomEditor author{w, "author", 1};
    RoomEditor reader{w, "reader", 2};
    w.dial(author, reader);
    const std::uint64_t before = w.rooms().counters().updates;
    for (int i = 0; i < 20'000; ++i) author.type("x");
    // 36 s with a limit of 500 messages per second.
    CHECK(time_until(w, [&] { return w.rooms().counters().updates == before + 20'000; }) <= 2s);
    CHECK(w.rooms().counters().throttled == 0);
    w.run(1s);
    CHECK(author.closed_with == 0);
    CHECK(reader.document() == author.document());
}

TEST_CASE(
    "RoomManager: a flood of state vectors is throttled, and a burst of edits in its room is not",
    "[room][room_rates][sim]") {
    const bool addressed = GENERATE(false, true);
    CAPTURE(addressed);
    RoomWorld w;
    w.world.network().window_bytes(1 << 20);
    RoomEditor author{w, "author", 1};
    w.dial(author);
    for (int i = 0; i < 64; ++i) {
        author.type(std::string(64 << 10, 'x'));
        w.run(100ms);
    }
    RoomEditor flooder =
        addressed ? RoomEditor::addressed(w, "flooder", 2) : RoomEditor{w, "flooder", 2};
    w.dial(flooder);
    w.run(30s);
    REQUIRE(w.rooms().counters().throttled == 0);
    // Each is compared with 4 MiB, and costs 256 KiB: 32 at once, and 8 per second.
    for (int i = 0; i < 1'000; ++i)
        flooder.say({part::RoomMessage::Kind::state_vector, Bytes{std::byte{0}}});
    w.run(100ms);
    const std::uint64_t before = w.rooms().counters().updates;
    for (int i = 0; i < 2'000; ++i) author.type("y");
    CHECK(time_until(w, [&] { return w.rooms().counters().updates == before + 2'000; }) <= 2s);
    w.run(5s);
    CHECK(w.rooms().counters().throttled == 1);
    CHECK(std::count(w.events.begin(), w.events.end(), "throttled board flooder 2") == 1);
    CHECK(author.closed_with == 0);
}

TEST_CASE("RoomManager: a flood of state vectors for a small document is throttled, too",
          "[room][room_rates][sim]") {
    RoomWorld w{Seed{1}, {.read_rate_max = 25'000}};
    w.world.network().window_bytes(4 << 20);
    RoomEditor author{w, "author", 1};
    RoomEditor flooder{w, "flooder", 2};
    w.dial(author, flooder);
    author.type(std::string(60'000, 'x'));
    w.run(10s);
    const std::size_t before = w.taken["flooder"].bytes;
    for (int i = 0; i < 200; ++i)
        flooder.say({part::RoomMessage::Kind::state_vector, Bytes{std::byte{0}}});
    // Each costs 4 KiB and 256 bytes: 24 at once, and 6 per second.
    w.run(2s);
    CHECK(w.taken["flooder"].bytes - before < 45 * 60'100);
    CHECK(w.rooms().counters().throttled == 1);
}

TEST_CASE("RoomManager: long messages are limited by their bytes", "[room][room_rates][sim]") {
    RoomWorld w{Seed{1}, {.read_rate_max = 250'000}};
    w.world.network().window_bytes(4 << 20);
    RoomEditor author{w, "author", 1};
    w.dial(author);
    for (int i = 0; i < 30; ++i) author.type(std::string(100'000, 'x'));
    w.run(1s);
    CHECK(w.rooms().counters().updates >= 10);
    CHECK(w.rooms().counters().updates <= 14);
    w.run(5s);
    CHECK(w.rooms().counters().updates <= 27);
    CHECK(w.rooms().counters().throttled == 1);
    w.run(1min);
    CHECK(w.rooms().counters().updates == 30);
    CHECK(author.closed_with == 0);
}

TEST_CASE("RoomManager: the compactions of a full document count towards the rate of its editor",
          "[room][room_rates][sim]") {
    constexpr std::size_t most = std::size_t{256} << 10;
    RoomWorld w{Seed{1}, {.read_rate_max = 75'000}, {.bytes_max = most}};
    w.world.network().window_bytes(4 << 20);
    RoomEditor author{w, "author", 1};
    w.dial(author);
    author.type(std::string(most - 1'000, 'x'));
    w.run(30s);
    REQUIRE(w.rooms().counters().updates == 1);
    // Each deletes something, and then sends too much: enough for a compaction, for which two
    // further pieces and more must be read.
    for (std::uint64_t i = 0; i < 200; ++i) {
        author.say({RoomEditor::Kind::update, deletion_of(1, 2 * i, 1)});
        author.say({RoomEditor::Kind::update, typed(2, 0, std::string(20'000, 'y'))});
    }
    w.run(20s);
    const auto denied = w.rooms().counters().denials.of(YjsErrc::document_full);
    // 1.8 MB are 88 updates without the costs of the compactions.
    CHECK(denied >= 31);
    CHECK(denied <= 55);
    CHECK(w.rooms().counters().throttled == 1);
    CHECK(author.closed_with == 0);
}

TEST_CASE("RoomManager: an edit costs its author more in a room with many clients",
          "[room][room_rates][sim]") {
    // With 50 clients, an edit costs 800 bytes more.
    const std::size_t readers = GENERATE(std::size_t{0}, std::size_t{50});
    RoomWorld w{Seed{1}, {.read_rate_max = 25'000}};
    w.world.network().window_bytes(1 << 20);
    RoomEditor author{w, "author", 1};
    w.dial(author);
    std::vector<std::unique_ptr<RoomEditor>> all;
    for (std::size_t i = 0; i < readers; ++i) {
        all.push_back(std::make_unique<RoomEditor>(w, "reader" + std::to_string(i), 100 + i));
        all.back()->dial();
    }
    w.run(15s);
    for (int i = 0; i < 300; ++i) author.type("x");
    w.run(1s);
    CHECK((w.rooms().counters().throttled == 0) == (readers == 0));
    CHECK((w.rooms().counters().updates == 300) == (readers == 0));
}

TEST_CASE("RoomManager: the joins and the answers of one user have one rate, over all connections",
          "[room][room_rates][sim]") {
    RoomWorld w{Seed{1}, {.read_rate_max = 25'000}};
    w.world.network().window_bytes(4 << 20);
    RoomEditor author{w, "author", 1};
    w.dial(author);
    for (int i = 0; i < 10; ++i) {
        author.type(std::string(20'000, 'x'));
        w.run(1s);
    }
    std::size_t compared = 0;
    w.document_before = [&](std::string_view call) {
        if (call == "document.diff") ++compared;
    };
    RoomEditors eve;
    for (int i = 0; i < 20; ++i) {
        const std::string host = "eve" + std::to_string(i);
        eve.add(w, host, {.room_id = "board", .token = "eve", .ip = host});
        // Each join merges a letter, which costs 16 KiB, and its answer costs 16 KiB more.
        author.type("y");
        eve.all.back()->dial();
        w.run(10ms);
    }
    // The burst is enough for 6 of them. The letters of the author count for the author's own rate.
    CHECK(compared <= 8);
    RoomEditor bob{w, "bob", 2};
    bob.dial();
    w.run(200ms);
    CHECK(bob.synced);
    CHECK(eve.synced() < 10);
    // The server still requests what a user has typed offline.
    eve.add(w, "offline", {.room_id = "board", .token = "eve", .ip = "offline"});
    eve.all.back()->type("offline");
    const std::uint64_t before = w.rooms().counters().updates;
    eve.all.back()->dial();
    w.run(200ms);
    CHECK(w.rooms().counters().updates == before + 1);
    CHECK_FALSE(eve.all.back()->synced);
    w.run(40s);
    CHECK(eve.synced() == 21);
    for (const auto& one : eve.all) CHECK(one->document() == author.document());
}

TEST_CASE("RoomManager: users without names at one address do not wait for each other",
          "[room][room_rates][sim]") {
    RoomWorld w{Seed{1}, {.read_rate_max = 25'000}};
    w.world.network().window_bytes(4 << 20);
    RoomEditor author{w, "author", 1};
    w.dial(author);
    for (int i = 0; i < 10; ++i) {
        author.type(std::string(20'000, 'x'));
        w.run(1s);
    }
    // Each join costs 4 KiB, and each answer 16 KiB: 600 KB together.
    RoomEditors pupils;
    for (int i = 0; i < 30; ++i)
        pupils.add(w, "pupil" + std::to_string(i), {.room_id = "board", .ip = "192.0.2.1"});
    pupils.dial();
    w.run(500ms);
    CHECK(pupils.synced() == 30);
    // The clients have most of the document, so an answer costs what is sent.
    pupils.dial();
    w.run(1s);
    CHECK(pupils.synced() == 30);
    // They are limited together, at eight times the rate.
    for (int i = 30; i < 150; ++i)
        pupils.add(w, "pupil" + std::to_string(i), {.room_id = "board", .ip = "192.0.2.1"}).dial();
    w.run(500ms);
    CHECK(pupils.synced() < 100);
    w.run(20s);
    CHECK(pupils.synced() == 150);
}

TEST_CASE("RoomManager: an answer is charged to its user by what is sent",
          "[room][room_rates][sim]") {
    RoomWorld w{Seed{1}, {.read_rate_max = 12'500}};
    w.world.network().window_bytes(4 << 20);
    RoomEditor author{w, "author", 1};
    RoomEditor eve{w, "eve", 2};
    w.dial(author, eve);
    for (int i = 0; i < 10; ++i) {
        author.type(std::string(20'000, 'x'));
        w.run(1s);
    }
    w.run(30s);
    // Five times 8 KiB for a join and an answer, and not 20 KiB.
    for (int i = 0; i < 5; ++i) {
        eve.dial();
        w.run(200ms);
        CHECK(eve.synced);
    }
}

TEST_CASE("Accounts forget users that have their whole burst again", "[room][room_rates][unit]") {
    const RoomOptions options{.read_rate_max = 1000};
    Instant now{};
    detail::Accounts accounts{now};
    const auto charge = [&](const std::string& user, std::string_view ip, std::size_t bytes) {
        accounts.of(user, ip, 0)->charge(bytes, now, options);
    };
    const auto ready_at = [&](const std::string& user, std::string_view ip = {}) {
        return accounts.of(user, ip, 0)->rate.read_at;
    };
    for (int i = 0; i < 64; ++i) charge("user" + std::to_string(i), "", 4500);
    CHECK(ready_at("user1") == Instant{500ms});
    CHECK(ready_at("other") == always);
    // The users of an address have eight times as much.
    charge("", "192.0.2.1", 8 * 4500);
    CHECK(ready_at("", "192.0.2.1") == Instant{500ms});
    now = Instant{4400ms};
    charge("last", "", 4500);
    CHECK(accounts.size() == 66);
    now = Instant{5s};
    for (int i = 0; i < 200; ++i) charge("later" + std::to_string(i), "", 1);
    CHECK(ready_at("user1") == always);
    CHECK(ready_at("last") == Instant{4900ms});
    // A user that has paid is forgotten when nothing refers to it.
    now = Instant{10s};
    static_cast<void>(ready_at("last"));
    CHECK(accounts.size() < 210);
}
