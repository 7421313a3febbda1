// SPDX-License-Identifier: MIT
// Goal: if a document, a protocol or a transport throws, only the room or the client whose call it
// was ends. Method: two rooms in a simulated world, of which the calls of one throw.
#include <belay/room/room_manager.hpp>

#include <functional>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <belay/room/audited.hpp>
#include "support/room/room_protocol_check.hpp"

#include "support/catch.hpp"
#include "support/room/room_world.hpp"
#include "support/room/shared_rooms.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

/// A room whose calls throw, with alice and bob, and another room with carol and dave.
struct ThrowingRoom {
    explicit ThrowingRoom(RoomOptions options = {}, bool addressed = false)
        : w{Seed{1}, options},
          carol{addressed ? RoomEditor::addressed(w, "carol", 3, "other")
                          : RoomEditor{w, "carol", 3}},
          dave{addressed ? RoomEditor::addressed(w, "dave", 4, "other")
                         : RoomEditor{w, "dave", 4}} {
        for (const char* const name : {"carol", "dave"})
            w.requests[name] = {.room_id = "other", .token = name, .ip = name};
        for (RoomEditor* const one : {&alice, &bob, &carol, &dave}) {
            w.dial(*one);
            ids.push_back(w.last_client);
        }
    }
    /// The clients of the other room still share their changes and their presence.
    void check_other() {
        w.run(1s);
        const Bytes update = carol.type("x");
        carol.show("{}");  // the clock may be that of its removal
        carol.show(R"({"at":1})");
        w.run(1s);
        CHECK((carol.online() && dave.online()));
        CHECK(dave.has(update));
        CHECK(dave.document() == carol.document());
        CHECK(dave.present[3] == R"({"at":1})");
    }
    /// The clients of the room whose calls threw connect again, and have the same document.
    void check_room() {
        w.document_before = {};
        w.before_write = {};
        bob.stall(false);
        w.dial(alice, bob);
        w.run(1s);
        CHECK((alice.synced && bob.synced));
        CHECK(alice.document() == bob.document());
    }
    void check_stop() {
        w.document_before = {};
        w.before_write = {};
        w.rooms().stop();
        w.run(w.options.stop_within / 2);
        REQUIRE_FALSE(w.reported.empty());
        CHECK(w.reported.back() == "stopped: ");
    }

    RoomWorld w;
    RoomEditor alice{w, "alice", 1};
    RoomEditor bob{w, "bob", 2};
    RoomEditor carol;
    RoomEditor dave;
    std::vector<RoomClientId> ids{};  ///< in alphabetical order of their names
};

/// Throws what a callable of the user may throw.
void throw_as(bool no_memory) {
    if (no_memory) throw std::bad_alloc{};
    throw CallableThrew{};
}

RoomOptions options_of_a_slow_room() {
    RoomOptions options;
    options.client_bytes_max = 400;
    return options;
}

}  // namespace

TEST_CASE("CountingYjs follows the rules of a protocol", "[room][room_exceptions][unit]") {
    constexpr auto update_kind = part::RoomMessage::Kind::update;
    const Bytes update = typed(7, 0, std::string(3000, 'x'));
    const std::vector<check::ClientFrame> frames{
        {YjsProtocol{}.write({update_kind, update, {}}), update_kind, update, ""}};
    std::size_t cuts = 0;
    CHECK_FALSE(check::room_protocol(
        [&] {
            return CountingYjs{{}, &cuts};
        },
        YjsDocument{}, frames));
    CHECK(cuts > 0);
}

TEST_CASE("RoomManager: a document that throws while its update is sent, sends it to no other room",
          "[room][room_exceptions][fault]") {
    const bool addressed = GENERATE(false, true);
    const bool no_memory = GENERATE(false, true);
    CAPTURE(addressed, no_memory);
    ThrowingRoom t{options_of_a_slow_room(), addressed};
    t.w.world.network().window_bytes(300);
    std::vector<Bytes> of_alice;
    t.bob.stall(true);
    t.w.document_before = [&](std::string_view name) {
        // For a client that lags.
        if (name == "document.state_vector") throw_as(no_memory);
    };
    for (int i = 0; i < 12 && t.w.thrown == 0; ++i) {
        of_alice.push_back(t.alice.type(std::string(300, 'x')));
        t.w.run(100ms);
    }
    REQUIRE(t.w.thrown == 1);
    t.w.document_before = {};
    if (addressed) {
        // The next message of any kind.
        REQUIRE(t.w.rooms().broadcast_stateless("other", "hello"));
    } else {
        t.carol.show("{}");
    }
    t.w.run(1s);
    for (const Bytes& update : of_alice) {
        CHECK_FALSE(t.carol.has(update));
        CHECK_FALSE(t.dave.has(update));
    }
    t.check_other();
    t.check_room();
    t.check_stop();
}

