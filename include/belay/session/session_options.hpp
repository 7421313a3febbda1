// SPDX-License-Identifier: MIT
/// \file belay/session/session_options.hpp
/// SessionOptions, SessionStatus: what a Session is tuned by, and where it stands.
#pragma once

#include <belay/journal/id.hpp>
#include <belay/link/heartbeat_options.hpp>
#include <belay/link/status.hpp>
#include <belay/link/supervisor_options.hpp>
#include <belay/session/blocked.hpp>

namespace belay { inline namespace BELAY_ABI {

/// What a Session is tuned by.
struct SessionOptions {
    /// Names the stream of work, not the process; never changes. Required.
    Id id{};
    /// The largest payload that is accepted from the receiver.
    std::uint32_t payload_bytes_max = 1U << 20U;
    /// Sent in HELLO, when the transport has not authenticated already; at most 4 KiB.
    Bytes token{};
    /// HELLO and START must be answered within this.
    Duration greeting_max = std::chrono::seconds{10};
    /// on_stalled is called after this long with unacknowledged operations and no progress.
    Duration stalled_after = std::chrono::seconds{60};
    /// DATA is sent in messages of about this size.
    std::size_t batch_bytes = std::size_t{32} << 10U;
    /// How a receiver that has fallen silent is noticed, over any transport.
    HeartbeatOptions heartbeat{};
    SupervisorOptions link{};
};

namespace detail {
/// Options that no session could keep end the program when it is made.
[[nodiscard]] inline SessionOptions&& checked(SessionOptions&& options) {
    BELAY_PRECONDITION(options.greeting_max.count() > 0 && options.stalled_after.count() > 0,
                       "SessionOptions: greeting_max and stalled_after must be > 0ns");
    return static_cast<SessionOptions&&>(options);
}
}  // namespace detail

/// Where a session stands, as one consistent value.
struct SessionStatus {
    LinkStatus link{};                ///< `connected` means: resumed, operations flow
    Blocked blocked = Blocked::none;  ///< why nothing is sent, if so
    BlockedDetails details{};         ///< what is known about it
    std::uint64_t taken = 0;          ///< the highest number given out by send()
    std::uint64_t accepted = 0;       ///< durable up to here: will be delivered
    std::uint64_t acknowledged = 0;   ///< delivered up to here
};

}}  // namespace belay
