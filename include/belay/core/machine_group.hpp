// SPDX-License-Identifier: MIT
/// \file belay/core/machine_group.hpp
/// MachineGroup: the machines inside a machine. It advances only those that are due or were woken.
#pragma once

#include <atomic>   // std::atomic
#include <cstddef>  // std::size_t
#include <cstdint>  // std::uint32_t
#include <new>      // placement new, std::launder
#include <utility>  // std::exchange, std::move, std::swap, std::forward
#include <vector>   // std::vector

#include <belay/core/detail/heap.hpp>
#include <belay/core/detail/memory.hpp>
#include <belay/core/detail/scope_exit.hpp>
#include <belay/core/machine_like.hpp>
#include <belay/core/order.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace driver {
class MachineGroup;
}  // namespace driver

namespace detail {

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

}  // namespace detail

namespace driver {

template <class M>
class GroupedMachine;

/// Runs any number of machines as parts of one machine.
///
/// A MachineGroup is a member of a parent machine. The parent gives the group its own Waker. The
/// parent's deadline is the smaller of its own and the group's, and the parent advances the group
/// in each of its turns. A child's wake-up marks only that child, and wakes the parent. A
/// MachineGroup is also a machine itself, so a driver can run it.
///
/// You can add and remove children at any time, also in the turn of a child. A child that is
/// removed in its own turn is destroyed when that turn is over. A child's turn may destroy the
/// parent, and the group with it.
///
/// In one turn of the group, the children run in the order of their deadlines, then in the order of
/// adding. Each child runs at most once.
///
/// An exception of a child leaves advance(). The next advance() continues with the rest.
///
/// Models:        MachineLike.
/// Thread safety: home thread only; children's wake-ups come from any thread.
/// Complexity:    O(1) for deadline(), O(log n) for each child that is due, woken, added or
///                removed.
/// Allocates:     when a child is added: its entry of 40 bytes with the child, and 16 bytes of the
///                heap.
class MachineGroup {
    using Node = detail::MachineGroupNode;
    using State = detail::MachineGroupState;

public:
    /// The number of children that have a turn in one turn of the group. The rest have theirs in
    /// the next.
    static constexpr std::size_t turns_max = 256;

    MachineGroup() : state_{detail::Ref<State>::make(*this)} {}
    MachineGroup(const MachineGroup&) = delete;
    MachineGroup& operator=(const MachineGroup&) = delete;
    ~MachineGroup() { state_->close(); }

    // ---- for the parent, or the driver ---------------------------------------------------------

    /// Gives the children their Wakers: to those that exist already, and to all later ones.
    ///
    /// The parent passes `waker.nested(key)`.
    /// Pre: not attached.   Throws: what a child's attach() throws.
    void attach(Waker waker) {
        BELAY_PRECONDITION(!attached_, "MachineGroup::attach: the group must not be attached yet");
        attached_ = true;
        waker_ = std::move(waker);
        state_->parent = waker_.handle();
        heap_.take_all_out();
        next_ = 0;
        for (std::size_t i = 0; i < heap_.size(); ++i) {
            if (heap_[i].node != nullptr) attach_child(*heap_[i].node);
        }
        take_all_in();
    }

    [[nodiscard]] Instant deadline() const noexcept {
        if (heap_.has_out() || state_->has_woken()) return always;
        return heap_.size() == 0 ? never : heap_[0].due;
    }

    /// Advances the children that are due, at most `most` of them.
    ///
    /// Returns: false if the group is gone, and its parent with it.   Pre: not in a child's turn.
    bool advance(Instant now, std::size_t most = turns_max) {
        BELAY_PRECONDITION(
            !lifetime_.in_turn(),
            "MachineGroup::advance: the function must not be called in a child's turn");
        const TurnGuard guard{lifetime_};
        state_->take([this](Node& node) { mark(node); });
        if (!has_rest()) take_due_out(now);
        for (; has_rest() && most != 0; --most) {
            Node& node = *heap_[--next_].node;
            node.retain();
            node.running = true;
            const detail::ScopeExit visit{[&node] {
                node.running = false;
                if (node.leaving) node.calls().end(node);
                node.release();
            }};
            node.calls().advance(node, now);
            if (guard.gone()) return false;
        }
        return true;
    }

