// SPDX-License-Identifier: MIT
/// \file belay/core/timer.hpp
/// Timer: a function that a driver calls at an instant, unless you cancel it.
#pragma once

#include <cstddef>  // std::size_t
#include <cstdint>  // std::uint64_t
#include <utility>  // std::forward, std::move
#include <vector>   // std::vector

#include <belay/core/detail/function.hpp>
#include <belay/core/detail/heap.hpp>
#include <belay/core/detail/memory.hpp>
#include <belay/core/detail/scope_exit.hpp>
#include <belay/core/machine_like.hpp>

namespace belay { inline namespace BELAY_ABI {

class Timer;

namespace detail {

/// Stores functions with their times: the machine that runs the timers of a driver.
///
/// It outlives the driver while there are handles.
///
/// Thread safety: home thread.   Complexity: O(log n) each.
/// Allocates:     only to grow, and for a function of more than 48 bytes.
class TimerQueue : public Counted {
    struct Slot {
        Function<void()> function;
        Instant due = never;
        Instant expected = always;  ///< see Entry::expected
        std::uint64_t ticket = 0;   ///< distinguishes its uses; also the order of setting
        std::size_t place = 0;      ///< in the heap
        Slot* next_free = nullptr;
    };

public:
    /// The number of functions that are called in one turn. The rest is called in the next.
    static constexpr std::size_t calls_max = 256;

    TimerQueue() noexcept = default;
    ~TimerQueue() {
        close();
        while (Slot* const slot = free_) {
            free_ = slot->next_free;
            delete slot;
        }
    }

    void attach(Waker waker) noexcept { waker_ = std::move(waker); }
    [[nodiscard]] Instant deadline() const noexcept {
        return heap_.empty() ? never : heap_.front()->due;
    }
    void advance(Instant now) {
        // A call may destroy the driver.
        const Ref<TimerQueue> keep = Ref<TimerQueue>::share(this);
        // A timer that is set in a call waits for the next turn. Otherwise a chain of them would
        // not end.
        const std::uint64_t end = tickets_;
        for (std::size_t left = calls_max; left != 0 && deadline() <= now; --left) {
            Slot& slot = *heap_.front();
            if (slot.ticket > end) {
                // It moves after the timers that are due. Otherwise a timer that sets itself for
                // the past would starve them.
                if (slot.due >= now) return;
                slot.due = now;
                heap_.moved(&slot, Order{});
                continue;
            }
            Function<void()> f = take(slot);
            f();
        }
    }

    /// Throws: std::bad_alloc, and what copying the function throws.
    template <class F>
    [[nodiscard]] static Timer set(const Ref<TimerQueue>& queue, Instant due, F&& f);
    /// A reference to a function, for a driver that keeps the time itself. It does not keep the
    /// queue.
    class Entry {
    public:
        explicit Entry(const Timer& timer) noexcept;
        /// Pre: the queue exists.
        [[nodiscard]] bool waits() const noexcept { return TimerQueue::waits(*slot_, ticket_); }
        /// When the driver is to call it, by the driver's clock; `always` if it does not say.
        [[nodiscard]] Instant expected() const noexcept { return slot_->expected; }
        void expect(Instant time) const noexcept { slot_->expected = time; }

    private:
        friend class TimerQueue;
        explicit Entry(Slot& slot) noexcept : slot_{&slot}, ticket_{slot.ticket} {}
        Slot* slot_;
        std::uint64_t ticket_;
    };
    /// Calls a function.   Pre: it waits; the queue is not destroyed before it has returned.
    void call(const Entry& entry) {
        // The function runs where it is. The ticket shows that it does not wait any more.
        Slot& slot = *entry.slot_;
        const ScopeExit called{[&] {
            slot.function.reset();
            free(slot);
        }};
        heap_.remove(&slot, Order{});
        slot.ticket = 0;
        slot.function();
    }
    /// Calls `f` with the entry of each function that waits, in the order of setting. It sets and
    /// cancels none.
    template <class F>
    void each_waiting(F&& f) {
        std::vector<Slot*> all = heap_.items();
        sort_stably(all, [](const Slot* a, const Slot* b) { return a->ticket < b->ticket; });
        for (Slot* const slot : all) f(Entry{*slot});
    }
    /// Destroys the functions that wait, without a call.
    void close() noexcept {
        // The destructor of a function may cancel another timer.
        while (!heap_.empty()) static_cast<void>(take(*heap_.front()));
    }

private:
    friend class belay::Timer;

