// SPDX-License-Identifier: MIT
/// \file belay/core/detail/any_count.hpp
/// AnyCount: a number of things given as any integer, converted without a wrap.
#pragma once

#include <chrono>       // std::chrono::duration
#include <concepts>     // std::integral, std::unsigned_integral
#include <type_traits>  // std::is_signed_v

#include <belay/core/instant.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// A parameter for a count that a configuration may hold as any integer. A number that T cannot
/// hold, such as -1, becomes `misfit`. `misfit` is 0, so every check of a count rejects it. A
/// conversion to an unsigned integer would wrap, and mean no limit.
///
/// Thread safety: a plain value.
template <std::unsigned_integral T>
class AnyCount {
public:
    static constexpr T misfit = 0;

    template <std::integral Number>
    constexpr AnyCount(Number count) noexcept : count_{static_cast<T>(count)} {
        if (static_cast<Number>(count_) != count) count_ = misfit;
        if constexpr (std::is_signed_v<Number>) {
            if (count < 0) count_ = misfit;
        }
    }
    /// Does not compile, because a count has no unit.
    template <class Rep, class Period>
    constexpr AnyCount(std::chrono::duration<Rep, Period>) noexcept : count_{} {
        static_assert(!sizeof(Rep), "belay: a count is a number without a unit of time");
    }

    [[nodiscard]] constexpr operator T() const noexcept { return count_; }

private:
    T count_;
};

}}}  // namespace belay::detail