    // ---- children ------------------------------------------------------------------------------

    /// Makes a child. It lives and runs until the returned handle is destroyed.
    ///
    /// Throws: std::bad_alloc, and what its constructor and its attach() throw.
    template <class M, class... A>
    [[nodiscard]] GroupedMachine<M> make(A&&... args) {
        static_assert(explain::machine_like<M>());
        GroupedMachine<M> child{*new Owned<M>(state_, std::forward<A>(args)...)};
        enter(*child.node_);
        return child;
    }

    /// Runs a machine that lives elsewhere, until it is destroyed or attached elsewhere.
    ///
    /// Pre: attached, because the machine is removed through its Waker.
    /// Throws: std::bad_alloc, and what its attach() throws.
    template <class M>
    void add(M& machine) {
        static_assert(explain::machine_like<M>());
        BELAY_PRECONDITION(attached_, "MachineGroup::add: the group must be attached first");
        auto* const node = new Borrowed<M>(state_, machine);
        const WakeHandle keep = WakeHandle::adopt(node);
        enter(*node);
    }

    /// Returns whether the group is attached to a driver.
    [[nodiscard]] bool attached() const noexcept { return attached_; }
    /// Returns the number of children that the group runs.
    [[nodiscard]] std::size_t size() const noexcept { return size_; }

private:
    template <class M>
    friend class GroupedMachine;

    template <class M>
    struct Owned final : Node {
        template <class... A>
        explicit Owned(const detail::Ref<State>& s, A&&... args) : Node{table, s} {
            ::new (static_cast<void*>(storage)) M(std::forward<A>(args)...);
        }
        [[nodiscard]] M& machine() noexcept { return *std::launder(reinterpret_cast<M*>(storage)); }
        [[nodiscard]] const M& machine() const noexcept {
            return *std::launder(reinterpret_cast<const M*>(storage));
        }
        static void end(Node& node) noexcept { static_cast<Owned&>(node).machine().~M(); }
        static const detail::MachineGroupOps table;
        alignas(M) unsigned char storage[sizeof(M)];
    };
    template <class M>
    struct Borrowed final : Node {
        Borrowed(const detail::Ref<State>& s, M& m) noexcept : Node{table, s}, borrowed{&m} {}
        [[nodiscard]] M& machine() const noexcept { return *borrowed; }
        static void end(Node&) noexcept {}
        static const detail::MachineGroupOps table;
        M* borrowed;
    };

    template <class N>
    static constexpr detail::MachineGroupOps calls_of() noexcept {
        return {
            {[](WakeNode& n) noexcept { of(n).state->wake(of(n)); },
             [](WakeNode& n) noexcept {
                 if (MachineGroup* const group = of(n).state->group) group->mark(of(n));
             },
             [](WakeNode& n) noexcept {
                 MachineGroup* const group = of(n).state->group;
                 return group != nullptr ? group->waker_.now() : always;
             },
             [](WakeNode& n) noexcept { remove(of(n)); },
             [](WakeNode* n) noexcept { delete static_cast<N*>(n); }},
            [](Node& n, Waker w) { static_cast<N&>(n).machine().attach(std::move(w)); },
            [](const Node& n) noexcept { return static_cast<const N&>(n).machine().deadline(); },
            [](Node& n, Instant now) { static_cast<N&>(n).machine().advance(now); },
            &N::end};
    }
    static Node& of(WakeNode& node) noexcept { return static_cast<Node&>(node); }

    void enter(Node& node) {
        node.order = ++last_order_;
        heap_.push(node, always);
        if (!heap_.has_out()) next_ = heap_.size();
        ++size_;
        if (!attached_) return;
        attach_child(node);
        waker_.touch();
    }
    void attach_child(Node& node) {
        if (std::exchange(node.attached, true)) return;
        node.retain();
        node.calls().attach(node,
                            Waker{WakeHandle::adopt(&node), waker_.nested(node.order).seed()});
    }
    static void remove(Node& node) noexcept {
        MachineGroup* const group = node.state->group;
        if (group == nullptr || node.place == Node::nowhere) return;
        --group->size_;
        group->heap_.remove(node);
        if (!group->heap_.has_out()) group->next_ = group->heap_.size();
    }
    /// Removes a child because its handle is destroyed.
    static void leave(Node& node) noexcept {
        remove(node);
        node.leaving = true;
        if (!node.running) node.calls().end(node);
        node.release();
    }

