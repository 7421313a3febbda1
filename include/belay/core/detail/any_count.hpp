// SPDX-License-Identifier: MIT
/// \file belay/core/detail/any_count.hpp
/// AnyCount: a number of things given as any integer, converted without a wrap.
#pragma once

#include <chrono>       // std::chrono::duration
#include <concepts>     // std::floating_point, std::integral, std::unsigned_integral
#include <limits>       // std::numeric_limits
#include <type_traits>  // std::is_class_v, std::is_enum_v, std::is_signed_v

#include <belay/core/instant.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

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
