// SPDX-License-Identifier: MIT
/// \file belay/call/pipeline.hpp
/// Pipeline: what is wrapped around one call, from the outside in.
#pragma once

#include <concepts>     // std::copy_constructible
#include <cstdint>      // std::uint64_t
#include <type_traits>  // std::decay_t
#include <utility>      // std::forward, std::move

#include <belay/call/async_sleeper_like.hpp>
#include <belay/call/detail/awaited_call.hpp>
#include <belay/call/detail/permit_layer.hpp>
#include <belay/call/retry_observer.hpp>
#include <belay/core/stop_source.hpp>
#include <belay/policy/rule.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {

template <class L>
concept Repeats = requires { requires L::repeats_calls; };
template <class L>
concept Retries = Repeats<L> && requires { requires L::retries_calls; };
template <class L>
concept Hedges = Repeats<L> && requires { requires L::hedges_calls; };
template <class L>
concept HidesFailures = requires { requires L::hides_failures; };

/// What a layer calls to go on inwards.
template <class Answer_, class Inner, class Context, class F>
struct BlockingNext {
    using Answer = Answer_;
    const Inner& inner;
    Context& context;
    F& fn;
    Answer operator()(const Attempt& attempt) const {
        return inner.template run<Answer>(context, fn, attempt);
    }
};
template <class Answer_, class Inner, class Context, class F, bool retried_>
struct AwaitingNext {
    using Answer = Answer_;
    /// Whether a Retrying further out counts these calls.
    static constexpr bool retried = retried_;
    const Inner& inner;
    Context& context;
    F& fn;
    belay::Task<Answer> operator()(const Attempt& attempt) const {
        return inner.template await<Answer, retried>(context, fn, attempt);
    }
};

/// The layers as nested values; the innermost makes the call.
template <class... Layers>
struct Layered;
template <>
struct Layered<> {
    template <class Answer, class Context, class F>
    static Answer run(Context& context, F& fn, const Attempt& attempt) {
        ++context.asked;
        return Callee<F, CallResult<F>>::make(fn, attempt);
    }
    template <class Answer, bool, class Context, class F>
    static belay::Task<Answer> await(Context& context, F& fn, const Attempt& attempt) {
        ++context.asked;
        return detail::awaited_call(fn, attempt);
    }
};
template <class First, class... Inner>
struct Layered<First, Inner...> {
    static_assert(!Retries<First> || !(Retries<Inner> || ...),
                  "Pipeline: a Retrying inside a Retrying multiplies their attempts; use one");
    static_assert(!Hedges<First> || !(Hedges<Inner> || ...),
                  "Pipeline: a Hedge inside a Hedge multiplies their calls; use one");
    static_assert(!Repeats<First> || !(HidesFailures<Inner> || ...),
                  "Pipeline: a Fallback inside a Retrying or Hedge hides the failures from it; "
                  "write the Fallback first");

    template <class Answer, class Context, class F>
    Answer run(Context& context, F& fn, const Attempt& attempt) const {
        const BlockingNext<Answer, Layered<Inner...>, Context, F> next{inner, context, fn};
        explain_layer<requires { layer_of(first).call(next, context, attempt); }>();
        return layer_of(first).call(next, context, attempt);
    }
    template <class Answer, bool retried, class Context, class F>
    belay::Task<Answer> await(Context& context, F& fn, const Attempt& attempt) const {
        const AwaitingNext<Answer, Layered<Inner...>, Context, F, retried || Retries<First>> next{
            inner, context, fn};
        explain_awaiting_layer<requires { layer_of(first).await(next, context, attempt); }>();
        return layer_of(first).await(next, context, attempt);
    }

