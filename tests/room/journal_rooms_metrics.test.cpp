// SPDX-License-Identifier: MIT
// Goal: the metrics of a JournalRooms follow its log. Method: a simulated disk.
#include <belay/room/room_metrics.hpp>

#include <belay/sim/disk.hpp>

#include <optional>
#include <system_error>

#include "support/catch.hpp"
#include "support/metrics/collected.hpp"
#include "support/room/disk_rooms.hpp"

using namespace belay;
using belay_test::Collected;

TEST_CASE("visit_metrics passes the log of a JournalRooms",
          "[room][journal_rooms][metrics][unit]") {
    sim::Disk disk;
    auto rooms = belay_test::open_rooms(disk);
    REQUIRE(rooms);
    CHECK(Collected{rooms->status()}["journal_rooms.stored"] == 0);
    REQUIRE((!rooms->reset("a", Id{std::byte{1}}) && !rooms->append("a", as_bytes("1"))));
    rooms->flush(Completion<part::FlushedRooms>{[](std::optional<part::FlushedRooms>) noexcept {}});
    const Collected collected{rooms->status()};
    CHECK(collected["journal_rooms.stored"] == 1);
    CHECK(collected["journal_rooms.log_records"] == rooms->status().log_records);
    CHECK(collected["journal_rooms.log_records"] >= 2);
    CHECK(collected["journal_rooms.log_bytes"] == rooms->status().log_bytes);
    CHECK(collected["journal_rooms.tidying_failed"] == 0);

    JournalRoomsStatus status = rooms->status();
    status.tidying = make_error_code(std::errc::no_space_on_device);
    CHECK(Collected{status}["journal_rooms.tidying_failed"] == 1);
}
