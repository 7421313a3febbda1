// SPDX-License-Identifier: MIT
/// \file belay/budget.hpp
/// Includes the component budget except cubic_rate.hpp and budget_metrics.hpp: retry budgets and
/// adaptive limits. They decide how many attempts may be made.
#pragma once

#include <belay/budget/adaptive_limit.hpp>
#include <belay/budget/adaptive_throttle.hpp>
#include <belay/budget/budgets.hpp>
