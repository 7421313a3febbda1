// SPDX-License-Identifier: MIT
// Goal: the options of a core have the defaults that the reference shows.
#include <belay/link/supervisor_core.hpp>

#include <concepts>

using namespace belay;
using namespace std::chrono_literals;

static_assert(std::regular<Duration> && timeline::SupervisorCoreOptions{}.start_within == 0s);
static_assert(timeline::SupervisorCoreOptions{}.spread_within == 1s);
static_assert(timeline::SupervisorCoreOptions{}.retry_after_max == 1h);
static_assert(!timeline::SupervisorCoreOptions{}.recycle);
