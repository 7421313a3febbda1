// SPDX-License-Identifier: MIT
/// \file belay/policy/shareable_like.hpp
/// ShareableLike and part::ReservableLike: the objects to which a Shared rule can refer.
#pragma once

#include <concepts>     // std::same_as
#include <type_traits>  // std::is_nothrow_move_assignable_v

#include <belay/policy/rule.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {

BELAY_DETAIL_MEMBER(reserve);
BELAY_DETAIL_MEMBER(spread);
BELAY_DETAIL_MEMBER(gains_by_time);
BELAY_DETAIL_MEMBER(spend);
template <class S>
concept HasPermit = requires { typename S::Permit; } &&
                    std::is_nothrow_default_constructible_v<typename S::Permit> &&
                    std::is_nothrow_move_constructible_v<typename S::Permit> &&
                    std::is_nothrow_move_assignable_v<typename S::Permit>;
template <class S>
concept GivesPermits = requires(S& object, const S& asked, Instant now, Turn& turn) {
    { asked.admit(now) } noexcept -> std::same_as<Advice>;
    { object.acquire(turn) } noexcept -> std::same_as<typename S::Permit>;
};
template <class P>
concept TakesVerdicts = requires(P& permit, const P& asked, Turn& turn) {
    { asked.advice() } noexcept -> std::same_as<Advice>;
    { permit.failure(turn) } noexcept -> std::same_as<Advice>;
    { permit.success(turn) } noexcept -> std::same_as<void>;
    { permit.neutral() } noexcept -> std::same_as<void>;
};
// If the permit has this overload in another form, it would never be called.
template <class P>
concept TakesFailures =
    requires(P& permit, const Failure& why, Turn& turn) { permit.failure(why, turn); };
// Forms of the overload that are near misses.
template <class P>
concept TakesFailuresOtherwise =
    !TakesFailures<P> &&
    (
        requires(P& permit, Failure& why, Turn& turn) { permit.failure(why, turn); } ||
        requires(P& permit, Failure& why, Turn& turn) { permit.failure(turn, why); });
template <class P>
concept TakesFailuresSoundly =
    !TakesFailuresOtherwise<P> &&
    (!TakesFailures<P> || requires(P& permit, const Failure& why, Turn& turn) {
        { permit.failure(why, turn) } noexcept -> std::same_as<Advice>;
    });
template <class P>
concept TakesSpending = requires(P& permit, Turn& turn) { permit.spend(turn); };
template <class P>
concept TakesSpendingSoundly = requires(P& permit, Turn& turn) {
    { permit.spend(turn) } noexcept -> std::same_as<void>;
};
template <class S>
concept TakesWanted = has_wanted<S>() || requires(S& object, Turn& t) { object.wanted(t); };
template <class S>
concept SharedWantedIsSound = !TakesWanted<S> || requires(S& object, Turn& turn) {
    { object.wanted(turn) } noexcept -> std::same_as<void>;
};
// Not by its name: an object of a user may have such a counter.
template <class S>
concept CountsRejections = requires(S& object) {
    { object.rejected() } noexcept -> std::same_as<void>;
};
template <class S>
concept HasSpread = has_spread<S>() || requires(S& object) { object.spread(); };
template <class S>
concept SpreadsCallers = requires(const S& object) {
    { object.spread() } noexcept -> std::same_as<Duration>;
};
template <class S>
concept SpreadIsSound = !HasSpread<S> || SpreadsCallers<S>;
template <class S>
concept HasReserve = has_reserve<S>() ||
                     requires(S& object, Cause cause, Turn& turn) { object.reserve(cause, turn); };
template <class S>
concept GivesReservations = requires(S& object, Cause cause, Turn& turn) {
    { object.reserve(cause, turn) } noexcept -> std::same_as<typename S::Permit>;
};
template <class S>
concept HasGainsByTime = has_gains_by_time<S>() || requires(S& object) { object.gains_by_time(); };
template <class S>
concept GainsByTime = requires(const S& object) {
    { object.gains_by_time() } noexcept -> std::same_as<bool>;
};
template <class S>
concept GainsByTimeIsSound = !HasGainsByTime<S> || GainsByTime<S>;
template <class S>
concept ReserveIsSound = !HasReserve<S> || GivesReservations<S>;
// A spend of another form is the permit's own if the object has no reserve.
template <class S>
concept PermitSpendIsSound =
    TakesSpendingSoundly<typename S::Permit> ||
    !(HasReserve<S> ? has_spend<typename S::Permit>() : TakesSpending<typename S::Permit>);
}  // namespace detail

