// SPDX-License-Identifier: MIT
/// \file belay/call/attempt.hpp
/// Attempt: what a call may know of the retries and deadlines around it.
#pragma once

#include <concepts>     // std::invocable
#include <cstdint>      // std::uint64_t
#include <type_traits>  // std::decay_t
#include <utility>      // std::forward

#include <belay/core/instant.hpp>

namespace belay::inline BELAY_ABI {

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

template <class F>
concept Attemptable = std::invocable<F&, const Attempt&> || std::invocable<F&>;

/// Calls `fn`, with the attempt if it takes one.
template <Attemptable F>
decltype(auto) call(F& fn, const Attempt& attempt) {
    if constexpr (std::invocable<F&, const Attempt&>) {
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

/// A callable around another; says itself only what it changes.
template <class F>
struct CallAdapter {
    F fn;

    template <class Result>
    static constexpr bool judges_value = F::template judges_value<Result>;
    template <class Result>
        requires requires(F& f, const Result& r) { f.judge_result(r); }
    auto judge_result(const Result& result) {
        return fn.judge_result(result);
    }
    auto judge_exception()
        requires requires(F& f) { f.judge_exception(); }
    {
        return fn.judge_exception();
    }
};

template <class F>
struct Within : CallAdapter<F> {
    Attempt outer;

    constexpr Within(F f, const Attempt& attempt)
        : CallAdapter<F>{static_cast<F&&>(f)}, outer{attempt} {}

    decltype(auto) operator()(Attempt attempt)
        requires Attemptable<F>
    {
        attempt.repeats = attempt.repeats || outer.is_retry();
        if (outer.deadline < attempt.deadline) attempt.deadline = outer.deadline;
        return detail::call(this->fn, attempt);
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

}  // namespace belay::inline BELAY_ABI
