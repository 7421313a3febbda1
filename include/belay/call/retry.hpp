// SPDX-License-Identifier: MIT
/// \file belay/call/retry.hpp
/// retry: repeats a call until it works, or until the policy stops. Blocking.
#pragma once

#include <concepts>      // std::same_as
#include <cstdint>       // std::uint8_t, std::uint64_t
#include <optional>      // std::optional
#include <system_error>  // std::error_code
#include <type_traits>   // std::remove_reference_t
#include <utility>       // std::move

#include <belay/call/answer.hpp>
#include <belay/call/retry_observer.hpp>
#include <belay/core/order.hpp>
#include <belay/core/sleeper_like.hpp>
#include <belay/core/stop_source.hpp>
#include <belay/policy/detail/spending.hpp>
#include <belay/policy/policy.hpp>

namespace belay { inline namespace BELAY_ABI {

template <class P>
class Remembered;

namespace detail {

/// Whether a rule or a policy may limit how long an attempt takes.
template <class R>
inline constexpr bool limits_attempts = HasAttemptLimit<R>;
template <class... Rules>
inline constexpr bool limits_attempts<Policy<Rules...>> = (limits_attempts<Rules> || ...);
template <class P>
inline constexpr bool limits_attempts<Remembered<P>> = limits_attempts<P>;

/// Whether the attempt that a retry has begun was made.
struct MadeAttempt {
    const std::uint64_t* asked = nullptr;  // the calls of the layers inside; null without layers
    std::uint64_t asked_before = 0;
    bool begun = false;  // there is no result yet

    constexpr void begin() noexcept {
        begun = true;
        if (asked != nullptr) asked_before = *asked;
    }
    [[nodiscard]] constexpr bool is_made() const noexcept {
        return begun && (asked == nullptr || *asked != asked_before);
    }
};

/// The next step of a run of retry.
enum class RetryStep : std::uint8_t { call, wait, finished };

/// Decides one run of retry, blocking or not: the copy of the policy, and the last answer.
///
/// It keeps the promise to the policy: its destructor abandons what has begun or is planned. An
/// attempt that was made stays paid for, also if the caller did not wait for its result. Otherwise
/// a budget would not limit the retries of callers with a short deadline around them. With layers
/// inside, `asked` counts the calls that they make: an attempt that waited in a queue until its end
/// was not made.
template <class P, class Sleeper, class Answer, class Observer>
class RetryCore {
public:
    /// `policy` is a P, or the only rule of one.
    template <class Rules>
    RetryCore(Rules&& policy, Sleeper& sleeper, Observer& observer, const Attempt& around,
              const std::uint64_t* asked = nullptr)
        : policy_{std::forward<Rules>(policy)},
          sleeper_{sleeper},
          observer_{observer},
          attempt_{around},
          deadline_{around.deadline},
          made_{.asked = asked} {
        attempt_.repeats = around.is_retry();
        attempt_.number = 0;
    }
    RetryCore(const RetryCore&) = delete;
    RetryCore& operator=(const RetryCore&) = delete;
    ~RetryCore() { abandon(); }

    /// `call`: an attempt has begun, and took() gets its answer. `wait`: wait until until(), then
    /// call next() again.
    /// It is inline because most runs call it once: the seldom parts are functions of their own.
    [[gnu::always_inline]] RetryStep next(bool stopped) {
        if (finished_) return RetryStep::finished;
        if (stopped) return end(CallErrc::stopped, Advice::go());
        Turn turn{sleeper_.now(), sleeper_.bits()};
        want(turn);
        if (turn.now > deadline_) {
            const Duration wait = limit_wait(turn.now, standing_);
            return end(std::make_error_code(std::errc::timed_out), standing_, wait);
        }
        const bool planned_wait = !standing_.allows(turn.now);
        Advice advice = policy_.admit(turn.now);
        if (planned_wait) advice = detail::stronger(standing_, advice);
        if (advice.allows(turn.now)) {
            advice = policy_.begin(turn);
            if (advice.verb == Advice::Verb::go) return begun(turn.now);
        }
        return wait_or_end(turn.now, advice, planned_wait);
    }

