// SPDX-License-Identifier: MIT
/// \file belay/drive/detail/basic_loop.hpp
/// BasicLoop: the common part of all belay loops, around a MachineGroup. They differ in the events
/// that they wait for.
#pragma once

#include <atomic>       // std::atomic
#include <concepts>     // std::invocable, std::predicate
#include <cstddef>      // std::size_t
#include <type_traits>  // std::decay_t
#include <utility>      // std::forward, std::move

#include <belay/core/clocks.hpp>
#include <belay/core/detail/function.hpp>
#include <belay/core/detail/memory.hpp>
#include <belay/core/detail/scope_exit.hpp>
#include <belay/core/detail/spin_mutex.hpp>
#include <belay/core/machine_group.hpp>
#include <belay/core/order.hpp>
#include <belay/core/timer.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Posted functions, the request to stop, and the wake-up descriptor that interrupts the loop's
/// wait. It outlives the loop.
///
/// `WakeupFd` has `signal() noexcept`, which any thread may call.
/// Thread safety: any thread, except for take() and close().
template <class WakeupFd>
class LoopInbox : public Counted {
public:
    explicit LoopInbox(std::size_t posted_max) noexcept : posted_max_{posted_max} {}
    ~LoopInbox() { close(); }

    /// Queues a function.   Throws: std::bad_alloc, and what copying the function throws.
    template <class F>
    driver::Post post(F&& f) {
        static_assert(
            std::is_void_v<std::invoke_result_t<std::decay_t<F>&>>,
            "post: the function must return void, because a result would be ignored and a "
            "coroutine would never run");
        Function<void()> task{std::forward<F>(f)};
        {
            const SpinLock lock{mutex_};
            if (closed_) return driver::Post::gone;
            if (waiting_.load(std::memory_order_relaxed) >= posted_max_) return driver::Post::full;
            posted_.push(std::move(task));
            waiting_.fetch_add(1, std::memory_order_relaxed);
        }
        wakeup_.signal();
        return driver::Post::taken;
    }

    /// Returns whether a function waits that has not begun, also one that the loop has taken.
    [[nodiscard]] bool waits() const noexcept {
        return waiting_.load(std::memory_order_relaxed) != 0;
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

    /// Moves the queued functions to `tasks`, which is empty.   Home thread.
    void take(EventRing<Function<void()>>& tasks) noexcept {
        const SpinLock lock{mutex_};
        posted_.swap(tasks);
    }

    /// Called when the loop ends: drops everything, and accepts nothing more.
    void close() noexcept {
        EventRing<Function<void()>> tasks;  // destroyed after the lock
        const SpinLock lock{mutex_};
        closed_ = true;
        posted_.swap(tasks);
    }

    [[nodiscard]] WakeupFd& wakeup() noexcept { return wakeup_; }

private:
    const std::size_t posted_max_;
    WakeupFd wakeup_;
    std::atomic<bool> stop_{false};
    /// The number of posted functions that have not begun, including those that the loop has taken.
    /// It grows under the lock.
    std::atomic<std::size_t> waiting_{0};
    SpinMutex mutex_;
    EventRing<Function<void()>> posted_;
    bool closed_ = false;
};

/// Runs machines on one thread: see belay::Loop and belay::posix::Loop.
///
/// Each round has these steps:
/// - wait for the next deadline, a wake, or (if the Waiter has any) descriptors;
/// - run posted functions;
/// - advance each due machine once.
///
/// `Waiter` is a base class with these protected members:
/// - `WakeupFd` (see LoopInbox);
/// - `Waiter(WakeupFd&)`;
/// - `wait(Duration)`, which returns when the wake-up descriptor is signalled or the time is over;
/// - `finish_round()`.
template <class Clock, class Waiter>
class BasicLoop : public Waiter {
    // Not a constraint: the compiler's message for a failed constraint would hide the sentences.
    static_assert(explain::clock_like<Clock>());
    using Inbox = LoopInbox<typename Waiter::WakeupFd>;

public:
    /// The maximum number of functions that wait in post().
    static constexpr std::size_t posted_max = std::size_t{1} << 16;
    /// The maximum number of posted functions that run in one round, so that they cannot starve
    /// machines and descriptors.
    static constexpr std::size_t posted_per_round_max = 256;

    /// Runs a machine from now on, until it is destroyed or attached elsewhere.
    ///
    /// The machine gets a Waker with its own seed. You may destroy the machine and the loop in any
    /// order. Destroy the machine on the loop's thread, or while the loop is not running.
    /// Errors: none.   Throws: std::bad_alloc, and what the machine's attach() throws.
    /// Thread safety: the loop's thread, or any while it is not running.   Complexity: O(log n).
    template <class M>
    void attach(M& machine) {
        group_.add(machine);
    }

    /// Runs until stop() is called.
    ///
    /// An exception of a machine or of a posted function leaves run(). The loop stays usable, and
    /// the next run() continues where this one ended.
    /// Pre: not called from inside a round.   Blocks: until stop().
    void run() {
        static_cast<void>(run_until([] { return false; }));
    }

    /// Runs until `done()` is true after a round, stop() is called, or `limit` is over.
    ///
    /// The first round does not wait: `run_until([] { return true; })` handles what is due and
    /// returns.
    /// Returns: whether `done()` is true.   Units: `limit` is measured by the loop's clock. A limit
    /// below 0ns, the rest of a deadline that has passed, counts as 0ns: one round.
    /// Pre: not called from inside a round.   Throws: as run(); what `done` throws.
    template <std::predicate F>
    bool run_until(F&& done, Duration limit = forever) {
        BELAY_PRECONDITION(
            !running_,
            "Loop::run: the loop runs already; neither another thread, nor a machine or "
            "a posted function may call it");
        const FlagScope running{running_};
        const Instant end =
            limit == forever ? never : belay::after(now(), detail::larger(limit, Duration::zero()));
        for (Instant until = always;; until = end) {
            round(until);
            if (done()) return true;
            if (inbox_->take_stop() || (end != never && now() >= end)) return false;
        }
    }

