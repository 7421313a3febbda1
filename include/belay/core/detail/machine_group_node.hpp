// SPDX-License-Identifier: MIT
/// \file belay/core/detail/machine_group_node.hpp
/// MachineGroupNode, MachineGroupState, MachineGroupHeap: what a MachineGroup knows of its
/// children.
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

/// What reaches a group from other threads; outlives it.
///
/// Thread safety: wake() from any thread; all else on the home thread.
struct MachineGroupState : Counted {
    explicit MachineGroupState(driver::MachineGroup& n) noexcept : group{&n} {}

    /// Queues a child whose deadline must be read again, and wakes the parent.
    inline void wake(MachineGroupNode& node) noexcept;
    /// Takes what is queued: calls `f(node)` for each.
    template <class F>
    void take(F&& f) noexcept {
        take(nullptr, f);
    }
    /// Nothing is queued any more.
    void close() noexcept {
        group = nullptr;
        take(&closed, [](MachineGroupNode&) {});
    }
    [[nodiscard]] bool has_woken() const noexcept {
        return woken.load(std::memory_order_acquire) != nullptr;
    }

    driver::MachineGroup* group;  ///< null once it is gone
    /// Written before any child has a Waker.
    driver::WakeHandle parent;

private:
    template <class F>
    void take(driver::WakeNode* instead, F&& f) noexcept;

    driver::WakeNode closed{no_wake_ops};  // stands for the list when nobody will take it
    std::atomic<driver::WakeNode*> woken{nullptr};
};

/// What a group does with a child, whatever its type.
struct MachineGroupOps : driver::WakeOps {
    void (*attach)(MachineGroupNode&, Waker);
    Instant (*deadline)(const MachineGroupNode&) noexcept;
    void (*advance)(MachineGroupNode&, Instant);
    /// Destroys the machine, if the node owns it.
    void (*end)(MachineGroupNode&) noexcept;
};

/// A group's entry for one child. Outlives both; whoever holds a pointer holds a reference.
struct MachineGroupNode : driver::WakeNode {
    static constexpr std::uint32_t nowhere = ~std::uint32_t{0};

    MachineGroupNode(const MachineGroupOps& o, Ref<MachineGroupState> h) noexcept
        : driver::WakeNode{o}, hub{std::move(h)} {}
    ~MachineGroupNode() = default;
    MachineGroupNode(const MachineGroupNode&) = delete;
    MachineGroupNode& operator=(const MachineGroupNode&) = delete;

    [[nodiscard]] const MachineGroupOps& calls() const noexcept {
        return static_cast<const MachineGroupOps&>(*ops);
    }
    void retain() noexcept { references.fetch_add(1, std::memory_order_relaxed); }
    /// Gives up a reference; the last one deletes the node.
    void release() noexcept { static_cast<void>(driver::WakeHandle::adopt(this)); }

    std::uint32_t place = nowhere;  ///< in the heap
    std::uint32_t order = 0;        ///< of adding; decides between equal deadlines
    std::atomic<bool> woken{false};
    bool attached = false;
    bool running = false;  ///< its turn is on the stack
    bool leaving = false;  ///< to be destroyed; after its turn, if that is on the stack
    Ref<MachineGroupState> hub;
    driver::WakeNode* next_woken = nullptr;  ///< whoever has set `woken` may write it
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
        // Before its deadline is read: a wake that comes later queues the node again. An exchange,
        // for it sees what those did whose wakes found the node queued.
        static_cast<void>(node->woken.exchange(false, std::memory_order_acq_rel));
        f(*node);
        node->release();
        node = next;
    }
}

/// Children by their deadlines: a binary heap in the front of a vector; behind it those that are
/// out for their turns. A node knows its place.
///
/// Thread safety: one thread.   Allocates: push() only, while it grows.
class MachineGroupHeap {
public:
    struct Entry {
        Instant due;
        MachineGroupNode* node;  ///< null: it was removed while it was out
    };

    [[nodiscard]] std::size_t heap_size() const noexcept { return heap_; }
    [[nodiscard]] std::size_t size() const noexcept { return entries_.size(); }
    [[nodiscard]] Entry& operator[](std::size_t i) noexcept { return entries_[i]; }
    [[nodiscard]] const Entry& operator[](std::size_t i) const noexcept { return entries_[i]; }
    [[nodiscard]] bool has_out() const noexcept { return heap_ != entries_.size(); }

    /// Adds a node: to the heap, or if any are out behind them.   Throws: std::bad_alloc.
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
    /// Changes the deadline of one that is in the heap.   Complexity: O(log n).
    void refile(std::size_t place, Instant due) noexcept {
        entries_[place].due = due;
        MachineGroupNode& node = *entries_[place].node;
        rise(place);
        sink(node.place);
    }
    /// Takes the first out of the heap: in front of those that are out already.
    void take_out() noexcept {
        --heap_;
        if (heap_ == 0) return;
        const Entry first = entries_[0];
        put(0, entries_[heap_]);
        put(heap_, first);
        sink(0);
    }
    /// All are out.   Pre: none was.
    void take_all_out() noexcept { heap_ = 0; }
    /// All are in again; `due(node)` is asked for their deadlines.
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
    // A total order: what happens must not hang on how the heap came about.
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