    /// Takes the answer of the attempt, if it worked; the run is finished then. Otherwise took()
    /// has to take it.
    [[nodiscard]] bool succeeded(const Answer& answer) {
        if (answer.failure) return false;
        Turn turn{sleeper_.now(), sleeper_.bits()};
        held_ = made_.begun = false;
        policy_.succeeded(turn);
        finished_ = true;
        notify<RetryRunHooks::Success>(attempt_);
        return true;
    }
    /// Takes the answer of the attempt, which is over.
    void took(Answer&& answer) {
        const std::optional<Failure> failure = answer.failure;
        static_cast<void>(succeeded(answer));
        // A rejection does not replace an earlier answer of the peer.
        if (!answer_ || !answer.rejected || answer_->rejected) answer_.emplace(std::move(answer));
        if (failure) failed(*failure);
    }

    /// Returns the attempt that began last; its number is 0 if none has.
    [[nodiscard]] const Attempt& attempt() const noexcept { return attempt_; }
    [[nodiscard]] Instant until() const noexcept { return until_; }
    /// Pre: finished.
    [[nodiscard]] Answer& answer() noexcept { return *answer_; }

private:
    void want([[maybe_unused]] Turn& turn) noexcept {
        if constexpr (HasWanted<P>) {
            if (held_) return;
            held_ = true;
            policy_.wanted(turn);
        }
    }

    [[nodiscard]] Attempt following() const noexcept {
        Attempt attempt = attempt_;
        ++attempt.number;
        attempt.deadline = deadline_;
        return attempt;
    }

    RetryStep begun(Instant now) {
        held_ = true;
        attempt_ = following();
        if constexpr (limits_attempts<P>) {
            const Instant end = after(now, policy_.attempt_limit(forever));
            if (end < attempt_.deadline) attempt_.deadline = end;
        }
        notify<RetryRunHooks::Begun>(attempt_);
        made_.begin();
        return RetryStep::call;
    }

    [[gnu::cold, gnu::noinline]] RetryStep wait_or_end(Instant now, const Advice& advice,
                                                       bool planned_wait) {
        if (advice.verb == Advice::Verb::stop) return end_by_rule(advice, now);
        if (advice.until == never) return end_for_ever(advice);
        if (advice.until > deadline_) {
            const Duration wait = limit_wait(now, advice);
            return end(std::make_error_code(std::errc::timed_out), advice, wait);
        }
        // Do not sleep for an attempt that a rule will not allow when it is due.
        const Advice then = policy_.admit(advice.until);
        if (then.verb == Advice::Verb::stop) return end_by_rule(then, now, limit_wait(now, advice));
        if constexpr (has_hook_of<RetryRunHooks::Rejection, Observer>) {
            if (!planned_wait) {
                notify<RetryRunHooks::Rejection>(
                    CallRejected{following(), advice, elapsed(now, advice.until)});
            }
        }
        until_ = advice.until;
        return RetryStep::wait;
    }

    [[gnu::cold, gnu::noinline]] void failed(const Failure& failure) {
        Turn turn{sleeper_.now(), sleeper_.bits()};
        held_ = made_.begun = false;
        if (failure.retry_after > Duration::zero()) {
            requested_ = detail::larger(requested_, after(turn.now, failure.retry_after));
        }
        standing_ = policy_.failed(failure, turn);
        if (standing_.verb == Advice::Verb::stop) {
            static_cast<void>(end_by_rule(standing_, turn.now));
            return;
        }
        held_ = true;
        if constexpr (has_hook_of<RetryRunHooks::Planned, Observer>) {
            const Duration wait = standing_.verb == Advice::Verb::go
                                      ? Duration{}
                                      : elapsed(turn.now, standing_.until);
            notify<RetryRunHooks::Planned>(RetryPlanned{attempt_, failure, standing_, wait});
        }
    }

