// SPDX-License-Identifier: MIT
// Goal: a storage that answers slowly, or not at all, holds no client without a limit of time.
// Method: loads of more rooms than loads_max in a simulated world.
#include <belay/room/room_manager.hpp>

#include "support/catch.hpp"
#include "support/room/room_world.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

/// More rooms than loads_max, each with a client that waits for its load.
struct ManyRooms {
    explicit ManyRooms(const RoomOptions& options) : w{Seed{1}, options} {
        for (int i = 0; i < 6; ++i) {
            const std::string name = "user" + std::to_string(i);
            w.requests[name] = {.board = "room" + std::to_string(i), .token = name};
            clients.push_back(std::make_unique<RoomEditor>(w, name, 1 + clients.size()));
        }
    }
    void dial() {
        for (const auto& one : clients) one->dial();
    }
    [[nodiscard]] long closed_with(int code) const {
        return std::count_if(clients.begin(), clients.end(),
                             [&](const auto& one) { return one->closed_with == code; });
    }
    [[nodiscard]] long synced() const {
        return std::count_if(clients.begin(), clients.end(),
                             [](const auto& one) { return one->synced; });
    }

    RoomWorld w;
    std::vector<std::unique_ptr<RoomEditor>> clients{};
};

[[nodiscard]] RoomOptions two_loads() {
    RoomOptions options;
    options.loads_max = 2;
    options.load_queued_within = 7s;
    options.answer_within = 5s;
    return options;
}

}  // namespace

TEST_CASE("RoomManager rejects a load that waits for loads_max longer than load_queued_within",
          "[room][room_loads][sim]") {
    ManyRooms m{two_loads()};
    RoomWorld& w = m.w;
    for (int i = 0; i < 6; ++i) REQUIRE(w.rooms().count_room("room" + std::to_string(i)));
    w.disk.hang_loads = 1000;
    m.dial();
    // Two loads time out after 5 s, and the next two begin. The last two wait for longer than 7 s.
    w.run(6s);
    CHECK(m.closed_with(1013) == 2);
    CHECK(w.rooms().counters().loads_rejected == 0);
    w.run(1500ms);
    CHECK(m.closed_with(1013) == 4);
    const RoomCounters& counters = w.rooms().counters();
    CHECK(counters.loads_rejected == 2);
    for (int i = 0; i < 6; ++i) {
        const auto& one = *w.rooms().counters("room" + std::to_string(i));
        CHECK(one.loads + one.loads_rejected == 1);
    }
    CHECK(counters.loads == 4);
    CHECK(counters.storage_failures == 4);
    CHECK(counters.reasons.of(RoomErrc::not_loaded) == 4);
    const std::vector<PersistenceError>& failures = w.rooms().observer().failures;
    REQUIRE(failures.size() == 4);
    CHECK(failures.back().code == RoomErrc::storage_busy);
    CHECK(failures.back().what == "the load waited for loads_max longer than load_queued_within");
    CHECK(w.reported.back().ends_with(": the room is not loaded"));
    w.run(5s);
    CHECK(m.closed_with(1013) == 6);
    CHECK(w.rooms().clients() == 0);
    CHECK(w.rooms().rooms() == 0);
    // The storage answers again: every client joins.
    w.disk.hang_loads = 0;
    m.dial();
    w.run(1s);
    CHECK(m.synced() == 6);
    CHECK(counters.loads_rejected == 2);
}

TEST_CASE("RoomManager: a storage that answers slowly delays a client by a bounded time",
          "[room][room_loads][sim]") {
    ManyRooms m{two_loads()};
    m.w.disk.load_takes = 4s;
    m.dial();
    // Each client is admitted or closed within load_queued_within and answer_within.
    m.w.run(12s + 100ms);
    CHECK(m.synced() == 4);
    CHECK(m.closed_with(1013) == 2);
    // Those that dial again join later.
    for (const auto& one : m.clients) {
        if (one->closed_with == 1013) one->dial();
    }
    m.w.run(5s);
    CHECK(m.synced() == 6);
}

TEST_CASE(
    "RoomManager: clients of a room that is loaded again are closed when the load is rejected",
    "[room][room_loads][sim]") {
    ManyRooms m{two_loads()};
    RoomWorld& w = m.w;
    m.dial();
    w.run(1s);
    REQUIRE(m.synced() == 6);
    // A failed flush loses the changes of all rooms.
    w.disk.fail_flushes = 1;
    w.disk.hang_loads = 4;
    for (int i = 0; i < 6; ++i) {
        REQUIRE_FALSE(w.rooms().apply_update("room" + std::to_string(i), typed(9, 0, "x")));
    }
    w.run(8s);
    CHECK(m.closed_with(1013) == 4);
    CHECK(w.rooms().counters().loads_rejected == 2);
    w.run(4s);
    CHECK(m.closed_with(1013) == 6);
    m.dial();
    w.run(1s);
    CHECK(m.synced() == 6);
}
