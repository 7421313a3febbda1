// SPDX-License-Identifier: MIT
// Goal: the metrics of a redis::Rooms have all numbers of its status. Method: a status whose
// numbers are different.
#include <belay/redis/rooms_metrics.hpp>

#include "support/catch.hpp"
#include "support/metrics/collected.hpp"

using namespace belay;
using belay_test::Collected;

TEST_CASE("visit_metrics passes all numbers of a redis::RoomsStatus",
          "[redis][redis_rooms][metrics][unit]") {
    redis::RoomsStatus status;
    auto& [connected_since, last_outage, connections, outages, gaps, calls, update_bytes,
           snapshot_bytes, messages, message_bytes, messages_dropped, messages_lost,
           messages_unread, subscriptions, rooms_to_save, rooms_known] = status;
    CHECK(Collected{status}["redis_rooms.connected"] == 0);
    connected_since.emplace();
    last_outage = make_error_code(std::errc::connection_refused);
    connections = 2;
    outages = 3;
    gaps = 4;
    calls = 5;
    update_bytes = 6;
    snapshot_bytes = 7;
    messages = 8;
    message_bytes = 9;
    messages_dropped = 10;
    messages_lost = 11;
    messages_unread = 12;
    subscriptions = 13;
    rooms_to_save = 14;
    rooms_known = 15;
    const Collected all{status};
    CHECK(all["redis_rooms.connected"] == 1);
    CHECK(all["redis_rooms.connections"] == 2);
    CHECK(all["redis_rooms.outages"] == 3);
    CHECK(all["redis_rooms.gaps"] == 4);
    CHECK(all["redis_rooms.waiting"] == 5);
    CHECK(all["redis_rooms.update_bytes"] == 6);
    CHECK(all["redis_rooms.snapshot_bytes"] == 7);
    CHECK(all["redis_rooms.messages"] == 8);
    CHECK(all["redis_rooms.message_bytes"] == 9);
    CHECK(all["redis_rooms.messages_dropped"] == 10);
    CHECK(all["redis_rooms.messages_lost"] == 11);
    CHECK(all["redis_rooms.messages_unread"] == 12);
    CHECK(all["redis_rooms.subscriptions"] == 13);
    CHECK(all["redis_rooms.rooms_to_save"] == 14);
    CHECK(all["redis_rooms.rooms_known"] == 15);
}
