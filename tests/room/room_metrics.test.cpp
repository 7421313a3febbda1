// SPDX-License-Identifier: MIT
// Goal: each rejection, throttle and close is counted with its reason, and the metrics have all
// numbers. Method: clients that are rejected, throttled and closed in a simulated world.
#include <belay/room/room_metrics.hpp>

#include <algorithm>

#include "support/catch.hpp"
#include "support/metrics/collected.hpp"
#include "support/room/room_world.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

TEST_CASE("RoomCounters: a sum of times that would overflow is the longest time",
          "[room][room_metrics][unit]") {
    RoomCounters::Histogram times;
    times.add(forever);
    times.add(1s);
    CHECK(times.sum == forever);
    CHECK(times.counts.back() == 1);
}

TEST_CASE("visit_metrics passes each member of RoomCounters", "[room][room_metrics][unit]") {
    RoomCounters counters;
    auto& [joined, rejected, closed, throttled, upgrades_aborted, updates, unchanged, denied,
           lost_updates, awareness_dropped, resyncs, loads, loads_rejected, flushes, saves,
           storage_failures, divergences, stateless, reasons, failures, denials, evictions, joins,
           durable_waits, deliveries, loading, flushing, saving] = counters;
    reasons.add(RoomErrc::too_slow);
    reasons.add(YjsErrc::document_full);
    reasons.add(std::make_error_code(std::errc::permission_denied));
    failures.add(RoomErrc::snapshot_damaged);
    denials.add(RoomErrc::forbidden);
    for (int i = 0; i < 2; ++i) denials.add(YjsErrc::document_full);
    joins.add(5ms);
    durable_waits.add(1min);
    deliveries.add(6ms);
    loading.add(7ms);
    flushing.add(8ms);
    saving.add(9ms);
    evictions.add({});
    for (const RoomErrc why : {RoomErrc::not_durable, RoomErrc::room_erased}) evictions.add(why);
    check_each_member_visited(counters, joined, rejected, closed, throttled, upgrades_aborted,
                              updates, unchanged, denied, lost_updates, awareness_dropped, resyncs,
                              loads, loads_rejected, flushes, saves, storage_failures, divergences,
                              stateless);
    const Collected collected{counters};
    CHECK(collected["rooms.reasons.too_slow"] == 1);
    CHECK(collected["rooms.reasons.document_full"] == 1);
    CHECK(collected["rooms.reasons.other"] == 1);
    CHECK(collected["rooms.reasons.room_erased"] == 0);
    CHECK(collected["rooms.failures.snapshot_damaged"] == 1);
    CHECK(collected["rooms.failures.too_slow"] == 0);
    CHECK(collected["rooms.denials.forbidden"] == 1);
    CHECK(collected["rooms.denials.document_full"] == 2);
    CHECK(collected["rooms.join_seconds"] == 5'000'000);
    CHECK(collected["rooms.delivered_seconds"] == 6'000'000);
    CHECK(collected["rooms.load_seconds"] == 7'000'000);
    CHECK(collected["rooms.flush_seconds"] == 8'000'000);
    CHECK(collected["rooms.save_seconds"] == 9'000'000);
    CHECK(collected["rooms.evictions.idle"] == 1);
    CHECK(collected["rooms.evictions.not_durable"] == 1);
    CHECK(collected["rooms.evictions.room_erased"] == 1);
    CHECK(collected["rooms.evictions.not_loaded"] == 0);
    CHECK(joins.counts[2] == 1);
    CHECK(durable_waits.counts[12] == 1);
    CHECK(RoomCounters::Reasons::word(23) == "too_slow");
    CHECK(RoomCounters::Reasons::word(29) == "persistence_threw");
}

