// SPDX-License-Identifier: MIT
// expect-error: Fleet: the observer's on_network_suspect must be
#include <belay/fleet/fleet.hpp>

struct App {
#ifdef BELAY_CONTROL
    void on_network_suspect(const belay::NetworkSuspect&) {}
#else
    void on_network_suspect(int) {}
#endif
};

int main() { belay::Fleet fleet{belay::FleetOptions{}, App{}}; }
