// SPDX-License-Identifier: MIT
/// \file belay/breaker/detail/breaker_core.hpp
/// BreakerCore: the decisions of Breaker and CircuitBreaker, as one value.
#pragma once

#include <cstdint>      // std::uint8_t, std::uint16_t, std::uint32_t
#include <type_traits>  // std::is_class_v

#include <belay/breaker/breaker_state.hpp>
#include <belay/breaker/open_waits.hpp>
#include <belay/breaker/trips.hpp>
#include <belay/policy/rule.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

// This replaces the open wait if it is missing. As a length of time, it is not an open wait.
struct NoOpenWait {
    using period = void;
};

/// The logic of a breaker: which calls it permits, and the effect of verdicts. Breaker and
/// CircuitBreaker wrap it; use one of them.
///
/// A permit is the generation in which it was granted. Every change of state starts a new
/// generation, and verdicts of an older one have no effect. The core reads no clock. The queries
/// (`admit`, `state`) change nothing, so its history does not depend on how often you call them.
///
/// Thread safety: a plain value.
/// Source:        M. Nygard, "Release It!" (2007); generations as in sony/gobreaker.
template <class Trip, class OpenWait>
class BreakerCore {
    // Not constraints: the compiler's message for a failed constraint would hide the sentence.
    static_assert((TripLike<Trip> || (!OpenWaitLike<Trip> && std::is_class_v<Trip>)) &&
                      (OpenWaitLike<OpenWait> || !requires { typename OpenWait::period; }),
                  "Breaker: pass the trip first, then the open wait: "
                  "Breaker{ConsecutiveFailures{5}, OpenFor{30s}}");
    static_assert(explain::trip_like<Trip>() && explain::open_wait_like<OpenWait>());
    static_assert(!HeedsCounts<OpenWait> || HasTrippedBy<Trip>,
                  "Breaker: the open wait requires the counts of the trip, so the trip needs "
                  "'belay::CallCounts tripped_by() const noexcept'; see docs/reference/breaker.md");

public:
    /// Generations have 30 bits, so that CircuitBreaker can keep one in an atomic word.
    static constexpr std::uint32_t generation_mask = 0x3FFFFFFFU;

    constexpr BreakerCore(Trip trip, OpenWait open_wait, HalfOpenOptions half_open) noexcept
        : trip_{trip},
          open_wait_{open_wait},
          probe_timeout_{half_open.probe_timeout},
          probes_{half_open.probes},
          successes_needed_{half_open.successes},
          failures_needed_{half_open.failures} {
        BELAY_OPTION(half_open.probes >= 1, "HalfOpenOptions: probes must be >= 1");
        BELAY_OPTION(half_open.successes >= 1, "HalfOpenOptions: successes must be >= 1");
        BELAY_OPTION(half_open.failures >= 1, "HalfOpenOptions: failures must be >= 1");
        BELAY_OPTION(half_open.probe_timeout.count() > 0,
                     "HalfOpenOptions: probe_timeout must be > 0ns");
    }

    /// Returns `go` if a call would be permitted, or else until when not.   Errors: none.
    /// Complexity: O(1).
    [[nodiscard]] constexpr Advice admit(Instant now) const noexcept {
        if (mode_ == BreakerMode::forced_open)
            return Advice::suspend(after_time(now, detail::breaker_recheck));
        if (state_ == BreakerState::closed) return Advice::go();
        if (state_ == BreakerState::open) {
            return now >= until_ ? Advice::go() : Advice::suspend(until_);
        }
        if (has_space() || now >= until_) return Advice::go();
        const Instant recheck = after_time(now, detail::breaker_recheck);
        // Callers that wait would take every probe, and have too little time for it.
        return Advice::suspend(recheck < until_ && !was_cut_short_ ? recheck : until_);
    }

