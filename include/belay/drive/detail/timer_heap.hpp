// SPDX-License-Identifier: MIT
/// \file belay/drive/detail/timer_heap.hpp
/// LoopNode and TimerHeap: the machines of a loop, with the next one due on top.
#pragma once

#include <cstddef>  // std::size_t
#include <vector>   // std::vector

#include <belay/core/detail/heap.hpp>
#include <belay/core/waker.hpp>

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

}}}  // namespace belay::detail
