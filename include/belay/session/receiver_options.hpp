// SPDX-License-Identifier: MIT
/// \file belay/session/receiver_options.hpp
/// ReceiverOptions, AllowAll: what a Receiver is tuned by, and whom it lets in.
#pragma once

#include <concepts>  // std::same_as

#include <belay/core/instant.hpp>
#include <belay/journal/id.hpp>
#include <belay/link/heartbeat_options.hpp>
#include <belay/session/session_errc.hpp>

namespace belay { inline namespace BELAY_ABI {

/// What a Receiver is tuned by.
struct ReceiverOptions {
    /// How much a receiver lets a sender send ahead, and how large.
    struct Limits {
        std::uint64_t number_window = 1024;
        std::uint64_t byte_window = std::uint64_t{4} << 20U;
        std::uint32_t payload_bytes_max = std::uint32_t{1} << 20U;
    };

    Limits limits{};
    /// A commit, and the ACK for it, may wait this long for more operations; 0 commits once a turn.
    Duration commit_within{0};
    /// A connection must say HELLO within this, and START within as much more where its journal is
    /// new here.
    Duration greeting_max = std::chrono::seconds{5};
    /// How a sender that has fallen silent after that is noticed, over any transport.
    HeartbeatOptions heartbeat{};
    /// When so many are there, a further one takes the place of one that says goodbye, or else, by
    /// chance, of one of which nothing has arrived; where there is none of these it is closed at
    /// once.
    std::size_t connections_max = 256;
    /// Further senders at the same time are refused as overloaded.
    std::size_t senders_max = 4096;
    std::size_t messages_max = 64;
    unsigned events_per_turn_max = 64;
    Duration linger_max = std::chrono::seconds{2};
};

/// Lets everybody in: for connections that the transport has authenticated, and for tests. It
/// cannot tell a sender from who borrows its id.
struct AllowAll {
    /// Returns: nothing, or unauthorized or forbidden.
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
