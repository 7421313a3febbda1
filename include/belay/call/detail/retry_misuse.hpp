// SPDX-License-Identifier: MIT
/// \file belay/call/detail/retry_misuse.hpp
/// The calls of retry that do not compile, each with the sentence that states the right one.
#pragma once

#include <concepts>     // std::same_as
#include <type_traits>  // std::remove_reference_t

#include <belay/call/attempt.hpp>
#include <belay/core/observer.hpp>
#include <belay/core/result.hpp>
#include <belay/core/sleeper_like.hpp>
#include <belay/core/stop_source.hpp>
#include <belay/policy/rule.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {

template <class S>
concept SleeperFits =
    SleeperLike<std::remove_reference_t<S>> ||
    requires(std::remove_reference_t<S>& sleeper, const StopTokenArchetype& stop) {
        sleeper.async_sleep_until(Instant{}, stop);
    };
template <class A>
concept PolicyShaped = RuleLike<std::remove_cvref_t<A>>;
template <class A>
concept FunctionShaped = Attemptable<std::remove_reference_t<A>>;

/// Takes a function by a conversion, so that an overload that takes the function itself is better.
struct AnyFunction {
    template <FunctionShaped F>
    AnyFunction(F&&) noexcept {}
};
/// Takes anything by a conversion, so that every other overload is better, such as a function
/// `retry` of the program itself.
struct FurtherArgument {
    FurtherArgument() noexcept = default;
    template <class Given>
    FurtherArgument(Given&&) noexcept {}
};
/// Does not compile, because its argument is not a policy.
struct NoPolicy {
    template <class Given>
        requires(!PolicyShaped<Given>)
    NoPolicy(Given&&) noexcept {
        using Rule = std::remove_cvref_t<Given>;
        constexpr bool is_rule = HasAnyHook<Rule>;
        static_assert(is_rule,
                      "retry: pass a policy or a rule first: retry(MaxAttempts{3}, fn), or "
                      "retry(Policy{Backoff{FullJitter{}, Cap{10s}, 100ms}, MaxAttempts{3}}, fn)");
        if constexpr (is_rule) static_assert(explain::rule_like<Rule>());
    }
};

}  // namespace detail

// The forms that retry does not have, so that a mistake results in a sentence.

/// Does not compile, because the policy comes first.
template <class First, class... Rest>
    requires(!detail::PolicyShaped<First> &&
             (detail::SleeperShaped<First> || detail::FunctionShaped<First>) &&
             (detail::PolicyShaped<Rest> || ...))
Result<void> retry(First&&, Rest&&...) {
    static_assert(detail::PolicyShaped<First>,
                  "retry: pass the policy first: retry(policy, sleeper, fn), or retry(policy, fn) "
                  "of <belay/drive.hpp>");
    return {};
}
/// Does not compile, because the first argument is not a policy.
template <class... None>
    requires(sizeof...(None) == 0)
Result<void> retry(detail::NoPolicy, detail::FurtherArgument = {}, detail::FurtherArgument = {},
                   detail::FurtherArgument = {}, detail::FurtherArgument = {}) {
    return {};
}
/// Does not compile, because the function is missing.
template <detail::PolicyShaped P, detail::SleeperShaped... Sleeper>
    requires(sizeof...(Sleeper) <= 1)
Result<void> retry(const P&, const Sleeper&...) {
    static_assert(!std::same_as<P, P>,
                  "retry: pass a function after the policy and the sleeper: retry(policy, sleeper, "
                  "fn)");
    return {};
}
/// Does not compile, because several rules make one policy.
template <detail::PolicyShaped First, class Second, class... Rest>
    requires(!detail::SleeperShaped<Second> && !detail::FunctionShaped<Second> &&
             detail::PolicyShaped<Second>)
