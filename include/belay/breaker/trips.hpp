// SPDX-License-Identifier: MIT
/// \file belay/breaker/trips.hpp
/// TripLike and the trips, which decide when a breaker opens: ConsecutiveFailures, FailureRate and
/// SlowCallRate over a CountWindow or another window, and TripWhen with a function. CountOnly
/// selects the failures that count, and AnyTrip joins several trips.
#pragma once

#include <concepts>     // std::copyable, std::integral, std::same_as
#include <cstddef>      // std::size_t
#include <cstdint>      // std::uint32_t, std::uint64_t
#include <type_traits>  // std::is_nothrow_copy_constructible_v
#include <utility>      // std::index_sequence

#include <belay/core/call_counts.hpp>
#include <belay/core/detail/arguments.hpp>
#include <belay/core/detail/member_names.hpp>
#include <belay/core/instant.hpp>
#include <belay/policy/detail/causes.hpp>
#include <belay/policy/rule.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {

// The hook that exists on a condition, for the probe of members.
struct TooSlowIsConditional {
    int too_slow;
};
BELAY_DETAIL_MEMBER(counts);

template <class T>
concept RecordsTimedCalls =
    requires(T& trip, bool failed, Instant now, Duration took) { trip.record(failed, now, took); };
template <class T>
concept RecordsAtInstants =
    requires(T& trip, bool failed, Instant now) { trip.record(failed, now); };
template <class T>
concept RecordsVerdicts = requires(T& trip, bool failed) { trip.record(failed); };
template <class T>
concept Records = RecordsTimedCalls<T> || RecordsAtInstants<T> || RecordsVerdicts<T>;

// If there are several forms, the one with the most parameters is used, so that one must be right.
template <class T>
concept RecordIsBool =
    requires(T& trip, bool failed, Instant now, Duration took) {
        { trip.record(failed, now, took) } -> std::same_as<bool>;
    } || (!RecordsTimedCalls<T> && requires(T& trip, bool failed, Instant now) {
        { trip.record(failed, now) } -> std::same_as<bool>;
    }) || (!RecordsTimedCalls<T> && !RecordsAtInstants<T> && requires(T& trip, bool failed) {
        { trip.record(failed) } -> std::same_as<bool>;
    });
template <class T>
concept RecordIsNoexcept =
    requires(T& trip, bool failed, Instant now, Duration took) {
        { trip.record(failed, now, took) } noexcept;
    } || (!RecordsTimedCalls<T> && requires(T& trip, bool failed, Instant now) {
        { trip.record(failed, now) } noexcept;
    }) || (!RecordsTimedCalls<T> && !RecordsAtInstants<T> && requires(T& trip, bool failed) {
        { trip.record(failed) } noexcept;
    });
template <class T>
concept StartsAfresh = requires(T& trip) {
    { trip.reset() } noexcept;
};
BELAY_DETAIL_OPTIONAL(TooSlow, too_slow, (const R& r, Duration took), bool, r.too_slow(took));
template <class T>
concept TooSlowIsTimed = !HasTooSlow<T> || RecordsTimedCalls<T>;
template <class T>
concept HasCounts =
    has_counts<T> || requires(const T& trip, const Failure& why) { trip.counts(why); };
template <class V>
concept BoolOrCause = std::same_as<V, bool> || std::same_as<V, Cause>;
template <class T>
concept CountsIsSound = !HasCounts<T> || requires(const T& trip, const Failure& why) {
    { trip.counts(why) } noexcept -> BoolOrCause;
};
BELAY_DETAIL_OPTIONAL(TrippedBy, tripped_by, (const R& r), CallCounts, r.tripped_by());

