// SPDX-License-Identifier: MIT
/// \file tests/support/link/link_archetypes.hpp
/// The minimal models of the link layer's concepts, with the required members and nothing more.
#pragma once

#include <string_view>

#include <belay/link/validated.hpp>
#include <belay/link/with_token.hpp>

namespace belay_test {

/// A message_type: moves without throwing.
struct MinimalMessage {
    MinimalMessage() = delete;
    explicit MinimalMessage(int) noexcept {}
    MinimalMessage(MinimalMessage&&) noexcept = default;
    MinimalMessage& operator=(MinimalMessage&&) noexcept = default;
};

/// A minimal ConnectionLike.
struct MinimalConnection {
    explicit MinimalConnection(int) noexcept {}
    MinimalConnection(const MinimalConnection&) = delete;
    MinimalConnection& operator=(const MinimalConnection&) = delete;
    belay::SendResult send(const MinimalMessage&) noexcept { return belay::SendResult::down; }
};

/// A minimal ConnectionLike with lanes, as a decorator has it.
struct MinimalLaneConnection {
    explicit MinimalLaneConnection(int) noexcept {}
    MinimalLaneConnection(const MinimalLaneConnection&) = delete;
    MinimalLaneConnection& operator=(const MinimalLaneConnection&) = delete;
    belay::SendResult send(belay::Lane, const MinimalMessage&) noexcept {
        return belay::SendResult::down;
    }
};

/// The requirements of Heartbeat in addition to ConnectionLike.
struct MinimalPingConnection : MinimalConnection {
    using MinimalConnection::MinimalConnection;
    void ping() noexcept {}
};

/// A minimal TransportLike.
template <class Connection = MinimalConnection>
struct MinimalTransport {
    using message_type = MinimalMessage;
    MinimalTransport() = delete;
    explicit MinimalTransport(int) noexcept {}
    MinimalTransport(MinimalTransport&&) noexcept = default;
    MinimalTransport& operator=(MinimalTransport&&) = delete;
    Connection open(belay::Link<MinimalMessage>) { return Connection{0}; }
};

/// The token of a WithToken's source.
struct MinimalToken {
    MinimalToken() = delete;
    explicit MinimalToken(int) noexcept {}
    MinimalToken(MinimalToken&&) noexcept = default;
    MinimalToken& operator=(MinimalToken&&) noexcept = default;
};

/// The requirements of WithToken for its transport.
struct MinimalTokenTransport {
    using message_type = MinimalMessage;
    MinimalTokenTransport() = delete;
    explicit MinimalTokenTransport(int) noexcept {}
    MinimalTokenTransport(MinimalTokenTransport&&) noexcept = default;
    MinimalTokenTransport& operator=(MinimalTokenTransport&&) = delete;
    MinimalConnection open(belay::Link<MinimalMessage>, const MinimalToken&) {
        return MinimalConnection{0};
    }
};

/// The requirements of WithToken for its source.
struct MinimalSource {
    using token_type = MinimalToken;
    MinimalSource() = delete;
    explicit MinimalSource(int) noexcept {}
    MinimalSource(MinimalSource&&) noexcept = default;
    MinimalSource& operator=(MinimalSource&&) = delete;
    void operator()(belay::Completion<MinimalToken> done) { done(MinimalToken{0}); }
};

/// The requirements of Validated for its check.
struct MinimalCheck {
    MinimalCheck() = delete;
    explicit MinimalCheck(int) noexcept {}
    belay::Verdict begin(const auto&) { return belay::Verdict::pending(); }
    belay::Verdict judge(const MinimalMessage&, const auto&) { return belay::Verdict::passed(); }
};

/// The requirements of LinkLog for its sink.
struct MinimalSink {
    MinimalSink() = delete;
    explicit MinimalSink(int) noexcept {}
    MinimalSink(MinimalSink&&) noexcept = default;
    MinimalSink& operator=(MinimalSink&&) = delete;
    void operator()(std::string_view) {}
};

/// An observer with one hook, which is enough.
struct MinimalObserver {
    MinimalObserver() = delete;
    explicit MinimalObserver(int) noexcept {}
    MinimalObserver(MinimalObserver&&) noexcept = default;
    MinimalObserver& operator=(MinimalObserver&&) = delete;
    void on_state(const belay::Transition&) {}
};

}  // namespace belay_test
