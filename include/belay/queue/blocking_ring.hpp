// SPDX-License-Identifier: MIT
/// \file belay/queue/blocking_ring.hpp
/// BlockingRing: a ring between threads whose sides can wait for each other.
#pragma once

#include <atomic>   // std::atomic
#include <cstddef>  // std::size_t

#include <belay/queue/detail/basic_blocking_ring.hpp>
#include <belay/queue/storage_like.hpp>

namespace belay { inline namespace BELAY_ABI {

/// How a BlockingRing waits.
struct BlockingRingOptions {
    /// How often a thread looks again before it sleeps. Few, since on a machine of two cores the
    /// thread that it waits for may need this very core.
    unsigned spins = 64;
};

/// A SpscRing, MpscRing or MpmcRing on which a thread can wait: for space, and for values.
///
/// Each change costs one atomic operation more than on the ring alone, and a system call if a
/// thread sleeps; all that sleep on one side wake up then. `close` ends all waits, for an orderly
/// shutdown: what was pushed before can still be taken.
///
/// Members:       push_wait(value), pop_wait(), pop_some_wait(span), try_push(value),
///                push_some(span), try_pop(), pop_some(span), close(), closed(), size(),
///                capacity(); see detail/basic_blocking_ring.hpp.
/// Thread safety: that of the ring; any thread calls close and closed.
/// Progress:      that of the ring, but for what is called `wait`, which blocks.
/// Complexity:    that of the ring.
template <class Ring>
class BlockingRing : public detail::BasicBlockingRing<Ring, std::atomic> {
    using Base = detail::BasicBlockingRing<Ring, std::atomic>;

public:
    /// Pre: 0 < capacity <= 2^48.   Throws: std::bad_alloc.
    explicit BlockingRing(std::size_t capacity, BlockingRingOptions options = {})
        : Base{capacity, options.spins} {}
};

}}  // namespace belay
