// SPDX-License-Identifier: MIT
// Goal: CountOnly is a trip, adds no size without state, and accepts only filters that can be used.
#include <belay/breaker/trips.hpp>

#include <belay/breaker/breaker.hpp>

#include "support/breaker/breaker_archetypes.hpp"

using namespace belay;

namespace {

struct Filter {
    bool operator()(const Failure&) const noexcept { return true; }
};
struct FilterThrows {
    bool operator()(const Failure&) const;
};
struct FilterMutable {
    bool operator()(const Failure&) noexcept;
};
struct FilterOfCauses {
    bool operator()(Cause) const noexcept;
};
struct FilterReturnsInt {
    int operator()(const Failure&) const noexcept;
};
struct FilterReturnsCause {
    Cause operator()(const Failure&) const noexcept;
};
static_assert(detail::FailureFilter<Filter> && detail::FailureFilter<FilterReturnsCause>);
static_assert(detail::FailureFilter<detail::CauseSet>);
static_assert(!detail::FailureFilter<FilterThrows> && !detail::FailureFilter<FilterMutable>);
static_assert(!detail::FailureFilter<FilterOfCauses> && !detail::FailureFilter<FilterReturnsInt>);

using Filtered = CountOnly<ConsecutiveFailures, Filter>;
static_assert(TripLike<Filtered> && sizeof(Breaker<Filtered>) <= 56);
static_assert(TripLike<CountOnly<belay_test::MinimalTrip, detail::CauseSet>>);

// A user's trip may have the function `counts` itself.
struct CountsThrows : ConsecutiveFailures {
    bool counts(const Failure&) const;
};
struct CountsOther : ConsecutiveFailures {
    bool counts(Cause) const noexcept;
};
struct Counts : ConsecutiveFailures {
    Cause counts(const Failure&) const noexcept;
};
static_assert(TripLike<Counts> && !TripLike<CountsThrows> && !TripLike<CountsOther>);

}  // namespace
