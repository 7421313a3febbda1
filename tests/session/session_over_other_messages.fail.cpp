// SPDX-License-Identifier: MIT
// expect-error: Session: the transport must carry belay::Bytes
#include <belay/policy/max_attempts.hpp>
#include <belay/session/session.hpp>

#include "support/session/session_archetypes.hpp"

#if defined(BELAY_CONTROL)
using Message = belay::Bytes;
#else
using Message = int;
#endif

struct Transport {
    using message_type = Message;
    struct Connection {
        belay::SendResult send(const Message&) noexcept { return belay::SendResult::sent; }
    };
    Connection open(belay::Link<Message>) { return {}; }
};

using Session = belay::Session<Transport, belay::MaxAttempts, belay_test::MinimalSessionQueue>;

std::size_t use() { return sizeof(Session); }