    // A breaker suspends, or stops with FailFast. It is known by its name, because limits do so,
    // too.
    RetryStep end_for_ever(const Advice& advice, Duration wait = {}) {
        const bool is_open = advice.by == "Breaker" || advice.by == "CircuitBreaker";
        return end(is_open ? CallErrc::breaker_open : CallErrc::gave_up, advice, wait);
    }
    // Returns the rest of a suspension by a limit, which the caller has to wait for, too.
    [[nodiscard]] static Duration limit_wait(Instant now, const Advice& advice) noexcept {
        const bool is_limit = advice.verb == Advice::Verb::suspend && advice.until != never;
        return is_limit ? elapsed(now, advice.until) : Duration{};
    }
    // A stop with an instant is that of a rule with FailFast, which may be asked again then.
    RetryStep end_by_rule(const Advice& advice, Instant now, Duration wait = {}) {
        if (advice.until == never || advice.until == always) return end_for_ever(advice, wait);
        return end(CallErrc::call_rejected, advice,
                   detail::larger(wait, elapsed(now, advice.until)));
    }

    [[gnu::cold, gnu::noinline]] RetryStep end(const std::error_code& why,
                                               [[maybe_unused]] const Advice& advice,
                                               Duration wait = {}) {
        abandon();
        finished_ = true;
        const Instant now = sleeper_.now();
        // A rule that stops outranks a breaker that the last attempt has opened.
        wait = detail::larger(wait, elapsed(now, policy_.rejects_until(now)));
        if (answer_) {
            // The reason from an inner layer stays: it timed out, or was rejected.
            if (answer_->why == CallErrc::call_failed) answer_->why = why;
            // The caller waits only for what is left of the waits that were requested.
            answer_->failure->retry_after = detail::larger(elapsed(now, requested_), wait);
        } else {
            answer_.emplace(Answer::reject(why, wait));
        }
        if constexpr (has_hook_of<RetryRunHooks::GaveUp, Observer>) {
            const Failure failure = attempt_.number != 0 ? *answer_->failure : Failure{};
            notify<RetryRunHooks::GaveUp>(RetryEnded{attempt_.number, failure, why, advice});
        }
        return RetryStep::finished;
    }

    template <class H, class Event>
    void notify(const Event& event) {
        detail::notify<H>(observer_, no_machine, event);
    }

    void abandon() noexcept {
        if (!held_) return;
        held_ = false;
        Turn turn{sleeper_.now(), sleeper_.bits()};
        if (made_.is_made()) detail::spend(policy_, turn);
        policy_.abandoned(turn);
    }

