// SPDX-License-Identifier: MIT
/// \file belay/session/detail/session_core.hpp
/// SessionCore: what a session does at which instant, and what its observer is told; as a value.
#pragma once

#include <belay/core/order.hpp>
#include <belay/link/detail/pulse.hpp>
#include <belay/link/status.hpp>
#include <belay/session/blocked.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// What a SessionCore is tuned by; see SessionOptions.
struct SessionTimes {
    Duration greeting_max{};
    Duration stalled_after{};
    HeartbeatOptions heartbeat{};
};

/// Where the parts of a session stand; its core compares that with what it has told.
struct SessionFacts {
    LinkState link = LinkState::stopped;
    std::uint64_t durable = 0;       ///< of the journal
    std::uint64_t acked = 0;         ///< of the sender's core, as what follows
    std::uint32_t replacements = 0;  ///< how often a receiver gave another journal up for ours
    Blocked blocked = Blocked::none;
};

/// Decides when a session has greeted in vain, pings, gives its receiver up and has stalled, and
/// what its observer is told in which order. What is said on the wire is SenderCore's.
///
/// Models:        std::copyable.
/// Thread safety: distinct objects safe.   Complexity: O(1) each, without allocation.
class SessionCore {
public:
    /// What the connection needs.
    enum class Due : std::uint8_t {
        nothing,
        ping,    ///< ask the receiver for a sign of life
        silent,  ///< give the connection up: HELLO or START was not answered in time
        lost     ///< give it up: the receiver has been silent for too long
    };
    /// What the observer hears, in the order of one turn.
    enum class Notice : std::uint8_t {
        none,
        accepted,
        acknowledged,
        journal_replaced,
        blocked,
        stalled
    };

    constexpr SessionCore(const SessionTimes& times, const SessionFacts& start)
        : greeting_max_{times.greeting_max},
          stalled_after_{times.stalled_after},
          told_{start},
          pulse_{times.heartbeat} {}

    // ---- what happens --------------------------------------------------------------------------

    /// HELLO is said; what was blocked is looked at again.
    constexpr void greeting(Instant now) noexcept {
        greeting_ends_ = after(now, greeting_max_);
        told_.blocked = Blocked::none;
    }
    /// The receiver has resumed us.
    constexpr void resumed(Instant now) noexcept {
        greeting_ends_ = never;
        progress_at_ = now;
        heard_at_ = now;
        pulse_.heard(now);
    }
    /// The last sign of life of this connection was then; may be said again and again.
    constexpr void heard(Instant at) noexcept {
        if (at <= heard_at_ || pulse_.deadline() == never) return;
        heard_at_ = at;
        pulse_.heard(at);
    }
    /// Asks at once.   Returns: whether to send a ping.
    constexpr bool probe(Instant now, Duration within) noexcept {
        return pulse_.probe(now, within);
    }
    /// The link is in a state other than connected.
    constexpr void disconnected(LinkState state) noexcept {
        pulse_.rest();
        if (state != LinkState::connecting) greeting_ends_ = never;
    }

    // ---- what follows --------------------------------------------------------------------------

    [[nodiscard]] constexpr Instant deadline(const SessionFacts& facts) const noexcept {
        if (next(Notice::none, always, facts) != Notice::none) return always;
        return smaller(smaller(greeting_ends_, pulse_.deadline()), stalled_at(facts));
    }

    [[nodiscard]] constexpr Due judge(Instant now) noexcept {
        if (greeting_ends_ <= now) {
            greeting_ends_ = never;
            return Due::silent;
        }
        switch (pulse_.judge(now)) {
            case Pulse::Due::ping:
                return Due::ping;
            case Pulse::Due::lost:
                return Due::lost;
            case Pulse::Due::nothing:
                break;
        }
        return Due::nothing;
    }

    /// The next notice of a turn, to be told at once.   `last`: the one before it in this turn,
    /// none at first. Each comes once a turn, so that hooks which cause more end it all the same.
    [[nodiscard]] constexpr Notice tell(Notice last, Instant now,
                                        const SessionFacts& facts) noexcept {
        const Notice notice = next(last, now, facts);
        switch (notice) {
            case Notice::accepted:
                // Nothing waited until now: an idle session has not stalled.
                if (told_.durable <= facts.acked) progress_at_ = now;
                told_.durable = facts.durable;
                break;
            case Notice::acknowledged:
                told_.acked = facts.acked;
                progress_at_ = now;
                stall_told_ = false;
                break;
            case Notice::journal_replaced:
                told_.replacements = facts.replacements;
                break;
            case Notice::blocked:
                told_.blocked = facts.blocked;
                break;
            case Notice::stalled:
                stall_told_ = true;
                break;
            case Notice::none:
                break;
        }
        return notice;
    }

private:
    [[nodiscard]] constexpr Notice next(Notice last, Instant now,
                                        const SessionFacts& facts) const noexcept {
        if (last < Notice::accepted && told_.durable != facts.durable) return Notice::accepted;
        if (last < Notice::acknowledged && told_.acked != facts.acked) return Notice::acknowledged;
        if (last < Notice::journal_replaced && told_.replacements != facts.replacements) {
            return Notice::journal_replaced;
        }
        if (last < Notice::blocked && facts.blocked != Blocked::none &&
            told_.blocked != facts.blocked) {
            return Notice::blocked;
        }
        if (last < Notice::stalled && stalled_at(facts) <= now) return Notice::stalled;
        return Notice::none;
    }

    [[nodiscard]] constexpr Instant stalled_at(const SessionFacts& facts) const noexcept {
        const bool waiting =
            facts.link == LinkState::connected && !stall_told_ && facts.durable > facts.acked;
        return waiting ? after(progress_at_, stalled_after_) : never;
    }

    Duration greeting_max_;
    Duration stalled_after_;
    SessionFacts told_;  // but for the link
    bool stall_told_ = false;
    Instant greeting_ends_ = never;
    Instant progress_at_ = always;
    Instant heard_at_ = always;
    Pulse pulse_;
};

}}}  // namespace belay::detail
