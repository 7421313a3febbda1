// SPDX-License-Identifier: MIT
// Goal: PersistenceError::message has the place and advice. Method: every code.
#include <belay/room/persistence_like.hpp>

#include "support/catch.hpp"

using namespace belay;

TEST_CASE("PersistenceError::message has the reason, the place and the advice",
          "[room][persistence_error][unit]") {
    const PersistenceError damaged{RoomErrc::snapshot_damaged, "boards/61.room", "of 3 bytes"};
    CHECK(damaged.message() ==
          "boards/61.room: the stored snapshot is damaged (of 3 bytes): restore the file from a "
          "backup of the same log that is not older; or delete the room with `erase`.");
    CHECK(damaged);
    CHECK(std::error_code{damaged} == Cause::corrupt);
    CHECK(!PersistenceError{});
    const auto full = std::make_error_code(std::errc::no_space_on_device);
    CHECK(PersistenceError{full, {}, {}}.message().starts_with("the rooms: "));
    const std::string otherwise =
        PersistenceError{std::make_error_code(std::errc::io_error), {}, {}}.advice();
    for (int i = 1; i <= static_cast<int>(RoomErrc::room_erased); ++i) {
        CHECK(PersistenceError{static_cast<RoomErrc>(i), {}, {}}.advice() != otherwise);
    }
    // An error of a storage on another host has no path.
    for (const std::errc far : {std::errc::connection_refused, std::errc::timed_out})
        CHECK(PersistenceError{std::make_error_code(far), {}, {}}.advice() != otherwise);
    PersistenceError own{std::make_error_code(std::errc::io_error), {}, {}};
    own.cure = "ask its owner";
    CHECK(own.message() == "the rooms: Input/output error: ask its owner.");
}
