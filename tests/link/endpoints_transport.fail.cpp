// SPDX-License-Identifier: MIT
// expect-error: Endpoints: the transport needs 'open.Link<message_type>, const Endpoint&.'
#include <belay/backoff/backoff.hpp>
#include <belay/link/endpoints.hpp>
#include <belay/link/supervisor.hpp>

struct Transport {
    using message_type = int;
    struct Connection {
        belay::SendResult send(const int&) noexcept { return belay::SendResult::sent; }
    };
#if defined(BELAY_CONTROL)
    Connection open(belay::Link<int>, const int&) { return {}; }
#else
    Connection open(belay::Link<int>) { return {}; }
#endif
};

void use() {
    const int a = 1;
    belay::Supervisor link{
        belay::Endpoints{Transport{}, {a}},
        belay::Policy{belay::Backoff{belay::FullJitter{}, belay::Cap{std::chrono::seconds{30}},
                                     std::chrono::seconds{1}}}};
}
