// SPDX-License-Identifier: MIT
// Goal: TransportLike accepts its minimal models, and rejects each near miss.
#include <belay/link/transport_like.hpp>

#include "support/link/link_archetypes.hpp"

using namespace belay;
using namespace belay_test;

namespace {

using Plain = MinimalTransport<>;
using OnLanes = MinimalTransport<MinimalLaneConnection>;
using Pinged = MinimalTransport<MinimalPingConnection>;

struct ThrowingMessage {
    ThrowingMessage(ThrowingMessage&&) noexcept(false);
    ThrowingMessage& operator=(ThrowingMessage&&) noexcept;
};
struct FixedMessage {
    FixedMessage(FixedMessage&&) noexcept;
    FixedMessage& operator=(FixedMessage&&) = delete;
};
template <class M>
struct TransportOf {
    struct Connection {
        SendResult send(const M&) noexcept;
    };
    using message_type = M;
    Connection open(Link<M>);
};
struct TransportWithoutMessage {
    MinimalConnection open(Link<MinimalMessage>);
};
struct TransportWithoutOpen {
    using message_type = MinimalMessage;
};
struct TransportOfNothing {
    using message_type = MinimalMessage;
    void open(Link<MinimalMessage>);
};
struct TransportOfAnotherMessage {
    using message_type = int;
    MinimalConnection open(Link<int>);
};

static_assert(TransportLike<Plain> && TransportLike<OnLanes> && TransportLike<Pinged>);
static_assert(explain::transport_like<Plain>());
static_assert(TransportLike<TransportOf<int>>);
static_assert(!TransportLike<TransportOf<ThrowingMessage>>);
static_assert(!TransportLike<TransportOf<FixedMessage>>);
static_assert(!TransportLike<TransportWithoutMessage>);
static_assert(!TransportLike<TransportWithoutOpen>);
static_assert(!TransportLike<TransportOfNothing>);
static_assert(!TransportLike<TransportOfAnotherMessage>);
static_assert(!TransportLike<int>);

}  // namespace
