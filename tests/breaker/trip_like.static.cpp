// SPDX-License-Identifier: MIT
// Goal: TripLike accepts its archetype in each of its forms, and rejects types that lack one
// requirement.
#include <belay/breaker/trips.hpp>

#include "support/breaker/breaker_archetypes.hpp"

using namespace belay;

namespace {

static_assert(TripLike<belay_test::MinimalTrip> && explain::trip_like<belay_test::MinimalTrip>());

struct AtInstants {
    bool record(bool, Instant) noexcept;
    void reset() noexcept;
};
struct TimesCalls {
    bool record(bool, Instant, Duration) noexcept;
    void reset() noexcept;
    bool too_slow(Duration) const noexcept;
};
static_assert(TripLike<AtInstants> && TripLike<TimesCalls>);
static_assert(!detail::RecordsTimedCalls<AtInstants> && detail::RecordsTimedCalls<TimesCalls>);

// If there are several forms, the one with the most arguments is used.
struct Overloaded {
    constexpr bool record(bool) noexcept { return false; }
    constexpr bool record(bool, Instant) noexcept { return true; }
    void reset() noexcept;
};
static_assert([] {
    Overloaded trip;
    return detail::record(trip, true, Instant{}, Duration{});
}());

struct WithoutRecord {
    void reset() noexcept;
};
struct WithoutReset {
    bool record(bool) noexcept;
};
struct RecordThrows {
    bool record(bool);
    void reset() noexcept;
};
struct TimedRecordThrows {
    bool record(bool) noexcept;
    bool record(bool, Instant, Duration);
    void reset() noexcept;
};
struct RecordReturnsNothing {
    void record(bool) noexcept;
    void reset() noexcept;
};
struct RecordReturnsInt {
    int record(bool, Instant) noexcept;
    void reset() noexcept;
};
struct RecordIsConfused {
    bool record(bool, Duration) noexcept;
    void reset() noexcept;
};
struct TripResetThrows {
    bool record(bool) noexcept;
    void reset();
};
struct TripMoveOnly {
    TripMoveOnly(TripMoveOnly&&) = default;
    bool record(bool) noexcept;
    void reset() noexcept;
};
struct TooSlowChanges {
    bool record(bool, Instant, Duration) noexcept;
    void reset() noexcept;
    bool too_slow(Duration) noexcept;
};
struct TooSlowWithoutDuration {
    bool record(bool, Instant, Duration) noexcept;
    void reset() noexcept;
    bool too_slow() const noexcept;
};
struct TooSlowOfUntimed {
    bool record(bool, Instant) noexcept;
    void reset() noexcept;
    bool too_slow(Duration) const noexcept;
};
static_assert(!TripLike<int> && !TripLike<WithoutRecord> && !TripLike<WithoutReset>);
static_assert(!TripLike<RecordThrows> && !TripLike<TimedRecordThrows>);
static_assert(!TripLike<RecordReturnsNothing> && !TripLike<RecordReturnsInt>);
static_assert(!TripLike<RecordIsConfused> && !TripLike<TripResetThrows> && !TripLike<TripMoveOnly>);
static_assert(!TripLike<TooSlowChanges> && !TripLike<TooSlowWithoutDuration>);
static_assert(!TripLike<TooSlowOfUntimed>);

struct TrippedByThrows : AtInstants {
    CallCounts tripped_by() const;
};
struct TrippedByChanges : AtInstants {
    CallCounts tripped_by() noexcept;
};
static_assert(!TripLike<TrippedByThrows> && !TripLike<TrippedByChanges>);

// A member counts in any form: overloaded, private, or a template.
class TripWithPrivateCounts : public AtInstants {
    bool counts(const Failure&) const noexcept;
};
struct TripWithTwoCounts : AtInstants {
    bool counts(Cause) const noexcept;
    bool counts(int) const noexcept;
};
struct TripWithTemplateCounts : AtInstants {
    template <class T>
    bool counts() const noexcept;
};
struct TimedBase {
    bool record(bool, Instant, Duration) noexcept;
    void reset() noexcept;
};
class TripWithPrivateTooSlow : public TimedBase {
    bool too_slow(Duration) const noexcept;
};
struct TripWithTwoTooSlow : TimedBase {
    bool too_slow(Instant) const noexcept;
    bool too_slow() const noexcept;
};
static_assert(TripLike<TimedBase>);
static_assert(!TripLike<TripWithPrivateCounts> && !TripLike<TripWithTwoCounts>);
static_assert(!TripLike<TripWithTemplateCounts>);
static_assert(!TripLike<TripWithPrivateTooSlow> && !TripLike<TripWithTwoTooSlow>);

}  // namespace
