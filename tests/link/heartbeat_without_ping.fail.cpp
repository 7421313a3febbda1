// SPDX-License-Identifier: MIT
// expect-error: Heartbeat: the connection needs .void ping.. noexcept.
#include <belay/link/heartbeat.hpp>

struct Transport {
    using message_type = int;
    struct Connection {
        belay::SendResult send(const int&) noexcept { return belay::SendResult::sent; }
#if defined(BELAY_CONTROL)
        void ping() noexcept {}
#endif
    };
    Connection open(belay::Link<int>) { return {}; }
};

void use() { belay::Heartbeat beats{Transport{}, {}}; }
