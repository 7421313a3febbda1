// SPDX-License-Identifier: MIT
/// \file belay/work/detail/work_table.hpp
/// WorkTable: the items of a WorkQueue: the entry of each in the log, and its other state.
/// WorkPositions: the entries. WorkSlots: the other state. WorkReads: reads that failed.
#pragma once

#include <algorithm>  // std::sort
#include <bit>        // std::countr_zero
#include <cstddef>    // std::size_t
#include <cstdint>    // std::uint32_t, std::uint64_t, std::uint8_t
#include <vector>     // std::vector

#include <belay/core/assert.hpp>
#include <belay/core/detail/heap.hpp>
#include <belay/core/instant.hpp>
#include <belay/journal/journal_format.hpp>
#include <belay/work/lease.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// For each entry from the log's base on: whether it holds an item, whether that item is plain and
/// ready to lease, and how many bytes the entry has.
///
/// A plain item has no state besides its entry: it was never leased, delayed or moved.
/// Thread safety: none of its own.
/// Allocates: in `reserve` only, and only to exceed its largest size so far.
class WorkPositions {
public:
    /// Returns the bytes that an entry of `length` bytes takes in the log.
    [[nodiscard]] static constexpr std::size_t framed(std::size_t length) noexcept {
        return journal_format::record_bytes(length);
    }

    /// Numbers entries from `first` on.
    explicit WorkPositions(std::uint64_t first) noexcept
        : first_block_{first / 64},
          base_{first},
          end_{first},
          first_held_{first},
          first_ready_{first} {}

    /// Returns whether there is capacity for one more entry.
    [[nodiscard]] bool has_space() const noexcept {
        return end_ / 64 - first_block_ < ring_.size();
    }
    /// Reserves capacity for one more entry.   Throws: std::bad_alloc; then nothing has changed.
    void reserve() {
        if (has_space()) return;
        std::vector<Block> larger_ring(ring_.empty() ? 4 : 2 * ring_.size());
        for (std::uint64_t b = first_block_; b != first_block_ + ring_.size(); ++b) {
            larger_ring[slot_of(b, larger_ring.size())] = block(b);
        }
        ring_ = std::move(larger_ring);
    }

    /// Adds entry `end()`, which takes `bytes`.   Pre: capacity is reserved.
    void add(std::size_t bytes, bool held, bool ready) noexcept {
        BELAY_INVARIANT(has_space(), "WorkPositions::add: a slot must be free");
        Block& b = block(end_ / 64);
        if (end_ % 64 == 0) b = Block{};
        b.bytes[end_ % 64] = static_cast<std::uint32_t>(bytes);
        kept_bytes_ += bytes;
        ++end_;
        if (held) {
            b.held |= bit(end_ - 1);
            held_bytes_ += bytes;
        } else {
            find_first_held();
        }
        if (ready) set_ready(end_ - 1);
    }

    /// Marks an entry that no longer holds an item.
    void release(std::uint64_t position) noexcept {
        BELAY_INVARIANT(holds(position), "WorkPositions::release: the position must hold an item");
        if (is_ready(position)) clear_ready(position);
        Block& b = block(position / 64);
        b.held &= ~bit(position);
        held_bytes_ -= b.bytes[position % 64];
        find_first_held();
    }
    void set_ready(std::uint64_t position) noexcept {
        block(position / 64).ready |= bit(position);
        if (position < first_ready_) first_ready_ = position;
        ++ready_;
    }
    /// Pre: is_ready(position).
    void clear_ready(std::uint64_t position) noexcept {
        block(position / 64).ready &= ~bit(position);
        --ready_;
    }

    /// Removes the entries before `position`.   Pre: position <= first_held().
    void drop_before(std::uint64_t position) noexcept {
        BELAY_INVARIANT(position <= first_held_,
                        "WorkPositions::drop_before: the positions must not hold an item");
        for (; base_ < position; ++base_) idle_bytes_ -= bytes_at(base_);
        first_block_ = base_ / 64;
    }

