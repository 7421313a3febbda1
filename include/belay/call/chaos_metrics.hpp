// SPDX-License-Identifier: MIT
/// \file belay/call/chaos_metrics.hpp
/// visit_metrics for faults that are injected on purpose.
#pragma once

#include <cstdint>  // std::uint64_t

#include <belay/call/chaos.hpp>
#include <belay/metrics/metric.hpp>

namespace belay { inline namespace BELAY_ABI { namespace metrics {

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
    visitor(Metric{.part = "chaos",
                   .name = "on",
                   .help = "1 while faults are injected.",
                   .kind = Metric::Kind::gauge,
                   .value = faults.is_on() ? std::uint64_t{1} : 0});
    visit_metrics(faults.counters(), visitor);
}

}}}  // namespace belay::metrics
