// SPDX-License-Identifier: MIT
/// \file belay/budget/budget_metrics.hpp
/// visit_metrics for budgets and limits; At: one of them at an instant.
#pragma once

#include <belay/budget/adaptive_limit.hpp>
#include <belay/budget/adaptive_throttle.hpp>
#include <belay/budget/budgets.hpp>
#include <belay/budget/cubic_rate.hpp>
#include <belay/metrics/metric.hpp>

namespace belay { inline namespace BELAY_ABI { namespace metrics {

/// A part whose numbers depend on the time, with the time for which they are asked.
///
///     page.add("payments", metrics::At{budget, clock.now()});
///
/// Thread safety: that of the part, to which it refers.
template <class Part>
struct At {
    /// The part that is shown.
    const Part& part;
    /// The time at which it is shown.
    Instant now;
};
template <class Part>
At(const Part&, Instant) -> At<Part>;

/// Passes the tokens of a budget to `visitor(const Metric&)`; the part is "token_budget".
///
/// Thread safety: any thread.
/// Complexity: O(1).   Throws: what the visitor throws.
template <class Visitor>
void visit_metrics(const TokenBudget& budget, Visitor&& visitor) {
    detail::visit_gauge("token_budget", "tokens", "Tokens that are left.", budget.tokens_milli(),
                        visitor, 1000);
    detail::visit_gauge("token_budget", "capacity", "The most tokens there can be.",
                        budget.options().capacity_milli, visitor, 1000);
}

/// Passes how many retries a budget has left; the part is "ratio_budget".
///
/// Thread safety: any thread.
template <class Visitor>
void visit_metrics(const At<RatioBudget>& budget, Visitor&& visitor) {
    detail::visit_gauge("ratio_budget", "left", "Retries that could be planned now.",
                        budget.part.left(budget.now), visitor);
}

/// Passes the share of attempts that a throttle would reject; the part is "throttle".
///
/// Thread safety: any thread.
template <class Visitor>
void visit_metrics(const At<AdaptiveThrottle>& throttle, Visitor&& visitor) {
    detail::visit_gauge("throttle", "rejected_ratio",
                        "The share of attempts that would be rejected now, from 0 to 1.",
                        throttle.part.rejected_per_thousand(throttle.now), visitor, 1000);
}

/// Passes the rate of a CubicRate, 0 while nothing is limited; the part is "cubic_rate".
///
/// Thread safety: any thread.
template <class Visitor>
void visit_metrics(const AdaptiveThrottle::CubicRate& rate, Visitor&& visitor) {
    detail::visit_gauge("cubic_rate", "rate", "Attempts that may begin in a second; 0 if all may.",
                        rate.rate_milli(), visitor, 1000);
}

/// Passes the limit and the attempts under way of an AdaptiveLimit; the part is "adaptive_limit".
///
/// Thread safety: any thread.
template <class Algorithm, class Visitor>
void visit_metrics(const AdaptiveLimit<Algorithm>& limit, Visitor&& visitor) {
    detail::visit_gauge("adaptive_limit", "limit", "Attempts that may be under way at once.",
                        limit.limit(), visitor);
    detail::visit_gauge("adaptive_limit", "in_flight", "Attempts under way.", limit.in_flight(),
                        visitor);
}

}}}  // namespace belay::metrics
