// SPDX-License-Identifier: MIT
/// \file belay/policy/detail/cause_set.hpp
/// CauseSet: a list of causes, in four bytes.
#pragma once

#include <concepts>  // std::same_as
#include <cstdint>   // std::uint32_t

#include <belay/core/failure.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Some causes; as a predicate on failures, whether theirs is one of them.
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
    /// All other causes.
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