    struct Answer {
        Advice advice;
        BreakerChange change = BreakerChange::none;
    };
    /// Takes a permit of the generation that is current afterwards, if the advice is `go`.
    [[nodiscard]] constexpr Answer acquire(Instant now) noexcept {
        const Advice advice = admit(now);
        if (advice.verb != Advice::Verb::go || state_ == BreakerState::closed) return {advice};
        BreakerChange change = BreakerChange::none;
        if (state_ == BreakerState::open) {
            change = out_ > 0 ? BreakerChange::probe_lost : BreakerChange::half_opened;
            begin_probing(now);
        } else if (!has_space()) {
            renew();
            out_ = 0;
            change = BreakerChange::probe_lost;
        }
        ++out_;
        until_ = after_time(now, probe_timeout_);
        return {advice, change};
    }
    /// The same, on the user's command: an open breaker permits a probe before its wait ends.
    constexpr void force(Instant now) noexcept {
        if (state_ == BreakerState::open && now < until_) {
            // The state stays open, so that an abandoned forced probe does not shorten the wait.
            out_ = 1;
        } else {
            static_cast<void>(acquire(now));
        }
    }

    /// Records the end of a call of `generation` that took `took`. If it failed, `why` is the
    /// failure.
    /// Complexity: that of the trip, O(1).
    constexpr BreakerChange verdict(bool failed, std::uint32_t generation, Turn& turn,
                                    Duration took, const Failure& why = {}) noexcept {
        if (generation != generation_ || mode_ == BreakerMode::disabled ||
            mode_ == BreakerMode::forced_open) {
            return BreakerChange::none;
        }
        if (state_ == BreakerState::closed) {
            return record(failed, turn.now, took) ? trip_now(turn, why) : BreakerChange::none;
        }
        if (out_ == 0) return BreakerChange::none;
        if (failed && is_neutral(why)) {
            neutral(generation, why);
            return BreakerChange::none;
        }
        return record_probe(failed || too_slow(trip_, took), turn, why);
    }
    /// Returns whether a failure with less time than a peer must have is neutral now, because it
    /// is the failure of a probe.
    [[nodiscard]] constexpr bool is_neutral(const Failure& why) const noexcept {
        return state_ != BreakerState::closed && why.origin == FailureOrigin::cut_short;
    }
    /// Records that a call of `generation` was not made, or shows nothing about the peer.
    constexpr void neutral(std::uint32_t generation, const Failure& why = {}) noexcept {
        if (generation != generation_ || out_ == 0) return;
        --out_;
        // The probe had too little time, because it had waited. A call that has not has more.
        if (why.cause == Cause::timed_out) was_cut_short_ = true;
    }
    /// The first half of a verdict on a closed breaker: returns whether it must open.
    /// Pre: closed.
    [[nodiscard]] constexpr bool record(bool failed, Instant now, Duration took) noexcept {
        return detail::record(trip_, failed, now, took);
    }
    /// The second half: opens the breaker.   Pre: closed.
    constexpr BreakerChange trip_now(Turn& turn, const Failure& why) noexcept {
        if (mode_ == BreakerMode::metrics_only) {
            renew();
            trip_.reset();
            return BreakerChange::would_open;
        }
        open(turn, why, counts_of_trip());
        return BreakerChange::opened;
    }

    /// Sets the mode and resets the state: closed, all counts zero, all permits void.
    constexpr BreakerChange set_mode(BreakerMode mode) noexcept {
        close();
        mode_ = mode;
        return BreakerChange::mode_set;
    }

    /// Continues by other rules: all counts zero, all permits void, the mode as before. If it was
    /// not closed, the next call is a probe.
    constexpr void set_rules(const Trip& trip, const OpenWait& open_wait,
                             HalfOpenOptions half_open) noexcept {
        BreakerCore next{trip, open_wait, half_open};
        next.trip_.reset();
        next.mode_ = mode_;
        next.generation_ = generation_;
        next.renew();
        if (state_ != BreakerState::closed) {
            next.state_ = BreakerState::open;
            next.until_ = always;
        }
        *this = next;
    }