    /// Makes run() return after the current round, or makes the next run() return at once.
    /// Thread safety: any thread, while the loop exists.   Errors: none.
    void stop() noexcept { inbox_->stop(); }

    /// Runs a function on the loop's thread, between two turns of machines, in the order of posts.
    ///
    /// The loop's destructor destroys functions that still wait, without running them.
    /// Returns: taken; or full, if `posted_max` functions wait already. Then the function is
    /// destroyed, so keep a copy if you want to post it again.
    /// Thread safety: any thread, while the loop exists.   Throws: std::bad_alloc.
    template <std::invocable F>
    driver::Post post(F&& function) {
        return inbox_->post(std::forward<F>(function));
    }

    /// Calls `f()` at an instant, or as soon after it as possible.
    ///
    /// Timers run together with the machines that are due; timers of one instant run in the order
    /// in which they were set. A timer whose instant has passed runs in the next round. The loop's
    /// destructor destroys timers that still wait, without a call.
    ///
    /// Returns: a handle that can cancel the timer. You may drop it.
    /// Thread safety: the loop's thread, or any while it is not running. Other threads post() a
    /// function that sets the timer.
    /// Throws: std::bad_alloc; what copying `f` throws.   Complexity: O(log n).
    /// Allocates: only to grow, if `f` fits in 48 bytes and moves without throwing.
    template <std::invocable F>
    Timer at(Instant time, F&& f) {
        if (!timers_) {
            auto timers = detail::Ref<TimerQueue>::make();
            attach(*timers);
            timers_ = std::move(timers);
        }
        return TimerQueue::set(timers_, time, std::forward<F>(f));
    }
    /// Calls `f()` after `d` from now. A time below 0ns counts as 0ns.
    template <std::invocable F>
    Timer after(Duration d, F&& f) {
        return at(belay::after(now(), detail::larger(d, Duration::zero())), std::forward<F>(f));
    }

    /// Returns the time of the loop's clock.   Thread safety: as the clock's now().
    [[nodiscard]] Instant now() const noexcept { return clock_.now(); }

protected:
    explicit BasicLoop(Clock clock)
        : BasicLoop{std::move(clock), detail::Ref<Inbox>::make(posted_max)} {}
    ~BasicLoop() {
        BELAY_PRECONDITION(!running_,
                           "~Loop: a machine or a posted function must not destroy the loop");
        if (timers_) timers_->close();
        inbox_->close();
    }

    /// For callers that wait between rounds themselves. Returns when the next round is due, or
    /// `always` if something is waiting already.   Pre: not called from inside a round.
    [[nodiscard]] Instant next_round() noexcept {
        return inbox_->waits() ? always : group_.deadline();
    }

private:
    /// The registration of the group, which interrupts the loop's wait.
    struct Root final : driver::WakeNode {
        explicit Root(const BasicLoop& l) noexcept : WakeNode{ops}, loop{l}, inbox{l.inbox_} {}
        static const driver::WakeOps ops;
        const BasicLoop& loop;  ///< only the group, which ends with the loop, reads the time
        detail::Ref<Inbox> inbox;
    };

    BasicLoop(Clock clock, detail::Ref<Inbox> inbox)
        : Waiter{inbox->wakeup()}, clock_{std::move(clock)}, inbox_{std::move(inbox)} {
        group_.attach(Waker{driver::WakeHandle::adopt(new Root{*this}), Seed{entropy()}});
    }

    static Root& of(driver::WakeNode& node) noexcept { return static_cast<Root&>(node); }

    void round(Instant until) {
        const Instant wake_at = inbox_->waits() ? always : smaller(until, group_.deadline());
        // Descriptors come before timers, so that received data counts even if the loop is late.
        Waiter::wait(wake_at == never ? forever : elapsed(now(), wake_at));
        if (inbox_->waits()) run_tasks();
        group_.advance(now(), group_.size());  // each that is due, once
        Waiter::finish_round();
    }

    [[gnu::noinline]] void run_tasks() {
        if (tasks_.empty()) inbox_->take(tasks_);
        for (std::size_t left = posted_per_round_max; left != 0 && !tasks_.empty(); --left) {
            Function<void()> task = tasks_.pop();
            inbox_->starts_task();
            task();
        }
    }

    Clock clock_;
    detail::Ref<Inbox> inbox_;
    bool running_ = false;
    detail::Ref<TimerQueue> timers_;     // null until the first timer is set
    EventRing<Function<void()>> tasks_;  // taken from the inbox
    driver::MachineGroup group_;
};

template <class Clock, class Waiter>
constinit const driver::WakeOps BasicLoop<Clock, Waiter>::Root::ops{
    [](driver::WakeNode& node) noexcept { of(node).inbox->wakeup().signal(); },
    [](driver::WakeNode&) noexcept {},  // each round reads the deadline
    [](driver::WakeNode& node) noexcept { return of(node).loop.now(); },
    [](driver::WakeNode&) noexcept {},
    [](driver::WakeNode* node) noexcept { delete static_cast<Root*>(node); }};

}}}  // namespace belay::detail
