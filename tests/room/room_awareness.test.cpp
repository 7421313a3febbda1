// SPDX-License-Identifier: MIT
// Goal: RoomAwareness has space for the ids of one user, however often another one connects again,
// and visits each state once for a publication.
// Method: the part alone, with few ids.
#include <belay/room/detail/room_awareness.hpp>

#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/yjs/yjs_editor.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

/// A room with space for the ids of one client, and as many removed ones.
struct SixteenIds {
    /// A client shows a state. It is accepted, although it may be skipped.
    void show(std::uint64_t client, std::string_view user, std::uint64_t id) {
        REQUIRE_FALSE(awareness.receive({client, user}, awareness_of(id, 1, "{}"), now));
        while (!awareness.take_changes(1000, behind).empty()) continue;
    }
    /// A client shows two states, and leaves.
    void pass(std::uint64_t client, std::string_view user) {
        show(client, user, 2 * client);
        show(client, user, 2 * client + 1);
        awareness.close(client, now);
        while (!awareness.take_changes(1000, behind).empty()) continue;
    }
    [[nodiscard]] bool has(std::uint64_t client) const {
        return !awareness.states_of({client}, no_limit).front().empty();
    }

    RoomOptions options = [] {
        RoomOptions few;
        few.clients_per_room_max = 1;
        return few;
    }();
    detail::RoomAwareness awareness{options};
    std::vector<std::uint64_t> behind{};
    Instant now{1h};
};

}  // namespace

TEST_CASE("RoomAwareness: a user who connects again and again takes no id of other users",
          "[room][room_awareness][unit]") {
    SixteenIds e;
    e.show(1, "bob", 100);
    e.awareness.close(1, e.now);
    while (!e.awareness.take_changes(1000, e.behind).empty()) continue;
    for (std::uint64_t client = 2; client <= 20; ++client) e.pass(client, "mallory");
    CHECK(e.awareness.size() <= 16);
    e.show(21, "alice", 200);
    CHECK(e.has(21));
    // The removed id of bob, who has few ids, is remembered, so no other user gets its place.
    e.show(22, "mallory", 100);
    CHECK_FALSE(e.has(22));
    CHECK(e.awareness.size() <= 16);
}

TEST_CASE("RoomAwareness: an id that is shown is never removed for another one",
          "[room][room_awareness][unit]") {
    SixteenIds e;
    for (std::uint64_t client = 1; client <= 16; ++client) e.show(client, "user", client);
    e.show(17, "alice", 200);
    CHECK_FALSE(e.has(17));
    CHECK(e.has(1));
    e.awareness.close(1, e.now);
    e.show(17, "alice", 200);
    // The place is free only after all clients were notified that the id is gone.
    CHECK(e.awareness.size() == 16);
    while (!e.awareness.take_changes(1000, e.behind).empty()) continue;
    e.show(17, "alice", 200);
    CHECK(e.has(17));
}

TEST_CASE("RoomAwareness::states_of visits each state once, for any number of clients",
          "[room][room_awareness][unit]") {
    RoomOptions options;
    detail::RoomAwareness awareness{options};
    std::vector<std::uint64_t> clients;
    for (std::uint64_t client = 1; client <= 200; ++client) {
        clients.push_back(client);
        // In another order than the clients; the third client has none.
        for (std::uint64_t id = 1'000 - client; id < 1'000'000 && client != 3; id += 250'000)
            REQUIRE_FALSE(
                awareness.receive({client, "user"}, awareness_of(id, client, "{}"), Instant{1h}));
    }
    REQUIRE(awareness.size() == 199 * 4);
    std::size_t visited = 0;
    const std::vector<Bytes> all = awareness.states_of(clients, no_limit, false, &visited);
    CHECK(visited == awareness.size());
    REQUIRE(all.size() == clients.size());
    for (std::size_t i = 0; i < clients.size(); ++i)
        REQUIRE(all[i] == awareness.states_of({clients[i]}, no_limit).front());
    CHECK(all[2].empty());
    CHECK(all[3].size() > 4 * 2);
    CHECK(awareness.states_of({}, 0).empty());
    CHECK(awareness.states_of({7, 201, 5}, no_limit) ==
          std::vector<Bytes>{all[6], Bytes{}, all[4]});
}

TEST_CASE("RoomAwareness::states_of ends before the states that exceed the limit",
          "[room][room_awareness][unit]") {
    RoomOptions options;
    detail::RoomAwareness awareness{options};
    const std::string state = '"' + std::string(3'000, 'x') + '"';
    const std::uint64_t clock = (std::uint64_t{1} << 32) - 1;
    const auto show = [&](std::uint64_t client, std::uint64_t id, std::string_view json) {
        REQUIRE_FALSE(
            awareness.receive({client, "user"}, awareness_of(id, clock, json), Instant{1h}));
    };
    show(1, 5, state);
    show(1, std::uint64_t{1} << 52, state);
    show(2, 6, state);
    show(4, 7, "1");
    const auto count = [&](std::size_t bytes_max) {
        return awareness.states_of({1, 2, 3, 4}, bytes_max).size();
    };
    const std::size_t first = awareness.states_of({1}, no_limit).front().size();
    const std::size_t both = first + awareness.states_of({2}, no_limit).front().size();
    CHECK(count(0) == 1);
    CHECK(count(both - 10) == 1);
    CHECK(count(both + 100) == 4);
    CHECK(count(no_limit) == 4);
    awareness.close(1, Instant{1h});
    CHECK(count(0) == 1);
    CHECK(count(both - first + 100) == 4);
}
