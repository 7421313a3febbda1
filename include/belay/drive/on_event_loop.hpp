// SPDX-License-Identifier: MIT
/// \file belay/drive/on_event_loop.hpp
/// OnEventLoop: runs machines in an event loop that the program already has.
#pragma once

#include <concepts>     // std::invocable
#include <type_traits>  // std::decay_t
#include <utility>      // std::exchange, std::forward

#include <belay/core/detail/scope_exit.hpp>
#include <belay/core/detail/spin_mutex.hpp>
#include <belay/core/machine_group.hpp>
#include <belay/core/machine_like.hpp>
#include <belay/core/order.hpp>
#include <belay/core/timer.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace detail {

template <class L>
concept HasCall = requires(L& l, CallArchetype f) { l.call(f); };
template <class L>
concept HasCallAt = requires(L& l, Instant t, CallArchetype f) { l.call_at(t, f); };

}  // namespace detail

/// An event loop that an OnEventLoop can use as its driver.
///
/// - `call(f)`: calls `f()` soon, on the loop's thread, and never inside call(). Any thread.
/// - `call_at(instant, f)`: sets the one timer, which calls `f()` at that time. It replaces the
///   request of an earlier call_at(). If the instant is `never`, it requests nothing. The loop's
///   thread.
/// - `now() const noexcept -> Instant`: returns the time that call_at() uses.
///
/// `f` is copyable and small, and moves without throwing. The loop may drop `f` when it ends, and
/// may call `f` after the end of its driver. An exception from these functions ends the program,
/// except in post().
template <class L>
concept EventLoopLike = detail::HasCall<L> && detail::HasCallAt<L> && detail::ReportsTime<L>;

namespace explain {

/// Names every requirement of EventLoopLike that L lacks.
template <class L>
consteval bool event_loop_like() {
    static_assert(detail::HasCall<L>,
                  "EventLoopLike: L needs 'call(f)', which any thread may call and which runs f() "
                  "later on the loop's thread");
    static_assert(detail::HasCallAt<L>,
                  "EventLoopLike: L needs 'call_at(belay::Instant, f)', which sets its one timer");
    static_assert(detail::ReportsTime<L>, "EventLoopLike: L needs 'Instant now() const noexcept'");
    return EventLoopLike<L>;
}

}  // namespace explain

/// A driver on top of an existing event loop: asio, libuv, Qt, or one of your own.
///
/// It requests a call from the loop when a machine is woken, and uses one timer. The loop must
/// outlive it; machines may live longer. An exception of a machine leaves the loop's call; the
/// other machines go on.
///
/// A waker uses the loop's call() under a lock, and is noexcept. call() must not use the driver. If
/// it throws there, or call_at() throws at the end of a turn, the program ends.
///
/// Models:        DriverLike.
/// Thread safety: post() and the functions of wakers from any thread, while it exists; all else on
/// the loop's thread.
template <class EventLoop>
class OnEventLoop {
    static_assert(explain::event_loop_like<EventLoop>());

public:
    explicit OnEventLoop(EventLoop& loop, Seed seed = Seed{Random{}()})
        : root_{new Root{*this}}, loop_{loop} {
        root_->references.fetch_add(1, std::memory_order_relaxed);
        group_.attach(Waker{driver::WakeHandle::adopt(root_), seed});
    }
    ~OnEventLoop() {
        if (timers_) timers_->close();
        {
            const detail::SpinLock lock{root_->mutex};
            root_->driver = nullptr;
        }
        static_cast<void>(driver::WakeHandle::adopt(root_));
    }

    /// Runs a machine from now on, as Loop::attach does.
    template <class M>
    void attach(M& machine) {
        group_.add(machine);
    }
    /// Runs a function on the loop's thread.   Thread safety: any thread.
    /// Throws: what the loop's call() throws.
    template <std::invocable F>
    driver::Post post(F&& f) {
        static_assert(std::is_void_v<std::invoke_result_t<std::decay_t<F>&>>,
                      "post: the function must return void, because a result would be ignored and "
                      "a coroutine would never run");
        loop_.call(std::decay_t<F>(std::forward<F>(f)));
        return driver::Post::taken;
    }
    /// Calls a function at an instant, as Loop::at does.
    template <std::invocable F>
    Timer at(Instant time, F&& f) {
        if (!timers_) {
            auto timers = detail::Ref<detail::TimerQueue>::make();
            attach(*timers);
            timers_ = std::move(timers);
        }
        return detail::TimerQueue::set(timers_, time, std::forward<F>(f));
    }
    /// Calls a function after a duration, as Loop::after does.
    template <std::invocable F>
    Timer after(Duration d, F&& f) {
        return at(belay::after(now(), detail::larger(d, Duration::zero())), std::forward<F>(f));
    }
    [[nodiscard]] Instant now() const noexcept { return loop_.now(); }

private:
    struct Root final : driver::WakeNode {
        explicit Root(OnEventLoop& d) noexcept : driver::WakeNode{table}, driver{&d} {}
        static const driver::WakeOps table;
        detail::SpinMutex mutex;
        // Guarded by the mutex. Both change only on the home thread, which may read them without
        // it.
        OnEventLoop* driver;
        bool asked = false;
    };
    static Root& of(driver::WakeNode& node) noexcept { return static_cast<Root&>(node); }

    /// Returns the function that the loop calls. It holds the root, so the loop may call it at any
    /// time.
    template <bool by_timer = false>
    [[nodiscard]] static auto turn_of(Root& root) noexcept {
        root.references.fetch_add(1, std::memory_order_relaxed);
        return [node = driver::WakeHandle::adopt(&root)] {
            OnEventLoop* const self = of(*node.node()).driver;
            if (self == nullptr) return;
            if (by_timer) self->timer_ = never;
            self->turn();
        };
    }
    /// Requests a call, under the lock, so that the driver is not destroyed meanwhile.
    static void ask(driver::WakeNode& node) noexcept {
        Root& root = of(node);
        const detail::SpinLock lock{root.mutex};
        if (root.driver == nullptr || std::exchange(root.asked, true)) return;
        root.driver->loop_.call(turn_of(root));
    }
    void turn() {
        {
            const detail::SpinLock lock{root_->mutex};
            root_->asked = false;
        }
        root_->references.fetch_add(1, std::memory_order_relaxed);
        const detail::ScopeExit next{[root = driver::WakeHandle::adopt(root_)] {
            if (OnEventLoop* const self = of(*root.node()).driver) self->wait();
        }};
        group_.advance(now());
    }
    /// Requests one call if a machine is due already, so that the loop's own work has its turn;
    /// otherwise sets the timer. A heartbeat's deadline moves with each message, and setting a
    /// timer costs a system call. A timer that is too early is therefore left, and sets the next
    /// one.
    void wait() {
        const Instant due = group_.deadline();
        if (due <= now()) return ask(*root_);
        if (due == timer_ || (due != never && timer_ < due)) return;
        timer_ = due;
        loop_.call_at(due, turn_of<true>(*root_));
    }

    Root* root_;
    EventLoop& loop_;
    Instant timer_ = never;  // when the loop's timer calls
    driver::MachineGroup group_;
    detail::Ref<detail::TimerQueue> timers_;
};

template <class EventLoop>
constinit const driver::WakeOps OnEventLoop<EventLoop>::Root::table{
    &ask, &ask,
    [](driver::WakeNode& node) noexcept {
        return of(node).driver != nullptr ? of(node).driver->now() : always;
    },
    [](driver::WakeNode&) noexcept {},
    [](driver::WakeNode* node) noexcept { delete static_cast<Root*>(node); }};

}}  // namespace belay
