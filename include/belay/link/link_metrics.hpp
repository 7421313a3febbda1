// SPDX-License-Identifier: MIT
/// \file belay/link/link_metrics.hpp
/// LinkMetrics: an observer that counts; to_prometheus: writes the text that Prometheus scrapes.
#pragma once

#include <array>    // std::array
#include <cstddef>  // std::size_t
#include <cstdint>  // std::uint64_t
#include <span>     // std::span
#include <string>   // std::string
#include <utility>  // std::move

#include <belay/core/bytes.hpp>
#include <belay/link/status.hpp>
#include <belay/metrics/page.hpp>

namespace belay { inline namespace BELAY_ABI {

/// An observer that counts the events of a supervised connection.
///
/// It also measures how long outages last, and how long the answers to pings take. Nothing in it
/// grows.
///
/// An outage begins when a connection is lost, closed as planned, or opened anew by a command. It
/// ends with the next connection. Outages while a gate is shut, and after stop(), are not counted,
/// because no connection is wanted then.
///
/// Models:        an observer of Supervisor.
/// Thread safety: home thread of the supervisor, so post a scrape to its loop.
/// Allocates:     never, except for its name.
class LinkMetrics {
public:
    /// Counts durations in buckets. Count `i` is of the durations that are above bound `i - 1` and
    /// at most bound `i`. The last count is of the durations above the last bound.
    struct Histogram {
        /// The number of upper bounds.
        static constexpr std::size_t bounds = 12;
        /// How many values each bucket has.
        std::array<std::uint64_t, bounds + 1> counts{};
        /// The sum of all values.
        Duration sum{};
    };
    struct Counters {
        /// Dials that began.
        std::uint64_t attempts = 0;
        /// Dials that led to a connection.
        std::uint64_t connections = 0;
        /// Connections that ended although they were wanted; planned closes do not count.
        std::uint64_t losses = 0;
        /// Attempts and connections that this side ended in order to dial again: by
        /// reconnect_now(), new credentials or a fleet. Gates and stops do not count.
        std::uint64_t withdrawn = 0;
        /// Failed attempts and ended connections, by Cause.
        std::array<std::uint64_t, 11> failures{};
        /// Pings that the policy of the peer may reject.
        std::uint64_t policy_conflicts = 0;
        /// How long outages took that have ended.
        Histogram outages{};
        /// How long the answers to pings took.
        Histogram round_trips{};
    };

    /// The bounds of the histogram of outages.
    static constexpr std::array<Duration, Histogram::bounds> outage_bounds{
        std::chrono::milliseconds{100}, std::chrono::seconds{1},  std::chrono::seconds{3},
        std::chrono::seconds{10},       std::chrono::seconds{30}, std::chrono::minutes{1},
        std::chrono::minutes{2},        std::chrono::minutes{5},  std::chrono::minutes{10},
        std::chrono::minutes{30},       std::chrono::hours{1},    std::chrono::hours{6}};
    /// The bounds of the histogram of round trips.
    static constexpr std::array<Duration, Histogram::bounds> round_trip_bounds{
        std::chrono::milliseconds{1},   std::chrono::milliseconds{3},
        std::chrono::milliseconds{10},  std::chrono::milliseconds{30},
        std::chrono::milliseconds{60},  std::chrono::milliseconds{100},
        std::chrono::milliseconds{200}, std::chrono::milliseconds{400},
        std::chrono::seconds{1},        std::chrono::seconds{3},
        std::chrono::seconds{10},       std::chrono::seconds{30}};

    /// `name` identifies this connection; it is the value of the label `link`.
    explicit LinkMetrics(std::string name) : name_{std::move(name)} {}

    void on_state(const Transition& change) noexcept {
        const LinkStatus& s = change.to;
        const bool waited = s.state == LinkState::cooldown || s.state == LinkState::suspended;
        const bool tried =
            change.from == LinkState::connecting || change.from == LinkState::connected;
        const bool ended = waited || s.state == LinkState::blocked_auth ||
                           s.state == LinkState::failed || s.state == LinkState::connecting;
        if (tried && ended) {
            if (s.withdrawn) {
                ++counters_.withdrawn;
            } else {
                ++counters_.failures[static_cast<std::size_t>(s.failure.cause)];
            }
            if (change.from == LinkState::connected) {
                if (!s.withdrawn && s.failure.cause != Cause::planned) ++counters_.losses;
                down_since_ = s.since;
            }
        }
        if (s.state == LinkState::connecting) ++counters_.attempts;
        if (s.state == LinkState::connected) {
            ++counters_.connections;
            if (down_since_ != never) {
                add(counters_.outages, elapsed(down_since_, s.since), outage_bounds);
            }
        }
        if (!ended) down_since_ = never;
        state_ = s.state;
    }
    void on_round_trip(Duration d, Lane) noexcept {
        add(counters_.round_trips, d, round_trip_bounds);
    }
    void on_policy_conflict(Duration, Lane) noexcept { ++counters_.policy_conflicts; }

