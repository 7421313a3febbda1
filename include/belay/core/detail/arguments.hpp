// SPDX-License-Identifier: MIT
/// \file belay/core/detail/arguments.hpp
/// AnyUnit and AnyCount: how functions take times and counts of any type, without overflow or wrap.
#pragma once

#include <chrono>       // std::chrono::duration
#include <concepts>     // std::convertible_to, std::integral, std::unsigned_integral
#include <limits>       // std::numeric_limits
#include <ratio>        // std::ratio_divide
#include <type_traits>  // std::is_class_v, std::is_floating_point_v, std::is_signed_v

#include <belay/core/instant.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// A parameter for a length of time that a configuration may hold in any unit from nanoseconds to
/// years, as an integer or floating-point number. A value outside 292 years of nanoseconds, or NaN,
/// becomes `misfit`. `misfit` is negative, so every check of a length rejects it. The conversions
/// of std::chrono would overflow.
///
/// Fractions of a nanosecond are rounded.   Thread safety: a plain value.
class AnyUnit {
public:
    static constexpr Duration misfit = Duration::min();

    template <class Rep, class Period>
        requires(std::convertible_to<std::chrono::duration<Rep, Period>, Duration> ||
                 std::is_floating_point_v<Rep>)
    constexpr AnyUnit(std::chrono::duration<Rep, Period> length) noexcept
        : length_{converted(length)} {}
    /// Does not compile, because the length would be rounded.
    template <class Rep, class Period>
    constexpr AnyUnit(std::chrono::duration<Rep, Period>) noexcept : length_{} {
        static_assert(!sizeof(Rep),
                      "belay: a length of time of whole ticks must be a whole number of "
                      "nanoseconds; use std::chrono::duration_cast, or duration<double, Period>");
    }
    /// Does not compile, because a number has no unit.
    template <std::integral Number>
    constexpr AnyUnit(Number) noexcept : length_{} {
        static_assert(!std::integral<Number>, "belay: write the unit of a length of time: 30s");
    }

    [[nodiscard]] constexpr operator Duration() const noexcept { return length_; }

private:
    template <class Rep, class Period>
    [[nodiscard]] static constexpr Duration converted(
        std::chrono::duration<Rep, Period> length) noexcept {
        using Unit = std::ratio_divide<Period, Duration::period>;
        if constexpr (std::is_floating_point_v<Rep>) {
            const Rep ticks = length.count() * static_cast<Rep>(Unit::num) / Rep(Unit::den);
            constexpr Rep end = Rep(9'223'372'036'854'775'808U);
            if (!(ticks > -end && ticks < end)) return misfit;
            return Duration{
                static_cast<Duration::rep>(ticks < 0 ? ticks - Rep(0.5) : ticks + Rep(0.5))};
        } else {
            constexpr Duration::rep most = forever.count() / Unit::num;
            // Compared as unsigned if Rep is unsigned, to avoid a comparison of different signs.
            if (length.count() > static_cast<std::common_type_t<Rep, Duration::rep>>(most)) {
                return misfit;
            }
            if constexpr (std::is_signed_v<Rep>) {
                if (length.count() < -most) return misfit;
            }
            return Duration{static_cast<Duration::rep>(length.count()) * Unit::num};
        }
    }

    Duration length_;
};

// An enumeration without `class`, or a class that converts to an integer as
// std::integral_constant does.
template <class Number>
concept ConvertsToInteger = requires(const Number& number) {
    { +number } -> std::integral;
};

/// A parameter for a count that a configuration may hold as any integer, or as a value that
/// converts to one. A negative number becomes 0, which every check of a count rejects that must be
/// at least 1. A number above the largest T becomes that. A conversion to an unsigned integer would
/// wrap: -1 would mean no limit.
///
/// Thread safety: a plain value.
template <std::unsigned_integral T>
class AnyCount {
public:
    template <std::integral Number>
    constexpr AnyCount(Number count) noexcept : count_{static_cast<T>(count)} {
        if (static_cast<Number>(count_) != count) count_ = std::numeric_limits<T>::max();
        if constexpr (std::is_signed_v<Number>) {
            is_negative_ = count < 0;
            if (is_negative_) count_ = 0;
        }
    }
    // By value, because a reference to a constant member of a class would need its definition.
    template <class Number>
        requires(std::is_enum_v<Number> && ConvertsToInteger<Number>)
    constexpr AnyCount(Number count) noexcept : AnyCount{+count} {}
    template <class Number>
        requires(std::is_class_v<Number> && ConvertsToInteger<Number>)
    constexpr AnyCount(const Number& count) noexcept : AnyCount{+count} {}
    /// Does not compile, because a fraction of a thing would be dropped.
    template <std::floating_point Number>
    constexpr AnyCount(Number) noexcept : count_{} {
        static_assert(!std::floating_point<Number>, "belay: a count must be an integer");
    }
    /// Does not compile, because a count has no unit.
    template <class Rep, class Period>
    constexpr AnyCount(std::chrono::duration<Rep, Period>) noexcept : count_{} {
        static_assert(!sizeof(Rep), "belay: a count is a number without a unit of time");
    }

    [[nodiscard]] constexpr operator T() const noexcept { return count_; }
    /// Returns whether the number was negative, for a count that may be 0.
    [[nodiscard]] constexpr bool is_negative() const noexcept { return is_negative_; }

private:
    T count_;
    bool is_negative_ = false;
};

}}}  // namespace belay::detail