    P policy_;
    Sleeper& sleeper_;
    Observer& observer_;
    Attempt attempt_;
    Instant deadline_;  // of all attempts together
    Advice standing_{};
    Instant until_ = always;
    Instant requested_ = always;  // the end of the waits that answers have requested
    bool held_ = false;           // wanted, begun or planned: the policy waits for the end
    MadeAttempt made_{};
    bool finished_ = false;
    std::optional<Answer> answer_;
};

/// The call around a retry.
struct AroundRetry {
    const Attempt& attempt;
    const std::uint64_t* asked = nullptr;  ///< counts the calls that were made, if a Pipeline does
};

/// The call of a retry: `make(attempt)` makes it once, and `finish(Answer&&)` returns its result.
template <class Make, class Finish>
struct RetriedCall {
    Make& make;
    Finish& finish;
};
template <class Make, class Finish>
RetriedCall(Make&, Finish&) -> RetriedCall<Make, Finish>;

/// Runs a copy of the policy to its end. Returns what `call.finish` makes of the answer. It gets
/// the answer where it is, because most runs end at once.
template <class Answer, class P, class Sleeper, class Call, class Stop, class Observer>
auto run_retry(const P& policy, Sleeper& sleeper, const Call& call, const Stop& stop,
               Observer& observer, const AroundRetry& around) {
    RetryCore<AsPolicy<P>, Sleeper, Answer, Observer> core{policy, sleeper, observer,
                                                           around.attempt, around.asked};
    for (;;) {
        const RetryStep step = core.next(stop.stop_requested());
        if (step == RetryStep::finished) return call.finish(std::move(core.answer()));
        if (step == RetryStep::call) {
            Answer answer = call.make(core.attempt());
            if (core.succeeded(answer)) return call.finish(std::move(answer));
            core.took(std::move(answer));
        } else {
            sleeper.sleep_until(core.until(), stop);
        }
    }
}

}  // namespace detail

/// Calls `fn` until it works, and waits as the policy advises. It runs a copy of the policy.
///
/// | `fn` returns | a failure is | retry returns |
/// | bool | false | Result<void> |
/// | optional | empty | Result of the value |
/// | std::error_code | an error | the last std::error_code |
/// | expected-like (has_value, error, value_type) | no value | the last one |
/// | with ok(); or with a test as bool, and error() | false | Outcome of it |
/// | with category().message(value()), as Boost's codes | true | std::error_code, or Outcome |
/// | a pair, tuple, variant, container or smart pointer | a failure in it | Outcome of it |
/// | a text, another class, or void | an exception only | Result of it |
///
/// A type that may report a failure in a way that is not listed does not compile. Examples are an
/// integer, an enum, and a class with a member such as `error` or `status_code`. Use fails_if,
/// AnswerTraits or any_value; docs/call.md has the whole table.
///
/// Any exception is also a failure. The exception of the last attempt leaves retry after the policy
/// has received the failure. With fails_if and fails_on, predicates and exception types decide
/// instead. The last error is returned as it was, but the `retry_after` of a Failure is what is
/// left of the wait. If there is no error, CallErrc gives the reason why there was no (further)
/// attempt.
///
/// `fn` may take an Attempt. The policy may also be a single rule. An AttemptTimeout in it becomes
/// the deadline in the Attempt, which `fn` must then take; a running call is not interrupted. With
/// fails_if(fn, Attempt::late), a late answer has failed.
///
/// If a stop is requested from a StopToken, a wait ends at once; with any other token, it ends
/// soon. No attempt begins after that. The observer has any of `on_attempt(Attempt)`,
/// `on_retry(RetryPlanned)`, `on_rejection(CallRejected)`, `on_success(Attempt)` and
/// `on_give_up(RetryEnded)`, which may throw. If an exception leaves retry, the attempt that has
/// begun or is planned is abandoned.
///
/// Without any rule that waits or stops, a call that never works is repeated for ever at full
/// speed. The overload without a sleeper is in <belay/drive/thread_sleeper.hpp>, the one for
/// coroutines in <belay/call/retry_task.hpp>.
///
/// Throws:     what `fn`, a predicate or the observer throws; nothing else.
/// Allocates:  never.
/// Blocks:     while `fn` runs, and for the waits.
/// Complexity: attempts * rules.
template <RuleLike P, SleeperLike Sleeper, class F, StopTokenLike Stop = NeverStops,
          class Observer = const NoObserver>
    requires detail::BlockingCall<std::remove_reference_t<F>>
auto retry(const P& policy, Sleeper& sleeper, F&& fn, const Stop& stop = {},
           Observer&& observer = {}) {
    static_assert(
        detail::explain_observer<detail::RetryRunHooks, std::remove_reference_t<Observer>>());
    using Callable = std::remove_reference_t<F>;
    using Callee = detail::Callee<Callable, detail::CallResult<Callable>>;
    detail::explain_deadline<Callable, detail::limits_attempts<P>>();
    const auto make = [&fn, &sleeper](const Attempt& attempt) {
        return Callee::make(fn, attempt, sleeper);
    };
    using Answer = typename Callee::Answer;
    const auto finish = [](Answer&& answer) { return Callee::unwrap(std::move(answer)); };
    return detail::run_retry<Answer>(policy, sleeper, detail::RetriedCall{make, finish}, stop,
                                     detail::watching(observer), {Attempt{}});
}

namespace detail {

// A type that is meant to be a sleeper, whether it is one or not.
template <class S>
concept SleeperShaped = requires(std::remove_reference_t<S>& sleeper) {
    sleeper.now();
    sleeper.bits();
};
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
    static_assert(StopTokenLike<std::remove_reference_t<Observer>>,
                  "retry: pass a stop token before the observer: retry(policy, sleeper, fn, "
                  "NeverStops{}, observer)");
    return {};
}
/// Does not compile, because the observer comes after a stop token; without a sleeper.
template <detail::PolicyShaped P, detail::FunctionShaped F, class Observer>
    requires(!detail::SleeperShaped<F> && !StopTokenLike<std::remove_reference_t<Observer>> &&
             !detail::SleeperShaped<Observer> && !detail::FunctionShaped<Observer>)
Result<void> retry(const P&, F&&, Observer&&) {
    static_assert(
        StopTokenLike<std::remove_reference_t<Observer>>,
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
