// SPDX-License-Identifier: MIT
/// \file belay/backoff/growths.hpp
/// GrowthLike and the growths, which return the wait before cap and jitter: Exponential is the
/// usual one. Constant, Linear, Fibonacci and Delays grow in other ways. BackoffErrc is what is
/// wrong with a part of a backoff.
#pragma once

#include <bit>           // std::bit_cast, std::countl_zero
#include <concepts>      // std::convertible_to, std::copyable, std::same_as
#include <cstddef>       // std::size_t
#include <cstdint>       // std::int32_t, std::uint32_t, std::uint64_t
#include <system_error>  // std::error_code

#include <belay/core/detail/arguments.hpp>
#include <belay/core/detail/member_names.hpp>
#include <belay/core/failure.hpp>
#include <belay/core/instant.hpp>
#include <belay/core/random.hpp>

namespace belay { inline namespace BELAY_ABI {

/// The errors of belay/backoff. New ones are appended; values never change.
enum class BackoffErrc {
    bad_base = 1,    ///< the base must be > 0ns, and at most 292 years
    bad_factor = 2,  ///< the factor must be a finite number >= 1
    bad_cap = 3,     ///< the cap must be > 0ns, at most 292 years, and not below the first wait
    bad_floor = 4,   ///< the floor must be >= 0ns, and leave the jitter a choice
    bad_jitter = 5,  ///< the percentages of a jitter must be <= 100
    bad_delays = 6   ///< delays must be in [0ns, 292 years], and the last one > 0ns
};

namespace detail {
inline constexpr ErrorText backoff_error_texts[] = {
    {"the base of a backoff must be > 0ns and at most 292 years", Cause::permanent},
    {"the factor of a backoff must be finite and >= 1", Cause::permanent},
    {"the cap of a backoff must be > 0ns, at most 292 years and not below the first wait",
     Cause::permanent},
    {"the floor of a backoff must be >= 0ns, and far enough below the first wait and the cap that "
     "the jitter has a range",
     Cause::permanent},
    {"the percentages of a jitter must be <= 100", Cause::permanent},
    {"the delays of a backoff must be in [0ns, 292 years], and the last one > 0ns",
     Cause::permanent},
};

/// Returns the category "belay.backoff".
[[nodiscard]] inline const std::error_category& backoff_category() noexcept {
    static const TableCategory category{"belay.backoff", backoff_error_texts};
    return category;
}
}  // namespace detail

/// Makes a std::error_code from a BackoffErrc, as the conversion requires.
[[nodiscard]] inline std::error_code make_error_code(BackoffErrc errc) noexcept {
    return {static_cast<int>(errc), detail::backoff_category()};
}

}}  // namespace belay

template <>
struct std::is_error_code_enum<belay::BackoffErrc> : std::true_type {};

namespace belay { inline namespace BELAY_ABI {

namespace detail {
/// Returns what is wrong with the base of a growth.
[[nodiscard]] constexpr BackoffErrc check(Duration base) noexcept {
    return base.count() > 0 ? BackoffErrc{} : BackoffErrc::bad_base;
}
// The optional check of any part of a backoff. One in another form would be ignored silently.
BELAY_DETAIL_OPTIONAL(Check, check, (const R& r), BackoffErrc, r.check());
BELAY_DETAIL_REQUIRED(Growth, (const R& r, std::uint64_t failures), Duration, r(failures));
}  // namespace detail

/// Computes the nominal wait, before cap and jitter, from the number of waits before it.
///
/// - `growth(std::uint64_t failures) const -> Duration`: returns the nominal wait; 0 for the first
///   one.
/// - optional `check() const -> BackoffErrc`: returns what is wrong with the parameters, or
///   BackoffErrc{} if nothing is.
///
/// All of them are noexcept. A lambda without captures is a growth, if it is noexcept and returns a
/// Duration. Semantics the compiler cannot check: the result is >= 0ns for every argument, and
/// `forever` instead of an overflow. It does not fall after the 256th wait (`Backoff::max_total`
/// depends on that).
template <class G>
concept GrowthLike = std::copyable<G> && detail::HasGrowth<G> && detail::GrowthGivesResult<G> &&
                     detail::GrowthIsNoexcept<G> && detail::CheckIsSound<G>;

namespace explain {

/// Names every requirement of GrowthLike that G lacks.
template <class G>
consteval bool growth_like() {
    static_assert(std::copyable<G>,
                  "GrowthLike: G must be copyable; use a struct instead of a lambda with captures");
    static_assert(detail::HasGrowth<G>,
                  "GrowthLike: G needs 'Duration operator()(std::uint64_t) const', see "
                  "docs/reference/backoff.md");
    if constexpr (detail::HasGrowth<G>) {
        static_assert(detail::GrowthGivesResult<G>, "GrowthLike: G must return belay::Duration");
        static_assert(detail::GrowthIsNoexcept<G>, "GrowthLike: G must be noexcept");
    }
    static_assert(detail::CheckIsSound<G>,
                  "GrowthLike: G::check must be 'BackoffErrc check() const noexcept'");
    return GrowthLike<G>;
}

}  // namespace explain

/// A growth in which all waits are equal: base, base, base, ...
///
/// Models:        GrowthLike.
/// Thread safety: a plain value.
class Constant {
public:
    /// Sets the wait.
    ///
    /// Pre: base > 0ns, and at most 292 years, in any unit; the Backoff checks it.
    constexpr explicit Constant(detail::AnyUnit base) noexcept : base_{base} {}

