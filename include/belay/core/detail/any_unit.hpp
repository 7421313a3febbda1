// SPDX-License-Identifier: MIT
/// \file belay/core/detail/any_unit.hpp
/// AnyUnit: a length of time given in any unit, converted without overflow.
#pragma once

#include <concepts>     // std::convertible_to, std::integral
#include <ratio>        // std::ratio_divide
#include <type_traits>  // std::is_floating_point_v

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

}}}  // namespace belay::detail
