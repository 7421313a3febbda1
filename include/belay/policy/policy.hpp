// SPDX-License-Identifier: MIT
/// \file belay/policy/policy.hpp
/// Policy: a list of rules that together give one result. part::RuleGroup: the hooks of groups of
/// rules.
#pragma once

#include <concepts>     // std::integral, std::same_as
#include <cstddef>      // std::size_t
#include <cstdint>      // std::uint8_t, std::uint64_t
#include <string_view>  // std::string_view
#include <type_traits>  // std::is_nothrow_move_constructible_v, std::type_identity
#include <utility>      // std::index_sequence_for, std::move

#include <belay/core/order.hpp>
#include <belay/policy/rule.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {

// The hook that exists on a condition, for the probe of members.
struct WantedIsConditional {
    int wanted;
};

template <class R>
[[nodiscard]] constexpr Advice sign(Advice advice, const R&) noexcept {
    if constexpr (requires { std::string_view{R::name}; }) {
        if (advice.by.empty()) advice.by = R::name;
    }
    return advice;
}

// Returns the window that a rule requests, or a negative value for none. A rule that wraps a policy
// takes the value to return in that case.
template <class R>
[[nodiscard]] constexpr Duration stable_wish(const R& rule) noexcept {
    constexpr Duration nothing{-1};
    if constexpr (requires { rule.stable_window(nothing); }) {
        return rule.stable_window(nothing);
    } else if constexpr (requires { rule.stable_window(); }) {
        return rule.stable_window();
    } else {
        return nothing;
    }
}
template <class R>
[[nodiscard]] constexpr Duration limit_wish(const R& rule) noexcept {
    constexpr Duration nothing{-1};
    if constexpr (requires { rule.attempt_limit(nothing); }) {
        return rule.attempt_limit(nothing);
    } else if constexpr (requires { rule.attempt_limit(); }) {
        return rule.attempt_limit();
    } else {
        return nothing;
    }
}

/// Returns until when a rule rejects attempts as a limit, such as an open breaker; `always` if it
/// does not, or for ever. A rule that holds a policy returns the latest instant of its rules.
template <class R>
[[nodiscard]] constexpr Instant rejects_until([[maybe_unused]] const R& rule,
                                              [[maybe_unused]] Instant now) noexcept {
    if constexpr (requires { rule.rejects_until(now); }) {
        return rule.rejects_until(now);
    } else if constexpr (requires { rule.admit(now); }) {
        const Advice advice = rule.admit(now);
        const bool is_limit =
            advice.verb == Advice::Verb::suspend || advice.verb == Advice::Verb::stop;
        return is_limit && advice.until != never ? advice.until : always;
    } else {
        return always;
    }
}

/// A rule that holds other rules, which count as if they were written in its place.
template <class R>
concept HoldsRules = requires { typename R::HeldRules; };
/// One that holds at most one other group, of a known type: rules() is null if it holds none.
template <class R>
concept ShowsRules = HoldsRules<R> && requires(const R& rule) { *rule.rules(); };

/// Returns how often a rule or a layer, with the rules in it, refers to the object of `shared`.
template <class R, class S>
[[nodiscard]] constexpr std::size_t places_of([[maybe_unused]] const S& shared,
                                              [[maybe_unused]] const R& rule) noexcept {
    if constexpr (requires { rule.places_of(shared); }) {
        return rule.places_of(shared);
    } else if constexpr (ShowsRules<R>) {
        const auto* const rules = rule.rules();
        return rules != nullptr ? detail::places_of(shared, *rules) : 0;
    } else {
        return 0;
    }
}

