// SPDX-License-Identifier: MIT
/// \file belay/link/detail/pulse.hpp
/// Pulse: when a silent peer is asked for a sign of life, and when it is given up.
#pragma once

#include <belay/core/assert.hpp>
#include <belay/core/order.hpp>
#include <belay/link/heartbeat_options.hpp>

namespace belay::inline BELAY_ABI::detail {

/// Decides for one connection; at rest until something is heard.
///
/// Models:        std::copyable.
/// Thread safety: distinct objects safe.
/// Source:        libwebsockets' "validity" (lws-retry.h): only what was received proves anything.
class Pulse {
public:
    enum class Due : std::uint8_t {
        nothing,  ///< nothing to do
        ping,     ///< send a ping
        lost      ///< give the connection up
    };

    /// Pre: 0ns < every < dead_after.
    constexpr explicit Pulse(const HeartbeatOptions& options) : options_{options} {
        BELAY_PRECONDITION(Duration::zero() < options.every && options.every < options.dead_after,
                           "HeartbeatOptions: 0ns < every < dead_after must hold");
    }

    /// The peer has given a sign of life, being open included.
    constexpr void heard(Instant now) noexcept {
        ask_at_ = after(now, options_.every);
        lost_at_ = after(now, options_.dead_after);
        asked_ = spared_ = false;
    }
    /// There is no connection to watch.
    constexpr void rest() noexcept { ask_at_ = lost_at_ = never; }

    /// When judge() wants to be asked.
    [[nodiscard]] constexpr Instant deadline() const noexcept { return smaller(ask_at_, lost_at_); }
    /// Whether the peer has been silent for too long.
    [[nodiscard]] constexpr bool lost(Instant now) const noexcept { return lost_at_ <= now; }

    [[nodiscard]] constexpr Due judge(Instant now) noexcept {
        if (now < deadline()) return Due::nothing;
        // Who was not there could not hear an answer either. Once: whoever is always late would
        // never give a peer up.
        const bool overslept = after(deadline(), options_.every) < now;
        if (!spared_ && (overslept || (lost(now) && !asked_))) {
            spared_ = true;
            const Duration rest = options_.dead_after - options_.every;
            lost_at_ = larger(lost_at_, after(now, smaller(options_.every, rest)));
        } else if (lost(now)) {
            return Due::lost;
        }
        asked_ = true;
        ask_at_ = after(now, options_.every);
        return Due::ping;
    }

private:
    HeartbeatOptions options_;
    Instant ask_at_ = never;
    Instant lost_at_ = never;
    bool asked_ = false;   // since the last sign of life
    bool spared_ = false;  // likewise
};

}  // namespace belay::inline BELAY_ABI::detail