TEST_CASE("RoomManager: a protocol that throws for the awareness of one room, delays no other one",
          "[room][room_exceptions][fault]") {
    const bool no_memory = GENERATE(false, true);
    ThrowingRoom t;
    t.alice.show(R"({"at":0})");
    t.carol.show(R"({"at":0})");
    t.w.run(1s);
    REQUIRE(t.dave.present.contains(3));
    int written = 0;
    t.w.before_write = [&](const part::RoomMessage& message) {
        if (message.kind == part::RoomMessage::Kind::awareness && written++ == 0)
            throw_as(no_memory);
    };
    // The awareness of both rooms changes before the next turn.
    REQUIRE(t.w.rooms().remove_client(t.ids[0]));
    REQUIRE(t.w.rooms().remove_client(t.ids[2]));
    t.w.run(1s);
    CHECK(t.w.thrown == 1);
    CHECK_FALSE(t.dave.present.contains(3));
    CHECK(t.w.rooms().clients() == 2);
    t.w.dial(t.carol);
    t.check_other();
    t.check_room();
    t.check_stop();
}

namespace {

/// A transport that cannot open.
struct OpenThrows {
    using message_type = Bytes;
    struct Connection {
        SendResult send(const Bytes&) noexcept { return SendResult::down; }
    };
    Connection open(const Link<Bytes>&) const {
        throw_as(no_memory);
        return {};
    }
    bool no_memory = false;
};

}  // namespace

TEST_CASE("RoomManager: a transport that throws as it opens ends its own client only",
          "[room][room_exceptions][fault]") {
    ThrowingRoom t;
    const std::string board = GENERATE(as<std::string>{}, "board", "third");
    const std::string token = GENERATE(as<std::string>{}, "eve", "bad");
    const bool no_memory = GENERATE(false, true);
    CAPTURE(board, token, no_memory);
    t.w.rights.grants["bad"] = Grant{"", Access::none, forever};
    t.w.disk.load_takes = 500ms;
    RoomEditor frank{t.w, "frank", 6};
    t.w.requests["frank"] = {.room_id = "third", .token = "frank", .ip = "frank"};
    const RoomRequest request{.room_id = board, .token = token, .ip = "eve"};
    SECTION("with one document") {
        CHECK(t.w.rooms().accept(OpenThrows{no_memory}, YjsProtocol{}, request) != RoomClientId{});
        t.w.dial(frank);
    }
    SECTION("with several documents") {
        CHECK(t.w.rooms().accept(OpenThrows{no_memory}, HocuspocusProtocol{}, request) !=
              RoomClientId{});
        t.w.dial(frank);
    }
    SECTION("while others wait for the load") {
        frank.dial();
        t.w.run(100ms);
        CHECK(t.w.rooms().accept(OpenThrows{no_memory}, YjsProtocol{}, request) != RoomClientId{});
        t.w.run(1s);
    }
    CHECK(t.w.thrown == 1);
    CHECK(frank.synced);
    CHECK(frank.online());
    CHECK((t.alice.online() && t.bob.online()));
    CHECK(t.w.rooms().clients() == 5);
    t.check_other();
    t.check_room();
    t.check_stop();
}

TEST_CASE("RoomManager: a transport that throws as it opens, does not end the stop of the rooms",
          "[room][room_exceptions][fault]") {
    ThrowingRoom t;
    t.w.disk.load_takes = 2s;
    const RoomRequest request{.room_id = "third", .token = "eve", .ip = "eve"};
    t.w.rooms().accept(OpenThrows{}, YjsProtocol{}, request);
    t.w.run(100ms);
    const Bytes update = t.alice.type("x");
    t.w.run(100ms);
    const int saves = t.w.disk.saves;
    CHECK_NOTHROW(t.w.rooms().stop());
    t.w.run(t.w.options.stop_within / 2);
    CHECK(t.w.reported.back() == "stopped: ");
    CHECK(t.w.disk.saves == saves + 1);
    CHECK(t.alice.closed_with == 1001);
    CHECK(t.carol.closed_with == 1001);
    CHECK(t.w.thrown == 1);
}

namespace {

/// Calls on whole rooms of a room whose document throws in its nth call.
struct CallsWhileThrowing {
    using Exported = part::LoadedRoom;

