// SPDX-License-Identifier: MIT
/// \file belay/breaker.hpp
/// Includes the component breaker except breaker_metrics.hpp and breaker_text.hpp: Breaker,
/// CircuitBreaker and their trip conditions. They decide when not to try at all.
#pragma once

#include <belay/breaker/breaker.hpp>
#include <belay/breaker/breaker_state.hpp>
#include <belay/breaker/circuit_breaker.hpp>
#include <belay/breaker/open_waits.hpp>
#include <belay/breaker/trips.hpp>
