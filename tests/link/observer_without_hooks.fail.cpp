// SPDX-License-Identifier: MIT
// expect-error: Supervisor: the observer hears nothing
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
#if defined(BELAY_CONTROL)
    void on_state(const belay::Transition&) {}
#else
    void on_sate(const belay::Transition&) {}
#endif
};

void use() { belay::Supervisor link{Transport{}, belay::MaxAttempts{3}, {}, App{}}; }
