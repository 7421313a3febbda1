// SPDX-License-Identifier: MIT
/// \file belay/beast/listener_metrics.hpp
/// visit_metrics for a beast::Listener.
#pragma once

#include <belay/beast/listener_options.hpp>
#include <belay/metrics/metric.hpp>

namespace belay { inline namespace BELAY_ABI { namespace metrics {

/// Passes the counters of a beast::Listener to `visitor(const Metric&)`; the part is "listener".
///
/// The counter `reasons` has one sample for each beast::RejectedUpgrade::Reason.
/// Complexity: O(1).   Throws: what the visitor throws.
template <class Visitor>
void visit_metrics(const beast::ListenerCounters& counters, Visitor&& visitor) {
    using C = beast::ListenerCounters;
    constexpr detail::Row<C> rows[] = {
        {"accepted", &C::accepted, "TCP connections that were accepted."},
        {"upgraded", &C::upgraded, "Connections that have become WebSockets."},
        {"upgrades_aborted", &C::upgrades_aborted,
         "Connections that the peer gave up before the upgrade."},
        {"pages", &C::pages, "Requests without an upgrade that got a page."},
        {"rejected", &C::rejected, "Connections that the listener or the user rejected."},
        {"turned_away", &C::turned_away, "Connections closed without reading."},
        {"given_up", &C::given_up, "Silent connections closed to make space for another one."}};
    detail::visit_rows({.part = "listener"}, counters, rows, visitor);
    using Reasons = C::Reasons;
    for (std::size_t i = 0; i < Reasons::count; ++i) {
        const auto why = static_cast<Reasons::Reason>(i);
        visitor(Metric{.part = "listener",
                       .name = "reasons",
                       .help = "Connections that did not become WebSockets, by their reason.",
                       .value = counters.reasons.of(why),
                       .key = "reason",
                       .label = to_string(why)});
    }
    detail::visit_times({.part = "listener",
                         .name = "upgrade_seconds",
                         .help = "From the accept of a connection to the answer of its upgrade."},
                        counters.upgrades, visitor);
}

}}}  // namespace belay::metrics
