// SPDX-License-Identifier: MIT
/// \file tests/support/room/served_room.hpp
/// A served room with one editor, with two, or with many. Fixtures for TEST_CASE_METHOD, with
/// `w`, `alice` and `bob`.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "support/catch.hpp"
#include "support/room/persistence_calls.hpp"
#include "support/room/room_world.hpp"

namespace belay_test {

/// "board", with alice in it since a second.
struct RoomOfOne {
    RoomOfOne() { w.dial(alice); }

    RoomWorld w{};
    RoomEditor alice{w, "alice", 1};
};

/// "board", with alice and bob in it since a second.
struct RoomOfTwo {
    RoomOfTwo() { w.dial(alice, bob); }

    RoomWorld w{};
    RoomEditor alice{w, "alice", 1};
    RoomEditor bob{w, "bob", 2};
};

/// So many editors at hosts "e1", "e2", ..., who have dialled: author i is at host i.
inline std::vector<std::unique_ptr<RoomEditor>> joined_editors(RoomWorld& w, std::uint64_t count) {
    std::vector<std::unique_ptr<RoomEditor>> editors;
    for (std::uint64_t i = 1; i <= count; ++i) {
        editors.push_back(std::make_unique<RoomEditor>(w, "e" + std::to_string(i), i));
        editors.back()->dial();
    }
    return editors;
}

/// What the storage has of a room.
inline std::optional<StoredRoom> stored_of(RoomScript& disk, std::string_view id = "board") {
    const part::LoadedRoom found = loaded(disk.durable, id);
    REQUIRE(found);
    return *found;
}

}  // namespace belay_test
