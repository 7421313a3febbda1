// SPDX-License-Identifier: MIT
// Goal: ConnectionLike accepts its minimal models, and refuses each near miss.
#include <belay/link/connection_like.hpp>

#include "support/link/link_archetypes.hpp"

using namespace belay;
using namespace belay_test;

namespace {

struct ConnectionWithoutSend {};
struct ConnectionWhoseSendThrows {
    SendResult send(const MinimalMessage&);
};
struct ConnectionThatSendsVoid {
    void send(const MinimalMessage&) noexcept;
};
struct ConnectionThatSendsCopies {
    SendResult send(MinimalMessage) noexcept;
};
struct ConnectionWhoseDestructorThrows {
    ~ConnectionWhoseDestructorThrows() noexcept(false) {}
    SendResult send(const MinimalMessage&) noexcept;
};

static_assert(ConnectionLike<MinimalConnection, MinimalMessage>);
static_assert(explain::connection_like<MinimalConnection, MinimalMessage>());
static_assert(ConnectionLike<MinimalLaneConnection, MinimalMessage>);
static_assert(!ConnectionLike<ConnectionWithoutSend, MinimalMessage>);
static_assert(!ConnectionLike<ConnectionWhoseSendThrows, MinimalMessage>);
static_assert(!ConnectionLike<ConnectionThatSendsVoid, MinimalMessage>);
static_assert(!ConnectionLike<ConnectionThatSendsCopies, MinimalMessage>);
static_assert(!ConnectionLike<ConnectionWhoseDestructorThrows, MinimalMessage>);
static_assert(!ConnectionLike<void, MinimalMessage>);

}  // namespace
