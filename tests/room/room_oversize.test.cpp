// SPDX-License-Identifier: MIT
// Goal: a message that is rejected is received once a minute, and clients that can stop do so.
// Method: clients that send the same message whenever they are connected.
#include <belay/room/room_manager.hpp>

#include "support/catch.hpp"
#include "support/room/room_world.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

/// A connection that the transport ends, because a message exceeds its limit.
struct EndedByLimit {
    using message_type = Bytes;
    struct Connection {
        SendResult send(const Bytes&) noexcept { return SendResult::sent; }
    };
    Connection open(const Link<Bytes>& link) {
        static_cast<void>(link.opened());
        Failure why = websocket_failure(code);
        if (own) why.cause = Cause::protocol;
        static_cast<void>(link.closed(why));
        return {};
    }
    int code = 1009;
    bool own = true;  // whether the server closes it, and not the peer
};

}  // namespace

TEST_CASE("RoomManager: a client that sends too large a frame is closed with 4413, and reported",
          "[room][room_oversize][sim]") {
    RoomWorld w{Seed{1}, {.frame_bytes_max = 10'000}};
    RoomEditor alice{w, "alice", 1};
    w.dial(alice);
    alice.type(std::string(20'000, 'x'));
    w.run(1s);
    CHECK(alice.closed_with == 4413);
    CHECK(w.rooms().counters().reasons.of(RoomErrc::frame_too_large) == 1);
    CHECK(w.rooms().observer().last_reason == RoomErrc::frame_too_large);
}

TEST_CASE("RoomManager: a user that redials with too large a state may send it once a minute",
          "[room][room_oversize][sim]") {
    RoomWorld w{Seed{1}, {.frame_bytes_max = 10'000}};
    // y-websocket, or Hocuspocus with one document.
    const bool addressed = GENERATE(false, true);
    RoomEditor alice = addressed ? RoomEditor::addressed(w, "alice", 1) : RoomEditor{w, "alice", 1};
    RoomEditor bob{w, "bob", 2};
    w.dial(alice, bob);
    const auto of = [&](RoomErrc why) { return w.rooms().counters().reasons.of(why); };
    alice.type(std::string(20'000, 'x'));
    w.run(1s);
    // As y-websocket before 3.1 does, for ten minutes.
    std::set<int> codes;
    for (int i = 0; i < 240; ++i) {
        alice.dial();
        w.run(2500ms);
        if (alice.online()) alice.type(std::string(20'000, 'x'));
        codes.insert(alice.closed_with);
    }
    CHECK(of(RoomErrc::frame_too_large) >= 9);
    CHECK(of(RoomErrc::frame_too_large) <= 11);
    CHECK(of(RoomErrc::retried_too_soon) >= 200);
    CHECK(codes.contains(1013));
    // Another room of that user, and other users, are not affected.
    w.requests["alice2"] = {.room_id = "other", .token = "alice"};
    RoomEditor elsewhere{w, "alice2", 3};
    elsewhere.dial();
    w.run(1s);
    CHECK(elsewhere.online());
    CHECK(bob.online());
    bob.dial();
    w.run(1s);
    CHECK(bob.online());
}

TEST_CASE("RoomManager: a user that redials with a malformed message may send it once a minute",
          "[room][room_oversize][sim]") {
    RoomWorld w;
    RoomEditor alice{w, "alice", 1};
    RoomEditor bob{w, "bob", 2};
    w.dial(alice, bob);
    // An update that is no update, one of version 2, a frame that is cut off, a state vector.
    using Kind = part::RoomMessage::Kind;
    const Bytes frame =
        GENERATE(YjsProtocol{}.write({Kind::update, Bytes(20, std::byte{255})}),
                 YjsProtocol{}.write({Kind::update, Bytes(12, std::byte{0})}),
                 Bytes{std::byte{1}, std::byte{9}},
                 YjsProtocol{}.write({Kind::state_vector, Bytes(3, std::byte{255})}));
    const auto of = [&](RoomErrc why) { return w.rooms().counters().reasons.of(why); };
    int admitted = 0;
    // As y-websocket does, for three minutes.
    for (int i = 0; i < 360; ++i) {
        alice.dial();
        w.run(250ms);
        if (alice.online()) {
            ++admitted;
            alice.raw(frame);
        }
        w.run(250ms);
    }
    CHECK(admitted >= 3);
    CHECK(admitted <= 4);
    CHECK(of(RoomErrc::retried_too_soon) >= 350);
    // Others who share its name, another room of that user, and other users are not affected.
    w.requests["team"] = {.room_id = "board", .token = "alice", .ip = "192.0.2.1"};
    RoomEditor team{w, "team", 4};
    team.dial();
    w.run(1s);
    CHECK(team.online());
    CHECK(team.synced);
    w.requests["alice2"] = {.room_id = "other", .token = "alice"};
    RoomEditor elsewhere{w, "alice2", 3};
    elsewhere.dial();
    w.run(1s);
    CHECK(elsewhere.online());
    CHECK(bob.online());
}

TEST_CASE("RoomManager: a connection that its transport ends for a long message is reported",
          "[room][room_oversize][sim]") {
    RoomWorld w;
    w.run(1s);
    const auto of = [&](RoomErrc why) { return w.rooms().counters().reasons.of(why); };
    const auto accept = [&](int code, bool own) {
        w.rooms().accept(EndedByLimit{code, own}, YjsProtocol{},
                         RoomRequest{.room_id = "board", .token = "alice"});
        w.run(1s);
    };
    accept(1009, false);
    accept(4413, false);
    accept(1002, true);
    CHECK(of(RoomErrc::frame_too_large) == 0);
    accept(GENERATE(1009, 4413), true);
    CHECK(of(RoomErrc::frame_too_large) == 1);
    CHECK(w.rooms().observer().last_reason == RoomErrc::frame_too_large);
    accept(1009, true);
    CHECK(of(RoomErrc::frame_too_large) == 1);
    CHECK(of(RoomErrc::retried_too_soon) == 1);
    CHECK(w.rooms().clients() == 0);
}

TEST_CASE("RejectionMemory is bounded, and forgets the oldest user",
          "[room][room_oversize][unit]") {
    detail::RejectionMemory memory;
    const Instant begin = sim::World{Seed{1}}.now();
    for (int i = 0; i < 5'000; ++i) memory.note("user" + std::to_string(i), "ip", "board", begin);
    CHECK(memory.size() == detail::RejectionMemory::entries_max);
    CHECK_FALSE(memory.has("user0", "ip", "board", begin));
    CHECK(memory.has("user4999", "ip", "board", begin));
    CHECK_FALSE(memory.has("user4999", "ip", "other", begin));
    CHECK_FALSE(memory.has("user4999", "elsewhere", "board", begin));
    memory.note("", "ip", "board", begin);
    CHECK_FALSE(memory.has("", "ip", "board", begin));
    // A second message does not extend the minute.
    memory.note("user4999", "ip", "board", after(begin, 59s));
    CHECK_FALSE(memory.has("user4999", "ip", "board", after(begin, 60s)));
    CHECK(memory.size() == 0);
}
