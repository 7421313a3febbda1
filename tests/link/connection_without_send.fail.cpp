// SPDX-License-Identifier: MIT
// expect-error: ConnectionLike: the connection needs .SendResult send.const message_type&. noexcept
#include <belay/link/supervisor.hpp>
#include <belay/policy/max_attempts.hpp>

struct Transport {
    using message_type = int;
    struct Connection {
#if defined(BELAY_CONTROL)
        belay::SendResult send(const int&) noexcept { return belay::SendResult::sent; }
#else
        belay::SendResult sent(const int&) noexcept { return belay::SendResult::sent; }
#endif
    };
    Connection open(belay::Link<int>) { return {}; }
};

void use() {
    belay::Supervisor link{Transport{}, belay::MaxAttempts{3}};
    link.start();
}
