// SPDX-License-Identifier: MIT
// Goal: a client that has failed in a turn, because it cannot receive or its edit is lost, is not
// served in the rest of that turn, and is reported with its first reason. Method: transports that
// reject a frame, each followed by another event in the same turn; a failed flush.
#include <belay/room/room_manager.hpp>

#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/room/room_world.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

using Kind = part::RoomMessage::Kind;

/// Answers each frame with the result in its State. `N` makes two types of it.
template <int N = 0>
struct Answering {
    using message_type = Bytes;
    struct State {
        Link<Bytes> link{};
        std::vector<Bytes> sent{};
        int code = 0;
        SendResult result = SendResult::sent;
        int rejected = 0;
    };
    struct Connection {
        SendResult send(const Bytes& frame) noexcept {
            if (s->result == SendResult::sent) s->sent.push_back(frame);
            if (s->result == SendResult::rejected) ++s->rejected;
            return s->result;
        }
        void close(const Failure& why) noexcept { s->code = why.code; }
        State* s;
    };
    Connection open(const Link<Bytes>& link) {
        s->link = link;
        static_cast<void>(link.opened());
        return {s};
    }
    State* s;
};

/// A joined client of a room.
struct OneClient {
    OneClient() {
        world.run(1s);
        world.rooms().accept(Answering<>{&s}, YjsProtocol{},
                             RoomRequest{.room_id = "board", .token = "alice"});
        world.run(1s);
        REQUIRE(!s.sent.empty());
    }
    void receives(Bytes frame) {
        REQUIRE(s.link.received(std::move(frame)) == driver::Post::taken);
    }
    void says(const part::RoomMessage& message) { receives(YjsProtocol{}.write(message)); }
    /// The server's answer to this is rejected.
    void fails() {
        s.result = SendResult::rejected;
        says({Kind::query_awareness, {}, {}});
    }
    void is_reported(const std::error_code& why) {
        world.run(1s);
        CHECK(world.rooms().observer().last_reason == why);
        CHECK(world.rooms().counters().reasons.of(why) == 1);
        CHECK(world.rooms().counters().rejected == 1);
    }

    RoomWorld world;
    Answering<>::State s{};
};

/// A protocol whose texts cannot be written.
struct ThrowingProtocol : HocuspocusProtocol {
    [[nodiscard]] Bytes write(const part::RoomMessage& message) const {
        if (message.kind == Kind::stateless) throw CallableThrew{};
        return HocuspocusProtocol::write(message);
    }
};

/// A client's first frame for a document.
Bytes token_frame(std::string_view document, std::string_view token) {
    Bytes frame;
    yjs::append_varbytes(frame, as_bytes(document));
    frame.insert(frame.end(), {std::byte{2}, std::byte{0}});
    yjs::append_varbytes(frame, as_bytes(token));
    yjs::append_varbytes(frame, as_bytes("4.8.0"));
    return frame;
}

template <int N, class Protocol>
void join(RoomWorld& world, typename Answering<N>::State& state, Protocol protocol,
          const char* user) {
    world.rooms().accept(Answering<N>{&state}, protocol, RoomRequest{.ip = user});
    world.run(1s);
    REQUIRE(state.link.received(token_frame("board", user)) == driver::Post::taken);
    world.run(1s);
}

}  // namespace

TEST_CASE("A client that cannot receive makes no edit after that", "[room][room_failed_clients]") {
    OneClient one;
    one.fails();
    one.says({Kind::update, typed(7, 0, "x"), {}});
    one.is_reported(RoomErrc::frame_too_large);
    CHECK(one.s.code == 4413);
    CHECK(one.s.rejected == 1);
    CHECK(one.world.rooms().counters().updates == 0);
}

TEST_CASE("A client that cannot receive keeps this reason", "[room][room_failed_clients]") {
    OneClient one;
    one.fails();
    SECTION("if it sends nonsense") {
        one.receives(Bytes{std::byte{1}, std::byte{9}});
        one.is_reported(RoomErrc::frame_too_large);
        CHECK(one.s.code == 4413);
    }
    SECTION("if its transport ends") {
        static_cast<void>(one.s.link.closed(Failure::from(LinkErrc::closed_by_peer)));
        one.is_reported(RoomErrc::frame_too_large);
    }
}

TEST_CASE("The author of a lost edit gets nothing of the reload", "[room][room_failed_clients]") {
    OneClient one;
    one.world.disk.flush_takes = 10ms;
    one.world.disk.fail_flushes = 1;
    one.world.disk.fail_loads = GENERATE(0, 1);
    const std::size_t before = one.s.sent.size();
    one.says({Kind::update, typed(7, 0, "x"), {}});
    one.world.run(1s);
    CHECK(one.world.rooms().counters().reasons.of(RoomErrc::not_durable) == 1);
    CHECK(one.world.rooms().counters().rejected == 1);
    CHECK(one.s.code == 1013);
    CHECK(one.s.sent.size() == before);
}

TEST_CASE("A client that fails in a call that throws is closed in the next turn",
          "[room][room_failed_clients]") {
    RoomWorld world;
    world.run(1s);
    Answering<0>::State a;
    Answering<1>::State b;
    join<0>(world, a, HocuspocusProtocol{}, "alice");
    join<1>(world, b, ThrowingProtocol{}, "bob");
    REQUIRE(world.rooms().stats("board")->clients == 2);
    a.result = SendResult::rejected;
    CHECK_THROWS_AS(world.rooms().broadcast_stateless("board", "hi"), CallableThrew);
    a.result = SendResult::sent;
    const std::size_t before = a.sent.size();
    world.run(0s);
    CHECK(a.code == 4413);
    CHECK(a.sent.size() == before);
}