/// Checks that an attempt takes at most one permit of an object that judges results. With two, the
/// first rule takes the probe of a half-open breaker, and the second one rejects the attempt.
template <class P, class R>
constexpr void expect_one_rule([[maybe_unused]] const P& policy,
                               [[maybe_unused]] const R& rule) noexcept {
    if constexpr (requires { rule.expect_one_rule(policy); }) {
        rule.expect_one_rule(policy);
    } else if constexpr (ShowsRules<R>) {
        if (const auto* const rules = rule.rules()) detail::expect_one_rule(policy, *rules);
    } else if constexpr (judges_results<R>) {
        BELAY_OPTION(policy.places_of(rule) == 1,
                     "Policy: a breaker, adaptive limit or throttle must be in one rule");
    }
}

/// Combines advice. Unlike pairwise `stronger`, it remembers waits that stronger advice outranked.
class AdviceFold {
public:
    constexpr AdviceFold() noexcept {}

    template <class R>
    [[gnu::always_inline]] constexpr void add(const Advice& advice, const R& rule) noexcept {
        if (advice.verb != Advice::Verb::go) join(detail::sign(advice, rule));
    }
    [[nodiscard]] constexpr bool stopped() const noexcept { return verb_ == Advice::Verb::stop; }
    [[nodiscard]] constexpr Advice result() const noexcept {
        if (verb_ == Advice::Verb::go) return Advice::go();
        return copy_of(verb_ == Advice::Verb::suspend
                           ? detail::stronger(some_.strongest, some_.latest)
                           : some_.strongest);
    }

private:
    struct Some {
        Advice strongest;
        Advice latest;
    };
    constexpr explicit AdviceFold(const Some& some) noexcept
        : verb_{some.strongest.verb}, some_{some} {}
    [[gnu::cold, gnu::noinline]] constexpr void join(const Advice& advice) noexcept {
        if (verb_ == Advice::Verb::go) {
            *this = AdviceFold{Some{advice, advice}};
            return;
        }
        some_.strongest = detail::stronger(some_.strongest, advice);
        verb_ = some_.strongest.verb;
        if (advice.until > some_.latest.until) some_.latest = advice;
    }

    Advice::Verb verb_ = Advice::Verb::go;  // of the strongest
    // Not initialized while all rules allow an attempt, as is usual.
    union {
        char none_;
        Some some_;
    };
};

/// The time that a connection must live to count as stable, if no rule requests another.
inline constexpr Duration default_stable_window = std::chrono::seconds{10};

/// The longest time of an attempt, if no rule requests another. It is not `forever`, because a
/// silent peer must not hold the attempt.
inline constexpr Duration default_attempt_limit = std::chrono::seconds{30};

/// A question or an event that a group passes on to each of its rules.
enum class Ask : std::uint8_t {
    // These change nothing.
    admit,
    rejects_until,
    stable_window,
    stable_by_age,
    attempt_limit,
    stops_after,
    // An attempt begins: first the rules that may reject it, then the others.
    take,
    undo_take,
    begin,
    // An attempt failed, or a connection was lost: first all rules, then those that review.
    failed,
    lost,
    review,
    undo_review,
    planned,  // the plan is complete
    wanted,
    succeeded,
    abandoned,
    spend,
    rejected,
    reset,
    // See RuleGroup::replay. They pass over shared rules.
    replay,
    replay_review
};
inline constexpr std::size_t ask_count = 22;