    [[nodiscard]] constexpr BreakerSnapshot snapshot(Instant now) const noexcept {
        const bool waits = state_ == BreakerState::open;
        return {mode_, state(now), openings_, waits ? elapsed(now, until_) : Duration{}};
    }
    /// Continues from a snapshot.
    /// Errors: false if the snapshot is not valid; nothing has changed.
    /// Complexity: O(openings) for a wait that grows, O(1) for others.
    [[nodiscard]] constexpr bool restore(const BreakerSnapshot& snapshot, Turn& turn) noexcept {
        if (!snapshot.is_valid()) return false;
        set_mode(snapshot.mode);
        if (mode_ != BreakerMode::automatic || snapshot.state == BreakerState::closed) return true;
        state_ = BreakerState::open;
        until_ = after_time(turn.now, snapshot.remaining);
        openings_ = snapshot.openings;
        if constexpr (HasReset<OpenWait>) {
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
    [[nodiscard]] constexpr const OpenWait& open_wait() const noexcept { return open_wait_; }
    /// Returns when the open wait ends. The value has no meaning unless the breaker is open.
    [[nodiscard]] constexpr Instant open_until() const noexcept { return until_; }

private:
    constexpr BreakerChange record_probe(bool failed, Turn& turn, const Failure& why) noexcept {
        const bool forced = state_ == BreakerState::open;
        if (forced) begin_probing(turn.now);
        if (out_ > 0) --out_;
        if (failed) {
            if (forced || ++failures_ >= failures_needed_) {
                const std::uint64_t failed_probes = forced ? 1 : failures_;
                open(turn, why, {successes_ + failed_probes, failed_probes});
                return BreakerChange::reopened;
            }
        } else if (++successes_ >= successes_needed_) {
            close();
            return BreakerChange::closed;
        }
        return forced ? BreakerChange::half_opened : BreakerChange::none;
    }

    // With more probes than this, the verdicts of some could no longer change the outcome.
    [[nodiscard]] constexpr bool has_space() const noexcept {
        const int to_close = successes_needed_ - successes_;
        const int to_open = failures_needed_ - failures_;
        return out_ < probes_ && out_ < (to_close > to_open ? to_close : to_open);
    }

    [[nodiscard]] constexpr CallCounts counts_of_trip() const noexcept {
        if constexpr (HeedsCounts<OpenWait>) {
            return trip_.tripped_by();
        } else {
            return {};
        }
    }
    constexpr void open(Turn& turn, const Failure& why, const CallCounts& seen) noexcept {
        renew();
        state_ = BreakerState::open;
        out_ = 0;
        until_ = after_time(turn.now, next_wait(open_wait_, turn.bits, why, seen));
        if (openings_ < 0xFFFFU) ++openings_;
    }
    constexpr void close() noexcept {
        renew();
        state_ = BreakerState::closed;
        out_ = 0;
        openings_ = 0;
        trip_.reset();
        if constexpr (HasReset<OpenWait>) open_wait_.reset();
    }
    constexpr void begin_probing(Instant now) noexcept {
        renew();
        until_ = after_time(now, probe_timeout_);
        state_ = BreakerState::half_open;
        out_ = 0;
        successes_ = 0;
        failures_ = 0;
        was_cut_short_ = false;
    }
    constexpr void renew() noexcept { generation_ = (generation_ + 1) & generation_mask; }

    [[no_unique_address]] Trip trip_;
    [[no_unique_address]] OpenWait open_wait_;
    Duration probe_timeout_;
    /// While open: when the open wait ends. While half-open: when the outstanding probes count as
    /// lost.
    Instant until_ = always;
    std::uint32_t generation_ = 0;
    BreakerMode mode_ = BreakerMode::automatic;
    BreakerState state_ = BreakerState::closed;
    std::uint8_t out_ = 0;
    std::uint8_t successes_ = 0;
    std::uint8_t failures_ = 0;
    std::uint8_t probes_;
    std::uint8_t successes_needed_;
    std::uint8_t failures_needed_;
    std::uint16_t openings_ = 0;
    bool was_cut_short_ = false;  // whether a probe of this round was
};

}}}  // namespace belay::detail
