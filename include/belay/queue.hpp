// SPDX-License-Identifier: MIT
/// \file belay/queue.hpp
/// Includes the main headers of the component queue: Queue, overflow policies, codecs, lanes, and
/// the storages in memory.
///
/// The storages include those between threads. A check for your own storages is in
/// belay/queue/storage_check.hpp.
#pragma once

#include <belay/queue/block.hpp>
#include <belay/queue/blocking_ring.hpp>
#include <belay/queue/codec_like.hpp>
#include <belay/queue/dead_letters.hpp>
#include <belay/queue/deque.hpp>
#include <belay/queue/drop_newest.hpp>
#include <belay/queue/drop_oldest.hpp>
#include <belay/queue/encoded.hpp>
#include <belay/queue/flush_every.hpp>
#include <belay/queue/flushable_like.hpp>
#include <belay/queue/leasable_like.hpp>
#include <belay/queue/mpmc_ring.hpp>
#include <belay/queue/oldest_age.hpp>
#include <belay/queue/overflow_like.hpp>
#include <belay/queue/priority.hpp>
#include <belay/queue/queue.hpp>
#include <belay/queue/queue_counters.hpp>
#include <belay/queue/queue_errc.hpp>
#include <belay/queue/queue_observer.hpp>
#include <belay/queue/ring.hpp>
#include <belay/queue/spsc_ring.hpp>
#include <belay/queue/storage_like.hpp>
#include <belay/queue/weighed.hpp>