// The arguments of each Ask, and its result.
struct AskAdmit {
    Instant now;
    AdviceFold fold{};
};
struct AskRejectsUntil {
    Instant now;
    Instant until = always;
};
struct AskStopsAfter {
    Instant end;
    bool stops = false;
};
struct AskTake {
    Turn& turn;
    Advice rejection{};
    [[nodiscard]] constexpr bool is_over() const noexcept {
        return rejection.verb != Advice::Verb::go;
    }
};
struct AskPlan {
    Turn& turn;
    AdviceFold fold{};
    [[nodiscard]] constexpr bool is_over() const noexcept { return fold.stopped(); }
};
struct AskVerdict {
    AskPlan& plan;
    const Failure& failure;
    Outcome what;
};
struct AskReset {};
template <Ask A>
[[nodiscard]] consteval auto asked_of() {
    if constexpr (A == Ask::admit) {
        return std::type_identity<AskAdmit>{};
    } else if constexpr (A == Ask::rejects_until) {
        return std::type_identity<AskRejectsUntil>{};
    } else if constexpr (A == Ask::stable_window || A == Ask::attempt_limit) {
        return std::type_identity<Duration>{};  // negative if no rule requests one
    } else if constexpr (A == Ask::stable_by_age) {
        return std::type_identity<bool>{};
    } else if constexpr (A == Ask::stops_after) {
        return std::type_identity<AskStopsAfter>{};
    } else if constexpr (A == Ask::take) {
        return std::type_identity<AskTake>{};
    } else if constexpr (A == Ask::review || A == Ask::replay_review) {
        return std::type_identity<AskPlan>{};
    } else if constexpr (A == Ask::failed || A == Ask::lost || A == Ask::planned ||
                         A == Ask::replay) {
        return std::type_identity<AskVerdict>{};
    } else if constexpr (A == Ask::reset) {
        return std::type_identity<AskReset>{};
    } else {
        return std::type_identity<Turn>{};
    }
}
template <Ask A>
using Asked = typename decltype(asked_of<A>())::type;

// Clang 16 rejects this requirement in a lambda.
template <class R>
concept RefersToShared = requires { requires R::is_shared; };
template <class R>
inline constexpr bool may_share = RefersToShared<R> || HoldsRules<R>;

/// Whether a rule, or one that it holds, may limit how long an attempt takes.
template <class R>
inline constexpr bool limits_attempts = HasAttemptLimit<R>;
template <HoldsRules R>
inline constexpr bool limits_attempts<R> = R::requests_limit;

