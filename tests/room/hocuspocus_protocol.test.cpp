// SPDX-License-Identifier: MIT
// Goal: the bytes of hocuspocus frames, and the actions a connection with many documents may
// take before and after admission. Method: golden bytes recorded between @hocuspocus/provider
// 4.8.0 and @hocuspocus/server 3.4.4, and handwritten frames in simulated worlds.
#include <belay/room/protocols.hpp>

#include <algorithm>

#include "support/catch.hpp"
#include "support/hex.hpp"
#include "support/room/hocuspocus_client.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

using Kind = part::RoomMessage::Kind;

namespace {

const HocuspocusProtocol hocuspocus;

/// The name of the document "doc" in a frame.
constexpr std::string_view doc = "03646f63";
std::string of_doc(std::string_view body) { return std::string{doc} + std::string{body}; }
constexpr std::string_view read_write = "02020a726561642d7772697465";
constexpr std::string_view empty_state = "0001020000";
constexpr std::string_view empty_vector = "00000100";
/// Client 7 types "hi", as Yjs writes it.
constexpr std::string_view hi_update = "00020c010107000401017402686900";
bool has_frame(const Frames& frames, std::string_view frame) {
    return std::find(frames.begin(), frames.end(), frame) != frames.end();
}

}  // namespace

// ---- bytes -------------------------------------------------------------------------------------

TEST_CASE("HocuspocusProtocol writes the same bytes as the hocuspocus server",
          "[room][hocuspocus][golden]") {
    CHECK(to_hex(hocuspocus.write({Kind::granted, as_bytes("edit")})) == read_write);
    CHECK(to_hex(hocuspocus.write({Kind::granted, as_bytes("view")})) == "020208726561646f6e6c79");
    CHECK(to_hex(hocuspocus.write({Kind::granted, as_bytes("comment")})) ==
          "020208726561646f6e6c79");
    CHECK(to_hex(hocuspocus.write({Kind::rejected, as_bytes("not you")})) ==
          "0201076e6f7420796f75");
    CHECK(to_hex(hocuspocus.write({Kind::token})) == "0200");
    CHECK(to_hex(hocuspocus.write({Kind::stored})) == "0801");
    CHECK(to_hex(hocuspocus.write({Kind::denied, as_bytes("a viewer")})) == "0800");
    CHECK(to_hex(hocuspocus.write({Kind::close, as_bytes("provider_initiated")})) ==
          "071270726f76696465725f696e69746961746564");
    CHECK(to_hex(hocuspocus.write({Kind::ping})) == "09");
    CHECK(to_hex(hocuspocus.write({Kind::pong})) == "0a");
    CHECK(to_hex(hocuspocus.write({Kind::state_vector})) == empty_vector);
    CHECK(to_hex(hocuspocus.write({Kind::state})) == empty_state);
    CHECK(to_hex(hocuspocus.write({Kind::query_awareness})) == "03");
}

TEST_CASE("HocuspocusProtocol reads the frames of the hocuspocus provider",
          "[room][hocuspocus][golden]") {
    const auto read = [](std::string_view hex, std::string_view name, std::string_view board) {
        const Bytes frame = from_hex(hex);
        const auto address = hocuspocus.address(frame);
        REQUIRE(address);
        CHECK(to_hex(*address) == name);
        CHECK(hocuspocus.room_id(*address) == board);
        const auto message = hocuspocus.read(BytesView{frame}.subspan(address->size()));
        REQUIRE(message);
        return message->kind;
    };
    CHECK(read("03646f6300000100", doc, "doc") == Kind::state_vector);
    CHECK(read("03646f630001020000", doc, "doc") == Kind::state);
    CHECK(read("03646f6300020c010107000401017402686900", doc, "doc") == Kind::update);
    CHECK(read("03646f630106010700027b7d", doc, "doc") == Kind::awareness);
    CHECK(read("03646f6307", doc, "doc") == Kind::close);
    CHECK(read("03646f6303", doc, "doc") == Kind::query_awareness);
    CHECK(read("09", "", "") == Kind::ping);
    CHECK(read("0a", "", "") == Kind::pong);
    // With sessionAwareness.
    CHECK(read("10646f63320034356339346f71736d696500000100", "10646f63320034356339346f71736d6965",
               "doc2") == Kind::state_vector);

    const Bytes token = from_hex("020003746f6b05342e382e30");
    const auto with_version = hocuspocus.read(token);
    REQUIRE(with_version);
    CHECK(with_version->kind == Kind::token);
    CHECK(as_text(with_version->payload) == "tok");
    CHECK(with_version->version == "4.8.0");
    const auto without = hocuspocus.read(BytesView{token}.first(6));  // provider 3.4.4
    REQUIRE(without);
    CHECK(as_text(without->payload) == "tok");
    CHECK(without->version.empty());
}

