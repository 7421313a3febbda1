// SPDX-License-Identifier: MIT
/// \file belay/policy/any_policy.hpp
/// policies::AnyPolicy: a policy whose type is known only where it was made.
#pragma once

#include <concepts>     // std::same_as
#include <cstddef>      // std::size_t
#include <string_view>  // std::string_view
#include <type_traits>  // std::remove_cvref_t
#include <utility>      // std::move

#include <belay/policy/detail/erased_rules.hpp>
#include <belay/policy/policy.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace policies {
class AnyPolicy;
}  // namespace policies
namespace detail {
template <>
inline constexpr bool is_rule_group<policies::AnyPolicy> = true;
}  // namespace detail

namespace policies {

/// Holds any policy, so that a program can choose it at run time.
///
///     policies::AnyPolicy policy = config.patient ? policies::AnyPolicy{Policy{...}}
///                                                 : policies::AnyPolicy{policies::bridge()};
///     auto answer = retry(policy, sleeper, [](const Attempt& attempt) { ... });
///
/// It gives the same advice as the policy in it, and draws the same random bits. As a rule of
/// another Policy, or in Remembered, its rules count as if they were written in its place.
///
/// A copy holds a copy of the policy, as that policy copies itself. So each run starts afresh, and
/// a run keeps the policy with which it began. The hooks never allocate.
///
/// The rules are not known at compile time. So a blocking call must take an Attempt, because the
/// policy may have an AttemptTimeout; and there is no `longest_wait`.
///
/// A moved-from object may only be assigned to or destroyed.
///
/// Models:        RuleLike.
/// Thread safety: distinct objects safe (as far as the rules are).
/// Allocates:     never for a policy of at most `in_place_bytes_max` whose move is noexcept, and
///                whose alignment is not stricter than that of std::max_align_t. Any other policy
///                takes one allocation when the object is made, and one for each copy. An AnyPolicy
///                in it takes its own in addition. An object is larger than `in_place_bytes_max`,
///                so an AnyPolicy with another one in it always allocates. A move does not.
/// Throws:        std::bad_alloc if it allocates, and what a rule's copy constructor throws.
class AnyPolicy {
public:
    static constexpr std::string_view name = "AnyPolicy";
    /// How many bytes of a policy an object holds in place, without an allocation.
    static constexpr std::size_t in_place_bytes_max = detail::rules_in_place_bytes_max;

    /// Holds a policy, or a single rule.
    template <class P>
        requires(!std::same_as<std::remove_cvref_t<P>, AnyPolicy>)
    explicit AnyPolicy(P policy)
        : rules_{
              (static_cast<void>(explain::rule_like<P>()), detail::as_policy(std::move(policy)))} {}

    /// Returns whether an attempt may start at `now`, and changes nothing; as Policy::admit.
    [[nodiscard]] Advice admit(Instant now) const noexcept { return rules_.advice(now); }
    /// Returns until when limits among the rules reject attempts; as Policy::rejects_until.
    [[nodiscard]] Instant rejects_until(Instant now) const noexcept {
        return rules_.rejects_until(now);
    }
    /// Starts an attempt, unless a rule rejects it; as Policy::begin.
    Advice begin(Turn& turn) noexcept { return rules_.begin(turn); }
    /// Reports that the attempt failed, and returns what to do now.   Pre: an attempt has begun.
    [[nodiscard]] Advice failed(const Failure& failure, Turn& turn) noexcept {
        detail::AdviceFold fold;
        rules_.ask(detail::RuleQuestion::failed, fold, failure, turn);
        rules_.ask(detail::RuleQuestion::review, fold, failure, turn);
        return fold.result();
    }
    /// Reports that a connection that had succeeded has ended, and returns what to do now.
    [[nodiscard]] Advice lost(const Failure& failure, Turn& turn) noexcept {
        detail::AdviceFold fold;
        rules_.ask(detail::RuleQuestion::lost, fold, failure, turn);
        rules_.ask(detail::RuleQuestion::review, fold, failure, turn);
        return fold.result();
    }
    /// Reports that an attempt is wanted from now on.
    void wanted(Turn& turn) noexcept { rules_.notify(detail::RuleNotice::wanted, turn); }
    /// Reports that the attempt succeeded.   Pre: an attempt has begun.
    void succeeded(Turn& turn) noexcept { rules_.notify(detail::RuleNotice::succeeded, turn); }
    /// Reports that the attempt ended without a verdict; as Policy::abandoned.
    void abandoned(Turn& turn) noexcept { rules_.notify(detail::RuleNotice::abandoned, turn); }
    /// Reports that the attempt was made, and its result is not awaited.
    /// Retries stay paid for.
    void spend(Turn& turn) noexcept { rules_.notify(detail::RuleNotice::spend, turn); }
    /// Starts counts afresh, by the user's command.
    void reset() noexcept { rules_.reset(); }

    /// Returns the longest window that a rule requests, else `otherwise`.
    [[nodiscard]] Duration stable_window(
        Duration otherwise = detail::default_stable_window) const noexcept {
        return rules_.stable_window(otherwise);
    }
    /// Returns whether age alone makes a connection stable, because a rule requests it.
    [[nodiscard]] bool stable_by_age() const noexcept { return rules_.stable_by_age(); }
    /// Returns the shortest limit that a rule requests, else `otherwise`.
    [[nodiscard]] Duration attempt_limit(
        Duration otherwise = detail::default_attempt_limit) const noexcept {
        return rules_.attempt_limit(otherwise);
    }
    /// Returns whether a rule stops after an attempt that times out at `end`.
    [[nodiscard]] bool stops_after(Instant end) const noexcept { return rules_.stops_after(end); }

    /// Returns the rules, for a Policy in which this is a rule.
    [[nodiscard]] detail::ErasedRules& rules() noexcept { return rules_; }
    [[nodiscard]] const detail::ErasedRules& rules() const noexcept { return rules_; }

private:
    detail::ErasedRules rules_;
};

}  // namespace policies

}}  // namespace belay
