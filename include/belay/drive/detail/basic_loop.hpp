// SPDX-License-Identifier: MIT
/// \file belay/drive/detail/basic_loop.hpp
/// BasicLoop: the common part of all belay loops. They differ in the events that they wait for.
#pragma once

#include <atomic>       // std::atomic
#include <concepts>     // std::default_initializable, std::invocable
#include <cstddef>      // std::size_t
#include <cstdint>      // std::uint64_t
#include <type_traits>  // std::decay_t
#include <utility>      // std::exchange, std::forward, std::move
#include <vector>       // std::vector

#include <belay/core/clocks.hpp>
#include <belay/core/detail/heap.hpp>
#include <belay/core/detail/memory.hpp>
#include <belay/core/detail/spin_mutex.hpp>
#include <belay/core/machine_like.hpp>
#include <belay/core/mailbox.hpp>
#include <belay/core/order.hpp>
#include <belay/core/timer.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// A loop's entry for one machine. It outlives both: every holder of a pointer holds a reference.
struct LoopNode : driver::WakeNode {
    using driver::WakeNode::WakeNode;

    static constexpr std::size_t nowhere = static_cast<std::size_t>(-1);

    [[nodiscard]] bool attached() const noexcept { return machine != nullptr; }
    [[nodiscard]] Instant read_deadline() const noexcept { return deadline(machine); }
    void retain() noexcept { references.fetch_add(1, std::memory_order_relaxed); }
    /// Drops a reference. The last one deletes the node.
    void release() noexcept { static_cast<void>(driver::WakeHandle::adopt(this)); }

    // Accessed on the home thread.
    void* machine = nullptr;  ///< null after the machine or the loop is destroyed
    Instant (*deadline)(const void*) noexcept = nullptr;
    void (*advance)(void*, Instant) = nullptr;
    Instant due = never;          ///< the deadline when it was last read
    std::size_t place = nowhere;  ///< its position in the heap
    bool touched = false;
    LoopNode* next_touched = nullptr;
    // Protected by the inbox's lock.
    bool woken = false;
    LoopNode* next_woken = nullptr;
};

/// A binary heap of nodes, ordered by `due`. Each node stores its position.
///
/// Thread safety: one thread.
class TimerHeap {
public:
    /// Reserves capacity, so that push() cannot fail.   Throws: std::bad_alloc.
    void reserve(std::size_t nodes) {
        if (nodes > nodes_.capacity()) nodes_.reserve(2 * nodes);
    }
    /// Pre: capacity was reserved; the node is in no heap.   Complexity: O(log n).
    void push(LoopNode& node) noexcept {
        BELAY_INVARIANT(nodes_.size() < nodes_.capacity(),
                        "TimerHeap::push: space must be reserved");
        nodes_.push_back(&node);
        node.place = nodes_.size() - 1;
        rise(node);
    }
    /// Pre: the node is in this heap.   Complexity: O(log n).
    void remove(LoopNode& node) noexcept {
        BELAY_INVARIANT(node.place < nodes_.size() && nodes_[node.place] == &node,
                        "TimerHeap::remove: the node must be in the heap");
        const std::size_t hole = node.place;
        LoopNode& last = *nodes_.back();
        nodes_.pop_back();
        node.place = LoopNode::nowhere;
        if (&last == &node) return;
        put(last, hole);
        moved(last);
    }
    /// Restores the order after `due` of a node in this heap has changed.   Complexity: O(log n).
    void moved(LoopNode& node) noexcept {
        rise(node);
        sink(node);
    }
    [[nodiscard]] bool empty() const noexcept { return nodes_.empty(); }
    [[nodiscard]] std::size_t size() const noexcept { return nodes_.size(); }
    /// Returns the node that is due first.   Pre: !empty().
    [[nodiscard]] LoopNode& top() const noexcept { return *nodes_.front(); }

private:
    void put(LoopNode& node, std::size_t place) noexcept {
        nodes_[place] = &node;
        node.place = place;
    }
    [[nodiscard]] auto putter() noexcept {
        return [this](std::size_t place, LoopNode* node) { put(*node, place); };
    }
    void rise(LoopNode& node) noexcept { rise_in_heap(nodes_, node.place, before, putter()); }
    void sink(LoopNode& node) noexcept {
        sink_in_heap(nodes_, node.place, before, putter(), nodes_.size());
    }
    static bool before(const LoopNode* a, const LoopNode* b) noexcept { return a->due < b->due; }

