// SPDX-License-Identifier: MIT
// Goal: a simulated clock returns the world's time. Method: a world that advances.
#include <belay/sim/clock.hpp>

#include <belay/breaker/circuit_breaker.hpp>
#include <belay/sim/world.hpp>

#include "support/catch.hpp"

using namespace belay;
using namespace std::chrono_literals;

static_assert(ClockLike<sim::Clock> && std::is_trivially_copyable_v<sim::Clock>);

TEST_CASE("sim::Clock follows the world's time", "[sim][clock][unit]") {
    sim::World world{Seed{1}};
    const sim::Clock clock = world.host("a").clock();
    CHECK(clock.now() == Instant{});
    world.at(3s, [&] { CHECK(clock.now() == Instant{3s}); });
    world.run_for(5s);
    CHECK(clock.now() == Instant{5s});
    CHECK(world.clock().now() == world.now());
}
