// SPDX-License-Identifier: MIT
/// \file belay/call/attempt.hpp
/// Attempt: what a call can learn about the retries and deadlines around it. CallErrc: what a call
/// reports if no attempt left an error of its own.
#pragma once

#include <concepts>      // std::invocable
#include <cstdint>       // std::uint64_t
#include <system_error>  // std::error_code
#include <type_traits>   // std::decay_t
#include <utility>       // std::forward

#include <belay/core/failure.hpp>
#include <belay/core/instant.hpp>
#include <belay/core/observer.hpp>

namespace belay { inline namespace BELAY_ABI {

/// The errors of belay/call. New ones are appended; values never change.
enum class CallErrc {
    gave_up = 1,        ///< a rule of the policy advised stop, or a wait without end
    stopped = 2,        ///< a stop was requested from the stop token
    breaker_open = 3,   ///< a breaker is open without end: no later moment would help
    call_failed = 4,    ///< the call failed, and left no error of its own
    call_rejected = 5,  ///< the call was not made: a breaker, limiter or bulkhead rejected it
    injected = 6,       ///< the call was not made: a chaos::Layer injected a failure
};

namespace detail {
inline constexpr ErrorText call_error_texts[] = {
    {"a rule of the policy stopped the retries", Cause::lost},
    {"stopped on request", Cause::planned, FailureOrigin::local},
    {"the circuit breaker is open", Cause::overloaded, FailureOrigin::local},
    {"the call failed", Cause::lost},
    {"the call was rejected before it was made", Cause::overloaded, FailureOrigin::local},
    {"the failure was injected on purpose", Cause::lost},
};

/// Returns the category "belay.call".
[[nodiscard]] inline const std::error_category& call_category() noexcept {
    static const TableCategory category{"belay.call", call_error_texts};
    return category;
}
}  // namespace detail

/// Makes a std::error_code from a CallErrc, as the conversion requires.
[[nodiscard]] inline std::error_code make_error_code(CallErrc errc) noexcept {
    return {static_cast<int>(errc), detail::call_category()};
}

}}  // namespace belay

template <>
struct std::is_error_code_enum<belay::CallErrc> : std::true_type {};

namespace belay { inline namespace BELAY_ABI {

/// The number of an attempt, and its deadline; passed to callables that take an Attempt.
///
/// Coroutines must take it by value, because the original may be gone when they resume.
///
/// Thread safety: a plain value.
struct Attempt {
    /// 1 for the first attempt. The innermost retry or Hedge counts it; a Hedge counts over all
    /// attempts of a Retrying around it.
    std::uint64_t number = 1;
    /// Whether a retry further out is repeating already; a retry inside would then multiply
    /// attempts.
    bool repeats = false;
    /// The time after which the answer is no longer awaited; from a Timeout around the call.
    Instant deadline = never;

    /// The word for `fails_if(fn, Attempt::late)`, by which a call fails if it returns after its
    /// deadline.
    struct Late {};
    /// For `fails_if(fn, Attempt::late)`: an answer after the deadline is a failure.
    static constexpr Late late{};

    /// Returns whether this call has been made before, by any of the retries around it.
    [[nodiscard]] constexpr bool is_retry() const noexcept { return number > 1 || repeats; }

