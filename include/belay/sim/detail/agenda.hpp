// SPDX-License-Identifier: MIT
/// \file belay/sim/detail/agenda.hpp
/// Agenda: what is going to happen, by time, and in the order of adding where the times are equal.
#pragma once

#include <algorithm>  // std::push_heap, std::pop_heap
#include <cstdint>    // std::uint64_t
#include <vector>     // std::vector

#include <belay/core/assert.hpp>
#include <belay/core/instant.hpp>

namespace belay::inline BELAY_ABI::sim::detail {

/// A function to be called with its object. The object stays alive until then: nothing is removed.
struct Appointment {
    Instant time;
    std::uint64_t order;
    void (*run)(void*);
    void* object;
};

/// A binary heap of appointments.   Complexity: O(log n) each.   Allocates: only to grow.
class Agenda {
public:
    void add(Instant time, void (*run)(void*), void* object) {
        heap_.push_back({time, order_++, run, object});
        std::push_heap(heap_.begin(), heap_.end(), later);
    }
    /// When the first is due; `never` if there is none.
    [[nodiscard]] Instant next() const noexcept {
        return heap_.empty() ? never : heap_.front().time;
    }
    /// Pre: not empty.
    [[nodiscard]] Appointment pop() noexcept {
        BELAY_INVARIANT(!heap_.empty(), "Agenda::pop: must not be empty");
        std::pop_heap(heap_.begin(), heap_.end(), later);
        const Appointment first = heap_.back();
        heap_.pop_back();
        return first;
    }

private:
    // A total order: what the standard library's heap does with equals cannot show.
    static bool later(const Appointment& a, const Appointment& b) noexcept {
        return a.time != b.time ? a.time > b.time : a.order > b.order;
    }

    std::vector<Appointment> heap_;
    std::uint64_t order_ = 0;
};

}  // namespace belay::inline BELAY_ABI::sim::detail
