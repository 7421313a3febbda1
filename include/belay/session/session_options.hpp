// SPDX-License-Identifier: MIT
/// \file belay/session/session_options.hpp
/// SessionOptions, SessionStatus: the options of a Session, and its state.
#pragma once

#include <cstdint>      // std::uint8_t, std::uint32_t, std::uint64_t
#include <string_view>  // std::string_view

#include <belay/core/detail/expect_options.hpp>
#include <belay/journal/id.hpp>
#include <belay/link/heartbeat_options.hpp>
#include <belay/link/status.hpp>
#include <belay/link/supervisor_options.hpp>
#include <belay/session/blocked.hpp>
#include <belay/session/frame.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {
/// The payload of an ACK: two limits.
inline constexpr std::uint32_t ack_bytes = 16;
}  // namespace detail

/// The options of a Session.
struct SessionOptions {
    /// The id of the stream of work, not of the process. It never changes. Required.
    Id id{};
    /// The maximum size of a payload that is accepted from the receiver: 16, the size of an ACK, to
    /// 16 MiB (session_format::payload_bytes_ceiling).
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
    /// The maximum size of a message with several DATA frames. A longer operation is a message of
    /// its own, with the 24 bytes of its frame. > 0.
    std::size_t batch_bytes = std::size_t{32} << 10U;
    /// When a silent receiver is pinged and given up, over any transport.
    HeartbeatOptions heartbeat{};
    SupervisorOptions link{};
    /// As a service of a Fleet: the priority among services that want to dial; see
    /// ServiceOptions::priority.
    std::uint8_t priority = 0;

    /// Returns the rule that these options break, as a sentence; an empty text if they break none.
    [[nodiscard]] std::string_view check() const noexcept {
        if (id == no_id) return "SessionOptions: id must be set";
        if (greeting_max <= Duration::zero() || stalled_after <= Duration::zero()) {
            return "SessionOptions: greeting_max and stalled_after must be > 0ns";
        }
        if (payload_bytes_max < detail::ack_bytes ||
            payload_bytes_max > session_format::payload_bytes_ceiling) {
            return "SessionOptions: payload_bytes_max must be from 16 to 16777216";
        }
        if (batch_bytes == 0) {
            return "SessionOptions: batch_bytes must be > 0, or no operation is sent";
        }
        return heartbeat.check();
    }
};

namespace detail {
/// Returns the options; options that no session can satisfy end the program at construction.
[[nodiscard]] inline SessionOptions&& checked(SessionOptions&& options) {
    expect_options(options.check(),
                   {{"greeting_max", options.greeting_max},
                    {"stalled_after", options.stalled_after},
                    {"payload_bytes_max", std::uint64_t{options.payload_bytes_max}},
                    {"batch_bytes", std::uint64_t{options.batch_bytes}},
                    {"heartbeat.every", options.heartbeat.every},
                    {"heartbeat.dead_after", options.heartbeat.dead_after}});
    return static_cast<SessionOptions&&>(options);
}
/// Returns the time, in milliseconds, within which a session needs a sign of life while it sends a
/// long frame. It is a third of `dead_after`, so that two late signs end no connection. It is 0 if
/// that is 1 s or more, because a receiver sends one each second anyway.
[[nodiscard]] constexpr std::uint16_t sign_within_ms(const HeartbeatOptions& heartbeat) noexcept {
    const auto third = heartbeat.dead_after / 3 / std::chrono::milliseconds{1};
    return third >= 1000 ? 0 : static_cast<std::uint16_t>(third > 0 ? third : 1);
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
    std::error_code flush_error{};    ///< of the last flush, for example on a full disk; none if
                                      ///< it succeeded
};

}}  // namespace belay
