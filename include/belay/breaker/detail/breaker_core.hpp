// SPDX-License-Identifier: MIT
/// \file belay/breaker/detail/breaker_core.hpp
/// BreakerCore: what Breaker and CircuitBreaker decide, as one value.
#pragma once

#include <cstdint>  // std::uint8_t, std::uint16_t, std::uint32_t

#include <belay/breaker/breaker_state.hpp>
#include <belay/breaker/open_wait_like.hpp>
#include <belay/breaker/trip_like.hpp>
#include <belay/policy/rule.hpp>

namespace belay::inline BELAY_ABI::detail {

/// The brain of a breaker: who may call, and what verdicts do. Breaker and CircuitBreaker wrap it;
/// use one of them.
///
/// A permit is the generation in which it was given. Every change of state starts a new one, and
/// verdicts of an older one are void. It reads no clock, and asking (`admit`, `state`) changes
/// nothing, so its history does not depend on how often it is asked.
///
/// Thread safety: a plain value.
/// Source:        M. Nygard, "Release It!" (2007); generations as in sony/gobreaker.
template <class Trip, class OpenWait>
class BreakerCore {
    // Not constraints: the compilers' words for a failed one would hide the sentence.
    static_assert(explain::trip_like<Trip>() && explain::open_wait_like<OpenWait>());

public:
    /// Generations have 30 bits, so that CircuitBreaker can keep one in an atomic word.
    static constexpr std::uint32_t generation_mask = 0x3FFFFFFFU;

    constexpr BreakerCore(Trip trip, OpenWait open_wait, HalfOpenOptions half_open) noexcept
        : trip_{trip}, open_wait_{open_wait}, half_open_{half_open} {
        BELAY_PRECONDITION(half_open.probes >= 1, "HalfOpenOptions: probes must be >= 1");
        BELAY_PRECONDITION(half_open.successes >= 1, "HalfOpenOptions: successes must be >= 1");
        BELAY_PRECONDITION(half_open.failures >= 1, "HalfOpenOptions: failures must be >= 1");
        BELAY_PRECONDITION(half_open.probe_timeout.count() > 0,
                           "HalfOpenOptions: probe_timeout must be > 0ns");
    }

    /// Would a call be let through? Else until when not.   Errors: none.   Complexity: O(1).
    [[nodiscard]] constexpr Advice admit(Instant now) const noexcept {
        if (mode_ == BreakerMode::forced_open)
            return Advice::suspend(after(now, detail::breaker_recheck));
        if (state_ == BreakerState::closed) return Advice::go();
        if (state_ == BreakerState::open) {
            return now >= until_ ? Advice::go() : Advice::suspend(until_);
        }
        if (out_ < half_open_.probes || now >= until_) return Advice::go();
        const Instant recheck = after(now, detail::breaker_recheck);
        return Advice::suspend(recheck < until_ ? recheck : until_);
    }

    struct Answer {
        Advice advice;
        BreakerChange change = BreakerChange::none;
    };
    /// Takes a permit of the generation that is current afterwards, unless the advice is not `go`.
    [[nodiscard]] constexpr Answer acquire(Instant now) noexcept {
        const Advice advice = admit(now);
        if (advice.verb != Verb::go || state_ == BreakerState::closed) return {advice};
        BreakerChange change = BreakerChange::none;
        if (state_ == BreakerState::open) {
            begin_probing();
            change = BreakerChange::half_opened;
        } else if (out_ >= half_open_.probes) {
            renew();
            out_ = 0;
            change = BreakerChange::probe_lost;
        }
        ++out_;
        until_ = after(now, half_open_.probe_timeout);
        return {advice, change};
    }
    /// The same, but while open it makes a probe before the time: by the user's command.
    constexpr void force(Instant now) noexcept {
        if (state_ == BreakerState::open && now < until_) {
            // Stays open, so that a forced probe that is abandoned shortens nothing.
            out_ = 1;
        } else {
            static_cast<void>(acquire(now));
        }
    }

