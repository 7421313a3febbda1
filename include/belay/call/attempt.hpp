// SPDX-License-Identifier: MIT
/// \file belay/call/attempt.hpp
/// Attempt: what a call may know of the retries and deadlines around it.
#pragma once

#include <concepts>     // std::invocable
#include <cstdint>      // std::uint64_t
#include <type_traits>  // std::decay_t
#include <utility>      // std::forward

#include <belay/core/instant.hpp>
#include <belay/core/observer.hpp>

namespace belay { inline namespace BELAY_ABI {

/// Which attempt this is, and how long anybody waits for it; passed to callables that take one.
/// Coroutines take it by value, since it may be gone when they go on.
///
/// Thread safety: a plain value.
struct Attempt {
    /// 1 for the first; counted by the innermost retry or Hedge, by a Hedge over all attempts of a
    /// Retrying around it.
    std::uint64_t number = 1;
    /// Whether a retry further out is repeating already: then a retry in here multiplies.
    bool repeats = false;
    /// When nobody waits for the answer any more; from a Timeout around the call.
    Instant deadline = never;

    /// Whether this call has been made before, by any of the retries around it.
    [[nodiscard]] constexpr bool is_retry() const noexcept { return number > 1 || repeats; }

    friend constexpr bool operator==(const Attempt&, const Attempt&) noexcept = default;
};

namespace detail {

// What `void` becomes on its way through layers that hand on values.
struct VoidOutcome {};

// What fails_if, fails_on and within make: it judges, or changes the attempt, and has no operator()
// that anything else could take it by.
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

// Also behind a std::reference_wrapper.
template <class F, class Result>
concept JudgesResult =
    requires(F& fn, const Result& result) { detail::unwrap(fn).judge_result(result); };
template <class F>
concept JudgesExceptions = requires(F& fn) { detail::unwrap(fn).judge_exception(); };
template <class F>
concept Judges = requires { requires Unwrapped<F>::judges; };

/// A callable around another; says itself only what it changes.
template <class F>
struct CallAdapter {
    using Adapted = F;
    static constexpr bool judges = Judges<F>;
    /// Whether a fails_on in here would be asked of nothing inside of a fails_on<Outer>.
    template <class Outer>
    static constexpr bool hidden_behind = [] {
        if constexpr (Adapts<F>) {
            return Unwrapped<F>::template hidden_behind<Outer>;
        } else {
            return false;
        }
    }();

    F fn;

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

    template <class Result>
    static constexpr bool judges_value = Unwrapped<F>::template judges_value<Result>;
    template <class Result>
        requires JudgesResult<F, Result>
    auto judge_result(const Result& result) {
        return detail::unwrap(fn).judge_result(result);
    }
    template <class Result>
        requires JudgesResult<const F, Result>
    auto judge_result(const Result& result) const {
        return detail::unwrap(fn).judge_result(result);
    }
    auto judge_exception()
        requires JudgesExceptions<F>
    {
        return detail::unwrap(fn).judge_exception();
    }
    auto judge_exception() const
        requires JudgesExceptions<const F>
    {
        return detail::unwrap(fn).judge_exception();
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

    decltype(auto) operator()(const Attempt& attempt)
        requires Attemptable<F>
    {
        static_assert(!Judges<F>,
                      "within: what is judged cannot be called by itself: give it to retry or a "
                      "Pipeline as it is, since a lambda or std::function around it hides who "
                      "judges");
        return make_call(attempt);
    }

private:
    void narrow(Attempt& attempt) const noexcept {
        attempt.repeats = attempt.repeats || outer.is_retry();
        if (outer.deadline < attempt.deadline) attempt.deadline = outer.deadline;
    }
};

}  // namespace detail

/// `fn` for a retry that is itself part of a call that is retried: its attempts know of the outer
/// one.
///
///     retry(far, sleeper,
///           [&](Attempt outer) { return retry(near, sleeper, within(outer, ask)); });
///
/// Parts of one Pipeline do so by themselves.   Complexity: O(1).
template <class F>
[[nodiscard]] constexpr auto within(const Attempt& outer, F&& fn) {
    return detail::Within<std::decay_t<F>>{std::forward<F>(fn), outer};
}

}}  // namespace belay
