// SPDX-License-Identifier: MIT
// Goal: ConnectionLike accepts its minimal models, and rejects each near miss.
#include <belay/link/transport_like.hpp>

#include <belay/core/bytes.hpp>

#include "support/link/link_archetypes.hpp"

using namespace belay;
using namespace belay_test;

namespace {

struct ConnectionThatSendsViews {
    SendResult send(BytesView) noexcept;
};
struct ConnectionThatSendsViewsOnLanes {
    SendResult send(Lane, BytesView) noexcept;
};
struct ConnectionThatSendsViewsAndThrows {
    SendResult send(BytesView);
};
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
struct ConnectionWhoseOptionsAreSound : MinimalConnection {
    void close(const Failure&) noexcept;
    void ping() noexcept;
    void resume_reading() noexcept;
    void limit_messages(std::size_t) noexcept;
    void limit_output(std::size_t) noexcept;
};
struct ConnectionWhoseCloseThrows : MinimalConnection {
    void close(const Failure&);
};
struct ConnectionWhosePingThrows : MinimalConnection {
    void ping();
};
struct ConnectionWhoseResumeReadingThrows : MinimalConnection {
    void resume_reading();
};
struct ConnectionWhoseLimitThrows : MinimalConnection {
    void limit_messages(std::size_t);
};
struct ConnectionWhoseOutputLimitThrows : MinimalConnection {
    void limit_output(std::size_t);
};

static_assert(ConnectionLike<MinimalConnection, MinimalMessage>);
static_assert(explain::connection_like<MinimalConnection, MinimalMessage>());
static_assert(ConnectionLike<MinimalLaneConnection, MinimalMessage>);
// With libc++, the conversion of Bytes to a view is not noexcept.
static_assert(ConnectionLike<ConnectionThatSendsViews, Bytes>);
static_assert(ConnectionLike<ConnectionThatSendsViewsOnLanes, Bytes>);
static_assert(!ConnectionLike<ConnectionThatSendsViewsAndThrows, Bytes>);
static_assert(!ConnectionLike<ConnectionWithoutSend, MinimalMessage>);
static_assert(!ConnectionLike<ConnectionWhoseSendThrows, MinimalMessage>);
static_assert(!ConnectionLike<ConnectionThatSendsVoid, MinimalMessage>);
static_assert(!ConnectionLike<ConnectionThatSendsCopies, MinimalMessage>);
static_assert(!ConnectionLike<ConnectionWhoseDestructorThrows, MinimalMessage>);
static_assert(ConnectionLike<ConnectionWhoseOptionsAreSound, MinimalMessage>);
static_assert(!ConnectionLike<ConnectionWhoseCloseThrows, MinimalMessage>);
static_assert(!ConnectionLike<ConnectionWhosePingThrows, MinimalMessage>);
static_assert(!ConnectionLike<ConnectionWhoseResumeReadingThrows, MinimalMessage>);
static_assert(!ConnectionLike<ConnectionWhoseLimitThrows, MinimalMessage>);
static_assert(!ConnectionLike<ConnectionWhoseOutputLimitThrows, MinimalMessage>);
static_assert(!ConnectionLike<void, MinimalMessage>);

}  // namespace
