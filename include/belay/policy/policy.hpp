// SPDX-License-Identifier: MIT
/// \file belay/policy/policy.hpp
/// Policy: a list of rules that together give one result.
#pragma once

#include <concepts>     // std::integral
#include <cstddef>      // std::size_t
#include <cstdint>      // std::uint8_t, std::uint64_t
#include <string_view>  // std::string_view
#include <type_traits>  // std::is_nothrow_move_constructible_v
#include <utility>      // std::index_sequence, std::move

#include <belay/policy/rule.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {

// Not std::tuple: it is not trivially copyable, and it would add parse time for every user.
template <std::size_t, class R>
struct RuleSlot {
    [[no_unique_address]] R rule;
};
template <class, class... Rules>
struct RuleSlots;
template <std::size_t... I, class... Rules>
struct RuleSlots<std::index_sequence<I...>, Rules...> : RuleSlot<I, Rules>... {
    template <class F>
    [[gnu::always_inline]] constexpr void each(F&& f) noexcept {
        (f(static_cast<RuleSlot<I, Rules>*>(this)->rule), ...);
    }
    template <class F>
    [[gnu::always_inline]] constexpr void each(F&& f) const noexcept {
        (f(static_cast<const RuleSlot<I, Rules>*>(this)->rule), ...);
    }
    template <std::size_t N, class R>
    static constexpr R& at(RuleSlot<N, R>& slot) noexcept {
        return slot.rule;
    }
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

/// Returns whether a rule stops after an attempt that times out at `end`.
template <class R>
[[nodiscard]] constexpr bool stops_after([[maybe_unused]] const R& rule,
                                         [[maybe_unused]] Instant end) noexcept {
    if constexpr (requires { rule.stops_after(end); }) {
        return rule.stops_after(end);
    } else {
        return false;
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

/// Returns how often a rule or a layer, with the rules in it, refers to the object of `shared`.
template <class R, class S>
[[nodiscard]] constexpr std::size_t places_of([[maybe_unused]] const S& shared,
                                              [[maybe_unused]] const R& rule) noexcept {
    if constexpr (requires { rule.places_of(shared); }) {
        return rule.places_of(shared);
    } else {
        return 0;
    }
}

/// Checks that an attempt takes at most one permit of an object that judges results. With two, the
/// first rule takes the probe of a half-open breaker, and the second one rejects the attempt.
template <class P, class R>
constexpr void expect_one_rule([[maybe_unused]] const P& policy,
                               [[maybe_unused]] const R& rule) noexcept {
    if constexpr (judges_results<R>) {
        BELAY_OPTION(policy.places_of(rule) == 1,
                     "Policy: a breaker, adaptive limit or throttle must be in one rule");
    }
}

/// Combines advice. Unlike pairwise `stronger`, it remembers waits that stronger advice outranked.
class AdviceFold {
public:
    template <class R>
    constexpr void add(const Advice& advice, const R& rule) noexcept {
        // Compilers then need no copies where all rules allow an attempt, as is usual.
        if (advice.verb == Advice::Verb::go) return;
        const Advice signed_advice = detail::sign(advice, rule);
        strongest_ = detail::stronger(strongest_, signed_advice);
        if (advice.until > latest_.until) latest_ = signed_advice;
    }
    [[nodiscard]] constexpr bool stopped() const noexcept {
        return strongest_.verb == Advice::Verb::stop;
    }
    [[nodiscard]] constexpr Advice result() const noexcept {
        // Compilers then need no copy where all rules allow an attempt.
        if (strongest_.verb == Advice::Verb::go) return Advice::go();
        const bool suspends = strongest_.verb == Advice::Verb::suspend;
        return suspends ? detail::stronger(strongest_, latest_) : strongest_;
    }

private:
    Advice strongest_{};
    Advice latest_{};
};

/// The time that a connection must live to count as stable, if no rule requests another.
inline constexpr Duration default_stable_window = std::chrono::seconds{10};

/// The longest time of an attempt, if no rule requests another. It is not `forever`, because a
/// silent peer must not hold the attempt.
inline constexpr Duration default_attempt_limit = std::chrono::seconds{30};

}  // namespace detail

template <class... Rules>
class Policy;

namespace detail {

template <class R>
inline constexpr bool is_policy = false;
template <class... Rules>
inline constexpr bool is_policy<Policy<Rules...>> = true;

// Rules that hold a policy, whose rules count as if they were written in its place. OptionalRule
// adds itself.
template <class R>
inline constexpr bool nests_policy = is_policy<R>;
template <class R>
[[nodiscard]] constexpr auto* nested_policy(R& rule) noexcept {
    if constexpr (is_policy<std::remove_const_t<R>>) {
        return &rule;
    } else {
        return rule.rules();  // null if there is none
    }
}
// Clang 16 rejects this requirement in a lambda.
template <class R>
concept RefersToShared = requires { requires R::is_shared; };
template <class R>
inline constexpr bool may_share = RefersToShared<R> || nests_policy<R>;
// Rules that hold a policy whose type is not known here. AnyPolicy adds itself.
template <class R>
inline constexpr bool is_rule_group = false;

/// The calls of a group of rules that have no result.
enum class RuleNotice : std::uint8_t {
    begin_certain,
    abandon_rejecting,
    abandon_reviewers,
    wanted,
    succeeded,
    abandoned,
    spend,
    rejected
};
/// The calls of a group of rules whose advice is combined with that of other rules.
enum class RuleQuestion : std::uint8_t { failed, lost, review, replay_reviews };

}  // namespace detail

/// Decides when the next attempt may start, by combining the advice of its rules.
///
/// The policy calls its rules in the written order. Every rule receives every event, independent of
/// what the others advise. The policy combines the advice by rank: the highest verb counts, and
/// among equal verbs the later instant. A suspension lasts until the latest of all waits. A policy
/// is itself a rule. The rules of a nested policy count as if they were written in its place.
///
/// A policy is a value. Code that runs a policy copies it as it is. So each run starts without a
/// history if you never call the hooks of the original. State that many runs share belongs in a
/// separate object, to which a Shared rule refers.
///
/// Models:        RuleLike.
/// Thread safety: distinct objects safe (as far as the rules are).
/// Allocates:     never, and no rule of belay allocates.
template <class... Rules>
class Policy : public detail::WantedHook<Policy<Rules...>, (detail::HasWanted<Rules> || ...)> {
    // Not constraints, because the compiler's message for a failed one would hide the sentence.
    static_assert((explain::rule_like<Rules>() && ...));

public:
    /// The halves of the hooks, which AnyPolicy calls; see policy/any_policy.hpp.
    struct Halves;
    /// A report of the calls of `retry`; see policy/policy.hpp.
    struct Spending;

    /// Pre: no two rules refer to the same object that judges results; see Pipeline.
    constexpr explicit Policy(Rules... rules) noexcept(
        (std::is_nothrow_move_constructible_v<Rules> && ...))
        : rules_{{std::move(rules)}...} {
        if constexpr ((std::size_t{0} + ... + std::size_t{detail::may_share<Rules>}) >= 2) {
            visit([&](const auto& rule) { detail::expect_one_rule(*this, rule); });
        }
    }

    /// Returns whether an attempt may start at `now`, and changes nothing.
    /// Errors: none.   Complexity: O(rules).
    [[nodiscard]] [[gnu::always_inline]] constexpr Advice admit(Instant now) const noexcept {
        // Usually all rules allow an attempt, and there is nothing to combine.
        bool allowed = true;
        std::size_t allowing = 0;
        Advice other;
        visit([&]<class R>(const R& rule) {
            if (!allowed) return;
            const Advice advice = advice_of(rule, now);
            if (advice.verb == Advice::Verb::go) {
                ++allowing;
            } else {
                other = advice;
                allowed = false;
            }
        });
        return allowed ? Advice::go() : detail::copy_of(admit_from(allowing, other, now));
    }

    /// Returns until when limits among the rules reject attempts; `always` if none does.
    ///
    /// An open breaker is such a limit, also if another rule stops. A limit that rejects for ever
    /// does not count. The result is the latest instant, and nothing changes.
    /// Errors: none.   Complexity: O(rules).
    [[nodiscard]] constexpr Instant rejects_until([[maybe_unused]] Instant now) const noexcept {
        Instant latest = always;
        visit([&](const auto& rule) {
            const Instant until = detail::rejects_until(rule, now);
            if (until > latest) latest = until;
        });
        return latest;
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
        const Advice rejection = begin_from<0>(turn);
        if (rejection.verb != Advice::Verb::go) return detail::copy_of(rejection);
        begin_certain(turn);
        return Advice::go();
    }

    /// Reports that the attempt failed, and returns what to do now.
    ///
    /// First all rules receive the failure. Then the rules that have `review` review the plan. If
    /// one of these stops it, the ones before it are abandoned, the last one first.
    ///
    /// Pre: an attempt has begun.   Errors: none.   Complexity: O(rules).
    [[nodiscard]] constexpr Advice failed([[maybe_unused]] const Failure& failure,
                                          [[maybe_unused]] Turn& turn) noexcept {
        detail::AdviceFold fold;
        join_failed(fold, failure, turn);
        review_from<0>(fold, turn);
        return fold.result();
    }

    /// Reports that a connection that had succeeded has ended, and returns what to do now.
    ///
    /// It calls the rules in the same way as `failed`.
    /// Errors: none.   Complexity: O(rules).
    [[nodiscard]] constexpr Advice lost([[maybe_unused]] const Failure& failure,
                                        [[maybe_unused]] Turn& turn) noexcept {
        detail::AdviceFold fold;
        join_lost(fold, failure, turn);
        review_from<0>(fold, turn);
        return fold.result();
    }

    /// Reports that the attempt succeeded, so that each rule starts afresh.
    /// Pre: an attempt has begun.
    [[gnu::always_inline]] constexpr void succeeded([[maybe_unused]] Turn& turn) noexcept {
        visit([&](auto& rule) {
            if constexpr (requires { rule.succeeded(turn); }) rule.succeeded(turn);
        });
    }

    /// Reports that the attempt ended without a verdict, or will not take place. Rules give back
    /// permits.
    ///
    /// Pre: an attempt is wanted or has begun, or `failed` or `lost` has not returned `stop`.
    constexpr void abandoned([[maybe_unused]] Turn& turn) noexcept {
        visit([&](auto& rule) {
            if constexpr (requires { rule.abandoned(turn); }) rule.abandoned(turn);
        });
    }

    /// Starts counts afresh, by the user's command. Breakers and budgets stay as they are.
    constexpr void reset() noexcept {
        visit([](auto& rule) {
            if constexpr (requires { rule.reset(); }) rule.reset();
        });
    }

    /// Returns how long a connection must live to count as stable: the longest request of a rule,
    /// else `otherwise`.
    [[nodiscard]] constexpr Duration stable_window(
        Duration otherwise = detail::default_stable_window) const noexcept {
        Duration longest{-1};
        visit([&](const auto& rule) {
            if (const Duration wish = detail::stable_wish(rule); wish > longest) longest = wish;
        });
        return longest.count() < 0 ? otherwise : longest;
    }

    /// Returns whether age alone makes a connection stable, without evidence of a live peer.
    [[nodiscard]] constexpr bool stable_by_age() const noexcept {
        bool by_age = false;
        visit([&](const auto& rule) {
            if constexpr (requires { rule.stable_by_age(); }) by_age |= rule.stable_by_age();
        });
        return by_age;
    }

    /// Returns how long an attempt may take: the shortest request of a rule, else `otherwise`.
    [[nodiscard]] constexpr Duration attempt_limit(
        Duration otherwise = detail::default_attempt_limit) const noexcept {
        Duration shortest{-1};
        visit([&](const auto& rule) {
            const Duration wish = detail::limit_wish(rule);
            if (wish.count() >= 0 && (shortest.count() < 0 || wish < shortest)) shortest = wish;
        });
        return shortest.count() < 0 ? otherwise : shortest;
    }

    /// Returns whether a rule stops after an attempt that times out at `end`.
    [[nodiscard]] constexpr bool stops_after(Instant end) const noexcept {
        bool stops = false;
        visit([&](const auto& rule) { stops |= detail::stops_after(rule, end); });
        return stops;
    }

    /// Returns how many of the rules refer to the object of `shared`, a Shared.
    /// Errors: none.   Complexity: O(rules).
    template <class S>
    [[nodiscard]] constexpr std::size_t places_of(const S& shared) const noexcept {
        std::size_t places = 0;
        visit([&](const auto& rule) { places += detail::places_of(shared, rule); });
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
        visit([&](const auto& rule) {
            const Duration wait = rule.longest_wait(static_cast<std::uint64_t>(failures));
            if (wait > longest) longest = wait;
        });
        return longest;
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
    constexpr Advice replay(detail::Outcome what, [[maybe_unused]] const Failure& failure,
                            [[maybe_unused]] Turn& turn) noexcept {
        detail::AdviceFold fold;
        replay_rules(fold, what, failure, turn);
        if (what == detail::Outcome::failed || what == detail::Outcome::lost) {
            replay_reviews(fold, turn);
        }
        return fold.result();
    }
    /// Reports that the program ended, and with it what was planned.   Pre: as of `abandoned`.
    constexpr void replay_end([[maybe_unused]] Turn& turn) noexcept {
        visit_own([&](auto& rule) {
            if constexpr (requires { rule.abandoned(turn); }) rule.abandoned(turn);
        });
    }

private:
    template <class, bool>
    friend struct detail::WantedHook;

    constexpr void notify_wanted(Turn& turn) noexcept {
        visit([&](auto& rule) {
            if constexpr (requires { rule.wanted(turn); }) rule.wanted(turn);
        });
    }

    template <class... Others>
    friend class Policy;

    template <class R>
    [[gnu::always_inline]] static constexpr Advice advice_of(
        [[maybe_unused]] const R& rule, [[maybe_unused]] Instant now) noexcept {
        if constexpr (detail::is_rule_group<R>) {
            detail::AdviceFold fold;
            rule.rules().admit(fold, now);
            return detail::copy_of(fold.result());
        } else if constexpr (requires { rule.admit(now); }) {
            return rule.admit(now);
        } else {
            return Advice::go();
        }
    }
    template <class R>
    static constexpr void ask_rule([[maybe_unused]] const R& rule,
                                   [[maybe_unused]] detail::AdviceFold& fold,
                                   [[maybe_unused]] Instant now) noexcept {
        if constexpr (detail::is_rule_group<R>) {
            rule.rules().admit(fold, now);
        } else if constexpr (requires { rule.admit(now); }) {
            fold.add(rule.admit(now), rule);
        }
    }
    constexpr void join_admit(detail::AdviceFold& fold, Instant now) const noexcept {
        visit([&](const auto& rule) { ask_rule(rule, fold, now); });
    }
    /// Combines the advice of the rules after those that allow the attempt. `other` is that of the
    /// first of them, which is not asked again, except if it is a group.
    [[nodiscard]] [[gnu::noinline]] constexpr Advice admit_from(std::size_t allowing, Advice other,
                                                                Instant now) const noexcept {
        detail::AdviceFold fold;
        std::size_t i = 0;
        visit([&]<class R>(const R& rule) {
            if (i == allowing && !detail::is_rule_group<R>) {
                fold.add(other, rule);
            } else if (i >= allowing) {
                ask_rule(rule, fold, now);
            }
            ++i;
        });
        return fold.result();
    }

    template <class F>
    constexpr void visit_own(F&& f) noexcept {
        visit([&]<class R>(R& rule) {
            if constexpr (!detail::RefersToShared<R>) f(rule);
        });
    }
    template <class R>
    static constexpr bool began([[maybe_unused]] R& rule, [[maybe_unused]] Turn& turn) noexcept {
        if constexpr (detail::BeginAdvises<R>) {
            return rule.begin(turn).verb == Advice::Verb::go;
        } else {
            if constexpr (requires { rule.begin(turn); }) rule.begin(turn);
            return true;
        }
    }

    // The halves of the hooks, in which the rules of a group take part as if they were here.
    constexpr void begin_certain([[maybe_unused]] Turn& turn) noexcept {
        visit([&]<class R>(R& rule) {
            if constexpr (detail::is_rule_group<R>) {
                rule.rules().notify(detail::RuleNotice::begin_certain, turn);
            } else if constexpr (!detail::BeginAdvises<R> && requires { rule.begin(turn); }) {
                rule.begin(turn);
            }
        });
    }
    constexpr void join_failed([[maybe_unused]] detail::AdviceFold& fold,
                               [[maybe_unused]] const Failure& failure,
                               [[maybe_unused]] Turn& turn) noexcept {
        visit([&]<class R>(R& rule) {
            if constexpr (detail::is_rule_group<R>) {
                rule.rules().ask(detail::RuleQuestion::failed, fold, failure, turn);
            } else if constexpr (requires { rule.failed(failure, turn); }) {
                fold.add(rule.failed(failure, turn), rule);
            }
        });
    }
    constexpr void join_lost([[maybe_unused]] detail::AdviceFold& fold,
                             [[maybe_unused]] const Failure& failure,
                             [[maybe_unused]] Turn& turn) noexcept {
        visit([&]<class R>(R& rule) {
            if constexpr (detail::is_rule_group<R>) {
                rule.rules().ask(detail::RuleQuestion::lost, fold, failure, turn);
            } else if constexpr (requires { rule.lost(failure, turn); }) {
                fold.add(rule.lost(failure, turn), rule);
            }
        });
    }

    constexpr void replay_rules(detail::AdviceFold& fold, detail::Outcome what,
                                const Failure& failure, Turn& turn) noexcept {
        if (what == detail::Outcome::abandoned) return replay_end(turn);
        visit_own([&]<class R>(R& rule) {
            if constexpr (detail::is_rule_group<R>) {
                rule.rules().replay_rules(fold, what, failure, turn);
            } else {
                replay_rule(rule, fold, what, failure, turn);
            }
        });
    }
    template <class R>
    static constexpr void replay_rule([[maybe_unused]] R& rule,
                                      [[maybe_unused]] detail::AdviceFold& fold,
                                      detail::Outcome what, [[maybe_unused]] const Failure& failure,
                                      Turn& turn) noexcept {
        if (what == detail::Outcome::wanted) {
            if constexpr (requires { rule.wanted(turn); }) rule.wanted(turn);
            return;
        }
        if (what != detail::Outcome::lost && !began(rule, turn)) return;
        if constexpr (requires { rule.failed(failure, turn); }) {
            if (what == detail::Outcome::failed) {
                fold.add(rule.failed(failure, turn), rule);
            }
        }
        if constexpr (requires { rule.lost(failure, turn); }) {
            if (what == detail::Outcome::lost) fold.add(rule.lost(failure, turn), rule);
        }
        if constexpr (requires { rule.succeeded(turn); }) {
            if (what == detail::Outcome::succeeded) rule.succeeded(turn);
        }
    }
    constexpr void replay_reviews([[maybe_unused]] detail::AdviceFold& fold,
                                  [[maybe_unused]] Turn& turn) noexcept {
        visit_own([&]<class R>(R& rule) {
            if constexpr (detail::is_rule_group<R>) {
                rule.rules().ask(detail::RuleQuestion::replay_reviews, fold, Failure{}, turn);
            } else if constexpr (detail::HasReview<R>) {
                if (!fold.stopped()) fold.add(rule.review(fold.result(), turn), rule);
            }
        });
    }

    // Visits the rules of nested policies one by one. Combining their combined advice would lose
    // the waits that were outranked inside, and their defaults would count as requests.
    template <class F>
    [[gnu::always_inline]] constexpr void visit(F&& f) noexcept {
        rules_.each([&]<class R>(R& rule) {
            if constexpr (detail::is_policy<R>) {
                rule.visit(f);
            } else if constexpr (detail::nests_policy<R>) {
                if (auto* const nested = detail::nested_policy(rule)) nested->visit(f);
            } else {
                f(rule);
            }
        });
    }
    template <class F>
    [[gnu::always_inline]] constexpr void visit(F&& f) const noexcept {
        rules_.each([&]<class R>(const R& rule) {
            if constexpr (detail::is_policy<R>) {
                rule.visit(f);
            } else if constexpr (detail::nests_policy<R>) {
                if (auto* const nested = detail::nested_policy(rule)) nested->visit(f);
            } else {
                f(rule);
            }
        });
    }

    /// Returns the advice of the first rule from the I-th on that rejects the attempt, else `go`.
    template <std::size_t I>
    [[nodiscard]] [[gnu::always_inline]] constexpr Advice begin_from(
        [[maybe_unused]] Turn& turn) noexcept {
        if constexpr (I == sizeof...(Rules)) {
            return Advice::go();
        } else {
            auto& rule = rules_.template at<I>(rules_);
            const Advice own = begin_rejecting(rule, turn);
            if (own.verb != Advice::Verb::go) return detail::copy_of(own);
            const Advice rest = begin_from<I + 1>(turn);
            if (rest.verb == Advice::Verb::go) return Advice::go();
            abandon_rejecting(rule, turn);
            return detail::copy_of(rest);
        }
    }
    template <class R>
    [[nodiscard]] [[gnu::always_inline]] static constexpr Advice begin_rejecting(
        [[maybe_unused]] R& rule, [[maybe_unused]] Turn& turn) noexcept {
        if constexpr (detail::nests_policy<R>) {
            auto* const nested = detail::nested_policy(rule);
            if (nested == nullptr) return Advice::go();
            return detail::copy_of(nested->template begin_from<0>(turn));
        } else if constexpr (detail::is_rule_group<R>) {
            return rule.rules().begin_rejecting(turn);
        } else if constexpr (detail::BeginAdvises<R>) {
            const Advice advice = rule.begin(turn);
            if (advice.verb == Advice::Verb::go) return Advice::go();
            return detail::sign(advice, rule);
        } else {
            return Advice::go();
        }
    }
    /// Abandons the rules that begin_from has begun.
    template <class R>
    static constexpr void abandon_rejecting([[maybe_unused]] R& rule,
                                            [[maybe_unused]] Turn& turn) noexcept {
        if constexpr (detail::nests_policy<R>) {
            if (auto* const nested = detail::nested_policy(rule))
                nested->template abandon_rejecting_from<0>(turn);
        } else if constexpr (detail::is_rule_group<R>) {
            rule.rules().notify(detail::RuleNotice::abandon_rejecting, turn);
        } else if constexpr (detail::BeginAdvises<R> && requires { rule.abandoned(turn); }) {
            rule.abandoned(turn);
        }
    }
    template <std::size_t I>
    constexpr void abandon_rejecting_from([[maybe_unused]] Turn& turn) noexcept {
        if constexpr (I < sizeof...(Rules)) {
            abandon_rejecting_from<I + 1>(turn);
            abandon_rejecting(rules_.template at<I>(rules_), turn);
        }
    }

    template <std::size_t I>
    constexpr void review_from([[maybe_unused]] detail::AdviceFold& fold,
                               [[maybe_unused]] Turn& turn) noexcept {
        if constexpr (I < sizeof...(Rules)) {
            if (fold.stopped()) return;
            auto& rule = rules_.template at<I>(rules_);
            using R = std::remove_reference_t<decltype(rule)>;
            if constexpr (detail::nests_policy<R>) {
                if (auto* const nested = detail::nested_policy(rule))
                    nested->template review_from<0>(fold, turn);
            } else if constexpr (detail::is_rule_group<R>) {
                rule.rules().ask(detail::RuleQuestion::review, fold, Failure{}, turn);
            } else if constexpr (detail::HasReview<R>) {
                fold.add(rule.review(fold.result(), turn), rule);
            }
            if (fold.stopped()) return;
            review_from<I + 1>(fold, turn);
            if (fold.stopped()) abandon_reviewer(rule, turn);
        }
    }
    template <class R>
    static constexpr void abandon_reviewer([[maybe_unused]] R& rule,
                                           [[maybe_unused]] Turn& turn) noexcept {
        if constexpr (detail::nests_policy<R>) {
            if (auto* const nested = detail::nested_policy(rule))
                nested->template abandon_reviewers<0>(turn);
        } else if constexpr (detail::is_rule_group<R>) {
            rule.rules().notify(detail::RuleNotice::abandon_reviewers, turn);
        } else if constexpr (detail::HasReview<R> && requires { rule.abandoned(turn); }) {
            rule.abandoned(turn);
        }
    }
    template <std::size_t I>
    constexpr void abandon_reviewers([[maybe_unused]] Turn& turn) noexcept {
        if constexpr (I < sizeof...(Rules)) {
            abandon_reviewers<I + 1>(turn);
            abandon_reviewer(rules_.template at<I>(rules_), turn);
        }
    }

    [[no_unique_address]] detail::RuleSlots<std::index_sequence_for<Rules...>, Rules...> rules_;
};

template <class... Rules>
Policy(Rules...) -> Policy<Rules...>;

namespace detail {
/// Makes a policy of a single rule; returns a policy as it is.
template <class R>
[[nodiscard]] constexpr auto as_policy(R rule) {
    if constexpr (is_policy<R>) {
        return rule;
    } else {
        return Policy<R>{std::move(rule)};
    }
}
template <class R>
using AsPolicy = decltype(as_policy(std::declval<R>()));
/// The type that a run of a policy or of a single rule copies. A group of rules needs no Policy.
template <class R>
using RunPolicy = std::conditional_t<is_rule_group<R>, R, AsPolicy<R>>;
}  // namespace detail

/// Reports to the rules that an attempt was made, and that its caller stopped waiting for its
/// result. Then a retry stays paid for: budgets do not get it back at the `abandoned` that follows.
///
/// A rule takes part if it has `spend(Turn&)`. Only Shared rules, and rules that hold a policy, do.
/// The same is true of `rejected(Turn&)`: an attempt was due, and a rule rejected it.
template <class... Rules>
struct Policy<Rules...>::Spending {
    static constexpr void report(Policy& policy, [[maybe_unused]] Turn& turn) noexcept {
        policy.visit([&](auto& rule) {
            if constexpr (requires { rule.spend(turn); }) rule.spend(turn);
        });
    }
    static constexpr void reject(Policy& policy, [[maybe_unused]] Turn& turn) noexcept {
        policy.visit([&](auto& rule) {
            if constexpr (requires { rule.rejected(turn); }) rule.rejected(turn);
        });
    }
};

namespace detail {

/// The same for a policy of any kind.   Pre: an attempt has begun.
template <class P>
constexpr void spend(P& policy, Turn& turn) noexcept {
    if constexpr (requires { policy.spend(turn); }) {
        policy.spend(turn);
    } else {
        P::Spending::report(policy, turn);
    }
}
/// Reports to a policy of any kind that an attempt was due, and that `admit` rejected it.
template <class P>
constexpr void reject(P& policy, Turn& turn) noexcept {
    if constexpr (requires { policy.rejected(turn); }) {
        policy.rejected(turn);
    } else {
        P::Spending::reject(policy, turn);
    }
}

}  // namespace detail

}}  // namespace belay
