// SPDX-License-Identifier: MIT
/// \file belay/policy/policy.hpp
/// Policy: a list of rules that answers as one.
#pragma once

#include <concepts>     // std::integral
#include <cstddef>      // std::size_t
#include <type_traits>  // std::is_nothrow_move_constructible_v
#include <utility>      // std::index_sequence, std::move

#include <belay/policy/detail/rule_slots.hpp>
#include <belay/policy/rule.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {

/// How long a connection must have lived to count as stable, if no rule says so.
inline constexpr Duration default_stable_window = std::chrono::seconds{10};

}  // namespace detail
namespace detail {

/// How long an attempt may take, if no rule says so. Not `forever`: a silent peer must not hold it.
inline constexpr Duration default_attempt_limit = std::chrono::seconds{30};

}  // namespace detail

template <class... Rules>
class Policy;

namespace detail {

template <class R>
inline constexpr bool is_policy = false;
template <class... Rules>
inline constexpr bool is_policy<Policy<Rules...>> = true;

}  // namespace detail

/// Decides when the next attempt may start, by asking its rules in the written order.
///
/// Every rule sees every event, whatever another said, and the opinions are folded by rank: the
/// highest verb counts, of equal verbs the later; a suspension lasts until the latest of all waits.
/// A policy is itself a rule; rules of a nested policy count as if they were written in its place.
///
/// It is a value: whoever runs a policy copies it, so that each run starts afresh. What must be
/// common to many runs is an object of its own that a Shared rule refers to.
///
/// Models:        RuleLike.
/// Thread safety: distinct objects safe (as far as the rules are).
/// Allocates:     never, nor does any rule of belay.
template <class... Rules>
class Policy : public detail::WantedHook<Policy<Rules...>, (detail::HasWanted<Rules> || ...)> {
    // Not constraints: the compilers' words for a failed one would hide the sentence.
    static_assert((explain::rule_like<Rules>() && ...));

public:
    constexpr explicit Policy(Rules... rules) noexcept(
        (std::is_nothrow_move_constructible_v<Rules> && ...))
        : rules_{{std::move(rules)}...} {}

    /// May an attempt start at `now`? Asks only.   Errors: none.   Complexity: O(rules).
    [[nodiscard]] constexpr Advice admit([[maybe_unused]] Instant now) const noexcept {
        detail::AdviceFold fold;
        visit([&](const auto& rule) {
            if constexpr (requires { rule.admit(now); }) {
                fold.add(detail::sign(rule.admit(now), rule));
            }
        });
        return fold.result();
    }

    /// An attempt starts. An answer other than `go` means that it does not: the first rule that
    /// refuses is the answer, and those that had begun before it are abandoned, the last one first.
    ///
    /// Rules whose `begin` may refuse come first, in the written order; the others begin only when
    /// none of them refused, so to them `begin` means an attempt.
    ///
    /// Does not ask `admit`: whoever wants the rules' consent asks first; who does not, forces.
    /// Errors: none.   Complexity: O(rules).
    constexpr Advice begin(Turn& turn) noexcept {
        const Advice refusal = begin_from<0>(turn);
        if (refusal.verb != Advice::Verb::go) return refusal;
        visit([&]<class R>(R& rule) {
            if constexpr (!detail::BeginAdvises<R> && requires { rule.begin(turn); }) {
                rule.begin(turn);
            }
        });
        return refusal;
    }

    /// The attempt failed; what now? First all rules are heard, then those that review the plan; if
    /// one of these stops it, the ones before it are abandoned, the last one first.
    ///
    /// Pre: an attempt has begun.   Errors: none.   Complexity: O(rules).
    [[nodiscard]] constexpr Advice failed([[maybe_unused]] const Failure& failure,
                                          [[maybe_unused]] Turn& turn) noexcept {
        detail::AdviceFold fold;
        visit([&](auto& rule) {
            if constexpr (requires { rule.failed(failure, turn); }) {
                fold.add(detail::sign(rule.failed(failure, turn), rule));
            }
        });
        review_from<0>(fold, turn);
        return fold.result();
    }

