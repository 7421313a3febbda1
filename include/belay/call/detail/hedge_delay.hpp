// SPDX-License-Identifier: MIT
/// \file belay/call/detail/hedge_delay.hpp
/// The delays before further calls of a Hedge, fixed or by number, and the choice of a success.
#pragma once

#include <concepts>     // std::copy_constructible, std::same_as
#include <cstddef>      // std::size_t
#include <type_traits>  // std::is_invocable_r_v

#include <belay/core/assert.hpp>
#include <belay/core/failure.hpp>
#include <belay/core/instant.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The same delay before each further call.
struct HedgeFixedDelay {
    Duration delay;

    [[nodiscard]] constexpr Duration before(std::size_t) const noexcept { return delay; }
};

template <class F>
concept HedgeDelayFunction =
    std::copy_constructible<F> && requires(const F& delay, std::size_t further) {
        { delay(further) } noexcept -> std::same_as<Duration>;
    };
/// A delay by the number of the further call: 1, 2, 3.
template <HedgeDelayFunction F>
struct HedgeDelayOfEach {
    [[no_unique_address]] F of;

    [[nodiscard]] constexpr Duration before(std::size_t further) const noexcept {
        const Duration delay = of(further);
        BELAY_PRECONDITION(delay.count() >= 0, "Hedge: the delay must be >= 0ns");
        return delay;
    }
};

/// A delay by the latencies of the last calls; both are in call/hedge_percentile.hpp.
class HedgePercentile;
struct HedgeRecentDelay;

/// Returns whether no further call can succeed after this cause.
[[nodiscard]] constexpr bool is_fatal(Cause cause) noexcept {
    return cause == Cause::permanent || cause == Cause::forbidden || cause == Cause::unauthorized;
}

/// The first success decides a Hedge, and a failure that no further call can correct.
struct HedgeAnySuccess {
    [[nodiscard]] static constexpr bool is_definite(const Failure& failure) noexcept {
        return detail::is_fatal(failure.cause);
    }
    template <class Returned>
    [[nodiscard]] static constexpr bool chooses(const Returned&) noexcept {
        return true;
    }
};
/// The first success decides for which a predicate returns true.
template <class Predicate>
struct HedgeChosen {
    [[no_unique_address]] Predicate predicate;

    [[nodiscard]] static constexpr bool is_definite(const Failure& failure) noexcept {
        return detail::is_fatal(failure.cause);
    }

    template <class Returned>
    [[nodiscard]] constexpr bool chooses(const Returned& returned) const {
        static_assert(
            std::is_invocable_r_v<bool, const Predicate&, const Returned&>,
            "Hedge::until: the predicate must be 'bool operator()(const R&) const', where "
            "R is the type that the call returns");
        return predicate(returned);
    }
};

}}}  // namespace belay::detail
