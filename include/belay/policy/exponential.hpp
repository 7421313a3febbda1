// SPDX-License-Identifier: MIT
/// \file belay/policy/exponential.hpp
/// Exponential: waits that grow by a factor each time.
#pragma once

#include <bit>      // std::countl_zero
#include <cstdint>  // std::int32_t, std::uint32_t, std::uint64_t

#include <belay/core/random.hpp>
#include <belay/policy/growth_like.hpp>

namespace belay::inline BELAY_ABI {

namespace detail {

/// A number >= 1 in 64 bits of precision: mantissa * 2^exponent, the mantissa's
/// top bit set. Not a floating-point type of the language, which compilers
/// round differently (fused multiplication).
struct BigNumber {
    std::uint64_t mantissa;
    std::int32_t exponent;

    [[nodiscard]] static constexpr BigNumber of(std::uint64_t positive) noexcept {
        const int zeros = std::countl_zero(positive);
        return {positive << zeros, -zeros};
    }
    /// `thousandths / 1000`.
    [[nodiscard]] static constexpr BigNumber of_thousandths(std::uint32_t thousandths) noexcept {
        const BigNumber dividend = of(thousandths);
        // By hand, for ten more bits than the quotient has.
        const std::uint64_t quotient = dividend.mantissa / 1000;
        const std::uint64_t rest = dividend.mantissa % 1000;
        BigNumber result = of((quotient << 9) + (rest << 9) / 1000);
        result.exponent += dividend.exponent - 9;
        return result;
    }
    [[nodiscard]] constexpr bool fits_duration() const noexcept { return exponent < 0; }

    friend constexpr BigNumber operator*(const BigNumber& a, const BigNumber& b) noexcept {
        const Product p = multiply(a.mantissa, b.mantissa);
        const std::int32_t sum = a.exponent + b.exponent;
        if (p.high >> 63 != 0) return {p.high, sum + 64};
        return {p.high << 1 | p.low >> 63, sum + 63};
    }
};

/// The factor of an Exponential that doubles; it costs nothing.
struct FactorTwo {};
/// The factor of an Exponential that was given one.
struct AnyFactor {};

}  // namespace detail

/// base, base * factor, base * factor^2, ...; `forever` where that does not
/// fit. `Exponential{1s}` doubles, `Exponential{1s, 1.6}` has another factor.
///
/// Models:        GrowthLike.
/// Thread safety: a plain value.
template <class Factor = detail::FactorTwo>
class Exponential {
public:
    /// Pre: base > 0ns, which the Backoff checks.
    constexpr explicit Exponential(Duration base) noexcept : base_{base} {}

    /// Errors: none; saturates.   Complexity: O(1).
    [[nodiscard]] constexpr Duration operator()(std::uint64_t failures) const noexcept {
        if (failures >= 63 || base_.count() > forever.count() >> failures) return forever;
        return Duration{base_.count() << failures};
    }
    [[nodiscard]] constexpr PolicyErrc check() const noexcept {
        return base_.count() > 0 ? PolicyErrc{} : PolicyErrc::bad_base;
    }

    friend constexpr bool operator==(const Exponential&, const Exponential&) noexcept = default;

private:
    Duration base_;
};

/// The same with any factor.
///
/// Computed in integers of 64 bits: the same on every machine, and exact to the
/// nanosecond for all waits that anybody waits for (a year of 1.6^n is).
template <>
class Exponential<detail::AnyFactor> {
public:
    /// Pre: base > 0ns; factor in [1, 1000000], with at most three decimals, so
    /// that it is kept as it is; the Backoff checks both.
    constexpr Exponential(Duration base, double factor) noexcept
        : base_{base}, thousandths_{thousandths_of(factor)} {}

    /// Errors: none; saturates.   Complexity: O(log failures).
    [[nodiscard]] constexpr Duration operator()(std::uint64_t failures) const noexcept {
        BELAY_PRECONDITION(check() == PolicyErrc{}, "Exponential: base > 0ns and factor >= 1");
        // By repeated squaring, which ends as soon as the wait does not fit.
        if (thousandths_ == 1000) return base_;
        auto wait = detail::BigNumber::of(static_cast<std::uint64_t>(base_.count()));
        auto power = detail::BigNumber::of_thousandths(thousandths_);
        for (; failures != 0; failures >>= 1) {
            if (!power.fits_duration()) return forever;
            if ((failures & 1) != 0) wait = wait * power;
            if (!wait.fits_duration()) return forever;
            power = power * power;
        }
        const std::uint64_t whole = wait.mantissa >> -wait.exponent;
        const std::uint64_t half = wait.mantissa >> (-wait.exponent - 1) & 1;
        const auto most = static_cast<std::uint64_t>(forever.count());
        return whole + half > most ? forever : Duration{static_cast<Duration::rep>(whole + half)};
    }

    [[nodiscard]] constexpr PolicyErrc check() const noexcept {
        if (base_.count() <= 0) return PolicyErrc::bad_base;
        return thousandths_ != 0 ? PolicyErrc{} : PolicyErrc::bad_factor;
    }

    friend constexpr bool operator==(const Exponential&, const Exponential&) noexcept = default;

private:
    // 0 for a factor that is refused; NaN is none of the accepted.
    [[nodiscard]] static constexpr std::uint32_t thousandths_of(double factor) noexcept {
        if (!(factor >= 1 && factor <= 1'000'000)) return 0;
        const auto nearest = static_cast<std::uint32_t>(factor * 1000 + 0.5);
        const double off = factor * 1000 - nearest;
        return off < 1e-6 && off > -1e-6 ? nearest : 0;
    }

    Duration base_;
    std::uint32_t thousandths_;
};

Exponential(Duration) -> Exponential<detail::FactorTwo>;
Exponential(Duration, double) -> Exponential<detail::AnyFactor>;

static_assert(GrowthLike<Exponential<>> && sizeof(Exponential<>) == sizeof(Duration));
static_assert(GrowthLike<Exponential<detail::AnyFactor>>);

}  // namespace belay::inline BELAY_ABI