    /// A call of `generation` ended, and took so long.   Complexity: that of the trip, O(1).
    constexpr BreakerChange verdict(bool failed, std::uint32_t generation, Turn& turn,
                                    Duration took) noexcept {
        if (generation != generation_ || mode_ == BreakerMode::disabled ||
            mode_ == BreakerMode::forced_open) {
            return BreakerChange::none;
        }
        if (state_ == BreakerState::closed) {
            return record(failed, turn.now, took) ? trip_now(turn) : BreakerChange::none;
        }
        if (out_ == 0) return BreakerChange::none;
        return judge(failed || too_slow(trip_, took), turn);
    }
    /// A call of `generation` was not made, or says nothing about the peer.
    constexpr void neutral(std::uint32_t generation) noexcept {
        if (generation == generation_ && out_ > 0) --out_;
    }
    /// The halves of a verdict on a closed breaker: whether it is time to open...   Pre: closed.
    [[nodiscard]] constexpr bool record(bool failed, Instant now, Duration took) noexcept {
        return detail::record(trip_, failed, now, took);
    }
    /// ... and doing so.   Pre: closed.
    constexpr BreakerChange trip_now(Turn& turn) noexcept {
        if (mode_ == BreakerMode::metrics_only) {
            renew();
            trip_.reset();
            return BreakerChange::would_open;
        }
        open(turn);
        return BreakerChange::opened;
    }

    /// Sets who decides, and starts afresh: closed, nothing counted, all permits void.
    constexpr BreakerChange set_mode(BreakerMode mode) noexcept {
        close();
        mode_ = mode;
        return BreakerChange::mode_set;
    }

    [[nodiscard]] constexpr BreakerSnapshot snapshot(Instant now) const noexcept {
        const bool waits = state_ == BreakerState::open;
        return {mode_, state(now), openings_, waits ? elapsed(now, until_) : Duration{}};
    }
    /// Goes on where a snapshot left off.   Errors: false, and nothing changed, if it is not valid.
    /// Complexity: O(openings) for a wait that grows, O(1) for others.
    [[nodiscard]] constexpr bool restore(const BreakerSnapshot& snapshot, Turn& turn) noexcept {
        if (!snapshot.is_valid()) return false;
        set_mode(snapshot.mode);
        if (mode_ != BreakerMode::automatic || snapshot.state == BreakerState::closed) return true;
        state_ = BreakerState::open;
        until_ = after(turn.now, snapshot.remaining);
        openings_ = snapshot.openings;
        if constexpr (Grows<OpenWait>) {
            for (std::uint32_t i = 0; i < openings_; ++i) {
                static_cast<void>(open_wait_.next(turn.bits));
            }
        }
        return true;
    }

    [[nodiscard]] constexpr BreakerState state(Instant now) const noexcept {
        if (mode_ == BreakerMode::forced_open) return BreakerState::open;
        const bool due = state_ == BreakerState::open && (out_ > 0 || now >= until_);
        return due ? BreakerState::half_open : state_;
    }
    [[nodiscard]] constexpr BreakerMode mode() const noexcept { return mode_; }
    [[nodiscard]] constexpr std::uint32_t generation() const noexcept { return generation_; }
    [[nodiscard]] constexpr const Trip& trip() const noexcept { return trip_; }
    /// When the open wait ends; without meaning unless open.
    [[nodiscard]] constexpr Instant open_until() const noexcept { return until_; }

private:
    constexpr BreakerChange judge(bool failed, Turn& turn) noexcept {
        const bool forced = state_ == BreakerState::open;
        if (forced) begin_probing();
        if (out_ > 0) --out_;
        if (failed) {
            if (forced || ++failures_ >= half_open_.failures) {
                open(turn);
                return BreakerChange::reopened;
            }
        } else if (++successes_ >= half_open_.successes) {
            close();
            return BreakerChange::closed;
        }
        return forced ? BreakerChange::half_opened : BreakerChange::none;
    }

    constexpr void open(Turn& turn) noexcept {
        renew();
        state_ = BreakerState::open;
        out_ = 0;
        until_ = after(turn.now, open_wait_.next(turn.bits));
        if (openings_ < 0xFFFFU) ++openings_;
    }
    constexpr void close() noexcept {
        renew();
        state_ = BreakerState::closed;
        out_ = 0;
        openings_ = 0;
        trip_.reset();
        if constexpr (Grows<OpenWait>) open_wait_.reset();
    }
    constexpr void begin_probing() noexcept {
        renew();
        state_ = BreakerState::half_open;
        out_ = 0;
        successes_ = 0;
        failures_ = 0;
    }
    constexpr void renew() noexcept { generation_ = (generation_ + 1) & generation_mask; }

    [[no_unique_address]] Trip trip_;
    [[no_unique_address]] OpenWait open_wait_;
    HalfOpenOptions half_open_;
    /// Open: when that ends. Half-open: when the probes that are out count as lost.
    Instant until_ = always;
    std::uint32_t generation_ = 0;
    BreakerMode mode_ = BreakerMode::automatic;
    BreakerState state_ = BreakerState::closed;
    std::uint8_t out_ = 0;
    std::uint8_t successes_ = 0;
    std::uint8_t failures_ = 0;
    std::uint16_t openings_ = 0;
};

}  // namespace belay::inline BELAY_ABI::detail
