// SPDX-License-Identifier: MIT
/// \file belay/call/pipeline.hpp
/// Pipeline: layers around one call, from the outside in.
#pragma once

#include <concepts>     // std::copy_constructible
#include <cstddef>      // std::size_t
#include <cstdint>      // std::uint64_t
#include <exception>    // std::uncaught_exceptions
#include <type_traits>  // std::decay_t
#include <utility>      // std::forward, std::move

#include <belay/call/answer.hpp>
#include <belay/call/async_sleeper_like.hpp>
#include <belay/call/retry_observer.hpp>
#include <belay/core/assert.hpp>
#include <belay/core/order.hpp>
#include <belay/core/stop_source.hpp>
#include <belay/policy/policy.hpp>
#include <belay/policy/rule.hpp>
#include <belay/policy/shared.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {

/// The permit of one call. Without a verdict its destructor returns it, unless a deadline has ended
/// the call.
template <class Rule, class Context>
class HeldPermit {
public:
    // A copy of a rule refers to the same object and holds no permit.
    HeldPermit(const Rule& rule, Context& context, const Attempt& attempt) noexcept
        : rule_{rule}, context_{context}, asked_{context.asked}, deadline_{attempt.deadline} {
        Turn turn = context_.turn();
        rule_.do_not_spread();
        if constexpr (requires { rule_.wanted(turn); }) rule_.wanted(turn);
        // Calls begin without admit, because begin counts granted and rejected permits.
        advice_ = rule_.begin(turn);
        held_ = advice_.verb == Advice::Verb::go;
        advice_.by = Rule::name;
        // A stop with an instant is that of a rule with FailFast.
        if (!held_ && (advice_.verb != Advice::Verb::stop || advice_.until != never)) {
            wait_ = elapsed(turn.now, advice_.until);
        }
    }
    HeldPermit(const HeldPermit&) = delete;
    HeldPermit& operator=(const HeldPermit&) = delete;
    // An exception that leaves the call is no verdict.
    ~HeldPermit() {
        if (!held_ || context_.asked == asked_ || std::uncaught_exceptions() != 0) return;
        Turn turn = context_.turn();
        if (turn.now < deadline_) return;
        static_cast<void>(rule_.failed(context_.cut(deadline_), turn));
    }
    [[nodiscard]] bool granted() const noexcept { return held_; }
    // Also notifies the observer.
    template <class Answer>
    [[nodiscard]] Answer rejection(const Attempt& attempt) const {
        context_.rejected(attempt, advice_);
        return Answer::reject(CallErrc::call_rejected, wait_);
    }
    // A call that an inner layer rejected shows nothing about the peer.
    template <class Answer>
    void settle(Answer& answer) noexcept {
        held_ = false;
        if (answer.rejected) return;
        Turn turn = context_.turn();
        if (answer.worked()) return rule_.succeeded(turn);
        static_cast<void>(rule_.failed(*answer.failure, turn));
        answer.rejects_until =
            detail::larger(answer.rejects_until, detail::rejects_until(rule_, turn.now));
    }

private:
    Rule rule_;
    Context& context_;
    const std::uint64_t asked_;  // before the call
    const Instant deadline_;
    Advice advice_{};
    Duration wait_{};
    bool held_ = false;
};

template <class Rule>
struct PermitLayer {
    const Rule& rule;

    template <class Next, class Context>
    typename Next::Answer call(const Next& next, Context& context, const Attempt& attempt) const {
        HeldPermit<Rule, Context> permit{rule, context, attempt};
        if (!permit.granted()) return permit.template rejection<typename Next::Answer>(attempt);
        typename Next::Answer answer = next(attempt);
        permit.settle(answer);
        return answer;
    }
    template <class Next, class Context>
    belay::Task<typename Next::Answer> await(Next next, Context& context, Attempt attempt) const {
        return hold(rule, next, context, attempt);
    }

private:
    // Static, because the layer itself is a temporary.
    template <class Next, class Context>
    static belay::Task<typename Next::Answer> hold(const Rule& rule, Next next, Context& context,
                                                   Attempt attempt);
};

/// <belay/call/pipeline_task.hpp> completes it, so that a call of a coroutine without that header
/// gets a sentence.
template <class P>
struct PipelineTask;
template <class P>
concept IsAwaitable = requires { sizeof(PipelineTask<P>); };

