// SPDX-License-Identifier: MIT
/// \file belay/budget/adaptive_throttle.hpp
/// AdaptiveThrottle: callers reject attempts that the peer would probably refuse.
#pragma once

#include <cstdint>      // std::uint32_t, std::uint64_t
#include <string_view>  // std::string_view

#include <belay/core/detail/spin_mutex.hpp>
#include <belay/core/time_window.hpp>
#include <belay/policy/detail/permit.hpp>
#include <belay/policy/shared.hpp>

namespace belay { inline namespace BELAY_ABI {

/// The options of an AdaptiveThrottle.   Thread safety: a plain value.
struct AdaptiveThrottleOptions {
    /// The time for which attempts count.
    Duration window = std::chrono::minutes{2};
    /// K in thousandths: the number of attempts that are let through for each thousand that
    /// succeed.
    std::uint32_t attempts_per_thousand = 2000;
    /// The most attempts of a thousand that are rejected, so that some always reach the peer.
    std::uint32_t rejected_per_thousand_max = 900;
    /// The wait after which a rejected caller may ask again.
    Duration ask_again = std::chrono::seconds{1};
};

/// Rejects attempts with a probability that rises with the share of attempts that fail.
///
/// The probability is for all callers that share the throttle. So most of the load that an
/// overloaded peer would only refuse never reaches it.
///
/// With `r` attempts in the window, of which `a` succeeded, an attempt is rejected with probability
/// `(r - K * a) / (r + 1)`. The lower bound is 0 and the upper bound is
/// `rejected_per_thousand_max`. Without the upper bound, a peer that does not answer would hardly
/// ever be tried again.
///
///     AdaptiveThrottle throttle;
///     TokenBudget budget{TokenBudgetOptions::grpc(10, 100)};
///     Policy calls{Backoff{FullJitter{}, Cap{20s}, 50ms}, Shared{throttle, FailFast{}},
///                  Shared{budget}, MaxAttempts{3}};
///
/// K = 2 and the window of 2 min are those of the book. They have two consequences, with figures
/// from the model of docs/explanation/stability.md:
/// - Until the attempts are K times those that succeeded in the window, nothing is rejected. In an
///   outage, callers with three attempts send 3.0 times the usual load until then. With a budget
///   they send 1.05 times the load.
/// - Failures count until they leave the window. After an outage of 60 s, the goodput is back
///   within 58 s with one attempt per call or with a budget. Without a budget, three attempts need
///   123 s.
///
/// An attempt counts when its verdict arrives, or when it is rejected here. An attempt without a
/// verdict does not count. The window rolls in tenths, like a TimeWindow. It cannot be copied or
/// moved, and must outlive its permits.
///
/// Models:        ShareableLike.
/// Thread safety: any thread.   Blocks: for a few instructions of another caller.
/// Complexity:    O(1); one draw from the turn's bits, none while all is well.
/// Source:        B. Beyer and others (ed.), "Site Reliability Engineering" (2016), chapter 21,
///                "Client-Side Throttling". The upper bound is an addition of belay.
class AdaptiveThrottle {
    struct PermitData {};

public:
    /// A throttle by rate instead of by probability; see budget/cubic_rate.hpp.
    class CubicRate;

    static constexpr std::string_view name = "AdaptiveThrottle";
    /// The results of its calls decide; see ShareableLike.
    static constexpr bool judges_results = true;

    /// The right to make one attempt, and the duty to report its result.
    using Permit = detail::Permit<AdaptiveThrottle, PermitData>;

    constexpr AdaptiveThrottle() noexcept : AdaptiveThrottle{AdaptiveThrottleOptions{}} {}
    /// Pre: window > 0ns; 1000 <= attempts_per_thousand <= 1'000'000; not all are rejected;
    ///      ask_again > 0ns.
    constexpr explicit AdaptiveThrottle(AdaptiveThrottleOptions options) noexcept
        : state_{State{options, TimeWindow<>{options.window}}} {
        expect(options);
    }

