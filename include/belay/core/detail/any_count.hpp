// SPDX-License-Identifier: MIT
/// \file belay/core/detail/any_count.hpp
/// AnyCount: a number of things given as any integer, converted without a wrap.
#pragma once

#include <chrono>       // std::chrono::duration
#include <concepts>     // std::integral, std::unsigned_integral
#include <limits>       // std::numeric_limits
#include <type_traits>  // std::is_signed_v

#include <belay/core/instant.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// A parameter for a count that a configuration may hold as any integer. A negative number becomes
/// 0, which every check of a count rejects. A number above the largest T becomes that. A conversion
/// to an unsigned integer would wrap: -1 would mean no limit.
///
/// Thread safety: a plain value.
template <std::unsigned_integral T>
class AnyCount {
public:
    template <std::integral Number>
    constexpr AnyCount(Number count) noexcept : count_{static_cast<T>(count)} {
        if (static_cast<Number>(count_) != count) count_ = std::numeric_limits<T>::max();
        if constexpr (std::is_signed_v<Number>) {
            if (count < 0) count_ = 0;
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
