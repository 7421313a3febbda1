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
    constexpr detail::Row<RequestsStatus> gauges[] = {
        {"waiting", &RequestsStatus::waiting, "Questions that wait to be sent."},
        {"in_flight", &RequestsStatus::in_flight, "Questions that count towards the limit."}};
    constexpr detail::Row<RequestsStatus> counters[] = {
        {"asked", &RequestsStatus::asked, "Questions that were accepted."},
        {"answered", &RequestsStatus::answered, "Questions that were completed with an answer."},
        {"timed_out", &RequestsStatus::timed_out, "Questions whose deadline passed."},
        {"lost", &RequestsStatus::lost, "Questions that failed because of the connection."},
        {"cancelled", &RequestsStatus::cancelled, "Questions that this side ended."},
        {"sent_again", &RequestsStatus::sent_again, "Questions sent on another connection."},
        {"unmatched", &RequestsStatus::unmatched, "Answers to no open question."}};
    detail::visit_rows({.part = "requests", .kind = Metric::Kind::gauge}, status, gauges, visitor);
    detail::visit_rows({.part = "requests"}, status, counters, visitor);
}

/// Passes the numbers of a Requests.   Thread safety: home thread.
template <class Transport, class Policy, class Codec, class Observer, class Visitor>
void visit_metrics(const Requests<Transport, Policy, Codec, Observer>& requests,
                   Visitor&& visitor) {
    visit_metrics(requests.status(), visitor);
}

}}}  // namespace belay::metrics
