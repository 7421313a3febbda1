// SPDX-License-Identifier: MIT
/// \file belay/policy/rule.hpp
/// Advice and RuleLike: what a rule of a policy may advise, and when it is called.
#pragma once

#include <concepts>     // std::copyable, std::same_as
#include <cstddef>      // std::size_t
#include <cstdint>      // std::uint8_t
#include <string_view>  // std::string_view
#include <type_traits>  // std::bool_constant, std::is_member_object_pointer_v
#include <utility>      // std::index_sequence

#include <belay/core/detail/member_names.hpp>
#include <belay/core/failure.hpp>
#include <belay/core/random.hpp>

namespace belay { inline namespace BELAY_ABI {

/// The advice of one rule on the next attempt, or the combined advice of all rules.
///
/// It holds absolute instants, so that it stays true while gates open and shut.
/// Thread safety: a plain value.
struct Advice {
    /// The kinds of advice, by ascending rank. If two rules differ, the higher verb counts.
    enum class Verb : std::uint8_t {
        go = 0,             ///< at once
        wait_at_least = 1,  ///< not before `until`
        wait_exactly = 2,   ///< at `until`, even if another rule gave a shorter or longer
                            ///< wait_at_least
        suspend = 3,        ///< not before `until`; attempts make no sense (a breaker is open)
        stop = 4            ///< never again, until the policy is reset
    };

    /// The kind of advice.
    Verb verb = Verb::go;
    /// When the next attempt may start; without meaning for `go`. A `stop` of a rule with FailFast
    /// has the instant until which the rule rejects; any other `stop` has `never`.
    Instant until = always;
    /// The deciding rule, for logs; static storage. Policy sets it to the rule's `name`.
    std::string_view by{};

    /// Returns the advice to start at once.
    [[nodiscard]] static constexpr Advice go() noexcept { return {}; }
    /// Returns the advice not to start before `until`.
    [[nodiscard]] static constexpr Advice wait_at_least(Instant until) noexcept {
        return {Verb::wait_at_least, until, {}};
    }
    /// Returns the advice to start at `until`, also if another rule advises wait_at_least.
    [[nodiscard]] static constexpr Advice wait_exactly(Instant until) noexcept {
        return {Verb::wait_exactly, until, {}};
    }
    /// Returns the advice not to start before `until`, because attempts make no sense.
    [[nodiscard]] static constexpr Advice suspend(Instant until) noexcept {
        return {Verb::suspend, until, {}};
    }
    /// Returns the advice never to start again, until the policy is reset.
    [[nodiscard]] static constexpr Advice stop() noexcept { return {Verb::stop, never, {}}; }

    /// Returns whether an attempt may start at `now`: the verb is `go`, or the wait is over (never
    /// for `stop`).
    [[nodiscard]] constexpr bool allows(Instant now) const noexcept {
        return verb == Verb::go || (verb != Verb::stop && until <= now);
    }