TEST_CASE("RoomManager counts each rejection and close once, by its reason, and reports it",
          "[room][room_metrics][sim]") {
    RoomWorld w{Seed{1}, {.read_rate_max = 4'000}};
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
    // Throttling counts once, for any number of messages while it lasts.
    for (int i = 0; i < 60; ++i) alice.type("x");
    w.run(10s);
    CHECK(w.rooms().counters().throttled == 1);
    CHECK(std::count(w.events.begin(), w.events.end(), "throttled board alice 1") == 1);
    w.rooms().erase("board", Completion<PersistenceError>{[](auto&&) noexcept {}});
    w.run(1s);
    CHECK(w.rooms().observer().last_reason == RoomErrc::room_erased);
    const RoomCounters& counters = w.rooms().counters();
    CHECK(counters.reasons.of(RoomErrc::room_erased) == 1);
    CHECK(counters.rejected == 2);
    CHECK(counters.closed == 1);
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < RoomCounters::Reasons::count; ++i) sum += counters.reasons.at(i);
    CHECK(sum == counters.rejected + counters.closed);
    const Collected collected{w.rooms()};
    CHECK(collected["rooms.joined"] == 2);
    CHECK(collected["rooms.rooms"] == 0);
    std::uint64_t durable_updates = 0;
    for (const std::uint64_t count : counters.durable.counts) durable_updates += count;
    CHECK(durable_updates == counters.updates);
}

namespace {

[[nodiscard]] std::uint64_t sum_of(const RoomCounters::Histogram& times) {
    std::uint64_t all = 0;
    for (const std::uint64_t count : times.counts) all += count;
    return all;
}

}  // namespace

TEST_CASE("RoomManager counts clients, edits and calls of the storage with their times",
          "[room][room_metrics][sim]") {
    RoomWorld w;
    w.rights.grants["eve"] = Grant{"eve", Access::none, forever};
    RoomEditor alice{w, "alice", 1};
    RoomEditor bob{w, "bob", 2};
    RoomEditor eve{w, "eve", 3};
    w.dial(alice, bob, eve);
    for (int edit = 0; edit < 5; ++edit) {
        alice.type("x");
        w.run(100ms);
    }
    bob.raw(Bytes{std::byte{0}, std::byte{9}});
    w.run(1min);
    const RoomCounters& all = w.rooms().counters();
    CHECK(all.joined == 2);
    CHECK(all.updates == 5);
    CHECK(all.rejected == 2);
    CHECK(all.reasons.of(RoomErrc::forbidden) == 1);
    CHECK(all.reasons.of(RoomErrc::unknown_message) == 1);
    CHECK(all.loads == 1);
    CHECK((sum_of(all.loading) == 1 && all.saves != 0 && sum_of(all.saving) == all.saves));
    CHECK((sum_of(all.joins) == 2 && sum_of(all.durable) == 5 && sum_of(all.delivered) == 5));
    CHECK((all.flushes != 0 && sum_of(all.flushing) == all.flushes));
    w.rooms().erase("board", Completion<PersistenceError>{[](auto&&) noexcept {}});
    w.run(1s);
    CHECK(all.evictions.of(RoomErrc::room_erased) == 1);
    CHECK(w.rooms().observer().last_eviction == RoomErrc::room_erased);
    w.dial(bob);
    w.rooms().stop();
    w.run(1min);
    CHECK(w.rooms().observer().last_eviction == RoomErrc::manager_stopped);
    CHECK(all.evictions.of(RoomErrc::manager_stopped) == 1);
}

TEST_CASE("RoomManager counts each denied edit by its reason, and reports one for each grant",
          "[room][room_metrics][sim]") {
    RoomWorld w{Seed{1}, {}, {.bytes_max = 200}};
    w.rights.grants["eve"] = Grant{"eve", Access::view, forever};
    // y-websocket, or Hocuspocus with one document.
    const bool addressed = GENERATE(false, true);
    RoomEditor alice{w, "alice", 1};
    RoomEditor eve = addressed ? RoomEditor::addressed(w, "eve", 2) : RoomEditor{w, "eve", 2};
    w.dial(alice, eve);
    const auto denied = [&](const std::error_code& why) {
        return w.rooms().counters().denials.of(why);
    };
    const auto reported = [&] {
        return std::count(w.events.begin(), w.events.end(), "denied board eve 2");
    };
    for (int i = 0; i < 3; ++i) eve.type("x");
    w.run(1s);
    CHECK(denied(RoomErrc::forbidden) == 3);
    CHECK(reported() == 1);
    CHECK(w.rooms().observer().last_denial == RoomErrc::forbidden);
    w.rooms().reauthorize("board");
    w.run(1s);
    for (int i = 0; i < 3; ++i) eve.type("x");
    w.run(1s);
    CHECK(denied(RoomErrc::forbidden) == 6);
    CHECK(reported() == 2);
    CHECK(w.rooms().counters().rejected == 0);

    for (int i = 0; i < 3; ++i) alice.type(std::string(300, 'x'));
    w.run(1s);
    CHECK(denied(RoomErrc::document_full) == 3);
    CHECK(w.rooms().counters().denied == 9);
    CHECK(w.rooms().counters().reasons.of(RoomErrc::document_full) == 1);
    CHECK(w.rooms().counters().rejected == 1);
    CHECK(w.reported.size() == 1);
    CHECK(alice.online());
    CHECK(eve.online());
}

TEST_CASE("visit_metrics: the samples of `denials` have the sum of `denied`",
          "[room][room_metrics][regression]") {
    RoomWorld w{Seed{1}, {.awareness_bytes_max = 100}, {.bytes_max = 200}};
    w.rights.grants["eve"] = Grant{"eve", Access::view, forever};
    RoomEditor alice{w, "alice", 1};
    RoomEditor eve{w, "eve", 2};
    w.dial(alice, eve);
    eve.type("x");
    alice.type(std::string(300, 'x'));
    alice.show('"' + std::string(1'000, 'x') + '"');
    w.run(1s);
    const RoomCounters& counters = w.rooms().counters();
    CHECK(counters.denied == 3);
    std::uint64_t samples = 0;
    metrics::visit_metrics(counters, [&](const metrics::Metric& m) {
        if (std::string_view{m.name} == "denials") samples += static_cast<std::uint64_t>(m.value);
    });
    CHECK(samples == counters.denied);
}