    /// Returns `go` always, because the draw is made when an attempt begins.
    [[nodiscard]] constexpr Advice admit(Instant) const noexcept { return Advice::go(); }
    /// Takes a permit for any attempt.   Errors: a rejected permit, which advises `suspend`.
    constexpr Permit acquire(Turn& turn) noexcept {
        // The wait of a rejected attempt; 0ns if it is granted.
        const Duration wait = state_.with([&turn](State& s) {
            s.attempts.roll(turn.now);
            const std::uint64_t rejected = s.rejected_milli();
            const std::uint64_t last = (s.attempts.counts().calls + 1) * 1000 - 1;
            if (rejected == 0 || uniform_upto(turn.bits, last) >= rejected) return Duration::zero();
            s.attempts.add(true, turn.now);
            return s.options.ask_again;
        });
        if (wait != Duration::zero()) return Permit{detail::after_time(turn.now, wait)};
        return Permit{*this, PermitData{}};
    }

    /// Returns `ask_again`, over which Shared rules spread the callers that wait.   Errors: none.
    [[nodiscard]] constexpr Duration spread() const noexcept { return options().ask_again; }
    /// Returns how many of a thousand attempts would be rejected at `now`, rounded down.
    [[nodiscard]] constexpr std::uint32_t rejected_per_thousand(Instant now) const noexcept {
        return state_.with([now](State s) {
            s.attempts.roll(now);
            const std::uint64_t calls = s.attempts.counts().calls;
            return static_cast<std::uint32_t>(s.rejected_milli() / (calls + 1));
        });
    }
    /// Returns the options in force.
    [[nodiscard]] constexpr AdaptiveThrottleOptions options() const noexcept {
        return state_.with([](const State& s) { return s.options; });
    }
    /// Changes the options while callers use the throttle; the next attempt is judged by them.
    ///
    /// The attempts that were counted stay counted. With another `window`, the counts start afresh.
    /// A caller that was rejected before keeps its wait.
    ///
    /// Pre: as of the constructor.   Thread safety: any thread.   Errors: none.
    constexpr void set_options(const AdaptiveThrottleOptions& options) noexcept {
        expect(options);
        state_.with([&options](State& s) {
            if (options.window != s.options.window) s.attempts = TimeWindow<>{options.window};
            s.options = options;
        });
    }

private:
    friend Permit;

    static constexpr void expect(const AdaptiveThrottleOptions& options) noexcept {
        BELAY_OPTION(
            options.attempts_per_thousand >= 1000 && options.attempts_per_thousand <= 1'000'000,
            "AdaptiveThrottle: attempts_per_thousand must be in [1000, 1000000]");
        BELAY_OPTION(options.rejected_per_thousand_max < 1000,
                     "AdaptiveThrottle: rejected_per_thousand_max must be < 1000");
        BELAY_OPTION(options.ask_again.count() > 0, "AdaptiveThrottle: ask_again must be > 0ns");
    }

    struct State {
        AdaptiveThrottleOptions options;
        TimeWindow<> attempts;  // bad: the attempts that did not succeed

        // Returns the probability times 1000 * (attempts + 1). Nothing overflows: counts are at
        // most 11 * 2^32, factors at most 10^6.
        [[nodiscard]] constexpr std::uint64_t rejected_milli() const noexcept {
            const CallCounts counts = attempts.counts();
            const std::uint64_t made = counts.calls * 1000;
            const std::uint64_t worked = counts.calls - counts.bad;
            const std::uint64_t allowed = worked * options.attempts_per_thousand;
            const std::uint64_t most = (counts.calls + 1) * options.rejected_per_thousand_max;
            if (made <= allowed) return 0;
            return made - allowed < most ? made - allowed : most;
        }
    };

    // A peer that rejects is not overloaded, and the throttle is only for overload.
    constexpr void on_end(PermitData, const detail::PermitResult& result) noexcept {
        if (result.end == detail::PermitEnd::neutral) return;
        const bool failed = result.end == detail::PermitEnd::failure;
        state_.with([&](State& s) { s.attempts.add(failed, result.now); });
    }

    detail::Guarded<State> state_;
};

}}  // namespace belay
