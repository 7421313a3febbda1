// SPDX-License-Identifier: MIT
/// \file belay/belay.hpp
/// Includes what most programs use of belay: policies, calls, queues in memory and supervised
/// connections.
///
/// Include the other components by name, so that you pay compile time only for those that you use:
/// - belay/journal.hpp: durable queues
/// - belay/work.hpp: leases and dead letters
/// - belay/session.hpp: exactly-once delivery
/// - belay/drive.hpp: loops and sleepers
/// - belay/call_coroutines.hpp: calls as coroutines
/// - belay/posix.hpp: sockets and files
/// - belay/sim.hpp: the simulated world
/// - belay/fleet.hpp, belay/http.hpp, belay/sync.hpp and belay/room.hpp
/// - the bindings to other libraries, such as belay/sqlite/
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