    std::vector<LoopNode*> nodes_;
};

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

    BasicLoop(const BasicLoop&) = delete;
    BasicLoop& operator=(const BasicLoop&) = delete;

    /// Runs a machine from now on, until it is destroyed or attached elsewhere.
    ///
    /// The machine gets a Waker with its own seed. You may destroy the machine and the loop in any
    /// order. Destroy the machine on the loop's thread, or while the loop is not running.
    /// Errors: none.   Throws: std::bad_alloc, and what the machine's attach() throws.
    /// Thread safety: the loop's thread, or any while it is not running.   Complexity: O(log n).
    template <class M>
    void attach(M& machine) {
        static_assert(explain::machine_like<M>());
        heap_.reserve(attached_ + 1);
        if (batch_.capacity() <= attached_) batch_.reserve(2 * (attached_ + 1));
        Node* const node = new Node{*this};
        ++attached_;
        node->machine = &machine;
        node->deadline = [](const void* m) noexcept {
            return static_cast<const M*>(m)->deadline();
        };
        node->advance = [](void* m, Instant t) { static_cast<M*>(m)->advance(t); };
        heap_.push(*node);
        node->retain();
        // This comes before the machine has its Waker: the machine may drop the Waker at once, and
        // the node with it.
        touch_node(*node);
        machine.attach(Waker{driver::WakeHandle::adopt(node), next_seed()});
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
        const Running running{running_};
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
    /// Returns: taken; or full, if `posted_max` functions wait already.
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
        while (LoopNode* const node = pop_touched()) node->release();
        while (!heap_.empty()) {
            LoopNode& node = heap_.top();
            heap_.remove(node);
            forget(node);
        }
        for (std::size_t i = next_; i < batch_.size(); ++i) forget(*batch_[i]);
    }

    /// For callers that wait between rounds themselves. Returns when the next round is due, or
    /// `always` if something is waiting already.   Pre: not called from inside a round.
    [[nodiscard]] Instant next_round() noexcept {
        refile();
        if (!tasks_.empty() || next_ < batch_.size() || inbox_->waits()) return always;
        return heap_.empty() ? never : heap_.top().due;
    }