// How a rule that holds no others is asked.
template <Ask A, class R>
[[gnu::always_inline]] constexpr void read_rule([[maybe_unused]] const R& rule,
                                                [[maybe_unused]] Asked<A>& a) noexcept {
    if constexpr (A == Ask::admit) {
        if constexpr (requires { rule.admit(a.now); }) a.fold.add(rule.admit(a.now), rule);
    } else if constexpr (A == Ask::rejects_until) {
        a.until = larger(a.until, detail::rejects_until(rule, a.now));
    } else if constexpr (A == Ask::stable_window) {
        a = larger(a, stable_wish(rule));
    } else if constexpr (A == Ask::stable_by_age) {
        if constexpr (requires { rule.stable_by_age(); }) a |= rule.stable_by_age();
    } else if constexpr (A == Ask::attempt_limit) {
        const Duration limit = limit_wish(rule);
        if (limit.count() >= 0 && (a.count() < 0 || limit < a)) a = limit;
    } else {
        if constexpr (requires { rule.stops_after(a.end); }) a.stops |= rule.stops_after(a.end);
    }
}
template <Ask A, class R>
[[gnu::always_inline]] constexpr void advise_rule([[maybe_unused]] R& rule,
                                                  [[maybe_unused]] Asked<A>& a) noexcept {
    if constexpr (A == Ask::take) {
        if constexpr (BeginAdvises<R>) {
            const Advice advice = rule.begin(a.turn);
            if (advice.verb != Advice::Verb::go) a.rejection = detail::sign(advice, rule);
        }
    } else if constexpr (A == Ask::failed) {
        if constexpr (HasFailed<R>) a.plan.fold.add(rule.failed(a.failure, a.plan.turn), rule);
    } else if constexpr (A == Ask::lost) {
        if constexpr (HasLost<R>) a.plan.fold.add(rule.lost(a.failure, a.plan.turn), rule);
    } else if constexpr (HasReview<R>) {
        if (!a.fold.stopped()) a.fold.add(rule.review(a.fold.result(), a.turn), rule);
    }
}
template <Ask A, class R>
[[gnu::always_inline]] constexpr void notify_rule([[maybe_unused]] R& rule,
                                                  [[maybe_unused]] Asked<A>& a) noexcept {
    if constexpr (A == Ask::begin) {
        if constexpr (!BeginAdvises<R> && requires { rule.begin(a); }) rule.begin(a);
    } else if constexpr (A == Ask::wanted) {
        if constexpr (requires { rule.wanted(a); }) rule.wanted(a);
    } else if constexpr (A == Ask::succeeded) {
        if constexpr (requires { rule.succeeded(a); }) rule.succeeded(a);
    } else if constexpr (A == Ask::spend) {
        if constexpr (requires { rule.spend(a); }) rule.spend(a);
    } else if constexpr (A == Ask::rejected) {
        if constexpr (requires { rule.rejected(a); }) rule.rejected(a);
    } else if constexpr (A == Ask::reset) {
        if constexpr (requires { rule.reset(); }) rule.reset();
    } else if constexpr (A == Ask::abandoned || (A == Ask::undo_take && BeginAdvises<R>) ||
                         (A == Ask::undo_review && HasReview<R>)) {
        if constexpr (requires { rule.abandoned(a); }) rule.abandoned(a);
    }
}
/// Passes on to a rule what it is asked, or to each rule that it holds.
template <Ask A, class R>
[[gnu::always_inline]] constexpr void ask_rule([[maybe_unused]] R& rule,
                                               [[maybe_unused]] Asked<A>& a) noexcept {
    if constexpr (HoldsRules<R>) {
        R::template ask<A>(rule, a);
    } else if constexpr (A <= Ask::stops_after) {
        read_rule<A>(rule, a);
    } else if constexpr (A == Ask::replay || A == Ask::replay_review) {
        if constexpr (!RefersToShared<R>) replay_rule<A>(rule, a);
    } else if constexpr (A == Ask::take || A == Ask::failed || A == Ask::lost || A == Ask::review) {
        advise_rule<A>(rule, a);
    } else if constexpr (A != Ask::planned) {
        notify_rule<A>(rule, a);
    }
}
template <Ask A, class R>
constexpr void replay_rule(R& rule, Asked<A>& a) noexcept {
    if constexpr (A == Ask::replay_review) {
        ask_rule<Ask::review>(rule, a);
    } else if (a.what == Outcome::wanted) {
        ask_rule<Ask::wanted>(rule, a.plan.turn);
    } else if (a.what == Outcome::abandoned) {
        ask_rule<Ask::abandoned>(rule, a.plan.turn);
    } else if (a.what == Outcome::lost) {
        ask_rule<Ask::lost>(rule, a);
    } else {
        AskTake attempt{a.plan.turn};
        ask_rule<Ask::take>(rule, attempt);
        if (attempt.is_over()) return;
        ask_rule<Ask::begin>(rule, a.plan.turn);
        if (a.what == Outcome::failed) ask_rule<Ask::failed>(rule, a);
        if (a.what == Outcome::succeeded) ask_rule<Ask::succeeded>(rule, a.plan.turn);
    }
}

}  // namespace detail

namespace part {

/// The hooks of a group of rules: Policy, policies::AnyPolicy, policies::OptionalRule, Remembered.
///
/// `Self::ask<A>(self, asked)` passes everything on to its rules. `Held` are their types.
///
/// Thread safety: distinct objects safe (as far as the rules are).
template <class Self, class... Held>
class RuleGroup {
    using Ask = detail::Ask;

public:
    /// Marks a group.
    using HeldRules = RuleGroup;
    /// The hooks that exist on a condition.
    using ConditionalHooks = detail::WantedIsConditional;
    /// Whether a rule may limit how long an attempt takes.
    static constexpr bool requests_limit = (detail::limits_attempts<Held> || ...);

    /// Reports that an attempt is wanted from now on. It exists if a rule has this hook.
    ///
    /// Pre: no attempt is wanted, planned or under way.   Errors: none.   Complexity: O(rules).
    constexpr void wanted(Turn& turn) noexcept
        requires(detail::HasWanted<Held> || ...)
    {
        ask<Ask::wanted>(turn);
    }

