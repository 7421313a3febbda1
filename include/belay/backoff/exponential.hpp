// SPDX-License-Identifier: MIT
/// \file belay/backoff/exponential.hpp
/// Exponential: waits that grow by a factor each time.
#pragma once

#include <bit>      // std::bit_cast, std::countl_zero
#include <cstdint>  // std::int32_t, std::uint32_t, std::uint64_t

#include <belay/backoff/growth_like.hpp>
#include <belay/core/detail/any_unit.hpp>
#include <belay/core/random.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {

/// A number >= 1 with 64 bits of precision: mantissa * 2^exponent, with the mantissa's top bit set.
///
/// It is not a floating-point type of the language, because compilers round those differently
/// (fused multiplication).
struct BigNumber {
    std::uint64_t mantissa;
    std::int32_t exponent;

    [[nodiscard]] static constexpr BigNumber of(std::uint64_t positive) noexcept {
        const int zeros = std::countl_zero(positive);
        return {positive << zeros, -zeros};
    }
    /// Returns `thousandths / 1000`.
    [[nodiscard]] static constexpr BigNumber of_thousandths(std::uint32_t thousandths) noexcept {
        const BigNumber dividend = of(thousandths);
        // Divided by hand, for ten more bits than the quotient has.
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

/// A factor >= 1 in 32 bits.
///
/// A factor below 2^20 with at most three decimals is stored as written. Any other is rounded to 21
/// bits after the leading one, which is seven digits. The nearer form is stored.
class Factor {
public:
    /// Reads the bits of `factor`, so that no compiler computes a different value. It rejects a
    /// factor that is below 1, infinite or not a number.
    constexpr explicit Factor(double factor) noexcept : code_{code_of(factor)} {}

    [[nodiscard]] constexpr bool rejected() const noexcept { return code_ == 0; }
    [[nodiscard]] constexpr bool is_one() const noexcept { return code_ == 1000; }
    [[nodiscard]] constexpr BigNumber value() const noexcept {
        if (code_ < rounded) return BigNumber::of_thousandths(code_);
        const std::uint64_t fraction = code_ & ((1U << 21) - 1);
        const auto exponent = static_cast<std::int32_t>((code_ & ~rounded) >> 21);
        return {(std::uint64_t{1} << 21 | fraction) << 42, exponent - 63};
    }

    friend constexpr bool operator==(Factor, Factor) noexcept = default;

private:
    // With this bit: ten bits of exponent and 21 of fraction. Without it: thousandths. 0: rejected.
    static constexpr std::uint32_t rounded = std::uint32_t{1} << 31;

    [[nodiscard]] static constexpr std::uint32_t code_of(double factor) noexcept {
        static_assert(sizeof(double) == 8,
                      "Exponential: double must be an IEEE 754 number of 64 bits");
        constexpr std::uint64_t one = std::uint64_t{0x3FF} << 52;
        constexpr std::uint64_t infinite = std::uint64_t{0x7FF} << 52;
        const auto bits = std::bit_cast<std::uint64_t>(factor);
        if (bits < one || bits >= infinite) return 0;
        // The exponent precedes the fraction, so a fraction that is rounded up carries into the
        // exponent.
        const std::uint64_t scaled = bits - one;
        const std::uint64_t nearest = (scaled + (std::uint64_t{1} << 30)) >> 31;
        const std::uint64_t off = distance(scaled, nearest << 31) * 1000;
        if (const std::uint64_t exponent = scaled >> 52; exponent < 20) {
            const std::uint64_t fraction = scaled & ((std::uint64_t{1} << 52) - 1);
            const std::uint64_t thousandfold = (std::uint64_t{1} << 52 | fraction) * 1000;
            const std::uint64_t shift = 52 - exponent;
            const std::uint64_t thousandths =
                (thousandfold + (std::uint64_t{1} << (shift - 1))) >> shift;
            if (distance(thousandfold, thousandths << shift) <= off) {
                return static_cast<std::uint32_t>(thousandths);
            }
        }
        // The largest doubles would be rounded to infinity. After any such factor the wait is
        // `forever`.
        return rounded | static_cast<std::uint32_t>(nearest < rounded ? nearest : rounded - 1);
    }
    [[nodiscard]] static constexpr std::uint64_t distance(std::uint64_t a,
                                                          std::uint64_t b) noexcept {
        return a < b ? b - a : a - b;
    }

    std::uint32_t code_;
};

/// The factor of an Exponential that doubles; it costs nothing.
struct FactorTwo {};
/// The factor of an Exponential that was given one.
struct AnyFactor {};

}  // namespace detail

/// A growth in which each wait is the previous one times a factor.
///
/// The waits are base, base * factor, base * factor^2, ...
///
/// A wait that does not fit is `forever`. `Exponential{1s}` doubles, `Exponential{1s, 1.6}` has
/// another factor.
///
/// Models:        GrowthLike.
/// Thread safety: a plain value.
template <class Factor = detail::FactorTwo>
class Exponential {
public:
    /// Sets the base.
    ///
    /// Pre: base > 0ns, and at most 292 years, in any unit; the Backoff checks it.
    constexpr explicit Exponential(detail::AnyUnit base) noexcept : base_{base} {}

    /// Errors: none; saturates.   Complexity: O(1).
    [[nodiscard]] constexpr Duration operator()(std::uint64_t failures) const noexcept {
        if (failures >= 63 || base_.count() > forever.count() >> failures) return forever;
        return Duration{base_.count() << failures};
    }
    [[nodiscard]] constexpr BackoffErrc check() const noexcept {
        return base_.count() > 0 ? BackoffErrc{} : BackoffErrc::bad_base;
    }

    friend constexpr bool operator==(const Exponential&, const Exponential&) noexcept = default;

private:
    Duration base_;
};

/// A growth by any factor. A factor below 2^20 with at most three decimals is stored as written,
/// any other with seven digits.
///
/// Computed in integers of 64 bits, so it is the same on every machine. It is exact to the
/// nanosecond for all waits in practice (1.6^n is, for a year).
template <>
class Exponential<detail::AnyFactor> {
public:
    /// Sets the base and the factor.
    ///
    /// Pre: base > 0ns, and at most 292 years, in any unit; factor >= 1 and finite. The Backoff
    ///      checks both.
    constexpr Exponential(detail::AnyUnit base, double factor) noexcept
        : base_{base}, factor_{factor} {}

    /// Errors: none; saturates.   Complexity: O(log failures).
    [[nodiscard]] constexpr Duration operator()(std::uint64_t failures) const noexcept {
        BELAY_PRECONDITION(check() == BackoffErrc{},
                           "Exponential: the base must be > 0ns, and the factor >= 1");
        // Repeated squaring, which ends as soon as the wait does not fit.
        if (factor_.is_one()) return base_;
        auto wait = detail::BigNumber::of(static_cast<std::uint64_t>(base_.count()));
        auto power = factor_.value();
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

    [[nodiscard]] constexpr BackoffErrc check() const noexcept {
        if (base_.count() <= 0) return BackoffErrc::bad_base;
        return factor_.rejected() ? BackoffErrc::bad_factor : BackoffErrc{};
    }

    friend constexpr bool operator==(const Exponential&, const Exponential&) noexcept = default;

private:
    Duration base_;
    detail::Factor factor_;
};

Exponential(detail::AnyUnit) -> Exponential<detail::FactorTwo>;
Exponential(detail::AnyUnit, double) -> Exponential<detail::AnyFactor>;

}}  // namespace belay
