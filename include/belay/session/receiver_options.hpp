// SPDX-License-Identifier: MIT
/// \file belay/session/receiver_options.hpp
/// ReceiverOptions, AllowAll: the options of a Receiver, and an authorizer that admits all senders.
#pragma once

#include <concepts>     // std::same_as
#include <string_view>  // std::string_view

#include <belay/core/bytes.hpp>
#include <belay/core/instant.hpp>
#include <belay/journal/id.hpp>
#include <belay/link/heartbeat_options.hpp>
#include <belay/session/session_format.hpp>

namespace belay { inline namespace BELAY_ABI {

/// The options of a Receiver.
struct ReceiverOptions {
    /// How far a sender may be ahead, and the maximum size of an operation.
    struct Limits {
        /// The number of operations that are not yet committed. > 0; it may be no_limit.
        std::uint64_t number_window = 1024;
        /// The bytes that are not yet committed. It may be no_limit. A smaller one than
        /// payload_bytes_max counts as that, so there is always space for one operation.
        std::uint64_t byte_window = std::uint64_t{4} << 20U;
        /// The maximum size of one operation: 1 to 16 MiB (session_format::payload_bytes_ceiling).
        std::uint32_t payload_bytes_max = std::uint32_t{1} << 20U;
    };

    /// The limits of a sender.
    Limits limits{};
    /// How long a commit, and the ACK for it, may wait for more operations; 0 commits once a turn.
    /// With `forever`, the receiver commits only when a connection is attached and in stop().
    Duration commit_within{0};
    /// The time within which a connection must send HELLO, and then START within as much more if
    /// its journal is new here.
    Duration greeting_max = std::chrono::seconds{5};
    /// When a sender that falls silent after that is pinged and given up, over any transport.
    HeartbeatOptions heartbeat{};
    /// The maximum number of connections. A further one replaces a connection that is closing. If
    /// none is, it replaces a random connection from which nothing has arrived. If there is none of
    /// these either, the further connection is closed at once.
    std::size_t connections_max = 256;
    /// The maximum number of senders at the same time; further ones are rejected as overloaded.
    std::size_t senders_max = 4096;
    /// How many messages of one connection may wait. >= 1.
    std::size_t messages_max = 64;
    /// The most events of one connection in a turn. >= 1.
    unsigned events_per_turn_max = 64;
    /// How long a closed connection may take to send what waits. >= 0ns.
    Duration linger_max = std::chrono::seconds{2};

    /// Returns the rule that these options break, as a sentence; an empty text if they break none.
    [[nodiscard]] constexpr std::string_view check() const noexcept {
        if (greeting_max <= Duration::zero() || events_per_turn_max == 0) {
            return "ReceiverOptions: greeting_max and events_per_turn_max must be > 0";
        }
        if (connections_max == 0 || senders_max == 0 || messages_max == 0) {
            return "ReceiverOptions: connections_max, senders_max and messages_max must be > 0";
        }
        if (commit_within < Duration::zero() || linger_max < Duration::zero()) {
            return "ReceiverOptions: commit_within and linger_max must be >= 0ns";
        }
        if (limits.number_window == 0) {
            return "ReceiverOptions: limits.number_window must be > 0, or no sender may send";
        }
        if (limits.payload_bytes_max == 0 ||
            limits.payload_bytes_max > session_format::payload_bytes_ceiling) {
            return "ReceiverOptions: limits.payload_bytes_max must be from 1 to 16777216";
        }
        return heartbeat.check();
    }
};

/// An authorizer that admits every sender.
///
/// Use it for connections that the transport has authenticated, and for tests. It cannot
/// distinguish a sender from another process that uses its id.
struct AllowAll {
    /// Returns no error. An authorizer of your own may also return unauthorized or forbidden.
    [[nodiscard]] std::error_code operator()(const Id& /*sender*/, BytesView /*token*/) const {
        return {};
    }
};

namespace detail {
template <class A>
concept Authorizes = requires(A& authorize, const Id& sender, BytesView token) {
    { authorize(sender, token) } -> std::same_as<std::error_code>;
};
}  // namespace detail

}}  // namespace belay
