// SPDX-License-Identifier: MIT
/// \file belay/call/pipeline_task.hpp
/// Pipeline for coroutines: `co_await pipeline(sleeper, fn)`.
#pragma once

#include <type_traits>  // std::remove_reference_t, std::is_void_v
#include <utility>      // std::forward, std::move

#include <belay/call/answer.hpp>
#include <belay/call/detail/awaited_call.hpp>
#include <belay/call/layers.hpp>
#include <belay/call/pipeline.hpp>
#include <belay/call/task.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {

template <class P>
struct PipelineTask {};

template <class Rule>
template <class Next, class Context>
belay::Task<typename Next::Answer> PermitLayer<Rule>::hold(const Rule& rule, Next next,
                                                           Context& context, Attempt attempt) {
    HeldPermit<Rule, Context> permit{rule, context, attempt};
    if (!permit.granted()) co_return permit.template rejection<typename Next::Answer>(attempt);
    auto answering = next(attempt);
    typename Next::Answer answer = co_await std::move(answering);
    permit.settle(answer);
    co_return answer;
}

}  // namespace detail

template <class Next, class Context>
Task<typename Next::Answer> Timeout::await(Next next, Context& context, Attempt attempt) const {
    using Answer = typename Next::Answer;
    const Instant now = context.sleeper.now();
    if (now >= end_) co_return late<Answer>(context, attempt, now);
    const Attempt inner = bounded(attempt, now);
    const auto asked = context.asked;
    auto work = next(inner);
    work.start();
    if (!work.done()) {
        auto timer = detail::sleeping(context.sleeper, inner.deadline);
        timer.start();
        detail::AnyDone any;
        any.add(work);
        any.add(timer);
        co_await any;
        // A timer that could not wait throws here; the time is then not over.
        if (!work.done()) static_cast<void>(timer.take());
    }
    if (work.done()) co_return work.take();
    if (context.asked != asked) {
        co_return Answer::none(std::make_error_code(std::errc::timed_out),
                               context.cut(inner.deadline));
    }
    // A caller that waited in a queue for all that time has called no peer.
    co_return late<Answer>(context, inner, inner.deadline);
}

template <class P, class Observer>
template <class Next, class Context>
Task<typename Next::Answer> Retrying<P, Observer>::await(Next next, Context& context,
                                                         Attempt around) const {
    using Answer = typename Next::Answer;
    auto&& observer = observer_.get();
    detail::RetryCore<detail::AsPolicy<P>, std::remove_reference_t<decltype(context.sleeper)>,
                      Answer, std::remove_reference_t<decltype(observer)>, detail::MadeByLayers>
        core{policy_, context.sleeper, observer, around, {&context}};
    for (;;) {
        const detail::RetryStep step = core.next(context.stop.stop_requested());
        if (step == detail::RetryStep::finished) break;
        if (step == detail::RetryStep::call) {
            const Attempt& attempt = core.attempt();
            // A limit of 0ns means at once, which a Timeout does not accept.
            const Timeout limit{
                detail::larger(elapsed(context.sleeper.now(), attempt.deadline), Duration{1})};
            auto answering = attempt.deadline == around.deadline
                                 ? next(attempt)
                                 : limit.await(next, context, attempt);
            Answer answer = co_await std::move(answering);
            core.took(std::move(answer));
        } else {
            decltype(auto) sleep = context.sleeper.async_sleep_until(core.until(), context.stop);
            decltype(auto) awaiter = detail::awaiter_of(std::forward<decltype(sleep)>(sleep));
            co_await awaiter;
        }
    }
    co_return std::move(core.answer());
}

template <class F, class Chosen>
template <class Next, class Context>
Task<typename Next::Answer> Fallback<F, Chosen>::await(Next next, Context& context,
                                                       Attempt attempt) const {
    auto answering = next(attempt);
    typename Next::Answer answer = co_await std::move(answering);
    if (answer.worked()) co_return answer;
    const Failure why = failure_of(answer, context.sleeper.now());
    if (!chosen_(why)) co_return answer;
    using Replacement = decltype(ask(why));
    if constexpr (detail::Awaitable<Replacement>) {
        decltype(auto) asked = ask(why);
        decltype(auto) awaiter = detail::awaiter_of(std::forward<decltype(asked)>(asked));
        if constexpr (has_no_value<typename Next::Answer>) {
            co_await awaiter;
            co_return Next::Answer::success();
        } else {
            static_assert(!std::is_void_v<detail::AwaitResult<Replacement>>,
                          "Fallback: fn must return a value, because it replaces a call that "
                          "returns one");
            co_return detail::answer_instead<typename Next::Answer>(co_await awaiter);
        }
    } else {
        co_return replacement<typename Next::Answer>(why);
    }
}

template <class Object>
template <class Next, class Context>
Task<typename Next::Answer> Queued<Object>::await(Next next, Context& context,
                                                  Attempt attempt) const {
    Wait<typename Next::Answer, Context> wait{*this, context, attempt};
    while (wait.goes_on()) {
        decltype(auto) sleep = context.sleeper.async_sleep_until(wait.until(), wait.token());
        decltype(auto) awaiter = detail::awaiter_of(std::forward<decltype(sleep)>(sleep));
        co_await awaiter;
    }
    if (!wait.permit) co_return std::move(*wait.rejection);
    auto answering = next(attempt);
    typename Next::Answer answer = co_await std::move(answering);
    wait.end(answer);
    co_return answer;
}

template <class... Layers>
template <class Callee, class Self, class Sleeper, class F, class Stop, class Observer>
Task<typename Callee::Result> Pipeline<Layers...>::await(Self self, Sleeper& sleeper, F fn,
                                                         Stop stop, Observer observer) {
    part::CallContext<Sleeper, Stop, std::remove_reference_t<Observer>> context{sleeper, stop,
                                                                                observer};
    if constexpr (limits_time) context.time = self.layers_.time_limit(sleeper.now());
    auto answering = self.layers_.template await<typename Callee::Answer, false>(
        context, fn, detail::attempt_around(fn));
    auto answer = co_await std::move(answering);
    Callee::include_limits(answer, sleeper);
    co_return Callee::unwrap(std::move(answer));
}

}}  // namespace belay