/// An object that many callers use, and to which a Shared rule can refer.
///
/// - `wanted(Turn&)`, optional: an attempt is wanted from now on. Each rule that shares the object
///   calls it, and then asks. The object learns the result from a permit only.
/// - `admit(Instant) const -> Advice`: returns whether an attempt may begin, and takes nothing.
/// - `acquire(Turn&) -> Permit`: returns a permit for an attempt that begins. If the object has
///   `reserve`, this is a first attempt, which usually costs nothing.
/// - `reserve(Cause, Turn&) -> Permit`, optional, if retries have a cost: takes a permit for a
///   retry that is planned after a failure of that cause. See part::ReservableLike.
/// - `Permit`: default-constructible (empty) and movable. It has `advice() const -> Advice` (not
///   `go`: rejected, finished or empty), `failure(Turn&) -> Advice`, `success(Turn&)` and
///   `neutral()`. Its destructor is neutral. Optional: `failure(const Failure&, Turn&) -> Advice`,
///   the same with the reason; `spend(Turn&)`, for a retry that was made and whose caller did
///   not wait for the result. It is called only if the object has `reserve`.
/// - `spread() const -> Duration`, optional: the time over which a Shared rule spreads the callers
///   that wait for the object, >= 0ns. Without it, they leave at the instant that the object gives.
///   An object that admits only its rate, such as a RateLimiter, needs none.
/// - `gains_by_time() const -> bool`, optional, in addition to `reserve`: whether time alone lets
///   it grant a retry again. No attempt has to succeed for that, and no permit to be given back. A
///   Shared rule asks after each rejected reservation. If not, AskAgain makes attempts without a
///   reservation, because otherwise no caller might ever attempt again.
/// - `rejected()`, returning void, optional: counts an attempt that was due, and that `admit`
///   rejected. `acquire` was not called for it.
/// - `static constexpr std::string_view name`, optional: the name in the Advice.
/// - `static constexpr bool judges_results = true`, optional: the results of its attempts decide
///   what it admits, as in a breaker. A Pipeline then rejects a Fallback inside of it, and a second
///   place for the same object. A Policy rejects a second rule for the same object.
///
/// All of them are noexcept. Semantics the compiler cannot check: any thread may call it at any
/// time. Only the first verdict on a permit counts.
template <class S>
concept ShareableLike =
    detail::HasPermit<S> && detail::GivesPermits<S> && detail::TakesVerdicts<typename S::Permit> &&
    detail::TakesFailuresSoundly<typename S::Permit> && detail::PermitSpendIsSound<S> &&
    detail::SharedWantedIsSound<S> && detail::ReserveIsSound<S> && detail::SpreadIsSound<S> &&
    detail::GainsByTimeIsSound<S> && detail::NameIsSound<S>;

namespace part {

/// A shareable object, such as a budget, from which a retry takes its permit when it is planned.
///
/// The retry holds the permit during the wait. Semantics the compiler cannot check: a reservation
/// that is rejected for good advises `stop`, and has taken nothing.
template <class S>
concept ReservableLike = ShareableLike<S> && detail::GivesReservations<S>;

}  // namespace part

namespace explain {

/// Names every requirement of ShareableLike that S lacks.
template <class S>
consteval bool shareable_like() {
    static_assert(detail::HasPermit<S>,
                  "ShareableLike: S needs a movable S::Permit with a noexcept default constructor");
    static_assert(detail::GivesPermits<S>,
                  "ShareableLike: S needs 'Advice admit(Instant) const noexcept' and "
                  "'Permit acquire(Turn&) noexcept'");
    static_assert(detail::SharedWantedIsSound<S>,
                  "ShareableLike: wanted must be 'void wanted(Turn&) noexcept'");
    static_assert(detail::ReserveIsSound<S>,
                  "ShareableLike: reserve must be 'Permit reserve(Cause, Turn&) noexcept'");
    static_assert(detail::SpreadIsSound<S>,
                  "ShareableLike: spread must be 'Duration spread() const noexcept'");
    static_assert(detail::GainsByTimeIsSound<S>,
                  "ShareableLike: gains_by_time must be 'bool gains_by_time() const noexcept'");
    static_assert(detail::NameIsSound<S>,
                  "ShareableLike: name must be 'static constexpr std::string_view name'");
    if constexpr (detail::HasPermit<S>) {
        static_assert(detail::TakesVerdicts<typename S::Permit>,
                      "ShareableLike: S::Permit needs advice, failure, success and neutral; see "
                      "docs/reference/policies.md");
        static_assert(detail::TakesFailuresSoundly<typename S::Permit>,
                      "ShareableLike: S::Permit::failure with the failure must be 'Advice "
                      "failure(const belay::Failure&, Turn&) noexcept'");
        static_assert(detail::PermitSpendIsSound<S>,
                      "ShareableLike: S::Permit::spend must be 'void spend(Turn&) noexcept'");
    }
    return ShareableLike<S>;
}

}  // namespace explain

}}  // namespace belay
