// SPDX-License-Identifier: MIT
/// \file belay/call/detail/awaited_call.hpp
/// Makes one awaited call, and waits for the first of several tasks.
#pragma once

#include <coroutine>    // std::coroutine_handle
#include <cstddef>      // std::size_t
#include <type_traits>  // std::is_void_v
#include <utility>      // std::forward

#include <belay/call/answer.hpp>
#include <belay/call/task.hpp>
#include <belay/core/stop_source.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// An awaitable that any coroutine can await, not only coroutines of its own kind.
template <class A>
concept AwaitableAnywhere =
    requires(A&& a, std::coroutine_handle<TaskPromise<VoidOutcome>> anybody) {
        detail::awaiter_of(std::forward<A>(a)).await_suspend(anybody);
    };

/// Makes one call and awaits its answer. `fn` and the context must outlive it.
/// Throws: an exception that is not a failure, and what a predicate throws.
template <AwaitingCall F, class Context>
belay::Task<part::Answer<AwaitedValue<F>>> awaited_call(F& fn, Attempt attempt,
                                                        const Context& context) {
    static_assert(AwaitableAnywhere<CallResult<F>>,
                  "Pipeline: fn's awaitable must not be restricted to coroutines of its own kind");
    using Callee = AwaitedCallee<F>;
    typename Callee::Answer answer;
#if defined(__cpp_exceptions)
    try {
#endif
        decltype(auto) call = detail::call(fn, attempt);
        // A named variable, because GCC 12 copies awaiters that have no name.
        decltype(auto) awaiter = detail::awaiter_of(std::forward<decltype(call)>(call));
        if constexpr (std::is_void_v<Awaited<F>>) {
            co_await awaiter;
            answer.returned.emplace();
        } else {
            answer.returned.emplace(co_await awaiter);
        }
#if defined(__cpp_exceptions)
    } catch (...) {
        Callee::keep_exception(fn, answer);
    }
#endif
    Callee::classify(fn, answer);
    Callee::check_time(answer.failure, attempt, context.sleeper);
    context.judge(answer, attempt);
    co_return answer;
}

/// Wraps a wait in a task, so that it can be started and destroyed.
template <class Sleeper, class Stop = NeverStops>
belay::Task<bool> sleeping(Sleeper& sleeper, Instant until, Stop stop = {}) {
    decltype(auto) sleep = sleeper.async_sleep_until(until, stop);
    decltype(auto) awaiter = detail::awaiter_of(std::forward<decltype(sleep)>(sleep));
    co_await awaiter;
    co_return true;
}

/// Awaits until one of several started tasks is done. The awaiting code destroys the tasks, if at
/// all. A task that is done is suspended at its end, so destroying it is safe.
class AnyDone {
public:
    static constexpr std::size_t tasks_max = 10;

    AnyDone() noexcept = default;
    AnyDone(const AnyDone&) = delete;
    AnyDone& operator=(const AnyDone&) = delete;

    template <class T>
    void add(belay::Task<T>& task) noexcept {
        BELAY_INVARIANT(count_ < tasks_max, "AnyDone::add: a slot must be free");
        done_ = done_ || task.done();
        then_[count_++] = &task.handle_.promise().then;
    }

    [[nodiscard]] bool await_ready() const noexcept { return done_; }
    void await_suspend(std::coroutine_handle<> waiter) noexcept { set(waiter); }
    // Tasks that end before the next await resume no coroutine.
    void await_resume() noexcept { set(std::noop_coroutine()); }

private:
    void set(std::coroutine_handle<> handle) noexcept {
        for (std::size_t i = 0; i < count_; ++i) *then_[i] = handle;
    }

    std::coroutine_handle<>* then_[tasks_max] = {};
    std::size_t count_ = 0;
    bool done_ = false;
};

/// A wait until the next turn of the sleeper, when no code that resumes coroutines inline is on the
/// stack. It begins when it is made, so that request() needs no memory. It cannot be moved.
template <class Sleeper>
class NextTurn {
public:
    /// Throws: what the sleeper throws, and std::bad_alloc.
    explicit NextTurn(Sleeper& sleeper)
        : turn_{detail::sleeping(sleeper, never, requested_.token())} {
        turn_.start();
        if (turn_.done()) static_cast<void>(turn_.take());
    }

    /// Lets the wait end in the next turn, and adds it to `any`.
    void request(AnyDone& any) noexcept {
        requested_.request_stop();
        any.add(turn_);
    }

private:
    LocalStop requested_;
    belay::Task<bool> turn_;
};

}}}  // namespace belay::detail
