// SPDX-License-Identifier: MIT
/// \file belay/budget/detail/cubic_state.hpp
/// CubicState: the decisions of AdaptiveThrottle::CubicRate, as one value.
#pragma once

#include <cstdint>  // std::int64_t, std::uint64_t

#include <belay/budget/detail/rate_state.hpp>
#include <belay/core/instant.hpp>
#include <belay/core/order.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

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
        step_began_ =
            after(step_began_, part::saturating_multiply(step, static_cast<std::uint64_t>(steps)));
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

}}}  // namespace belay::detail
