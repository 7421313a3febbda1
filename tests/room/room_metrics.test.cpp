// SPDX-License-Identifier: MIT
// Goal: each refusal, throttle and close is counted with its reason, and the metrics have all
// numbers. Method: clients that are refused, throttled and closed in a simulated world.
#include <belay/room/room_metrics.hpp>

#include "support/catch.hpp"
#include "support/metrics/collected.hpp"
#include "support/room/room_world.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

TEST_CASE("visit_metrics passes each member of RoomCounters", "[room][room_metrics][unit]") {
    RoomCounters counters;
    auto& [joined, refused, closed, throttled, upgrades_aborted, updates, unchanged, denied,
           lost_updates, awareness_dropped, resyncs, loads, saves, storage_failures, divergences,
           stateless, reasons, joins, durable_waits] = counters;
    reasons.add(RoomErrc::too_slow);
    reasons.add(YjsErrc::document_full);
    reasons.add(std::make_error_code(std::errc::io_error));
    joins.add(5ms);
    durable_waits.add(1min);
    check_each_member_visited(counters, joined, refused, closed, throttled, upgrades_aborted,
                              updates, unchanged, denied, lost_updates, awareness_dropped, resyncs,
                              loads, saves, storage_failures, divergences, stateless);
    const Collected collected{counters};
    CHECK(collected["rooms.reasons.too_slow"] == 1);
    CHECK(collected["rooms.reasons.document_full"] == 1);
    CHECK(collected["rooms.reasons.other"] == 1);
    CHECK(collected["rooms.reasons.room_erased"] == 0);
    CHECK(collected["rooms.join_seconds"] == 5'000'000);
    CHECK(joins.counts[2] == 1);
    CHECK(durable_waits.counts[12] == 1);
    CHECK(RoomCounters::Reasons::word(23) == "too_slow");
    CHECK(RoomCounters::Reasons::word(29) == "persistence_threw");
}

TEST_CASE("RoomManager counts each refusal and close once, by its reason, and reports it",
          "[room][room_metrics][sim]") {
    RoomWorld w{Seed{1}, {.read_rate_max = 3'200, .read_bytes_burst = 6'400}};
    w.rights.grants["eve"] = Grant{"eve", Access::none, forever};
    RoomEditor alice{w, "alice", 1};
    RoomEditor eve{w, "eve", 2};
    RoomEditor bob{w, "bob", 3};
    w.dial(alice, eve, bob);
    CHECK(w.rooms().counters().reasons.of(RoomErrc::forbidden) == 1);
    bob.raw(Bytes{std::byte{0}, std::byte{9}});
    w.run(1s);
    CHECK(w.rooms().observer().last_reason == RoomErrc::unknown_message);
    CHECK(w.rooms().counters().reasons.of(RoomErrc::unknown_message) == 1);
    // It is throttled once, however long it goes on.
    for (int i = 0; i < 60; ++i) alice.type("x");
    w.run(10s);
    CHECK(w.rooms().counters().throttled == 1);
    CHECK(std::count(w.events.begin(), w.events.end(), "throttled board alice 1") == 1);
    w.rooms().erase("board", Completion<PersistenceError>{[](auto&&) noexcept {}});
    w.run(1s);
    CHECK(w.rooms().observer().last_reason == RoomErrc::room_erased);
    const RoomCounters& counters = w.rooms().counters();
    CHECK(counters.reasons.of(RoomErrc::room_erased) == 1);
    CHECK(counters.refused == 2);
    CHECK(counters.closed == 1);
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < RoomCounters::Reasons::count; ++i) sum += counters.reasons.at(i);
    CHECK(sum == counters.refused + counters.closed);
    const Collected collected{w.rooms()};
    CHECK(collected["rooms.joined"] == 2);
    CHECK(collected["rooms.rooms"] == 0);
    std::uint64_t durable_updates = 0;
    for (const std::uint64_t count : counters.durable.counts) durable_updates += count;
    CHECK(durable_updates == counters.updates);
}
