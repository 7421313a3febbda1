// SPDX-License-Identifier: MIT
// Goal: a message that is rejected has a close code at which clients can stop, and one that sends it
// again and again affects no one else. Method: clients that send it whenever they are connected.
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

TEST_CASE("RoomManager: a client that redials with a bad message is closed each time, and no other",
          "[room][room_oversize][sim]") {
    RoomWorld w{Seed{1}, {.frame_bytes_max = 10'000}};
    RoomEditor alice{w, "alice", 1};
    RoomEditor bob{w, "bob", 2};
    w.dial(alice, bob);
    // Too large, no update, one of version 2, a frame that is cut off, a state vector.
    using Kind = part::RoomMessage::Kind;
    const auto [frame, code] = GENERATE(table<Bytes, int>({
        {YjsProtocol{}.write({Kind::update, Bytes(20'000)}), 4413},
        {YjsProtocol{}.write({Kind::update, Bytes(20, std::byte{255})}), 1007},
        {YjsProtocol{}.write({Kind::update, Bytes(12, std::byte{0})}), 1007},
        {Bytes{std::byte{1}, std::byte{9}}, 1007},
        {YjsProtocol{}.write({Kind::state_vector, Bytes(3, std::byte{255})}), 1007},
    }));
    // As y-websocket before 3.1 does.
    for (int i = 0; i < 20; ++i) {
        alice.raw(frame);
        w.run(1s);
        CHECK(alice.closed_with == code);
        alice.dial();
        w.run(1s);
        REQUIRE(alice.online());
    }
    CHECK(w.rooms().counters().rejected == 20);
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
    CHECK(w.rooms().clients() == 0);
}
