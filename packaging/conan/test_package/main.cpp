// SPDX-License-Identifier: MIT
// What the recipe builds and runs to test the package.
#include <belay/belay.hpp>

#include <cstdio>

int main() {
    belay::Random bits{belay::Seed{7}};
    const auto draw = belay::uniform_upto(bits, 41);
    std::printf("belay %d.%d.%d draws %d\n", BELAY_VERSION_MAJOR, BELAY_VERSION_MINOR,
                BELAY_VERSION_PATCH, static_cast<int>(draw));
    return draw <= 41 ? 0 : 1;
}
