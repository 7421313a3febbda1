// SPDX-License-Identifier: MIT
/// \file belay/sim/detail/timers.hpp
/// Attached and Timers: the machines of a world, ordered by their deadlines.
#pragma once

#include <cstddef>  // std::size_t
#include <cstdint>  // std::uint64_t

#include <belay/core/detail/heap.hpp>
#include <belay/core/machine_like.hpp>
#include <belay/sim/detail/clock_settings.hpp>

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
    const SteadySetting* clock = nullptr;
    std::uint64_t order = 0;     // among equal deadlines
    std::uint64_t attached = 0;  // how many machines were attached before
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
    void set(Attached& a, Instant due) {
        if (due == never) return remove(a);
        a.due = due;
        if (a.place != Attached::nowhere) return heap_.moved(&a, Order{});
        heap_.push(&a, Order{});
    }
    void remove(Attached& a) noexcept {
        if (a.place == Attached::nowhere) return;
        heap_.remove(&a, Order{});
        a.place = Attached::nowhere;
        a.due = never;
    }

private:
    struct Order {
        static bool before(const Attached* a, const Attached* b) noexcept {
            return a->due != b->due ? a->due < b->due : a->order < b->order;
        }
        static std::size_t& place(Attached* a) noexcept { return a->place; }
    };

    belay::detail::IndexedHeap<Attached*> heap_;
};

}}}  // namespace belay::sim::detail