TEST_CASE("HocuspocusProtocol rejects all other frames", "[room][hocuspocus][unit]") {
    for (const auto* const bad : {"", "05", "0300", "03ff6f6300", "80"}) {
        CHECK(hocuspocus.address(from_hex(bad)).error() == RoomErrc::malformed_frame);
    }
    for (const auto* const bad :
         {"", "0200", "020001", "020001ff", "02000161ff", "0701", "07017878", "0001020000ff", "80",
          "05", "0502", "050278", "05017800", "0501ff"}) {
        CHECK(hocuspocus.read(from_hex(bad)).error() == RoomErrc::malformed_frame);
    }
    // Frames between servers, frames of a server only, and unknown ones.
    for (const auto* const unknown : {"0400000100", "060173", "0801", "0b", "0201016e"}) {
        CHECK(hocuspocus.read(from_hex(unknown)).error() == RoomErrc::unknown_message);
    }
}

// ---- a document --------------------------------------------------------------------------------

TEST_CASE("hocuspocus: a conversation has the same frames as with the real server",
          "[room][hocuspocus][sim][golden]") {
    RoomWorld w;
    HocuspocusClient ada{w, "ada"};
    ada.dial();
    ada.send("03646f63020003746f6b05342e382e30");
    ada.send("03646f6300000100");
    ada.send("03646f630106010700027b7d");
    w.run(1s);
    // The real server sends ada's own state. This one raises her clock, which this client ignores.
    const std::string raises = "03646f630108010707046e756c6c";
    CHECK(ada.received() ==
          Frames{of_doc(read_write), of_doc(empty_state), of_doc(empty_vector), raises, raises});
    ada.send("03646f630001020000");
    w.run(1s);
    CHECK(ada.received() == Frames{"03646f630801"});
    ada.send(of_doc(hi_update));
    w.run(1s);
    CHECK(ada.received() == Frames{"03646f630801"});
    ada.send("03646f6303");
    w.run(1s);
    CHECK(ada.received() == Frames{raises});
    CHECK(w.rooms().get_state("doc").has_value());
    // The room in the request's path is ignored.
    CHECK_FALSE(w.rooms().get_state("board").has_value());
    CHECK(w.rooms().clients() == 1);
    ada.send("03646f6307");
    w.run(1s);
    CHECK(ada.received().empty());
    CHECK(w.rooms().clients() == 0);
    CHECK(ada.closed_with == 0);
    CHECK(w.rooms().counters().updates == 1);
}

TEST_CASE("hocuspocus: a change is acknowledged when it is durable, and not before",
          "[room][hocuspocus][sim]") {
    RoomWorld w;
    w.disk.flush_takes = 2s;
    HocuspocusClient ada{w, "ada"};
    ada.enter({"doc"});
    ada.send(of_doc(hi_update));
    w.run(1900ms);
    CHECK(ada.received().empty());
    w.run(200ms);
    CHECK(ada.received() == Frames{"03646f630801"});
    // A change without new content is acknowledged, too.
    ada.send(of_doc(hi_update));
    w.run(3s);
    CHECK(ada.received() == Frames{"03646f630801"});
    // If a change cannot be stored, its author is closed, and sends it again.
    w.disk.fail_flushes = 1;
    ada.send("doc", to_hex(hocuspocus.write({Kind::update, typed(7, 2, "xyz")})));
    w.run(5s);
    CHECK_FALSE(has_frame(ada.received(), "03646f630801"));
    CHECK(ada.closed_with == 1013);
}

TEST_CASE("hocuspocus: the provider's count of unsynced changes returns to 0",
          "[room][hocuspocus][sim]") {
    RoomWorld w;
    w.disk.flush_takes = 300ms;
    RoomEditor ada = RoomEditor::addressed(w, "ada", 1);
    RoomEditor yjs{w, "yjs", 2};
    ada.type("before it dials");
    ada.dial();
    yjs.dial();
    w.run(100ms);
    CHECK(ada.scope == "read-write");
    CHECK(ada.unsynced == 1);
    w.run(1s);
    CHECK(ada.unsynced == 0);
    for (int i = 0; i < 5; ++i) ada.type("abc");
    CHECK(ada.unsynced == 5);
    w.run(100ms);
    CHECK(ada.unsynced == 5);
    w.run(1s);
    CHECK(ada.unsynced == 0);
    yjs.type("of the other protocol");
    yjs.show("{\"name\":\"yjs\"}");
    ada.show("{\"name\":\"ada\"}");
    w.run(1s);
    CHECK(ada.document() == yjs.document());
    CHECK(ada.present.size() == 2);
    CHECK(yjs.present == ada.present);
    ada.hang_up();
    w.run(1s);
    CHECK(yjs.present.size() == 1);
}

