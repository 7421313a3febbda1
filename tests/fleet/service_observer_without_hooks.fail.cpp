// SPDX-License-Identifier: MIT
// expect-error: Supervisor: the observer hears nothing
#include <belay/fleet/fleet.hpp>
#include <belay/policy/max_attempts.hpp>

struct Transport {
    using message_type = int;
    struct Connection {
        belay::SendResult send(int) noexcept { return belay::SendResult::sent; }
    };
    Connection open(const belay::Link<int>&) { return {}; }
};
struct App {
#ifdef BELAY_CONTROL
    void on_state(const belay::Transition&) {}
#else
    void on_sate(const belay::Transition&) {}
#endif
};

int main() {
    belay::Fleet fleet;
    fleet.add("a", Transport{}, belay::MaxAttempts{3}, App{});
}
