// SPDX-License-Identifier: MIT
// expect-error: Bundle: all transports must have one message_type
#include <belay/link/bundle.hpp>

template <class M>
struct Transport {
    using message_type = M;
    struct Connection {
        belay::SendResult send(const M&) noexcept { return belay::SendResult::sent; }
    };
    Connection open(belay::Link<M>) { return {}; }
};

#if defined(BELAY_CONTROL)
using Second = Transport<int>;
#else
using Second = Transport<long>;
#endif

void use() { belay::Bundle both{Transport<int>{}, Second{}}; }
