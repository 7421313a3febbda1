// SPDX-License-Identifier: MIT
// expect-error: Supervisor: the observer's on_writable must be 'on_writable
#include <belay/link/supervisor.hpp>
#include <belay/policy/max_attempts.hpp>

struct Transport {
    using message_type = int;
    struct Connection {
        belay::SendResult send(const int&) noexcept { return belay::SendResult::sent; }
    };
    Connection open(belay::Link<int>) { return {}; }
};

// Overloaded, it has no address by which it could be found.
struct App {
    void on_state(const belay::Transition&) {}
    void on_writable(const char*) {}
#if defined(BELAY_CONTROL)
    void on_writable(belay::Lane) {}
#else
    void on_writable(belay::Lane, int) {}
#endif
};

void use() { belay::Supervisor link{Transport{}, belay::MaxAttempts{3}, {}, App{}}; }
