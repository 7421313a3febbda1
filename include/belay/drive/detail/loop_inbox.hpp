// SPDX-License-Identifier: MIT
/// \file belay/drive/detail/loop_inbox.hpp
/// LoopInbox: what reaches a loop from other threads; outlives the loop.
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

/// A function that waits for its loop; a link in a list.
struct Task {
    /// Runs the function if `run`, and destroys the task in any case.
    void (*finish)(Task*, bool run) = nullptr;
    Task* next = nullptr;
};

template <class F>
struct TaskOf final : Task {
    static_assert(std::is_void_v<std::invoke_result_t<F&>>,
                  "post: the function must return void: nobody reads its answer, and a coroutine "
                  "would never run");

    template <class G>
    explicit TaskOf(G&& g) : Task{&TaskOf::done, nullptr}, f(std::forward<G>(g)) {}

    static void done(Task* task, bool run) {
        // Destroyed also when the function throws, and after it has run.
        struct Owner {
            TaskOf* self;
            ~Owner() { delete self; }
        } owner{static_cast<TaskOf*>(task)};
        if (run) owner.self->f();
    }

    F f;
};

/// Tasks, first in, first out. Destroys without running what is left.
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

/// Wakes, posted functions and the request to stop, and the bell that interrupts the loop's wait.
///
/// `Bell` has `ring() noexcept`, for any thread.
/// Thread safety: any thread, but for take() and close().
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
        wakeup_.ring();
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
            wakeup_.ring();
        } else {
            task->finish(task, false);
        }
        return answer;
    }

    /// Whether another thread has left anything.
    [[nodiscard]] bool waits() noexcept {
        const detail::SpinLock lock{mutex_};
        return woken_ != nullptr || !posted_.empty();
    }

    /// A posted function is about to run, and waits no more.   Home thread.
    void starts_task() noexcept { waiting_.fetch_sub(1, std::memory_order_relaxed); }

    void stop() noexcept {
        stop_.store(true, std::memory_order_release);
        wakeup_.ring();
    }
    /// Whether a stop was requested since the last call.
    [[nodiscard]] bool take_stop() noexcept {
        return stop_.load(std::memory_order_relaxed) &&
               stop_.exchange(false, std::memory_order_acquire);
    }

    /// Takes everything: the posted functions into `tasks`; calls `reread(node)` for each woken
    /// node. Home thread.
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
                // Before its deadline is read: a wake that comes later queues the node again.
                const detail::SpinLock lock{mutex_};
                woken = node.next_woken;
                node.woken = false;
            }
            reread(node);
            node.release();
        }
    }

    /// The loop ends: forgets everything, and takes nothing more.
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
    /// Posted functions that have not begun, also those that the loop has taken. Grows under the
    /// lock.
    std::atomic<std::size_t> waiting_{0};
    detail::SpinMutex mutex_;
    LoopNode* woken_ = nullptr;
    TaskList posted_;
    bool closed_ = false;
};

}}}  // namespace belay::detail
