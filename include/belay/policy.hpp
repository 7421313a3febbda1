// SPDX-License-Identifier: MIT
/// \file belay/policy.hpp
/// Includes the main headers of the component policy: rules that decide when to try again, and the
/// Policy that combines them.
///
/// Backoff is in belay/backoff.hpp, breakers are in belay/breaker.hpp, budgets in belay/budget.hpp.
#pragma once

#include <belay/policy/policy.hpp>
#include <belay/policy/remembered.hpp>
#include <belay/policy/rule.hpp>
#include <belay/policy/rules.hpp>
#include <belay/policy/shared.hpp>
