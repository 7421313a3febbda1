// SPDX-License-Identifier: MIT
/// \file belay/call/retry_observer.hpp
/// The events that an observer of `retry` receives, and RetryCounters, which counts them.
#pragma once

#include <cstdint>       // std::uint64_t
#include <exception>     // std::exception, std::exception_ptr
#include <string>        // std::string
#include <string_view>   // std::string_view
#include <system_error>  // std::error_code

#include <belay/call/attempt.hpp>
#include <belay/core/observer.hpp>
#include <belay/policy/rule.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {

/// Returns the text of a failure, followed by that of the exception by which the call failed.
/// Throws: std::bad_alloc.
[[nodiscard]] inline std::string failure_text(const Failure& failure,
                                              [[maybe_unused]] const std::exception_ptr& thrown) {
    std::string text = failure.message();
#if defined(__cpp_exceptions)
    if (thrown == nullptr) return text;
    try {
        std::rethrow_exception(thrown);
    } catch (const std::exception& exception) {
        const std::string_view what{exception.what()};
        const std::error_code error = failure.error();
        // A std::system_error repeats the text of its code.
        if (error && what.find(error.message()) != what.npos) text = to_string(failure.cause);
        if (!what.empty()) text.append(": ").append(what);
    } catch (...) {
        // It has no text.
    }
#endif
    return text;
}

}  // namespace detail

/// Reports that an attempt failed, and that there will be another: `on_retry`.
struct RetryPlanned {
    /// The attempt that failed.
    Attempt attempt{};
    /// Why it failed.
    Failure failure{};
    /// The policy's advice: until when to wait, and which rule decided.
    Advice advice{};
    /// How long that is from now.
    Duration wait{};
    /// The exception by which the attempt failed; null if it threw none.
    std::exception_ptr thrown{};

    /// Returns the text of the failure, and that of the exception: "lost: no such scene".
    /// Throws: std::bad_alloc.
    [[nodiscard]] std::string message() const { return detail::failure_text(failure, thrown); }
};

/// Reports that an attempt was due and may not start yet, for example because of a breaker:
/// `on_rejection`.
struct CallRejected {
    /// The attempt that is rejected.
    Attempt attempt{};
    /// Until when it is rejected, and by which rule.
    Advice advice{};
    /// How long that is from now.
    Duration wait{};
};

/// Reports that there will be no further attempt: `on_give_up`.
///
/// An error code has no space for the name of a rule. Pass a RetryEnded as the observer of a retry,
/// and read it afterwards: it keeps how the last run ended.
///
///     RetryEnded end;
///     const auto scene = retry(policy, sleeper, fetch, NeverStops{}, end);
///     if (!scene) log(scene.error(), end.rule());
///
/// Models: an observer of retry.
struct RetryEnded {
    /// The number of attempts.
    std::uint64_t attempts = 0;
    /// The last failure; Cause::none if there was no attempt, or if the run succeeded.
    Failure failure{};
    /// gave_up, stopped, breaker_open, call_rejected if a rule with FailFast ended the run, or
    /// std::errc::timed_out if the deadline would be over. No error if the run succeeded.
    std::error_code why{};
    /// The policy's last advice; `by` names the rule. `go` if a stop token ended the run.
    Advice advice{};
    /// The exception of the last failure; null if there was none. `retry` throws it. In a Pipeline,
    /// a Fallback may replace it.
    std::exception_ptr thrown{};

    /// Returns the text of the last failure, and that of its exception; without a failure, that of
    /// `why`.   Throws: std::bad_alloc.
    [[nodiscard]] std::string message() const {
        const bool failed = failure.cause != Cause::none || !why;
        return failed ? detail::failure_text(failure, thrown) : why.message();
    }
    /// Returns the name of the rule that decided, or "a rule without a name". It is empty if no
    /// rule did: the run succeeded, or a stop token or a deadline ended it.
    [[nodiscard]] constexpr std::string_view rule() const noexcept {
        if (!advice.by.empty() || advice.verb == Advice::Verb::go) return advice.by;
        return "a rule without a name";
    }

    void on_success(const Attempt& attempt) noexcept { *this = {.attempts = attempt.number}; }
    void on_give_up(const RetryEnded& ended) noexcept { *this = ended; }
};

namespace chaos {

/// Reports that a chaos::Layer injects a fault on purpose: `on_injected`.
struct Injected {
    /// The faults of calls.
    enum class Kind : std::uint8_t {
        delay,    ///< the call begins later, or not before its deadline
        failure,  ///< the call fails without being made
        result    ///< the call is not made, and the layer's function answers
    };
    /// The attempt into which the fault is injected.
    Attempt attempt{};
    /// Which fault it is.
    Kind kind = Kind::failure;
};

}  // namespace chaos

namespace detail {

BELAY_DETAIL_HOOK(OnInjected, on_injected);
BELAY_DETAIL_HOOK(OnAttempt, on_attempt);
BELAY_DETAIL_HOOK(OnRetry, on_retry);
BELAY_DETAIL_HOOK(OnRejection, on_rejection);
BELAY_DETAIL_HOOK(OnHedge, on_hedge);
BELAY_DETAIL_HOOK(OnSuccess, on_success);
BELAY_DETAIL_HOOK(OnGiveUp, on_give_up);

/// The hooks that a run of retry calls.
struct RetryRunHooks {
    using Begun = Hook<OnAttempt, const NoMachine, const Attempt&>;
    using Planned = Hook<OnRetry, const NoMachine, const RetryPlanned&>;
    using Rejection = Hook<OnRejection, const NoMachine, const CallRejected&>;
    using Success = Hook<OnSuccess, const NoMachine, const Attempt&>;
    using GaveUp = Hook<OnGiveUp, const NoMachine, const RetryEnded&>;

