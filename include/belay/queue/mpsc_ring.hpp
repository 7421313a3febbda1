// SPDX-License-Identifier: MIT
/// \file belay/queue/mpsc_ring.hpp
/// MpscRing: a bounded queue from any number of threads to one.
#pragma once

#include <atomic>  // std::atomic

#include <belay/queue/detail/basic_mpsc_ring.hpp>
#include <belay/queue/leasable_like.hpp>

namespace belay { inline namespace BELAY_ABI {

/// A first-in, first-out queue of at most `capacity` values, which any number of threads push
/// (producers) and one takes (the consumer).
///
/// It allocates nothing after construction, and values never move while they are in it. A value is
/// behind those whose push was over before its own began; a batch lies in one piece. A producer
/// that is stopped in the middle of a push hides its value and those behind it until it goes on
/// (try_pop answers nothing then).
///
/// Members:       MpscRing(capacity), try_push(value), push_some(span), try_pop(), pop_some(span),
///                front(), ack(), nack(), size(), capacity(); see detail/basic_mpsc_ring.hpp.
/// Models:        LeasableLike. One that was moved from may only be destroyed or assigned to.
/// Thread safety: any thread calls try_push, push_some, size and capacity; one consumer try_pop,
///                pop_some, front, ack and nack. Nobody else uses it while it is made, moved or
///                destroyed.
/// Progress:      the consumer is wait-free; a push repeats only because another push went through.
/// Complexity:    O(1) each, without contention; batches O(values).
/// Source:        detail/numbered_slots.hpp.
template <class T>
class MpscRing : public detail::BasicMpscRing<T, std::atomic> {
    static_assert(detail::RingValue<T>,
                  "MpscRing: T must be movable and destructible without throwing");

public:
    using detail::BasicMpscRing<T, std::atomic>::BasicMpscRing;
};

}}  // namespace belay
