// SPDX-License-Identifier: MIT
// Goal: misuse of this component does not compile, and the error states the reason. Method: each
// case, from one expect-error to the next, has an error of that text; with BELAY_CONTROL all of
// them compile.
#include <belay/fleet/fleet.hpp>
#include <belay/fleet/pool.hpp>
#include <belay/policy/rules.hpp>

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

// expect-error: Fleet: the observer has no hook
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

// expect-error: Fleet: the observer's on_service must be
namespace service_hook_with_wrong_parameters {
struct App {
#if defined(BELAY_CONTROL)
    void on_service(std::string_view, const belay::Transition&) {}
#else
    void on_service(const belay::ServiceStatus&) {}
#endif
};

void use() { belay::Fleet fleet{belay::FleetOptions{}, App{}}; }
}  // namespace service_hook_with_wrong_parameters

// expect-error: Supervisor: the observer has no hook
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

// expect-error: Fleet::add: to add a Session, include
namespace options_without_the_header_of_their_service {
struct Transport {
    using message_type = int;
    struct Connection {
        belay::SendResult send(int) noexcept { return belay::SendResult::sent; }
    };
    Connection open(const belay::Link<int>&) { return {}; }
};
struct Queue {};
struct Options {};

void use(belay::Fleet<>& fleet) {
#if defined(BELAY_CONTROL)
    fleet.add("a", Transport{}, belay::MaxAttempts{3});
#else
    fleet.add("a", Transport{}, belay::MaxAttempts{3}, Queue{}, Options{});
#endif
}
}  // namespace options_without_the_header_of_their_service

// expect-error: Pool: the observer's on_leases must be
namespace lease_hook_with_wrong_parameters {
struct Transport {
    using message_type = int;
    struct Connection {
        belay::SendResult send(int) noexcept { return belay::SendResult::sent; }
    };
    Connection open(const belay::Link<int>&) { return {}; }
};
struct App {
#if defined(BELAY_CONTROL)
    void on_leases(const belay::PoolStatus&) {}
#else
    void on_leases(std::size_t idle, std::size_t leased) {}
#endif
};

void use() {
    belay::Pool pool{Transport{}, belay::MaxAttempts{3}, belay::PoolOptions{.size = 1}, App{}};
}
}  // namespace lease_hook_with_wrong_parameters

// expect-error: Pool: the observer's on_message must be
namespace pool_hook_with_wrong_parameters {
struct Transport {
    using message_type = int;
    struct Connection {
        belay::SendResult send(int) noexcept { return belay::SendResult::sent; }
    };
    Connection open(const belay::Link<int>&) { return {}; }
};
struct App {
#if defined(BELAY_CONTROL)
    void on_message(std::size_t, int) {}
#else
    void on_message(int*) {}
#endif
};

void use() { belay::Pool pool{Transport{}, belay::MaxAttempts{3}, belay::PoolOptions{}, App{}}; }
}  // namespace pool_hook_with_wrong_parameters

// expect-error: Pool: the transport must be copyable
namespace pool_of_one_time_transport {
struct Transport {
    using message_type = int;
    struct Connection {
        belay::SendResult send(int) noexcept { return belay::SendResult::sent; }
    };
#if !defined(BELAY_CONTROL)
    Transport() = default;
    Transport(Transport&&) = default;
#endif
    Connection open(const belay::Link<int>&) { return {}; }
};

void use() { belay::Pool pool{Transport{}, belay::MaxAttempts{3}}; }
}  // namespace pool_of_one_time_transport

// expect-error: Fleet::add: pass belay::ServiceOptions before the observer
namespace service_observer_before_options {
struct Transport {
    using message_type = int;
    struct Connection {
        belay::SendResult send(int) noexcept { return belay::SendResult::sent; }
    };
    Connection open(const belay::Link<int>&) { return {}; }
};
struct App {
    void on_state(const belay::Transition&) {}
};

void use(belay::Fleet<>& fleet) {
#if defined(BELAY_CONTROL)
    fleet.add("a", Transport{}, belay::MaxAttempts{3}, belay::ServiceOptions{}, App{});
#else
    fleet.add("a", Transport{}, belay::MaxAttempts{3}, App{}, belay::ServiceOptions{});
#endif
}
}  // namespace service_observer_before_options
