// SPDX-License-Identifier: MIT
/// \file belay/call/fails_if.hpp
/// fails_if, fails_on, any_value: define which results and exceptions of a call are failures.
#pragma once

#include <concepts>     // std::invocable, std::same_as
#include <optional>     // std::optional
#include <type_traits>  // std::decay_t, std::is_base_of_v, std::is_member_pointer_v
#include <utility>      // std::forward, std::move

#include <belay/call/answer_traits.hpp>
#include <belay/call/attempt.hpp>
#include <belay/call/retry_outcome.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {

// A pointer to a member is applied to the object itself, because a pointer to an object may be
// null.
template <class Predicate, class Value>
concept AsksMember = requires(Predicate& predicate, const Value& value) { value.*predicate; } ||
                     requires(Predicate& predicate, const Value& value) { (value.*predicate)(); };
template <class Predicate, class Value>
concept Asks = AsksMember<Predicate, Value> ||
               (!std::is_member_pointer_v<Predicate> && std::invocable<Predicate&, const Value&>);
template <class Predicate, class Value>
    requires Asks<Predicate, Value>
decltype(auto) ask(Predicate& predicate, const Value& value) {
    if constexpr (std::is_member_object_pointer_v<Predicate>) {
        return value.*predicate;
    } else if constexpr (std::is_member_function_pointer_v<Predicate>) {
        return (value.*predicate)();
    } else {
        return predicate(value);
    }
}

template <class F, class Predicate>
struct FailsIf : CallAdapter<F> {
    static constexpr bool classifies = true;
    static constexpr bool accepts_any = false;

    Predicate predicate;

    constexpr FailsIf(F f, Predicate p) : CallAdapter<F>{std::move(f)}, predicate{std::move(p)} {}

    template <class... Args>
    auto operator()(Args&&...) const {
        static_assert(!sizeof(F),
                      "fails_if: this function cannot be called directly. Pass it to retry or a "
                      "Pipeline without a lambda or std::function around it");
    }

    template <class J, class Result>
    static constexpr bool asks_value = [] {
        if constexpr (Unwrappable<Result>) {
            return Asks<J, std::remove_cvref_t<decltype(*std::declval<const Result&>())>>;
        } else {
            return false;
        }
    }();

    /// Whether the predicate takes the value in a Result, and not the whole Result.
    template <class Result>
    static constexpr bool classifies_value =
        !Asks<Predicate, Result> && asks_value<Predicate, Result>;

    // Not constrained: if a predicate did not fit, the type would be used instead, silently.
    template <class Result>
    std::optional<Failure> classify_result(const Result& result) {
        return classify_by(predicate, result);
    }
    template <class Result>
    std::optional<Failure> classify_result(const Result& result) const {
        static_assert(
            Asks<const Predicate, Result> == Asks<Predicate, Result> &&
                asks_value<const Predicate, Result> == asks_value<Predicate, Result>,
            "fails_if: the predicate must be callable as const, because fails_if is const here");
        return classify_by(predicate, result);
    }

private:
    template <class J, class Result>
    static std::optional<Failure> classify_by(J& predicate, const Result& result) {
        static_assert(!std::same_as<Result, VoidOutcome>,
                      "fails_if: fn must return a value, because the predicate takes it");
        static_assert(!ClassifiesResult<F, Result>,
                      "fails_if: fn already has a predicate of another fails_if; use one");
        if constexpr (Asks<J, Result>) {
            return to_failure(detail::ask(predicate, result), result);
        } else if constexpr (asks_value<J, Result>) {
            if (!result.has_value()) return RetryOutcome<Result>::classify(result);
            return to_failure(detail::ask(predicate, *result), result);
        } else {
            static_assert(!sizeof(Result),
                          "fails_if: the predicate must take the result of fn, or the value in it, "
                          "by const reference");
        }
    }

