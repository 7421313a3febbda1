// SPDX-License-Identifier: MIT
/// \file belay/drive/detail/loop_inbox.hpp
/// LoopInbox: the data that other threads pass to a loop. It outlives the loop.
#pragma once

#include <atomic>       // std::atomic
#include <cstddef>      // std::size_t
#include <type_traits>  // std::decay_t
#include <utility>      // std::exchange, std::forward

#include <belay/core/detail/intrusive.hpp>
#include <belay/core/detail/spin_mutex.hpp>
#include <belay/core/mailbox.hpp>
#include <belay/drive/detail/timer_heap.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// A posted function that waits for its loop; an element of a list.
struct Task {
    /// Runs the function if `run` is true, and destroys the task in any case.
    void (*finish)(Task*, bool run) = nullptr;
    Task* next = nullptr;
};

template <class F>
struct TaskOf final : Task {
    static_assert(std::is_void_v<std::invoke_result_t<F&>>,
                  "post: the function must return void, because a result would be ignored and a "
                  "coroutine would never run");

    template <class G>
    explicit TaskOf(G&& g) : Task{&TaskOf::done, nullptr}, f(std::forward<G>(g)) {}

    static void done(Task* task, bool run) {
        // Destroys the task after it has run, also if the function throws.
        struct Owner {
            TaskOf* self;
            ~Owner() { delete self; }
        } owner{static_cast<TaskOf*>(task)};
        if (run) owner.self->f();
    }

    F f;
};

/// A first-in, first-out list of tasks. Its destructor destroys remaining tasks without running
/// them.
class TaskList {
public:
    TaskList() noexcept = default;
    TaskList(const TaskList&) = delete;
    TaskList& operator=(const TaskList&) = delete;
    ~TaskList() {
        while (Task* const task = pop()) task->finish(task, false);
    }

    void push(Task* task) noexcept {
        *end_ = task;
        end_ = &task->next;
    }
    [[nodiscard]] Task* pop() noexcept {
        Task* const task = first_;
        if (task == nullptr) return nullptr;
        first_ = task->next;
        if (first_ == nullptr) end_ = &first_;
        return task;
    }
    /// Moves all of `other` to the end of this list.
    void append(TaskList& other) noexcept {
        if (other.first_ == nullptr) return;
        *end_ = other.first_;
        end_ = other.end_;
        other.first_ = nullptr;
        other.end_ = &other.first_;
    }
    [[nodiscard]] bool empty() const noexcept { return first_ == nullptr; }

private:
    Task* first_ = nullptr;
    Task** end_ = &first_;
};

/// Wakes, posted functions, the request to stop, and the wake-up descriptor that interrupts the
/// loop's wait.
///
/// `WakeupFd` has `signal() noexcept`, which any thread may call.
/// Thread safety: any thread, except for take() and close().
template <class WakeupFd>
class LoopInbox : public detail::Counted {
public:
    explicit LoopInbox(std::size_t posted_max) noexcept : posted_max_{posted_max} {}
    ~LoopInbox() { close(); }

    /// Queues a node whose deadline must be read again.
    void wake(LoopNode& node) noexcept {
        {
            const detail::SpinLock lock{mutex_};
            if (closed_ || node.woken) return;
            node.woken = true;
            node.retain();
            node.next_woken = std::exchange(woken_, &node);
        }
        wakeup_.signal();
    }

    /// Queues a function.   Throws: std::bad_alloc, and what copying the function throws.
    template <class F>
    driver::Post post(F&& f) {
        auto* const task = new TaskOf<std::decay_t<F>>(std::forward<F>(f));
        driver::Post answer = driver::Post::taken;
        {
            const detail::SpinLock lock{mutex_};
            if (closed_) {
                answer = driver::Post::gone;
            } else if (waiting_.load(std::memory_order_relaxed) >= posted_max_) {
                answer = driver::Post::full;
            } else {
                waiting_.fetch_add(1, std::memory_order_relaxed);
                posted_.push(task);
            }
        }
        if (answer == driver::Post::taken) {
            wakeup_.signal();
        } else {
            task->finish(task, false);
        }
        return answer;
    }

    /// Returns whether another thread has queued anything.
    [[nodiscard]] bool waits() noexcept {
        const detail::SpinLock lock{mutex_};
        return woken_ != nullptr || !posted_.empty();
    }

    /// Removes a posted function that is about to run from the count of waiting ones.
    /// Home thread.
    void starts_task() noexcept { waiting_.fetch_sub(1, std::memory_order_relaxed); }

    void stop() noexcept {
        stop_.store(true, std::memory_order_release);
        wakeup_.signal();
    }
    /// Returns whether a stop was requested since the last call.
    [[nodiscard]] bool take_stop() noexcept {
        return stop_.load(std::memory_order_relaxed) &&
               stop_.exchange(false, std::memory_order_acquire);
    }

    /// Takes everything: moves the posted functions to `tasks`, and calls `reread(node)` for each
    /// woken node. Home thread.
    template <class F>
    void take(TaskList& tasks, F&& reread) noexcept {
        LoopNode* woken = nullptr;
        {
            const detail::SpinLock lock{mutex_};
            tasks.append(posted_);
            woken = std::exchange(woken_, nullptr);
        }
        while (woken != nullptr) {
            LoopNode& node = *woken;
            {
                // This comes before the deadline is read, so that a later wake queues the node
                // again.
                const detail::SpinLock lock{mutex_};
                woken = node.next_woken;
                node.woken = false;
            }
            reread(node);
            node.release();
        }
    }

    /// Called when the loop ends: drops everything, and accepts nothing more.
    void close() noexcept {
        TaskList tasks;
        {
            const detail::SpinLock lock{mutex_};
            closed_ = true;
        }
        take(tasks, [](LoopNode&) {});
    }

    [[nodiscard]] WakeupFd& wakeup() noexcept { return wakeup_; }

private:
    const std::size_t posted_max_;
    WakeupFd wakeup_;
    std::atomic<bool> stop_{false};
    /// The number of posted functions that have not begun, including those that the loop has taken.
    /// It grows under the lock.
    std::atomic<std::size_t> waiting_{0};
    detail::SpinMutex mutex_;
    LoopNode* woken_ = nullptr;
    TaskList posted_;
    bool closed_ = false;
};

}}}  // namespace belay::detail
