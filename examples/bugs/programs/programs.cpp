// SPDX-License-Identifier: MIT
// The one source file that has the functions of the C library of a world.
#include <belay/libc_sim/program.hpp>

#include "programs.hpp"

namespace bugs {

void run_program(sim::World& world, const char* name, std::function<void()> main) {
    world.host(name, [main = std::move(main)](sim::Host& host) {
        return std::make_unique<sim::Program>(host, main);
    });
}

}  // namespace bugs
