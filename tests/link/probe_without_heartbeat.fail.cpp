// SPDX-License-Identifier: MIT
// expect-error: Supervisor::probe_now: nobody would ask: put a Heartbeat around the transport
#include <belay/link/heartbeat.hpp>
#include <belay/link/supervisor.hpp>

#include <belay/policy/max_attempts.hpp>

struct Transport {
    using message_type = int;
    struct Connection {
        belay::SendResult send(const int&) noexcept { return belay::SendResult::sent; }
        void ping() noexcept {}
    };
    Connection open(belay::Link<int>) { return {}; }
};

void use() {
#if defined(BELAY_CONTROL)
    belay::Supervisor link{belay::Heartbeat{Transport{}, {}}, belay::MaxAttempts{3}};
#else
    belay::Supervisor link{Transport{}, belay::MaxAttempts{3}};
#endif
    link.probe_now();
}
