// SPDX-License-Identifier: MIT
// Goal: the metrics of a redis::Rooms have all numbers of its status. Method: a status whose
// numbers are different.
#include <belay/redis/rooms.hpp>

#include "support/catch.hpp"
#include "support/metrics/collected.hpp"

using namespace belay;
using belay_test::Collected;

TEST_CASE("visit_metrics passes all numbers of a redis::RoomsStatus",
          "[redis][redis_rooms][metrics][unit]") {
    redis::RoomsStatus status;
    auto& [connected_since, last_outage, connections, outages, gaps, messages_lost, subscriptions,
           rooms_to_save, rooms_known] = status;
    CHECK(Collected{status}["redis_rooms.connected"] == 0);
    connected_since.emplace();
    last_outage = make_error_code(std::errc::connection_refused);
    connections = 2;
    outages = 3;
    gaps = 4;
    messages_lost = 5;
    subscriptions = 6;
    rooms_to_save = 7;
    rooms_known = 8;
    const Collected all{status};
    CHECK(all["redis_rooms.connected"] == 1);
    CHECK(all["redis_rooms.connections"] == 2);
    CHECK(all["redis_rooms.outages"] == 3);
    CHECK(all["redis_rooms.gaps"] == 4);
    CHECK(all["redis_rooms.messages_lost"] == 5);
    CHECK(all["redis_rooms.subscriptions"] == 6);
    CHECK(all["redis_rooms.rooms_to_save"] == 7);
    CHECK(all["redis_rooms.rooms_known"] == 8);
}
