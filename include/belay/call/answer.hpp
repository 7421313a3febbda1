// SPDX-License-Identifier: MIT
/// \file belay/call/answer.hpp
/// part::Answer: the result of one call, on its way out through the layers around it.
#pragma once

#include <concepts>      // std::convertible_to, std::same_as
#include <cstdint>       // std::uint64_t
#include <exception>     // std::exception_ptr
#include <new>           // std::bad_alloc
#include <optional>      // std::optional
#include <system_error>  // std::error_code
#include <type_traits>   // std::type_identity
#include <utility>       // std::forward, std::move

#include <belay/call/attempt.hpp>
#include <belay/call/retry_outcome.hpp>
#include <belay/core/failure.hpp>
#include <belay/core/instant.hpp>
#include <belay/core/order.hpp>
#include <belay/policy/detail/causes.hpp>

namespace belay { inline namespace BELAY_ABI {

template <class T>
class Task;

namespace part {

/// The result of one call: what it returned or threw, or why there was no call.
///
/// Thread safety: distinct objects safe.
template <class Returned>
struct Answer {
    /// The value that the call returned, if it returned.
    std::optional<Returned> returned{};
#if defined(__cpp_exceptions)
    /// The exception that it threw instead.
    std::exception_ptr thrown{};
#endif
    /// Why it failed; empty if it worked. A layer may change it. The caller then gets a success, if
    /// there is a value for one, or a failure.
    std::optional<Failure> failure{};
    /// The error, if the call left none of its own.
    std::error_code why = make_error_code(CallErrc::call_failed);
    /// Whether no call was made at all, so that the answer means nothing for the peer.
    bool rejected = false;
    /// Until when a limit of this program rejects the next call, such as a breaker that this call
    /// has opened. The caller of a Pipeline gets it as a wait. No layer takes it for a peer's. Only
    /// an answer with `rejected` has the wait of a limit in its failure.
    Instant rejects_until = always;

    /// Returns whether the call succeeded.
    [[nodiscard]] bool worked() const noexcept { return !failure; }
    /// Makes an answer that worked; without arguments for calls that return void.
    template <class... Value>
    [[nodiscard]] static Answer success(Value&&... value) {
        Answer answer;
        answer.returned.emplace(std::forward<Value>(value)...);
        return answer;
    }
    /// Makes the answer of a call that gave none.
    [[nodiscard]] static Answer none(const std::error_code& why, const Failure& failure) {
        Answer answer;
        answer.failure = failure;
        answer.why = why;
        return answer;
    }
    /// Makes the answer for a call that was not made; ask again after `wait`.
    ///
    /// The failure has the cause of `why`, and the code CallErrc::call_rejected. By its origin,
    /// `local`, rules recognise that the rejection did not come from a peer.
    [[nodiscard]] static Answer reject(const std::error_code& why, Duration wait) {
        Failure failure = Failure::from(why, wait);
        if (detail::peer_evidence(failure) != detail::PeerEvidence::nothing) {
            const std::error_code ours = CallErrc::call_rejected;
            failure.code = ours.value();
            failure.category = &ours.category();
            failure.origin = Failure::Origin::local;
        }
        Answer answer = none(why, failure);
        answer.rejected = true;
        return answer;
    }
};

}  // namespace part

namespace detail {

/// A limit of the time of a call, and the time that the peer must have had, for a late answer to
/// count against it.
struct TimeLimit {
    Duration limit = forever;
    Duration least{};

    [[nodiscard]] constexpr bool is_set() const noexcept { return limit != forever; }
    /// Returns the time that counts as the whole limit. The rest is for the way to the call.
    [[nodiscard]] constexpr Duration whole() const noexcept { return limit - limit / 16; }
};

/// The calls that one run of a Pipeline has made, and whether their peer had enough time.
struct MadeCalls {
    /// The number of calls of `fn` by the inner layers.
    std::uint64_t asked = 0;
    /// The shortest limit around `fn`.
    TimeLimit time{};
    /// When the last call of `fn` began, or the first one of a Hedge. Unknown without a limit.
    Instant began = never;
    /// When the first of these calls began, or the first since a layer has waited on this side.
    Instant first_began = never;
    /// Whether a Queued is around `fn`. It learns how long calls take, so a late call with less
    /// than the whole limit is a wrong guess of its own.
    bool is_queued = false;