    /// A connection that had succeeded has ended; what now? Asks as `failed` does.
    ///
    /// Errors: none.   Complexity: O(rules).
    [[nodiscard]] constexpr Advice lost([[maybe_unused]] const Failure& failure,
                                        [[maybe_unused]] Turn& turn) noexcept {
        detail::AdviceFold fold;
        visit([&](auto& rule) {
            if constexpr (requires { rule.lost(failure, turn); }) {
                fold.add(detail::sign(rule.lost(failure, turn), rule));
            }
        });
        review_from<0>(fold, turn);
        return fold.result();
    }

    /// The attempt worked: each rule starts afresh.   Pre: an attempt has begun.
    constexpr void succeeded([[maybe_unused]] Turn& turn) noexcept {
        visit([&](auto& rule) {
            if constexpr (requires { rule.succeeded(turn); }) rule.succeeded(turn);
        });
    }

    /// The attempt ended without a verdict, or will not take place: permits go back.
    ///
    /// Pre: an attempt is wanted or has begun, or `failed` or `lost` have not said `stop`.
    constexpr void abandoned([[maybe_unused]] Turn& turn) noexcept {
        visit([&](auto& rule) {
            if constexpr (requires { rule.abandoned(turn); }) rule.abandoned(turn);
        });
    }

    /// Starts counts afresh, by the user's command; breakers and budgets stay as they are.
    constexpr void reset() noexcept {
        visit([](auto& rule) {
            if constexpr (requires { rule.reset(); }) rule.reset();
        });
    }

    /// How long a connection must live to count as stable: the longest wish, else `otherwise`.
    [[nodiscard]] constexpr Duration stable_window(
        Duration otherwise = detail::default_stable_window) const noexcept {
        Duration longest{-1};
        visit([&](const auto& rule) {
            if (const Duration wish = detail::stable_wish(rule); wish > longest) longest = wish;
        });
        return longest.count() < 0 ? otherwise : longest;
    }

    /// How long an attempt may take: the shortest wish, else `otherwise`.
    [[nodiscard]] constexpr Duration attempt_limit(
        Duration otherwise = detail::default_attempt_limit) const noexcept {
        bool wished = false;
        Duration shortest = forever;
        visit([&](const auto& rule) {
            const Duration wish = detail::limit_wish(rule);
            if (wish.count() < 0) return;
            if (wish < shortest) shortest = wish;
            wished = true;
        });
        return wished ? shortest : otherwise;
    }

    /// The longest wait that the rules may lead to after so many failed attempts since all was well
    /// (0: the loss of what was well itself), if no server asks for a longer one; `forever` if one
    /// may stop. Exists where each rule says it; see link/bounds.hpp.
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

    /// Tells the rules what happened in an earlier life of the program, as the hooks of an attempt
    /// would: the answer to a failure or a loss is what they would have planned.
    ///
    /// Rules with `static constexpr bool is_shared = true` are passed over: what they refer to
    /// (a budget, a breaker) may be others' too. One whose `begin` refuses does not hear of that
    /// attempt, and the others do: it took place.
    /// Errors: none.   Complexity: O(rules).
    constexpr Advice relive(detail::Outcome what, [[maybe_unused]] const Failure& failure,
                            [[maybe_unused]] Turn& turn) noexcept {
        detail::AdviceFold fold;
        if (what == detail::Outcome::wanted) {
            visit_own([&](auto& rule) {
                if constexpr (requires { rule.wanted(turn); }) rule.wanted(turn);
            });
            return Advice::go();
        }
        if (what == detail::Outcome::abandoned) {
            relive_end(turn);
            return Advice::go();
        }
        visit_own([&]<class R>(R& rule) {
            if (what != detail::Outcome::lost && !began(rule, turn)) return;
            if constexpr (requires { rule.failed(failure, turn); }) {
                if (what == detail::Outcome::failed) {
                    fold.add(detail::sign(rule.failed(failure, turn), rule));
                }
            }
            if constexpr (requires { rule.lost(failure, turn); }) {
                if (what == detail::Outcome::lost)
                    fold.add(detail::sign(rule.lost(failure, turn), rule));
            }
            if constexpr (requires { rule.succeeded(turn); }) {
                if (what == detail::Outcome::succeeded) rule.succeeded(turn);
            }
        });
        if (what == detail::Outcome::succeeded) return Advice::go();
        visit_own([&]<class R>(R& rule) {
            if constexpr (detail::HasReview<R>) {
                if (!fold.stopped()) fold.add(detail::sign(rule.review(fold.result(), turn), rule));
            }
        });
        return fold.result();
    }
    /// The program ended, and with it what was planned.   Pre: as of `abandoned`.
    constexpr void relive_end([[maybe_unused]] Turn& turn) noexcept {
        visit_own([&](auto& rule) {
            if constexpr (requires { rule.abandoned(turn); }) rule.abandoned(turn);
        });
    }

private:
    template <class, bool>
    friend struct detail::WantedHook;

