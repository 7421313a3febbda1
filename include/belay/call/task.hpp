// SPDX-License-Identifier: MIT
/// \file belay/call/task.hpp
/// Task: the return type of belay's coroutines. It is lazy, and destroying it cancels it.
#pragma once

#include <atomic>       // std::atomic
#include <coroutine>    // std::coroutine_handle
#include <cstdint>      // std::uint8_t
#include <exception>    // std::exception_ptr
#include <optional>     // std::optional
#include <type_traits>  // std::is_void_v
#include <utility>      // std::exchange, std::forward, std::move

#include <belay/core/assert.hpp>

namespace belay { inline namespace BELAY_ABI {

template <class T>
class Task;

namespace detail {

class AnyDone;

template <class T>
class TaskPromise {
public:
    [[nodiscard]] belay::Task<T> get_return_object() noexcept;
    [[nodiscard]] std::suspend_always initial_suspend() const noexcept { return {}; }

    struct Final {
        [[nodiscard]] bool await_ready() const noexcept { return false; }
        // Uses symmetric transfer, because the coroutine that is resumed may destroy this one.
        [[nodiscard]] std::coroutine_handle<> await_suspend(
            std::coroutine_handle<TaskPromise> self) const noexcept {
            return self.promise().finish();
        }
        void await_resume() const noexcept {}
    };
    [[nodiscard]] Final final_suspend() const noexcept { return {}; }

    template <class U = T>
    void return_value(U&& result) {
        value.emplace(std::forward<U>(result));
    }

#if defined(__cpp_exceptions)
    void unhandled_exception() noexcept { thrown = std::current_exception(); }
    std::exception_ptr thrown{};
#else
    void unhandled_exception() noexcept {}
#endif

    /// Starts the coroutine; the coroutine that sets `then` is resumed at the end.
    void start(std::coroutine_handle<TaskPromise> self) {
        stage_.store(Stage::parted, std::memory_order_relaxed);
        self.resume();
    }
    /// Starts the coroutine for `waiter`. Returns whether the waiter has to wait: if the end has
    /// come already, the waiter continues by itself, in its own frame. If this function resumed it,
    /// and the compiler made no tail calls, a loop that awaits ready results would need more stack
    /// each time.
    [[nodiscard]] bool start_for(std::coroutine_handle<> waiter,
                                 std::coroutine_handle<TaskPromise> self) {
        then = waiter;
        self.resume();
        // The second of the two resumes the waiter; the end may come on another thread. After this
        // line the waiter, and with it this object, may be gone.
        return stage_.exchange(Stage::parted, std::memory_order_acq_rel) != Stage::finished;
    }

    std::optional<T> value;
    std::coroutine_handle<> then = std::noop_coroutine();

private:
    enum class Stage : std::uint8_t { begun, parted, finished };

    [[nodiscard]] std::coroutine_handle<> finish() noexcept {
        const Stage before = stage_.exchange(Stage::finished, std::memory_order_acq_rel);
        return before == Stage::parted ? then : std::noop_coroutine();
    }

    std::atomic<Stage> stage_{Stage::begun};
};

}  // namespace detail

/// A coroutine that gives a T when it is awaited.
///
/// It starts when a coroutine of any kind awaits it, or at start(). Destroying the Task destroys
/// what it waits for, so nothing of it runs any more. So any wait inside must be one that can be
/// destroyed, as those of LoopSleeper can. Do not destroy a Task from inside its own code.
///
/// `T` is not a reference and not void; return a Result<void> instead.
///
/// Thread safety: distinct objects safe; continues where the operation continues for which it
///                waits.
/// Allocates:     the coroutine's frame, once for each call, unless the compiler elides it.
template <class T>
class [[nodiscard]] Task {
    static_assert(!std::is_void_v<T> && !std::is_reference_v<T>,
                  "Task: T must be a value; instead of void use belay::Result<void>");

public:
    using promise_type = detail::TaskPromise<T>;
    using value_type = T;

    Task(Task&& other) noexcept
        : handle_{std::exchange(other.handle_, nullptr)}, begun_{other.begun_} {}
    Task& operator=(Task&& other) noexcept {
        if (this != &other) {
            destroy();
            handle_ = std::exchange(other.handle_, nullptr);
            begun_ = other.begun_;
        }
        return *this;
    }
    ~Task() { destroy(); }

    /// Awaits the result.   Pre: not moved from, not started.   Throws: what the coroutine threw.
    [[nodiscard]] auto operator co_await() && noexcept {
        BELAY_PRECONDITION(handle_ && !begun_,
                           "Task::operator co_await: the task must not have begun");
        begun_ = true;
        return Awaiter{handle_};
    }

    /// Starts the coroutine without awaiting it, for code that is not a coroutine.
    /// Pre: not moved from, not started.
    void start() {
        BELAY_PRECONDITION(handle_ && !begun_, "Task::start: the task must not have begun");
        begun_ = true;
        handle_.promise().start(handle_);
    }
    /// Returns whether it has started and ended.
    [[nodiscard]] bool done() const noexcept { return handle_ && handle_.done(); }
    /// Takes the result.   Pre: done(), and not taken yet.   Throws: what the coroutine threw.
    [[nodiscard]] T take() {
        BELAY_PRECONDITION(done(), "Task::take: the task must be done");
        return Awaiter{handle_}.await_resume();
    }

private:
    friend promise_type;
    friend class detail::AnyDone;

    struct Awaiter {
        std::coroutine_handle<promise_type> handle;

        [[nodiscard]] bool await_ready() const noexcept { return false; }
        [[nodiscard]] bool await_suspend(std::coroutine_handle<> waiter) const {
            return handle.promise().start_for(waiter, handle);
        }
        T await_resume() const {
            promise_type& promise = handle.promise();
#if defined(__cpp_exceptions)
            if (promise.thrown) std::rethrow_exception(std::move(promise.thrown));
#endif
            return std::move(*promise.value);
        }
    };

    explicit Task(std::coroutine_handle<promise_type> handle) noexcept : handle_{handle} {}

    void destroy() noexcept {
        if (handle_) handle_.destroy();
    }

    std::coroutine_handle<promise_type> handle_;
    bool begun_ = false;
};

template <class T>
belay::Task<T> detail::TaskPromise<T>::get_return_object() noexcept {
    return belay::Task<T>{std::coroutine_handle<TaskPromise>::from_promise(*this)};
}

}}  // namespace belay