    /// Returns whether an attempt may start at `now`, and changes nothing.
    /// Errors: none.   Complexity: O(rules).
    [[nodiscard]] [[gnu::always_inline]] constexpr Advice admit(Instant now) const noexcept {
        detail::AskAdmit asked{now};
        ask<Ask::admit>(asked);
        return asked.fold.result();
    }

    /// Returns until when limits among the rules reject attempts; `always` if none does.
    ///
    /// An open breaker is such a limit, also if another rule stops. A limit that rejects for ever
    /// does not count. The result is the latest instant, and nothing changes.
    /// Errors: none.   Complexity: O(rules).
    [[nodiscard]] constexpr Instant rejects_until(Instant now) const noexcept {
        detail::AskRejectsUntil asked{now};
        ask<Ask::rejects_until>(asked);
        return asked.until;
    }

    /// Starts an attempt, unless a rule rejects it.
    ///
    /// A result other than `go` means that the attempt does not start. The result is the advice of
    /// the first rule that rejects. The rules that had begun before it are abandoned, the last one
    /// first.
    ///
    /// Rules whose `begin` may reject come first, in the written order. The other rules begin only
    /// if none of them rejected, so for these `begin` means an attempt.
    ///
    /// It does not call `admit`. Call `admit` first if you want the consent of the rules; without
    /// that call you force the attempt.
    /// Errors: none.   Complexity: O(rules).
    [[gnu::always_inline]] constexpr Advice begin(Turn& turn) noexcept {
        detail::AskTake attempt{turn};
        ask<Ask::take>(attempt);
        if (attempt.is_over()) return detail::copy_of(attempt.rejection);
        ask<Ask::begin>(turn);
        return Advice::go();
    }

    /// Reports that the attempt failed, and returns what to do now.
    ///
    /// First all rules receive the failure. Then the rules that have `review` review the plan. If
    /// one of these stops it, the ones before it are abandoned, the last one first.
    ///
    /// Pre: an attempt has begun.   Errors: none.   Complexity: O(rules).
    [[nodiscard]] constexpr Advice failed(const Failure& failure, Turn& turn) noexcept {
        return planned<Ask::failed>(detail::Outcome::failed, failure, turn);
    }

    /// Reports that a connection that had succeeded has ended, and returns what to do now.
    ///
    /// It calls the rules in the same way as `failed`.
    /// Errors: none.   Complexity: O(rules).
    [[nodiscard]] constexpr Advice lost(const Failure& failure, Turn& turn) noexcept {
        return planned<Ask::lost>(detail::Outcome::lost, failure, turn);
    }

    /// Reports that the attempt succeeded, so that each rule starts afresh.
    /// Pre: an attempt has begun.
    [[gnu::always_inline]] constexpr void succeeded(Turn& turn) noexcept {
        ask<Ask::succeeded>(turn);
    }

    /// Reports that the attempt ended without a verdict, or will not take place. Rules give back
    /// permits.
    ///
    /// Pre: an attempt is wanted or has begun, or `failed` or `lost` has not returned `stop`.
    constexpr void abandoned(Turn& turn) noexcept { ask<Ask::abandoned>(turn); }

    /// Reports that the attempt was made, and that its caller stopped waiting for its result. Then
    /// a retry stays paid for: budgets do not get it back at the `abandoned` that follows.
    /// Pre: an attempt has begun.
    constexpr void spend(Turn& turn) noexcept { ask<Ask::spend>(turn); }

    /// Reports that an attempt was due, and that `admit` rejected it.
    constexpr void rejected(Turn& turn) noexcept { ask<Ask::rejected>(turn); }

    /// Starts counts afresh, by the user's command. Breakers and budgets stay as they are.
    constexpr void reset() noexcept {
        detail::AskReset reset;
        ask<Ask::reset>(reset);
    }

    /// Returns how long a connection must live to count as stable: the longest request of a rule,
    /// else `otherwise`.
    [[nodiscard]] constexpr Duration stable_window(
        Duration otherwise = detail::default_stable_window) const noexcept {
        Duration wish{-1};
        ask<Ask::stable_window>(wish);
        return wish.count() < 0 ? otherwise : wish;
    }

