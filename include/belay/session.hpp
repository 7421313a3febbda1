// SPDX-License-Identifier: MIT
/// \file belay/session.hpp
/// Includes the component session except ledger_check.hpp, ledger_rule.hpp, session_metrics.hpp,
/// session_text.hpp and session_service.hpp. Session and Receiver deliver exactly once, in order,
/// over any outages.
/// Outbox is a queue in front of any server.
#pragma once

#include <belay/session/blocked.hpp>
#include <belay/session/frame.hpp>
#include <belay/session/greeting.hpp>
#include <belay/session/ledger_like.hpp>
#include <belay/session/outbox.hpp>
#include <belay/session/outbox_observer.hpp>
#include <belay/session/outbox_options.hpp>
#include <belay/session/receiver.hpp>
#include <belay/session/receiver_observer.hpp>
#include <belay/session/receiver_options.hpp>
#include <belay/session/session.hpp>
#include <belay/session/session_errc.hpp>
#include <belay/session/session_observer.hpp>
#include <belay/session/session_options.hpp>
#include <belay/session/session_queue.hpp>
