// SPDX-License-Identifier: MIT
/// \file belay/work/detail/work_slots.hpp
/// WorkSlots: the items of a WorkQueue that have state besides their entry in the log.
#pragma once

#include <span>     // std::span
#include <utility>  // std::swap
#include <vector>   // std::vector

#include <belay/core/assert.hpp>
#include <belay/core/detail/heap.hpp>
#include <belay/core/instant.hpp>
#include <belay/work/lease.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The id of an item, and its entry in the log.
struct ItemPosition {
    std::uint64_t id = 0;        // of a slot; 0: the slot is free
    std::uint64_t position = 0;  // the entry that has its body
};

/// The state of an item that is or was leased, is delayed, is dead, was moved, or was unreadable.
struct WorkSlot : ItemPosition {
    std::uint64_t token = 0;  // of the last lease; 0: no lease is valid
    Instant when{};           // delayed, leased: until then
    std::uint32_t deliveries = 0;
    std::uint32_t place = 0;  // in the heap of its state; free: the next free slot
    WorkItem::State state = WorkItem::State::ready;
    std::uint8_t cause = 0;         // as in the log
    bool unnoted = false;           // the log had no space for its state yet
    bool counted = false;           // the last delivery counts, also while it is in progress
    bool ahead = false;             // the log also has the next delivery, which has no lease yet
    bool sent = false;              // the storage for dead letters has accepted it
    std::uint8_t failed_reads = 0;  // since its entry was read
};

/// Slots by number, found by id, in two heaps. One orders the items that are ready to lease by id.
/// The other orders the items that wait by time.
///
/// Thread safety: none of its own.
/// Allocates: in `reserve` only, and only to exceed the largest number of slots so far.
/// Source: binary heaps (J. Williams, 1964); linear probing with removal by shifting back (Knuth,
///         TAOCP 3, 6.4, algorithm R).
class WorkSlots {
public:
    static constexpr std::uint32_t none = ~std::uint32_t{0};

    /// Reserves capacity for one more.   Throws: std::bad_alloc; then only capacity has changed.
    void reserve() {
        if (free_ != none) return;
        const std::size_t size = slots_.empty() ? 16 : 2 * slots_.size();
        std::vector<std::uint32_t> index(2 * size, none);
        ready_.reserve(size);
        timed_.reserve(size);
        slots_.reserve(size);
        index_.swap(index);
        for (std::uint32_t i = 0; i < slots_.size(); ++i) enter(i);
        const auto first = static_cast<std::uint32_t>(slots_.size());
        slots_.resize(size);
        for (auto i = static_cast<std::uint32_t>(size); i-- > first;) put_free(i);
    }

    /// Adds a slot for a ready item and returns it.
    /// Pre: capacity is reserved; the item has no slot.
    std::uint32_t add(ItemPosition item) noexcept {
        BELAY_INVARIANT(free_ != none && item.id != 0, "WorkSlots::add: a slot must be free");
        const std::uint32_t i = free_;
        free_ = slots_[i].place;
        slots_[i] = WorkSlot{};
        slots_[i].id = item.id;
        slots_[i].position = item.position;
        enter(i);
        ready_.push(i, Order{slots_});
        ++size_;
        return i;
    }
    void remove(std::uint32_t i) noexcept {
        leave_state(i);
        leave_index(i);
        slots_[i] = WorkSlot{};
        put_free(i);
        --size_;
    }

    [[nodiscard]] std::uint32_t find(std::uint64_t id) const noexcept {
        if (size_ == 0) return none;
        for (std::size_t h = home(id); index_[h] != none; h = (h + 1) & mask()) {
            if (slots_[index_[h]].id == id) return index_[h];
        }
        return none;
    }

    void make_ready(std::uint32_t i) noexcept {
        leave_state(i);
        slots_[i].state = WorkItem::State::ready;
        ready_.push(i, Order{slots_});
    }
    /// Makes an item wait until a time; `never` is the moment before it, because an item that waits
    /// has a deadline.   Pre: state is delayed or leased.
    void make_wait(std::uint32_t i, WorkItem::State state, Instant until) noexcept {
        leave_state(i);
        slots_[i].state = state;
        slots_[i].when = until == never ? Instant{forever - Duration{1}} : until;
        leased_ += state == WorkItem::State::leased ? 1U : 0U;
        timed_.push(i, Order{slots_});
    }
    void make_dead(std::uint32_t i) noexcept {
        leave_state(i);
        slots_[i].state = WorkItem::State::dead;
        ++dead_;
    }

    /// Returns the ready slot with the lowest id, or the slot that waits for the earliest time; or
    /// none.
    [[nodiscard]] std::uint32_t first_ready() const noexcept {
        return ready_.empty() ? none : ready_.front();
    }
    [[nodiscard]] std::uint32_t next_due() const noexcept {
        return timed_.empty() ? none : timed_.front();
    }

