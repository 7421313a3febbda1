// SPDX-License-Identifier: MIT
/// \file belay/sim/detail/timers.hpp
/// Attached and Timers: the machines of a world, ordered by their deadlines.
#pragma once

#include <cstddef>  // std::size_t
#include <cstdint>  // std::uint64_t
#include <vector>   // std::vector

#include <belay/core/detail/heap.hpp>
#include <belay/core/machine_like.hpp>

namespace belay { inline namespace BELAY_ABI { namespace sim::detail {

class Engine;

/// The world's entry for one machine.
struct Attached : belay::driver::WakeNode {
    using belay::driver::WakeNode::WakeNode;

    static constexpr std::size_t nowhere = ~std::size_t{0};

    Engine* engine = nullptr;  // null: the machine, its process or the world is gone
    void* machine = nullptr;
    Instant (*deadline)(const void*) noexcept = nullptr;
    void (*advance)(void*, Instant) = nullptr;
    const void* owner = nullptr;  // the host that it runs on
    std::uint64_t order = 0;      // among equal deadlines
    std::uint64_t attached = 0;   // how many machines were attached before
    Instant due = never;
    std::size_t place = nowhere;  // in Timers
    bool stale = false;           // its deadline must be read again
    bool frozen = false;
};

/// A binary heap of machines. Each entry stores its index, so that changing a deadline costs O(log
/// n) and leaves no old entry. Equal deadlines are in the order of attaching.
class Timers {
public:
    [[nodiscard]] Instant next() const noexcept {
        return heap_.empty() ? never : heap_.front()->due;
    }
    /// Pre: next() != never.
    [[nodiscard]] Attached& front() const noexcept { return *heap_.front(); }

    /// Sets the deadline of a machine. With `never` the machine is removed.
    ///
    /// Pre: `order` has changed only if the deadline has.
    void set(Attached& a, Instant due) {
        if (due == never) return remove(a);
        const bool earlier = due < a.due;
        a.due = due;
        if (a.place == Attached::nowhere) {
            a.place = heap_.size();
            heap_.push_back(&a);
            rise(a.place);
        } else if (earlier) {
            rise(a.place);
        } else {
            sink(a.place);
        }
    }
    void remove(Attached& a) noexcept {
        const std::size_t hole = a.place;
        if (hole == Attached::nowhere) return;
        a.place = Attached::nowhere;
        a.due = never;
        Attached* const last = heap_.back();
        heap_.pop_back();
        if (last == &a) return;
        put(hole, last);
        rise(hole);
        sink(last->place);
    }

private:
    static bool before(const Attached* a, const Attached* b) noexcept {
        return a->due != b->due ? a->due < b->due : a->order < b->order;
    }
    void put(std::size_t at, Attached* a) noexcept {
        heap_[at] = a;
        a->place = at;
    }
    [[nodiscard]] auto putter() noexcept {
        return [this](std::size_t at, Attached* a) { put(at, a); };
    }
    void rise(std::size_t at) noexcept { belay::detail::rise_in_heap(heap_, at, before, putter()); }
    void sink(std::size_t at) noexcept {
        belay::detail::sink_in_heap(heap_, at, before, putter(), heap_.size());
    }

    std::vector<Attached*> heap_;
};

}}}  // namespace belay::sim::detail
