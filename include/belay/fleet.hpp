// SPDX-License-Identifier: MIT
/// \file belay/fleet.hpp
/// Includes the component fleet except fleet_metrics.hpp and fleet_text.hpp. A Fleet manages many
/// supervised connections as one; a Pool leases several.
#pragma once

#include <belay/fleet/fleet.hpp>
#include <belay/fleet/fleet_options.hpp>
#include <belay/fleet/fleet_service.hpp>
#include <belay/fleet/fleet_status.hpp>
#include <belay/fleet/network_suspect.hpp>
#include <belay/fleet/observer.hpp>
#include <belay/fleet/pool.hpp>
#include <belay/fleet/pool_lease.hpp>
#include <belay/fleet/pool_status.hpp>
