// SPDX-License-Identifier: MIT
/// \file belay/budget/cubic_rate.hpp
/// AdaptiveThrottle::CubicRate: the send rate of the AWS SDKs' adaptive retry mode.
#pragma once

#include <cstdint>      // std::int64_t, std::uint64_t
#include <string_view>  // std::string_view

#include <belay/budget/adaptive_throttle.hpp>
#include <belay/budget/detail/budget_permit.hpp>
#include <belay/budget/detail/cubic_state.hpp>
#include <belay/policy/detail/guarded.hpp>
#include <belay/policy/shareable_like.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Limits the attempts per second, for all callers that share it, to what the peer accepts.
///
/// It limits nothing until the peer reports for the first time that it is overloaded
/// (Cause::overloaded, such as a status of 429). Then it allows 0.7 times the rate that was
/// measured. While the peer accepts the attempts, the rate rises along a cubic curve. It rises fast
/// at first, slowly near the rate of the last report, and fast again beyond it. It is at most twice
/// the measured rate, and at least one attempt in 2 s.
///
///     AdaptiveThrottle::CubicRate rate;
///     TokenBudget quota{TokenBudgetOptions::aws()};
///     Policy calls{Backoff{FullJitter{}, Cap{20s}, 1s}, Shared{rate, FailFast{}}, Shared{quota},
///                  MaxAttempts{3}};
///
/// Without FailFast, callers wait. Callers that wait for a rate below the offered load become more
/// and more, and return together.
///
/// Every result counts for the measured rate, in steps of 0.5 s. Other failures than overload count
/// as accepted, as in the SDKs, so use a breaker for those. It computes with integers, and is the
/// same on all machines. The highest rate is 1,000,000 per second. It cannot be copied or moved,
/// and must outlive its permits.
///
/// Models:        ShareableLike.
/// Thread safety: any thread.   Blocks: for a few instructions of another caller.
/// Complexity:    O(1).   Allocates: never.
/// Source:        AWS SDKs and Tools Reference Guide, "Retry behavior", adaptive mode; botocore's
///                retries/adaptive.py and retries/throttling.py; CUBIC of RFC 9438.
class AdaptiveThrottle::CubicRate {
    struct PermitData {};

public:
    static constexpr std::string_view name = "AdaptiveThrottle::CubicRate";
    /// The results of its calls decide; see ShareableLike.
    static constexpr bool judges_results = true;

    /// The right to make one attempt, and the duty to report its result.
    using Permit = detail::BudgetPermit<CubicRate, PermitData, true>;

    constexpr CubicRate() noexcept : state_{detail::CubicState{}} {}

    /// Returns whether an attempt could begin at `now`, and takes nothing.
    [[nodiscard]] constexpr Advice admit(Instant now) const noexcept {
        const Instant at = state_.with([=](const detail::CubicState& s) { return s.turn(now); });
        return at > now ? Advice::suspend(at) : Advice::go();
    }
    /// Takes a permit for any attempt.   Errors: a rejected permit, which advises `suspend`.
    constexpr Permit acquire(Turn& turn) noexcept {
        const Instant at = state_.with([&turn](detail::CubicState& s) { return s.take(turn.now); });
        // Not a conditional expression: see RatioBudget::reserve.
        if (at > turn.now) return Permit{at};
        return Permit{*this, PermitData{}};
    }

    /// Returns the rate in thousandths of an attempt per second; 0 if nothing is limited yet.
    [[nodiscard]] constexpr std::uint64_t rate_milli() const noexcept {
        return state_.with([](const detail::CubicState& s) { return s.rate_milli(); });
    }
    /// Changes the rate while callers use the object, for an operator who knows what the peer
    /// accepts.
    ///
    /// The rate rises from there along the curve, and the next overload lowers it as usual. It
    /// counts as measured, so a rate above twice the former one lasts if the callers use half of
    /// it. With 0, nothing is limited until the next overload. A caller that waits asks again at
    /// the end of its wait, which a higher rate does not shorten.
    ///
    /// Pre: rate_milli is 0, or in [500, 1,000,000,000] thousandths of an attempt per second.
    /// Thread safety: any thread.   Errors: none.   Complexity: O(1).
    constexpr void set_rate(std::uint64_t rate_milli, Instant now) noexcept {
        BELAY_OPTION(rate_milli == 0 || (rate_milli >= detail::CubicState::least &&
                                         rate_milli <= detail::CubicState::most),
                     "CubicRate: the rate must be 0, or in [500, 1000000000] thousandths");
        state_.with([=](detail::CubicState& s) { s.set_rate(rate_milli, now); });
    }

private:
    friend Permit;

    constexpr void on_result(Instant now, bool overloaded) noexcept {
        state_.with([=](detail::CubicState& s) { s.on_result(now, overloaded); });
    }
    constexpr void on_success(PermitData, Instant now) noexcept { on_result(now, false); }
    constexpr void on_failure(PermitData, Cause why, Instant now) noexcept {
        on_result(now, why == Cause::overloaded);
    }
    constexpr void on_rejected(PermitData, Instant now) noexcept { on_result(now, false); }
    constexpr void on_neutral(PermitData) noexcept {}

    detail::Guarded<detail::CubicState> state_;
};

}}  // namespace belay