/// Makes one call and awaits its answer. `fn` and the context must outlive it.
/// Throws: an exception that is not a failure, and what a predicate throws.
template <AwaitingCall F, class Context>
belay::Task<part::Answer<AwaitedValue<F>>> awaited_call(F& fn, Attempt attempt,
                                                        const Context& context);

/// Returns a layer unchanged, and wraps a Shared object in a PermitLayer.
template <class L>
[[nodiscard]] constexpr const L& layer_of(const L& layer) noexcept {
    return layer;
}
template <class Object>
[[nodiscard]] constexpr PermitLayer<Shared<Object>> layer_of(const Shared<Object>& rule) noexcept {
    static_assert(!part::ReservableLike<Object>,
                  "Pipeline: a budget cannot be a layer, because it pays for retries; put it into "
                  "Retrying's policy or into a Hedge");
    return {rule};
}

template <class L>
concept Repeats = requires { requires L::repeats_calls; };
template <class L>
concept Retries = Repeats<L> && requires { requires L::retries_calls; };
template <class L>
concept Hedges = Repeats<L> && requires { requires L::hedges_calls; };
template <class L>
concept LimitsTime = requires { requires L::limits_time; };
template <class L>
concept HidesFailures = requires { requires L::hides_failures; };

/// The function that a layer calls in order to continue with the inner layers.
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
    /// Continues with a context of its own, which must outlive the calls.
    [[nodiscard]] AwaitingNext within(Context& own) const noexcept { return {inner, own, fn}; }
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
        context.note_call();
        Answer answer = Callee<F, CallResult<F>>::make(fn, attempt, context.sleeper);
        context.judge(answer, attempt);
        return answer;
    }
    template <class Answer, bool, class Context, class F>
    static belay::Task<Answer> await(Context& context, F& fn, const Attempt& attempt) {
        context.note_call();
        return detail::awaited_call(fn, attempt, context);
    }
    static constexpr TimeLimit time_limit(Instant, TimeLimit shortest) noexcept { return shortest; }
};
template <class First, class... Inner>
struct Layered<First, Inner...> {
    static_assert(!Retries<First> || !(Retries<Inner> || ...),
                  "Pipeline: a Retrying inside a Retrying multiplies their attempts; use only one");
    static_assert(!Hedges<First> || !(Hedges<Inner> || ...),
                  "Pipeline: a Hedge inside a Hedge multiplies their calls; use only one");
    static_assert(!Repeats<First> || !(HidesFailures<Inner> || ...),
                  "Pipeline: a Fallback inside a Retrying or Hedge hides the failures from it; "
                  "write the Fallback before it");
    static_assert(
        !judges_results<First> || !(HidesFailures<Inner> || ...),
        "Pipeline: a Fallback inside a breaker, an adaptive limit or a throttle hides the "
        "failures from it; write the Fallback before it");

    template <class Answer, class Context, class F>
    Answer run(Context& context, F& fn, const Attempt& attempt) const {
        const BlockingNext<Answer, Layered<Inner...>, Context, F> next{inner, context, fn};
        explain_layer<requires { layer_of(first).call(next, context, attempt); }, true>();
        return layer_of(first).call(next, context, attempt);
    }
    template <class Answer, bool retried, class Context, class F>
    belay::Task<Answer> await(Context& context, F& fn, const Attempt& attempt) const {
        const AwaitingNext<Answer, Layered<Inner...>, Context, F, retried || Retries<First>> next{
            inner, context, fn};
        explain_layer<requires { layer_of(first).await(next, context, attempt); }, false>();
        return layer_of(first).await(next, context, attempt);
    }

    /// Returns the shortest limit, usually the innermost one.
    [[nodiscard]] constexpr TimeLimit time_limit(Instant now,
                                                 TimeLimit shortest = {}) const noexcept {
        if constexpr (LimitsTime<First>) {
            const TimeLimit own = first.time_limit(now);
            if (own.limit <= shortest.limit && own.is_set()) shortest = own;
        }
        return inner.time_limit(now, shortest);
    }

