// SPDX-License-Identifier: MIT
/// \file belay/policy.hpp
/// Includes the main headers of the component policy: rules that decide when to try again, and the
/// Policy that combines them.
///
/// Backoff is in belay/backoff.hpp, breakers are in belay/breaker.hpp, budgets in belay/budget.hpp.
#pragma once

#include <belay/policy/attempt_timeout.hpp>
#include <belay/policy/cooldown_on.hpp>
#include <belay/policy/deadline.hpp>
#include <belay/policy/max_attempts.hpp>
#include <belay/policy/max_elapsed.hpp>
#include <belay/policy/policy.hpp>
#include <belay/policy/policy_history.hpp>
#include <belay/policy/remembered.hpp>
#include <belay/policy/reset_when_stable.hpp>
#include <belay/policy/restart_intensity.hpp>
#include <belay/policy/rule.hpp>
#include <belay/policy/shareable_like.hpp>
#include <belay/policy/shared.hpp>
#include <belay/policy/spread_hint.hpp>
#include <belay/policy/stop_on.hpp>
