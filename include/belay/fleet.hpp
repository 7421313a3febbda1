// SPDX-License-Identifier: MIT
/// \file belay/fleet.hpp
/// Includes the component fleet except fleet_metrics.hpp and fleet_text.hpp. A Fleet manages many
/// supervised connections as one; a Pool leases several.
#pragma once

#include <belay/fleet/fleet.hpp>
#include <belay/fleet/fleet_options.hpp>
#include <belay/fleet/pool.hpp>