    [[no_unique_address]] First first;
    [[no_unique_address]] Layered<Inner...> inner;

private:
    template <bool fits, bool blocks>
    static consteval void explain_layer() {
        static_assert(fits || !RuleLike<First>,
                      "Pipeline: a policy or a rule is not a layer; write Retrying{policy}");
        static_assert(
            fits || RuleLike<First> || !blocks,
            "Pipeline: a layer of a blocking call needs 'auto call(const auto& next, auto& "
            "context, const belay::Attempt&) const', which returns the result of next(attempt)");
        static_assert(
            fits || RuleLike<First> || blocks,
            "Pipeline: a layer of a coroutine needs 'auto await(auto next, auto& context, "
            "belay::Attempt) const', which returns a Task of the result of next(attempt)");
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

template <class L>
concept WaitsForPermit = requires { requires L::holds_permit; };

/// Checks that a call takes at most one permit of an object that judges results or has a queue.
/// With two, the outer place takes the probe of a half-open breaker, and the inner place rejects
/// the call. Calls that hold one place of a bulkhead and wait for another would wait for each
/// other.
template <class... Layers>
constexpr void expect_one_place([[maybe_unused]] const Layers&... layers) noexcept {
    [[maybe_unused]] const auto is_only = [&]<class L>([[maybe_unused]] const L& layer) noexcept {
        if constexpr (judges_results<L> || WaitsForPermit<L>) {
            return (std::size_t{0} + ... + detail::places_of(layer, layers)) == 1;
        } else {
            return true;
        }
    };
    BELAY_OPTION((is_only(layers) && ...),
                 "Pipeline: a breaker, adaptive limit or throttle must be in one place "
                 "around the call: a layer, or the policy of Retrying. So must the object "
                 "of a Queued");
}

}  // namespace detail

namespace part {

/// The state that the layers of a Pipeline share during one call; your own layers receive it.
template <class Sleeper, class Stop, class Observer = const NoObserver>
struct CallContext : detail::MadeCalls {
    /// Gives time, randomness and waits.
    Sleeper& sleeper;
    /// Requests a stop; a stop ends waits, not calls.
    const Stop& stop;
    /// Is notified of rejections, hedges and injected faults.
    Observer& observer;
    /// The number of calls that a Hedge has begun.
    std::uint64_t calls = 0;
    /// The context of the Hedge around this one, whose calls run side by side; null without one.
    CallContext* around = nullptr;

    CallContext(Sleeper& s, const Stop& token, Observer& o) noexcept
        : sleeper{s}, stop{token}, observer{o} {}

