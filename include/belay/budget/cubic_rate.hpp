// SPDX-License-Identifier: MIT
/// \file belay/budget/cubic_rate.hpp
/// AdaptiveThrottle::CubicRate: a limit on calls per second that adapts to what the peer can take.
#pragma once

#include <cstdint>      // std::int64_t, std::uint64_t
#include <string_view>  // std::string_view

#include <belay/budget/adaptive_throttle.hpp>
#include <belay/budget/detail/rate_state.hpp>
#include <belay/core/detail/spin_mutex.hpp>
#include <belay/core/instant.hpp>
#include <belay/core/order.hpp>
#include <belay/policy/detail/permit.hpp>
#include <belay/policy/shared.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {

/// Measures a rate, and computes the next one. Rates are in thousandths per second.
///
/// Thread safety: a plain value.
class CubicState {
public:
    /// Returns the earliest time for an attempt. It may have passed.
    [[nodiscard]] constexpr Instant turn(Instant now) const noexcept {
        return rate_milli_ == 0 ? always : tokens_.turn_of(now, 0, 1);
    }
    /// Takes an attempt if the returned time has come.
    [[nodiscard]] constexpr Instant take(Instant now) noexcept {
        const Instant at = turn(now);
        if (rate_milli_ != 0 && at <= now) static_cast<void>(tokens_.take(now, 1));
        return at;
    }
    constexpr void on_result(Instant now, bool overloaded) noexcept {
        const std::uint64_t measured = measure(now);
        if (!overloaded && rate_milli_ == 0) return;
        std::uint64_t next = cubic(now);
        if (overloaded) {
            last_milli_ =
                rate_milli_ == 0 ? smaller(measured, most) : smaller(measured, rate_milli_);
            overloaded_at_ = now;
            zero_ms_ = cube_root(last_milli_ * 750'000);
            next = last_milli_ * 7 / 10;
        }
        next = smaller(next, smaller(2 * measured, most));
        rate_milli_ = larger(next, least);
        tokens_.change(numbers_of(rate_milli_), now);
    }
    [[nodiscard]] constexpr std::uint64_t rate_milli() const noexcept { return rate_milli_; }
    /// Limits to this rate, from which the curve rises; 0 lifts the limit until the next overload.
    constexpr void set_rate(std::uint64_t rate_milli, Instant now) noexcept {
        rate_milli_ = rate_milli;
        last_milli_ = rate_milli;
        overloaded_at_ = now;
        zero_ms_ = 0;
        if (rate_milli == 0) return;
        tokens_.change(numbers_of(rate_milli), now);
        // The next rate is at most twice the measured one, and the callers have not used this one
        // yet. The time up to the first result would count as unused.
        measured_milli_ = larger(measured_milli_, rate_milli);
        count_ = 0;
        step_began_ = always;
    }

    static constexpr std::uint64_t least = 500;
    static constexpr std::uint64_t most = 1'000'000'000;

private:
    static constexpr Duration step = std::chrono::milliseconds{500};

    [[nodiscard]] static constexpr RateNumbers numbers_of(std::uint64_t rate_milli) noexcept {
        // The burst is that of one second, but at least one.
        constexpr std::uint64_t ns_milli = 1'000'000'000'000;
        return {Duration{static_cast<std::int64_t>(ns_milli / rate_milli)},
                larger(rate_milli / 1000, std::uint64_t{1})};
    }
    // Counts a result, and returns the smoothed rate: 0.8 of the last steps, 0.2 of those before.
    constexpr std::uint64_t measure(Instant now) noexcept {
        if (count_++ == 0 && step_began_ == always) step_began_ = now;
        const Duration::rep steps = elapsed(step_began_, now) / step;
        if (steps == 0) return measured_milli_;
        const std::uint64_t current = count_ * 2000 / static_cast<std::uint64_t>(steps);
        measured_milli_ = (current * 8 + measured_milli_ * 2) / 10;
        step_began_ = after_time(
            step_began_, part::saturating_multiply(step, static_cast<std::uint64_t>(steps)));
        count_ = 0;
        return measured_milli_;
    }
    // 0.4 * (t - k)^3 + w_max, with t and k in seconds since the last overload.
    [[nodiscard]] constexpr std::uint64_t cubic(Instant now) const noexcept {
        // With these bounds the cube fits 64 bits. At the upper one the rate is at its bound.
        constexpr std::int64_t far_ms = 1'000'000;
        const Duration::rep since_ms = elapsed(overloaded_at_, now) / 1'000'000 / Duration{1};
        const std::int64_t off = smaller(std::int64_t{since_ms} - zero_ms_, far_ms);
        const std::int64_t change = off * off * off / 10'000'000 * 4;
        const std::int64_t rate = static_cast<std::int64_t>(last_milli_) + change;
        return rate > 0 ? smaller(static_cast<std::uint64_t>(rate), most) : 0;
    }
    [[nodiscard]] static constexpr std::int64_t cube_root(std::uint64_t value) noexcept {
        std::uint64_t low = 0;
        std::uint64_t high = 1'000'000;  // > the root of 750'000 * most
        while (high - low > 1) {
            const std::uint64_t middle = low + (high - low) / 2;
            (middle * middle * middle <= value ? low : high) = middle;
        }
        return static_cast<std::int64_t>(low);
    }

    RateState tokens_{numbers_of(least)};
    std::uint64_t rate_milli_ = 0;  // 0: no limit yet
    std::uint64_t last_milli_ = 0;  // the rate at the last overload
    std::int64_t zero_ms_ = 0;      // when the curve is back at that rate
    Instant overloaded_at_ = always;
    std::uint64_t measured_milli_ = 0;
    std::uint64_t count_ = 0;  // results in this step
    Instant step_began_ = always;
};

}  // namespace detail

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
    using Permit = detail::Permit<CubicRate, PermitData>;

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

    constexpr void on_end(PermitData, const detail::PermitResult& result) noexcept {
        if (result.end == detail::PermitEnd::neutral) return;
        const bool overloaded =
            result.end == detail::PermitEnd::failure && result.why.cause == Cause::overloaded;
        state_.with([&](detail::CubicState& s) { s.on_result(result.now, overloaded); });
    }

    detail::Guarded<detail::CubicState> state_;
};

}}  // namespace belay
