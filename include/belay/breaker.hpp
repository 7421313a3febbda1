// SPDX-License-Identifier: MIT
/// \file belay/breaker.hpp
/// Includes the component breaker except breaker_metrics.hpp and breaker_text.hpp: Breaker,
/// CircuitBreaker and their trip conditions. They decide when not to try at all.
#pragma once

#include <belay/breaker/any_trip.hpp>
#include <belay/breaker/breaker.hpp>
#include <belay/breaker/breaker_event.hpp>
#include <belay/breaker/breaker_state.hpp>
#include <belay/breaker/circuit_breaker.hpp>
#include <belay/breaker/consecutive_failures.hpp>
#include <belay/breaker/count_only.hpp>
#include <belay/breaker/count_window.hpp>
#include <belay/breaker/failure_rate.hpp>
#include <belay/breaker/open_as_asked.hpp>
#include <belay/breaker/open_for.hpp>
#include <belay/breaker/open_wait_like.hpp>
#include <belay/breaker/slow_call_rate.hpp>
#include <belay/breaker/trip_like.hpp>
#include <belay/breaker/trip_when.hpp>
