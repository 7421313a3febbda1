// SPDX-License-Identifier: MIT
/// \file belay/session/detail/session_core.hpp
/// SessionCore: the decisions of a session about times, and the order of its notifications, as a
/// value.
#pragma once

#include <utility>  // std::exchange

#include <belay/core/order.hpp>
#include <belay/link/heartbeat_options.hpp>
#include <belay/link/status.hpp>
#include <belay/session/session_format.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The times of a SessionCore; see SessionOptions.
struct SessionTimes {
    Duration greeting_max{};
    Duration stalled_after{};
    HeartbeatOptions heartbeat{};
};

/// The state of the parts of a session. The core compares it with what it has reported.
struct SessionFacts {
    LinkState link = LinkState::stopped;
    std::uint64_t durable = 0;       ///< of the journal
    std::uint64_t acked = 0;         ///< of the sender's core, like the two below
    std::uint32_t replacements = 0;  ///< how often a receiver dropped another journal for ours
    Blocked blocked = Blocked::none;
};

/// Decides when the HELLO of a session has waited too long and when to ping. It also decides when
/// to give up the receiver, and when the session has stalled. It also decides the order of the
/// observer's notifications. SenderCore decides which messages are sent.
///
/// Models:        std::copyable.
/// Thread safety: distinct objects safe.   Complexity: O(1) each, without allocation.
class SessionCore {
public:
    /// The action that the connection needs.
    enum class Due : std::uint8_t {
        nothing,
        ping,    ///< ask the receiver for a sign of life
        silent,  ///< give the connection up: HELLO or START was not answered in time
        lost     ///< give it up: the receiver has been silent for too long
    };
    /// The notifications of the observer, in the order of one turn.
    enum class Notice : std::uint8_t {
        none,
        accepted,
        acknowledged,
        journal_replaced,
        blocked,
        stalled
    };

    constexpr SessionCore(const SessionTimes& times, const SessionFacts& start)
        : times_{times}, reported_{start}, pulse_{times.heartbeat} {}

    // ---- inputs ---------------------------------------------------------------------------------

    /// A HELLO was sent. A blocked session is reported again if it still is blocked.
    constexpr void greeting(Instant now) noexcept {
        greeting_.begin(now, times_.greeting_max);
        answered_ = false;
        reported_.blocked = Blocked::none;
    }
    /// The receiver has answered the HELLO of this connection, or has rejected it.
    constexpr void answered() noexcept { answered_ = true; }
    /// The receiver has answered with WELCOME, and START was sent.
    constexpr void welcomed(Instant now) noexcept { greeting_.proceed(now, times_.greeting_max); }
    /// The receiver has resumed this session.
    constexpr void resumed(Instant now) noexcept {
        answered();
        greeting_.end();
        // The time without a connection does not count.
        const Duration away = elapsed(std::exchange(left_at_, never), now);
        progress_at_ = progress_at_ == always ? now : smaller(now, after(progress_at_, away));
        pulse_.sign_of_life(now);
    }
    /// Records the time of the last sign of life, and how many there were, of all connections. It
    /// may be called repeatedly: the number shows a new one, also at the instant of the one before.
    constexpr void sign_of_life(Instant at, std::uint64_t signs) noexcept {
        if (signs == std::exchange(signs_, signs) || pulse_.rests()) return;
        pulse_.sign_of_life(at);
    }
    /// Pings at once.   Returns: whether to send a ping.
    constexpr bool probe(Instant now, Duration within) noexcept {
        return pulse_.probe(now, within);
    }
    /// The link is in a state other than connected.
    constexpr void disconnected(LinkState state, Instant now) noexcept {
        pulse_.rest();
        left_at_ = smaller(left_at_, now);
        if (std::exchange(answered_, false) && state == LinkState::cooldown) {
            if (fruitless_ == 0) fruitless_since_ = now;
            fruitless_ = smaller(fruitless_ + 1, fruitless_max);
        }
        if (state != LinkState::connecting) greeting_.end();
    }

    // ---- decisions ------------------------------------------------------------------------------

