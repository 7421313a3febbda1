// SPDX-License-Identifier: MIT
// expect-error: Receiver: the transport must carry belay::Bytes
#include <belay/session/receiver.hpp>

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

std::size_t use() { return sizeof(belay::Receiver<Transport, belay_test::MinimalLedger>); }
