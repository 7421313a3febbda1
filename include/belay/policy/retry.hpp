// SPDX-License-Identifier: MIT
/// \file belay/policy/retry.hpp
/// retry: calls something until it works or the policy has had enough. Blocking.
#pragma once

#include <concepts>     // std::invocable, std::same_as
#include <cstdint>      // std::uint64_t
#include <exception>    // std::exception_ptr
#include <optional>     // std::optional
#include <type_traits>  // std::remove_reference_t
#include <utility>      // std::move

#include <belay/core/no_observer.hpp>
#include <belay/policy/policy.hpp>
#include <belay/policy/retry_outcome.hpp>
#include <belay/policy/sleeper_like.hpp>
#include <belay/policy/stop_source.hpp>

namespace belay::inline BELAY_ABI {

/// Which attempt this is; passed to callables that take one.
struct Attempt {
    /// 1 for the first.
    std::uint64_t number = 1;
    [[nodiscard]] constexpr bool is_retry() const noexcept { return number > 1; }
};

/// What an observer learns before each wait for a further attempt.
struct Retry {
    /// The attempt that failed.
    Attempt attempt;
    /// Why.
    Failure failure;
    /// What the policy says: until when to wait, and which rule said so.
    Advice advice;
    /// How long that is from now.
    Duration wait;
};

namespace detail {

template <class O>
concept ObservesRetry = std::same_as<std::remove_cvref_t<O>, NoObserver> ||
                        requires(O& observer, const Retry& event) { observer.on_retry(event); };

template <class F>
decltype(auto) call(F& fn, Attempt attempt) {
    if constexpr (std::invocable<F&, Attempt>) {
        if constexpr (std::is_void_v<std::invoke_result_t<F&, Attempt>>) {
            fn(attempt);
            return VoidOutcome{};
        } else {
            return fn(attempt);
        }
    } else if constexpr (std::is_void_v<std::invoke_result_t<F&>>) {
        fn();
        return VoidOutcome{};
    } else {
        return fn();
    }
}

template <class F>
using OutcomeOf = decltype(detail::call(std::declval<F&>(), Attempt{}));

/// One run of retry: the copy of the policy, and what the last attempt left behind.
template <class P, class Sleeper, class F, class Stop, class Observer>
class RetryRun {
    using Returned = OutcomeOf<F>;
    using Outcome = RetryOutcome<Returned>;

public:
    RetryRun(P policy, Sleeper& sleeper, F& fn, const Stop& stop, Observer& observer)
        : policy_{std::move(policy)},
          sleeper_{sleeper},
          fn_{fn},
          stop_{stop},
          observer_{observer} {}

    typename Outcome::type run() {
        for (Attempt attempt;; ++attempt.number) {
            if (const auto why = wait_for_admission(); why != PolicyErrc{}) return give_up(why);
            const std::optional<Failure> failure = attempt_once(attempt);
            Turn turn{sleeper_.now(), sleeper_.bits()};
            if (!failure) {
                policy_.succeeded(turn);
                return Outcome::finish(std::move(*returned_), PolicyErrc{});
            }
            standing_ = policy_.failed(*failure, turn);
            if (standing_.verb == Verb::stop) return give_up(PolicyErrc::gave_up);
            if constexpr (!std::same_as<std::remove_cv_t<Observer>, NoObserver>) {
                const Duration wait =
                    standing_.verb == Verb::go ? Duration{} : elapsed(turn.now, standing_.until);
                observer_.on_retry(Retry{attempt, *failure, standing_, wait});
            }
        }
    }

private:
    // Waits until an attempt has begun; the reason why not otherwise.
    PolicyErrc wait_for_admission() {
        for (;;) {
            if (stop_.stop_requested()) return PolicyErrc::stopped;
            Turn turn{sleeper_.now(), sleeper_.bits()};
            Advice advice = standing_.allows(turn.now)
                                ? policy_.admit(turn.now)
                                : stronger(standing_, policy_.admit(turn.now));
            if (advice.allows(turn.now)) {
                advice = policy_.begin(turn);
                if (advice.verb == Verb::go) return PolicyErrc{};
            }
            if (advice.verb == Verb::stop) return PolicyErrc::gave_up;
            if (advice.until == never) return PolicyErrc::breaker_open;
            sleeper_.sleep_until(advice.until, stop_);
        }
    }

