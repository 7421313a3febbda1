// SPDX-License-Identifier: MIT
/// \file belay/policy/shared.hpp
/// Shared: a rule that refers to an object that many policies use. ShareableLike and
/// part::ReservableLike: the objects to which it can refer.
#pragma once

#include <chrono>       // std::chrono::duration
#include <concepts>     // std::same_as
#include <cstddef>      // std::size_t
#include <cstdint>      // std::uint16_t, std::uint64_t
#include <string_view>  // std::string_view
#include <type_traits>  // std::is_nothrow_move_assignable_v, std::conditional_t, std::is_const_v

#include <belay/core/detail/arguments.hpp>
#include <belay/policy/rule.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {

// The hooks that a Shared has only if its object has them.
struct HooksOfObject {
    int wanted, review, reset;
};

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
BELAY_DETAIL_OPTIONAL(Spread, spread, (const R& object), Duration, object.spread());
BELAY_DETAIL_OPTIONAL(Reserve, reserve, (R & object, Cause cause, Turn& turn), typename R::Permit,
                      object.reserve(cause, turn));
BELAY_DETAIL_OPTIONAL(GainsByTime, gains_by_time, (const R& object), bool, object.gains_by_time());
// Not by its name: an object of a user may have such a counter.
template <class S>
concept CountsRejections = requires(S& object) {
    { object.rejected() } noexcept -> std::same_as<void>;
};
// A spend of another form is the permit's own if the object has no reserve.
template <class S>
concept PermitSpendIsSound =
    TakesSpendingSoundly<typename S::Permit> ||
    !(HasReserve<S> ? has_spend<typename S::Permit> : TakesSpending<typename S::Permit>);
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
    detail::WantedIsSound<S> && detail::ReserveIsSound<S> && detail::SpreadIsSound<S> &&
    detail::GainsByTimeIsSound<S> && detail::NameIsSound<S>;

