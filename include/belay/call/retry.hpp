// SPDX-License-Identifier: MIT
/// \file belay/call/retry.hpp
/// retry: repeats a call until it works, or until the policy stops. Blocking.
#pragma once

#include <concepts>      // std::same_as
#include <cstdint>       // std::uint8_t, std::uint64_t
#include <exception>     // std::exception_ptr, std::uncaught_exceptions
#include <optional>      // std::optional
#include <system_error>  // std::error_code
#include <type_traits>   // std::remove_reference_t
#include <utility>       // std::move

#include <belay/call/answer.hpp>
#include <belay/call/attempt.hpp>
#include <belay/call/retry_observer.hpp>
#include <belay/core/observer.hpp>
#include <belay/core/order.hpp>
#include <belay/core/result.hpp>
#include <belay/core/sleeper_like.hpp>
#include <belay/core/stop_source.hpp>
#include <belay/policy/policy.hpp>
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
/// Does not compile, because several rules make one policy, or the second argument is neither a
/// function nor a sleeper.
template <detail::PolicyShaped First, class Second, class... Rest>
    requires(!detail::SleeperShaped<Second> && !detail::FunctionShaped<Second>)
Result<void> retry(const First&, Second&&, Rest&&...) {
    static_assert(!detail::PolicyShaped<Second>,
                  "retry: write the rules into one policy: retry(Policy{MaxAttempts{3}, "
                  "Backoff{...}}, fn)");
    static_assert(detail::PolicyShaped<Second>,
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

namespace detail {

/// Each attempt of a retry that calls the function itself is made.
struct AlwaysMade {
    struct Rejections {};
    static constexpr void begin() noexcept {}
    [[nodiscard]] static constexpr bool is_made() noexcept { return true; }
    [[nodiscard]] static constexpr Instant latest(Instant deadline) noexcept { return deadline; }
    [[nodiscard]] static Failure cut(Instant) noexcept {
        return Failure::from(std::make_error_code(std::errc::timed_out));
    }
};
/// With layers inside a retry, an attempt may have waited in a queue until its end. It was made if
/// they have made a call.
struct MadeByLayers {
    /// The waits of layers that rejected attempts, which other layers must not take for the peer's.
    struct Rejections {
        bool has_last = false;  // whether the last attempt was rejected
        Instant until = always;
    };
    const MadeCalls* calls;  // of the layers
    std::uint64_t asked_before = 0;

    constexpr void begin() noexcept { asked_before = calls->asked; }
    [[nodiscard]] constexpr bool is_made() const noexcept { return calls->asked != asked_before; }
    [[nodiscard]] constexpr Instant latest(Instant deadline) const noexcept {
        return calls->latest(deadline);
    }
    [[nodiscard]] Failure cut(Instant deadline) const noexcept { return calls->cut(deadline); }
};

/// The next step of a run of retry.
enum class RetryStep : std::uint8_t { call, wait, finished };

/// The part of a run of retry that begins with its first failure or rejection. A blocking run that
/// succeeds at once never makes it.
template <class Answer, class Rejections>
struct RetryPast {
    Advice plan{};               // while an attempt is planned
    Instant until = always;      // the end of the wait that next() has returned
    Instant requested = always;  // the end of the waits that answers have requested
    bool was_cut = false;        // whether an attempt took as long as its limit
    [[no_unique_address]] Rejections rejections{};
    std::optional<Answer> answer{};
};

/// Decides one run of retry, blocking or not: the copy of the policy, and the last answer.
///
/// It keeps the promise to the policy: its destructor abandons what has begun or is planned. An
/// attempt that its deadline ended has failed. Another attempt that was made stays paid for, also
/// if the caller did not wait for its result. Otherwise a budget would not limit the retries of
/// callers with a short deadline around them. By `Made`, it finds out whether an attempt that has
/// begun was made, and whether the peer had enough time.
///
/// Most runs succeed at once. For these, it sets as few members as it can, and the seldom parts are
/// functions of their own, which are not inlined.
template <class P, class Sleeper, class Answer, class Observer, class Made = AlwaysMade>
class RetryCore {
public:
    /// `rules` is a P, or the only rule of one.
    template <class Rules>
    RetryCore(Rules&& rules, Sleeper& sleeper, Observer& observer, const Attempt& around,
              Made made = {})
        : policy_{std::forward<Rules>(rules)},
          sleeper_{sleeper},
          observer_{observer},
          attempt_{.number = 0, .repeats = around.is_retry(), .deadline = around.deadline},
          deadline_{around.deadline},
          made_{made} {}
    RetryCore(const RetryCore&) = delete;
    RetryCore& operator=(const RetryCore&) = delete;
    ~RetryCore() {
        if (is_held()) abandon();
    }

    /// `call`: an attempt has begun, and took() gets its answer. `wait`: wait until until(), then
    /// call next() again.
    [[gnu::always_inline]] RetryStep next(bool stopped) {
        if (state_ == State::finished) return RetryStep::finished;
        if (stopped) return end(CallErrc::stopped, Advice::go());
        Turn turn{sleeper_.now(), sleeper_.bits()};
        want(turn);
        // A further attempt must have enough time, with or without a wait before it.
        const Instant last = attempt_.number == 0 ? deadline_ : made_.latest(deadline_);
        if (turn.now > last) return end_late(turn.now, plan());
        if (state_ == State::planned) {
            const Advice advice = planned(turn.now);
            if (!advice.allows(turn.now)) return rejected(turn.now, advice);
        } else {
            const Advice advice = policy_.admit(turn.now);
            if (!advice.allows(turn.now)) return rejected(turn.now, advice);
        }
        const Advice rejection = policy_.begin(turn);
        if (rejection.verb != Advice::Verb::go) return wait_or_end(turn.now, rejection);
        return begun(turn.now);
    }

    /// Reports that the attempt worked. The run is finished then.
    [[gnu::always_inline]] void succeeded() {
        Turn turn{sleeper_.now(), sleeper_.bits()};
        state_ = State::finished;
        policy_.succeeded(turn);
        notify<RetryRunHooks::Success>(attempt_);
    }
    /// Takes the answer of the attempt, which is over.
    void took(Answer&& answer) {
        if (!answer.worked()) {
            const Failure failure = *answer.failure;
            keep(std::move(answer));
            failed(failure);
        } else {
            succeeded();
            keep(std::move(answer));
        }
    }
    /// Stores the answer, which the run returns if it is the last one.
    [[gnu::noinline]] void keep(Answer&& answer) {
        std::optional<Answer>& last = past().answer;
        if constexpr (has_layers) past_->rejections.has_last = answer.rejected;
        // A rejection does not replace an earlier answer of the peer.
        if (!last || !answer.rejected || last->rejected) last.emplace(std::move(answer));
    }
    /// Reports that the attempt failed.   Pre: keep() has stored an answer.
    [[gnu::noinline]] void failed(Failure failure) {
        if (failure.cause == Cause::planned) {
            // A stop stays requested, so a further attempt would end in the same way.
            if (failure.error() == CallErrc::stopped) {
                static_cast<void>(end(CallErrc::stopped, Advice::go()));
                return;
            }
            // A peer that ends each call as planned must not decide how often to call.
            failure.cause = Cause::lost;
        }
        Turn turn{sleeper_.now(), sleeper_.bits()};
        state_ = State::idle;
        if constexpr (limits_attempts<P>) past_->was_cut |= turn.now >= attempt_.deadline;
        if (failure.retry_after > Duration::zero()) {
            Instant& until = end_of_wait();
            until = detail::larger(until, after(turn.now, failure.retry_after));
        }
        const Advice advice = told(failure, turn);
        if (advice.verb == Advice::Verb::stop) {
            if (fails_fast(advice)) report_rejection(turn.now);
            static_cast<void>(end_by_rule(advice, turn.now));
            return;
        }
        past_->plan = advice;
        state_ = State::planned;
        if constexpr (has_hook_of<RetryRunHooks::Planned, Observer>) {
            const bool waits = advice.verb != Advice::Verb::go;
            const Instant due = waits ? detail::larger(turn.now, advice.until) : turn.now;
            // Otherwise the run ends, because the attempt would have too little time.
            if (due > made_.latest(deadline_)) return;
            const Duration wait = elapsed(turn.now, due);
            notify<RetryRunHooks::Planned>(
                RetryPlanned{attempt_, failure, advice, wait, thrown_by_attempt()});
        }
    }

    /// Returns the attempt that began last; its number is 0 if none has.
    [[nodiscard]] const Attempt& attempt() const noexcept { return attempt_; }
    /// Pre: next() has returned `wait`.
    [[nodiscard]] Instant until() const noexcept { return past_->until; }
    /// Pre: next() has returned `finished`.
    [[nodiscard]] Answer& answer() noexcept { return *past_->answer; }

private:
    static constexpr bool has_layers = std::same_as<Made, MadeByLayers>;
    enum class State : std::uint8_t {
        idle,     // the policy waits for nothing
        wanted,   // from here on, the policy waits for an end
        planned,  // as past_->plan
        begun,    // there is no result yet
        finished
    };
    [[nodiscard]] bool is_held() const noexcept {
        return state_ != State::idle && state_ != State::finished;
    }
    using Past = RetryPast<Answer, typename Made::Rejections>;
    Past& past() noexcept { return past_ ? *past_ : past_.emplace(); }
    [[nodiscard]] Advice plan() const noexcept {
        return state_ == State::planned ? past_->plan : Advice::go();
    }

    // The end of the waits of the same kind as that of the last answer.
    [[nodiscard]] Instant& end_of_wait() noexcept {
        if constexpr (has_layers) {
            if (past_->rejections.has_last) return past_->rejections.until;
        }
        return past_->requested;
    }

    void want([[maybe_unused]] Turn& turn) noexcept {
        if constexpr (HasWanted<P>) {
            if (state_ != State::idle) return;
            state_ = State::wanted;
            policy_.wanted(turn);
        }
    }
    // Returns the advice for an attempt that is planned, which may still have to wait.
    [[nodiscard, gnu::noinline]] Advice planned(Instant now) const noexcept {
        const Advice advice = policy_.admit(now);
        return past_->plan.allows(now) ? advice : detail::stronger(past_->plan, advice);
    }

    [[nodiscard]] Attempt following() const noexcept {
        Attempt attempt = attempt_;
        ++attempt.number;
        attempt.deadline = deadline_;
        return attempt;
    }

    RetryStep begun(Instant now) {
        state_ = State::wanted;
        ++attempt_.number;
        if constexpr (limits_attempts<P>) {
            attempt_.deadline = end_of_attempt(after(now, policy_.attempt_limit(forever)));
        }
        notify<RetryRunHooks::Begun>(attempt_);
        made_.begin();
        state_ = State::begun;
        return RetryStep::call;
    }

    // The attempt waits, or is rejected by a check of a rule. Then it requested no permit, so the
    // object of that rule has not counted it.
    [[gnu::noinline]] RetryStep rejected(Instant now, Advice advice) {
        if (plan().allows(now)) report_rejection(now);
        return wait_or_end(now, advice);
    }
    void report_rejection(Instant now) {
        Turn turn{now, sleeper_.bits()};
        policy_.rejected(turn);
    }

    // The limit of an attempt makes room for another one, so the last one has all the time left.
    [[nodiscard]] Instant end_of_attempt(Instant end) const noexcept {
        const Duration limit = policy_.attempt_limit(forever);
        const Duration room = past_ && past_->was_cut ? limit : limit / 2;
        const bool is_last = policy_.stops_after(end) || end > before(deadline_, room);
        return is_last && deadline_ != never ? deadline_ : detail::smaller(end, deadline_);
    }

    [[gnu::noinline]] RetryStep wait_or_end(Instant now, Advice advice) {
        if (advice.verb == Advice::Verb::stop) return end_by_rule(advice, now);
        if (advice.until == never) return end_for_ever(advice);
        if (advice.until > made_.latest(deadline_)) return end_late(now, advice);
        // Do not sleep for an attempt that a rule will not allow when it is due.
        const Advice then = policy_.admit(advice.until);
        if (then.verb == Advice::Verb::stop) return end_by_rule(then, now, limit_wait(now, advice));
        if constexpr (has_hook_of<RetryRunHooks::Rejection, Observer>) {
            if (plan().allows(now)) {
                notify<RetryRunHooks::Rejection>(
                    CallRejected{following(), advice, elapsed(now, advice.until)});
            }
        }
        past().until = advice.until;
        return RetryStep::wait;
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
    [[nodiscard]] static bool fails_fast(const Advice& advice) noexcept {
        return advice.until != never && advice.until != always;
    }
    RetryStep end_by_rule(const Advice& advice, Instant now, Duration wait = {}) {
        if (!fails_fast(advice)) return end_for_ever(advice, wait);
        return end(CallErrc::call_rejected, advice,
                   detail::larger(wait, elapsed(now, advice.until)));
    }
    [[gnu::cold, gnu::noinline]] RetryStep end_late(Instant now, Advice advice) {
        return end(std::make_error_code(std::errc::timed_out), advice, limit_wait(now, advice));
    }

    [[gnu::cold, gnu::noinline]] RetryStep end(const std::error_code& why,
                                               [[maybe_unused]] const Advice& advice,
                                               Duration wait = {}) {
        if (is_held()) abandon();
        state_ = State::finished;
        const Instant now = sleeper_.now();
        // A rule that stops outranks a breaker that the last attempt has opened.
        wait = detail::larger(wait, elapsed(now, policy_.rejects_until(now)));
        std::optional<Answer>& last = past().answer;
        if (last) {
            // The reason from an inner layer stays: it timed out, or was rejected.
            if (last->why == CallErrc::call_failed) last->why = why;
            if constexpr (has_layers) wait = keep_apart(*last, wait, now);
            // The caller waits only for what is left of the waits that were requested.
            last->failure->retry_after = detail::larger(elapsed(now, past_->requested), wait);
        } else {
            last.emplace(Answer::reject(why, wait));
        }
        if constexpr (has_hook_of<RetryRunHooks::GaveUp, Observer>) {
            Failure failure{};
            std::exception_ptr thrown{};
            if (attempt_.number != 0) {
                failure = *last->failure;
                thrown = thrown_by(*last);
                failure.retry_after =
                    detail::larger(failure.retry_after, elapsed(now, last->rejects_until));
            }
            notify<RetryRunHooks::GaveUp>(
                RetryEnded{attempt_.number, failure, why, advice, std::move(thrown)});
        }
        return RetryStep::finished;
    }

    [[nodiscard]] static std::exception_ptr thrown_by(
        [[maybe_unused]] const Answer& answer) noexcept {
#if defined(__cpp_exceptions)
        return answer.thrown;
#else
        return nullptr;
#endif
    }
    // A rejection throws nothing, and may have left the answer of an earlier attempt in its place.
    [[nodiscard]] std::exception_ptr thrown_by_attempt() const noexcept {
        if constexpr (has_layers) {
            if (past_->rejections.has_last) return nullptr;
        }
        return thrown_by(*past_->answer);
    }

    // Returns the part of the wait of limits that the failure has. An answer of the peer has it in
    // a member of its own, so that no layer around takes it for the peer's.
    [[nodiscard]] Duration keep_apart(Answer& last, Duration wait, Instant now) const noexcept {
        wait = detail::larger(wait, elapsed(now, past_->rejections.until));
        if (last.rejected) return wait;
        last.rejects_until = detail::larger(last.rejects_until, after(now, wait));
        return Duration{};
    }

    template <class H, class Event>
    void notify(const Event& event) {
        detail::notify<H>(observer_, no_machine, event);
    }

    // Reports a failure to the policy.
    Advice told(const Failure& failure, Turn& turn) noexcept {
        if (had_no_time(failure) && made_.is_made()) policy_.spend(turn);
        return policy_.failed(failure, turn);
    }
    // Pre: is_held().
    [[gnu::cold, gnu::noinline]] void abandon() noexcept {
        const bool is_made = state_ == State::begun && made_.is_made();
        state_ = State::idle;
        Turn turn{sleeper_.now(), sleeper_.bits()};
        // An exception that leaves the call is no verdict.
        if (is_made && turn.now >= attempt_.deadline && std::uncaught_exceptions() == 0) {
            static_cast<void>(told(made_.cut(attempt_.deadline), turn));
        } else if (is_made) {
            policy_.spend(turn);
        }
        policy_.abandoned(turn);
    }

    P policy_;
    Sleeper& sleeper_;
    Observer& observer_;
    Attempt attempt_;
    Instant deadline_;  // of all attempts together
    [[no_unique_address]] Made made_;
    State state_ = State::idle;
    std::optional<Past> past_{};
};

/// The call around a retry.
template <class Made = AlwaysMade>
struct AroundRetry {
    const Attempt& attempt;
    Made made{};
};

/// The function that a retry calls itself.
template <class F, class Sleeper>
struct DirectCall {
    using Callee = detail::Callee<F, CallResult<F>>;
    using Answer = typename Callee::Answer;

    F& fn;
    Sleeper& sleeper;

    /// Makes an attempt, and returns its value if it worked. Otherwise the core has its answer.
    template <class Core>
    [[gnu::always_inline]] auto attempt(Core& core) const {
        const auto keep = [&core](Answer&& answer) { core.keep(std::move(answer)); };
        auto returned = Callee::try_once(fn, core.attempt(), sleeper, keep);
        if (!returned) core.failed(*core.answer().failure);
        return returned;
    }
    /// Returns the result of an attempt that worked.
    template <class Returned>
    [[nodiscard]] static auto result_of(Returned&& returned) {
        return Callee::unwrap(*std::move(returned));
    }
    /// Returns the result of the last answer.
    [[nodiscard, gnu::cold, gnu::noinline]] static auto finish(Answer& answer) {
        return Callee::unwrap(std::move(answer));
    }
};

/// Runs a copy of the policy to its end.
///
/// Most runs end at once, so the result of an attempt that worked goes to the caller without a
/// detour; see DirectCall.
template <class P, class Sleeper, class Call, class Stop, class Observer, class Made>
auto run_retry(const P& policy, Sleeper& sleeper, const Call& call, const Stop& stop,
               Observer& observer, const AroundRetry<Made>& around) {
    RetryCore<AsPolicy<P>, Sleeper, typename Call::Answer, Observer, Made> core{
        policy, sleeper, observer, around.attempt, around.made};
    for (;;) {
        const RetryStep step = core.next(stop.stop_requested());
        if (step == RetryStep::call) {
            if (auto worked = call.attempt(core)) {
                core.succeeded();
                return call.result_of(std::move(worked));
            }
        } else if (step == RetryStep::wait) {
            sleeper.sleep_until(core.until(), stop);
        } else {
            return call.finish(core.answer());
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
/// AnswerTraits or any_value; docs/reference/retry.md has the whole table.
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
/// soon. No attempt begins after that. A call that ends with CallErrc::stopped, such as an inner
/// retry, ends this one, too. Another failure with Cause::planned counts as `lost`.
///
/// The observer has any of these hooks, which may throw:
/// - `on_attempt(Attempt)`: a call is about to be made.
/// - `on_retry(RetryPlanned)`: the call failed, and there will be another.
/// - `on_rejection(CallRejected)`: an attempt is due, and a rule (a breaker) rejects it.
/// - `on_success(Attempt)`: the call worked.
/// - `on_give_up(RetryEnded)`: there will be no more attempts.
///
/// If an exception leaves retry, the attempt that has begun or is planned is abandoned.
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
    detail::explain_deadline<Callable, detail::limits_attempts<P>>();
    return detail::run_retry(policy, sleeper, detail::DirectCall<Callable, Sleeper>{fn, sleeper},
                             stop, detail::watching(observer),
                             detail::AroundRetry<>{detail::attempt_around(fn)});
}

}}  // namespace belay