/// Records a call in the trip, with the parameters that the trip requires.
template <class T>
constexpr bool record(T& trip, bool failed, [[maybe_unused]] Instant now,
                      [[maybe_unused]] Duration took) noexcept {
    if constexpr (RecordsTimedCalls<T>) {
        return trip.record(failed, now, took);
    } else if constexpr (RecordsAtInstants<T>) {
        return trip.record(failed, now);
    } else {
        return trip.record(failed);
    }
}
/// Returns whether a probe was so slow that it is not a success.
template <class T>
[[nodiscard]] constexpr bool too_slow([[maybe_unused]] const T& trip,
                                      [[maybe_unused]] Duration took) noexcept {
    if constexpr (HasTooSlow<T>) {
        return trip.too_slow(took);
    } else {
        return false;
    }
}
/// Returns what a failure means for the peer, according to this trip.
template <class T>
[[nodiscard]] constexpr PeerEvidence evidence_of([[maybe_unused]] const T& trip,
                                                 const Failure& why) noexcept {
    const PeerEvidence evidence = peer_evidence(why);
    if constexpr (HasCounts<T>) {
        if (evidence == PeerEvidence::nothing) return evidence;
        const auto counted = trip.counts(why);
        if constexpr (std::same_as<decltype(trip.counts(why)), bool>) {
            return counted ? PeerEvidence::unwell : PeerEvidence::well;
        } else {
            if (counted == Cause::planned) return PeerEvidence::nothing;
            return counted == Cause::none ? PeerEvidence::well : PeerEvidence::unwell;
        }
    } else {
        return evidence;
    }
}
}  // namespace detail

/// Decides when a closed breaker opens. It receives every call that had a verdict.
///
/// - `record(bool failed) -> bool`: counts one more call, and returns whether to open now. Also
///   with `(bool failed, Instant now)`, or with `(bool failed, Instant now, Duration took)`. Values
///   that a trip does not require are not measured, so no clock is read for them.
/// - `reset()`: the breaker starts afresh; forgets everything.
/// - optional, for trips that record `took`: `too_slow(Duration took) const -> bool`. Returns
///   whether a successful probe was so slow that it counts as a failure.
/// - optional: `counts(const Failure&) const -> bool`. Returns whether this is a failure of the
///   peer; the breaker also uses the result while it probes. It may return a Cause instead: `none`
///   for a peer that is well, `planned` for a call that gives no information about the peer. It is
///   not called for failures that mean nothing for the peer. For the behaviour without it, see
///   CountOnly.
///
/// - optional: `tripped_by() const -> CallCounts`. Returns the calls that it had counted when
///   `record` last returned true, for an open wait that requires them; see OpenWaitLike. It is
///   called before `reset`.
///
/// All of them are noexcept. Semantics the compiler cannot check: the result of `record` depends
/// only on what was recorded since the last reset. Hooks neither allocate nor call the breaker,
/// whose lock may be held. A breaker that is not closed records nothing.
template <class T>
concept TripLike =
    std::copyable<T> && detail::Records<T> && detail::RecordIsBool<T> &&
    detail::RecordIsNoexcept<T> && detail::StartsAfresh<T> && detail::TooSlowIsTimed<T> &&
    detail::TooSlowIsSound<T> && detail::CountsIsSound<T> && detail::TrippedByIsSound<T>;

namespace explain {

/// Names every requirement of TripLike that T lacks.
template <class T>
consteval bool trip_like() {
    static_assert(std::copyable<T>, "TripLike: T must be copyable");
    static_assert(detail::Records<T>,
                  "TripLike: T needs 'bool record(bool failed)', which may also take 'Instant now' "
                  "and 'Duration took'; see docs/reference/breaker.md");
    if constexpr (detail::Records<T>) {
        static_assert(detail::RecordIsBool<T>, "TripLike: T::record must return bool");
        static_assert(detail::RecordIsNoexcept<T>, "TripLike: T::record must be noexcept");
    }
    static_assert(detail::StartsAfresh<T>, "TripLike: T needs 'void reset() noexcept'");
    static_assert(detail::TooSlowIsTimed<T>,
                  "TripLike: T with too_slow needs 'bool record(bool failed, Instant now, Duration "
                  "took)', because otherwise no call is timed");
    static_assert(detail::TooSlowIsSound<T>,
                  "TripLike: T::too_slow must be 'bool too_slow(Duration) const noexcept'");
    static_assert(detail::CountsIsSound<T>,
                  "TripLike: T::counts must be 'bool counts(const belay::Failure&) const "
                  "noexcept', which may return belay::Cause instead");
    static_assert(
        detail::TrippedByIsSound<T>,
        "TripLike: T::tripped_by must be 'belay::CallCounts tripped_by() const noexcept'");
    return TripLike<T>;
}

}  // namespace explain

