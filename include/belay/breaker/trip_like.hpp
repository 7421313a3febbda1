// SPDX-License-Identifier: MIT
/// \file belay/breaker/trip_like.hpp
/// TripLike: decides when a breaker has seen enough failures.
#pragma once

#include <concepts>  // std::copyable, std::same_as

#include <belay/core/call_counts.hpp>
#include <belay/core/detail/member_names.hpp>
#include <belay/core/instant.hpp>
#include <belay/policy/detail/peer_evidence.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {
BELAY_DETAIL_MEMBER(too_slow);
BELAY_DETAIL_MEMBER(counts);
BELAY_DETAIL_MEMBER(tripped_by);

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
template <class T>
concept HasTooSlow = has_too_slow<T>() || requires(T& trip, Duration took) { trip.too_slow(took); };
template <class T>
concept TooSlowIsTimed = !HasTooSlow<T> || RecordsTimedCalls<T>;
template <class T>
concept TooSlowIsSound = !HasTooSlow<T> || requires(const T& trip, Duration took) {
    { trip.too_slow(took) } noexcept -> std::same_as<bool>;
};
template <class T>
concept HasCounts =
    has_counts<T>() || requires(const T& trip, const Failure& why) { trip.counts(why); };
template <class V>
concept BoolOrCause = std::same_as<V, bool> || std::same_as<V, Cause>;
template <class T>
concept CountsIsSound = !HasCounts<T> || requires(const T& trip, const Failure& why) {
    { trip.counts(why) } noexcept -> BoolOrCause;
};
template <class T>
concept HasTrippedBy = requires(const T& trip) {
    { trip.tripped_by() } noexcept -> std::same_as<CallCounts>;
};
template <class T>
concept TrippedByIsSound = !has_tripped_by<T>() || HasTrippedBy<T>;

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
                  "and 'Duration took'; see docs/breaker.md");
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

}}  // namespace belay
