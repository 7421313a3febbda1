// SPDX-License-Identifier: MIT
// Goal: stateless messages of hocuspocus clients reach the hook and the room's other clients, and
// harm no client without a hook. Method: frames by hand, in simulated worlds.
#include <belay/room/protocols.hpp>

#include <belay/room/memory_rooms.hpp>

#include "support/catch.hpp"
#include "support/room/hocuspocus_client.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

struct StatelessObserver {
    std::vector<RoomEvent::Stateless>* messages;
    bool answers = false;
    void on_stateless(auto& rooms, const RoomEvent::Stateless& m) {
        messages->push_back(m);
        if (answers) CHECK(rooms.broadcast_stateless(m.room_id, "re: " + m.payload, m.client));
    }
};
struct TokenIsUser {
    void check(const RoomRequest& r, Completion<Grant> done) const {
        done(Grant{r.token, r.token == "viewer" ? Access::view : Access::edit, forever});
    }
};
using StatelessRooms = RoomManager<MemoryRooms, TokenIsUser, StatelessObserver>;

/// One connection whose frames a test writes and reads as hexadecimal text.
struct ByHand {
    using message_type = Bytes;
    struct Connection {
        Frames* sent;
        SendResult send(const Bytes& frame) noexcept {
            sent->push_back(to_hex(frame));
            return SendResult::sent;
        }
    };
    struct End {
        void send(std::string_view hex) { static_cast<void>(link.received(from_hex(hex))); }
        Link<Bytes> link{};
        Frames received{};
        RoomClientId id{};
    };
    Connection open(const Link<Bytes>& link) {
        end->link = link;
        static_cast<void>(link.opened());
        return {&end->received};
    }
    End* end;
};

struct StatelessWorld {
    explicit StatelessWorld(bool answers = false) {
        server.attach(rooms);
        rooms.observer().answers = answers;
        rooms.start();
        run();
    }
    void run() { world.run_for(1s); }
    /// Joins the room "doc".
    void join(ByHand::End& end, std::string_view user) {
        end.id = rooms.accept(ByHand{&end}, HocuspocusProtocol{}, {.ip = "1"});
        run();
        Bytes token = from_hex("03646f630200");
        yjs::append_varbytes(token, as_bytes(user));
        yjs::append_varbytes(token, as_bytes("4.8.0"));
        end.send(to_hex(token));
        run();
        end.received.clear();
    }
    std::vector<RoomEvent::Stateless> messages{};
    sim::World world{Seed{1}};
    sim::Host& server = world.host("server");
    StatelessRooms rooms{MemoryRooms{}, TokenIsUser{}, RoomOptions{}, StatelessObserver{&messages}};
};
constexpr const char* stateless_hi =
    "03646f63"
    "05"
    "026869";

}  // namespace

TEST_CASE("RoomManager calls on_stateless with the room, the user, the client and the payload",
          "[room][stateless][unit]") {
    StatelessWorld w;
    ByHand::End ada;
    ByHand::End viewer;
    w.join(ada, "ada");
    w.join(viewer, "viewer");
    ada.send(stateless_hi);
    w.run();
    viewer.send("03646f630500");
    w.run();
    REQUIRE(w.messages.size() == 2);
    CHECK(w.messages[0].room_id == "doc");
    CHECK(w.messages[0].user == "ada");
    CHECK(w.messages[0].client == ada.id);
    CHECK(w.messages[0].payload == "hi");
    CHECK(w.messages[1].user == "viewer");
    CHECK(w.messages[1].payload.empty());
    CHECK(w.rooms.counters().stateless == 2);
    CHECK(w.rooms.counters().rejected == 0);
    // The server does not pass a message on by itself.
    CHECK(ada.received.empty());
    CHECK(viewer.received.empty());
}

