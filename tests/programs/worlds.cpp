// SPDX-License-Identifier: MIT
// Goal: a seed makes the same world with every standard library. Method: a program without a
// framework, which prints the trace hash of sessions, of a sync server and of rooms.
#include "support/room/room_world.hpp"
#include "support/session/session_world.hpp"
#include "support/sync/sync_world.hpp"

#include <cstdio>

#ifdef CATCH_VERSION_MAJOR
#    error "a header of this program includes the test framework"
#endif

using namespace belay_test;
using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t seeds = 20;

void print(const char* what, std::uint64_t seed, const belay::sim::World& world) {
    std::printf("%s, seed %llu: %llu events, trace %016llx\n", what,
                static_cast<unsigned long long>(seed),
                static_cast<unsigned long long>(world.events()),
                static_cast<unsigned long long>(world.trace_hash()));
}

bool session(std::uint64_t seed) {
    const SessionWorldOptions options;
    belay::sim::World world{belay::Seed{seed}, {.draw = options.faults}};
    const bool passed = session_body<>(options)(world);
    print("session", seed, world);
    return passed;
}

bool sync(std::uint64_t seed) {
    belay::sim::World world{belay::Seed{seed}, {.draw = sync_world_faults()}};
    const bool passed = sync_body()(world);
    print("sync", seed, world);
    return passed;
}

bool rooms(std::uint64_t seed) {
    RoomWorld w{belay::Seed{seed}};
    RoomEditor alice{w, "alice", 1};
    RoomEditor bob{w, "bob", 2};
    for (int day = 0; day < 5; ++day) {
        alice.type("from the train");
        bob.type("from the plane");
        w.dial(alice, bob);
        alice.type("at the station");
        w.run(10s);
        w.world.restart(w.server);
    }
    w.dial(alice, bob);
    print("rooms", seed, w.world);
    return alice.document() == bob.document();
}

}  // namespace

int main() {
    bool right = true;
    for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
        right = session(seed) && right;
        right = sync(seed) && right;
        right = rooms(seed) && right;
    }
    if (!right) std::printf("a world did not end as it must\n");
    return right ? 0 : 1;
}