    [[no_unique_address]] First first;
    [[no_unique_address]] Layered<Inner...> inner;

private:
    template <bool fits>
    static consteval void explain_layer() {
        static_assert(fits || !RuleLike<First>,
                      "Pipeline: a policy, or a rule, is no layer: write Retrying{policy}");
        static_assert(
            fits || RuleLike<First>,
            "Pipeline: a layer of a blocking call needs 'auto call(const auto& next, auto& "
            "context, const belay::Attempt&) const', which returns what next(attempt) does");
    }
    template <bool fits>
    static consteval void explain_awaiting_layer() {
        static_assert(fits || !RuleLike<First>,
                      "Pipeline: a policy, or a rule, is no layer: write Retrying{policy}");
        static_assert(
            fits || RuleLike<First>,
            "Pipeline: a layer of a coroutine needs 'auto await(auto next, auto& context, "
            "belay::Attempt) const', which returns a Task of what next(attempt) does");
    }
};

template <class First, class... Inner>
[[nodiscard]] constexpr Layered<First, Inner...> layered(First first, Inner... inner) {
    if constexpr (sizeof...(Inner) == 0) {
        return {std::move(first), {}};
    } else {
        return {std::move(first), detail::layered(std::move(inner)...)};
    }
}

}  // namespace detail

namespace part {

/// What the layers of a Pipeline share during one call: a layer of yours is given it.
template <class Sleeper, class Stop, class Observer = const NoObserver>
struct CallContext {
    /// Time, chance and waits.
    Sleeper& sleeper;
    /// Asks to stop; ends waits, not calls.
    const Stop& stop;
    /// Hears of refusals and hedges.
    Observer& observer;
    /// How many calls a Hedge has begun.
    std::uint64_t calls = 0;
    /// How often `fn` was called.
    std::uint64_t asked = 0;

    [[nodiscard]] Turn turn() const noexcept { return {sleeper.now(), sleeper.bits()}; }
    /// A Hedge makes a further call.
    void hedged([[maybe_unused]] const Attempt& attempt) const {
        detail::notify<detail::PipelineHooks::Hedged>(observer, detail::no_machine, attempt);
    }
    /// A layer lets no call through; `advice.by` names it.
    void refused([[maybe_unused]] const Attempt& attempt,
                 [[maybe_unused]] const Advice& advice) const {
        if constexpr (detail::hears<detail::RetryRunHooks::Refusal, Observer>) {
            detail::notify<detail::RetryRunHooks::Refusal>(
                observer, detail::no_machine,
                CallRefused{attempt, advice, elapsed(sleeper.now(), advice.until)});
        }
    }
};

}  // namespace part

/// Wraps one call in layers, the first of which is the outermost.
///
///     Pipeline pipeline{Fallback{[] { return cached; }}, Retrying{policy}, Shared{breaker},
///                       Shared{limiter}, Queued{bulkhead}, Timeout{2s}};
///     Result<Scene> scene = pipeline(sleeper, fetch);
///     Result<Scene> scene = co_await pipeline(sleeper, async_fetch);
///
/// The order decides what is counted: a breaker inside of Retrying sees every attempt, outside of
/// it every call; a Timeout inside limits each attempt, outside all of them with their waits.
///
/// Layers: Fallback, Retrying, Timeout, Hedge (coroutines only), Queued, and Shared with any
/// ShareableLike: a CircuitBreaker, a RateLimiter, a Bulkhead. A layer of one's own is a
/// copyable struct with
/// - `call(const auto& next, auto& context, const Attempt&) const` for blocking calls: returns what
///   `next(attempt)` does, an Answer, or one of its own;
/// - `await(auto next, auto& context, Attempt) const` for coroutines: the same in a Task.
///
/// What the call may return, and what the caller gets, is as in `retry`; fails_if and fails_on
/// judge. A call that was refused before it was made ends with CallErrc::call_refused, one that
/// took too long with std::errc::timed_out, unless a Fallback has an answer. Which layer refused it
/// an observer learns: the last argument of a call, with `on_refusal(const CallRefused&)`, whose
/// `advice.by` names the object ("CircuitBreaker"). `on_hedge(const Attempt&)` tells it of each
/// further call of a Hedge. A Retrying has an observer of its own.
///
/// Thread safety: distinct objects safe; calls through a shared one too, as far as its callables
///                are: each call runs its own copies of what has state.
/// Allocates:     never in blocking calls; in coroutines a frame per layer and call.
template <class... Layers>
class Pipeline {
    static_assert((std::copy_constructible<Layers> && ...),
                  "Pipeline: layers are copied; what many share (a breaker, a limiter, a bulkhead) "
                  "goes in as Shared{object}");

public:
    constexpr explicit Pipeline(Layers... layers)
        : layers_{detail::layered(std::move(layers)...)} {}

