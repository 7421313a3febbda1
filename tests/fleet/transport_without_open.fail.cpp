// SPDX-License-Identifier: MIT
// expect-error: TransportLike: T needs 'open
#include <belay/fleet/fleet.hpp>
#include <belay/policy/max_attempts.hpp>

struct Transport {
    using message_type = int;
#ifdef BELAY_CONTROL
    struct Connection {
        belay::SendResult send(int) noexcept { return belay::SendResult::sent; }
    };
    Connection open(const belay::Link<int>&) { return {}; }
#endif
};

int main() {
    belay::Fleet fleet;
    fleet.add("a", Transport{}, belay::MaxAttempts{3});
}
