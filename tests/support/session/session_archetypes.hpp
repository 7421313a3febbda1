// SPDX-License-Identifier: MIT
/// \file tests/support/session/session_archetypes.hpp
/// The minimal models of the concepts of session/, with the required members and nothing more.
#pragma once

#include <belay/link/link.hpp>
#include <belay/session/ledger_like.hpp>

#include "support/queue/queue_archetypes.hpp"

namespace belay_test {

/// A minimal LedgerLike; the assignment is for Receiver::resume.
struct MinimalLedger {
    MinimalLedger() = delete;
    explicit MinimalLedger(int) noexcept {}
    MinimalLedger(MinimalLedger&&) noexcept = default;
    MinimalLedger& operator=(MinimalLedger&&) noexcept = default;

    const belay::Id& store_id() const noexcept { return belay::no_id; }
    std::optional<belay::Progress> progress(const belay::Id&) const { return std::nullopt; }
    std::error_code adopt(const belay::Id&, const belay::Progress&) { return {}; }
    std::error_code apply(const belay::Id&, const belay::Progress&, belay::BytesView) { return {}; }
    std::error_code commit() { return {}; }
};

/// A minimal SessionQueueLike.
struct MinimalSessionQueue {
    static constexpr bool drops = false;
    MinimalSessionQueue() = delete;
    explicit MinimalSessionQueue(MinimalSequenced s) noexcept : inner{std::move(s)} {}
    MinimalSessionQueue(MinimalSessionQueue&&) noexcept = default;
    MinimalSessionQueue& operator=(MinimalSessionQueue&&) = delete;

    MinimalSequenced& storage() noexcept { return inner; }
    const MinimalSequenced& storage() const noexcept { return inner; }
    std::error_code push(belay::BytesView) { return {}; }
    MinimalSequenced inner;
};

/// A TransportLike that carries Bytes.
struct MinimalBytesTransport {
    using message_type = belay::Bytes;
    struct Connection {
        explicit Connection(int) noexcept {}
        Connection(const Connection&) = delete;
        Connection& operator=(const Connection&) = delete;
        belay::SendResult send(const belay::Bytes&) noexcept { return belay::SendResult::down; }
    };
    MinimalBytesTransport() = delete;
    explicit MinimalBytesTransport(int) noexcept {}
    MinimalBytesTransport(MinimalBytesTransport&&) noexcept = default;
    MinimalBytesTransport& operator=(MinimalBytesTransport&&) = delete;
    Connection open(belay::Link<belay::Bytes>) { return Connection{0}; }
};

/// The requirements of a Receiver for its authorizer.
struct MinimalAuthorizer {
    MinimalAuthorizer() = delete;
    explicit MinimalAuthorizer(int) noexcept {}
    MinimalAuthorizer(MinimalAuthorizer&&) noexcept = default;
    MinimalAuthorizer& operator=(MinimalAuthorizer&&) = delete;
    std::error_code operator()(const belay::Id&, belay::BytesView) { return {}; }
};

}  // namespace belay_test
