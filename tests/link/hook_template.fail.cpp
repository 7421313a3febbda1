// SPDX-License-Identifier: MIT
// expect-error: Supervisor: the observer's on_unsent must be 'on_unsent
#include <belay/link/supervisor.hpp>
#include <belay/policy/max_attempts.hpp>

struct Transport {
    using message_type = int;
    struct Connection {
        belay::SendResult send(const int&) noexcept { return belay::SendResult::sent; }
    };
    Connection open(belay::Link<int>) { return {}; }
};

// So is a template.
struct App {
    void on_state(const belay::Transition&) {}
#if defined(BELAY_CONTROL)
    void on_unsent(auto&, int, belay::Lane) {}
#else
    void on_unsent(auto&, int) {}
#endif
};

void use() { belay::Supervisor link{Transport{}, belay::MaxAttempts{3}, {}, App{}}; }
