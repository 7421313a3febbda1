// SPDX-License-Identifier: MIT
// Goal: clients with input of invalid form, time or amount do not affect other clients. Method:
// hostile and honest clients in a simulated world. Mutated frames are in room_faults; upgrades
// and tokens are tested with their bindings.
#include <belay/room/room_manager.hpp>

#include "support/catch.hpp"
#include "support/room/room_world.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

/// Checks an edit within the time that it may take, regardless of other clients.
void is_served(RoomWorld& w, RoomEditor& author, RoomEditor& reader) {
    const Bytes update = author.type("x");
    w.run(200ms);
    REQUIRE(reader.has(update));
}

}  // namespace

TEST_CASE("bad input: clients that send only state vectors do not delay others",
          "[room][room_bad_input][sim]") {
    // Each state vector is answered by 100 pieces, at the price of two of 64 KiB.
    RoomWorld w{
        Seed{1},
        {.frame_bytes_max = 200'000, .read_rate_max = 40 << 10, .client_bytes_max = 16 << 10}};
    w.world.network().window_bytes(1 << 20);
    RoomEditor alice{w, "alice", 1};
    RoomEditor bob{w, "bob", 2};
    w.dial(alice, bob);
    alice.type(std::string(100'000, 'x'));
    w.run(1s);
    std::vector<std::unique_ptr<RoomEditor>> hostile;
    for (std::uint64_t i = 0; i < 5; ++i) {
        hostile.push_back(std::make_unique<RoomEditor>(w, "m" + std::to_string(i), 10 + i));
        hostile.back()->dial();
    }
    w.run(1s);
    bool reads = false;
    SECTION("and read the answers") { reads = true; }
    SECTION("and read nothing") {
        for (const auto& m : hostile) m->stall(true);
    }
    const auto before = w.taken["m0"].bytes;
    for (int i = 0; i < 100; ++i) {
        for (const auto& m : hostile) {
            for (int n = 0; n < 20; ++n) m->say({part::RoomMessage::Kind::state_vector, Bytes(1)});
        }
        is_served(w, alice, bob);
    }
    // The rate limits them, because each answer costs 8 KiB: 20 at once, then 5 a second.
    const std::size_t answers = (w.taken["m0"].bytes - before) / 100'000;
    if (reads) CHECK(answers > 20);
    CHECK(answers <= 20 + 5 * 25 + 3);
    w.run(2min);
    if (!reads) {
        // A client that accepts nothing for too long is closed.
        CHECK(w.rooms().stats("board")->clients == 2);
    }
    is_served(w, alice, bob);
}

TEST_CASE("bad input: an update larger than unflushed_bytes_max closes its sender with 4413",
          "[room][room_bad_input][sim]") {
    RoomWorld w{Seed{1}, {.unflushed_bytes_max = 1000}};
    RoomEditor alice{w, "alice", 1};
    RoomEditor bob{w, "bob", 2};
    RoomEditor mallory{w, "mallory", 3};
    w.dial(alice, bob, mallory);
    mallory.type(std::string(2000, 'x'));
    w.run(1s);
    // The code is not 1013, at which the client would dial again and send the update again.
    CHECK(mallory.closed_with == 4413);
    is_served(w, alice, bob);
}

TEST_CASE("bad input: the highest awareness clocks do not affect other clients' ids",
          "[room][room_bad_input][sim]") {
    RoomWorld w;
    RoomEditor alice{w, "alice", 1};
    RoomEditor bob{w, "bob", 2};
    RoomEditor mallory{w, "mallory", 3};
    w.dial(alice, bob, mallory);
    alice.show("{}");
    w.run(1s);
    // These are mallory's ids only. Alice is still there, and can still change her state.
    constexpr std::uint64_t last_clock = 0xFFFF'FFFF;
    mallory.say({part::RoomMessage::Kind::awareness, awareness_of(1, last_clock, "{}")});
    mallory.say({part::RoomMessage::Kind::awareness, awareness_of(7, last_clock, "{}")});
    w.run(1s);
    CHECK(mallory.online());
    alice.show("[1]");
    w.run(1s);
    CHECK(bob.present[1] == "[1]");
    CHECK(bob.present.contains(7));
    // Other implementations cannot read a clock one higher.
    mallory.say({part::RoomMessage::Kind::awareness, awareness_of(8, last_clock + 1, "{}")});
    w.run(1s);
    CHECK(mallory.closed_with == 1007);
    CHECK_FALSE(bob.present.contains(7));
    CHECK_FALSE(bob.present.contains(8));
    // The last clock of the id was used up. When the server has forgotten the id, another client
    // may use it.
    w.run(2min);
    w.dial(alice);
    alice.say({part::RoomMessage::Kind::awareness, awareness_of(7, 1, "{}")});
    RoomEditor late{w, "late", 4};
    w.dial(late);
    CHECK(late.present.contains(7));
}

TEST_CASE("bad input: invalid room ids are rejected", "[room][room_bad_input][sim]") {
    RoomWorld w;
    RoomEditor alice{w, "alice", 1};
    const auto asks = [&](const std::string& target) {
        w.requests["alice"] = room_request({.target = target}, "/ws/canvas/");
        w.requests["alice"].token = "alice";
        alice.dial();
        w.run(3s);
        return alice.closed_with;
    };
    const int loads = w.disk.loads;
    // The answer is the same as for rooms that do not exist, and the storage is not called.
    CHECK(asks("/ws/canvas/" + std::string(10'240, 'x')) == 4003);
    CHECK(asks("/ws/canvas/" + std::string(101, 'x')) == 4003);
    CHECK(asks("/ws/canvas/") == 4003);
    CHECK(asks("/ws/canvas/%") == 4003);
    CHECK(asks("/ws/canvas/a%00b") == 4003);
    CHECK(asks("/ws/canvas/a%0Ab") == 4003);
    CHECK(asks("/ws/canvas/%FF") == 4003);
    CHECK(w.disk.loads == loads);
    // An id is compared by its decoded bytes alone.
    for (const auto& [target, board] : std::vector<std::pair<std::string, std::string>>{
             {"/ws/canvas/a%2Fb", "a/b"},
             {"/ws/canvas/a/b", "a/b"},
             {"/ws/canvas/../secret", "../secret"},
             {"/ws/canvas/%2E%2E%2Fsecret", "../secret"},
             {"/ws/canvas/%C3%A9", "\xC3\xA9"},
             {"/ws/canvas/a", "a"}}) {
        CHECK(asks(target) == 0);
        CHECK(alice.synced);
        alice.type("x");
        w.run(1s);
        CHECK(w.rooms().stats(board)->clients == 1);
        CHECK_FALSE(w.disk.durable.append(board, Bytes(2)));
    }
}

TEST_CASE("bad input: a grant that changes at each frame is valid for the frames after it",
          "[room][room_bad_input][sim]") {
    RoomWorld w{Seed{1}, {.waiting_max = 20}};
    w.requests["eve"] = {.room_id = "board", .token = "eve"};
    RoomEditor alice{w, "alice", 1};
    RoomEditor bob{w, "bob", 2};
    RoomEditor eve{w, "eve", 3};
    w.dial(alice, bob);
    const auto grant = [&](Access access) {
        w.rights.grants["eve"] = Grant{"eve", access, forever};
        w.rooms().reauthorize("board");
    };
    // A check takes longer than the time between two frames, or no time.
    w.rights.takes = GENERATE(0ms, 3ms);
    for (int i = 0; i < 200; ++i) {
        constexpr Access levels[] = {Access::edit, Access::view, Access::comment, Access::none};
        grant(levels[i % (i % 20 == 0 ? 4 : 3)]);
        if (!eve.online()) eve.dial();
        eve.type("e");
        eve.show("{}");
        w.run(2ms);
        if (i % 20 == 0) is_served(w, alice, bob);
    }
    CHECK(w.rights.waiting_most <= 3);
    CHECK(w.rights.checks <= 3 + 200 * 4);
    // The last grant is valid for all frames after it.
    for (const auto& [access, arrives] : {std::pair{Access::view, false}, {Access::edit, true}}) {
        grant(access);
        w.run(1s);
        const std::string host = "eve with " + std::string{to_string(access)};
        w.requests[host] = {.room_id = "board", .token = "eve"};
        RoomEditor again{w, host, arrives ? 5U : 4U};
        again.dial();
        w.run(1s);
        const Bytes update = again.type("again");
        w.run(1s);
        CHECK(again.online());
        CHECK(bob.has(update) == arrives);
    }
    is_served(w, alice, bob);
}
