// SPDX-License-Identifier: MIT
// Goal: clients of a room whose document is full can make space, and go on. Method: editors and
// viewers in a simulated world, with a small limit of the document.
#include <belay/room/room_manager.hpp>

#include "support/catch.hpp"
#include "support/room/room_editors.hpp"
#include "support/room/room_world.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t bytes_max = std::size_t{64} << 10;

struct FullRoom {
    FullRoom() {
        w.dial(ada);
        ada.type(std::string(bytes_max - 20, 'x'));
        w.run(10s);
        say(typed(3, 0, std::string(100, 'q')));
        REQUIRE(denied() == 1);
    }
    void say(const Bytes& update) {
        ada.say({RoomEditor::Kind::update, update});
        w.run(100ms);
    }
    [[nodiscard]] std::uint64_t denied() {
        return w.rooms().counters().denials.of(YjsErrc::document_full);
    }

    RoomWorld w{Seed{1}, {}, {.bytes_max = bytes_max}};
    RoomEditor ada{w, "ada", 1};
};

}  // namespace

TEST_CASE("RoomManager: an editor of a full document deletes, and types before that is durable",
          "[room][room_full_document][regression]") {
    FullRoom room;
    room.w.disk.flush_takes = 5ms;
    RoomEditor bob{room.w, "bob", 2};
    room.w.dial(bob);
    bob.say({RoomEditor::Kind::update, deletion_of(1, 0, 30'000)});
    bob.type("hello");
    room.w.run(100ms);
    bob.type(" world");
    room.w.run(100ms);
    CHECK(room.denied() == 1);
    RoomEditor eve{room.w, "eve", 4};
    room.w.dial(eve);
    CHECK(eve.document() == state_of(room.w.rooms()));
    CHECK(as_text(eve.document()).find("hello world") != std::string_view::npos);
}

TEST_CASE("RoomManager: a document above its limit accepts edits as soon as enough was deleted",
          "[room][room_full_document][regression]") {
    FullRoom room;
    room.say(deletion_of(1, 100, 50));
    for (std::uint64_t i = 0; i < 20; ++i) room.say(typed(2, 5 * i, "bbbbb"));
    room.w.run(30s);
    REQUIRE(room.w.rooms().stats("board")->bytes > bytes_max);
    room.say(deletion_of(1, 1'000, 20'000));
    for (std::uint64_t i = 0; i < 100; ++i) room.say(typed(3, i, "c"));
    CHECK(room.denied() == 1);
}

TEST_CASE("RoomManager: a document that exceeds its limit by a 64th accepts edits after a save",
          "[room][room_full_document][regression]") {
    FullRoom room;
    room.say(deletion_of(1, 100, 50));
    std::uint64_t letters = 0;
    while (room.denied() == 1) room.say(typed(2, letters++, "b"));
    CHECK(letters < 1'000);
    room.say(deletion_of(1, 1'000, 20'000));
    room.w.run(30s);
    for (std::uint64_t i = 0; i < 100; ++i) room.say(typed(3, i, "c"));
    CHECK(room.denied() == 2);
}

TEST_CASE("RoomManager: a viewer that has edits of a full document stays",
          "[room][room_full_document][regression]") {
    FullRoom room;
    room.w.rights.grants["vera"] = Grant{"vera", Access::view, forever};
    RoomEditor vera = RoomEditor::addressed(room.w, "vera", 2);
    vera.type("typed offline");
    room.w.dial(vera);
    room.w.run(5s);
    CHECK(vera.online());
    CHECK(vera.closed_with == 0);
    CHECK(vera.refusals == 1);
    CHECK(room.w.rooms().counters().denials.of(RoomErrc::forbidden) == 1);
}
