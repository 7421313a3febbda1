// SPDX-License-Identifier: MIT
/// \file belay/budget/ratio_budget.hpp
/// RatioBudget: retries are at most a share of the calls of the last seconds.
#pragma once

#include <cstdint>      // std::uint32_t, std::uint64_t
#include <string_view>  // std::string_view

#include <belay/budget/detail/budget_permit.hpp>
#include <belay/core/time_window.hpp>
#include <belay/policy/detail/guarded.hpp>
#include <belay/policy/shareable_like.hpp>

namespace belay::inline BELAY_ABI {

/// What a RatioBudget allows.   Thread safety: a plain value.
struct RatioBudgetOptions {
    /// How far back calls and retries count.
    Duration window = std::chrono::seconds{10};
    /// So many retries for a thousand calls.
    std::uint32_t retries_per_thousand = 200;
    /// So many retries per window in any case, or nobody would retry where there is little traffic.
    std::uint32_t at_least = 10;
};

/// A budget of retries for all who share it: within a window, at most a share of the calls may be
/// retries.
///
///     RatioBudget budget{{.window = 10s, .retries_per_thousand = 200, .at_least = 10}};
///     Policy calls{Backoff{FullJitter{}, Cap{20s}, 50ms}, Shared{budget}, MaxAttempts{3}};
///
/// A call is a first attempt that began. A retry counts from when it is planned, over its wait, and
/// for a window after it ended; so neither retries that wait long nor slow ones are forgotten while
/// they are still to come. One that is abandoned does not count at all.
///
/// The window rolls in tenths, as a TimeWindow. Pinned; must outlive its permits. There is no value
/// form: a budget of one run is what MaxAttempts is.
///
/// Models:        ReservableLike.
/// Thread safety: any thread.   Blocks: for a few instructions of another caller.
/// Complexity:    O(1).
/// Source:        the retry budgets of Finagle (deposits per call, a floor) and of Envoy (retries
///                that are under way count); here both, with the larger of share and floor.
class RatioBudget {
    struct Stake {
        bool retry = false;
    };

public:
    static constexpr std::string_view name = "RatioBudget";

    /// The right to make one attempt; its destructor gives back what it holds.
    using Permit = detail::BudgetPermit<RatioBudget, Stake>;

    /// Pre: window > 0ns; something is allowed.
    constexpr explicit RatioBudget(RatioBudgetOptions options = {}) noexcept
        : options_{options}, state_{State{TimeWindow<>{options.window}}} {
        BELAY_PRECONDITION(options.retries_per_thousand >= 1 || options.at_least >= 1,
                           "RatioBudget: the share or the floor must be > 0");
    }

    /// First attempts are free.
    [[nodiscard]] constexpr Advice admit(Instant) const noexcept { return Advice::go(); }
    /// For a first attempt: never refused, and counted as a call.
    constexpr Permit acquire(Turn& turn) noexcept {
        state_.with([&turn](State& s) { s.recent.add(false, turn.now); });
        return Permit{*this, Stake{}};
    }
    /// For a retry.   Errors: a refused permit.
    constexpr Permit reserve(Cause, Turn& turn) noexcept {
        const bool granted = state_.with([this, &turn](State& s) {
            s.recent.roll(turn.now);
            if (s.used() >= allowed(s)) return false;
            ++s.held;
            return true;
        });
        // Not a conditional expression: in constant expressions GCC 12 ends its permit twice.
        if (!granted) return Permit{};
        return Permit{*this, Stake{true}};
    }

    /// How many retries could be planned at `now`.
    [[nodiscard]] constexpr std::uint64_t left(Instant now) const noexcept {
        return state_.with([this, now](State s) {
            s.recent.roll(now);
            return s.used() < allowed(s) ? allowed(s) - s.used() : std::uint64_t{0};
        });
    }

private:
    friend Permit;

    // Invariant: `held` is the number of permits for retries that are out; it rises only when fewer
    // than `allowed` are used.
    struct State {
        TimeWindow<> recent;  // calls that began, and as bad ones retries that ended
        std::uint64_t held = 0;

        [[nodiscard]] constexpr std::uint64_t used() const noexcept {
            return held + recent.counts().bad;
        }
    };

    [[nodiscard]] constexpr std::uint64_t allowed(const State& s) const noexcept {
        // At most 11 * 2^32 calls * 2^32: the division comes first where the product would not fit.
        const CallCounts recent = s.recent.counts();
        const std::uint64_t calls = recent.calls - recent.bad;
        const std::uint64_t share = calls / 1000 * options_.retries_per_thousand +
                                    calls % 1000 * options_.retries_per_thousand / 1000;
        return share > options_.at_least ? share : options_.at_least;
    }

    constexpr void on_end(Stake stake, Instant now) noexcept {
        if (!stake.retry) return;
        state_.with([now](State& s) {
            --s.held;
            s.recent.add(true, now);
        });
    }
    constexpr void on_success(Stake stake, Instant now) noexcept { on_end(stake, now); }
    constexpr void on_failure(Stake stake, Instant now) noexcept { on_end(stake, now); }
    constexpr void on_neutral(Stake stake) noexcept {
        if (stake.retry) state_.with([](State& s) { --s.held; });
    }

    const RatioBudgetOptions options_;
    detail::Guarded<State> state_;
};

}  // namespace belay::inline BELAY_ABI
