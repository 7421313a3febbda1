// SPDX-License-Identifier: MIT
/// \file belay/backoff/make_backoff.hpp
/// make_backoff: makes a Backoff from parameters that are known only at run time, as in a
/// configuration.
#pragma once

#include <concepts>  // std::same_as

#include <belay/backoff/backoff.hpp>
#include <belay/core/result.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Makes the Backoff of these parts, or returns what is wrong with them.
///
/// The parts may hold any values, and lengths of time in any unit (hours, years, seconds as a
/// double).
///
///     auto backoff = make_backoff(FullJitter{}, Cap{config.cap}, Exponential{config.base, 1.5});
///     if (!backoff) return backoff.error();   // "the base of a backoff must be > 0ns, ..."
///
/// `third` is a base or a growth, as for Backoff. Without a seed, the backoff seeds itself.
///
/// Errors:     BackoffErrc::bad_base, bad_factor, bad_delays, bad_jitter, bad_cap, bad_floor, or
///             what check() of a part of your own returns.
/// Complexity: O(1).   Allocates: never.
template <class Jitter, class Limit, class Third, std::same_as<Seed>... Fixed>
    requires(sizeof...(Fixed) <= 1)
[[nodiscard]] auto make_backoff(Jitter jitter, Limit cap, Third third, Fixed... seed)
    -> Result<Backoff<Jitter, Limit, detail::GrowthOf<Jitter, Third>>> {
    using Growth = detail::GrowthOf<Jitter, Third>;
    using Made = Backoff<Jitter, Limit, Growth>;
    const Growth growth{third};
    if (const BackoffErrc wrong = Made::check(jitter, cap, growth); wrong != BackoffErrc{}) {
        return wrong;
    }
    return Made{jitter, cap, growth, seed...};
}

}}  // namespace belay