    template <class Returned, class Result>
    static std::optional<Failure> to_failure(const Returned& returned,
                                             [[maybe_unused]] const Result& result) {
        static_assert(VerdictLike<Returned>,
                      "fails_if: the predicate must return bool, belay::Cause or belay::Failure");
        std::optional<Failure> failure = detail::verdict(returned);
        // A bool or a Cause has no wait, so the one that the result requests stays.
        if constexpr (!std::same_as<Returned, Failure>) {
            if (failure) failure->retry_after = requested_wait(result);
        }
        return failure;
    }
    template <class Result>
    static Duration requested_wait(const Result& result) {
        std::optional<Failure> own;
        if constexpr (ExpectedLike<Result>) {
            // Also of a type whose error cannot be made by retry.
            if (!result.has_value()) own = detail::failure_without_value(result);
        }
        // The predicate is enough for a type whose specialization could not be used.
        if constexpr (TraitsAreSound<Result>) {
            if (!own) own = detail::classify_value<Result>(result);
        }
        return own ? own->retry_after : Duration{};
    }
};

}  // namespace detail

/// Wraps `fn` so that `predicate`, and not the type of a result, decides whether it is a failure.
///
/// `true`, a Cause or a Failure is a failure; `false`, Cause::none and a Failure of none are
/// successes. A Failure has the requested wait. With the others, the wait is the one that the
/// result requests by itself, such as the Retry-After of an HttpResponse.
///
///     retry(policy, fails_if(fetch, [](const Response& r) { return r.status >= 500; }));
///
/// For a type that has a value or none (optional, Result), the predicate may take the value. If
/// there is none, the predicate is not called, and the call has failed. Any type except a reference
/// is allowed. `predicate` may be a pointer to a member.
///
/// You may pass the result of fails_if on by std::ref. It cannot be called, so that no lambda or
/// std::function hides the predicate.
///
/// The caller gets an Outcome, which has a value only after a success. Its last() is the last value
/// as it was, also after a failure. A std::error_code is returned as one.
///
/// If the predicate throws, the attempt is abandoned, and the exception leaves the caller.
/// Complexity: O(1).
template <class F, class Predicate>
[[nodiscard]] constexpr auto fails_if(F&& fn, Predicate predicate) {
    return detail::FailsIf<std::decay_t<F>, Predicate>{std::forward<F>(fn), std::move(predicate)};
}

namespace detail {

template <class F>
struct FailsIfLate : CallAdapter<F> {
    static constexpr bool classifies = true;
    static constexpr bool fails_late = true;

    template <class... Args>
    auto operator()(Args&&...) const {
        static_assert(!sizeof(F),
                      "fails_if: this function cannot be called directly. Pass it to retry or a "
                      "Pipeline without a lambda or std::function around it");
    }
};

}  // namespace detail

/// Wraps `fn` so that a call that returns after the deadline of its Attempt has failed with
/// std::errc::timed_out.
///
/// Use it for a blocking call that cannot heed a deadline, inside a Timeout or with an
/// AttemptTimeout in the policy. It does not interrupt the call.
///
///     retry(policy, fails_if(fetch, Attempt::late));
///
/// A call that fails in time, or throws, fails as without it.   Complexity: O(1).
template <class F>
[[nodiscard]] constexpr auto fails_if(F&& fn, Attempt::Late) {
    return detail::FailsIfLate<std::decay_t<F>>{{std::forward<F>(fn)}};
}

namespace detail {

template <class F>
struct AnyValue : CallAdapter<F> {
    static constexpr bool classifies = true;
    static constexpr bool accepts_any = true;

    template <class... Args>
    auto operator()(Args&&...) const {
        static_assert(!sizeof(F),
                      "any_value: this function cannot be called directly. Pass it to retry or a "
                      "Pipeline without a lambda or std::function around it");
    }
};

}  // namespace detail

