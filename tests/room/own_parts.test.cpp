// SPDX-License-Identifier: MIT
// Goal: a protocol and a document of a user's own serve rooms, on both kinds of connections.
// Method: frames by hand, in simulated worlds, with the archetypes and with a text protocol.
#include <belay/room/room_protocol_like.hpp>

#include <string>
#include <vector>

#include <belay/room/memory_rooms.hpp>
#include <belay/room/room_manager.hpp>
#include <belay/sim/world.hpp>

#include "support/catch.hpp"
#include "support/room/room_archetypes.hpp"
#include "support/room/sign_protocol.hpp"
#include "support/room/words_document.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

/// A transport whose frames a test reads and writes as text.
struct TextFrames {
    using message_type = Bytes;
    struct Connection {
        std::vector<std::string>* sent;
        SendResult send(const Bytes& frame) noexcept {
            sent->emplace_back(as_text(frame));
            return SendResult::sent;
        }
    };
    struct End {
        void send(std::string_view text) {
            static_cast<void>(link.received(to_bytes(as_bytes(text))));
        }
        Link<Bytes> link{};
        std::vector<std::string> received{};
    };
    Connection open(const Link<Bytes>& link) {
        end->link = link;
        static_cast<void>(link.opened());
        return {&end->received};
    }
    End* end;
};

template <class Document>
struct OwnDocumentWorld {
    explicit OwnDocumentWorld(Document empty)
        : rooms{MemoryRooms{}, EveryoneEdits{}, RoomOptions{}, NoObserver{}, std::move(empty)} {
        server.attach(rooms);
        rooms.start();
    }
    void run() { world.run_for(1s); }
    sim::World world{Seed{1}};
    sim::Host& server = world.host("server");
    RoomManager<MemoryRooms, EveryoneEdits, NoObserver, Document> rooms;
};

/// Joins the room "a" by both kinds of connections, and sends an update.
template <class Document>
void serve_both_kinds(Document empty) {
    OwnDocumentWorld<Document> w{std::move(empty)};
    TextFrames::End ada;
    TextFrames::End bob;
    w.rooms.accept(TextFrames{&ada}, MinimalProtocol{0}, RoomRequest{.room_id = "a"});
    w.rooms.accept(TextFrames{&bob}, MinimalProtocolWithAddresses{0}, RoomRequest{});
    w.run();
    bob.send("a");
    ada.send("edit");
    w.run();
    CHECK(w.rooms.counters().rejected == 0);
    REQUIRE(w.rooms.stats("a").has_value());
    CHECK(w.rooms.stats("a")->clients == 2);
}

}  // namespace

TEST_CASE("RoomManager compiles with results that have only the required members",
          "[room][own_parts][unit]") {
    serve_both_kinds(MinimalDocument{0});
}

TEST_CASE("A client of a user's own document receives what it lacks after a state vector",
          "[room][own_parts][unit]") {
    OwnDocumentWorld<WordsDocument> w{WordsDocument{}};
    TextFrames::End ada;
    TextFrames::End bob;
    TextFrames::End eve;
    const RoomRequest request{.room_id = "a"};
    w.rooms.accept(TextFrames{&ada}, SignProtocol{}, request);
    w.run();
    ada.send("+one");
    ada.send("+two");
    w.run();
    w.rooms.accept(TextFrames{&bob}, SignProtocol{}, request);
    w.rooms.accept(TextFrames{&eve}, SignProtocol{}, request);
    w.run();
    bob.send("?one");
    w.run();
    // The server requests the states of both.
    CHECK(bob.received == std::vector<std::string>{"?one two", "=two"});
    CHECK(eve.received == std::vector<std::string>{"?one two"});
}

TEST_CASE("RoomManager passes an empty payload of a client to the document",
          "[room][own_parts][unit]") {
    for (const char* const frame : {"?", "="}) {
        OwnDocumentWorld<YjsDocument> yjs{YjsDocument{}};
        OwnDocumentWorld<WordsDocument> words{WordsDocument{}};
        TextFrames::End ada;
        TextFrames::End bob;
        yjs.rooms.accept(TextFrames{&ada}, SignProtocol{}, RoomRequest{.room_id = "a"});
        words.rooms.accept(TextFrames{&bob}, SignProtocol{}, RoomRequest{.room_id = "a"});
        yjs.run();
        words.run();
        ada.send(frame);
        bob.send(frame);
        yjs.run();
        words.run();
        CHECK(yjs.rooms.counters().rejected == 1);
        CHECK(words.rooms.counters().rejected == 0);
    }
}

TEST_CASE("RoomManager closes a client with awareness of another format, or without a sign of life",
          "[room][own_parts][unit]") {
    OwnDocumentWorld<WordsDocument> w{WordsDocument{}};
    TextFrames::End ada;
    TextFrames::End bob;
    w.rooms.accept(TextFrames{&ada}, SignProtocol{}, RoomRequest{.room_id = "a"});
    w.rooms.accept(TextFrames{&bob}, SignProtocol{}, RoomRequest{.room_id = "a"});
    w.run();
    bob.send("@here");
    w.run();
    CHECK(w.rooms.counters().rejected == 1);
    CHECK(w.rooms.clients() == 1);
    w.world.run_for(30s);
    CHECK(ada.received.back() == "#");
    ada.send(".");
    w.world.run_for(30s);
    CHECK(w.rooms.clients() == 1);
    w.world.run_for(60s);
    CHECK(w.rooms.clients() == 0);
}
