// SPDX-License-Identifier: MIT
/// \file belay/queue/spsc_ring.hpp
/// SpscRing: a bounded queue from one thread to another.
#pragma once

#include <atomic>  // std::atomic

#include <belay/queue/detail/basic_spsc_ring.hpp>
#include <belay/queue/leasable_like.hpp>

namespace belay { inline namespace BELAY_ABI {

/// A first-in, first-out queue of at most `capacity` values, with one thread that pushes (the
/// producer) and one that takes (the consumer).
///
/// It allocates nothing after construction, and values never move while they are in it.
///
/// Members:       SpscRing(capacity), try_push(value), push_some(span), try_pop(), pop_some(span),
///                front(), ack(), nack(), size(), capacity(); see detail/basic_spsc_ring.hpp.
/// Models:        LeasableLike. One that was moved from is empty, and has no space.
/// Thread safety: one producer calls try_push and push_some; one consumer try_pop, pop_some, front,
///                ack and nack; any thread size and capacity. Nobody else uses it while it is made,
///                moved or destroyed.
/// Progress:      wait-free: no call waits for, or repeats because of, the other side.
/// Complexity:    O(1) each; batches O(values).
/// Source:        L. Lamport, "Proving the Correctness of Multiprocess Programs" (1977); indices
///                that are cached: J. Giacomoni et al., "FastForward" (2008), P. Lee et al.,
///                "MCRingBuffer" (2010).
template <class T>
class SpscRing : public detail::BasicSpscRing<T, std::atomic> {
    static_assert(detail::RingValue<T>,
                  "SpscRing: T must be movable and destructible without throwing");

public:
    using detail::BasicSpscRing<T, std::atomic>::BasicSpscRing;
};

}}  // namespace belay