    /// A layer waits on this side before it calls `fn` again, so no call is under way.
    void note_wait() noexcept { began = first_began = never; }
    /// Returns the last instant at which a call with this deadline has enough time.
    ///
    /// `learned` is the time that calls have taken, up to the whole limit.
    [[nodiscard]] constexpr Instant latest(Instant deadline, Duration learned = {}) const noexcept {
        return before(deadline, detail::larger(time.least, detail::smaller(learned, time.whole())));
    }
    /// Marks the failure of the last call as `local` or `cut_short` if the call was late, because
    /// it had only a part of the limit.
    void judge(Failure& failure, Instant deadline, Instant now) const noexcept {
        const Duration had = elapsed(began, deadline);
        if (had >= detail::larger(time.least, time.whole())) return;
        // A status such as 504 is an answer, although its cause is this one.
        const bool ran_out =
            failure.cause == Cause::timed_out && failure.origin != Failure::Origin::answered;
        if (!ran_out && now < deadline) return;
        const bool counts = had >= time.least && !is_queued;
        failure.origin = counts ? Failure::Origin::cut_short : Failure::Origin::local;
    }
    /// Returns the failure of the last call, which its deadline ended.
    [[nodiscard]] Failure cut(Instant deadline) const noexcept {
        Failure failure = Failure::from(std::make_error_code(std::errc::timed_out));
        judge(failure, deadline, deadline);
        return failure;
    }
};

/// Returns whether a call that was made failed for lack of time of its own. Then the permit of a
/// breaker is returned, and a retry stays paid for.
[[nodiscard]] constexpr bool had_no_time(const Failure& failure) noexcept {
    return failure.origin == FailureOrigin::local && failure.cause == Cause::timed_out;
}

// The result of a Fallback may stand for what the call returns, or for the value in it. It must
// convert by itself, but not in the way in which text or numbers become bool.
template <class Replacement, class Returned>
concept Becomes =
    std::convertible_to<Replacement, Returned> &&
    (!std::same_as<Returned, bool> || std::same_as<std::remove_cvref_t<Replacement>, bool> ||
     std::is_class_v<std::remove_cvref_t<Replacement>>);
template <class Replacement, class Returned>
concept AnswersFor = Becomes<Replacement, Returned> || requires {
    requires Becomes<Replacement, typename Returned::value_type>;
    requires OptionalLike<Returned> || ExpectedLike<Returned>;
};

/// Makes the answer from a result that replaces a call.
template <class Answer, class Replacement>
[[nodiscard]] Answer answer_instead(Replacement&& replacement) {
    using Returned = typename decltype(Answer::returned)::value_type;
    static_assert(
        AnswersFor<Replacement, Returned>,
        "Fallback: the result of fn must convert to the result of the call, or to the value in it");
    if constexpr (is_outcome<Returned> && !Becomes<Replacement, Returned>) {
        return Answer::success(Returned::success(std::forward<Replacement>(replacement)));
    } else {
        Answer answer = Answer::success(std::forward<Replacement>(replacement));
        if constexpr (std::same_as<Returned, bool>) {
            answer.failure = RetryOutcome<bool>::classify(*answer.returned);
        }
        return answer;
    }
}

// A callable whose calls block; for the others see retry_task.hpp and pipeline.hpp.
template <class F>
concept BlockingCall = Attemptable<F> && !Awaitable<CallResult<F>>;

template <class F, class Returned>
consteval auto outcome_of_call() {
    if constexpr (AcceptsAny<F>) {
        static_assert(!std::is_reference_v<Returned> && !Awaitable<Returned> && !Future<Returned>,
                      "any_value: fn must return a value, not a reference or a future");
        return std::type_identity<PlainOutcome<Returned>>{};
    } else if constexpr (ClassifiesResult<F, Returned>) {
        return std::type_identity<
            PredicateOutcome<Returned, Unwrapped<F>::template classifies_value<Returned>>>{};
    } else {
        static_assert(!Future<Returned>,
                      "retry: fn must not return a future, whose result is not known yet; wait in "
                      "fn, and return the result of get()");
        constexpr AnswerKind kind = detail::kind_of_result<Returned>();
        static_assert(kind != AnswerKind::number,
                      "retry: fn must not return an integer or an enum, alone or in a pair, tuple "
                      "or variant, because any of its values may be a failure. Write fails_if(fn, "
                      "[](int code) { return code != 0; }), or any_value(fn) if every value is a "
                      "success. For all calls, use fails_if or specialize belay::AnswerTraits; see "
                      "docs/reference/retry.md");
        static_assert(kind != AnswerKind::named,
                      "retry: the result of fn has a member such as error, status or success, "
                      "which may report a failure. Write fails_if(fn, [](const auto& r) { return "
                      "r.status >= 500; }), or any_value(fn) if every value is a success. For all "
                      "calls, use fails_if or specialize belay::AnswerTraits; see "
                      "docs/reference/retry.md");
        static_assert(kind != AnswerKind::inside,
                      "retry: fn must not return a container, pair, tuple, variant or pointer of "
                      "values that may be failures, because belay does not know how many of them "
                      "make the call fail. Write fails_if(fn, predicate), or any_value(fn) if "
                      "every value is a success; see docs/reference/retry.md");
        static_assert(kind != AnswerKind::unsupported,
                      "retry: fn must return bool, optional, error_code, an expected-like type, "
                      "one with ok(), a plain value or void. For another type use fails_if or "
                      "specialize belay::AnswerTraits, or write any_value(fn) if every value is a "
                      "success; see docs/reference/retry.md");
        return std::type_identity<RetryOutcome<Returned>>{};
    }
}

#if defined(__cpp_exceptions)
/// Returns the failure that the exception being handled means for the call that threw it.
inline Failure failure_of_exception() {
    try {
        throw;
    } catch (const std::system_error& error) {
        return Failure::from(error.code());
    } catch (const std::bad_alloc&) {
        return Failure::from(std::make_error_code(std::errc::not_enough_memory));
    } catch (...) {
        return Failure{Cause::lost};
    }
}
#endif

// A blocking call cannot be interrupted, so a limit that `fn` cannot see would do nothing.
template <class F, bool limited>
consteval void explain_deadline() {
    static_assert(
        !limited || detail::heeds_deadline<F>(),
        "Timeout, AttemptTimeout: a blocking call cannot be interrupted, so fn must take "
        "a belay::Attempt and heed its deadline. Or use the coroutine form of a Pipeline, "
        "or write fails_if(fn, Attempt::late), which counts a late answer as timed out. "
        "A policies::AnyPolicy may have an AttemptTimeout; see docs/reference/retry.md");
}

/// How calls of F that return `Returned` are classified.
template <class F, class Returned>
struct Callee {
    using Outcome = typename decltype(detail::outcome_of_call<F, Returned>())::type;
    using Answer = part::Answer<Returned>;
    using Result = typename Outcome::type;

