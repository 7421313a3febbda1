// SPDX-License-Identifier: MIT
// expect-error: Supervisor: the observer's on_message must be 'on_message
#include <belay/link/supervisor.hpp>
#include <belay/policy/max_attempts.hpp>

struct Transport {
    using message_type = int;
    struct Connection {
        belay::SendResult send(const int&) noexcept { return belay::SendResult::sent; }
    };
    Connection open(belay::Link<int>) { return {}; }
};

struct App {
    void on_state(const belay::Transition&) {}
#if defined(BELAY_CONTROL)
    void on_message(int, belay::Lane) {}
#else
    void on_message(int, belay::Lane, int) {}
#endif
};

void use() { belay::Supervisor link{Transport{}, belay::MaxAttempts{3}, {}, App{}}; }
