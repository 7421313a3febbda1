// SPDX-License-Identifier: MIT
// Goal: the bytes of y-websocket frames. Method: golden bytes of the real client, and invalid
// frames.
#include <belay/room/protocols.hpp>

#include "support/catch.hpp"

using namespace belay;
using Kind = part::RoomMessage::Kind;

namespace {
Bytes frame_of(std::initializer_list<int> values) {
    Bytes bytes;
    for (const int v : values) bytes.push_back(static_cast<std::byte>(v));
    return bytes;
}
const YjsProtocol protocol;
std::optional<Kind> kind_of(std::initializer_list<int> values) {
    const Bytes frame = frame_of(values);
    const auto read = protocol.read(frame);
    return read ? std::optional{read->kind} : std::nullopt;
}
}  // namespace

TEST_CASE("YjsProtocol writes frames that Yjs's client reads", "[room][yjs_protocol][golden]") {
    CHECK(protocol.write({Kind::state_vector, {}}) == frame_of({0, 0, 1, 0}));
    CHECK(protocol.write({Kind::state, {}}) == frame_of({0, 1, 2, 0, 0}));
    const Bytes update = frame_of({1, 2, 3});
    CHECK(protocol.write({Kind::update, update}) == frame_of({0, 2, 3, 1, 2, 3}));
    CHECK(protocol.write({Kind::awareness, update}) == frame_of({1, 3, 1, 2, 3}));
    CHECK(protocol.write({Kind::query_awareness, {}}) == frame_of({3}));
    CHECK(protocol.write({Kind::denied, as_bytes("no")}) == frame_of({2, 0, 2, 0x6e, 0x6f}));
}

TEST_CASE("YjsProtocol reads frames that Yjs's client writes", "[room][yjs_protocol][golden]") {
    CHECK(kind_of({0, 0, 1, 0}) == Kind::state_vector);
    CHECK(kind_of({0, 1, 2, 0, 0}) == Kind::state);
    CHECK(kind_of({0, 2, 2, 0, 0}) == Kind::update);
    CHECK(kind_of({1, 1, 0}) == Kind::awareness);
    CHECK(kind_of({2, 0, 1, 'x'}) == Kind::nothing);
    CHECK(kind_of({3}) == Kind::query_awareness);
    // An application's own types, of any content.
    for (const Bytes& own : {frame_of({4}), frame_of({100, 1, 2}), frame_of({0x80, 1, 0xff})}) {
        const auto message = protocol.read(own);
        REQUIRE(message);
        CHECK(message->kind == Kind::stateless);
        CHECK(to_bytes(message->payload) == own);
    }
    const Bytes frame = frame_of({0, 2, 3, 7, 8, 9});
    const auto read = protocol.read(frame);
    REQUIRE(read);
    CHECK(read->payload.data() == frame.data() + 3);
    CHECK(read->payload.size() == 3);
}

TEST_CASE("YjsProtocol rejects all other frames", "[room][yjs_protocol][unit]") {
    for (const auto& bad : {frame_of({}), frame_of({0}), frame_of({0, 0}), frame_of({0, 0, 2, 0}),
                            frame_of({0, 0, 1, 0, 0}), frame_of({1, 5, 0}), frame_of({3, 0}),
                            frame_of({2, 0, 1, 0xff}), frame_of({0x80}),
                            frame_of({0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})}) {
        const auto read = protocol.read(bad);
        REQUIRE_FALSE(read);
        CHECK(read.error() == RoomErrc::malformed_frame);
    }
    CHECK(protocol.read(frame_of({0, 3, 0})).error() == RoomErrc::unknown_message);
}

TEST_CASE("YjsProtocol::split cuts updates, and leaves other bytes unchanged",
          "[room][yjs_protocol][unit]") {
    Bytes update = frame_of({1, 1, 7, 0, 4, 1, 1, 't'});
    yjs::append_varbytes(update, as_bytes(std::string(10'000, 'x')));
    update.push_back(std::byte{0});
    const auto pieces = protocol.split(update, 1000);
    CHECK(pieces.size() > 9);
    const auto joined = yjs::merge_updates(pieces);
    REQUIRE(joined);
    CHECK(yjs::coalesce(joined->update).value() == update);
    CHECK(protocol.split(as_bytes("no update"), 1000).size() == 1);
}

TEST_CASE("YjsProtocol::disjoint", "[room][yjs_protocol][unit]") {
    const Bytes ours = frame_of({2, 9, 4, 7, 1});
    CHECK(protocol.disjoint(ours, frame_of({1, 8, 1})));
    CHECK_FALSE(protocol.disjoint(ours, frame_of({2, 8, 1, 7, 5})));
    CHECK_FALSE(protocol.disjoint(ours, frame_of({0})));
    CHECK_FALSE(protocol.disjoint(frame_of({0}), ours));
    CHECK_FALSE(protocol.disjoint(ours, frame_of({1, 8, 0})));
    CHECK_FALSE(protocol.disjoint(ours, frame_of({})));
}