private:
    struct Node final : LoopNode {
        explicit Node(BasicLoop& l) noexcept : LoopNode{ops}, loop{&l}, inbox{l.inbox_} {}
        static const driver::WakeOps ops;
        BasicLoop* loop;  ///< null after the loop is destroyed
        detail::Ref<Inbox> inbox;
    };
    struct Running {
        explicit Running(bool& flag) noexcept : flag_{flag} { flag_ = true; }
        ~Running() { flag_ = false; }
        bool& flag_;
    };

    BasicLoop(Clock clock, detail::Ref<Inbox> inbox)
        : Waiter{inbox->wakeup()}, clock_{std::move(clock)}, inbox_{std::move(inbox)} {}

    // ---- the operations of wakers --------------------------------------------------------------

    static Node& of(driver::WakeNode& node) noexcept { return static_cast<Node&>(node); }
    static void on_wake(driver::WakeNode& node) noexcept { of(node).inbox->wake(of(node)); }
    static void on_touch(driver::WakeNode& node) noexcept {
        if (of(node).loop != nullptr) of(node).loop->touch_node(of(node));
    }
    static Instant on_now(driver::WakeNode& node) noexcept {
        return of(node).loop != nullptr ? of(node).loop->now() : always;
    }
    static void on_detach(driver::WakeNode& node) noexcept {
        if (of(node).loop != nullptr) of(node).loop->detach(of(node));
    }
    static void on_destroy(driver::WakeNode* node) noexcept { delete static_cast<Node*>(node); }

    // ---- one round -----------------------------------------------------------------------------

    void round(Instant until) {
        refile();
        const bool pending = !tasks_.empty() || next_ < batch_.size();
        Instant wake_at = pending ? always : until;
        if (!heap_.empty() && heap_.top().due < wake_at) wake_at = heap_.top().due;
        // Descriptors come before timers, so that received data counts even if the loop is late.
        Waiter::wait(wake_at == never ? forever : elapsed(now(), wake_at));
        inbox_->take(tasks_, [this](LoopNode& node) { touch_node(node); });
        run_tasks();
        run_due();
        Waiter::finish_round();
    }

    void run_tasks() {
        for (std::size_t left = posted_per_round_max; left != 0; --left) {
            Task* const task = tasks_.pop();
            if (task == nullptr) return;
            inbox_->starts_task();
            task->finish(task, true);
        }
    }

    /// Runs each machine at most once, so that a machine that is always due does not starve others.
    void run_due() {
        refile();
        // If a machine threw an exception, the rest of that batch comes first.
        if (next_ == batch_.size()) {
            batch_.clear();
            next_ = 0;
            const Instant at = now();
            while (!heap_.empty() && heap_.top().due <= at) {
                LoopNode& node = heap_.top();
                heap_.remove(node);
                batch_.push_back(&node);
            }
        }
        while (next_ < batch_.size()) {
            const NodeTurn turn{*this, *batch_[next_++]};
            LoopNode& node = turn.node;
            if (node.attached()) node.advance(node.machine, now());
        }
    }

    /// A node that is out of the heap for its turn. It returns afterwards, also after an exception.
    struct NodeTurn {
        BasicLoop& loop;
        LoopNode& node;
        ~NodeTurn() {
            if (node.attached()) {
                node.due = node.read_deadline();
                loop.heap_.push(node);
            } else {
                node.release();
            }
        }
    };

    // ---- nodes ---------------------------------------------------------------------------------

    /// Makes the loop read the node's deadline again before it waits or selects the machines that
    /// are due.
    void touch_node(LoopNode& node) noexcept {
        if (node.touched || !node.attached()) return;
        node.touched = true;
        node.retain();
        node.next_touched = std::exchange(touched_, &node);
    }
    LoopNode* pop_touched() noexcept {
        LoopNode* const node = touched_;
        if (node != nullptr) {
            touched_ = node->next_touched;
            node->touched = false;
        }
        return node;
    }
    void refile() noexcept {
        while (LoopNode* const node = pop_touched()) {
            // A node that is not in the heap is about to have its turn. Its deadline is read after
            // that.
            if (node->attached() && node->place != LoopNode::nowhere) {
                node->due = node->read_deadline();
                heap_.moved(*node);
            }
            node->release();
        }
    }
    void detach(LoopNode& node) noexcept {
        if (!node.attached()) return;
        node.machine = nullptr;
        --attached_;
        // If it is out of the heap for a turn, the function that took it out releases it.
        if (node.place == LoopNode::nowhere) return;
        heap_.remove(node);
        node.release();
    }
    /// Detaches a node from a loop that is being destroyed.
    void forget(LoopNode& node) noexcept {
        node.machine = nullptr;
        static_cast<Node&>(node).loop = nullptr;
        node.release();
    }
    [[nodiscard]] Seed next_seed() noexcept {
        return Seed{mix64(entropy_ + 0x9E3779B97F4A7C15U * ++seeds_)};
    }

    Clock clock_;
    detail::Ref<Inbox> inbox_;
    const std::uint64_t entropy_ = entropy();
    std::uint64_t seeds_ = 0;
    std::size_t attached_ = 0;
    bool running_ = false;
    detail::Ref<TimerQueue> timers_;  // null until the first timer is set
    TaskList tasks_;
    LoopNode* touched_ = nullptr;
    TimerHeap heap_;
    /// The machines that are due in this round. Those before next_ have had their turns.
    std::vector<LoopNode*> batch_;
    std::size_t next_ = 0;
};

template <class Clock, class Waiter>
constinit const driver::WakeOps BasicLoop<Clock, Waiter>::Node::ops{
    &BasicLoop::on_wake, &BasicLoop::on_touch, &BasicLoop::on_now, &BasicLoop::on_detach,
    &BasicLoop::on_destroy};

}}}  // namespace belay::detail
