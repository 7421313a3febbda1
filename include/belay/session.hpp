// SPDX-License-Identifier: MIT
/// \file belay/session.hpp
/// Includes the component session except ledger_check.hpp, session_metrics.hpp, session_text.hpp
/// and session_service.hpp. Session and Receiver deliver exactly once, in order, over any outages.
/// Outbox is a queue in front of any server.
#pragma once

#include <belay/session/ledger_like.hpp>
#include <belay/session/outbox.hpp>
#include <belay/session/receiver.hpp>
#include <belay/session/receiver_options.hpp>
#include <belay/session/session.hpp>
#include <belay/session/session_format.hpp>
