// SPDX-License-Identifier: MIT
/// \file belay/queue/mpmc_ring.hpp
/// MpmcRing: a bounded queue between any number of threads.
#pragma once

#include <atomic>  // std::atomic

#include <belay/queue/detail/basic_mpmc_ring.hpp>
#include <belay/queue/storage_like.hpp>

namespace belay { inline namespace BELAY_ABI {

/// A first-in, first-out queue of at most `capacity` values, for any number of threads.
///
/// It allocates nothing after construction. A value is behind those whose push was over before its
/// own began; a batch lies in one piece. A thread that is stopped in the middle of a push hides its
/// value and those behind it until it goes on (try_pop answers nothing then), one that is stopped
/// in the middle of a pop keeps its slot.
///
/// Members:       MpmcRing(capacity), try_push(value), push_some(span), try_pop(), pop_some(span),
///                size(), capacity(); see detail/basic_mpmc_ring.hpp.
/// Models:        StorageLike. It lends nothing: another thread could take what was lent. One that
///                was moved from may only be destroyed or assigned to.
/// Thread safety: any thread calls anything, but nobody else uses it while it is made, moved or
///                destroyed.
/// Progress:      no locks, no waiting: a call repeats only because another call went through.
/// Complexity:    O(1) each, without contention; batches O(values).
/// Source:        detail/numbered_slots.hpp.
template <class T>
class MpmcRing : public detail::BasicMpmcRing<T, std::atomic> {
    static_assert(detail::RingValue<T>,
                  "MpmcRing: T must be movable and destructible without throwing");

public:
    using detail::BasicMpmcRing<T, std::atomic>::BasicMpmcRing;
};

}}  // namespace belay