    explicit CallsWhileThrowing(int n) : left{n} {
        REQUIRE(!t.w.disk.durable.reset("stored", Id{std::byte{1}}));
        REQUIRE(!t.w.disk.durable.append("stored", typed(9, 0, "stored")));
        t.w.disk.durable.flush(
            Completion<part::FlushedRooms>{[](std::optional<part::FlushedRooms>) noexcept {}});
        t.w.world.restart(t.w.server);
        t.w.dial(t.alice, t.bob, t.carol, t.dave);
        t.alice.type("live");
        t.w.run(100ms);
        t.w.document_before = [this](std::string_view) {
            if (left-- == 0) throw CallableThrew{};
        };
    }
    /// Makes a call. A call that throws drops its Completion, which is answered at once then.
    template <class F>
    void call(F&& f) {
        try {
            f();
        } catch (const CallableThrew&) {
            ++t.w.thrown;
            REQUIRE(dropped == 1);
            --dropped;
        }
        CHECK(dropped == 0);
        t.w.run(1s);
        CHECK(dropped == 0);
    }
    void export_room(const char* board) {
        ++calls;
        call([&] {
            t.w.rooms().export_room(
                board, Completion<Exported>{[this](std::optional<Exported> r) noexcept {
                    --calls;
                    dropped += r ? 0 : 1;
                }});
        });
    }
    void import_room(const char* board, std::uint64_t author) {
        ++calls;
        StoredRoom content{.snapshot = {typed(author, 0, "one"), typed(author, 3, "two")}};
        call([&] {
            t.w.rooms().import_room(
                board, std::move(content),
                Completion<PersistenceError>{[this](std::optional<PersistenceError> e) noexcept {
                    --calls;
                    dropped += e ? 0 : 1;
                }});
        });
    }

    int left;
    int calls = 0;
    int dropped = 0;
    ThrowingRoom t;
};

}  // namespace

TEST_CASE("RoomManager: a document that throws in a call on a whole room, keeps no place of a call",
          "[room][room_exceptions][fault]") {
    int throws = 0;
    bool thrown = true;
    for (int n = 0; thrown && n < 100; ++n) {
        CAPTURE(n);
        CallsWhileThrowing calls{n};
        calls.export_room("board");
        calls.export_room("stored");
        calls.import_room("board", 21);
        calls.import_room("new", 22);
        calls.import_room("stored", 23);
        calls.import_room("other", 24);
        CHECK(calls.calls == 0);
        thrown = calls.t.w.thrown != 0;
        throws += thrown ? 1 : 0;
        calls.t.w.document_before = {};
        calls.t.w.dial(calls.t.carol, calls.t.dave);
        calls.t.check_other();
        calls.t.check_room();
        calls.t.check_stop();
    }
    CHECK(throws > 20);
}

namespace {

/// A shared storage that reports changes before it answers their flush.
class EchoFirst : public SharedRooms {
public:
    EchoFirst(SharedStore& store, std::vector<Completion<part::FlushedRooms>>& owed)
        : SharedRooms{store, 1}, owed_{&owed} {}
    void flush(Completion<part::FlushedRooms> done) {
        owed_->push_back(std::move(done));
        SharedRooms::flush(
            Completion<part::FlushedRooms>{[](std::optional<part::FlushedRooms>) noexcept {}});
    }

private:
    std::vector<Completion<part::FlushedRooms>>* owed_;
};

}  // namespace

TEST_CASE("RoomManager: an import whose echo throws before its flush is answered, is answered",
          "[room][room_exceptions][fault][regression]") {
    SharedStore store;
    std::vector<Completion<part::FlushedRooms>> owed;
    std::vector<std::string> reported;
    std::function<void(std::string_view)> before;
    std::optional<std::error_code> answer;
    RoomManager<EchoFirst, EveryoneEdits, RoomRecorder, HookedDocument> rooms{
        EchoFirst{store, owed}, EveryoneEdits{}, RoomOptions{}, RoomRecorder{&reported},
        HookedDocument{before}};
    rooms.attach(Waker{});
    Instant now{};
    const auto turn = [&] { rooms.advance(now = after(now, 10ms)); };
    turn();
    rooms.start();
    rooms.import_room("board", StoredRoom{.snapshot = {typed(1, 0, "imported")}},
                      Completion<PersistenceError>{[&](std::optional<PersistenceError> e) noexcept {
                          answer = e ? e->code : make_error_code(RoomErrc::no_answer);
                      }});
    for (int i = 0; i < 5 && owed.empty(); ++i) turn();
    REQUIRE(owed.size() == 1);
    before = [](std::string_view name) {
        if (name == "document.apply") throw CallableThrew{};
    };
    CHECK_THROWS_AS(turn(), CallableThrew);
    turn();
    CHECK(answer == make_error_code(RoomErrc::not_loaded));
    before = {};
    rooms.stop();
    for (int i = 0; i < 5; ++i) turn();
    REQUIRE_FALSE(reported.empty());
    CHECK(reported.back() == "stopped: ");
}

