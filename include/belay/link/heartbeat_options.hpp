// SPDX-License-Identifier: MIT
/// \file belay/link/heartbeat_options.hpp
/// HeartbeatOptions: when a silent peer is pinged, and when its connection is given up.
/// Pulse: decides both for one connection. GreetingLimit: decides when a greeting has waited for
/// its answer too long.
#pragma once

#include <string_view>  // std::string_view

#include <belay/core/detail/expect_options.hpp>
#include <belay/core/instant.hpp>
#include <belay/core/order.hpp>

namespace belay { inline namespace BELAY_ABI {

/// The times by which a Heartbeat, a Session or a Receiver watches its peer.
///
/// Pre: 0ns < every < dead_after.
struct HeartbeatOptions {
    /// The time of silence after which a ping is sent, and after which the next one follows.
    Duration every = std::chrono::seconds{10};
    /// The time without a sign of life after which the connection is given up. A loss is therefore
    /// noticed within `dead_after` and one wake of the driver.
    ///
    /// A driver that is late by more than `every` (a frozen process, a paused container) sends one
    /// more ping first. It waits for the answer as long as a punctual ping would have: for `every`,
    /// or for `dead_after - every` if that is shorter. If `dead_after` is over by then, as after a
    /// sleep, it waits at most 5 s.
    Duration dead_after = std::chrono::seconds{25};

    /// Returns the sentence on what is wrong with these options; it is empty if nothing is. It also
    /// serves a static_assert.   Complexity: O(1).
    [[nodiscard]] constexpr std::string_view check() const noexcept {
        return Duration::zero() < every && every < dead_after
                   ? std::string_view{}
                   : "HeartbeatOptions: 0ns < every < dead_after must hold";
    }
};

namespace detail {

/// Decides for one connection. It is at rest until the first sign of life.
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
        expect_options(options.check(),
                       {{"every", options.every}, {"dead_after", options.dead_after}});
    }

    /// Records a sign of life from the peer, including the opening of the connection.
    constexpr void sign_of_life(Instant now) noexcept {
        // Several messages of one turn are one sign of life.
        if (now != last_sign_at_ || asked_) begin(now);
    }
    /// Records that output has left that had waited. A ping may wait behind it, so the peer gets
    /// `dead_after` from now on, within `output_periods_max` of them after its last sign of life.
    /// The limit of a probe stays, because only an answer counts for it.
    constexpr void output_left(Instant now) noexcept {
        if (!watches_) return;
        const Instant latest = after(
            last_sign_at_, part::saturating_multiply(options_.dead_after, output_periods_max));
        const Instant end = smaller(after(now, options_.dead_after), latest);
        lost_at_ = larger(lost_at_, smaller(end, probe_ends()));
    }
    /// Requests a ping at once, before it is due. The peer is lost if it gives no sign of life
    /// within `within`. Does nothing at rest.
    /// Returns: whether to send a ping.
    constexpr bool probe(Instant now, Duration within) noexcept {
        if (!watches_) return false;
        const Instant end = after(now, within);
        lost_at_ = smaller(lost_at_, end);
        // Each further type of durations costs every program memory to compile.
        const auto time = elapsed(last_sign_at_, end).count() / 1'000'000;
        if (time < probe_milliseconds_) probe_milliseconds_ = static_cast<std::uint32_t>(time);
        ask_at_ = after(now, options_.every);
        return asked_ = true;
    }
    /// From the next connection on, the interval between pings is twice as long, up to one hour. A
    /// reply gets the time that it would have had after a suspend. If that conflicts with
    /// `dead_after`, a loss is noticed later.
    ///
    /// Returns: whether a loss is now noticed later than before.
    constexpr bool penalize() noexcept {
        constexpr Duration every_max = std::chrono::seconds{3600};
        const Duration longer = part::saturating_multiply(options_.every, 2);
        const Duration least = spare();
        if (options_.every < every_max) options_.every = longer < every_max ? longer : every_max;
        const Duration needed = part::saturating_add(options_.every, least);
        if (needed <= options_.dead_after) return false;
        options_.dead_after = needed;
        return true;
    }
    [[nodiscard]] constexpr const HeartbeatOptions& options() const noexcept { return options_; }
    /// Returns the time of the last sign of life in this connection; `never` at rest.
    [[nodiscard]] constexpr Instant last_sign_at() const noexcept { return last_sign_at_; }