    /// Returns why the call failed by its result, if it did.
    [[nodiscard]] static std::optional<Failure> verdict(F& fn, const Returned& returned) {
        if constexpr (ClassifiesResult<F, Returned>) {
            return detail::unwrap(fn).classify_result(returned);
        } else {
            return Outcome::classify(returned);
        }
    }
    static void classify(F& fn, Answer& answer) {
        if (answer.returned) answer.failure = verdict(fn, *answer.returned);
    }

#if defined(__cpp_exceptions)
    /// Stores the exception that is being handled, or rethrows it if it is not a failure.
    static void keep_exception(F& fn, Answer& answer) {
        if constexpr (ClassifiesExceptions<F>) {
            answer.failure = detail::unwrap(fn).classify_exception();
            if (!answer.failure) throw;
        } else {
            answer.failure = failure_of_exception();
        }
        answer.returned.reset();
        answer.thrown = std::current_exception();
    }
    /// Returns an answer with it.
    [[gnu::cold, gnu::noinline]] static Answer answer_of_exception(F& fn) {
        Answer answer;
        keep_exception(fn, answer);
        return answer;
    }
#endif

    /// Makes an answer that came after the deadline a failure, if `fn` asked for that.
    template <class Sleeper>
    static void check_time([[maybe_unused]] std::optional<Failure>& failure,
                           [[maybe_unused]] const Attempt& attempt,
                           [[maybe_unused]] const Sleeper& sleeper) {
        if constexpr (FailsLate<F>) {
            if (failure || sleeper.now() <= attempt.deadline) return;
            failure = Failure::from(std::make_error_code(std::errc::timed_out));
        }
    }