    friend constexpr bool operator==(const Advice&, const Advice&) noexcept = default;
};

namespace detail {

/// Holds values of several types.
// Not std::tuple: it is not trivially copyable, and it would add parse time for every user.
template <std::size_t, class V>
struct ValueSlot {
    [[no_unique_address]] V value;
};
template <class, class... Values>
struct ValueSlots;
template <std::size_t... I, class... Values>
struct ValueSlots<std::index_sequence<I...>, Values...> : ValueSlot<I, Values>... {
    template <class F>
    [[gnu::always_inline]] constexpr void each(F&& f) noexcept {
        (f(at<I>(*this)), ...);
    }
    template <class F>
    [[gnu::always_inline]] constexpr void each(F&& f) const noexcept {
        (f(at<I>(*this)), ...);
    }
    template <class F>
    constexpr void each_backwards(F&& f) noexcept {
        (f(at<sizeof...(I) - 1 - I>(*this)), ...);
    }
    template <std::size_t N, class V>
    [[gnu::always_inline]] static constexpr V& at(ValueSlot<N, V>& slot) noexcept {
        return slot.value;
    }
    template <std::size_t N, class V>
    [[gnu::always_inline]] static constexpr const V& at(const ValueSlot<N, V>& slot) noexcept {
        return slot.value;
    }
};

/// Returns a copy that is made member by member.
///
/// Compilers keep an object in memory if a call writes it. They need not keep its copy there, where
/// most results come from inlined code.
[[nodiscard]] constexpr Advice copy_of(const Advice& advice) noexcept {
    return {advice.verb, advice.until, advice.by};
}

/// Returns the advice that counts: the higher verb, of equal verbs the later, else the first.
///
/// A longer wait lengthens a suspension. If it never ends, it decides, and the result has its name.
///
/// Errors: none.   Complexity: O(1).
[[nodiscard]] constexpr Advice stronger(const Advice& first, const Advice& second) noexcept {
    const bool second_wins =
        second.verb > first.verb || (second.verb == first.verb && second.until > first.until);
    Advice winner = second_wins ? second : first;
    const Advice& loser = second_wins ? first : second;
    if (winner.verb == Advice::Verb::suspend && loser.verb != Advice::Verb::go &&
        loser.until > winner.until) {
        winner.until = loser.until;
        if (loser.until == never) winner.by = loser.by;
    }
    return winner;
}

/// The result of an attempt, or a change between trying and not trying.
enum class Outcome : std::uint8_t {
    failed = 1,     ///< the attempt failed
    succeeded = 2,  ///< the attempt succeeded
    lost = 3,       ///< a connection that had succeeded ended
    wanted = 4,     ///< no result yet: an attempt was wanted from then on
    abandoned = 5   ///< no result: no attempt was wanted from then on
};

// For each hook: whether R has it (in any form), and whether its form is right. A hook in another
// form would never be called, so it is rejected.
BELAY_DETAIL_OPTIONAL(Wanted, wanted, (R & r, Turn& t), void, r.wanted(t));
BELAY_DETAIL_OPTIONAL(Admit, admit, (const R& r, Instant t), Advice, r.admit(t));
BELAY_DETAIL_OPTIONAL(Begin, begin, (R & r, Turn& t), void, r.begin(t));
template <class R>
concept BeginAdvises = requires(R& r, Turn& t) {
    { r.begin(t) } noexcept -> std::same_as<Advice>;
};
BELAY_DETAIL_OPTIONAL(Failed, failed, (R & r, const Failure& f, Turn& t), Advice, r.failed(f, t));
BELAY_DETAIL_OPTIONAL(Lost, lost, (R & r, const Failure& f, Turn& t), Advice, r.lost(f, t));
BELAY_DETAIL_OPTIONAL(Review, review, (R & r, const Advice& planned, Turn& t), Advice,
                      r.review(planned, t));
BELAY_DETAIL_OPTIONAL(Succeeded, succeeded, (R & r, Turn& t), void, r.succeeded(t));
BELAY_DETAIL_OPTIONAL(Abandoned, abandoned, (R & r, Turn& t), void, r.abandoned(t));
BELAY_DETAIL_OPTIONAL(StableWindow, stable_window, (const R& r), Duration, r.stable_window());
BELAY_DETAIL_OPTIONAL(StableByAge, stable_by_age, (const R& r), bool, r.stable_by_age());
BELAY_DETAIL_OPTIONAL(AttemptLimit, attempt_limit, (const R& r), Duration, r.attempt_limit());
// A rule that wraps a policy takes the value to return if the policy requests nothing.
template <class R>
concept WindowOtherwiseIsSound =
    !requires(const R& r, Duration d) { r.stable_window(d); } || requires(const R& r, Duration d) {
        { r.stable_window(d) } noexcept -> std::same_as<Duration>;
    };
template <class R>
concept LimitOtherwiseIsSound =
    !requires(const R& r, Duration d) { r.attempt_limit(d); } || requires(const R& r, Duration d) {
        { r.attempt_limit(d) } noexcept -> std::same_as<Duration>;
    };
BELAY_DETAIL_OPTIONAL(StopsAfter, stops_after, (const R& r, Instant t), bool, r.stops_after(t));
BELAY_DETAIL_OPTIONAL(RejectsUntil, rejects_until, (const R& r, Instant t), Instant,
                      r.rejects_until(t));
// Not by its name, because a Shared rule has it only on a condition.
template <class R>
concept SpendIsSound = !requires(R& r, Turn& t) { r.spend(t); } || requires(R& r, Turn& t) {
    { r.spend(t) } noexcept -> std::same_as<void>;
};

// Not by its name, because a rule of a user may have such a counter.
template <class R>
concept RejectedIsSound = !requires(R& r, Turn& t) { r.rejected(t); } || requires(R& r, Turn& t) {
    { r.rejected(t) } noexcept -> std::same_as<void>;
};

// A member of the type, and not of each object.
BELAY_DETAIL_MEMBER(name);
template <class R>
concept NameIsSound = !has_name<R> || requires {
    std::string_view{R::name};
    requires !std::is_member_object_pointer_v<decltype(&R::name)>;
};
BELAY_DETAIL_FLAG(Listens, listens);
BELAY_DETAIL_FLAG(IsShared, is_shared);

// A rule that gives no advice has a misspelt hook, unless it declares that this is intended.
template <class R>
concept HasAdvice = HasAdmit<R> || BeginAdvises<R> || HasFailed<R> || HasLost<R> || HasReview<R> ||
                    HasStableWindow<R> || HasAttemptLimit<R>;
template <class R>
concept Listens = ListensIsFlag<R> && requires { requires R::listens; };

/// A hook that only proofs call, and never a policy that runs.
template <class R>
concept HasLongestWait = requires(const R& r, std::uint64_t failures) {
    { r.longest_wait(failures) } noexcept -> std::same_as<Duration>;
};
template <class R>
concept LongestWaitIsSound =
    HasLongestWait<R> || !requires(R& r, std::uint64_t failures) { r.longest_wait(failures); };

template <class R>
concept HasAnyHook =
    HasWanted<R> || HasAdmit<R> || HasBegin<R> || HasFailed<R> || HasLost<R> || HasReview<R> ||
    HasSucceeded<R> || HasAbandoned<R> || HasStableWindow<R> || HasAttemptLimit<R>;

// Compilers that compare constraints get few of them: with all of them, Clang takes minutes.
template <class R>
[[nodiscard]] consteval bool has_any_hook() {
    return HasAnyHook<R>;
}
template <class R>
[[nodiscard]] consteval bool hooks_are_sound() {
    return WantedIsSound<R> && AdmitIsSound<R> &&
           (BeginIsSound<R> || BeginAdvises<R>)&&FailedIsSound<R> && LostIsSound<R> &&
           ReviewIsSound<R> && SucceededIsSound<R> && AbandonedIsSound<R> && ResetIsSound<R> &&
           StableWindowIsSound<R> && StableByAgeIsSound<R> &&
           (!HasStableByAge<R> || HasStableWindow<R>)&&WindowOtherwiseIsSound<R> &&
           LimitOtherwiseIsSound<R> && AttemptLimitIsSound<R> && StopsAfterIsSound<R> &&
           RejectsUntilIsSound<R> && SpendIsSound<R> && RejectedIsSound<R> &&
           LongestWaitIsSound<R> && NameIsSound<R> && ListensIsFlag<R> && IsSharedIsFlag<R>;
}
template <class R>
[[nodiscard]] consteval bool advises_or_listens() {
    return HasAdvice<R> != Listens<R>;
}

// Whether a rule or a layer is a Shared of an object whose permits depend on results.
template <class R>
inline constexpr bool judges_results = false;

}  // namespace detail

/// One rule of a policy, which is a copyable value with at least one of these hooks, all noexcept.
///
/// - `wanted(Turn&)`: an attempt that was not planned before is wanted from now on. It is called
///   once, before anything asks for the attempt. Limits on waiting run from here.
/// - `admit(Instant now) const -> Advice`: returns whether an attempt may start now, and changes
///   nothing.
/// - `begin(Turn&) -> void or Advice`: an attempt starts; takes permits. An Advice other than `go`
///   rejects the attempt until a later moment; the rule must not have taken anything then. Rules
///   that may reject are called before those that return void, for which the attempt is certain.
/// - `failed(const Failure&, Turn&) -> Advice`: the attempt failed.
/// - `succeeded(Turn&)`: the attempt succeeded.
/// - `lost(const Failure&, Turn&) -> Advice`: a connection that had succeeded, or was abandoned for
///   lack of evidence, has ended.
/// - `review(const Advice& planned, Turn&) -> Advice`: called after `failed` or `lost`, with the
///   combined advice of all rules. It may make the plan stronger (stop, or lengthen it). It takes
///   what the coming attempt needs and must hold during the wait. A plan to stop is not reviewed. A
///   rule that stops must not have taken anything.
/// - `abandoned(Turn&)`: the attempt that was wanted, planned or begun ends without a verdict. The
///   rule gives back what `begin` or `review` took.
/// - `spend(Turn&)`: the attempt was made, and its caller stopped waiting for the result. Only
///   `retry` and Retrying call it, before `abandoned`. A rule that wraps a policy passes it on.
/// - `rejected(Turn&)`: an attempt was due, and the `admit` of a rule rejected it. A rule that
///   wraps a policy passes it on.
/// - `rejects_until(Instant now) const -> Instant`: only for a rule that wraps a policy, which
///   passes it on. Other rules need none, because `retry` asks their `admit`; see
///   Policy::rejects_until.
/// - `reset()`: starts afresh, by the user's command.
/// - `stable_window() const -> Duration`, `attempt_limit() const -> Duration`: requested times, >=
///   0ns. A rule that wraps a policy takes an argument: the result if the policy requests nothing.
/// - `stops_after(Instant end) const -> bool`: whether the rule stops after an attempt that times
///   out at `end`. Then `attempt_limit` does not cut the last attempt; see AttemptTimeout.
/// - `stable_by_age() const -> bool`, in addition to `stable_window`: whether age alone makes a
///   connection stable, without evidence that the peer is alive.
/// - `longest_wait(std::uint64_t failures) const -> Duration`: for proofs only, see
///   link/bounds.hpp.
/// - `static constexpr std::string_view name`: the name in the Advice.
/// - `static constexpr bool listens = true`: the rule intentionally gives neither an Advice nor a
///   requested time. A rule that gives one must not declare this.
///
/// All hooks are public. A hook that is private, or has another form, would never be called, so it
/// does not compile. `spend`, `rejected` and `longest_wait` are checked only if they can be called
/// with their argument.
///
/// Semantics the compiler cannot check: the caller ensures that
/// - after `begin` comes exactly one of `failed`, `succeeded` and `abandoned`;
/// - after `wanted`, or a `failed` or `lost` that did not lead to `stop`, comes `begin` or
///   `abandoned`.
///
/// `abandoned` may then come once more, and does nothing. An attempt may begin without `wanted`, if
/// it was planned or is forced. A failure with Cause::planned is not a failure and counts nothing.
/// A connection may end after its stable window, without evidence that its peer was alive. Such an
/// end may lead to `abandoned` and then `lost`, without `succeeded`. Hooks do not allocate. Their
/// time is that of the turn; for a time of day, `admit` reads a wall clock of the rule's own.
template <class R>
concept RuleLike = std::copyable<R> && detail::has_any_hook<R>() && detail::hooks_are_sound<R>() &&
                   detail::advises_or_listens<R>();

namespace explain {

/// Names every requirement of RuleLike that R lacks.
template <class R>
consteval bool rule_like() {
    static_assert(std::is_class_v<R>,
                  "RuleLike: R must be a class; write MaxAttempts{3} for a number of attempts, and "
                  "Shared{object} for a breaker, budget or limiter");
    static_assert(std::copyable<R>,
                  "RuleLike: R must be copyable; pass a breaker, budget or limiter that several "
                  "callers share as Shared{object}");
    static_assert(
        detail::HasAnyHook<R>,
        "RuleLike: R needs at least one hook; a layer such as Queued or Timeout goes into a "
        "Pipeline; a std::optional needs policy/any_policy.hpp; see docs/reference/policies.md");
    static_assert(detail::WantedIsSound<R>,
                  "RuleLike: wanted must be 'void wanted(Turn&) noexcept', and public");
    static_assert(detail::AdmitIsSound<R>,
                  "RuleLike: admit must be 'Advice admit(Instant) const noexcept', and public");
    static_assert(detail::BeginIsSound<R> || detail::BeginAdvises<R>,
                  "RuleLike: begin must be 'void begin(Turn&) noexcept' or 'Advice begin(Turn&) "
                  "noexcept', and public");
    static_assert(
        detail::FailedIsSound<R>,
        "RuleLike: failed must be 'Advice failed(const Failure&, Turn&) noexcept', and public");
    static_assert(
        detail::LostIsSound<R>,
        "RuleLike: lost must be 'Advice lost(const Failure&, Turn&) noexcept', and public");
    static_assert(detail::ReviewIsSound<R>,
                  "RuleLike: review must be 'Advice review(const Advice& planned, Turn&) "
                  "noexcept', and public");
    static_assert(detail::SucceededIsSound<R>,
                  "RuleLike: succeeded must be 'void succeeded(Turn&) noexcept', and public");
    static_assert(detail::AbandonedIsSound<R>,
                  "RuleLike: abandoned must be 'void abandoned(Turn&) noexcept', and public");
    static_assert(detail::ResetIsSound<R>,
                  "RuleLike: reset must be 'void reset() noexcept', and public");
    static_assert(
        detail::StableWindowIsSound<R> && detail::WindowOtherwiseIsSound<R>,
        "RuleLike: stable_window must be 'Duration stable_window() const noexcept', and public");
    static_assert(
        detail::StableByAgeIsSound<R> && (!detail::HasStableByAge<R> || detail::HasStableWindow<R>),
        "RuleLike: stable_by_age must be 'bool stable_by_age() const noexcept', and "
        "public; a rule that has it needs stable_window, too");
    static_assert(
        detail::AttemptLimitIsSound<R> && detail::LimitOtherwiseIsSound<R>,
        "RuleLike: attempt_limit must be 'Duration attempt_limit() const noexcept', and public");
    static_assert(
        detail::StopsAfterIsSound<R>,
        "RuleLike: stops_after must be 'bool stops_after(Instant) const noexcept', and public");
    static_assert(
        detail::RejectsUntilIsSound<R>,
        "RuleLike: rejects_until must be 'Instant rejects_until(Instant) const noexcept', and "
        "public");
    static_assert(detail::SpendIsSound<R>, "RuleLike: spend must be 'void spend(Turn&) noexcept'");
    static_assert(detail::RejectedIsSound<R>,
                  "RuleLike: rejected must be 'void rejected(Turn&) noexcept'");
    static_assert(detail::LongestWaitIsSound<R>,
                  "RuleLike: longest_wait must return a Duration, and be const and noexcept");
    static_assert(detail::NameIsSound<R>,
                  "RuleLike: name must be 'static constexpr std::string_view name'");
    static_assert(detail::ListensIsFlag<R>,
                  "RuleLike: listens must be 'static constexpr bool listens', and public");
    static_assert(detail::IsSharedIsFlag<R>,
                  "RuleLike: is_shared must be 'static constexpr bool is_shared', and public");
    static_assert(
        !detail::HasAdvice<R> || !detail::Listens<R>,
        "RuleLike: R must not set 'listens' to true, because one of its hooks affects the policy");
    static_assert(
        !detail::HasAnyHook<R> || detail::HasAdvice<R> || detail::Listens<R>,
        "RuleLike: R has no hook that affects the policy, so it would do nothing; check the names "
        "of its hooks. A rule that only observes needs 'static constexpr bool listens = true'");
    return RuleLike<R>;
}

/// Reports a rule of a policy that has no bound that could be proven.
template <class R>
consteval bool bounded_rule() {
    static_assert(detail::HasLongestWait<R>,
                  "longest_wait: the rule needs 'Duration longest_wait(std::uint64_t failures) "
                  "const noexcept', a bound of the waits that it adds");
    return detail::HasLongestWait<R>;
}

}  // namespace explain

}}  // namespace belay
