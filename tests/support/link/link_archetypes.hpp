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

/// ConnectionLike.
struct MinimalConnection {
    explicit MinimalConnection(int) noexcept {}
    MinimalConnection(const MinimalConnection&) = delete;
    MinimalConnection& operator=(const MinimalConnection&) = delete;
    belay::SendResult send(const MinimalMessage&) noexcept { return belay::SendResult::down; }
};

/// ConnectionLike, of a decorator's kind.
struct MinimalLaneConnection {
    explicit MinimalLaneConnection(int) noexcept {}
    MinimalLaneConnection(const MinimalLaneConnection&) = delete;
    MinimalLaneConnection& operator=(const MinimalLaneConnection&) = delete;
    belay::SendResult send(belay::Lane, const MinimalMessage&) noexcept {
        return belay::SendResult::down;
    }
};

/// What Heartbeat asks for beyond ConnectionLike.
struct MinimalPingConnection : MinimalConnection {
    using MinimalConnection::MinimalConnection;
    void ping() noexcept {}
};

/// TransportLike.
template <class Connection = MinimalConnection>
struct MinimalTransport {
    using message_type = MinimalMessage;
    MinimalTransport() = delete;
    explicit MinimalTransport(int) noexcept {}
    MinimalTransport(MinimalTransport&&) noexcept = default;
    MinimalTransport& operator=(MinimalTransport&&) = delete;
    Connection open(belay::Link<MinimalMessage>) { return Connection{0}; }
};

/// What a WithToken's source hands out.
struct MinimalToken {
    MinimalToken() = delete;
    explicit MinimalToken(int) noexcept {}
    MinimalToken(MinimalToken&&) noexcept = default;
    MinimalToken& operator=(MinimalToken&&) noexcept = default;
};

/// What WithToken asks of its transport.
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

/// What WithToken asks of its source.
struct MinimalSource {
    using token_type = MinimalToken;
    MinimalSource() = delete;
    explicit MinimalSource(int) noexcept {}
    MinimalSource(MinimalSource&&) noexcept = default;
    MinimalSource& operator=(MinimalSource&&) = delete;
    void operator()(belay::Completion<MinimalToken> done) { done(MinimalToken{0}); }
};

/// What Validated asks of its check.
struct MinimalCheck {
    MinimalCheck() = delete;
    explicit MinimalCheck(int) noexcept {}
    belay::Verdict begin(const auto&) { return belay::Verdict::pending(); }
    belay::Verdict judge(const MinimalMessage&, const auto&) { return belay::Verdict::passed(); }
};

/// What Log asks of its sink.
struct MinimalSink {
    MinimalSink() = delete;
    explicit MinimalSink(int) noexcept {}
    MinimalSink(MinimalSink&&) noexcept = default;
    MinimalSink& operator=(MinimalSink&&) = delete;
    void operator()(std::string_view) {}
};

/// An observer with the one hook that is enough.
struct MinimalObserver {
    MinimalObserver() = delete;
    explicit MinimalObserver(int) noexcept {}
    MinimalObserver(MinimalObserver&&) noexcept = default;
    MinimalObserver& operator=(MinimalObserver&&) = delete;
    void on_state(const belay::Transition&) {}
};

}  // namespace belay_test