    /// Marks a child, so that the next turn reads its deadline again. The deadline of a child that
    /// is out of the heap is read at the end of this turn.
    void mark(Node& node) noexcept {
        if (node.place >= heap_.heap_size() || heap_[node.place].due == always) return;
        heap_.refile(node.place, always);
        waker_.touch();
    }
    /// Returns the child's deadline, but never `always`, which is reserved for marked children.
    [[nodiscard]] static Instant read(const Node& node) noexcept {
        return detail::larger(node.calls().deadline(node), after_always);
    }
    /// Returns whether a child that is out of the heap still awaits its turn. If none does, all
    /// children are back in.
    [[nodiscard]] bool has_rest() noexcept {
        while (next_ != heap_.heap_size() && heap_[next_ - 1].node == nullptr) --next_;
        if (next_ != heap_.heap_size()) return true;
        take_all_in();
        return false;
    }
    void take_due_out(Instant now) noexcept {
        while (heap_.size() != 0 && heap_[0].due == always) heap_.refile(0, read(*heap_[0].node));
        while (heap_.heap_size() != 0 && heap_[0].due <= now) heap_.take_out();
        next_ = heap_.size();
    }
    void take_all_in() noexcept {
        heap_.take_all_in([](const Node& node) { return read(node); });
        next_ = heap_.size();
    }

    static constexpr Instant after_always{always.time_since_epoch() + Duration{1}};

    detail::Ref<State> state_;
    Waker waker_;
    LifetimeFlag lifetime_;
    detail::MachineGroupHeap heap_;
    /// From this position on, the children that are out of the heap have had their turns. The last
    /// one has its turn first.
    std::size_t next_ = 0;
    std::size_t size_ = 0;
    std::uint32_t last_order_ = 0;
    bool attached_ = false;
};

template <class M>
constinit const detail::MachineGroupOps MachineGroup::Owned<M>::table =
    MachineGroup::calls_of<MachineGroup::Owned<M>>();
template <class M>
constinit const detail::MachineGroupOps MachineGroup::Borrowed<M>::table =
    MachineGroup::calls_of<MachineGroup::Borrowed<M>>();

/// Owns a child of a MachineGroup.
///
/// Its end removes and destroys the child: at once, or when the child's turn is over. It may
/// outlive the group, which then no longer runs the child.
///
/// Thread safety: the group's home thread.   Size: one pointer.
template <class M>
class [[nodiscard]] GroupedMachine {
public:
    GroupedMachine() noexcept = default;
    GroupedMachine(GroupedMachine&& other) noexcept : node_{std::exchange(other.node_, nullptr)} {}
    GroupedMachine& operator=(GroupedMachine&& other) noexcept {
        if (this != &other) {
            reset();
            node_ = std::exchange(other.node_, nullptr);
        }
        return *this;
    }
    ~GroupedMachine() { reset(); }

    /// Removes and destroys the child, if there is one.
    void reset() noexcept {
        // The handle becomes empty before the child is destroyed, because the child's destructor
        // may call this function.
        if (auto* const node = std::exchange(node_, nullptr)) MachineGroup::leave(*node);
    }
    [[nodiscard]] explicit operator bool() const noexcept { return node_ != nullptr; }
    /// Returns the child, or null if there is none.
    [[nodiscard]] M* get() const noexcept { return node_ != nullptr ? &node_->machine() : nullptr; }
    /// Pre: there is a child.
    [[nodiscard]] M& operator*() const noexcept { return node_->machine(); }
    [[nodiscard]] M* operator->() const noexcept { return &node_->machine(); }

private:
    friend class MachineGroup;
    explicit GroupedMachine(MachineGroup::Owned<M>& node) noexcept : node_{&node} {}

    MachineGroup::Owned<M>* node_ = nullptr;
};

}  // namespace driver

}}  // namespace belay
