// SPDX-License-Identifier: MIT
/// \file belay/link.hpp
/// Includes the main headers of the component link: Supervisor, which keeps a connection open, and
/// the transports that wrap other transports.
#pragma once

#include <belay/link/endpoints.hpp>
#include <belay/link/framings.hpp>
#include <belay/link/heartbeat.hpp>
#include <belay/link/heartbeat_options.hpp>
#include <belay/link/link.hpp>
#include <belay/link/link_errc.hpp>
#include <belay/link/link_log.hpp>
#include <belay/link/part.hpp>
#include <belay/link/served_link.hpp>
#include <belay/link/status.hpp>
#include <belay/link/supervisor.hpp>
#include <belay/link/supervisor_core.hpp>
#include <belay/link/transport_like.hpp>
#include <belay/link/validated.hpp>
#include <belay/link/with_token.hpp>
