// SPDX-License-Identifier: MIT
// Goal: changes have names, and a snapshot from a file is validated before it is used. Method:
// all values.
#include <belay/breaker/breaker_state.hpp>

#include <string_view>
#include <type_traits>

#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;

static_assert(std::is_trivially_copyable_v<BreakerSnapshot> && sizeof(BreakerSnapshot) == 16);
static_assert(std::is_trivially_copyable_v<HalfOpenOptions> && sizeof(HalfOpenOptions) == 16);

TEST_CASE("to_string names every state of a breaker", "[breaker][breaker_state][unit]") {
    const std::string_view names[] = {"closed", "open", "half_open"};
    for (unsigned char i = 0; i < 3; ++i) {
        CHECK(to_string(static_cast<BreakerState>(i)) == names[i]);
    }
    CHECK(to_string(static_cast<BreakerState>(3)) == "unknown");
}

TEST_CASE("to_string names every change of a breaker", "[breaker][breaker_state][unit]") {
    const std::string_view names[] = {"none",   "opened",     "half_opened", "reopened",
                                      "closed", "probe_lost", "would_open",  "mode_set"};
    for (unsigned char i = 0; i < 8; ++i) {
        CHECK(to_string(static_cast<detail::BreakerChange>(i)) == names[i]);
    }
    CHECK(to_string(static_cast<detail::BreakerChange>(8)) == "unknown");
}

TEST_CASE("BreakerSnapshot::is_valid rejects snapshots that no breaker wrote",
          "[breaker][breaker_state][unit]") {
    CHECK(BreakerSnapshot{}.is_valid());
    CHECK(BreakerSnapshot{BreakerMode::metrics_only, BreakerState::half_open, 65535, forever}
              .is_valid());
    CHECK_FALSE(BreakerSnapshot{.remaining = -1ns}.is_valid());
    CHECK_FALSE(BreakerSnapshot{.mode = static_cast<BreakerMode>(4)}.is_valid());
    CHECK_FALSE(BreakerSnapshot{.state = static_cast<BreakerState>(3)}.is_valid());
}