    /// Errors: none.   Complexity: O(1).
    [[nodiscard]] constexpr Duration operator()(std::uint64_t) const noexcept { return base_; }
    [[nodiscard]] constexpr BackoffErrc check() const noexcept { return detail::check(base_); }

    friend constexpr bool operator==(Constant, Constant) noexcept = default;

private:
    Duration base_;
};

/// A growth in which each wait is the previous one plus the base.
///
/// The waits are base, 2 * base, 3 * base, ...; `forever` if it does not fit.
///
/// Models:        GrowthLike.
/// Thread safety: a plain value.
class Linear {
public:
    /// Sets the base.
    ///
    /// Pre: base > 0ns, and at most 292 years, in any unit; the Backoff checks it.
    constexpr explicit Linear(detail::AnyUnit base) noexcept : base_{base} {}

    /// Errors: none; saturates.   Complexity: O(1).
    [[nodiscard]] constexpr Duration operator()(std::uint64_t failures) const noexcept {
        const bool last = failures == ~std::uint64_t{0};
        return part::saturating_multiply(base_, last ? failures : failures + 1);
    }
    [[nodiscard]] constexpr BackoffErrc check() const noexcept { return detail::check(base_); }

    friend constexpr bool operator==(Linear, Linear) noexcept = default;

private:
    Duration base_;
};

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
    [[nodiscard]] constexpr BackoffErrc check() const noexcept { return detail::check(base_); }

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

/// A growth along the Fibonacci numbers: base * 1, 1, 2, 3, 5, 8, ...
///
/// A wait that does not fit is `forever`. It grows more slowly than doubling: the factor from wait
/// to wait approaches 1.618.
///
/// Models:        GrowthLike.
/// Thread safety: a plain value.
class Fibonacci {
public:
    /// Sets the base.
    ///
    /// Pre: base > 0ns, and at most 292 years, in any unit; the Backoff checks it.
    constexpr explicit Fibonacci(detail::AnyUnit base) noexcept : base_{base} {}

    /// Errors: none; saturates.   Complexity: O(min(failures, 91)) additions.
    [[nodiscard]] constexpr Duration operator()(std::uint64_t failures) const noexcept {
        // The 93rd number is the first that no Duration of any base can hold.
        if (failures >= 92) return forever;
        std::uint64_t now = 1;
        std::uint64_t before = 0;
        for (; failures != 0; --failures) {
            const std::uint64_t next = now + before;
            before = now;
            now = next;
        }
        return part::saturating_multiply(base_, now);
    }
    [[nodiscard]] constexpr BackoffErrc check() const noexcept { return detail::check(base_); }

    friend constexpr bool operator==(Fibonacci, Fibonacci) noexcept = default;

private:
    Duration base_;
};

/// A growth that follows a table of waits, `Delays{0s, 2s, 10s, 30s}`; the last one repeats.
///
/// A first delay of 0s retries at once. To make fewer attempts than there are delays, use
/// MaxAttempts.
///
/// Models:        GrowthLike.
/// Thread safety: a plain value.
template <std::size_t N>
class Delays {
public:
    /// Sets the waits.
    ///
    /// Pre: delays >= 0ns, and at most 292 years, in any unit; the last one > 0ns. The Backoff
    ///      checks it.
    template <std::convertible_to<detail::AnyUnit>... Ds>
        requires(sizeof...(Ds) == N)
    constexpr explicit Delays(Ds... delays) noexcept : delays_{detail::AnyUnit{delays}...} {}

    /// Errors: none.   Complexity: O(1).
    [[nodiscard]] constexpr Duration operator()(std::uint64_t failures) const noexcept {
        return delays_[failures < N ? failures : N - 1];
    }
    [[nodiscard]] constexpr BackoffErrc check() const noexcept {
        for (const Duration delay : delays_) {
            if (delay.count() < 0) return BackoffErrc::bad_delays;
        }
        return delays_[N - 1].count() > 0 ? BackoffErrc{} : BackoffErrc::bad_delays;
    }

    friend constexpr bool operator==(const Delays&, const Delays&) noexcept = default;

private:
    Duration delays_[N];
};

template <std::convertible_to<detail::AnyUnit>... Ds>
Delays(Ds...) -> Delays<sizeof...(Ds)>;

}}  // namespace belay