    [[nodiscard]] const std::string& name() const noexcept { return name_; }
    /// Returns the state of the link.
    [[nodiscard]] LinkState state() const noexcept { return state_; }
    /// Returns the counts since the beginning.
    [[nodiscard]] const Counters& counters() const noexcept { return counters_; }

private:
    static void add(Histogram& h, Duration d,
                    const std::array<Duration, Histogram::bounds>& bounds) noexcept {
        std::size_t i = 0;
        while (i < bounds.size() && d > bounds[i]) ++i;
        ++h.counts[i];
        h.sum = part::saturating_add(h.sum, d);
    }

    std::string name_;
    Counters counters_{};
    LinkState state_ = LinkState::stopped;
    Instant down_since_ = never;
};

namespace metrics {

/// Passes the counters of one connection to `visitor(const Metric&)`; the part is "link".
///
/// Use it for a copy of the counters that the home thread has posted.
///
/// Thread safety: a plain value.
/// Complexity: O(1).   Throws: what the visitor throws.
template <class Visitor>
void visit_metrics(const LinkMetrics::Counters& counters, Visitor&& visitor) {
    using Counters = LinkMetrics::Counters;
    constexpr detail::Row<Counters> rows[] = {
        {"attempts", &Counters::attempts, "Attempts to connect."},
        {"connections", &Counters::connections, "Attempts that succeeded."},
        {"losses", &Counters::losses, "Connections that were lost."},
        {"withdrawn", &Counters::withdrawn,
         "Attempts and connections that this side ended in order to dial again."},
        {"policy_conflicts", &Counters::policy_conflicts,
         "Wishes of the peer that beat the own bounds."}};
    detail::visit_rows({.part = "link"}, counters, rows, visitor);
    for (std::size_t i = 1; i < counters.failures.size(); ++i) {
        visitor(Metric{.part = "link",
                       .name = "failures",
                       .help = "Failed attempts and ended connections.",
                       .value = counters.failures[i],
                       .key = "cause",
                       .label = to_string(static_cast<Cause>(i))});
    }
    const auto histogram = [&visitor](const char* name, const char* help,
                                      const LinkMetrics::Histogram& h, const auto& bounds) {
        visitor(Metric{.part = "link",
                       .name = name,
                       .help = help,
                       .kind = Metric::Kind::histogram,
                       .value = detail::ticks(h.sum),
                       .per_unit = Metric::nanoseconds,
                       .bounds = bounds,
                       .counts = h.counts});
    };
    histogram("outage_seconds", "From one connection to the next.", counters.outages,
              LinkMetrics::outage_bounds);
    histogram("round_trip_seconds", "From a ping to its answer.", counters.round_trips,
              LinkMetrics::round_trip_bounds);
}

/// Passes the state of one connection, and its counters.
///
/// Thread safety: home thread of the supervisor.
template <class Visitor>
void visit_metrics(const LinkMetrics& link, Visitor&& visitor) {
    detail::visit_states({.part = "link",
                          .name = "state",
                          .help = "1 for the state that the link is in.",
                          .key = "state"},
                         link.state(), belay::detail::link_states, visitor);
    visit_metrics(link.counters(), visitor);
}

}  // namespace metrics

/// Appends the metrics of several links in the text format that Prometheus scrapes.
///
/// This is version 0.0.4 of the format, which OpenMetrics collectors read too. Pass all links in
/// one call, because a family of metrics may appear only once. For links and other parts on one
/// page, see metrics::Page. Only the first link of a name appears. The gauge
/// `belay_metrics_dropped_parts` counts the others.
///
/// Complexity: O(links * log links).   Throws: std::bad_alloc.
/// Source:     prometheus.io/docs/instrumenting/exposition_formats.
inline void to_prometheus(std::string& out, std::span<const LinkMetrics* const> links) {
    metrics::Page page{{.samples_max = no_limit, .name_bytes_max = no_limit}};
    for (const LinkMetrics* const link : links) page.add(link->name(), *link);
    to_prometheus(out, page);
}
/// Appends the metrics of one link in the same format.
inline void to_prometheus(std::string& out, const LinkMetrics& link) {
    const LinkMetrics* const one = &link;
    to_prometheus(out, std::span{&one, 1});
}

}}  // namespace belay