    template <class O>
    [[nodiscard]] static consteval bool explain() {
        static_assert(Begun::template right<O>,
                      "retry: the observer's on_attempt must be 'on_attempt(const "
                      "belay::Attempt&)'");
        static_assert(Planned::template right<O>,
                      "retry: the observer's on_retry must be 'on_retry(const "
                      "belay::RetryPlanned&)'");
        static_assert(Rejection::template right<O>,
                      "retry: the observer's on_rejection must be 'on_rejection(const "
                      "belay::CallRejected&)'");
        static_assert(Success::template right<O>,
                      "retry: the observer's on_success must be 'on_success(const "
                      "belay::Attempt&)'");
        static_assert(GaveUp::template right<O>,
                      "retry: the observer's on_give_up must be 'on_give_up(const "
                      "belay::RetryEnded&)'");
        constexpr bool has_any = has_any_hook_of<O, Begun, Planned, Rejection, Success, GaveUp>;
        if constexpr (!has_any) {
            static_assert(
                !RuleLike<O>,
                "Retrying: write the rules into one policy: Retrying{Policy{Backoff{...}, "
                "MaxAttempts{3}}}");
        }
        static_assert(
            has_any || RuleLike<O>,
            "retry: the observer has no hook: it needs one of on_attempt, on_retry, on_rejection, "
            "on_success, on_give_up. Derive an observer without hooks from belay::NoObserver");
        return true;
    }
};

/// The hooks that a Pipeline calls.
struct PipelineHooks {
    using Rejection = RetryRunHooks::Rejection;
    using Hedged = Hook<OnHedge, const NoMachine, const Attempt&>;
    using Fault = Hook<OnInjected, const NoMachine, const chaos::Injected&>;

    template <class O>
    [[nodiscard]] static consteval bool explain() {
        static_assert(Rejection::right<O>,
                      "Pipeline: the observer's on_rejection must be 'on_rejection(const "
                      "belay::CallRejected&)'");
        static_assert(Hedged::right<O>,
                      "Pipeline: the observer's on_hedge must be 'on_hedge(const "
                      "belay::Attempt&)'");
        static_assert(Fault::template right<O>,
                      "Pipeline: the observer's on_injected must be 'on_injected(const "
                      "belay::chaos::Injected&)'");
        static_assert(has_any_hook_of<O, Rejection, Hedged, Fault>,
                      "Pipeline: the observer has no hook: it needs on_rejection, on_hedge or "
                      "on_injected. Derive an observer without hooks from belay::NoObserver");
        return true;
    }
};

inline constexpr NoObserver nobody{};
/// Returns the observer, or `nobody`, so that all observers without hooks share the same code.
template <class O>
[[nodiscard]] constexpr auto& watching(O& observer) noexcept {
    constexpr bool has_hooks =
        has_hook_of<RetryRunHooks::Begun, O> || has_hook_of<RetryRunHooks::Planned, O> ||
        has_hook_of<RetryRunHooks::Rejection, O> || has_hook_of<RetryRunHooks::Success, O> ||
        has_hook_of<RetryRunHooks::GaveUp, O>;
    if constexpr (has_hooks) {
        return unwrap(observer);
    } else {
        return nobody;
    }
}

}  // namespace detail

/// Counts what retries do. Pass one object as the observer of as many retries as you like.
///
/// Invariant: attempts = successes + failed ones, between two runs; retries < attempts in each run.
/// Models: an observer of retry.   Thread safety: one thread at a time.
/// Errors: none; no count overflows in practice, waits saturate.
struct RetryCounters {
    /// Calls that were made.
    std::uint64_t attempts = 0;
    /// Calls that were not the first of their run.
    std::uint64_t retries = 0;
    /// Runs that ended with a success.
    std::uint64_t successes = 0;
    /// The number of times that an attempt was due and a rule rejected it, and of runs that a rule
    /// with FailFast ended.
    std::uint64_t rejections = 0;
    /// Runs that ended without success, except those that an exception or destruction ended.
    std::uint64_t give_ups = 0;
    /// The sum of all waits, as they were planned.
    Duration waited{};

    constexpr void on_attempt(const Attempt& attempt) noexcept {
        ++attempts;
        if (attempt.number > 1) ++retries;
    }
    constexpr void on_retry(const RetryPlanned& retry) noexcept { add(retry.wait); }
    constexpr void on_rejection(const CallRejected& rejection) noexcept {
        ++rejections;
        add(rejection.wait);
    }
    constexpr void on_success(const Attempt&) noexcept { ++successes; }
    void on_give_up(const RetryEnded& ended) noexcept {
        ++give_ups;
        if (ended.why == CallErrc::call_rejected) ++rejections;
    }

    friend constexpr bool operator==(const RetryCounters&, const RetryCounters&) noexcept = default;

private:
    constexpr void add(Duration wait) noexcept { waited = part::saturating_add(waited, wait); }
};

}}  // namespace belay