    friend constexpr bool operator==(const Attempt&, const Attempt&) noexcept = default;
};

namespace detail {

// Replaces `void` in layers that pass values on.
struct VoidOutcome {};

// The callables that fails_if, fails_on and within make. Such a callable classifies results or
// changes the attempt, and has no operator() by which other code could call it.
template <class F>
concept Adapts = requires { typename Unwrapped<F>::Adapted; };
template <class F>
concept AdaptedCall =
    Adapts<F> && requires(F& fn, const Attempt& attempt) { detail::unwrap(fn).make_call(attempt); };
template <class F>
concept PlainCall = !Adapts<F> && (std::invocable<F&, const Attempt&> || std::invocable<F&>);
template <class F>
concept Attemptable = AdaptedCall<F> || PlainCall<F>;

/// Calls `fn`, with the attempt if it takes one.
template <Attemptable F>
decltype(auto) call(F& fn, const Attempt& attempt) {
    if constexpr (AdaptedCall<F>) {
        return detail::unwrap(fn).make_call(attempt);
    } else if constexpr (std::invocable<F&, const Attempt&>) {
        if constexpr (std::is_void_v<std::invoke_result_t<F&, const Attempt&>>) {
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
using CallResult = std::remove_cv_t<decltype(detail::call(std::declval<F&>(), Attempt{}))>;

// Also inside a std::reference_wrapper.
template <class F, class Result>
concept ClassifiesResult =
    requires(F& fn, const Result& result) { detail::unwrap(fn).classify_result(result); };
template <class F>
concept ClassifiesExceptions = requires(F& fn) { detail::unwrap(fn).classify_exception(); };
template <class F>
concept Classifies = requires { requires Unwrapped<F>::classifies; };
// Inside a fails_if(fn, Attempt::late).
template <class F>
concept FailsLate = requires { requires Unwrapped<F>::fails_late; };
// Inside an any_value.
template <class F>
concept AcceptsAny = requires { requires Unwrapped<F>::accepts_any; };

// Takes an Attempt, and so can read the deadline, or fails if it is late.
template <class F>
consteval bool heeds_deadline() {
    if constexpr (FailsLate<F>) {
        return true;
    } else if constexpr (Adapts<F>) {
        return detail::heeds_deadline<typename Unwrapped<F>::Adapted>();
    } else {
        return std::invocable<F&, const Attempt&>;
    }
}

/// Returns the outer attempt that `within` has put into a callable, or that of no outer call.
template <class F>
[[nodiscard]] constexpr Attempt attempt_around([[maybe_unused]] F& fn) noexcept {
    if constexpr (Adapts<F>) {
        return detail::unwrap(fn).around();
    } else {
        return {};
    }
}

/// A callable that wraps another; it declares only what it changes.
template <class F>
struct CallAdapter {
    using Adapted = F;
    static constexpr bool classifies = Classifies<F>;
    static constexpr bool accepts_any = AcceptsAny<F>;
    static constexpr bool fails_late = FailsLate<F>;
    /// Whether a fails_on in this callable would never be used inside a fails_on<Outer>.
    template <class Outer>
    static constexpr bool hidden_behind =
        requires { requires Unwrapped<F>::template hidden_behind<Outer>; };

    F fn;

    template <class... Args>
    auto operator()(Args&&...) const {
        static_assert(
            !sizeof(F),
            "any_value, fails_on, fails_if: this function cannot be called directly. Pass "
            "it to retry or a Pipeline without a lambda or std::function around it");
    }

    decltype(auto) make_call(const Attempt& attempt)
        requires Attemptable<F>
    {
        return detail::call(fn, attempt);
    }
    decltype(auto) make_call(const Attempt& attempt) const
        requires Attemptable<const F>
    {
        return detail::call(fn, attempt);
    }

    [[nodiscard]] constexpr Attempt around() const noexcept { return detail::attempt_around(fn); }

    template <class Result>
    static constexpr bool classifies_value = Unwrapped<F>::template classifies_value<Result>;
    template <class Result>
        requires ClassifiesResult<F, Result>
    auto classify_result(const Result& result) {
        return detail::unwrap(fn).classify_result(result);
    }
    template <class Result>
        requires ClassifiesResult<const F, Result>
    auto classify_result(const Result& result) const {
        return detail::unwrap(fn).classify_result(result);
    }
    auto classify_exception()
        requires ClassifiesExceptions<F>
    {
        return detail::unwrap(fn).classify_exception();
    }
    auto classify_exception() const
        requires ClassifiesExceptions<const F>
    {
        return detail::unwrap(fn).classify_exception();
    }
};

template <class F>
struct Within : CallAdapter<F> {
    Attempt outer;

    constexpr Within(F f, const Attempt& attempt)
        : CallAdapter<F>{static_cast<F&&>(f)}, outer{attempt} {}

    decltype(auto) make_call(Attempt attempt)
        requires Attemptable<F>
    {
        narrow(attempt);
        return detail::call(this->fn, attempt);
    }
    decltype(auto) make_call(Attempt attempt) const
        requires Attemptable<const F>
    {
        narrow(attempt);
        return detail::call(this->fn, attempt);
    }

    [[nodiscard]] constexpr Attempt around() const noexcept {
        Attempt attempt = CallAdapter<F>::around();
        narrow(attempt);
        return attempt;
    }

    decltype(auto) operator()(const Attempt& attempt)
        requires Attemptable<F>
    {
        static_assert(!Classifies<F>,
                      "within: this function cannot be called directly. Pass it to retry or a "
                      "Pipeline without a lambda or std::function around it");
        return make_call(attempt);
    }

private:
    constexpr void narrow(Attempt& attempt) const noexcept {
        attempt.repeats = attempt.repeats || outer.is_retry();
        if (outer.deadline < attempt.deadline) attempt.deadline = outer.deadline;
    }
};

}  // namespace detail

/// Wraps `fn` for a retry or Pipeline inside a call, so that its attempts know the outer attempt.
/// An inner retry or Retrying begins no attempt after the outer deadline.
///
///     retry(far, sleeper,
///           [&](Attempt outer) { return retry(near, sleeper, within(outer, ask)); });
///
/// Layers of one Pipeline do this by themselves.   Complexity: O(1).
template <class F>
[[nodiscard]] constexpr auto within(const Attempt& outer, F&& fn) {
    return detail::Within<std::decay_t<F>>{std::forward<F>(fn), outer};
}

}}  // namespace belay
