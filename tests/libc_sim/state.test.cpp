// SPDX-License-Identifier: MIT
// Goal: what a process has belongs to a simulated program, and depends on the seed of its world.
// Method: programs that read and change it, in two worlds of a seed and next to each other.
#include <belay/libc_sim/program.hpp>

#include <time.h>

#include <functional>
#include <memory>
#include <utility>

#include <belay/sim/world.hpp>

#include "support/catch.hpp"

namespace libc_state_test {

namespace {

using belay::Seed;
using belay::sim::Host;
using belay::sim::Program;
using belay::sim::World;
using namespace std::chrono_literals;

using Main = std::function<void()>;

Host& run(World& world, const char* name, Main main) {
    return world.host(
        name, [main = std::move(main)](Host& h) { return std::make_unique<Program>(h, main); });
}

}  // namespace

TEST_CASE("Scenario::start_clocks starts the clocks of programs", "[libc_sim][state][unit]") {
    World world{Seed{1}, {.play = belay::sim::Scenario{}.start_clocks(2147483641s, 4294960s)}};
    timespec wall{}, uptime{}, boot{};
    run(world, "a", [&] {
        usleep(7'000'000);
        clock_gettime(CLOCK_REALTIME, &wall);
        clock_gettime(CLOCK_MONOTONIC, &uptime);
        clock_gettime(CLOCK_BOOTTIME, &boot);
    });
    world.run_for(8s);
    CHECK(wall.tv_sec == std::int64_t{1} << 31);
    CHECK(uptime.tv_sec == 4294967);
    CHECK(boot.tv_sec == 4294967);
}

}  // namespace libc_state_test