    /// Returns whether age alone makes a connection stable, without evidence of a live peer.
    [[nodiscard]] constexpr bool stable_by_age() const noexcept {
        bool by_age = false;
        ask<Ask::stable_by_age>(by_age);
        return by_age;
    }

    /// Returns how long an attempt may take: the shortest request of a rule, else `otherwise`.
    [[nodiscard]] constexpr Duration attempt_limit(
        Duration otherwise = detail::default_attempt_limit) const noexcept {
        Duration wish{-1};
        ask<Ask::attempt_limit>(wish);
        return wish.count() < 0 ? otherwise : wish;
    }

    /// Returns whether a rule stops after an attempt that times out at `end`.
    [[nodiscard]] constexpr bool stops_after(Instant end) const noexcept {
        detail::AskStopsAfter asked{end};
        ask<Ask::stops_after>(asked);
        return asked.stops;
    }

    /// Repeats for the rules what happened in an earlier run of the program.
    ///
    /// It calls the hooks that an attempt would call. The result for a failure or a loss is what
    /// the rules would have planned.
    ///
    /// Rules with `static constexpr bool is_shared = true` are skipped, because other policies may
    /// use the object to which they refer (a budget, a breaker). A rule whose `begin` rejects
    /// receives no events of that attempt. The other rules receive them, because the attempt took
    /// place.
    /// Errors: none.   Complexity: O(rules).
    constexpr Advice replay(detail::Outcome what, const Failure& failure, Turn& turn) noexcept {
        detail::AskPlan plan{turn};
        detail::AskVerdict verdict{plan, failure, what};
        ask<Ask::replay>(verdict);
        if (what == detail::Outcome::failed || what == detail::Outcome::lost) {
            ask<Ask::replay_review>(plan);
        }
        return plan.fold.result();
    }
    /// Reports that the program ended, and with it what was planned.   Pre: as of `abandoned`.
    constexpr void replay_end(Turn& turn) noexcept {
        static_cast<void>(replay(detail::Outcome::abandoned, {}, turn));
    }

private:
    template <Ask A>
    [[gnu::always_inline]] constexpr void ask(detail::Asked<A>& a) noexcept {
        Self::template ask<A>(static_cast<Self&>(*this), a);
    }
    template <Ask A>
    [[gnu::always_inline]] constexpr void ask(detail::Asked<A>& a) const noexcept {
        Self::template ask<A>(static_cast<const Self&>(*this), a);
    }
    template <Ask A>
    [[nodiscard]] constexpr Advice planned(detail::Outcome what, const Failure& failure,
                                           Turn& turn) noexcept {
        detail::AskPlan plan{turn};
        detail::AskVerdict verdict{plan, failure, what};
        ask<A>(verdict);
        ask<Ask::review>(plan);
        ask<Ask::planned>(verdict);
        return plan.fold.result();
    }
};

}  // namespace part

/// Decides when the next attempt may start, by combining the advice of its rules.
///
/// The policy calls its rules in the written order. Every rule receives every event, independent of
/// what the others advise. The policy combines the advice by rank: the highest verb counts, and
/// among equal verbs the later instant. A suspension lasts until the latest of all waits. A policy
/// is itself a rule. The rules of a nested policy count as if they were written in its place. Its
/// hooks are those of part::RuleGroup.
///
/// A policy is a value. Code that runs a policy copies it as it is. So each run starts without a
/// history if you never call the hooks of the original. State that many runs share belongs in a
/// separate object, to which a Shared rule refers.
///
/// Models:        RuleLike.
/// Thread safety: distinct objects safe (as far as the rules are).
/// Allocates:     never, and no rule of belay allocates.
template <class... Rules>
class Policy : public part::RuleGroup<Policy<Rules...>, Rules...> {
    // Not constraints, because the compiler's message for a failed one would hide the sentence.
    static_assert((explain::rule_like<Rules>() && ...));

public:
    /// Pre: no two rules refer to the same object that judges results; see Pipeline.
    constexpr explicit Policy(Rules... rules) noexcept(
        (std::is_nothrow_move_constructible_v<Rules> && ...))
        : rules_{{std::move(rules)}...} {
        if constexpr ((std::size_t{0} + ... + std::size_t{detail::may_share<Rules>}) >= 2) {
            expect_one_rule(*this);
        }
    }

