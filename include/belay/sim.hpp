// SPDX-License-Identifier: MIT
/// \file belay/sim.hpp
/// Includes the main headers of the component sim, for tests in simulated time: hosts, network,
/// disks and transports.
#pragma once

#include <belay/sim/accepted.hpp>
#include <belay/sim/clock.hpp>
#include <belay/sim/crash_points.hpp>
#include <belay/sim/disk.hpp>
#include <belay/sim/fault.hpp>
#include <belay/sim/history.hpp>
#include <belay/sim/host.hpp>
#include <belay/sim/network.hpp>
#include <belay/sim/replay.hpp>
#include <belay/sim/report.hpp>
#include <belay/sim/scenario.hpp>
#include <belay/sim/stream.hpp>
#include <belay/sim/tcp.hpp>
#include <belay/sim/world.hpp>
