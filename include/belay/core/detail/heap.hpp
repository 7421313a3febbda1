// SPDX-License-Identifier: MIT
/// \file belay/core/detail/heap.hpp
/// IndexedHeap: a binary heap whose items store their own positions.
/// sort_stably: sorts values, and keeps the order of equal ones. prefetch_for_write: loads memory
/// before it is needed.
#pragma once

#include <cstddef>      // std::size_t
#include <type_traits>  // std::remove_cvref_t
#include <vector>       // std::vector

#include <belay/core/order.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Moves the item at `place` towards the front, past the items that it precedes.
///
/// `items[i]` is the item at position `i`, and is cheap to copy. `put(i, item)` writes the item
/// there and updates the position that the item stores.
/// `before(a, b)` is a strict order. The least item is at the front.
/// Complexity: O(log n).   Source: J. Williams, Algorithm 232, 1964.
template <class Items, class Before, class Put>
constexpr void rise_in_heap(const Items& items, std::size_t place, const Before& before,
                            const Put& put) noexcept {
    const auto item = items[place];
    while (place != 0) {
        const std::size_t parent = (place - 1) / 2;
        if (!before(item, items[parent])) break;
        put(place, items[parent]);
        place = parent;
    }
    put(place, item);
}

/// Moves the item at `place` towards the back of a heap of `size` items, past those that precede
/// it.
template <class Items, class Before, class Put>
constexpr void sink_in_heap(const Items& items, std::size_t place, const Before& before,
                            const Put& put, std::size_t size) noexcept {
    const auto item = items[place];
    for (std::size_t child = 2 * place + 1; child < size; child = 2 * place + 1) {
        if (child + 1 < size && before(items[child + 1], items[child])) ++child;
        if (!before(items[child], item)) break;
        put(place, items[child]);
        place = child;
    }
    put(place, item);
}

/// A binary heap whose items store their own positions, so that each of them can move or leave.
///
/// An item is cheap to copy: a pointer or an index. An `Order` has `before(a, b)`, a strict order
/// whose least item is at the front, and `place(item)`, a reference to the item's position.
///
/// Thread safety: one thread.   Complexity: O(log n) for push(), remove() and moved().
/// Allocates:     push() only, beyond what was reserved.
template <class Item>
class IndexedHeap {
public:
    [[nodiscard]] bool empty() const noexcept { return items_.empty(); }
    [[nodiscard]] std::size_t size() const noexcept { return items_.size(); }
    /// Pre: !empty().
    [[nodiscard]] const Item& front() const noexcept { return items_.front(); }
    /// Returns all items; only the first is in its place.
    [[nodiscard]] const std::vector<Item>& items() const noexcept { return items_; }

    /// Throws: std::bad_alloc.
    void reserve(std::size_t items) { items_.reserve(items); }
    /// Throws: std::bad_alloc.   Pre: the item is in no heap.
    template <class Order>
    void push(Item item, const Order& order) {
        items_.push_back(item);
        rise_in_heap(items_, items_.size() - 1, before(order), putter(order));
    }
    /// Pre: the item is in this heap.
    template <class Order>
    void remove(Item item, const Order& order) noexcept {
        const std::size_t hole = order.place(item);
        const Item last = items_.back();
        items_.pop_back();
        if (hole == items_.size()) return;
        putter(order)(hole, last);
        moved(last, order);
    }
    /// Restores the order after that of an item in this heap has changed.
    template <class Order>
    void moved(Item item, const Order& order) noexcept {
        rise_in_heap(items_, order.place(item), before(order), putter(order));
        sink_in_heap(items_, order.place(item), before(order), putter(order), items_.size());
    }

private:
    template <class Order>
    [[nodiscard]] static auto before(const Order& order) noexcept {
        return [&order](const Item& a, const Item& b) { return order.before(a, b); };
    }
    template <class Order>
    [[nodiscard]] auto putter(const Order& order) noexcept {
        return [this, &order](std::size_t at, const Item& item) {
            items_[at] = item;
            order.place(item) = static_cast<std::remove_cvref_t<decltype(order.place(item))>>(at);
        };
    }

    std::vector<Item> items_;
};

/// Sorts `values`, a vector, and keeps the order of equal ones.   Complexity: O(n log n).
///
/// Not std::stable_sort, nor std::stable_partition: in libstdc++ 12 they call a deprecated
/// function, of which Clang 19 warns.
template <class Items, class Before>
void sort_stably(Items& values, Before before) {
    const std::size_t count = values.size();
    std::size_t sorted = 1;
    while (sorted < count && !before(values[sorted], values[sorted - 1])) ++sorted;
    if (sorted >= count) return;
    Items merged(count);
    for (std::size_t run = 1; run < count; run *= 2) {
        for (std::size_t at = 0; at < count; at += 2 * run) {
            const std::size_t middle = smaller(at + run, count);
            const std::size_t last = smaller(at + 2 * run, count);
            std::size_t left = at;
            std::size_t right = middle;
            for (std::size_t to = at; to != last; ++to) {
                const bool takes_right =
                    left == middle || (right != last && before(values[right], values[left]));
                merged[to] = values[takes_right ? right++ : left++];
            }
        }
        values.swap(merged);
    }
}

/// Loads the line of an object that will be read or written soon.
inline void prefetch_for_write(const void* object) noexcept {
    __builtin_prefetch(object, 1);
    // GCC 12 takes a function that only prefetches for one without effect, and removes the call.
    asm volatile("" : : "r"(object));
}

}}}  // namespace belay::detail
