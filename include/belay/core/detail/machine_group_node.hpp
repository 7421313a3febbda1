// SPDX-License-Identifier: MIT
/// \file belay/core/detail/machine_group_node.hpp
/// MachineGroupNode, MachineGroupState, MachineGroupHeap: the data that a MachineGroup keeps about
/// its children.
#pragma once

#include <atomic>   // std::atomic
#include <cstddef>  // std::size_t
#include <cstdint>  // std::uint32_t
#include <utility>  // std::exchange, std::move, std::swap
#include <vector>   // std::vector

#include <belay/core/detail/heap.hpp>
#include <belay/core/detail/intrusive.hpp>
#include <belay/core/waker.hpp>

namespace belay { inline namespace BELAY_ABI { namespace driver {
class MachineGroup;
}}}  // namespace belay::driver

namespace belay { inline namespace BELAY_ABI { namespace detail {

struct MachineGroupNode;

inline constexpr driver::WakeOps no_wake_ops{};

/// The part of a group that other threads use. It outlives the group.
///
/// Thread safety: wake() from any thread; all else on the home thread.
struct MachineGroupState : Counted {
    explicit MachineGroupState(driver::MachineGroup& n) noexcept : group{&n} {}

    /// Queues a child whose deadline must be read again, and wakes the parent.
    inline void wake(MachineGroupNode& node) noexcept;
    /// Takes all queued nodes and calls `f(node)` for each.
    template <class F>
    void take(F&& f) noexcept {
        take(nullptr, f);
    }
    /// Closes the queue: from now on nothing is queued.
    void close() noexcept {
        group = nullptr;
        take(&closed, [](MachineGroupNode&) {});
    }
    [[nodiscard]] bool has_woken() const noexcept {
        return woken.load(std::memory_order_acquire) != nullptr;
    }

    driver::MachineGroup* group;  ///< null after the group is destroyed
    /// Written before any child has a Waker.
    driver::WakeHandle parent;

private:
    template <class F>
    void take(driver::WakeNode* instead, F&& f) noexcept;

    driver::WakeNode closed{no_wake_ops};  // marks the list as closed: no thread takes from it
    std::atomic<driver::WakeNode*> woken{nullptr};
};

/// The operations of a group on a child, independent of the child's type.
struct MachineGroupOps : driver::WakeOps {
    void (*attach)(MachineGroupNode&, Waker);
    Instant (*deadline)(const MachineGroupNode&) noexcept;
    void (*advance)(MachineGroupNode&, Instant);
    /// Destroys the machine, if the node owns it.
    void (*end)(MachineGroupNode&) noexcept;
};

/// A group's entry for one child. It outlives both: every holder of a pointer holds a reference.
struct MachineGroupNode : driver::WakeNode {
    static constexpr std::uint32_t nowhere = ~std::uint32_t{0};

    MachineGroupNode(const MachineGroupOps& o, Ref<MachineGroupState> s) noexcept
        : driver::WakeNode{o}, state{std::move(s)} {}
    ~MachineGroupNode() = default;
    MachineGroupNode(const MachineGroupNode&) = delete;
    MachineGroupNode& operator=(const MachineGroupNode&) = delete;

    [[nodiscard]] const MachineGroupOps& calls() const noexcept {
        return static_cast<const MachineGroupOps&>(*ops);
    }
    void retain() noexcept { references.fetch_add(1, std::memory_order_relaxed); }
    /// Drops a reference. The last one deletes the node.
    void release() noexcept { static_cast<void>(driver::WakeHandle::adopt(this)); }