    [[nodiscard]] bool holds(std::uint64_t position) const noexcept {
        return knows(position) && (block(position / 64).held & bit(position)) != 0;
    }
    [[nodiscard]] bool is_ready(std::uint64_t position) const noexcept {
        return knows(position) && (block(position / 64).ready & bit(position)) != 0;
    }
    [[nodiscard]] std::size_t bytes_at(std::uint64_t position) const noexcept {
        return block(position / 64).bytes[position % 64];
    }

    /// Returns the number of the next entry.
    [[nodiscard]] std::uint64_t end() const noexcept { return end_; }
    /// Returns the first entry that holds an item; `end()` if there is none.
    [[nodiscard]] std::uint64_t first_held() const noexcept { return first_held_; }
    /// Returns the first entry with a plain item that is ready to lease; `end()` if there is none.
    [[nodiscard]] std::uint64_t first_ready() noexcept {
        first_ready_ = ready_ == 0 ? end_ : next(first_ready_, &Block::ready);
        return first_ready_;
    }
    [[nodiscard]] std::uint64_t next_ready(std::uint64_t from) const noexcept {
        return next(from, &Block::ready);
    }
    /// Returns the number of plain items that are ready to lease.
    [[nodiscard]] std::size_t ready() const noexcept { return ready_; }
    /// Returns the bytes of the entries that hold items.
    [[nodiscard]] std::uint64_t held_bytes() const noexcept { return held_bytes_; }
    /// Returns the bytes of all entries from `first_held()` on.
    [[nodiscard]] std::uint64_t kept_bytes() const noexcept { return kept_bytes_; }
    /// Returns the bytes of the entries before `first_held()` that are not dropped.
    [[nodiscard]] std::uint64_t idle_bytes() const noexcept { return idle_bytes_; }

private:
    struct Block {
        std::uint64_t held = 0;
        std::uint64_t ready = 0;
        std::uint32_t bytes[64]{};
    };

    static constexpr std::uint64_t bit(std::uint64_t position) noexcept {
        return std::uint64_t{1} << (position % 64);
    }
    static std::size_t slot_of(std::uint64_t b, std::size_t slots) noexcept {
        return static_cast<std::size_t>(b) & (slots - 1);
    }
    [[nodiscard]] Block& block(std::uint64_t b) noexcept { return ring_[slot_of(b, ring_.size())]; }
    [[nodiscard]] const Block& block(std::uint64_t b) const noexcept {
        return ring_[slot_of(b, ring_.size())];
    }
    [[nodiscard]] bool knows(std::uint64_t position) const noexcept {
        return position >= base_ && position < end_;
    }

    [[nodiscard]] std::uint64_t next(std::uint64_t from,
                                     std::uint64_t Block::*bits) const noexcept {
        if (from < base_) from = base_;
        while (from < end_) {
            const std::uint64_t word = block(from / 64).*bits >> (from % 64);
            if (word != 0) return from + static_cast<std::uint64_t>(std::countr_zero(word));
            from = (from / 64 + 1) * 64;
        }
        return end_;
    }
    void find_first_held() noexcept {
        while (first_held_ < end_ && !holds(first_held_)) {
            const std::size_t bytes = bytes_at(first_held_++);
            kept_bytes_ -= bytes;
            idle_bytes_ += bytes;
        }
    }

