// SPDX-License-Identifier: MIT
// expect-error: Supervisor: the observer hears nothing
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

struct Log {
    void on_state(const belay::Transition&) {}
};
#if defined(BELAY_CONTROL)
struct App : belay::NoObserver {
#else
struct App {
#endif
    void on_mesage(int) {}
};

void use() {
    belay::Supervisor link{Transport{}, belay::MaxAttempts{3}, {}, belay::Tee{Log{}, App{}}};
}
