// SPDX-License-Identifier: MIT
// The program that every consumer builds and runs.
#include <belay/belay.hpp>

#include <cstdio>

int main() {
    using namespace std::chrono_literals;
    belay::Backoff backoff{belay::FullJitter{}, belay::Cap{30s}, 1s, belay::Seed{7}};
    const belay::Duration wait = backoff.next();
    std::printf("belay %d.%d.%d waits %lld ms\n", BELAY_VERSION_MAJOR, BELAY_VERSION_MINOR,
                BELAY_VERSION_PATCH, static_cast<long long>(wait / 1ms));
    return wait <= 1s ? 0 : 1;
}
