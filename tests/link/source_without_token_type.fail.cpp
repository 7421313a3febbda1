// SPDX-License-Identifier: MIT
// expect-error: WithToken: the source needs .token_type.
#include <belay/link/with_token.hpp>

struct Transport {
    using message_type = int;
    struct Connection {
        belay::SendResult send(const int&) noexcept { return belay::SendResult::sent; }
    };
    Connection open(belay::Link<int>, const int&) { return {}; }
};

struct Source {
#if defined(BELAY_CONTROL)
    using token_type = int;
#endif
    void operator()(auto done) { done(1); }
};

void use() { belay::WithToken asks{Transport{}, Source{}}; }
