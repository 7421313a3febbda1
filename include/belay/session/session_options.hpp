// SPDX-License-Identifier: MIT
/// \file belay/session/session_options.hpp
/// SessionOptions, SessionStatus: the options of a Session, and its state.
#pragma once

#include <cstdint>  // std::uint8_t, std::uint32_t, std::uint64_t

#include <belay/journal/id.hpp>
#include <belay/link/heartbeat_options.hpp>
#include <belay/link/status.hpp>
#include <belay/link/supervisor_options.hpp>
#include <belay/session/blocked.hpp>

namespace belay { inline namespace BELAY_ABI {

/// The options of a Session.
struct SessionOptions {
    /// The id of the stream of work, not of the process. It never changes. Required.
    Id id{};
    /// The maximum size of a payload that is accepted from the receiver.
    std::uint32_t payload_bytes_max = 1U << 20U;
    /// A token that is sent in HELLO, if the transport has not authenticated already. It has at
    /// most 4 KiB (session_format::token_bytes_max). With a longer one, each attempt fails with
    /// SessionErrc::token_too_long, and sends nothing.
    Bytes token{};
    /// The time within which HELLO and START must be answered.
    Duration greeting_max = std::chrono::seconds{10};
    /// The time after which on_stalled is called, with unacknowledged operations and without
    /// progress.
    Duration stalled_after = std::chrono::seconds{60};
    /// The approximate size of the messages in which DATA is sent.
    std::size_t batch_bytes = std::size_t{32} << 10U;
    /// When a silent receiver is pinged and given up, over any transport.
    HeartbeatOptions heartbeat{};
    SupervisorOptions link{};
    /// As a service of a Fleet: the priority among services that want to dial; see
    /// ServiceOptions::priority.
    std::uint8_t priority = 0;
};

namespace detail {
/// Returns the options; options that no session can satisfy end the program at construction.
[[nodiscard]] inline SessionOptions&& checked(SessionOptions&& options) {
    BELAY_PRECONDITION(options.greeting_max.count() > 0 && options.stalled_after.count() > 0,
                       "SessionOptions: greeting_max and stalled_after must be > 0ns");
    return static_cast<SessionOptions&&>(options);
}
}  // namespace detail

/// The state of a session, as one consistent value.
struct SessionStatus {
    LinkStatus link{};                ///< `connected` means that the session has resumed and
                                      ///< operations flow
    Blocked blocked = Blocked::none;  ///< why nothing is sent; none if operations may be sent
    BlockedDetails details{};         ///< the facts about that
    std::uint64_t taken = 0;          ///< the highest number that send() returned
    std::uint64_t accepted = 0;       ///< operations up to this number are durable and will be
                                      ///< delivered
    std::uint64_t acknowledged = 0;   ///< operations up to this number are delivered
};

}}  // namespace belay
