// SPDX-License-Identifier: MIT
// Goal: misuse of this component does not compile, and the error states the reason. Method: each
// case, from one expect-error to the next, has an error of that text; with BELAY_CONTROL all of
// them compile.
#include <belay/sim/world.hpp>

// expect-error: World: write the seed as World.Seed.7..
namespace world_of_a_number {
void use() {
#if defined(BELAY_CONTROL)
    belay::sim::World world{belay::Seed{7}};
#else
    belay::sim::World world{7};
#endif
}
}  // namespace world_of_a_number