    constexpr void hear_wanted(Turn& turn) noexcept {
        visit([&](auto& rule) {
            if constexpr (requires { rule.wanted(turn); }) rule.wanted(turn);
        });
    }

    template <class... Others>
    friend class Policy;

    template <class F>
    constexpr void visit_own(F&& f) noexcept {
        visit([&]<class R>(R& rule) {
            if constexpr (!requires { requires R::is_shared; }) f(rule);
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

    // Visits the rules of nested policies one by one: folding their folded opinions would lose the
    // waits that were outranked inside, and their defaults would count as wishes.
    template <class F>
    constexpr void visit(F&& f) noexcept {
        rules_.each([&]<class R>(R& rule) {
            if constexpr (detail::is_policy<R>) {
                rule.visit(f);
            } else {
                f(rule);
            }
        });
    }
    template <class F>
    constexpr void visit(F&& f) const noexcept {
        rules_.each([&]<class R>(const R& rule) {
            if constexpr (detail::is_policy<R>) {
                rule.visit(f);
            } else {
                f(rule);
            }
        });
    }

    template <std::size_t I>
    constexpr Advice begin_from([[maybe_unused]] Turn& turn) noexcept {
        if constexpr (I == sizeof...(Rules)) {
            return Advice::go();
        } else {
            auto& rule = rules_.template at<I>(rules_);
            using R = std::remove_reference_t<decltype(rule)>;
            if constexpr (detail::is_policy<R>) {
                const Advice refusal = rule.template begin_from<0>(turn);
                if (refusal.verb != Advice::Verb::go) return refusal;
            } else if constexpr (detail::BeginAdvises<R>) {
                const Advice refusal = detail::sign(rule.begin(turn), rule);
                if (refusal.verb != Advice::Verb::go) return refusal;
            }
            const Advice rest = begin_from<I + 1>(turn);
            if (rest.verb != Advice::Verb::go) abandon_refusing(rule, turn);
            return rest;
        }
    }
    /// Ends what begin_from has begun.
    template <class R>
    static constexpr void abandon_refusing([[maybe_unused]] R& rule,
                                           [[maybe_unused]] Turn& turn) noexcept {
        if constexpr (detail::is_policy<R>) {
            rule.template abandon_refusing_from<0>(turn);
        } else if constexpr (detail::BeginAdvises<R> && requires { rule.abandoned(turn); }) {
            rule.abandoned(turn);
        }
    }
    template <std::size_t I>
    constexpr void abandon_refusing_from([[maybe_unused]] Turn& turn) noexcept {
        if constexpr (I < sizeof...(Rules)) {
            abandon_refusing_from<I + 1>(turn);
            abandon_refusing(rules_.template at<I>(rules_), turn);
        }
    }

    template <std::size_t I>
    constexpr void review_from([[maybe_unused]] detail::AdviceFold& fold,
                               [[maybe_unused]] Turn& turn) noexcept {
        if constexpr (I < sizeof...(Rules)) {
            if (fold.stopped()) return;
            auto& rule = rules_.template at<I>(rules_);
            using R = std::remove_reference_t<decltype(rule)>;
            if constexpr (detail::is_policy<R>) {
                rule.template review_from<0>(fold, turn);
            } else if constexpr (detail::HasReview<R>) {
                fold.add(detail::sign(rule.review(fold.result(), turn), rule));
            }
            if (fold.stopped()) return;
            review_from<I + 1>(fold, turn);
            if (fold.stopped()) abandon_reviewer(rule, turn);
        }
    }
    template <class R>
    static constexpr void abandon_reviewer([[maybe_unused]] R& rule,
                                           [[maybe_unused]] Turn& turn) noexcept {
        if constexpr (detail::is_policy<R>) {
            rule.template abandon_reviewers<0>(turn);
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
/// A rule alone is a policy of one.
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
}  // namespace detail

}}  // namespace belay
