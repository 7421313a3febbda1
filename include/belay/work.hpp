// SPDX-License-Identifier: MIT
/// \file belay/work.hpp
/// Includes the main headers of the component work: WorkQueue, a durable work queue over a journal,
/// with leases, keys and dead letters.
///
/// Tools for damaged work queues are in belay/work/work_inspect.hpp and work_salvage.hpp.
#pragma once

#include <belay/work/lease.hpp>
#include <belay/work/work_options.hpp>
#include <belay/work/work_queue.hpp>