/// Wraps `fn` so that every value it returns is a success. Only an exception is a failure.
///
/// Use it for a result whose type could report a failure, and never does. Examples are a count, an
/// enum without errors, and a record with a field `status`. The caller gets a Result of the value.
///
///     const Result<int> sum = retry(policy, any_value(count_documents));
///
/// It cannot be called, so that no lambda or std::function hides it.   Complexity: O(1).
template <class F>
[[nodiscard]] constexpr auto any_value(F&& fn) {
    return detail::AnyValue<std::decay_t<F>>{{std::forward<F>(fn)}};
}

/// Does not compile, because a predicate is missing.
template <class F>
F fails_if(F&& fn) {
    static_assert(!sizeof(std::decay_t<F>),
                  "fails_if: pass a predicate, too: fails_if(fn, [](const auto& result) { return "
                  "result.status >= 500; })");
    return fn;
}

#if defined(__cpp_exceptions)

namespace detail {

struct AnyOfType {
    template <class E>
    constexpr bool operator()(const E&) const noexcept {
        return true;
    }
};

template <class E, class F, class Predicate>
struct FailsOn : CallAdapter<F> {
    static_assert(!CallAdapter<F>::template hidden_behind<E>,
                  "fails_on: an inner fails_on takes these exceptions first; write the more "
                  "derived type outside");

    static constexpr bool classifies = true;
    template <class Outer>
    static constexpr bool hidden_behind = std::same_as<Outer, E> || std::is_base_of_v<Outer, E> ||
                                          CallAdapter<F>::template hidden_behind<Outer>;

    Predicate predicate;

    constexpr FailsOn(F f, Predicate p) : CallAdapter<F>{std::move(f)}, predicate{std::move(p)} {}

    template <class... Args>
    auto operator()(Args&&...) const {
        static_assert(!sizeof(F),
                      "fails_on: this function cannot be called directly. Pass it to retry or a "
                      "Pipeline without a lambda or std::function around it");
    }

    // Pre: an exception is being handled.
    std::optional<Failure> classify_exception() { return classify_by(predicate, this->fn); }
    std::optional<Failure> classify_exception() const { return classify_by(predicate, this->fn); }

private:
    template <class J, class Inner>
    static std::optional<Failure> classify_by(J& predicate, Inner& inner) {
        static_assert(Asks<J, E>,
                      "fails_on: the predicate must take the exception, by const "
                      "reference");
        try {
            throw;
        } catch (const E& error) {
            using Returned = std::remove_cvref_t<decltype(detail::ask(predicate, error))>;
            static_assert(VerdictLike<Returned>,
                          "fails_on: the predicate must return bool, belay::Cause or "
                          "belay::Failure");
            return detail::verdict<Returned>(detail::ask(predicate, error));
        } catch (...) {
            if constexpr (ClassifiesExceptions<Inner>) {
                return detail::unwrap(inner).classify_exception();
            } else {
                return std::nullopt;
            }
        }
    }
};

}  // namespace detail

/// Wraps `fn` so that only exceptions of type E that `predicate` accepts are failures.
///
/// Any other exception leaves the caller at once, and the attempt is abandoned.
///
///     retry(policy, fails_on<NetworkError>(fetch));
///
/// To list several types, nest them: `fails_on<A>(fails_on<B>(fn))`. The outermost type that fits
/// decides. If a B is an A, the inner one would never be used, so it does not compile.
/// The predicate has the form of that of fails_if. fails_on does not exist without exceptions.
/// Complexity: O(1).
template <class E, class F, class Predicate = detail::AnyOfType>
[[nodiscard]] constexpr auto fails_on(F&& fn, Predicate predicate = {}) {
    return detail::FailsOn<E, std::decay_t<F>, Predicate>{std::forward<F>(fn),
                                                          std::move(predicate)};
}
/// Does not compile, because the type of the exceptions is missing.
template <class... Given, class F>
    requires(sizeof...(Given) == 0)
F fails_on(F&& fn) {
    static_assert(!sizeof(std::decay_t<F>),
                  "fails_on: write the type of the exceptions: fails_on<std::runtime_error>(fn)");
    return fn;
}

#endif

}}  // namespace belay
