// SPDX-License-Identifier: MIT
/// \file belay/queue.hpp
/// Includes the main headers of the component queue: Queue, overflow policies, codecs, lanes, and
/// the storages in memory.
///
/// The storages include those between threads. A check for your own storages is in
/// belay/queue/storage_check.hpp.
#pragma once

#include <belay/queue/codec_like.hpp>
#include <belay/queue/concurrent_rings.hpp>
#include <belay/queue/encoded.hpp>
#include <belay/queue/flush_every.hpp>
#include <belay/queue/overflows.hpp>
#include <belay/queue/priority.hpp>
#include <belay/queue/queue.hpp>
#include <belay/queue/queue_errc.hpp>
#include <belay/queue/storage_like.hpp>
#include <belay/queue/storages.hpp>
#include <belay/queue/weighed.hpp>