    [[nodiscard]] constexpr Instant deadline(const SessionFacts& facts) const noexcept {
        if (next(Notice::none, always, facts) != Notice::none) return always;
        return smaller(smaller(greeting_.ends(), pulse_.deadline()), stalled_at(facts));
    }

    [[nodiscard]] constexpr Due check_timers(Instant now) noexcept {
        if (greeting_.is_over(now, times_.greeting_max)) {
            greeting_.end();
            return Due::silent;
        }
        switch (pulse_.check(now)) {
            case Pulse::Due::ping:
                return Due::ping;
            case Pulse::Due::lost:
                // Once: a fleet may hold the end of the connection for a while.
                pulse_.rest();
                return Due::lost;
            case Pulse::Due::nothing:
                break;
        }
        return Due::nothing;
    }

    /// Returns the next notification of a turn, to be reported at once.   `last`: the one before it
    /// in this turn, none at first. Each occurs once in a turn, so the turn ends even if hooks
    /// cause more.
    [[nodiscard]] constexpr Notice take_notice(Notice last, Instant now,
                                               const SessionFacts& facts) noexcept {
        const Notice notice = next(last, now, facts);
        switch (notice) {
            case Notice::accepted:
                // No operation waited until now: an idle session has not stalled.
                if (reported_.durable <= facts.acked) progress(now);
                reported_.durable = facts.durable;
                break;
            case Notice::acknowledged:
                reported_.acked = facts.acked;
                progress(now);
                stall_reported_ = false;
                break;
            case Notice::journal_replaced:
                reported_.replacements = facts.replacements;
                break;
            case Notice::blocked:
                reported_.blocked = facts.blocked;
                break;
            case Notice::stalled:
                stall_reported_ = true;
                break;
            case Notice::none:
                break;
        }
        return notice;
    }

private:
    [[nodiscard]] constexpr Notice next(Notice last, Instant now,
                                        const SessionFacts& facts) const noexcept {
        if (last < Notice::accepted && reported_.durable != facts.durable) return Notice::accepted;
        if (last < Notice::acknowledged && reported_.acked != facts.acked)
            return Notice::acknowledged;
        if (last < Notice::journal_replaced && reported_.replacements != facts.replacements) {
            return Notice::journal_replaced;
        }
        if (last < Notice::blocked && facts.blocked != Blocked::none &&
            reported_.blocked != facts.blocked) {
            return Notice::blocked;
        }
        if (last < Notice::stalled && stalled_at(facts) <= now) return Notice::stalled;
        return Notice::none;
    }

    [[nodiscard]] constexpr Instant stalled_at(const SessionFacts& facts) const noexcept {
        if (stall_reported_ || facts.durable <= facts.acked) return never;
        const bool connected = facts.link == LinkState::connected;
        const bool reconnects =
            connected || facts.link == LinkState::connecting || facts.link == LinkState::cooldown;
        const bool fruitless = reconnects && fruitless_ == fruitless_max;
        return smaller(connected ? after(progress_at_, times_.stalled_after) : never,
                       fruitless ? after(fruitless_since_, times_.stalled_after) : never);
    }
    constexpr void progress(Instant now) noexcept {
        progress_at_ = now;
        fruitless_ = 0;
    }

    /// How many connections the receiver ends without progress before that counts as a stall: a
    /// restart of the receiver ends one or two.
    static constexpr unsigned fruitless_max = 3;

    SessionTimes times_;
    SessionFacts reported_;  // all except the link
    bool stall_reported_ = false;
    bool answered_ = false;   // the receiver, on this connection
    unsigned fruitless_ = 0;  // connections since the last progress that were answered, and ended
    Instant fruitless_since_ = always;  // the end of the first of them
    GreetingLimit greeting_;
    Instant progress_at_ = always;  // the last, later by the time without a connection since then
    Instant left_at_ = always;      // when the link left the state connected; never: it is there
    std::uint64_t signs_ = 0;
    Pulse pulse_;
};

}}}  // namespace belay::detail
