// SPDX-License-Identifier: MIT
/// \file belay/policy/detail/cause_set.hpp
/// CauseSet: a set of causes in four bytes.
#pragma once

#include <concepts>  // std::same_as
#include <cstdint>   // std::uint32_t

#include <belay/core/failure.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// A set of causes. As a predicate on failures, it tests whether the failure's cause is in the set.
///
/// Thread safety: a plain value.
class CauseSet {
public:
    constexpr explicit CauseSet(std::same_as<Cause> auto... causes) noexcept
        requires(sizeof...(causes) >= 1)
        : bits_{(bit(causes) | ...)} {}

    [[nodiscard]] constexpr bool has(Cause cause) const noexcept {
        return (bits_ & bit(cause)) != 0;
    }
    /// Returns the set of all other causes.
    [[nodiscard]] constexpr CauseSet others() const noexcept {
        CauseSet set{*this};
        set.bits_ = ~bits_;
        return set;
    }
    [[nodiscard]] constexpr bool operator()(const Failure& failure) const noexcept {
        return has(failure.cause);
    }

    friend constexpr bool operator==(CauseSet, CauseSet) noexcept = default;

private:
    [[nodiscard]] static constexpr std::uint32_t bit(Cause cause) noexcept {
        return std::uint32_t{1} << (static_cast<std::uint32_t>(cause) & 31U);
    }

    std::uint32_t bits_;
};

}}}  // namespace belay::detail