    /// Returns how many of the rules refer to the object of `shared`, a Shared.
    /// Errors: none.   Complexity: O(rules).
    template <class S>
    [[nodiscard]] constexpr std::size_t places_of(const S& shared) const noexcept {
        std::size_t places = 0;
        rules_.each([&](const auto& rule) { places += detail::places_of(shared, rule); });
        return places;
    }

    /// Returns the longest wait to which the rules may lead after a number of failed attempts.
    ///
    /// `failures` counts the failed attempts since the last success; 0 means the loss of the
    /// connection itself. The result is valid if no server requests a longer wait. It is `forever`
    /// if a rule may stop. The function exists if each rule has `longest_wait`; see
    /// link/bounds.hpp.
    ///
    /// Errors: none.   Complexity: O(rules), times that of each.
    template <std::integral Count>
    [[nodiscard]] constexpr Duration longest_wait(Count failures) const noexcept {
        static_assert((explain::bounded_rule<Rules>() && ...));
        Duration longest{};
        rules_.each([&](const auto& rule) {
            longest =
                detail::larger(longest, rule.longest_wait(static_cast<std::uint64_t>(failures)));
        });
        return longest;
    }

    /// Passes on to each rule what a group is asked.
    template <detail::Ask A, class Self>
    [[gnu::always_inline]] static constexpr void ask(Self& self, detail::Asked<A>& a) noexcept {
        if constexpr (A == detail::Ask::take || A == detail::Ask::review) {
            begin_or_review<0, A>(self, a);
        } else if constexpr (A == detail::Ask::undo_take || A == detail::Ask::undo_review) {
            self.rules_.each_backwards([&](auto& rule) { detail::ask_rule<A>(rule, a); });
        } else {
            self.rules_.each([&](auto& rule) { detail::ask_rule<A>(rule, a); });
        }
    }
    /// Checks for each rule that `all`, in which this policy is, has no other rule for its object.
    template <class All>
    constexpr void expect_one_rule(const All& all) const noexcept {
        rules_.each([&](const auto& rule) { detail::expect_one_rule(all, rule); });
    }

private:
    /// If a rule rejects or stops, the ones before it are undone, the last one first.
    template <std::size_t I, detail::Ask A>
    [[gnu::always_inline]] static constexpr void begin_or_review(Policy& self,
                                                                 detail::Asked<A>& a) noexcept {
        if constexpr (I < sizeof...(Rules)) {
            constexpr auto undo =
                A == detail::Ask::take ? detail::Ask::undo_take : detail::Ask::undo_review;
            auto& rule = self.rules_.template at<I>(self.rules_);
            detail::ask_rule<A>(rule, a);
            if (a.is_over()) return;
            begin_or_review<I + 1, A>(self, a);
            if (a.is_over()) detail::ask_rule<undo>(rule, a.turn);
        }
    }

    [[no_unique_address]] detail::ValueSlots<std::index_sequence_for<Rules...>, Rules...> rules_;
};

template <class... Rules>
Policy(Rules...) -> Policy<Rules...>;

namespace detail {
/// Makes a policy of a single rule; returns a group of rules as it is.
template <class R>
[[nodiscard]] constexpr auto as_policy(R rule) {
    if constexpr (HoldsRules<R>) {
        return rule;
    } else {
        return Policy<R>{std::move(rule)};
    }
}
/// The type that a run of a policy or of a single rule copies.
template <class R>
using AsPolicy = decltype(as_policy(std::declval<R>()));

}  // namespace detail

}}  // namespace belay