    /// Records that there is no connection to watch.
    constexpr void rest() noexcept {
        watches_ = false;
        last_sign_at_ = ask_at_ = lost_at_ = never;
    }
    /// Returns whether it is at rest. A deadline of `never` does not show that, because the options
    /// may be `forever`.
    [[nodiscard]] constexpr bool rests() const noexcept { return !watches_; }

    /// Returns when to call check().
    [[nodiscard]] constexpr Instant deadline() const noexcept { return smaller(ask_at_, lost_at_); }
    /// Returns whether the peer has been silent for too long.
    [[nodiscard]] constexpr bool lost(Instant now) const noexcept { return lost_at_ <= now; }

    [[nodiscard]] constexpr Due check(Instant now) noexcept {
        if (now < deadline()) return Due::nothing;
        // A process that slept cannot have received a reply either. The peer is spared only once: a
        // process that is always late would otherwise never give it up.
        const bool overslept = after(deadline(), options_.every) < now;
        if (!spared_ && (overslept || (lost(now) && !asked_))) {
            spared_ = true;
            lost_at_ = larger(lost_at_, after(now, lost(now) ? spare() : patience()));
        } else if (lost(now)) {
            return Due::lost;
        }
        asked_ = true;
        ask_at_ = after(now, options_.every);
        return Due::ping;
    }

private:
    /// A peer that takes output and gives no sign of life is lost after so many `dead_after`.
    static constexpr std::uint64_t output_periods_max = 24;

    /// Begins a new period of silence.
    constexpr void begin(Instant now) noexcept {
        last_sign_at_ = now;
        ask_at_ = after(now, options_.every);
        lost_at_ = after(now, options_.dead_after);
        probe_milliseconds_ = no_probe;
        asked_ = spared_ = false;
        watches_ = true;
    }
    /// Returns how long to wait for the reply to a ping that was sent in time.
    [[nodiscard]] constexpr Duration patience() const noexcept {
        return smaller(options_.every, options_.dead_after - options_.every);
    }
    /// Returns how long to wait for the reply to a ping that is sent when the peer would already be
    /// lost.
    [[nodiscard]] constexpr Duration spare() const noexcept {
        constexpr Duration spare_max = std::chrono::seconds{5};
        return smaller(patience(), spare_max);
    }

    /// Returns the limit of the probes since the last sign of life, less than 1 ms early.
    [[nodiscard]] constexpr Instant probe_ends() const noexcept {
        if (probe_milliseconds_ == no_probe) return never;
        return after(last_sign_at_, std::chrono::milliseconds{probe_milliseconds_});
    }

    static constexpr std::uint32_t no_probe = ~std::uint32_t{0};

    HeartbeatOptions options_;
    Instant last_sign_at_ = never;  // in this connection, while it is not at rest
    Instant ask_at_ = never;
    Instant lost_at_ = never;
    bool watches_ = false;  // not at rest
    bool asked_ = false;    // since the last sign of life
    bool spared_ = false;   // likewise
    // From the last sign of life to the end of the probes. An Instant would make each connection
    // larger.
    std::uint32_t probe_milliseconds_ = no_probe;
};

/// Decides when a peer has not answered a greeting in time. `max` is the same in all calls.
///
/// A process that slept, or that waited for its own disk, has neither sent its greeting nor read
/// the answer. So a driver that is late gives the peer the time once more.
///
/// Models:        std::copyable.
/// Thread safety: distinct objects safe.
class GreetingLimit {
public:
    constexpr void begin(Instant now, Duration max) noexcept {
        ends_ = after(now, max);
        spared_ = false;
    }
    /// Records that the next answer is due. If the last one was read late, that took the time of
    /// this one, which begins again.
    constexpr void proceed(Instant now, Duration max) noexcept {
        if (ends_ <= now) begin(now, max);
    }
    constexpr void end() noexcept { ends_ = never; }

    /// Returns when to call is_over(); `never` if no greeting waits.
    [[nodiscard]] constexpr Instant ends() const noexcept { return ends_; }
    /// Returns whether to give the peer up.
    [[nodiscard]] constexpr bool is_over(Instant now, Duration max) noexcept {
        if (now < ends_) return false;
        // Drivers in time are late, too, by the work of one round.
        const bool overslept = after(ends_, Duration{max.count() / 64}) < now;
        if (spared_ || !overslept) return true;
        begin(now, max);
        spared_ = true;
        return false;
    }

private:
    Instant ends_ = never;
    bool spared_ = false;
};

}  // namespace detail

}}  // namespace belay
