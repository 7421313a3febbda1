// SPDX-License-Identifier: MIT
// expect-error: TransportLike: T needs .open.belay::Link.message_type.
#include <belay/link/supervisor.hpp>
#include <belay/policy/max_attempts.hpp>

struct Transport {
    using message_type = int;
    struct Connection {
        belay::SendResult send(const int&) noexcept { return belay::SendResult::sent; }
    };
#if defined(BELAY_CONTROL)
    Connection open(belay::Link<int>) { return {}; }
#endif
};

void use() {
    belay::Supervisor link{Transport{}, belay::MaxAttempts{3}};
    link.start();
    link.stop();
}