    [[nodiscard]] static bool waits(const Slot& slot, std::uint64_t ticket) noexcept {
        return slot.ticket == ticket && static_cast<bool>(slot.function);
    }
    /// Ends the use of a slot, and returns its function.
    [[nodiscard]] Function<void()> take(Slot& slot) noexcept {
        heap_.remove(&slot, Order{});
        free(slot);
        return std::move(slot.function);
    }
    void free(Slot& slot) noexcept {
        slot.next_free = free_;
        free_ = &slot;
    }
    struct Order {
        static bool before(const Slot* a, const Slot* b) noexcept {
            if (a->due != b->due) return a->due < b->due;
            return a->ticket < b->ticket && a->due != never;  // those never due have no order
        }
        static std::size_t& place(Slot* slot) noexcept { return slot->place; }
    };

    Waker waker_;
    IndexedHeap<Slot*> heap_;
    Slot* free_ = nullptr;
    std::uint64_t tickets_ = 0;
};

}  // namespace detail

/// A handle on a function that a driver calls at an instant.
///
/// The end of the handle changes nothing: the function is called all the same. The handle may
/// outlive the driver.
///
/// Thread safety: the driver's thread, or any thread while the driver is not running.
/// Size:          24 bytes.
class Timer {
public:
    /// Makes a handle without a function.
    Timer() noexcept = default;

    /// Returns whether the function still waits.   Complexity: O(1).
    [[nodiscard]] bool waits() const noexcept {
        return queue_ && detail::TimerQueue::waits(*slot_, ticket_);
    }
    /// Destroys the function if it still waits, so that it is not called.
    ///
    /// Returns: whether it waited.   Complexity: O(log n).
    bool cancel() noexcept {
        if (!waits()) return false;
        static_cast<void>(queue_->take(*slot_));
        return true;
    }

private:
    friend class detail::TimerQueue;
    Timer(detail::Ref<detail::TimerQueue> queue, detail::TimerQueue::Slot& slot) noexcept
        : queue_{std::move(queue)}, slot_{&slot}, ticket_{slot.ticket} {}

    detail::Ref<detail::TimerQueue> queue_;
    detail::TimerQueue::Slot* slot_ = nullptr;
    std::uint64_t ticket_ = 0;
};

inline detail::TimerQueue::Entry::Entry(const Timer& timer) noexcept
    : slot_{timer.slot_}, ticket_{timer.ticket_} {}

template <class F>
Timer detail::TimerQueue::set(const Ref<TimerQueue>& queue, Instant due, F&& f) {
    if (queue->free_ == nullptr) queue->free_ = new Slot;
    // It is not free while the function is copied, because a copy may set another timer.
    Slot& slot = *queue->free_;
    ScopeExit unused{[&] {
        slot.function.reset();
        queue->free(slot);
    }};
    queue->free_ = slot.next_free;
    slot.function.emplace(std::forward<F>(f));
    slot.due = due;
    slot.expected = always;
    slot.ticket = queue->tickets_ + 1;
    queue->heap_.push(&slot, Order{});
    unused.release();
    ++queue->tickets_;
    // Only a new first timer changes when the machine is due.
    if (queue->heap_.front() == &slot) queue->waker_.touch();
    return {queue, slot};
}

}}  // namespace belay