/// Counts the last `Calls` calls, with one bit each. It is exact, and reads no clock.
///
/// Thread safety: a plain value.   Complexity: O(1) for every function except reset.
template <std::size_t Calls>
class CountWindow {
    static_assert(Calls >= 1 && Calls <= 65536,
                  "CountWindow: the window must hold 1 to 65536 calls");

public:
    /// Counts one more call; the oldest leaves a full window.
    constexpr void add(bool bad) noexcept {
        std::uint64_t& word = bits_[next_ / 64];
        const std::uint64_t bit = std::uint64_t{1} << (next_ % 64);
        if (calls_ < Calls) {
            ++calls_;
        } else if ((word & bit) != 0) {
            --bad_;
        }
        word = bad ? word | bit : word & ~bit;
        bad_ += bad ? 1U : 0U;
        next_ = next_ + 1 == Calls ? 0 : next_ + 1;
    }
    /// Forgets all calls.
    constexpr void reset() noexcept { *this = {}; }

    /// Returns the calls in the window.
    [[nodiscard]] constexpr CallCounts counts() const noexcept { return {calls_, bad_}; }
    /// Returns how many calls the window can hold.
    [[nodiscard]] constexpr std::uint64_t capacity() const noexcept { return Calls; }

private:
    std::uint64_t bits_[(Calls + 63) / 64]{};
    std::uint32_t next_ = 0;
    std::uint32_t calls_ = 0;
    std::uint32_t bad_ = 0;
};

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
    /// Returns how many failures in a row open the breaker.
    [[nodiscard]] constexpr std::uint32_t limit() const noexcept { return limit_; }

private:
    std::uint32_t limit_;
    std::uint32_t failures_ = 0;
};

namespace detail {
template <class P>
concept CountsPredicate = std::copyable<P> && requires(const P& predicate, const CallCounts& seen) {
    { predicate(seen) } noexcept -> std::same_as<bool>;
};
/// The predicate of a FailureRate.
struct ReachesRate {
    part::RateThreshold threshold;
    [[nodiscard]] constexpr bool operator()(const CallCounts& seen) const noexcept {
        return threshold.reached_by(seen);
    }
};
}  // namespace detail

/// Trips when a predicate returns true for the calls in the window, after each verdict:
///
///     TripWhen{TimeWindow{60s}, [](const CallCounts& c) noexcept { return c.bad >= 20; }}
///
/// If counts alone are not enough, write a struct of your own as a trip; see TripLike.
///
/// Models:        TripLike. A lambda with captures cannot be assigned, so it is not copyable as a
///                trip must be: write a function object.
/// Thread safety: a plain value; the predicate runs under the lock of a CircuitBreaker.
template <class Window, class Predicate>
class TripWhen {
    static_assert(detail::CallWindow<Window>,
                  "FailureRate, SlowCallRate, TripWhen: the window must be a CountWindow or a "
                  "TimeWindow");
    static_assert(detail::CountsPredicate<Predicate>,
                  "TripWhen: the predicate must be a copyable 'bool operator()(const "
                  "belay::CallCounts&) const noexcept'");

public:
    constexpr TripWhen(Window window, Predicate predicate) noexcept
        : window_{window}, predicate_{predicate} {}

    [[nodiscard]] constexpr bool record(bool failed) noexcept
        requires detail::CountsCalls<Window>
    {
        window_.add(failed);
        return predicate_(window_.counts());
    }
    [[nodiscard]] constexpr bool record(bool failed, Instant now) noexcept
        requires detail::CountsCallsInTime<Window>
    {
        window_.add(failed, now);
        return predicate_(window_.counts());
    }
    constexpr void reset() noexcept { window_.reset(); }
    /// Returns the calls of the window, and how many of them failed.
    [[nodiscard]] constexpr CallCounts tripped_by() const noexcept { return window_.counts(); }

private:
    Window window_;
    [[no_unique_address]] Predicate predicate_;
};

