// SPDX-License-Identifier: MIT
/// \file belay/http/http_metrics.hpp
/// visit_metrics for HTTP calls.
#pragma once

#include <belay/http/http_calls.hpp>
#include <belay/metrics/metric.hpp>

namespace belay { inline namespace BELAY_ABI { namespace metrics {

/// Passes the counters of HTTP calls to `visitor(const Metric&)`; the part is "http_calls".
///
/// Complexity: O(1).   Throws: what the visitor throws.
template <class Visitor>
void visit_metrics(const HttpCallsCounters& counters, Visitor&& visitor) {
    using C = HttpCallsCounters;
    constexpr detail::Row<C> rows[] = {
        {"calls", &C::calls, "Calls that have begun."},
        {"succeeded", &C::succeeded, "Calls that ended with a status from 200 to 299."},
        {"failed", &C::failed, "Calls that ended with another response, or without one."},
        {"rejected", &C::rejected,
         "Calls that the breaker rejected or a stop ended, without a result."},
        {"dropped", &C::dropped, "Calls whose Task was destroyed before the end."},
        {"unanswered", &C::unanswered,
         "Dropped calls that had no response for so long that they are failures of their hosts."},
        {"requests", &C::requests, "Requests that were given to the client."},
        {"retries", &C::retries, "Requests that repeat a failed one."},
        {"hedges", &C::hedges, "Second requests while the first had no response."},
        {"shared", &C::shared, "Calls that joined an equal call."},
        {"not_repeated", &C::not_repeated, "Calls that failed, and could not be repeated."},
        {"over_budget", &C::over_budget, "Calls that failed, and had no budget for a retry."},
        {"hosts_evicted", &C::hosts_evicted,
         "Hosts whose budget and breaker were removed for another host."},
        {"hosts_overflow", &C::hosts_overflow,
         "Calls whose host got no budget and breaker of its own."}};
    detail::visit_rows({.part = "http_calls"}, counters, rows, visitor);
    detail::visit_gauge("http_calls", "hosts", "Hosts that have a budget and a breaker now.",
                        counters.hosts, visitor);
}

/// Passes the counters of an HttpCalls, and how many hosts have a breaker in each state; the part
/// is "http_calls".
///
/// Complexity:    O(HttpCallsOptions::hosts_max).
/// Thread safety: the thread of its sleeper.
template <class Http, class Sleeper, class Observer, class Visitor>
void visit_metrics(const HttpCalls<Http, Sleeper, Observer>& calls, Visitor&& visitor) {
    visit_metrics(calls.counters(), visitor);
    for (const auto state : {BreakerState::closed, BreakerState::open, BreakerState::half_open}) {
        visitor(Metric{.part = "http_calls",
                       .name = "breakers",
                       .help = "Hosts whose breaker is in this state now.",
                       .kind = Metric::Kind::gauge,
                       .value = calls.breakers(state),
                       .key = "state",
                       .label = to_string(state)});
    }
}

}}}  // namespace belay::metrics
