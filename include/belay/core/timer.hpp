// SPDX-License-Identifier: MIT
/// \file belay/core/timer.hpp
/// Timer: a function that a driver calls at an instant, unless you cancel it.
#pragma once

#include <cstddef>  // std::size_t
#include <cstdint>  // std::uint64_t
#include <utility>  // std::forward, std::move
#include <vector>   // std::vector

#include <belay/core/detail/function.hpp>
#include <belay/core/detail/memory.hpp>
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
        std::uint64_t ticket = 0;  ///< distinguishes its uses; also the order of setting
        std::size_t place = 0;     ///< in the heap
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
                sink(0);
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

    private:
        friend class TimerQueue;
        Slot* slot_;
        std::uint64_t ticket_;
    };
    /// Calls a function.   Pre: it waits; the queue is not destroyed before it has returned.
    void call(const Entry& entry) {
        // The function runs where it is. The ticket shows that it does not wait any more.
        struct Running {
            TimerQueue& queue;
            Slot& slot;
            ~Running() {
                slot.function.reset();
                queue.free(slot);
            }
        };
        const Running running{*this, *entry.slot_};
        unlink(running.slot);
        running.slot.ticket = 0;
        running.slot.function();
    }
    /// Destroys the functions that wait, without a call.
    void close() noexcept {
        // The destructor of a function may cancel another timer.
        while (!heap_.empty()) static_cast<void>(take(*heap_.back()));
    }

private:
    friend class belay::Timer;

    [[nodiscard]] static bool waits(const Slot& slot, std::uint64_t ticket) noexcept {
        return slot.ticket == ticket && static_cast<bool>(slot.function);
    }
    /// Ends the use of a slot, and returns its function.
    [[nodiscard]] Function<void()> take(Slot& slot) noexcept {
        unlink(slot);
        free(slot);
        return std::move(slot.function);
    }
    void free(Slot& slot) noexcept {
        slot.next_free = free_;
        free_ = &slot;
    }
    /// Takes a slot out of the heap.
    void unlink(Slot& slot) noexcept {
        const std::size_t hole = slot.place;
        Slot* const last = heap_.back();
        heap_.pop_back();
        if (last != &slot) {
            put(hole, last);
            rise(hole);
            sink(last->place);
        }
    }
    static bool before(const Slot& a, const Slot& b) noexcept {
        if (a.due != b.due) return a.due < b.due;
        return a.ticket < b.ticket && a.due != never;  // those that are never due have no order
    }
    void put(std::size_t place, Slot* slot) noexcept {
        heap_[place] = slot;
        slot->place = place;
    }
    void rise(std::size_t at) noexcept {
        Slot* const slot = heap_[at];
        for (; at != 0 && before(*slot, *heap_[(at - 1) / 2]); at = (at - 1) / 2) {
            put(at, heap_[(at - 1) / 2]);
        }
        put(at, slot);
    }
    void sink(std::size_t at) noexcept {
        Slot* const slot = heap_[at];
        for (std::size_t child = 2 * at + 1; child < heap_.size(); child = 2 * at + 1) {
            if (child + 1 < heap_.size() && before(*heap_[child + 1], *heap_[child])) ++child;
            if (!before(*heap_[child], *slot)) break;
            put(at, heap_[child]);
            at = child;
        }
        put(at, slot);
    }

    Waker waker_;
    std::vector<Slot*> heap_;
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
    struct Unused {
        TimerQueue& queue;
        Slot* slot;
        ~Unused() {
            if (slot == nullptr) return;
            slot->function.reset();
            queue.free(*slot);
        }
    } unused{*queue, queue->free_};
    Slot& slot = *unused.slot;
    queue->free_ = slot.next_free;
    slot.function.emplace(std::forward<F>(f));
    queue->heap_.push_back(&slot);
    unused.slot = nullptr;
    slot.due = due;
    slot.ticket = ++queue->tickets_;
    queue->rise(queue->heap_.size() - 1);
    // Only a new first timer changes when the machine is due.
    if (queue->heap_.front() == &slot) queue->waker_.touch();
    return {queue, slot};
}

}}  // namespace belay