namespace {

/// A shared storage that counts the clients that have left, as other servers are notified.
class CountsLeft : public SharedRooms {
public:
    CountsLeft(SharedStore& store, int& left) : SharedRooms{store, 1}, left_{&left} {}
    void publish(std::string_view id, BytesView message) {
        const auto read = detail::decode_peer_message(message);
        if (read && read->kind == detail::PeerMessage::Kind::left) ++*left_;
        SharedRooms::publish(id, message);
    }

private:
    int* left_;
};
/// A connection that is open at once, and accepts all output.
struct OpensAtOnce {
    using message_type = Bytes;
    struct Connection {
        SendResult send(const Bytes&) noexcept { return SendResult::sent; }
    };
    Connection open(const Link<Bytes>& link) {
        static_cast<void>(link.opened());
        return {};
    }
};

}  // namespace

TEST_CASE("RoomManager: a room that ends by an exception publishes that its clients have left",
          "[room][room_exceptions][fault]") {
    SharedStore store;
    std::vector<std::string> reported;
    std::function<void(std::string_view)> before;
    int left = 0;
    RoomManager<CountsLeft, EveryoneEdits, RoomRecorder, HookedDocument> rooms{
        CountsLeft{store, left}, EveryoneEdits{}, RoomOptions{}, RoomRecorder{&reported},
        HookedDocument{before}};
    rooms.attach(Waker{});
    Instant now{};
    const auto turn = [&] { rooms.advance(now = after(now, 10ms)); };
    turn();
    rooms.start();
    for (int i = 0; i < 3; ++i)
        rooms.accept(OpensAtOnce{}, YjsProtocol{}, RoomRequest{.room_id = "board"});
    for (int i = 0; i < 5; ++i) turn();
    REQUIRE(rooms.stats("board")->clients == 3);
    before = [](std::string_view name) {
        if (name == "document.apply") throw CallableThrew{};
    };
    REQUIRE_FALSE(rooms.apply_update("board", typed(1, 0, "x")));
    CHECK_THROWS_AS(turn(), CallableThrew);
    CHECK(rooms.rooms() == 0);
    CHECK(left == 3);
    before = {};
    rooms.stop();
    for (int i = 0; i < 5; ++i) turn();
    CHECK(left == 3);
}

namespace {

/// An audit that cannot record the accesses to one room.
struct AuditOfOneRoom {
    void record(const AuditRow& row, Completion<std::error_code> done) const {
        if (row.room_id == "board") throw CallableThrew{};
        done(std::error_code{});
    }
};
struct FixedWallClock {
    [[nodiscard]] WallTime now() const noexcept { return WallTime{1s}; }
};
using AuditedRooms =
    RoomManager<MemoryRooms, Audited<EveryoneEdits, AuditOfOneRoom, FixedWallClock>, RoomRecorder>;

}  // namespace

TEST_CASE("RoomManager: an audit that throws for one room rejects the clients of that room only",
          "[room][room_exceptions][fault]") {
    std::vector<std::string> reported;
    sim::World world{Seed{1}};
    sim::Host& server = world.host("server", [&](sim::Host& host) {
        auto rooms =
            std::make_unique<AuditedRooms>(MemoryRooms{},
                                           Audited<EveryoneEdits, AuditOfOneRoom, FixedWallClock>{
                                               EveryoneEdits{}, AuditOfOneRoom{}, FixedWallClock{}},
                                           RoomOptions{}, RoomRecorder{&reported});
        host.attach(*rooms);
        rooms->start();
        host.listen(1, [r = rooms.get()](sim::Accepted accepted) {
            const std::string name{accepted.peer()};
            r->accept(Coded<sim::Accepted>{std::move(accepted)}, YjsProtocol{},
                      {.room_id = name == "alice" ? "board" : "other", .token = name, .ip = name});
        });
        return rooms;
    });
    RoomEditor alice{world, "alice", 1};
    RoomEditor carol{world, "carol", 3};
    RoomEditor dave{world, "dave", 4};
    for (RoomEditor* const one : {&alice, &carol, &dave}) one->dial();
    world.run_for(1s);
    CHECK(alice.closed_with == 1013);
    const Bytes update = carol.type("x");
    world.run_for(1s);
    CHECK(dave.has(update));
    server.process<AuditedRooms>()->stop();
    world.run_for(5s);
    CHECK(reported.back() == "stopped: ");
}
