// SPDX-License-Identifier: MIT
/// \file belay/breaker/count_only.hpp
/// CountOnly: selects the failures that a breaker counts as failures of the peer.
#pragma once

#include <concepts>     // std::copyable, std::same_as
#include <type_traits>  // std::is_nothrow_copy_constructible_v

#include <belay/breaker/consecutive_failures.hpp>
#include <belay/breaker/trip_like.hpp>
#include <belay/policy/detail/cause_set.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {
template <class F>
concept FailureFilter = std::copyable<F> && requires(const F& filter, const Failure& why) {
    { filter(why) } noexcept -> BoolOrCause;
};
}  // namespace detail

/// A trip that counts only some failures, from a list or by a callable.
///
/// Every other failure proves that the peer is well, and is a success.
///
///     CountOnly{ConsecutiveFailures{5}, Cause::timed_out, Cause::overloaded, Cause::lost}
///     CountOnly{FailureRate{CountWindow<20>{}}, [](const Failure& f) noexcept {
///         return f.code >= 500;
///     }}
///
/// The callable may also return a Cause. Then `none` is a success, `planned` is a call that gives
/// no information about the peer, and any other Cause is a failure.
///
/// Without CountOnly, a breaker does not count `permanent`, `forbidden` and `unauthorized`, because
/// a peer that answers this is well. With or without it, some failures mean nothing for the peer,
/// and are neutral:
/// - planned ones,
/// - those that a layer or breaker of this program rejected,
/// - cancelled ones,
/// - a lack of memory, descriptors or buffers in this program.
///
/// A failure that is reported without its Failure counts.
///
/// Models:        TripLike, if `Trip` is one.
/// Thread safety: a plain value; the filter runs under the lock of a CircuitBreaker.
template <class Trip, class Filter>
class CountOnly : public Trip {
    static_assert(explain::trip_like<Trip>());
    static_assert(!detail::HasCounts<Trip>,
                  "CountOnly: the trip already filters failures by its own 'counts'; use one of "
                  "the two filters");
    static_assert(detail::FailureFilter<Filter>,
                  "CountOnly: the filter must be causes, or a copyable 'bool operator()(const "
                  "belay::Failure&) const noexcept', which may return belay::Cause instead");

public:
    constexpr CountOnly(Trip trip, Filter filter) noexcept : Trip{trip}, filter_{filter} {}
    constexpr CountOnly(Trip trip, Cause first, std::same_as<Cause> auto... more) noexcept
        requires std::same_as<Filter, detail::CauseSet>
        : Trip{trip}, filter_{first, more...} {}

    [[nodiscard]] constexpr auto counts(const Failure& why) const noexcept { return filter_(why); }

private:
    [[no_unique_address]] Filter filter_;
};

template <class Trip, class Filter>
CountOnly(Trip, Filter) -> CountOnly<Trip, Filter>;
template <class Trip, std::same_as<Cause>... More>
CountOnly(Trip, Cause, More...) -> CountOnly<Trip, detail::CauseSet>;

namespace detail {
// Trips whose failures in a row a CircuitBreaker counts in its atomic word.
template <class T>
inline constexpr bool counts_in_row = std::same_as<T, ConsecutiveFailures>;
template <class Filter>
inline constexpr bool counts_in_row<CountOnly<ConsecutiveFailures, Filter>> = true;
}  // namespace detail

}}  // namespace belay
