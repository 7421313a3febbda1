// SPDX-License-Identifier: MIT
/// \file belay/call/fallback.hpp
/// Fallback: gives another answer if a call fails; a layer of a Pipeline.
#pragma once

#include <concepts>     // std::invocable, std::same_as
#include <type_traits>  // std::is_void_v
#include <utility>      // std::move

#include <belay/call/answer.hpp>
#include <belay/call/detail/awaited_call.hpp>
#include <belay/core/instant.hpp>
#include <belay/core/order.hpp>
#include <belay/policy/detail/causes.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {
struct EveryFailure {
    [[nodiscard]] constexpr bool operator()(const Failure&) const noexcept { return true; }
};
template <class P>
concept ChoosesFailures = requires(const P& chooses, const Failure& why) {
    { chooses(why) } -> std::same_as<bool>;
};
}  // namespace detail

/// Answers in place of the inner layers of a Pipeline when they fail, reject or throw.
///
///     Fallback{[](const Failure& why) { return cached_scene(); }}
///     Fallback{[] { return cached_scene(); }, Cause::timed_out, Cause::overloaded}
///     Fallback{[] { return Scene{}; }, [](const Failure& why) { return why.code == 404; }}
///
/// With causes, or with a predicate on the Failure, it answers only for such failures; others stay
/// as they are. A call that a layer rejected is `overloaded`, or `timed_out` if that is the reason,
/// and its code is CallErrc::call_rejected. A call that a stop ended is `planned`.
///
/// `fn` takes the Failure or nothing. It returns what the call returns, or a value that converts to
/// that or to the value in it. For a call without a value, it may return anything. In a coroutine
/// it may return an awaitable of the same. Both `fn` and the predicate are called as const, and
/// their exceptions leave the pipeline. The answer counts as a success, except for false, an empty
/// optional and errors. So write the Fallback first in a Pipeline.
///
/// Thread safety: that of `fn` and the predicate.
template <class F, class Chosen = detail::EveryFailure>
class Fallback {
    static_assert(
        detail::ChoosesFailures<Chosen>,
        "Fallback: the filter must be causes, or a 'bool operator()(const belay::Failure&) const'");

public:
    static constexpr bool hides_failures = true;

    constexpr explicit Fallback(F fn, Chosen chosen = {})
        : fn_{std::move(fn)}, chosen_{std::move(chosen)} {
        static_assert(
            std::invocable<const F&, const Failure&> || std::invocable<const F&>,
            "Fallback: fn must be callable as const, with a belay::Failure or without arguments");
    }
    constexpr Fallback(F fn, Cause first, std::same_as<Cause> auto... more)
        requires std::same_as<Chosen, detail::CauseSet>
        : Fallback{std::move(fn), detail::CauseSet{first, more...}} {}

    template <class Next, class Context>
    typename Next::Answer call(const Next& next, Context& context, const Attempt& attempt) const {
        typename Next::Answer answer = next(attempt);
        if (answer.worked()) return answer;
        const Failure why = failure_of(answer, context.sleeper.now());
        if (!chosen_(why)) return answer;
        if constexpr (has_no_value<typename Next::Answer>) {
            static_cast<void>(ask(why));
            return Next::Answer::success();
        } else {
            static_assert(
                !std::is_void_v<decltype(ask(why))>,
                "Fallback: fn must return a value, because it replaces a call that returns one");
            return detail::answer_instead<typename Next::Answer>(ask(why));
        }
    }

    template <class Next, class Context>
    Task<typename Next::Answer> await(Next next, Context& context, Attempt attempt) const {
        auto answering = next(attempt);
        typename Next::Answer answer = co_await std::move(answering);
        if (answer.worked()) co_return answer;
        const Failure why = failure_of(answer, context.sleeper.now());
        if (!chosen_(why)) co_return answer;
        using Replacement = decltype(ask(why));
        constexpr bool no_value = has_no_value<typename Next::Answer>;
        if constexpr (detail::Awaitable<Replacement>) {
            decltype(auto) asked = ask(why);
            decltype(auto) awaiter = detail::awaiter_of(std::forward<decltype(asked)>(asked));
            if constexpr (no_value) {
                co_await awaiter;
                co_return Next::Answer::success();
            } else {
                static_assert(!std::is_void_v<detail::AwaitResult<Replacement>>,
                              "Fallback: fn must return a value, because it replaces a call that "
                              "returns one");
                co_return detail::answer_instead<typename Next::Answer>(co_await awaiter);
            }
        } else if constexpr (no_value) {
            static_cast<void>(ask(why));
            co_return Next::Answer::success();
        } else {
            static_assert(
                !std::is_void_v<Replacement>,
                "Fallback: fn must return a value, because it replaces a call that returns one");
            co_return detail::answer_instead<typename Next::Answer>(ask(why));
        }
    }

private:
    template <class Answer>
    static constexpr bool has_no_value = std::same_as<Answer, part::Answer<detail::VoidOutcome>>;

    // As its caller would see it: with the waits of limits inside of this layer.
    template <class Answer>
    [[nodiscard]] static Failure failure_of(const Answer& answer, Instant now) noexcept {
        Failure failure = *answer.failure;
        failure.retry_after =
            detail::larger(failure.retry_after, elapsed(now, answer.rejects_until));
        return failure;
    }

    decltype(auto) ask(const Failure& failure) const {
        if constexpr (std::invocable<const F&, const Failure&>) {
            return fn_(failure);
        } else {
            return fn_();
        }
    }

    [[no_unique_address]] F fn_;
    [[no_unique_address]] Chosen chosen_;
};

template <class F>
Fallback(F) -> Fallback<F>;
template <class F, class Chosen>
Fallback(F, Chosen) -> Fallback<F, Chosen>;
template <class F, std::same_as<Cause>... More>
Fallback(F, Cause, More...) -> Fallback<F, detail::CauseSet>;

}}  // namespace belay
