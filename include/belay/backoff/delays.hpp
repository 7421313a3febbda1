// SPDX-License-Identifier: MIT
/// \file belay/backoff/delays.hpp
/// Delays: a table of waits.
#pragma once

#include <concepts>  // std::convertible_to
#include <cstddef>   // std::size_t
#include <cstdint>   // std::uint64_t

#include <belay/backoff/growth_like.hpp>
#include <belay/core/detail/any_unit.hpp>

namespace belay { inline namespace BELAY_ABI {

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
