// SPDX-License-Identifier: MIT
// Goal: a RoomManager rejects contradictory options when it is made. Method: such options.
#include <belay/room/room_options.hpp>

#include <string>

#include <belay/room/memory_rooms.hpp>
#include <belay/room/room_manager.hpp>

#include "support/aborts.hpp"
#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;

TEST_CASE("RoomOptions: the error of a wrong option names no other option",
          "[room][room_options][unit]") {
    const auto output = [](const RoomOptions& options) {
        return belay_test::aborts_with([&] {
            const RoomManager rooms{MemoryRooms{}, EveryoneEdits{}, options};
        });
    };
    CHECK(output({.stop_within = 0s}).ends_with("RoomOptions: stop_within must be > 0ns\n"));
    CHECK(output({.waiting_max = 0}).ends_with("RoomOptions: waiting_max must be > 0\n"));
}

TEST_CASE("RoomOptions: close codes must be valid WebSocket codes", "[room][room_options][unit]") {
    const auto output = [](RoomCloseCodes codes) {
        return belay_test::aborts_with([&] {
            const RoomManager rooms{MemoryRooms{}, EveryoneEdits{}, {.close_codes = codes}};
        });
    };
    // Such a code would be sent as 1000, which means a normal end.
    CHECK(output({401, 4403}).find("instead of the HTTP status") != std::string::npos);
    CHECK(output({4401, 403}).find("instead of the HTTP status") != std::string::npos);
    CHECK(output({4401, 5000}).find("instead of the HTTP status") != std::string::npos);
    CHECK(output({1005, 1005}).find("instead of the HTTP status") != std::string::npos);
    CHECK(output({1008, 1008}) == "did not abort");
    CHECK(output({4401, 4403, 1009}) == "did not abort");
    CHECK(output({4401, 4403, 413}).find("too_large: or 1009") != std::string::npos);
    CHECK(output(yjs_close_codes()) == "did not abort");
}
