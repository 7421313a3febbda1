// SPDX-License-Identifier: MIT
// Goal: in a server of rooms, one bad item does not hold the others for ever, and
// docs/reference/one-bad-item.md states what happens. Method: as tests/e2e/one_bad_item.test.cpp.
#include <string>

#include <belay/room/room_manager.hpp>

#include "support/catch.hpp"
#include "support/one_bad_item.hpp"
#include "support/room/disk_rooms.hpp"
#include "support/room/room_world.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

// ---- a manager, over memory ----------------------------------------------------------------------

/// A room with two clients, and a client of another room.
struct RoomsWithOneBadItem : RoomWorld {
    explicit RoomsWithOneBadItem(RoomOptions o = {}) : RoomWorld{Seed{1}, o} {
        requests["elsewhere"] = {.room_id = "other", .token = "elsewhere"};
    }
    void check_others() {
        for (RoomEditor* const author : {&bob, &elsewhere}) {
            if (!author->online()) dial(*author);
            const Bytes update = author->type("x");
            run(6s);
            CHECK(author->online());
        }
    }
    RoomEditor alice{*this, "alice", 1};
    RoomEditor bob{*this, "bob", 2};
    RoomEditor elsewhere{*this, "elsewhere", 3};
};

std::string manager_unreadable() {
    RoomsWithOneBadItem w;
    REQUIRE(!w.disk.durable.reset("board", Id{std::byte{1}}));
    REQUIRE(!w.disk.durable.append("board", as_bytes("no update")));
    static_cast<void>(flushed(w.disk.durable));
    w.dial(w.alice, w.elsewhere);
    CHECK(w.alice.closed_with == 1013);
    CHECK(w.rooms().counters().reasons.of(RoomErrc::not_loaded) == 1);
    CHECK(w.elsewhere.online());
    return "The room's clients are closed with 1013, and the reason (`not_loaded`) is reported. "
           "Other rooms are served.";
}
std::string manager_unprocessable() {
    RoomsWithOneBadItem w;
    w.dial(w.alice, w.bob, w.elsewhere);
    w.alice.say({part::RoomMessage::Kind::update, to_bytes(std::string_view{"no update"})});
    w.run(1s);
    CHECK(w.alice.closed_with == 1007);
    CHECK(cause_of(w.rooms().observer().last_reason) == Cause::protocol);
    w.check_others();
    return "The update's sender is closed with 1007, and reported. All other clients are served.";
}
std::string manager_medium() {
    RoomsWithOneBadItem w;
    w.dial(w.alice, w.bob, w.elsewhere);
    w.disk.fail_flushes = 1;
    const Bytes update = w.alice.type("x");
    w.run(1s);
    CHECK(w.alice.closed_with == 1013);
    w.dial(w.alice, w.bob);
    w.run(1s);
    CHECK(w.bob.has(update));
    w.check_others();
    return "The clients of the room are closed with 1013. They reconnect, and send their edits "
           "again.";
}
std::string manager_too_large() {
    RoomsWithOneBadItem w{{.frame_bytes_max = 10'000}};
    w.dial(w.alice, w.bob, w.elsewhere);
    w.alice.type(std::string(20'000, 'x'));
    w.run(1s);
    CHECK(w.alice.closed_with == 4413);
    w.check_others();
    return "The update's sender is closed with 4413, and reported. All other clients are served.";
}

// ---- rooms on files ---------------------------------------------------------------------------------------

/// A server over a log, with the failures that it reports.
struct LoggedBoards {
    struct Failures {
        std::vector<std::string>* rooms;
        void on_room_failed(const RoomFailure& f) {
            rooms->push_back(f.room_id +
                             (f.error.code == RoomErrc::record_damaged ? " damaged" : ""));
        }
    };
    using Rooms = RoomManager<JournalRoomsOnDisk, EveryoneEdits, Failures>;

    LoggedBoards()
        : server{world.host("server", [this](sim::Host& h) {
              auto opened = open_rooms(h.disk());
              REQUIRE(opened);
              auto rooms =
                  std::make_unique<Rooms>(std::move(*opened), EveryoneEdits{}, Failures{&failed});
              h.attach(*rooms);
              rooms->start();
              h.listen(1, [r = rooms.get()](sim::Accepted a) {
                  const std::string room = a.peer() == "bob" || a.peer() == "reader" ? "b" : "a";
                  r->accept(Coded<sim::Accepted>{std::move(a)}, YjsProtocol{}, {.room_id = room});
              });
              return rooms;
          })} {}

    std::vector<std::string> failed{};
    sim::World world{Seed{1}};
    sim::Host& server;
};
std::string journal_rooms_unreadable() {
    sim::Disk disk;
    {
        DiskRooms rooms{disk};
        for (const char* const id : {"a", "b"}) {
            REQUIRE((!rooms->reset(id, Id{std::byte{1}}) && !flushed(*rooms)));
            REQUIRE(!saved(*rooms, id, {to_bytes(std::string{"snapshot of "} + id)},
                           rooms.room(id).position));
        }
        damage_text(disk, "snapshot of a");
        CHECK(loaded(*rooms, "a").error().code == RoomErrc::snapshot_damaged);
        CHECK(loaded(*rooms, "b"));
    }
    CHECK_FALSE(opening_error(disk));

    LoggedBoards w;
    RoomEditor alice{w.world, "alice", 1};
    RoomEditor bob{w.world, "bob", 2};
    alice.dial();
    bob.dial();
    w.world.run_for(1s);
    const Bytes lost = alice.type("of alice");
    w.world.run_for(100ms);
    const Bytes kept = bob.type("of bob");
    w.world.run_for(100ms);
    alice.hang_up();
    bob.hang_up();
    w.world.kill(w.server);
    damage_text(w.server.disk(), "of alice");
    w.world.restart(w.server);
    RoomEditor reader{w.world, "reader", 3};
    reader.dial();
    w.world.run_for(1s);
    CHECK((reader.synced && reader.has(kept)));
    CHECK(w.failed.empty());
    RoomEditor second{w.world, "second", 4};
    second.dial();
    w.world.run_for(1s);
    CHECK((second.synced && !second.has(lost)));
    CHECK(w.failed == std::vector<std::string>{"a damaged"});
    alice.dial();
    w.world.run_for(1s);
    CHECK(second.has(lost));
    return "A damaged snapshot closes its room with 1013, and is reported. If a record of the log "
           "is damaged, the rooms to which it may belong are reported and served.";
}
std::string journal_rooms_disk() {
    sim::Disk disk;
    DiskRooms rooms{disk};
    REQUIRE((!rooms->reset("a", Id{std::byte{1}}) && !flushed(*rooms)));
    check_passing_error(disk,
                        [&] { return !rooms->append("a", as_bytes("1")) && !flushed(*rooms); });
    return "Edits fail with 1013 until the log continues. Their clients send them again.";
}

std::string journal_rooms_too_large() {
    sim::Disk disk;
    DiskRooms rooms{disk};
    REQUIRE((!rooms->reset("a", Id{std::byte{1}}) && !flushed(*rooms)));
    CHECK(!rooms->append("a", Bytes(5000)));
    CHECK_FALSE(flushed(*rooms));
    CHECK(rooms.room("a").updates == std::vector<Bytes>{Bytes(5000)});
    return "There is no limit, because a long change uses several records.";
}

constexpr BadItemRow room_rows[] = {
    {"`RoomManager` over `MemoryRooms`", manager_unreadable, manager_unprocessable, manager_medium,
     manager_too_large},
    {"`JournalRooms`", journal_rooms_unreadable, no_bad_item, journal_rooms_disk,
     journal_rooms_too_large},
};

}  // namespace

TEST_CASE("docs/reference/one-bad-item.md states what one bad item does in a server of rooms",
          "[room][one_bad_item]") {
    check_bad_item_rows(room_rows);
}
