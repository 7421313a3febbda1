// SPDX-License-Identifier: MIT
/// \file belay/breaker/consecutive_failures.hpp
/// ConsecutiveFailures: opens a breaker after a number of failures in a row.
#pragma once

#include <cstdint>  // std::uint32_t

#include <belay/breaker/trip_like.hpp>
#include <belay/core/detail/any_count.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Trips after `limit` failures in a row.
///
/// Use it for connections and for little traffic. Rates need a minimum number of calls, which a
/// rarely used peer never reaches.
///
/// Models:        TripLike.
/// Thread safety: a plain value.
class ConsecutiveFailures {
public:
    /// Pre: limit >= 1. A number above 2^32 - 1 means that.
    constexpr explicit ConsecutiveFailures(detail::AnyCount<std::uint32_t> limit) noexcept
        : limit_{limit} {
        BELAY_OPTION(limit_ >= 1, "ConsecutiveFailures: the limit must be >= 1");
    }

    [[nodiscard]] constexpr bool record(bool failed) noexcept {
        if (!failed) {
            failures_ = 0;
        } else if (failures_ < limit_) {
            ++failures_;
        }
        return failures_ == limit_;
    }
    constexpr void reset() noexcept { failures_ = 0; }

    /// Returns the failures in a row that opened the breaker: as many as the limit.
    [[nodiscard]] constexpr CallCounts tripped_by() const noexcept { return {limit_, limit_}; }
    [[nodiscard]] constexpr std::uint32_t limit() const noexcept { return limit_; }

private:
    std::uint32_t limit_;
    std::uint32_t failures_ = 0;
};

}}  // namespace belay
