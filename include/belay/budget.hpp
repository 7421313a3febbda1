// SPDX-License-Identifier: MIT
/// \file belay/budget.hpp
/// All of budget/: how much may be tried: budgets of retries, and limits that adapt.
#pragma once

#include <belay/budget/adaptive_limit.hpp>
#include <belay/budget/adaptive_throttle.hpp>
#include <belay/budget/aimd.hpp>
#include <belay/budget/gradient.hpp>
#include <belay/budget/ratio_budget.hpp>
#include <belay/budget/token_budget.hpp>
