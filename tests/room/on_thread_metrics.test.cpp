// SPDX-License-Identifier: MIT
// Goal: the metrics of an OnThread count what waits. Method: a persistence that waits at a gate.
#include <belay/room/on_thread.hpp>

#include <belay/room/memory_rooms.hpp>

#include <latch>
#include <optional>
#include <utility>
#include <vector>

#include "support/catch.hpp"
#include "support/drive/persistence_doubles.hpp"
#include "support/metrics/collected.hpp"

using namespace belay;
using belay_test::Collected;
using belay_test::GatedRooms;
using belay_test::waited;

TEST_CASE("visit_metrics passes what waits in an OnThread", "[drive][on_thread][metrics][unit]") {
    GatedRooms::Gate gate;
    OnThread rooms{GatedRooms{gate}};
    std::latch flushed{1};
    rooms.flush(Completion<part::FlushedRooms>{[&](auto) noexcept { flushed.count_down(); }});
    gate.arrived.wait();
    CHECK(Collected{rooms}["storage_thread.waiting"] == 0);
    REQUIRE(!rooms.reset("a", Id{std::byte{1}}));
    REQUIRE(!rooms.append("a", as_bytes("12345678")));
    const std::vector<Bytes> snapshot{Bytes(100)};
    std::latch saved{1};
    rooms.save("a", snapshot, 1,
               Completion<PersistenceError>{[&](auto) noexcept { saved.count_down(); }});
    const Collected collected{rooms};
    CHECK(collected["storage_thread.waiting"] == 3);
    CHECK(collected["storage_thread.update_bytes"] == 8);
    CHECK(collected["storage_thread.snapshot_bytes"] == 100);
    gate.opened.count_down();
    flushed.wait();
    saved.wait();
    // A call counts until its answer has returned, and this one was made after the others.
    REQUIRE(waited<part::FlushedRooms>([&](auto done) { rooms.flush(std::move(done)); }));
    CHECK(rooms.queue().calls == 0);
    CHECK(rooms.queue().update_bytes == 0);
    CHECK(rooms.queue().snapshot_bytes == 0);
}

TEST_CASE("visit_metrics passes the numbers of messages of an OnThread",
          "[drive][on_thread][metrics][unit]") {
    OnThreadQueue queue;
    queue.messages = 2;
    queue.message_bytes = 3;
    queue.messages_dropped = 4;
    queue.messages_unread = 5;
    const Collected collected{queue};
    CHECK(collected["storage_thread.messages"] == 2);
    CHECK(collected["storage_thread.message_bytes"] == 3);
    CHECK(collected["storage_thread.messages_dropped"] == 4);
    CHECK(collected["storage_thread.messages_unread"] == 5);
}
