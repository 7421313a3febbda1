// SPDX-License-Identifier: MIT
/// \file belay/link.hpp
/// Includes the main headers of the component link: Supervisor, which keeps a connection open, and
/// the transports that wrap other transports.
#pragma once

#include <belay/link/close_code.hpp>
#include <belay/link/connection_like.hpp>
#include <belay/link/endpoints.hpp>
#include <belay/link/event.hpp>
#include <belay/link/framing_like.hpp>
#include <belay/link/heartbeat.hpp>
#include <belay/link/heartbeat_options.hpp>
#include <belay/link/length_prefixed.hpp>
#include <belay/link/lines.hpp>
#include <belay/link/link.hpp>
#include <belay/link/link_errc.hpp>
#include <belay/link/link_handle.hpp>
#include <belay/link/link_log.hpp>
#include <belay/link/observer.hpp>
#include <belay/link/part.hpp>
#include <belay/link/served_link.hpp>
#include <belay/link/status.hpp>
#include <belay/link/supervisor.hpp>
#include <belay/link/supervisor_core.hpp>
#include <belay/link/supervisor_core_options.hpp>
#include <belay/link/supervisor_options.hpp>
#include <belay/link/timeline.hpp>
#include <belay/link/transport_like.hpp>
#include <belay/link/validated.hpp>
#include <belay/link/with_token.hpp>
