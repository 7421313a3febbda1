// SPDX-License-Identifier: MIT
// Goal: what must not compile in this room does not, and says why. Method: each case, from one
// expect-error to the next, has an error of that text; with BELAY_CONTROL all of them compile.
#include <belay/fleet/fleet.hpp>
#include <belay/policy/max_attempts.hpp>

// expect-error: Fleet: the observer's on_network_suspect must be
namespace hook_with_wrong_parameters {
struct App {
#if defined(BELAY_CONTROL)
    void on_network_suspect(const belay::NetworkSuspect&) {}
#else
    void on_network_suspect(int) {}
#endif
};

void use() { belay::Fleet fleet{belay::FleetOptions{}, App{}}; }
}  // namespace hook_with_wrong_parameters

// expect-error: Fleet: the observer hears nothing
namespace observer_without_hooks {
struct App {
#if defined(BELAY_CONTROL)
    void on_network_suspect(const belay::NetworkSuspect&) {}
#else
    void on_network_suspicious(const belay::NetworkSuspect&) {}
#endif
};

void use() { belay::Fleet fleet{belay::FleetOptions{}, App{}}; }
}  // namespace observer_without_hooks

// expect-error: Supervisor: the observer hears nothing
namespace service_observer_without_hooks {
struct Transport {
    using message_type = int;
    struct Connection {
        belay::SendResult send(int) noexcept { return belay::SendResult::sent; }
    };
    Connection open(const belay::Link<int>&) { return {}; }
};
struct App {
#if defined(BELAY_CONTROL)
    void on_state(const belay::Transition&) {}
#else
    void on_sate(const belay::Transition&) {}
#endif
};

void use(belay::Fleet<>& fleet) { fleet.add("a", Transport{}, belay::MaxAttempts{3}, App{}); }
}  // namespace service_observer_without_hooks

// expect-error: TransportLike: T needs 'open
namespace transport_without_open {
struct Transport {
    using message_type = int;
#if defined(BELAY_CONTROL)
    struct Connection {
        belay::SendResult send(int) noexcept { return belay::SendResult::sent; }
    };
    Connection open(const belay::Link<int>&) { return {}; }
#endif
};

void use(belay::Fleet<>& fleet) { fleet.add("a", Transport{}, belay::MaxAttempts{3}); }
}  // namespace transport_without_open
