// SPDX-License-Identifier: MIT
/// \file belay/link/requests_metrics.hpp
/// visit_metrics for questions over a link.
#pragma once

#include <belay/link/requests.hpp>
#include <belay/link/supervisor_metrics.hpp>
#include <belay/metrics/metric.hpp>

namespace belay { inline namespace BELAY_ABI { namespace metrics {

/// Passes the numbers of a Requests to `visitor(const Metric&)`; the part is "requests".
///
/// Thread safety: a plain value.
/// Complexity: O(1).   Throws: what the visitor throws.
template <class Visitor>
void visit_metrics(const RequestsStatus& status, Visitor&& visitor) {
    detail::visit_link("requests", status.link, visitor);
    detail::visit_rows({.part = "requests", .kind = Metric::Kind::gauge}, status,
                       belay::detail::requests_gauges, visitor);
    detail::visit_rows({.part = "requests"}, status, belay::detail::requests_counters, visitor);
}

/// Passes the numbers of a Requests.   Thread safety: home thread.
template <class Transport, class Policy, class Codec, class Observer, class Visitor>
void visit_metrics(const Requests<Transport, Policy, Codec, Observer>& requests,
                   Visitor&& visitor) {
    visit_metrics(requests.status(), visitor);
}

}}}  // namespace belay::metrics