    // Makes the call; the failure, if it was one. An exception is kept for whoever gives up.
    std::optional<Failure> attempt_once(Attempt attempt) {
#if defined(__cpp_exceptions)
        thrown_ = nullptr;
        returned_.reset();
        try {
            return classify(attempt);
        } catch (const std::system_error& error) {
            thrown_ = std::current_exception();
            return Failure::from(error.code());
        } catch (...) {
            thrown_ = std::current_exception();
            return Failure{Cause::lost};
        }
#else
        returned_.reset();
        return classify(attempt);
#endif
    }
    std::optional<Failure> classify(Attempt attempt) {
        returned_.emplace(detail::call(fn_, attempt));
        if (!Outcome::failed(*returned_)) return std::nullopt;
        return Outcome::failure(*returned_);
    }

    typename Outcome::type give_up(PolicyErrc why) {
#if defined(__cpp_exceptions)
        if (thrown_) std::rethrow_exception(std::move(thrown_));
#endif
        return returned_ ? Outcome::finish(std::move(*returned_), why) : Outcome::without(why);
    }

    P policy_;
    Sleeper& sleeper_;
    F& fn_;
    const Stop& stop_;
    Observer& observer_;
    Advice standing_{};
    std::optional<Returned> returned_;
#if defined(__cpp_exceptions)
    std::exception_ptr thrown_;
#endif
};

}  // namespace detail

/// Calls `fn` until it works, waiting as the policy advises; runs a copy of the policy.
///
/// | `fn` returns | a failure is | retry returns |
/// | bool | false | Result<void> |
/// | optional | empty | Result of the value |
/// | std::error_code | an error | the last std::error_code |
/// | expected-like (has_value, error, value_type) | no value | the last one |
/// | another value, or void | an exception only | Result of it |
///
/// Any exception is a failure too: the one of the last attempt leaves retry once the policy knows.
/// The last error is returned as it was; where there is none, PolicyErrc says why there was no
/// (further) attempt. `fn` may take an Attempt. The policy may also be a single rule.
///
/// A wait ends at once when `stop` is a StopToken that is asked to stop, and soon with any other
/// token; no attempt begins after that. `observer.on_retry(const Retry&)` runs after each failure
/// that is followed by a wait, and may throw.
///
/// Without any rule that waits or stops, a call that never works is repeated for ever at full
/// speed. The overload without a sleeper is in <belay/drive/thread_sleeper.hpp>.
///
/// Throws:     what `fn` or the observer throws; nothing else.   Allocates: never.
/// Blocks:     while `fn` runs, and for the waits.
/// Complexity: attempts * rules.
template <RuleLike P, SleeperLike Sleeper, class F, StopTokenLike Stop = NeverStops,
          class Observer = const NoObserver>
    requires std::invocable<F&> || std::invocable<F&, Attempt>
auto retry(const P& policy, Sleeper& sleeper, F&& fn, const Stop& stop = {},
           Observer&& observer = {}) {
    static_assert(detail::ObservesRetry<Observer>,
                  "retry: the observer needs 'on_retry(const belay::Retry&)'");
    using Watcher = std::remove_reference_t<Observer>;
    using Callable = std::remove_reference_t<F>;
    if constexpr (detail::is_policy<P>) {
        return detail::RetryRun<P, Sleeper, Callable, Stop, Watcher>{policy, sleeper, fn, stop,
                                                                     observer}
            .run();
    } else {
        return detail::RetryRun<Policy<P>, Sleeper, Callable, Stop, Watcher>{
            Policy<P>{policy}, sleeper, fn, stop, observer}
            .run();
    }
}

}  // namespace belay::inline BELAY_ABI
