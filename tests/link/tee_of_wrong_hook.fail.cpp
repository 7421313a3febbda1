// SPDX-License-Identifier: MIT
// expect-error: Supervisor: the observer's on_state must be 'on_state
#include <belay/core/tee.hpp>
#include <belay/link/supervisor.hpp>
#include <belay/policy/max_attempts.hpp>

struct Transport {
    using message_type = int;
    struct Connection {
        belay::SendResult send(const int&) noexcept { return belay::SendResult::sent; }
    };
    Connection open(belay::Link<int>) { return {}; }
};

// The one beside it is right, and would hide it.
struct Log {
    void on_state(const belay::Transition&) {}
};
struct App {
    void on_message(int) {}
#if !defined(BELAY_CONTROL)
    void on_state(belay::Transition&) {}
#endif
};

void use() {
    belay::Supervisor link{Transport{},
                           belay::MaxAttempts{3},
                           {},
                           belay::Tee{belay::NoObserver{}, belay::Tee{Log{}, App{}}}};
}