    /// Returns the dead slots, or those that are not dead, by id.   Throws: std::bad_alloc.
    [[nodiscard]] std::vector<std::uint32_t> in_order(bool dead) const {
        std::vector<std::uint32_t> order;
        order.reserve(size_);
        for (std::uint32_t i = 0; i < end(); ++i) {
            if (slots_[i].id != 0 && (slots_[i].state == WorkItem::State::dead) == dead) {
                order.push_back(i);
            }
        }
        for (std::size_t i = order.size() / 2; i-- != 0;) sink_by_id(order, i);
        for (std::size_t size = order.size(); size-- > 1;) {
            std::swap(order[0], order[size]);
            sink_by_id(std::span{order}.first(size), 0);
        }
        return order;
    }

    [[nodiscard]] WorkSlot& operator[](std::uint32_t i) noexcept { return slots_[i]; }
    [[nodiscard]] const WorkSlot& operator[](std::uint32_t i) const noexcept { return slots_[i]; }
    /// Returns one past the highest slot. Free slots below it have id 0.
    [[nodiscard]] std::uint32_t end() const noexcept {
        return static_cast<std::uint32_t>(slots_.size());
    }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] std::size_t ready() const noexcept { return ready_.size(); }
    [[nodiscard]] std::size_t leased() const noexcept { return leased_; }
    [[nodiscard]] std::size_t delayed() const noexcept { return timed_.size() - leased_; }
    [[nodiscard]] std::size_t dead() const noexcept { return dead_; }

private:
    struct Order {
        std::vector<WorkSlot>& slots;
        /// Both are in the same state.
        [[nodiscard]] bool before(std::uint32_t a, std::uint32_t b) const noexcept {
            const WorkSlot& x = slots[a];
            const WorkSlot& y = slots[b];
            if (x.state != WorkItem::State::ready && x.when != y.when) return x.when < y.when;
            return x.id < y.id;
        }
        [[nodiscard]] std::uint32_t& place(std::uint32_t i) const noexcept {
            return slots[i].place;
        }
    };

    void put_free(std::uint32_t i) noexcept {
        slots_[i].place = free_;
        free_ = i;
    }
    void leave_state(std::uint32_t i) noexcept {
        switch (slots_[i].state) {
            case WorkItem::State::ready:
                ready_.remove(i, Order{slots_});
                break;
            case WorkItem::State::leased:
                --leased_;
                [[fallthrough]];
            case WorkItem::State::delayed:
                timed_.remove(i, Order{slots_});
                break;
            default:
                --dead_;
                break;
        }
    }

    // ---- by id ----------------------------------------------------------------------------------

    [[nodiscard]] std::size_t mask() const noexcept { return index_.size() - 1; }
    [[nodiscard]] std::size_t home(std::uint64_t id) const noexcept {
        // Ids are consecutive, so a multiplication spreads them.
        return static_cast<std::size_t>((id * 0x9E3779B97F4A7C15U) >> 32) & mask();
    }
    void enter(std::uint32_t i) noexcept {
        std::size_t h = home(slots_[i].id);
        while (index_[h] != none) h = (h + 1) & mask();
        index_[h] = i;
    }
    void leave_index(std::uint32_t i) noexcept {
        std::size_t hole = home(slots_[i].id);
        while (index_[hole] != i) hole = (hole + 1) & mask();
        for (std::size_t h = (hole + 1) & mask(); index_[h] != none; h = (h + 1) & mask()) {
            // It may move to the hole unless its home is after the hole.
            const std::size_t from_home = (h - home(slots_[index_[h]].id)) & mask();
            if (from_home < ((h - hole) & mask())) continue;
            index_[hole] = index_[h];
            hole = h;
        }
        index_[hole] = none;
    }

    /// A step of a heap that has its highest id in front and stores no positions.
    void sink_by_id(std::span<std::uint32_t> heap, std::size_t at) const noexcept {
        const std::size_t size = heap.size();
        for (std::size_t child = 2 * at + 1; child < size; child = 2 * at + 1) {
            if (child + 1 < size && slots_[heap[child]].id < slots_[heap[child + 1]].id) ++child;
            if (slots_[heap[child]].id < slots_[heap[at]].id) return;
            std::swap(heap[at], heap[child]);
            at = child;
        }
    }

    std::vector<WorkSlot> slots_;
    std::vector<std::uint32_t> index_;  // a power of two, at most half used
    IndexedHeap<std::uint32_t> ready_;
    IndexedHeap<std::uint32_t> timed_;
    std::uint32_t free_ = none;
    std::size_t size_ = 0;
    std::size_t leased_ = 0;
    std::size_t dead_ = 0;
};

}}}  // namespace belay::detail