    std::vector<Block> ring_;  // its size is a power of two
    std::uint64_t first_block_;
    std::uint64_t base_;  // the first that is not dropped
    std::uint64_t end_;
    std::uint64_t first_held_;
    std::uint64_t first_ready_;  // or before it
    std::size_t ready_ = 0;
    std::uint64_t held_bytes_ = 0;
    std::uint64_t kept_bytes_ = 0;
    std::uint64_t idle_bytes_ = 0;
};

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
        std::sort(order.begin(), order.end(),
                  [this](std::uint32_t a, std::uint32_t b) { return slots_[a].id < slots_[b].id; });
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

    std::vector<WorkSlot> slots_;
    std::vector<std::uint32_t> index_;  // a power of two, at most half used
    IndexedHeap<std::uint32_t> ready_;
    IndexedHeap<std::uint32_t> timed_;
    std::uint32_t free_ = none;
    std::size_t size_ = 0;
    std::size_t leased_ = 0;
    std::size_t dead_ = 0;
};

/// The place of an item. A plain item has no slot. Id 0: there is no item.
struct WorkPlace {
    std::uint64_t id;
    std::uint64_t position;
    std::uint32_t slot;
};

/// The part of the table that one entry of the log adds.
enum class Holds : std::uint8_t {
    nothing,
    body,  // of an item that has a slot, or gets one
    plain  // an item without other state
};

/// Which entries of the log hold items, and the slots of the items that are not plain.
///
/// Invariant: an entry is held if and only if it has the body of an item. That item is plain (then
/// the entry's number is its id, and the entry is marked ready) or has a slot with this position.
///
/// Thread safety: none of its own.   Allocates: in `reserve_entry` and `slots().reserve` only.
class WorkTable {
public:
    /// Numbers entries from `first` on.
    explicit WorkTable(std::uint64_t first) noexcept : positions_{first} {}

    [[nodiscard]] const WorkPositions& positions() const noexcept { return positions_; }
    /// Returns the slots, to read and change states. The functions below add and remove slots.
    [[nodiscard]] WorkSlots& slots() noexcept { return slots_; }

    // ---- entries --------------------------------------------------------------------------------

    /// Reserves capacity for one more.   Throws: std::bad_alloc; then only capacity has changed.
    void reserve_entry() { positions_.reserve(); }
    /// Adds the next entry, which takes `bytes`.   Pre: capacity is reserved.
    void add_entry(std::size_t bytes, Holds holds) noexcept {
        positions_.add(bytes, holds != Holds::nothing, holds == Holds::plain);
    }
    /// Removes the entries before `position`.   Pre: none of them is held.
    void drop_before(std::uint64_t position) noexcept { positions_.drop_before(position); }

    // ---- items ----------------------------------------------------------------------------------

    /// Returns the number of items that are not dead.
    [[nodiscard]] std::size_t living() const noexcept {
        return positions_.ready() + slots_.size() - slots_.dead();
    }
    [[nodiscard]] WorkPlace find(std::uint64_t id) const noexcept {
        const std::uint32_t slot = slots_.find(id);
        if (slot != WorkSlots::none) return place_of(slot);
        return {positions_.is_ready(id) ? id : 0, id, slot};
    }
    [[nodiscard]] WorkPlace place_of(std::uint32_t slot) const noexcept {
        return {slots_[slot].id, slots_[slot].position, slot};
    }
    [[nodiscard]] WorkPlace first_plain() noexcept {
        if (positions_.ready() == 0) return {0, 0, WorkSlots::none};
        const std::uint64_t id = positions_.first_ready();
        return {id, id, WorkSlots::none};
    }
    /// Returns the first item that is ready to lease.
    [[nodiscard]] WorkPlace first_ready() noexcept {
        const WorkPlace plain = first_plain();
        const std::uint32_t slot = slots_.first_ready();
        if (slot == WorkSlots::none) return plain;
        return plain.id != 0 && plain.id < slots_[slot].id ? plain : place_of(slot);
    }
    /// Returns when an item is ready: `always` if one is now, `never` if none is leased or delayed.
    [[nodiscard]] Instant deadline() const noexcept {
        if (positions_.ready() != 0 || slots_.ready() != 0) return always;
        return slots_.next_due() == WorkSlots::none ? never : slots_[slots_.next_due()].when;
    }
    /// Returns the first item that is not dead.   Complexity: O(slots).
    [[nodiscard]] WorkPlace first_living() noexcept {
        WorkPlace first = first_plain();
        for (std::uint32_t i = 0; i < slots_.end(); ++i) {
            if (slots_[i].id == 0 || slots_[i].state == WorkItem::State::dead) continue;
            if (first.id == 0 || slots_[i].id < first.id) first = place_of(i);
        }
        return first;
    }