/// Trips when the percentage of failed calls in the window reaches a threshold:
///
///     FailureRate{CountWindow<100>{}, {.percent = 50, .min_calls = 20}}
///     FailureRate{TimeWindow{30s}, {.percent = 20, .min_calls = 50}}
///
/// It checks after every verdict, so the call that completes `min_calls` may trip even if it
/// succeeds.
///
/// Models:        TripLike.
/// Thread safety: a plain value.
template <class Window>
class FailureRate : public TripWhen<Window, detail::ReachesRate> {
public:
    /// Pre: that of the threshold; its min_calls fit into the window.
    constexpr explicit FailureRate(Window window, part::RateThreshold threshold = {}) noexcept
        : TripWhen<Window, detail::ReachesRate>{window, detail::ReachesRate{threshold}} {
        detail::check(threshold, window);
    }

    /// Does not compile, because the numbers of the threshold have names.
    template <std::integral... Numbers>
        requires(sizeof...(Numbers) >= 1)
    constexpr FailureRate(Window window, Numbers...) noexcept : FailureRate{window} {
        static_assert(!sizeof(Window),
                      "FailureRate: write the window, and the numbers with their names: "
                      "FailureRate{CountWindow<20>{}, {.percent = 50}}");
    }
};

template <class Window, std::integral... Numbers>
    requires(sizeof...(Numbers) >= 1)
FailureRate(Window, Numbers...) -> FailureRate<Window>;

/// Trips when the percentage of slow calls in the window reaches a threshold:
///
///     SlowCallRate{2s, TimeWindow{60s}, {.percent = 80, .min_calls = 20}}
///
/// A call is slow if it took `slow_after` or longer, whether it succeeded or not. A slow probe
/// counts as failed. It costs one clock read per call. Combine it with a trip for failures in an
/// AnyTrip.
///
/// Models:        TripLike.
/// Thread safety: a plain value.
template <class Window>
class SlowCallRate {
public:
    /// Pre: slow_after > 0ns; that of the threshold; its min_calls fit into the window.
    constexpr SlowCallRate(detail::AnyUnit slow_after, Window window,
                           part::RateThreshold threshold = {}) noexcept
        : slow_after_{slow_after}, rate_{window, threshold} {
        BELAY_OPTION(slow_after_.count() > 0, "SlowCallRate: slow_after must be > 0ns");
    }

    [[nodiscard]] constexpr bool record(bool, Instant now, Duration took) noexcept {
        return detail::record(rate_, too_slow(took), now, took);
    }
    constexpr void reset() noexcept { rate_.reset(); }
    /// Returns the calls of the window, and how many of them were slow.
    [[nodiscard]] constexpr CallCounts tripped_by() const noexcept { return rate_.tripped_by(); }
    [[nodiscard]] constexpr bool too_slow(Duration took) const noexcept {
        return took >= slow_after_;
    }

private:
    Duration slow_after_;
    FailureRate<Window> rate_;  // in this rate, "failed" means slow
};

namespace detail {

/// Several trips that receive every call and trip together when `least` of them agree.
template <std::size_t least, class... Trips>
class TripQuorum {
    static_assert(sizeof...(Trips) >= 1, "AnyTrip, AllTrips: pass at least one trip");
    static_assert((explain::trip_like<Trips>() && ...));
    static_assert(!(HasCounts<Trips> || ...),
                  "AnyTrip, AllTrips: a trip must not be a CountOnly; write the filter around "
                  "them, as in CountOnly{AnyTrip{...}, ...}");

    static constexpr bool times_calls = (RecordsTimedCalls<Trips> || ...);
    static constexpr bool reads_clock = times_calls || (RecordsAtInstants<Trips> || ...);

public:
    /// The hooks that exist on a condition.
    using ConditionalHooks = detail::TooSlowIsConditional;

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
    /// Returns whether any of the trips finds the probe too slow, which then counts for all of
    /// them.
    [[nodiscard]] constexpr bool too_slow(Duration took) const noexcept
        requires times_calls
    {
        bool slow = false;
        trips_.each([&](const auto& trip) { slow = detail::too_slow(trip, took) || slow; });
        return slow;
    }

private:
    constexpr bool ask(bool failed, Instant now, Duration took) noexcept {
        std::size_t agree = 0;
        trips_.each(
            [&](auto& trip) { agree += detail::record(trip, failed, now, took) ? 1U : 0U; });
        return agree >= least;
    }

    [[no_unique_address]] ValueSlots<std::index_sequence_for<Trips...>, Trips...> trips_;
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