    /// Returns the time and random bits of the sleeper.
    [[nodiscard]] Turn turn() const noexcept { return {sleeper.now(), sleeper.bits()}; }
    /// Counts a call of `fn`, which begins now, also for the Hedge around.
    void note_call() noexcept {
        ++asked;
        if (time.is_set() || around != nullptr) began = sleeper.now();
        first_began = detail::smaller(first_began, began);
        if (around == nullptr) return;
        ++around->asked;
        around->is_queued |= is_queued;
        around->began = detail::smaller(around->began, began);
    }
    /// Marks a failure of the last call as this side's if the call had too little time.
    template <class Answer>
    void judge(Answer& answer, const Attempt& attempt) const noexcept {
        if (!answer.failure || !time.is_set()) return;
        MadeCalls::judge(*answer.failure, attempt.deadline, sleeper.now());
    }
    /// Reports that a Hedge makes a further call.
    void hedged([[maybe_unused]] const Attempt& attempt) const {
        detail::notify<detail::PipelineHooks::Hedged>(observer, detail::no_machine, attempt);
    }
    /// Reports that a chaos::Layer injects a fault.
    void injected([[maybe_unused]] const chaos::Injected& fault) const {
        detail::notify<detail::PipelineHooks::Fault>(observer, detail::no_machine, fault);
    }
    /// Reports that a layer lets no call through; `advice.by` names the layer.
    void rejected([[maybe_unused]] const Attempt& attempt,
                  [[maybe_unused]] const Advice& advice) const {
        if constexpr (detail::has_hook_of<detail::RetryRunHooks::Rejection, Observer>) {
            detail::notify<detail::RetryRunHooks::Rejection>(
                observer, detail::no_machine,
                CallRejected{attempt, advice, elapsed(sleeper.now(), advice.until)});
        }
    }
};

}  // namespace part

/// Wraps one call in layers, of which the first is the outermost.
///
///     Pipeline pipeline{Fallback{[] { return cached; }}, Retrying{policy}, Shared{breaker},
///                       Queued{bulkhead}, Shared{limiter}, Timeout{2s}};
///     Result<Scene> scene = pipeline(sleeper, [](Attempt a) { return fetch(a.deadline); });
///     Result<Scene> scene = co_await pipeline(sleeper, async_fetch);
///
/// The order decides what is counted. A breaker inside Retrying sees every attempt, and outside it
/// every call. A Timeout inside limits each attempt, and outside it limits all of them with their
/// waits. The peer is charged only for the time that it had; see Timeout.
///
/// The layers are Fallback, Retrying, Timeout, Hedge (coroutines only), Queued, and Shared with any
/// ShareableLike: a CircuitBreaker, a RateLimiter, a Bulkhead. A layer of your own is a copyable
/// struct with
/// - `call(const auto& next, auto& context, const Attempt&) const` for blocking calls: returns what
///   `next(attempt)` returns, a part::Answer, or one of its own;
/// - `await(auto next, auto& context, Attempt) const` for coroutines: the same in a Task;
/// - if they apply, constants of value true: `limits_time`, `hides_failures` (replaces them by an
///   answer), `holds_permit` (waits for one), `repeats_calls`, and with it `retries_calls` or
///   `hedges_calls`. With them, orders of layers that make no sense do not compile.
///   Examples are a Retrying in a Retrying, a Hedge in a Hedge, and a Fallback in a Retrying.
///
/// The call may return the same types as for `retry`, and the caller gets the same results. Use
/// fails_if and fails_on to classify results. Unless a Fallback has an answer, a call that was
/// rejected before it was made ends with CallErrc::call_rejected. A call that took too long then
/// ends with std::errc::timed_out.
///
/// An observer is the last argument of a call. Its `on_rejection(const CallRejected&)` reports
/// which layer rejected the call: `advice.by` names the object ("CircuitBreaker"). Its
/// `on_hedge(const Attempt&)` reports each further call of a Hedge, and its `on_injected(const
/// chaos::Injected&)` each fault of a chaos::Layer. A Retrying has its own observer.
///
/// Thread safety: distinct objects safe. Calls through a shared object are also safe, if its
///                callables are: each call runs its own copies of everything that has state.
/// Allocates:     never in blocking calls; in coroutines a frame per layer and call.
template <class... Layers>
class Pipeline {
    static_assert(sizeof...(Layers) >= 1,
                  "Pipeline: pass at least one layer: Pipeline{Retrying{policy}}");
    static_assert((std::copy_constructible<Layers> && ...),
                  "Pipeline: a layer must be copyable; pass a breaker, limiter or bulkhead that "
                  "several callers share as Shared{object}");

public:
    /// Pre: no two layers, nor a layer and the policy of a Retrying, refer to the same object that
    /// judges results: a breaker, an AdaptiveLimit, a CubicRate or an AdaptiveThrottle. No two
    /// Queued wait for the same object. The rules of a policies::AnyPolicy are not checked.
    constexpr explicit Pipeline(Layers... layers)
        : layers_{(detail::expect_one_place(layers...), detail::layered(std::move(layers)...))} {}

    /// Calls `fn`, which may take an Attempt, through the layers.
    ///
    /// Throws: what `fn`, a predicate or a layer's callable throws.
    /// Blocks: while `fn` runs, and for the waits.
    template <class Sleeper, class F, StopTokenLike Stop = NeverStops,
              class Observer = const NoObserver>
        requires detail::BlockingCall<std::remove_reference_t<F>>
    auto operator()(Sleeper& sleeper, F&& fn, const Stop& stop = {},
                    Observer&& observer = {}) const& {
        static_assert(explain::sleeper_like<Sleeper>());
        static_assert(
            detail::explain_observer<detail::PipelineHooks, std::remove_reference_t<Observer>>());
        using Callable = std::remove_reference_t<F>;
        using Callee = detail::Callee<Callable, detail::CallResult<Callable>>;
        detail::explain_deadline<Callable, limits_time>();
        part::CallContext<Sleeper, Stop, std::remove_reference_t<Observer>> context{sleeper, stop,
                                                                                    observer};
        if constexpr (limits_time) context.time = layers_.time_limit(sleeper.now());
        auto answer =
            layers_.template run<typename Callee::Answer>(context, fn, detail::attempt_around(fn));
        Callee::include_limits(answer, sleeper);
        return Callee::unwrap(std::move(answer));
    }

