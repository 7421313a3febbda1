// SPDX-License-Identifier: MIT
// Goal: every error has a text and a cause. Method: all values, and the ones beyond.
#include <belay/room/room_errc.hpp>

#include "support/catch.hpp"

using namespace belay;

TEST_CASE("RoomErrc has a text and a cause for every value", "[room][room_errc][unit]") {
    for (int i = 1; i <= static_cast<int>(RoomErrc::too_many_of_user); ++i) {
        if (i >= 2 && i <= 4) continue;  // not in use
        const std::error_code code = static_cast<RoomErrc>(i);
        CHECK(code.message() != "unknown error");
        CHECK(cause_of(code) != Cause::none);
        CHECK(cause_of(code) != Cause::lost);
        CHECK(std::string{code.category().name()} == "belay.room");
    }
    const std::error_code beyond{static_cast<int>(RoomErrc::too_many_of_user) + 1,
                                 belay::detail::room_category()};
    CHECK(beyond.message() == "unknown error");
    CHECK(make_error_code(RoomErrc::malformed_update) == Cause::protocol);
    CHECK(make_error_code(RoomErrc::document_full) == Cause::permanent);
}