    std::uint32_t place = nowhere;  ///< its position in the heap
    std::uint32_t order = 0;        ///< of insertion; decides between equal deadlines
    std::atomic<bool> woken{false};
    bool attached = false;
    bool running = false;  ///< its turn is on the call stack
    /// To be destroyed: at once, or after its turn if that is on the call stack.
    bool leaving = false;
    Ref<MachineGroupState> state;
    driver::WakeNode* next_woken = nullptr;  ///< only the thread that set `woken` writes it
};

inline void MachineGroupState::wake(MachineGroupNode& node) noexcept {
    if (node.woken.exchange(true, std::memory_order_acq_rel)) return;
    node.retain();
    driver::WakeNode* first = woken.load(std::memory_order_relaxed);
    do {
        if (first == &closed) return node.release();
        node.next_woken = first;
    } while (!woken.compare_exchange_weak(first, &node, std::memory_order_acq_rel,
                                          std::memory_order_relaxed));
    if (first == nullptr) parent.wake();
}

template <class F>
void MachineGroupState::take(driver::WakeNode* instead, F&& f) noexcept {
    auto* node = static_cast<MachineGroupNode*>(woken.exchange(instead, std::memory_order_acq_rel));
    while (node != nullptr) {
        auto* const next = static_cast<MachineGroupNode*>(node->next_woken);
        // Before `f` reads the deadline, so that a later wake queues the node again. It is an
        // exchange and not a store, so that it sees the writes of wakes that found the node already
        // queued.
        static_cast<void>(node->woken.exchange(false, std::memory_order_acq_rel));
        f(*node);
        node->release();
        node = next;
    }
}

/// Children ordered by their deadlines: a binary heap at the front of a vector. The nodes that were
/// taken out for their turns follow the heap. Each node stores its position.
///
/// Thread safety: one thread.   Allocates: push() only, while it grows.
class MachineGroupHeap {
public:
    struct Entry {
        Instant due;
        MachineGroupNode* node;  ///< null: the node was removed while it was taken out
    };

    [[nodiscard]] std::size_t heap_size() const noexcept { return heap_; }
    [[nodiscard]] std::size_t size() const noexcept { return entries_.size(); }
    [[nodiscard]] Entry& operator[](std::size_t i) noexcept { return entries_[i]; }
    [[nodiscard]] const Entry& operator[](std::size_t i) const noexcept { return entries_[i]; }
    [[nodiscard]] bool has_out() const noexcept { return heap_ != entries_.size(); }

    /// Adds a node to the heap, or at the end if any node is taken out.   Throws: std::bad_alloc.
    void push(MachineGroupNode& node, Instant due) {
        const bool all_in = !has_out();
        entries_.push_back({due, &node});
        node.place = static_cast<std::uint32_t>(entries_.size() - 1);
        if (all_in) take_in();
    }
    void remove(MachineGroupNode& node) noexcept {
        const std::size_t hole = node.place;
        if (hole == MachineGroupNode::nowhere) return;
        node.place = MachineGroupNode::nowhere;
        if (hole >= heap_) {
            entries_[hole].node = nullptr;
            return;
        }
        const bool all_in = !has_out();
        --heap_;
        if (hole != heap_) {
            put(hole, entries_[heap_]);
            entries_[heap_].node = nullptr;
            rise(hole);
            sink(entries_[hole].node->place);
        } else {
            entries_[hole].node = nullptr;
        }
        if (all_in) entries_.pop_back();
    }
    /// Changes the deadline of a node in the heap.   Complexity: O(log n).
    void refile(std::size_t place, Instant due) noexcept {
        entries_[place].due = due;
        MachineGroupNode& node = *entries_[place].node;
        rise(place);
        sink(node.place);
    }
    /// Takes the first node out of the heap, to the position before the nodes that are already out.
    void take_out() noexcept {
        --heap_;
        if (heap_ == 0) return;
        const Entry first = entries_[0];
        put(0, entries_[heap_]);
        put(heap_, first);
        sink(0);
    }
    /// Takes all nodes out.   Pre: none is out.
    void take_all_out() noexcept { heap_ = 0; }
    /// Puts all nodes back into the heap. `due(node)` returns a node's new deadline.
    template <class F>
    void take_all_in(F&& due) noexcept {
        while (has_out()) {
            if (entries_[heap_].node == nullptr) {
                const Entry last = entries_.back();
                entries_.pop_back();
                if (last.node != nullptr) put(heap_, last);
            } else {
                entries_[heap_].due = due(*entries_[heap_].node);
                take_in();
            }
        }
    }

private:
    void take_in() noexcept { rise(heap_++); }
    void put(std::size_t place, const Entry& entry) noexcept {
        entries_[place] = entry;
        if (entry.node != nullptr) entry.node->place = static_cast<std::uint32_t>(place);
    }
    // A total order, so that results do not depend on how the heap was built.
    static bool before(const Entry& a, const Entry& b) noexcept {
        return a.due != b.due ? a.due < b.due : a.node->order < b.node->order;
    }
    [[nodiscard]] auto putter() noexcept {
        return [this](std::size_t place, const Entry& entry) { put(place, entry); };
    }
    void rise(std::size_t place) noexcept { rise_in_heap(entries_, place, before, putter()); }
    void sink(std::size_t place) noexcept {
        sink_in_heap(entries_, place, before, putter(), heap_);
    }

    std::vector<Entry> entries_;
    std::size_t heap_ = 0;
};

}}}  // namespace belay::detail
