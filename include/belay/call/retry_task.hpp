// SPDX-License-Identifier: MIT
/// \file belay/call/retry_task.hpp
/// retry for coroutines: `co_await retry(policy, sleeper, fn)`.
#pragma once

#include <type_traits>  // std::decay_t
#include <utility>      // std::forward, std::move

#include <belay/call/async_sleeper_like.hpp>
#include <belay/call/detail/awaited_call.hpp>
#include <belay/call/retry.hpp>
#include <belay/call/task.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {

/// The coroutine type in which an A can be awaited, with the result T.
template <class A, class T>
struct CoroutineFor {
    static_assert(AwaitableAnywhere<A>,
                  "retry: fn's awaitable must be usable in any coroutine, or be a template whose "
                  "first argument is its result");
    using type = belay::Task<T>;
};
template <template <class, class...> class Own, class Result, class... Rest, class T>
    requires(!AwaitableAnywhere<Own<Result, Rest...>>)
struct CoroutineFor<Own<Result, Rest...>, T> {
    using type = Own<T, Rest...>;
};

/// Runs retry as a coroutine.
template <class Callee, class Coroutine, class P, class Sleeper, class F, class Stop,
          class Observer>
Coroutine retry_coroutine(P policy, Sleeper& sleeper, F fn, Stop stop, Observer observer) {
    using Answer = typename Callee::Answer;
    auto& watcher = detail::watching(observer);
    RetryCore<P, Sleeper, Answer, std::remove_reference_t<decltype(watcher)>> core{
        std::move(policy), sleeper, watcher, detail::attempt_around(fn)};
    for (;;) {
        const RetryStep step = core.next(stop.stop_requested());
        if (step == RetryStep::finished) break;
        if (step == RetryStep::wait) {
            decltype(auto) sleep = sleeper.async_sleep_until(core.until(), stop);
            if constexpr (AwaitableAnywhere<decltype(sleep)>) {
                decltype(auto) awaiter = detail::awaiter_of(std::forward<decltype(sleep)>(sleep));
                co_await awaiter;
            } else {
                co_await std::forward<decltype(sleep)>(sleep);
            }
            continue;
        }
        Answer answer;
#if defined(__cpp_exceptions)
        try {
#endif
            decltype(auto) call = detail::call(fn, core.attempt());
            if constexpr (!AwaitableAnywhere<decltype(call)>) {
                if constexpr (std::is_void_v<Awaited<F>>) {
                    co_await std::forward<decltype(call)>(call);
                    answer.returned.emplace();
                } else {
                    answer.returned.emplace(co_await std::forward<decltype(call)>(call));
                }
            } else {
                // GCC 12 copies awaiters that have no name.
                decltype(auto) awaiter = detail::awaiter_of(std::forward<decltype(call)>(call));
                if constexpr (std::is_void_v<Awaited<F>>) {
                    co_await awaiter;
                    answer.returned.emplace();
                } else {
                    answer.returned.emplace(co_await awaiter);
                }
            }
#if defined(__cpp_exceptions)
        } catch (...) {
            Callee::keep_exception(fn, answer);
        }
#endif
        Callee::classify(fn, answer);
        Callee::check_time(answer.failure, core.attempt(), sleeper);
        core.took(std::move(answer));
    }
    co_return Callee::unwrap(std::move(core.answer()));
}

}  // namespace detail

/// Awaits `fn` until it works, and waits as the policy advises.
///
/// It has the contract of blocking retry, for an `fn` that returns an awaitable of what blocking
/// retry accepts.
///
///     Result<Scene> scene = co_await retry(policy, sleeper, [&] { return async_fetch(url); });
///
/// It returns a Task, which any coroutine can await. If `fn`'s awaitable can only be awaited in
/// coroutines of its own kind (as asio's), it returns that kind instead. Nothing happens before it
/// is awaited. Destroying it in a wait or in a call ends it. The policy then receives `abandoned`,
/// and nothing runs any more, if `fn`'s awaitable can be destroyed.
///
/// An AttemptTimeout in the policy is the deadline in the Attempt. To end the call as well, write a
/// Pipeline with Retrying.
///
/// Policy, `fn`, `stop` and an observer that is not an lvalue are copied or moved into the
/// coroutine. The sleeper and an observer that is an lvalue must outlive it.
///
/// Throws:     what `fn`, a predicate, the sleeper or the observer throws; std::bad_alloc.
/// Allocates:  the coroutine's frame, and what the sleeper and `fn` allocate.
/// Complexity: attempts * rules.
/// Thread safety: continues where `fn` and the sleeper continue: that must be one thread at a time.
template <RuleLike P, class Sleeper, class F, StopTokenLike Stop = NeverStops,
          class Observer = const NoObserver>
    requires detail::AwaitingCall<std::decay_t<F>>
[[nodiscard]] auto retry(const P& policy, Sleeper& sleeper, F&& fn, Stop stop = {},
                         Observer&& observer = {}) {
    static_assert(explain::async_sleeper_like<Sleeper>());
    static_assert(
        detail::explain_observer<detail::RetryRunHooks, std::remove_reference_t<Observer>>());
    using Callable = std::decay_t<F>;
    using Callee = detail::Callee<Callable, detail::AwaitedValue<Callable>>;
    using Coroutine =
        typename detail::CoroutineFor<detail::CallResult<Callable>, typename Callee::Result>::type;
    return detail::retry_coroutine<Callee, Coroutine, detail::AsPolicy<P>, Sleeper, Callable, Stop,
                                   Observer>(detail::AsPolicy<P>{policy}, sleeper,
                                             std::forward<F>(fn), std::move(stop),
                                             std::forward<Observer>(observer));
}

/// Does not compile, because a coroutine needs a sleeper to wait.
template <detail::PolicyShaped P, class F, StopTokenLike Stop = NeverStops,
          class Observer = const NoObserver>
    requires(!detail::SleeperShaped<F> && detail::AwaitingCall<std::decay_t<F>>)
Result<void> retry(const P&, F&&, const Stop& = {}, Observer&& = {}) {
    static_assert(!sizeof(std::remove_reference_t<F>*),
                  "retry: in a coroutine, pass a sleeper before the function: co_await "
                  "retry(policy, sleeper, fn). <belay/drive.hpp> has LoopSleeper");
    return {};
}

}}  // namespace belay
