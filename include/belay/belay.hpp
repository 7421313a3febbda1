// SPDX-License-Identifier: MIT
/// \file belay/belay.hpp
/// What most programs use of belay: policies, calls, queues in memory, supervised connections.
///
/// What is more is asked for, and paid for, by its folder: belay/journal.hpp (durable queues),
/// belay/work.hpp (leases, dead letters), belay/session.hpp (exactly once), belay/drive.hpp (loops
/// and sleepers), belay/call_coroutines.hpp, belay/posix.hpp (sockets and files), belay/sim.hpp
/// (the simulated world), belay/adapter/ (other libraries).
#pragma once

#include <belay/backoff.hpp>
#include <belay/breaker.hpp>
#include <belay/budget.hpp>
#include <belay/call.hpp>
#include <belay/core.hpp>
#include <belay/link.hpp>
#include <belay/policy.hpp>
#include <belay/queue.hpp>
#include <belay/version.hpp>
