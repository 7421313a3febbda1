// SPDX-License-Identifier: MIT
/// \file belay/work.hpp
/// All of work/: WorkQueue: a durable work queue with leases, keys and dead letters over a journal.
/// Tools for damaged ones are in belay/work/work_inspect.hpp and work_salvage.hpp.
#pragma once

#include <belay/work/lease.hpp>
#include <belay/work/work_error.hpp>
#include <belay/work/work_options.hpp>
#include <belay/work/work_queue.hpp>
