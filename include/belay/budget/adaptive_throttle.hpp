// SPDX-License-Identifier: MIT
/// \file belay/budget/adaptive_throttle.hpp
/// AdaptiveThrottle: callers refuse attempts that the peer would probably refuse.
#pragma once

#include <cstdint>      // std::uint32_t, std::uint64_t
#include <string_view>  // std::string_view

#include <belay/budget/detail/budget_permit.hpp>
#include <belay/core/time_window.hpp>
#include <belay/policy/detail/guarded.hpp>
#include <belay/policy/shareable_like.hpp>

namespace belay { inline namespace BELAY_ABI {

/// The options of an AdaptiveThrottle.   Thread safety: a plain value.
struct AdaptiveThrottleOptions {
    /// The time for which attempts count.
    Duration window = std::chrono::minutes{2};
    /// K in thousandths: the number of attempts that are let through for each thousand that
    /// succeed.
    std::uint32_t attempts_per_thousand = 2000;
    /// The most attempts of a thousand that are refused, so that some always reach the peer.
    std::uint32_t refused_per_thousand_max = 900;
    /// The wait after which a refused caller may ask again.
    Duration ask_again = std::chrono::seconds{1};
};

/// Refuses attempts with a probability that rises with the share of attempts that fail.
///
/// The probability is for all callers that share the throttle. So most of the load that an
/// overloaded peer would only refuse never reaches it.
///
/// With `r` attempts in the window, of which `a` succeeded, an attempt is refused with probability
/// `(r - K * a) / (r + 1)`. The lower bound is 0 and the upper bound is `refused_per_thousand_max`.
/// Without the upper bound, a peer that does not answer would hardly ever be tried again.
///
///     AdaptiveThrottle throttle;
///     TokenBudget budget{TokenBudgetOptions::grpc()};
///     Policy calls{Backoff{FullJitter{}, Cap{20s}, 50ms}, Shared{throttle, FailFast{}},
///                  Shared{budget}, MaxAttempts{3}};
///
/// K = 2 and the window of 2 min are those of the book. They have two consequences, with figures
/// from the model of docs/stability.md:
/// - Until the attempts are K times those that succeeded in the window, nothing is refused. In an
///   outage, callers with three attempts send 3.1 times the usual load until then. With a budget
///   they send 1.1 times the load.
/// - Failures count until they leave the window. After an outage of 60 s, the goodput is back
///   within 58 s with one attempt per call or with a budget. Without a budget, three attempts need
///   122 s.
///
/// An attempt counts when its verdict arrives, or when it is refused here. An attempt without a
/// verdict does not count. The window rolls in tenths, like a TimeWindow. It cannot be copied or
/// moved, and must outlive its permits.
///
/// Models:        ShareableLike.
/// Thread safety: any thread.   Blocks: for a few instructions of another caller.
/// Complexity:    O(1); one draw from the turn's bits, none while all is well.
/// Source:        B. Beyer and others (ed.), "Site Reliability Engineering" (2016), chapter 21,
///                "Client-Side Throttling". The upper bound is an addition of belay.
class AdaptiveThrottle {
    struct Stake {};

public:
    static constexpr std::string_view name = "AdaptiveThrottle";

    /// The right to make one attempt, and the duty to report its result.
    using Permit = detail::BudgetPermit<AdaptiveThrottle, Stake>;

    /// Pre: window > 0ns; 1000 <= attempts_per_thousand <= 1'000'000; not all are refused;
    ///      ask_again > 0ns.
    constexpr explicit AdaptiveThrottle(AdaptiveThrottleOptions options = {}) noexcept
        : options_{options}, attempts_{TimeWindow<>{options.window}} {
        BELAY_PRECONDITION(
            options.attempts_per_thousand >= 1000 && options.attempts_per_thousand <= 1'000'000,
            "AdaptiveThrottle: attempts_per_thousand must be in [1000, 1000000]");
        BELAY_PRECONDITION(options.refused_per_thousand_max < 1000,
                           "AdaptiveThrottle: refused_per_thousand_max must be < 1000");
        BELAY_PRECONDITION(options.ask_again.count() > 0,
                           "AdaptiveThrottle: ask_again must be > 0ns");
    }

    /// Returns `go` always, because the draw is made when an attempt begins.
    [[nodiscard]] constexpr Advice admit(Instant) const noexcept { return Advice::go(); }
    /// Takes a permit for any attempt.   Errors: a refused permit, which advises `suspend`.
    constexpr Permit acquire(Turn& turn) noexcept {
        const bool granted = attempts_.with([this, &turn](TimeWindow<>& attempts) {
            attempts.roll(turn.now);
            if (!draw_refusal(attempts.counts(), turn.bits)) return true;
            attempts.add(true, turn.now);
            return false;
        });
        if (!granted) return Permit{after(turn.now, options_.ask_again)};
        return Permit{*this, Stake{}};
    }

    /// Returns how many of a thousand attempts would be refused at `now`, rounded down.
    [[nodiscard]] constexpr std::uint32_t refused_per_thousand(Instant now) const noexcept {
        return attempts_.with([this, now](TimeWindow<> attempts) {
            attempts.roll(now);
            const CallCounts counts = attempts.counts();
            return static_cast<std::uint32_t>(refused_milli(counts) / (counts.calls + 1));
        });
    }

private:
    friend Permit;

    // Returns the probability times 1000 * (attempts + 1). Nothing overflows: counts are at most
    // 11 * 2^32, factors at most 10^6.
    [[nodiscard]] constexpr std::uint64_t refused_milli(const CallCounts& counts) const noexcept {
        const std::uint64_t attempts = counts.calls * 1000;
        const std::uint64_t worked = counts.calls - counts.bad;
        const std::uint64_t allowed = worked * options_.attempts_per_thousand;
        const std::uint64_t most = (counts.calls + 1) * options_.refused_per_thousand_max;
        if (attempts <= allowed) return 0;
        return attempts - allowed < most ? attempts - allowed : most;
    }
    [[nodiscard]] constexpr bool draw_refusal(const CallCounts& counts,
                                              Random& bits) const noexcept {
        const std::uint64_t refused = refused_milli(counts);
        return refused != 0 && uniform_upto(bits, (counts.calls + 1) * 1000 - 1) < refused;
    }

    constexpr void on_success(Stake, Instant now) noexcept {
        attempts_.with([now](TimeWindow<>& attempts) { attempts.add(false, now); });
    }
    constexpr void on_failure(Stake, Instant now) noexcept {
        attempts_.with([now](TimeWindow<>& attempts) { attempts.add(true, now); });
    }
    // The peer was not overloaded, and the throttle is only for overload.
    constexpr void on_rejected(Stake stake, Instant now) noexcept { on_success(stake, now); }
    constexpr void on_neutral(Stake) noexcept {}

    const AdaptiveThrottleOptions options_;
    detail::Guarded<TimeWindow<>> attempts_;  // bad: the attempts that did not succeed
};

}}  // namespace belay