    /// Makes the call. Returns what it returned if it worked. Otherwise it returns nothing, and
    /// `keep` takes the answer.
    ///
    /// Most calls work. Then there is no Answer, whose members compilers would keep in memory.
    /// Throws: an exception that is not a failure, and what a predicate or `keep` throws.
    template <class Sleeper, class Keep>
    [[gnu::always_inline]] static std::optional<Returned> try_once(F& fn, const Attempt& attempt,
                                                                   const Sleeper& sleeper,
                                                                   Keep&& keep) {
        std::optional<Returned> returned;
#if defined(__cpp_exceptions)
        try {
            returned.emplace(detail::call(fn, attempt));
        } catch (...) {
            keep(answer_of_exception(fn));
        }
        if (!returned) return returned;
#else
        returned.emplace(detail::call(fn, attempt));
#endif
        std::optional<Failure> failure = verdict(fn, *returned);
        check_time(failure, attempt, sleeper);
        if (!failure) return returned;
        keep(Answer{.returned = std::move(returned), .failure = failure});
        return std::nullopt;
    }
    /// Makes the call.   Throws: an exception that is not a failure, and what a predicate throws.
    template <class Sleeper>
    static Answer make(F& fn, const Attempt& attempt, const Sleeper& sleeper) {
        std::optional<Answer> failed;
        const auto keep = [&failed](Answer&& answer) { failed.emplace(std::move(answer)); };
        std::optional<Returned> returned = try_once(fn, attempt, sleeper, keep);
        return failed ? *std::move(failed) : Answer{.returned = std::move(returned)};
    }

    /// Makes the wait of a failure the longest that is known, before the caller gets it.
    template <class Sleeper>
    static void include_limits(Answer& answer, const Sleeper& sleeper) noexcept {
        if (!answer.failure || answer.rejects_until == always) return;
        Duration& wait = answer.failure->retry_after;
        wait = detail::larger(wait, elapsed(sleeper.now(), answer.rejects_until));
    }
    /// Returns what the caller gets.   Throws: what the call threw.
    static Result unwrap(Answer&& answer) {
#if defined(__cpp_exceptions)
        if (answer.thrown) std::rethrow_exception(std::move(answer.thrown));
#endif
        const Duration wait = answer.failure ? answer.failure->retry_after : Duration{};
        return answer.returned
                   ? Outcome::finish(std::move(*answer.returned), answer.failure, answer.why)
                   : Outcome::without(answer.why, wait);
    }
    /// The same for a call that worked.
    static Result unwrap(Returned&& returned) {
        return Outcome::finish(std::move(returned), std::nullopt, std::error_code{});
    }
};

// A callable whose calls are awaited.
template <class F>
concept AwaitingCall = Attemptable<F> && Awaitable<CallResult<F>>;

template <AwaitingCall F>
using Awaited = AwaitResult<CallResult<F>>;
// The result of an awaited call, as a value type.
template <AwaitingCall F>
using AwaitedValue =
    std::conditional_t<std::is_void_v<Awaited<F>>, VoidOutcome, std::remove_cvref_t<Awaited<F>>>;
template <AwaitingCall F>
using AwaitedCallee = Callee<F, AwaitedValue<F>>;

}  // namespace detail

}}  // namespace belay
