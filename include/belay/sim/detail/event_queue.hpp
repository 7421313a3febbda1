// SPDX-License-Identifier: MIT
/// \file belay/sim/detail/event_queue.hpp
/// EventQueue: the scheduled events in the order of their times, and then in the order of adding.
#pragma once

#include <cstddef>  // std::size_t
#include <cstdint>  // std::uint64_t
#include <vector>   // std::vector

#include <belay/core/assert.hpp>
#include <belay/core/instant.hpp>

namespace belay { inline namespace BELAY_ABI { namespace sim::detail {

/// A function that is called with its object. The object stays alive until then, because events are
/// never removed.
struct ScheduledEvent {
    Instant time;
    std::uint64_t order;
    void (*run)(void*);
    void* object;
};

/// A binary heap of scheduled events.   Complexity: O(log n) each.   Allocates: only to grow.
class EventQueue {
public:
    void add(Instant time, void (*run)(void*), void* object) {
        heap_.emplace_back();
        std::size_t at = heap_.size() - 1;
        // Written by hand, member by member. The heap of the standard library copies a whole event
        // through memory, and waits until its halves are written. A new event is the last of its
        // time, so only times are compared.
        for (; at != 0 && time < heap_[(at - 1) / 2].time; at = (at - 1) / 2) {
            heap_[at] = heap_[(at - 1) / 2];
        }
        heap_[at].time = time;
        heap_[at].order = order_++;
        heap_[at].run = run;
        heap_[at].object = object;
    }
    /// Adds an event before those of its time that have a higher rank. Pre: rank < 2^24.
    void add_ranked(Instant time, std::uint64_t rank, void (*run)(void*), void* object) {
        const ScheduledEvent e{time, rank << 40 | order_++, run, object};
        heap_.push_back(e);
        std::size_t at = heap_.size() - 1;
        for (; at != 0 && before(e, heap_[(at - 1) / 2]); at = (at - 1) / 2) {
            heap_[at] = heap_[(at - 1) / 2];
        }
        heap_[at] = e;
    }
    /// Returns the time of the first event; `never` if there is none.
    [[nodiscard]] Instant next() const noexcept {
        return heap_.empty() ? never : heap_.front().time;
    }
    /// Pre: not empty.
    [[nodiscard]] const ScheduledEvent& front() const noexcept { return heap_.front(); }
    /// Pre: not empty.
    [[nodiscard]] ScheduledEvent pop() noexcept {
        BELAY_INVARIANT(!heap_.empty(), "EventQueue::pop: the queue must not be empty");
        const ScheduledEvent first = heap_.front();
        const std::size_t last = heap_.size() - 1;
        std::size_t at = 0;
        for (std::size_t child = 1; child < last; child = 2 * at + 1) {
            if (child + 1 < last && before(heap_[child + 1], heap_[child])) ++child;
            if (!before(heap_[child], heap_[last])) break;
            heap_[at] = heap_[child];
            at = child;
        }
        heap_[at] = heap_[last];
        heap_.pop_back();
        return first;
    }

private:
    static bool before(const ScheduledEvent& a, const ScheduledEvent& b) noexcept {
        return a.time != b.time ? a.time < b.time : a.order < b.order;
    }

    std::vector<ScheduledEvent> heap_;
    std::uint64_t order_ = 0;
};

}}}  // namespace belay::sim::detail