TEST_CASE("RoomManager::broadcast_stateless reaches the other clients of the room only",
          "[room][stateless][unit]") {
    StatelessWorld w{true};
    ByHand::End ada;
    ByHand::End bob;
    ByHand::End yjs;
    w.join(ada, "ada");
    w.join(bob, "bob");
    w.rooms.accept(ByHand{&yjs}, YjsProtocol{}, {.room_id = "doc", .token = "y", .ip = "1"});
    w.run();
    yjs.received.clear();
    ada.send(stateless_hi);
    w.run();
    CHECK(ada.received.empty());
    CHECK(bob.received == Frames{"03646f63"
                                 "05"
                                 "0672653a206869"});
    CHECK(yjs.received.empty());
    CHECK(w.rooms.broadcast_stateless("doc", ""));
    CHECK_FALSE(w.rooms.broadcast_stateless("other", "hi"));
    w.run();
    CHECK(ada.received == Frames{"03646f630500"});
    CHECK(bob.received.size() == 2);
    CHECK(yjs.received.empty());
}

TEST_CASE("RoomManager passes frames of an application's own type from y-websocket clients",
          "[room][stateless][unit]") {
    StatelessWorld w;
    ByHand::End ada;
    ByHand::End bob;
    ada.id = w.rooms.accept(ByHand{&ada}, YjsProtocol{}, {.room_id = "doc", .token = "ada"});
    w.rooms.accept(ByHand{&bob}, YjsProtocol{}, {.room_id = "doc", .token = "bob"});
    w.run();
    bob.received.clear();
    ada.send("640102");
    w.run();
    REQUIRE(w.messages.size() == 1);
    CHECK(w.messages[0].user == "ada");
    CHECK(w.messages[0].payload == "\x64\x01\x02");
    CHECK(w.rooms.counters().rejected == 0);
    CHECK(bob.received.empty());
    CHECK(w.rooms.broadcast("doc", as_bytes(w.messages[0].payload), w.messages[0].client));
    w.run();
    CHECK(bob.received == Frames{"640102"});
}

TEST_CASE("RoomManager counts and ignores frames of y-websocket without a hook",
          "[room][stateless][sim]") {
    RoomWorld w;
    RoomEditor ada{w, "ada", 1};
    w.dial(ada);
    ada.raw(from_hex("640102"));
    const Bytes update = ada.type("still");
    w.run(1s);
    CHECK(ada.closed_with == 0);
    CHECK(w.rooms().counters().stateless == 1);
    CHECK(w.rooms().counters().rejected == 0);
    CHECK(w.rooms().counters().updates == 1);
}

TEST_CASE("RoomManager counts and ignores stateless messages without a hook",
          "[room][stateless][sim]") {
    RoomWorld w;
    HocuspocusClient ada{w, "ada"};
    ada.enter({"doc"});
    ada.send(stateless_hi);
    ada.send("doc", update_frame(7, 0, "still"));
    w.run(1s);
    CHECK(ada.received() == Frames{"03646f630801"});
    CHECK(ada.closed_with == 0);
    CHECK(w.rooms().counters().stateless == 1);
    CHECK(w.rooms().counters().rejected == 0);
    // A document without access has no stateless messages, and their text must be UTF-8.
    ada.send("other", "05026869");
    w.run(1s);
    CHECK(w.rooms().counters().stateless == 1);
    CHECK(ada.closed_with == 0);
    ada.send("doc", "0501ff");
    w.run(1s);
    CHECK(ada.closed_with == 1007);
}

TEST_CASE("RoomManager limits the rate of stateless messages", "[room][stateless][sim]") {
    RoomOptions options;
    options.read_rate_max = 3'000;
    const auto taken_of = [&](std::size_t payload, int messages) {
        RoomWorld w{Seed{1}, options};
        HocuspocusClient ada{w, "ada"};
        ada.enter({"doc"});
        w.run(30s);  // the rate for its token is free again
        for (int i = 0; i < messages; ++i) {
            Bytes body{std::byte{5}};
            yjs::append_varbytes(body, Bytes(payload, std::byte{'x'}));
            ada.send("doc", to_hex(body));
        }
        w.run(2s);
        CHECK(ada.closed_with == 0);
        return w.rooms().counters().stateless;
    };
    const std::uint64_t small = taken_of(10, 200);
    CHECK(small >= 40);
    CHECK(small <= 80);
    // A payload of 10 KiB costs as much as forty frames.
    CHECK(taken_of(10'240, 50) <= 10);
}
