// SPDX-License-Identifier: MIT
/// \file belay/call/retry_observer.hpp
/// What an observer of `retry` learns, and RetryCounters, which counts it.
#pragma once

#include <concepts>      // std::derived_from
#include <cstdint>       // std::uint64_t
#include <system_error>  // std::error_code
#include <type_traits>   // std::remove_cvref_t

#include <belay/call/attempt.hpp>
#include <belay/core/no_observer.hpp>
#include <belay/policy/rule.hpp>

namespace belay::inline BELAY_ABI {

/// An attempt failed, and there will be another: `on_retry`.
struct RetryPlanned {
    /// The attempt that failed.
    Attempt attempt;
    /// Why.
    Failure failure;
    /// What the policy says: until when to wait, and which rule said so.
    Advice advice;
    /// How long that is from now.
    Duration wait;
};

/// An attempt was due and may not start yet, say because of a breaker: `on_refusal`.
struct CallRefused {
    /// The attempt that is refused.
    Attempt attempt;
    /// Until when, and which rule says so.
    Advice advice;
    /// How long that is from now.
    Duration wait;
};

/// There will be no further attempt: `on_give_up`.
struct RetryEnded {
    /// How many attempts there were.
    std::uint64_t attempts;
    /// The last failure; Cause::none if there was no attempt.
    Failure failure;
    /// gave_up, stopped, breaker_open, or std::errc::timed_out: the deadline would be over.
    std::error_code why;
    /// The policy's last word; `by` names the rule. `go` if a stop token ended it.
    Advice advice;
};

namespace detail {

template <class O>
concept ObservesAttempt = requires(O& o, const Attempt& event) { o.on_attempt(event); };
template <class O>
concept ObservesRetries = requires(O& o, const RetryPlanned& event) { o.on_retry(event); };
template <class O>
concept ObservesRefusal = requires(O& o, const CallRefused& event) { o.on_refusal(event); };
template <class O>
concept ObservesHedge = requires(O& o, const Attempt& event) { o.on_hedge(event); };
template <class O>
concept ObservesSuccess = requires(O& o, const Attempt& event) { o.on_success(event); };
template <class O>
concept ObservesGiveUp = requires(O& o, const RetryEnded& event) { o.on_give_up(event); };

template <class O>
concept HasRetryHook = ObservesAttempt<O> || ObservesRetries<O> || ObservesRefusal<O> ||
                       ObservesSuccess<O> || ObservesGiveUp<O>;
// One that sees nothing and does not say so is a misspelt hook.
template <class O>
concept ObservesRetry = std::derived_from<std::remove_cvref_t<O>, NoObserver> || HasRetryHook<O>;

// A hook of another form, beside right ones, would never hear anything.
template <class O>
concept AttemptHookIsSound = ObservesAttempt<O> || !requires { &O::on_attempt; };
template <class O>
concept RetryHookIsSound = ObservesRetries<O> || !requires { &O::on_retry; };
template <class O>
concept RefusalHookIsSound = ObservesRefusal<O> || !requires { &O::on_refusal; };
template <class O>
concept HedgeHookIsSound = ObservesHedge<O> || !requires { &O::on_hedge; };
template <class O>
concept SuccessHookIsSound = ObservesSuccess<O> || !requires { &O::on_success; };
template <class O>
concept GiveUpHookIsSound = ObservesGiveUp<O> || !requires { &O::on_give_up; };

template <class O>
consteval bool explain_retry_observer() {
    static_assert(AttemptHookIsSound<O>,
                  "retry: the observer's on_attempt must be 'on_attempt(const belay::Attempt&)'");
    static_assert(RetryHookIsSound<O>,
                  "retry: the observer's on_retry must be 'on_retry(const belay::RetryPlanned&)'");
    static_assert(
        RefusalHookIsSound<O>,
        "retry: the observer's on_refusal must be 'on_refusal(const belay::CallRefused&)'");
    static_assert(SuccessHookIsSound<O>,
                  "retry: the observer's on_success must be 'on_success(const belay::Attempt&)'");
    static_assert(
        GiveUpHookIsSound<O>,
        "retry: the observer's on_give_up must be 'on_give_up(const belay::RetryEnded&)'");
    static_assert(
        ObservesRetry<O>,
        "retry: the observer needs one of 'on_attempt(const belay::Attempt&)', "
        "'on_retry(const belay::RetryPlanned&)', 'on_refusal(const belay::CallRefused&)', "
        "'on_success(const belay::Attempt&)', 'on_give_up(const belay::RetryEnded&)'");
    return ObservesRetry<O>;
}

inline constexpr NoObserver nobody{};
/// The observer, or the one nobody: all that see nothing are the same code.
template <class O>
[[nodiscard]] constexpr auto& watching(O& observer) noexcept {
    if constexpr (HasRetryHook<O>) {
        return observer;
    } else {
        return nobody;
    }
}

}  // namespace detail

/// Counts what retries do. Pass it as their observer, one to as many as there are.
///
/// Invariant: attempts = successes + failed ones, between two runs; retries < attempts in each run.
/// Thread safety: one thread at a time.   Errors: none; no count overflows in practice, waits
/// saturate.
struct RetryCounters {
    /// Calls that were made.
    std::uint64_t attempts = 0;
    /// Those of them that were not the first of their run.
    std::uint64_t retries = 0;
    /// Runs that ended with a success.
    std::uint64_t successes = 0;
    /// How often an attempt was due, and a rule refused it.
    std::uint64_t refusals = 0;
    /// Runs that ended otherwise, but for those that an exception or destruction has ended.
    std::uint64_t give_ups = 0;
    /// All waits, as long as they were planned.
    Duration waited{};

    constexpr void on_attempt(const Attempt& attempt) noexcept {
        ++attempts;
        if (attempt.number > 1) ++retries;
    }
    constexpr void on_retry(const RetryPlanned& retry) noexcept { add(retry.wait); }
    constexpr void on_refusal(const CallRefused& refusal) noexcept {
        ++refusals;
        add(refusal.wait);
    }
    constexpr void on_success(const Attempt&) noexcept { ++successes; }
    constexpr void on_give_up(const RetryEnded&) noexcept { ++give_ups; }

    friend constexpr bool operator==(const RetryCounters&, const RetryCounters&) noexcept = default;

private:
    constexpr void add(Duration wait) noexcept { waited = saturating_add(waited, wait); }
};

}  // namespace belay::inline BELAY_ABI