    /// Calls an `fn` that returns an awaitable, and returns a Task that any coroutine can await.
    ///
    /// `fn`, and an observer that is not an lvalue, are moved into the Task, and so is a temporary
    /// pipeline. A pipeline that is an lvalue, the sleeper and an observer that is an lvalue must
    /// outlive it. Any coroutine must be able to await `fn`'s awaitable.
    template <class Sleeper, class F, StopTokenLike Stop = NeverStops,
              class Observer = const NoObserver>
        requires detail::AwaitingCall<std::decay_t<F>>
    [[nodiscard]] auto operator()(Sleeper& sleeper, F&& fn, Stop stop = {},
                                  Observer&& observer = {}) const& {
        return begin<const Pipeline&, F, Observer>(*this, sleeper, fn, std::move(stop), observer);
    }
    template <class Sleeper, class F, StopTokenLike Stop = NeverStops,
              class Observer = const NoObserver>
        requires detail::AwaitingCall<std::decay_t<F>>
    [[nodiscard]] auto operator()(Sleeper& sleeper, F&& fn, Stop stop = {},
                                  Observer&& observer = {}) && {
        return begin<Pipeline, F, Observer>(std::move(*this), sleeper, fn, std::move(stop),
                                            observer);
    }

    /// Does not compile, because a sleeper is missing.
    template <class F>
    Result<void> operator()(F&&) const& {
        static_assert(!sizeof(std::remove_reference_t<F>*),
                      "Pipeline: pass a sleeper before the function: pipeline(sleeper, fn). "
                      "<belay/drive.hpp> has ThreadSleeper for blocking calls and LoopSleeper for "
                      "coroutines");
        return {};
    }
    /// Does not compile, because the sleeper comes first, or is a temporary.
    template <class First, class Second>
        requires(detail::SleeperShaped<First> ? !std::is_lvalue_reference_v<First>
                                              : detail::SleeperShaped<Second>)
    Result<void> operator()(First&&, Second&&) const& {
        static_assert(detail::SleeperShaped<First>,
                      "Pipeline: pass a sleeper before the function: pipeline(sleeper, fn)");
        static_assert(!detail::SleeperShaped<First> || std::is_lvalue_reference_v<First>,
                      "Pipeline: the sleeper must be a variable that is not const");
        return {};
    }
    /// Does not compile, because the observer comes after a stop token.
    template <class Sleeper, class F, class Observer>
        requires(!StopTokenLike<std::remove_reference_t<Observer>>)
    Result<void> operator()(Sleeper&, F&&, Observer&&) const& {
        static_assert(detail::explain_stop_token<Observer>());
        static_assert(detail::AsksForStop<Observer>,
                      "Pipeline: pass a stop token before the observer: pipeline(sleeper, fn, "
                      "NeverStops{}, observer)");
        return {};
    }

private:
    static constexpr bool limits_time = (detail::LimitsTime<Layers> || ...);

    // Self is `const Pipeline&`, or a Pipeline that the Task owns.
    template <class Self, class F, class Observer, class Sleeper, class Stop>
    [[nodiscard]] static auto begin(Self&& self, Sleeper& sleeper, std::remove_reference_t<F>& fn,
                                    Stop stop, std::remove_reference_t<Observer>& observer) {
        static_assert(detail::IsAwaitable<Pipeline>,
                      "Pipeline: include <belay/call_coroutines.hpp> for co_await "
                      "pipeline(sleeper, fn)");
        static_assert(explain::async_sleeper_like<Sleeper>());
        static_assert(
            detail::explain_observer<detail::PipelineHooks, std::remove_reference_t<Observer>>());
        if constexpr (detail::IsAwaitable<Pipeline>) {
            using Callee = detail::AwaitedCallee<std::decay_t<F>>;
            return await<Callee, Self, Sleeper, std::decay_t<F>, Stop, Observer>(
                std::forward<Self>(self), sleeper, std::forward<F>(fn), std::move(stop),
                std::forward<Observer>(observer));
        }
    }
    template <class Callee, class Self, class Sleeper, class F, class Stop, class Observer>
    static Task<typename Callee::Result> await(Self self, Sleeper& sleeper, F fn, Stop stop,
                                               Observer observer);

    detail::Layered<Layers...> layers_;
};

template <class... Layers>
Pipeline(Layers...) -> Pipeline<Layers...>;

}}  // namespace belay
