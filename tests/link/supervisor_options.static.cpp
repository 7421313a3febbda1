// SPDX-License-Identifier: MIT
// Goal: the defaults are the documented ones.
#include <belay/link/supervisor_core.hpp>

using namespace belay;
using namespace std::chrono_literals;

static_assert(SupervisorOptions{}.messages_max == 1024);
static_assert(SupervisorOptions{}.events_per_turn_max == 64);
static_assert(SupervisorOptions{}.linger_max == 2s);
static_assert(SupervisorOptions{}.core.start_within == 0s);
static_assert(SupervisorOptions{}.core.spread_within == 1s);
static_assert(!Reconnect{}.granted && Reconnect{}.until == never);
