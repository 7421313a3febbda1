// SPDX-License-Identifier: MIT
/// \file belay/call/call_metrics.hpp
/// visit_metrics for retries, rate limiters, bulkheads, and faults that are injected on purpose.
#pragma once

#include <cstdint>  // std::uint64_t

#include <belay/call/chaos.hpp>
#include <belay/call/limiters.hpp>
#include <belay/call/retry_observer.hpp>
#include <belay/metrics/metric.hpp>

namespace belay { inline namespace BELAY_ABI { namespace metrics {

/// Passes the counters of retries to `visitor(const Metric&)`; the part is "retry".
///
/// Thread safety: that of the counters: one thread at a time.
/// Complexity: O(1).   Throws: what the visitor throws.
template <class Visitor>
void visit_metrics(const RetryCounters& counters, Visitor&& visitor) {
    constexpr detail::Row<RetryCounters> rows[] = {
        {"attempts", &RetryCounters::attempts, "Calls that were made."},
        {"retries", &RetryCounters::retries, "Calls that were not the first of their run."},
        {"successes", &RetryCounters::successes, "Runs that ended with a success."},
        {"rejected", &RetryCounters::rejections, "Times that a rule rejected an attempt."},
        {"give_ups", &RetryCounters::give_ups, "Runs that ended without a success."}};
    detail::visit_rows({.part = "retry"}, counters, rows, visitor);
    visitor(Metric{.part = "retry",
                   .name = "wait_seconds",
                   .help = "The sum of all waits, as they were planned.",
                   .value = detail::ticks(counters.waited),
                   .per_unit = Metric::nanoseconds});
}

namespace detail {

template <class Visitor>
void visit_permits(const char* part, const PermitCounters& counters, Visitor& visitor) {
    constexpr Row<PermitCounters> rows[] = {
        {"admitted", &PermitCounters::admitted, "Callers that got what they requested."},
        {"rejected", &PermitCounters::rejected, "Callers that were rejected."},
        {"queued", &PermitCounters::waited, "Callers that entered the queue."},
        {"left_queue", &PermitCounters::left, "Callers that left the queue without a permit."}};
    visit_rows({.part = part}, counters, rows, visitor);
}
template <class Visitor>
void visit_waiting(const char* part, std::uint64_t waiting, Visitor& visitor) {
    detail::visit_gauge(part, "waiting", "Callers that are in the queue.", waiting, visitor);
}

}  // namespace detail

/// Passes the counters of a RateLimiter or a Bulkhead; the part is "permits".
template <class Visitor>
void visit_metrics(const PermitCounters& counters, Visitor&& visitor) {
    detail::visit_permits("permits", counters, visitor);
}

/// Passes the counters of a rate limiter, and the length of its queue; the part is "rate_limiter".
///
/// Thread safety: any thread.
template <class Visitor>
void visit_metrics(const RateLimiter& limiter, Visitor&& visitor) {
    detail::visit_permits("rate_limiter", limiter.counters(), visitor);
    detail::visit_waiting("rate_limiter", limiter.waiting(), visitor);
}

/// Passes the counters of a bulkhead, the calls under way, and the length of its queue; the part is
/// "bulkhead".
///
/// Thread safety: any thread.
template <class Visitor>
void visit_metrics(const Bulkhead& bulkhead, Visitor&& visitor) {
    detail::visit_permits("bulkhead", bulkhead.counters(), visitor);
    detail::visit_gauge("bulkhead", "running", "Calls under way.", bulkhead.running(), visitor);
    detail::visit_waiting("bulkhead", bulkhead.waiting(), visitor);
}

/// Passes the counts of injected faults to `visitor(const Metric&)`; the part is "chaos".
///
/// Complexity: O(1).   Throws: what the visitor throws.
template <class Visitor>
void visit_metrics(const chaos::Counters& counters, Visitor&& visitor) {
    constexpr detail::Row<chaos::Counters> rows[] = {
        {"delays", &chaos::Counters::delays, "Calls that were delayed on purpose."},
        {"failures", &chaos::Counters::failures, "Calls that failed on purpose."},
        {"results", &chaos::Counters::results, "Calls that were answered on purpose."}};
    detail::visit_rows({.part = "chaos"}, counters, rows, visitor);
}

/// Passes the counts of injected faults, and whether faults are on.   Thread safety: any thread.
template <class Visitor>
void visit_metrics(const chaos::Faults& faults, Visitor&& visitor) {
    detail::visit_gauge("chaos", "on", "1 while faults are injected.", faults.is_on() ? 1U : 0U,
                        visitor);
    visit_metrics(faults.counters(), visitor);
}

}}}  // namespace belay::metrics