namespace part {

/// A shareable object, such as a budget, from which a retry takes its permit when it is planned.
///
/// The retry holds the permit during the wait. Semantics the compiler cannot check: a reservation
/// that is rejected for good advises `stop`, and has taken nothing.
template <class S>
concept ReservableLike = ShareableLike<S> && detail::HasReserve<S>;

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
    static_assert(detail::WantedIsSound<S>,
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

/// Makes a Shared rule ask an empty budget again after a wait, instead of giving up.
///
/// Use it for a Supervisor, which should not end because other callers spent the tokens. Calls and
/// hedges need it rarely: without it, those that cannot pay fail at once.
///
/// A TokenBudget gains only by successes, so an outage could leave it empty for ever. A caller that
/// it rejects therefore waits between one and two of these waits, and then makes its attempt also
/// without a token. Each caller draws this time from the turn's bits. So after an outage all
/// callers attempt within two of these waits, or within the wait of their own policy if that is
/// longer. For connections, half of the cap of their Backoff is a good wait.
///
/// A budget keeps its limit while it gains by time, such as a RatioBudget with a floor that its
/// permits do not fill. Its callers ask again after each wait. So do those of an object of your own
/// whose `admit` or `acquire` advises `stop`, or whose permit does after a failure. While such an
/// object advises `stop`, no attempt begins. A `retry`, and a Hedge of which all calls have failed,
/// then wait until their deadline, or for ever without one. In a `retry`, MaxElapsed also ends it.
///
/// Thread safety: a plain value.
struct AskAgain {
    /// Pre: wait > 0ns.
    constexpr explicit AskAgain(detail::AnyUnit after_wait) noexcept : wait{after_wait} {
        BELAY_OPTION(wait.count() > 0, "AskAgain: the wait must be > 0ns");
    }
    /// The wait after which the budget is asked again.
    Duration wait;
};

/// Makes a Shared rule reject an attempt at once, instead of waiting until the object may admit it.
///
/// `retry` then ends with CallErrc::call_rejected, and the wait is the `retry_after` of its
/// failure. That is the same result as that of the layer `Shared{object}` of a Pipeline. If an
/// attempt was made before, `retry` ends with the result of that attempt.
///
/// Use it for calls. Callers that wait for the same object all return when it admits them. Their
/// load may make an outage worse; see docs/explanation/stability.md. Do not use it for a
/// Supervisor, which would end.
/// Thread safety: a plain value.
struct FailFast {};

namespace detail {

// The state of a Shared rule, for an object that gives reservations, and for one that does not.
struct RetryMemory {
    Cause why = Cause::none;  // the failure that the coming attempt retries; none: it is a first
                              // attempt
    Duration ask_again{0};    // 0: never
    Instant free_at = never;  // when it needs no reservation; never: none was rejected
};
struct NoRetryMemory {};

// A pointer of any kind, or a std::reference_wrapper, instead of the object.
template <class S>
concept RefersToObject = requires(S& s) { *s; } || requires(S& s) { s.get(); };

}  // namespace detail

template <class Object>
class Shared;

namespace detail {

template <class Object>
inline constexpr bool judges_results<Shared<Object>> =
    requires { requires Object::judges_results; };

}  // namespace detail

/// Refers to a shared object, and holds at most one of its permits. The object must outlive the
/// rule.
///
/// If the object only gives permits (a CircuitBreaker), each attempt takes a permit when it begins.
/// If no permit is left by then (another caller took it), the attempt is rejected. So a probe
/// cannot be forced.
///
/// If the object also gives reservations (a budget), a retry takes its permit when it is planned.
/// It holds the permit during the wait and the attempt. If there is none, the plan is to stop, or
/// to ask again:
///
///     Policy calls{Backoff{FullJitter{}, Cap{10s}, 100ms}, Shared{budget}, MaxAttempts{5}};
///     Policy link{Backoff{FullJitter{}, Cap{30s}, 1s}, Shared{ratio_budget, AskAgain{5s}}};
///
/// A breaker, limiter or throttle that rejects makes the caller wait. With FailFast the policy
/// stops instead:
///
///     Policy calls{Backoff{FullJitter{}, Cap{10s}, 100ms}, Shared{breaker, FailFast{}}};
///
/// Callers that wait for the same object do not all leave at the same instant, if the object has a
/// `spread()`. Each waits longer by a draw from the turn's bits, up to that time. Each instant at
/// which the object may be asked again has a draw of its own. For a breaker the spread is the
/// length of the open wait, so no wait is longer than two of them. Only the caller whose attempt
/// opened the breaker, also by a failed probe, waits for one open wait. A RateLimiter and a
/// CubicRate have no spread, because they admit only their rate. The waits for them are exact.
///
/// Each wait has a bound, but a caller may wait several times. Calls that arrive all the time and
/// all wait become more and more. After an outage of n open waits, they send up to 1 + n times the
/// offered load during one open wait. In the model of docs/explanation/stability.md, a server
/// without a bounded queue then stays overloaded. No spread prevents this, because no object
/// rejects a call. So use FailFast for calls, or at least MaxElapsed. With MaxElapsed of one open
/// wait, the load is twice the offered load (2.1 times in the worst second of the model).
///
/// The first attempt to restore a lost connection is not a retry. After a planned retry was
/// abandoned (a gate shut), the attempt that replaces it reserves when it begins.
///
/// It uses the turn's time and bits, never the object's own clock. A copy refers to the same object
/// and holds no permit, because each run of a policy takes its own. The destructor gives the permit
/// back.
///
/// Models:        RuleLike.
/// Thread safety: distinct objects safe, also when they refer to one object.
template <class Object>
class Shared {
    static_assert(ShareableLike<Object> || !detail::RefersToObject<Object>,
                  "Shared: pass the object itself, and not a pointer or a std::ref: "
                  "Shared{*object}");
    static_assert(ShareableLike<Object> || !std::is_const_v<Object>,
                  "Shared: the shared object must not be const");
    static_assert(explain::shareable_like<Object>());
    static constexpr bool reserves = part::ReservableLike<Object>;
    static constexpr bool spreads = detail::HasSpread<Object>;
    static constexpr std::uint16_t share_most = 65535;
    static constexpr Duration::rep parts = 65536;
    using Memory = std::conditional_t<reserves, detail::RetryMemory, detail::NoRetryMemory>;

public:
    static constexpr std::string_view name = [] {
        if constexpr (requires { std::string_view{Object::name}; }) {
            return std::string_view{Object::name};
        } else {
            return std::string_view{"Shared"};
        }
    }();

    /// The object outlives a run and may serve others, so Policy::replay skips this rule.
    static constexpr bool is_shared = true;
    /// The hooks that exist on a condition.
    using ConditionalHooks = detail::HooksOfObject;

    constexpr explicit Shared(Object& object) noexcept : object_{&object} {}
    constexpr Shared(Object& object, AskAgain again) noexcept : object_{&object} {
        static_assert(reserves,
                      "Shared: AskAgain is for budgets; with another object write Shared{object}, "
                      "or Shared{object, FailFast{}}");
        if constexpr (reserves) memory_.ask_again = again.wait;
    }
    constexpr Shared(Object& object, FailFast) noexcept
        : object_{&object}, way_{.fails_fast = true} {}
    /// Does not compile, because the wait has a name.
    template <class Rep, class Period>
    constexpr Shared(Object& object, std::chrono::duration<Rep, Period>) noexcept : Shared{object} {
        static_assert(!sizeof(Object),
                      "Shared: write Shared{object, AskAgain{5s}} to ask a budget again after a "
                      "wait, or Shared{object, FailFast{}}");
    }
    /// Does not compile, because a temporary would be destroyed at once.
    template <class... Given>
    constexpr explicit Shared(Object&& object, Given...) noexcept : Shared{object} {
        static_assert(
            !sizeof(Object),
            "Shared: the shared object must be a variable that outlives it, and not a temporary");
    }
    constexpr Shared(const Shared& other) noexcept
        : object_{other.object_}, memory_{other.memory_}, way_{other.way_} {
        way_.is_exact = false;
    }
    constexpr Shared(Shared&& other) noexcept = default;
    constexpr Shared& operator=(const Shared& other) noexcept {
        if (this != &other) {
            permit_ = typename Object::Permit{};
            object_ = other.object_;
            memory_ = other.memory_;
            const bool is_exact = way_.is_exact;
            way_ = other.way_;
            way_.is_exact = is_exact;
        }
        return *this;
    }
    constexpr Shared& operator=(Shared&& other) noexcept = default;
    constexpr ~Shared() = default;

    constexpr void wanted(Turn& turn) noexcept
        requires(detail::HasWanted<Object> || spreads)
    {
        if constexpr (detail::HasWanted<Object>) object_->wanted(turn);
        // Also while the object admits this caller. Another rule may hold the caller, and the
        // object may reject it later in admit(), which has no bits to draw from.
        if constexpr (spreads) draw_share(turn);
    }
    [[nodiscard]] [[gnu::always_inline]] constexpr Advice admit(Instant now) const noexcept {
        const Advice advice = asked(now);
        if (advice.verb == Advice::Verb::go) return Advice::go();
        return detail::copy_of(held_back(advice, now));
    }
    [[nodiscard]] [[gnu::always_inline]] constexpr Advice begin(Turn& turn) noexcept {
        if constexpr (reserves) {
            if (memory_.why != Cause::none) return detail::copy_of(reserve(turn));
        }
        permit_ = object_->acquire(turn);
        if (permit_.advice().verb == Advice::Verb::go) return Advice::go();
        return detail::copy_of(waits_for_permit(turn));
    }
    [[nodiscard]] constexpr Advice failed(const Failure& failure, Turn& turn) noexcept {
        if (failure.cause == Cause::planned) {
            permit_.neutral();
            if constexpr (spreads) draw_share(turn);
            return as_rejection(goes_on(asked(turn.now), turn.now));
        }
        if constexpr (reserves) {
            memory_.why = failure.cause == Cause::none ? Cause::lost : failure.cause;
            memory_.free_at = never;
        }
        if constexpr (spreads) {
            // During a probe, an object rejects until an instant that moves with the time. An
            // instant later, the end of a new open wait always differs from it.
            const Instant later = after(turn.now, Duration{1});
            const Advice before = asked(later);
            const Advice advice = verdict(failure, turn);
            const bool has_opened_it =
                advice.verb == Advice::Verb::suspend &&
                (before.verb != Advice::Verb::suspend || before.until != asked(later).until);
            way_.share = 0;
            // The object may reject this caller later, when it can draw nothing.
            if (!has_opened_it) draw_share(turn);
            return as_rejection(goes_on(advice, turn.now));
        } else {
            return as_rejection(goes_on(verdict(failure, turn), turn.now));
        }
    }
    [[nodiscard]] constexpr Advice review(const Advice&, Turn& turn) noexcept
        requires reserves
    {
        return memory_.why == Cause::none ? Advice::go() : reserve(turn);
    }
    [[gnu::always_inline]] constexpr void succeeded(Turn& turn) noexcept {
        if constexpr (reserves) reset();
        permit_.success(turn);
    }
    /// Makes the next attempt a first one. The object stays as it is.
    constexpr void reset() noexcept
        requires reserves
    {
        memory_.why = Cause::none;
        memory_.free_at = never;
    }
    constexpr void abandoned([[maybe_unused]] Turn& turn) noexcept {
        if constexpr (reserves) {
            // At the instant of its permit, a later rule has rejected the attempt. Later, it was
            // made.
            const bool has_permit = permit_.advice().verb == Advice::Verb::go;
            if (has_permit && memory_.free_at < turn.now) memory_.free_at = never;
        }
        permit_.neutral();
    }
    /// Keeps a retry paid for that was made, and whose caller stopped waiting for its result.
    constexpr void spend([[maybe_unused]] Turn& turn) noexcept
        requires reserves && detail::TakesSpending<typename Object::Permit>
    {
        permit_.spend(turn);
    }
    /// Lets the object count an attempt that was due, if it is the object that rejects it.
    constexpr void rejected([[maybe_unused]] Turn& turn) noexcept {
        if constexpr (detail::CountsRejections<Object>) {
            if (asked(turn.now).verb != Advice::Verb::go) object_->rejected();
        }
    }
    /// Returns 1 if both refer to the same object, else 0.
    [[nodiscard]] constexpr std::size_t places_of(const Shared& other) const noexcept {
        return object_ == other.object_ ? 1 : 0;
    }
    /// Makes the wait as long as the object requests, for a caller that does not wait: a layer.
    /// Call it before `wanted`, which then draws nothing.
    constexpr void do_not_spread() noexcept { way_.is_exact = true; }

private:
    [[nodiscard]] [[gnu::noinline]] constexpr Advice held_back(Advice advice,
                                                               Instant now) const noexcept {
        return as_rejection(goes_on(advice, now));
    }
    [[nodiscard]] constexpr Advice asked(Instant now) const noexcept {
        return static_cast<const Object*>(object_)->admit(now);
    }
    [[nodiscard]] constexpr Advice verdict(const Failure& failure, Turn& turn) noexcept {
        if constexpr (detail::TakesFailures<typename Object::Permit>) {
            return permit_.failure(failure, turn);
        } else {
            return permit_.failure(turn);
        }
    }
    constexpr void draw_share(Turn& turn) noexcept
        requires spreads
    {
        way_.share = 0;
        if (way_.fails_fast || way_.is_exact) return;
        way_.share = static_cast<std::uint16_t>(1 + uniform_upto(turn.bits, share_most - 1));
    }
    [[nodiscard]] [[gnu::cold, gnu::noinline]] constexpr Advice waits_for_permit(
        Turn& turn) noexcept {
        const Advice advice = goes_on(permit_.advice(), turn.now);
        // Spreads the caller that opened the object, if it waits once more.
        if constexpr (spreads) {
            if (way_.share == 0 && advice.verb == Advice::Verb::suspend) draw_share(turn);
        }
        return as_rejection(advice);
    }

    [[nodiscard]] [[gnu::noinline]] constexpr Advice reserve(Turn& turn) noexcept
        requires reserves
    {
        if (permit_.advice().verb == Advice::Verb::go) return Advice::go();
        permit_ = object_->reserve(memory_.why, turn);
        const Advice advice = permit_.advice();
        if (advice.verb == Advice::Verb::stop && memory_.ask_again != Duration::zero()) {
            return asks_again(turn);
        }
        keep_free_at(turn.now);
        return advice.verb == Advice::Verb::go ? advice : waits_for_permit(turn);
    }
    // A later rule may reject the attempt. The instant stays until the attempt was made, so that
    // the caller does not wait for it once more.
    constexpr void keep_free_at(Instant now) noexcept
        requires reserves
    {
        if (memory_.free_at < now) memory_.free_at = now;
    }
    // A budget that gains only by successes would reject all callers for ever, once none attempts.
    [[nodiscard]] [[gnu::cold, gnu::noinline]] constexpr Advice asks_again(Turn& turn) noexcept
        requires reserves
    {
        const Instant again = after(turn.now, memory_.ask_again);
        if constexpr (detail::HasGainsByTime<Object>) {
            if (object_->gains_by_time()) return Advice::suspend(again);
        }
        if (memory_.free_at == never) {
            const auto wait = static_cast<std::uint64_t>(memory_.ask_again.count());
            const auto drawn = static_cast<Duration::rep>(uniform_upto(turn.bits, wait));
            memory_.free_at = after(again, Duration{drawn});
        }
        if (turn.now < memory_.free_at) return Advice::suspend(memory_.free_at);
        keep_free_at(turn.now);
        permit_ = object_->acquire(turn);
        if (permit_.advice().verb == Advice::Verb::go) return Advice::go();
        return waits_for_permit(turn);
    }

    // With AskAgain, the caller goes on, with any advice of the object.
    [[nodiscard]] constexpr Advice goes_on(const Advice& advice,
                                           [[maybe_unused]] Instant now) const noexcept {
        if constexpr (reserves) {
            if (advice.verb == Advice::Verb::stop && memory_.ask_again != Duration::zero()) {
                return Advice::suspend(after(now, memory_.ask_again));
            }
        }
        return advice;
    }

    // The stop keeps the instant, from which retry computes the wait. A wait ends up to one spread
    // later, because the object would admit all callers that wait for it at the same instant. Each
    // instant has a draw of its own, so that no caller loses to the others again and again.
    [[nodiscard]] constexpr Advice as_rejection(Advice advice) const noexcept {
        if (advice.verb != Advice::Verb::suspend) return advice;
        if (way_.fails_fast) advice.verb = Advice::Verb::stop;
        if constexpr (spreads) {
            if (way_.share != 0) {
                const auto instant =
                    static_cast<std::uint64_t>(advice.until.time_since_epoch().count());
                const auto part = static_cast<Duration::rep>(detail::mix64(instant ^ way_.share) &
                                                             std::uint64_t{share_most});
                const Duration::rep most = object_->spread().count();
                advice.until = after(advice.until,
                                     Duration{most / parts * part + most % parts * part / parts});
            }
        }
        return advice;
    }

    Object* object_;
    typename Object::Permit permit_{};
    [[no_unique_address]] Memory memory_{};  ///< empty if the object gives no reservations
    // One struct, which is copied as one number.
    struct Way {
        bool fails_fast = false;  ///< stops where it would wait
        bool is_exact = false;    ///< of a layer; not copied
        std::uint16_t share = 0;  ///< the seed of the draws; 0 while nothing was drawn
    };
    Way way_{};  ///< what the rule does while the object rejects
};

}}  // namespace belay
