// SPDX-License-Identifier: MIT
/// \file belay/backoff/make_backoff.hpp
/// make_backoff: a Backoff from parameters that are known at run time only, a configuration's.
#pragma once

#include <concepts>  // std::same_as

#include <belay/backoff/backoff.hpp>
#include <belay/core/result.hpp>

namespace belay { inline namespace BELAY_ABI {

/// The Backoff of these parts, or what is wrong with them; the parts may hold any values, lengths
/// of time in any unit (hours, years, seconds as a double).
///
///     auto backoff = make_backoff(FullJitter{}, Cap{config.cap}, Exponential{config.base, 1.5});
///     if (!backoff) return backoff.error();   // "the base of a backoff must be > 0ns, ..."
///
/// `third` is a base or a growth, as for Backoff. Without a seed the backoff seeds itself.
///
/// Errors:     BackoffErrc::bad_base, bad_factor, bad_delays, bad_jitter, bad_cap, bad_floor, or
///             what the check() of a part of one's own says.
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