    /// Calls `fn`, which may take an Attempt, through the layers.
    ///
    /// Throws: what `fn`, a predicate or a layer's callable throws.   Blocks: while `fn` runs, and
    /// for the waits.
    template <class Sleeper, class F, StopTokenLike Stop = NeverStops,
              class Observer = const NoObserver>
        requires detail::BlockingCall<std::remove_reference_t<F>>
    auto operator()(Sleeper& sleeper, F&& fn, const Stop& stop = {},
                    Observer&& observer = {}) const {
        static_assert(explain::sleeper_like<Sleeper>());
        static_assert(
            detail::explain_observer<detail::PipelineHooks, std::remove_reference_t<Observer>>());
        using Callable = std::remove_reference_t<F>;
        using Callee = detail::Callee<Callable, detail::CallResult<Callable>>;
        part::CallContext<Sleeper, Stop, std::remove_reference_t<Observer>> context{sleeper, stop,
                                                                                    observer};
        return Callee::unwrap(
            layers_.template run<typename Callee::Answer>(context, fn, Attempt{}));
    }

    /// The same for an `fn` that returns an awaitable: a Task, which any coroutine can await. `fn`
    /// and an observer that is no lvalue are moved into it; the pipeline, the sleeper and an
    /// observer that is an lvalue must outlive it. `fn`'s awaitable must be one that any coroutine
    /// can await.
    template <class Sleeper, class F, StopTokenLike Stop = NeverStops,
              class Observer = const NoObserver>
        requires detail::AwaitingCall<std::decay_t<F>>
    [[nodiscard]] auto operator()(Sleeper& sleeper, F&& fn, Stop stop = {},
                                  Observer&& observer = {}) const {
        static_assert(explain::async_sleeper_like<Sleeper>());
        static_assert(
            detail::explain_observer<detail::PipelineHooks, std::remove_reference_t<Observer>>());
        using Callee = detail::AwaitedCallee<std::decay_t<F>>;
        return await<Callee, Sleeper, std::decay_t<F>, Stop, Observer>(
            sleeper, std::forward<F>(fn), std::move(stop), std::forward<Observer>(observer));
    }

    /// Does not compile: the observer comes after a stop token.
    template <class Sleeper, class F, class Observer>
        requires(!StopTokenLike<std::remove_reference_t<Observer>>)
    Result<void> operator()(Sleeper&, F&&, Observer&&) const {
        static_assert(StopTokenLike<std::remove_reference_t<Observer>>,
                      "Pipeline: a stop token comes before the observer: pipeline(sleeper, fn, "
                      "NeverStops{}, observer)");
        return {};
    }

private:
    template <class Callee, class Sleeper, class F, class Stop, class Observer>
    Task<typename Callee::Result> await(Sleeper& sleeper, F fn, Stop stop,
                                        Observer observer) const {
        part::CallContext<Sleeper, Stop, std::remove_reference_t<Observer>> context{sleeper, stop,
                                                                                    observer};
        auto answering =
            layers_.template await<typename Callee::Answer, false>(context, fn, Attempt{});
        auto answer = co_await std::move(answering);
        co_return Callee::unwrap(std::move(answer));
    }

    detail::Layered<Layers...> layers_;
};

template <class... Layers>
Pipeline(Layers...) -> Pipeline<Layers...>;

}}  // namespace belay
