// SPDX-License-Identifier: MIT
/// \file belay/policy/optional_rule.hpp
/// policies::OptionalRule: a rule of a Policy that may be left out at run time.
#pragma once

#include <optional>     // std::optional, std::nullopt
#include <string_view>  // std::string_view
#include <utility>      // std::move

#include <belay/policy/policy.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace policies {
template <class R>
class OptionalRule;
}  // namespace policies

namespace detail {

template <class R>
inline constexpr bool nests_policy<policies::OptionalRule<R>> = true;

template <class R>
inline constexpr bool is_optional_rule = false;
template <class R>
inline constexpr bool is_optional_rule<std::optional<R>> = true;

template <class R>
struct RuleOfImpl {
    using type = R;
};
template <class R>
struct RuleOfImpl<std::optional<R>> {
    using type = policies::OptionalRule<R>;
};
template <class R>
using RuleOf = typename RuleOfImpl<R>::type;

template <class R>
inline constexpr bool requests_limit = HasAttemptLimit<R>;
template <class... Rules>
inline constexpr bool requests_limit<Policy<Rules...>> = (requests_limit<Rules> || ...);

// The request exists only if the rule has it, because a blocking call must take an Attempt then.
template <class Self, bool requests>
struct OptionalLimit {};
template <class Self>
struct OptionalLimit<Self, true> {
    /// Returns what the rule requests, else `otherwise`.
    [[nodiscard]] constexpr Duration attempt_limit(
        Duration otherwise = default_attempt_limit) const noexcept {
        const auto* const rules = static_cast<const Self&>(*this).rules();
        return rules != nullptr ? rules->attempt_limit(otherwise) : otherwise;
    }
};

}  // namespace detail

namespace policies {

/// A rule of a Policy that may be left out at run time. Write a std::optional:
///
///     std::optional<MaxElapsed> limit;
///     if (config.seconds > 0) limit.emplace(std::chrono::seconds{config.seconds});
///     Policy policy{Backoff{FullJitter{}, Cap{30s}, 1s}, limit, MaxAttempts{10}};
///
/// A Policy turns a std::optional of a rule into an OptionalRule; this header must be included. An
/// empty one is as if it were not written. A full one is as if the rule were written in its place.
/// The rule may also be a Policy.
///
/// Models:        RuleLike, if R does.
/// Thread safety: distinct objects safe (as far as the rule is).
/// Allocates:     never.
template <class R>
class OptionalRule
    : public detail::WantedHook<OptionalRule<R>, detail::HasWanted<detail::AsPolicy<R>>>,
      public detail::OptionalLimit<OptionalRule<R>, detail::requests_limit<R>> {
    static_assert(explain::rule_like<R>());

public:
    static constexpr std::string_view name = "OptionalRule";

    constexpr OptionalRule(std::optional<R> rule) noexcept {
        if (rule) rules_.emplace(detail::as_policy(*std::move(rule)));
    }

    /// Returns the advice of the rule, and `go` if there is none.
    [[nodiscard]] constexpr Advice admit(Instant now) const noexcept {
        return rules_ ? rules_->admit(now) : Advice::go();
    }

    /// Returns the rule as a policy, or null if there is none; for the Policy in which this is one.
    [[nodiscard]] constexpr detail::AsPolicy<R>* rules() noexcept {
        return rules_ ? &*rules_ : nullptr;
    }
    [[nodiscard]] constexpr const detail::AsPolicy<R>* rules() const noexcept {
        return rules_ ? &*rules_ : nullptr;
    }

private:
    template <class, bool>
    friend struct detail::WantedHook;

    constexpr void notify_wanted([[maybe_unused]] Turn& turn) noexcept {
        if (rules_) rules_->wanted(turn);
    }

    std::optional<detail::AsPolicy<R>> rules_;
};

}  // namespace policies

// More constrained than the guide of Policy, and so preferred to it.
template <class... Rules>
    requires(detail::is_optional_rule<Rules> || ...)
Policy(Rules...) -> Policy<detail::RuleOf<Rules>...>;

}}  // namespace belay
