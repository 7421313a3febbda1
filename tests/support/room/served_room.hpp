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

/// The room "board", which alice joined a second ago.
struct RoomOfOne {
    RoomOfOne() { w.dial(alice); }

    RoomWorld w{};
    RoomEditor alice{w, "alice", 1};
};

/// The room "board", which alice and bob joined a second ago.
struct RoomOfTwo {
    RoomOfTwo() { w.dial(alice, bob); }

    RoomWorld w{};
    RoomEditor alice{w, "alice", 1};
    RoomEditor bob{w, "bob", 2};
};

/// This many editors at hosts "e1", "e2", ..., which have dialled. Author i is at host i.
inline std::vector<std::unique_ptr<RoomEditor>> joined_editors(RoomWorld& w, std::uint64_t count) {
    std::vector<std::unique_ptr<RoomEditor>> editors;
    for (std::uint64_t i = 1; i <= count; ++i) {
        editors.push_back(std::make_unique<RoomEditor>(w, "e" + std::to_string(i), i));
        editors.back()->dial();
    }
    return editors;
}

/// The stored content of a room.
inline std::optional<StoredRoom> stored_of(RoomScript& disk, std::string_view id = "board") {
    const part::LoadedRoom found = loaded(disk.durable, id);
    REQUIRE(found);
    return *found;
}

}  // namespace belay_test
