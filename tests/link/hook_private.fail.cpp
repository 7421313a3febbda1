// SPDX-License-Identifier: MIT
// expect-error: Supervisor: the observer's on_state must be 'on_state
#include <belay/link/supervisor.hpp>
#include <belay/policy/max_attempts.hpp>

struct Transport {
    using message_type = int;
    struct Connection {
        belay::SendResult send(const int&) noexcept { return belay::SendResult::sent; }
    };
    Connection open(belay::Link<int>) { return {}; }
};

class App {
public:
    void on_message(int) {}
#if !defined(BELAY_CONTROL)
private:
#endif
    void on_state(const belay::Transition&) {}
};

void use() { belay::Supervisor link{Transport{}, belay::MaxAttempts{3}, {}, App{}}; }