    /// Returns the slot of an item, a new one if it was plain.
    /// Pre: the item exists; a slot is reserved.
    std::uint32_t slot_of(const WorkPlace& item) noexcept {
        if (item.slot != WorkSlots::none) return item.slot;
        positions_.clear_ready(item.id);
        return slots_.add({.id = item.id, .position = item.position});
    }
    /// Moves the body of an item to entry `to`.   Pre: `to` is held; a slot is reserved.
    void move(const WorkPlace& item, std::uint64_t to) noexcept {
        slots_[slot_of(item)].position = to;
        positions_.release(item.position);
    }
    /// Removes an item.
    void remove(const WorkPlace& item) noexcept {
        positions_.release(item.position);
        if (item.slot != WorkSlots::none) slots_.remove(item.slot);
    }

private:
    WorkPositions positions_;
    WorkSlots slots_;
};

/// The reads that failed, by the items whose entries they were to read.
///
/// Only time distinguishes a bad sector from a medium that fails for a while. The evidence of other
/// reads is of no use, because caches may serve them. So an item waits after each failed read, each
/// time twice as long, while other items can be leased. The waits together are the span after which
/// the item is unreadable.
///
/// After the first reads of `failures_max` items failed, and no other read succeeded in between, no
/// item is read until the first wait has passed. A medium that reads nothing then takes little
/// time, and few slots. Later reads of an item do not count for this, so they cannot keep out
/// items that were not read yet.
///
/// Thread safety: none of its own.
class WorkReads {
public:
    /// Records that the entry of an item was read.
    void succeeded(WorkSlots& slots, std::uint64_t id) noexcept {
        failures_ = 0;
        if (!some_failed_) return;
        const std::uint32_t i = slots.find(id);
        if (i != WorkSlots::none) slots[i].failed_reads = 0;
    }
    /// Records that the entry of a slot's item could not be read. Returns whether the item is
    /// unreadable. Otherwise it waits for the next read.
    [[nodiscard]] bool failed(WorkSlots& slots, std::uint32_t i, Instant now, bool may_die) {
        some_failed_ = true;
        std::uint8_t& count = slots[i].failed_reads;
        if (count == 0 && ++failures_ == failures_max) {
            failures_ = 0;
            paused_until_ = after(now, wait);
        }
        if (may_die && count == waits) return true;
        if (count < waits) ++count;
        slots.make_wait(i, WorkItem::State::delayed, after(now, wait * (1 << (count - 1))));
        return false;
    }
    /// Returns whether no item may be read yet.
    [[nodiscard]] bool is_paused(Instant now) noexcept {
        if (now < paused_until_) return true;
        paused_until_ = always;
        return false;
    }
    /// Returns the time from which on items may be read.
    [[nodiscard]] Instant paused_until() const noexcept { return paused_until_; }

private:
    static constexpr std::uint8_t waits = 6;
    static constexpr int waits_sum = (1 << waits) - 1;
    static constexpr std::uint32_t failures_max = 128;
    // The time after which an item becomes a dead letter if all its reads failed. A disk that
    // resets itself, or a mount that moves, takes less.
    static constexpr Duration span = std::chrono::minutes{1};
    // The first wait. Each next one is twice as long.
    static constexpr Duration wait = (span - Duration{1}) / waits_sum + Duration{1};

    Instant paused_until_ = always;
    std::uint32_t failures_ = 0;  // of first reads, since a successful read or a pause
    bool some_failed_ = false;    // ever
};

}}}  // namespace belay::detail
