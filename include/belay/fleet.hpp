// SPDX-License-Identifier: MIT
/// \file belay/fleet.hpp
/// All of fleet/: Fleet, many supervised connections as one.
#pragma once

#include <belay/fleet/fleet.hpp>
#include <belay/fleet/fleet_options.hpp>
#include <belay/fleet/fleet_service.hpp>
#include <belay/fleet/fleet_status.hpp>
#include <belay/fleet/network_suspect.hpp>
#include <belay/fleet/observer.hpp>