Result<void> retry(const First&, const Second&, Rest&&...) {
    static_assert(!detail::PolicyShaped<Second>,
                  "retry: write the rules into one policy: retry(Policy{MaxAttempts{3}, "
                  "Backoff{...}}, fn)");
    return {};
}
/// Does not compile, because the second argument is neither a function nor a sleeper.
template <detail::PolicyShaped First, class Second, class... Rest>
    requires(!detail::SleeperShaped<Second> && !detail::FunctionShaped<Second> &&
             !detail::PolicyShaped<Second>)
Result<void> retry(const First&, Second&&, Rest&&...) {
    static_assert(detail::FunctionShaped<Second>,
                  "retry: after the policy, pass a function without arguments, or of an Attempt; "
                  "or a sleeper, which has now(), bits() and sleep_until(), and is not const");
    return {};
}
/// Does not compile, because the sleeper comes before the function.
template <detail::PolicyShaped P, detail::FunctionShaped F, detail::SleeperShaped S, class... Rest>
    requires(!detail::SleeperShaped<F>)
Result<void> retry(const P&, F&&, S&&, Rest&&...) {
    static_assert(detail::SleeperShaped<F>,
                  "retry: pass the sleeper before the function: retry(policy, sleeper, fn)");
    return {};
}
/// Does not compile, because the observer comes after a stop token.
template <detail::PolicyShaped P, detail::SleeperShaped S, detail::FunctionShaped F, class Observer>
    requires(!StopTokenLike<std::remove_reference_t<Observer>>)
Result<void> retry(const P&, S&, F&&, Observer&&) {
    static_assert(detail::explain_stop_token<Observer>());
    static_assert(detail::AsksForStop<Observer>,
                  "retry: pass a stop token before the observer: retry(policy, sleeper, fn, "
                  "NeverStops{}, observer)");
    return {};
}
/// Does not compile, because the observer comes after a stop token; without a sleeper.
template <detail::PolicyShaped P, detail::FunctionShaped F, class Observer>
    requires(!detail::SleeperShaped<F> && !StopTokenLike<std::remove_reference_t<Observer>> &&
             !detail::SleeperShaped<Observer> && !detail::FunctionShaped<Observer>)
Result<void> retry(const P&, F&&, Observer&&) {
    static_assert(detail::explain_stop_token<Observer>());
    static_assert(
        detail::AsksForStop<Observer>,
        "retry: pass a stop token before the observer: retry(policy, fn, NeverStops{}, observer)");
    return {};
}
/// Does not compile, because the overload without a sleeper is in another header.
template <detail::PolicyShaped P, StopTokenLike Stop = NeverStops,
          class Observer = const NoObserver>
Result<void> retry(const P&, detail::AnyFunction, const Stop& = {}, Observer&& = {}) {
    static_assert(!std::same_as<P, P>,
                  "retry: include <belay/drive.hpp> for retry(policy, fn), or pass a sleeper: "
                  "retry(policy, sleeper, fn)");
    return {};
}
/// Does not compile, because the sleeper does not block, and the function does.
template <detail::PolicyShaped P, detail::SleeperShaped S, class... Rest>
    requires(detail::SleeperFits<S> && !SleeperLike<S>)
Result<void> retry(const P&, S&, detail::AnyFunction, Rest&&...) {
    static_assert(SleeperLike<S>,
                  "retry: this sleeper waits in coroutines only. Include "
                  "<belay/call_coroutines.hpp>, and let fn return an awaitable, such as a Task. "
                  "For calls that block, pass a sleeper that blocks, such as ThreadSleeper");
    return {};
}
/// Does not compile, because the sleeper lacks something, or is a temporary.
template <detail::PolicyShaped P, detail::SleeperShaped S, detail::FunctionShaped F, class... Rest>
    requires(!detail::SleeperFits<S> || !std::is_lvalue_reference_v<S>)
Result<void> retry(const P&, S&&, F&&, Rest&&...) {
    static_assert(!detail::SleeperFits<S> || std::is_lvalue_reference_v<S>,
                  "retry: the sleeper must be a variable that is not const");
    if constexpr (!detail::SleeperFits<S>) {
        static_assert(explain::sleeper_like<std::remove_reference_t<S>>());
    }
    return {};
}

}}  // namespace belay
