// SPDX-License-Identifier: MIT
/// \file belay/breaker/any_trip.hpp
/// AnyTrip and AllTrips: several trips combined into one.
#pragma once

#include <cstddef>  // std::size_t
#include <utility>  // std::index_sequence

#include <belay/breaker/trip_like.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {

// std::tuple is not used: it is not trivially copyable, and costs every user its parse time.
template <std::size_t, class T>
struct TripSlot {
    [[no_unique_address]] T trip;
};
template <class, class... Trips>
struct TripSlots;
template <std::size_t... I, class... Trips>
struct TripSlots<std::index_sequence<I...>, Trips...> : TripSlot<I, Trips>... {
    template <class F>
    constexpr void each(F&& f) noexcept {
        (f(static_cast<TripSlot<I, Trips>*>(this)->trip), ...);
    }
    template <class F>
    constexpr void each(F&& f) const noexcept {
        (f(static_cast<const TripSlot<I, Trips>*>(this)->trip), ...);
    }
};

// The member is in a base, because a member with a condition would count as one in another form.
template <class Self, bool times_calls>
struct TooSlowHook {};
template <class Self>
struct TooSlowHook<Self, true> {
    /// Returns whether any of the trips finds the probe too slow, which then counts for all of
    /// them.
    [[nodiscard]] constexpr bool too_slow(Duration took) const noexcept {
        return static_cast<const Self&>(*this).any_too_slow(took);
    }
};

/// Several trips that receive every call and trip together when `least` of them agree.
template <std::size_t least, class... Trips>
class TripQuorum
    : public TooSlowHook<TripQuorum<least, Trips...>, (RecordsTimedCalls<Trips> || ...)> {
    static_assert(sizeof...(Trips) >= 1, "AnyTrip, AllTrips: pass at least one trip");
    static_assert((explain::trip_like<Trips>() && ...));
    static_assert(!(HasCounts<Trips> || ...),
                  "AnyTrip, AllTrips: a trip must not be a CountOnly; write the filter around "
                  "them, as in CountOnly{AnyTrip{...}, ...}");

    static constexpr bool times_calls = (RecordsTimedCalls<Trips> || ...);
    static constexpr bool reads_clock = times_calls || (RecordsAtInstants<Trips> || ...);

public:
    constexpr explicit TripQuorum(Trips... trips) noexcept : trips_{{trips}...} {}

    // Only what a trip requires may be required here; otherwise the breaker would read a clock for
    // nothing.
    [[nodiscard]] constexpr bool record(bool failed) noexcept
        requires(!reads_clock)
    {
        return ask(failed, Instant{}, Duration{});
    }
    [[nodiscard]] constexpr bool record(bool failed, Instant now) noexcept
        requires(reads_clock && !times_calls)
    {
        return ask(failed, now, Duration{});
    }
    [[nodiscard]] constexpr bool record(bool failed, Instant now, Duration took) noexcept
        requires times_calls
    {
        return ask(failed, now, took);
    }
    constexpr void reset() noexcept {
        trips_.each([](auto& trip) { trip.reset(); });
    }

private:
    friend TooSlowHook<TripQuorum, true>;

    [[nodiscard]] constexpr bool any_too_slow(Duration took) const noexcept {
        bool slow = false;
        trips_.each([&](const auto& trip) { slow = detail::too_slow(trip, took) || slow; });
        return slow;
    }
    constexpr bool ask(bool failed, Instant now, Duration took) noexcept {
        std::size_t agree = 0;
        trips_.each(
            [&](auto& trip) { agree += detail::record(trip, failed, now, took) ? 1U : 0U; });
        return agree >= least;
    }

    [[no_unique_address]] TripSlots<std::index_sequence_for<Trips...>, Trips...> trips_;
};

}  // namespace detail

/// Trips when any of its trips would: `AnyTrip{ConsecutiveFailures{5}, SlowCallRate{...}}`.
///
/// Models:        TripLike.
/// Thread safety: a plain value.
template <class... Trips>
class AnyTrip : public detail::TripQuorum<1, Trips...> {
public:
    using detail::TripQuorum<1, Trips...>::TripQuorum;
};
/// Trips when all of its trips would, after the same call.
///
/// Models:        TripLike.
/// Thread safety: a plain value.
template <class... Trips>
class AllTrips : public detail::TripQuorum<sizeof...(Trips), Trips...> {
public:
    using detail::TripQuorum<sizeof...(Trips), Trips...>::TripQuorum;
};

template <class... Trips>
AnyTrip(Trips...) -> AnyTrip<Trips...>;
template <class... Trips>
AllTrips(Trips...) -> AllTrips<Trips...>;

}}  // namespace belay