// ---- before admission --------------------------------------------------------------------------

TEST_CASE("hocuspocus: a client that sends no token is closed after 10 s",
          "[room][hocuspocus][sim]") {
    RoomWorld w;
    HocuspocusClient silent{w, "mute"};
    HocuspocusClient busy{w, "busy"};
    silent.dial();
    busy.dial();
    for (int i = 0; i < 95; ++i) {
        busy.send("09");
        w.run(100ms);
    }
    CHECK(silent.closed_with + busy.closed_with == 0);
    w.run(1s);
    CHECK(silent.closed_with == 4001);
    CHECK(busy.closed_with == 4001);
    w.run(5s);
    CHECK_FALSE(silent.open());
    CHECK(w.rooms().rooms() == 0);
    CHECK(w.rooms().counters().rejected == 2);
}

TEST_CASE("hocuspocus: rejected tokens do not keep a connection open", "[room][hocuspocus][sim]") {
    RoomWorld w;
    w.rights.takes = 3s;
    w.rights.grants["no"] = Grant{};
    HocuspocusClient eve{w, "eve"};
    eve.dial();
    int checks = 0;
    for (int i = 0; i < 60 && eve.closed_with == 0; ++i) {
        eve.token("doc" + std::to_string(i), "no");
        w.run(1s);
        checks = w.rights.checks;
    }
    CHECK(eve.closed_with == 4001);
    CHECK(checks <= 11);
}

TEST_CASE("hocuspocus: the server reads few bytes before a token", "[room][hocuspocus][sim]") {
    RoomWorld w;
    HocuspocusClient large{w, "large"};
    large.dial();
    large.send("doc", "0002" + std::string{"8048"} + std::string(2 * 9216, '0'));  // 9 KiB
    HocuspocusClient many{w, "many"};
    many.dial();
    for (int i = 0; i < 2048; ++i) many.send("03646f6303");  // 5 bytes each
    HocuspocusClient little{w, "little"};
    little.dial();
    for (int i = 0; i < 700; ++i) little.send("03646f6303");
    little.token("doc", "little");
    HocuspocusClient long_token{w, "long_token"};
    long_token.dial();
    long_token.token("doc", std::string(9000, 'x'));
    HocuspocusClient long_name{w, "long_name"};
    long_name.dial();
    long_name.token("doc", "me");
    long_name.token(std::string(10'000, 'x'), "me");
    w.run(5s);
    CHECK(large.closed_with == 4413);
    CHECK(many.closed_with == 4413);
    CHECK(little.closed_with == 0);
    CHECK(little.received().front() == of_doc(read_write));
    CHECK(long_token.closed_with == 4413);
    CHECK(long_name.closed_with == 4413);
}

TEST_CASE("hocuspocus: messages for a document before its token have no effect",
          "[room][hocuspocus][sim]") {
    RoomWorld w;
    HocuspocusClient ada{w, "ada"};
    RoomEditor bob{w, "bob", 2};
    w.requests["bob"] = {.room_id = "secret", .token = "bob"};
    bob.dial();
    ada.enter({"doc"});
    for (const auto* const body : {"00000100", "00020c010107000401017402686900", "0106010700027b7d",
                                   "03", "0001020000", "07"}) {
        ada.send("secret", body);
    }
    w.run(1s);
    CHECK(ada.received().empty());
    CHECK(bob.updates == 0);
    CHECK(bob.present.empty());
    CHECK(w.rights.checks == 2);
    CHECK(ada.closed_with == 0);
}

TEST_CASE("hocuspocus: messages after a token wait for its check, within a small limit",
          "[room][hocuspocus][sim]") {
    RoomWorld w;
    w.rights.takes = 3s;
    w.disk.load_takes = 2s;
    RoomEditor ada = RoomEditor::addressed(w, "ada", 1);
    w.dial(ada);
    for (int i = 0; i < 50; ++i) ada.type("typed while it waits");
    w.run(1s);
    CHECK(w.rooms().rooms() == 0);
    w.run(10s);
    CHECK(ada.synced);
    CHECK(ada.unsynced == 0);
    CHECK(state_of(w.rooms()) == ada.document());
}

TEST_CASE("hocuspocus: a client that is not admitted yet may not send a large frame",
          "[room][hocuspocus][sim]") {
    RoomWorld w;
    w.rights.takes = 3s;
    HocuspocusClient eve{w, "eve"};
    eve.dial();
    eve.token("doc", "eve");
    w.run(1s);
    eve.send(Bytes(100'000));
    w.run(1s);
    CHECK(eve.closed_with == 4413);
    HocuspocusClient fay{w, "fay"};
    fay.dial();
    fay.send(Bytes(100'000));
    w.run(5s);
    CHECK(fay.closed_with == 4413);
}
