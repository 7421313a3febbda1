// SPDX-License-Identifier: MIT
// Goal: RoomAwareness has space for the ids of one user, however often another one connects again.
// Method: the part alone, with few ids.
#include <belay/room/detail/room_awareness.hpp>

#include "support/catch.hpp"
#include "support/yjs/yjs_editor.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

/// A room with space for eight ids.
struct EightIds {
    /// A client shows a state. It is accepted, although it may be skipped.
    void show(std::uint64_t client, std::string_view user, std::uint64_t id) {
        REQUIRE_FALSE(awareness.receive({client, user}, awareness_of(id, 1, "{}"), now));
        while (!awareness.take_changes(1000).empty()) continue;
    }
    /// A client shows two states, and leaves.
    void pass(std::uint64_t client, std::string_view user) {
        show(client, user, 2 * client);
        show(client, user, 2 * client + 1);
        awareness.close(client, now);
        while (!awareness.take_changes(1000).empty()) continue;
    }
    [[nodiscard]] bool has(std::uint64_t client) const {
        return !awareness.states_of(client).empty();
    }

    RoomOptions options = [] {
        RoomOptions few;
        few.clients_per_room_max = 2;
        few.awareness_ids_per_client_max = 2;
        return few;
    }();
    detail::RoomAwareness awareness{options};
    Instant now{1h};
};

}  // namespace

TEST_CASE("RoomAwareness: a user who connects again and again takes no id of others",
          "[room][room_awareness][unit]") {
    EightIds e;
    e.show(1, "bob", 100);
    e.awareness.close(1, e.now);
    while (!e.awareness.take_changes(1000).empty()) continue;
    for (std::uint64_t client = 2; client <= 20; ++client) e.pass(client, "mallory");
    CHECK(e.awareness.size() <= 8);
    e.show(21, "alice", 200);
    CHECK(e.has(21));
    // An id of bob, who has few, is remembered: no other user takes it.
    e.show(22, "mallory", 100);
    CHECK_FALSE(e.has(22));
    CHECK(e.awareness.size() <= 8);
}

TEST_CASE("RoomAwareness: ids that are shown make way for no other one",
          "[room][room_awareness][unit]") {
    EightIds e;
    for (std::uint64_t client = 1; client <= 8; ++client) e.show(client, "user", client);
    e.show(9, "alice", 200);
    CHECK_FALSE(e.has(9));
    CHECK(e.has(1));
    e.awareness.close(1, e.now);
    e.show(9, "alice", 200);
    // Not before all clients were notified that the id is gone.
    CHECK(e.awareness.size() == 8);
    while (!e.awareness.take_changes(1000).empty()) continue;
    e.show(9, "alice", 200);
    CHECK(e.has(9));
}
