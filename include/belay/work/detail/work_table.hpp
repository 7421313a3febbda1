// SPDX-License-Identifier: MIT
/// \file belay/work/detail/work_table.hpp
/// WorkTable: the items of a WorkQueue: the entry of each in the log, and its other state.
#pragma once

#include <cstddef>  // std::size_t
#include <cstdint>  // std::uint32_t, std::uint64_t

#include <belay/work/detail/work_positions.hpp>
#include <belay/work/detail/work_slots.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

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

}}}  // namespace belay::detail
