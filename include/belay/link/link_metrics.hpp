// SPDX-License-Identifier: MIT
/// \file belay/link/link_metrics.hpp
/// LinkMetrics: an observer that counts; to_prometheus: writes the text that Prometheus scrapes.
#pragma once

#include <array>        // std::array
#include <cstddef>      // std::size_t
#include <cstdint>      // std::uint64_t
#include <span>         // std::span
#include <string>       // std::string, std::to_string
#include <string_view>  // std::string_view
#include <utility>      // std::move

#include <belay/link/event.hpp>
#include <belay/link/status.hpp>

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
/// Thread safety: home thread of the supervisor, so post a scrape to its loop.
/// Allocates:     never, except for its name.
class LinkMetrics {
public:
    /// Counts durations in buckets. Count `i` is of the durations that are above bound `i - 1` and
    /// at most bound `i`. The last count is of the durations above the last bound.
    struct Histogram {
        static constexpr std::size_t bounds = 12;
        std::array<std::uint64_t, bounds + 1> counts{};
        Duration sum{};
    };
    struct Counters {
        std::uint64_t attempts = 0;
        std::uint64_t connections = 0;
        /// Connections that ended although they were wanted; planned closes do not count.
        std::uint64_t losses = 0;
        /// Attempts and connections that this side ended in order to dial again: by
        /// reconnect_now(), new credentials or a fleet. Gates and stops do not count.
        std::uint64_t withdrawn = 0;
        /// Failed attempts and ended connections, by Cause.
        std::array<std::uint64_t, 11> failures{};
        std::uint64_t policy_conflicts = 0;
        Histogram outages{};
        Histogram round_trips{};
    };

    static constexpr std::array<Duration, Histogram::bounds> outage_bounds{
        std::chrono::milliseconds{100}, std::chrono::seconds{1},  std::chrono::seconds{3},
        std::chrono::seconds{10},       std::chrono::seconds{30}, std::chrono::minutes{1},
        std::chrono::minutes{2},        std::chrono::minutes{5},  std::chrono::minutes{10},
        std::chrono::minutes{30},       std::chrono::hours{1},    std::chrono::hours{6}};
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
    [[nodiscard]] LinkState state() const noexcept { return state_; }
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

namespace detail {

/// Writes families of metrics in the text format of Prometheus.
class PrometheusText {
public:
    explicit PrometheusText(std::string& out) noexcept : out_{out} {}

    struct Family {
        const char* name;
        const char* type;
        const char* help;
    };
    struct Sample {
        std::string labels;  ///< `key="value"`, values escaped
        std::string value;
        const char* suffix = "";
    };
    struct Label {
        const char* key;
        std::string_view value;
    };

    void begin(const Family& family) {
        name_ = family.name;
        out_.append("# HELP ").append(name_).append(" ").append(family.help);
        out_.append("\n# TYPE ").append(name_).append(" ").append(family.type).append("\n");
    }
    void add(const Sample& s) {
        out_.append(name_).append(s.suffix).append("{").append(s.labels).append("} ");
        out_.append(s.value).append("\n");
    }
    void histogram(const std::string& labels, const LinkMetrics::Histogram& h,
                   const std::array<Duration, LinkMetrics::Histogram::bounds>& bounds) {
        std::uint64_t count = 0;
        for (std::size_t i = 0; i < h.counts.size(); ++i) {
            count += h.counts[i];
            const std::string le = i < bounds.size() ? seconds(bounds[i]) : "+Inf";
            add({labels + "," + label({"le", le}), std::to_string(count), "_bucket"});
        }
        add({labels, seconds(h.sum), "_sum"});
        add({labels, std::to_string(count), "_count"});
    }

    /// Returns `key="value"`, with the escapes that the format requires.
    [[nodiscard]] static std::string label(const Label& label) {
        std::string out = std::string{label.key} + "=\"";
        for (const char c : label.value) {
            if (c == '\n') {
                out += "\\n";
                continue;
            }
            if (c == '\\' || c == '"') out += '\\';
            out += c;
        }
        return out + '"';
    }
    /// Formats seconds without std::to_string(double), which depends on the locale.   Pre: d >=
    /// 0ns.
    [[nodiscard]] static std::string seconds(Duration d) {
        constexpr std::int64_t second = 1'000'000'000;
        std::string fraction = std::to_string(second + d.count() % second).substr(1);
        while (!fraction.empty() && fraction.back() == '0') fraction.pop_back();
        const std::string whole = std::to_string(d.count() / second);
        return fraction.empty() ? whole : whole + "." + fraction;
    }

private:
    std::string& out_;
    const char* name_ = "";
};

inline void state_to_prometheus(PrometheusText& text, const LinkMetrics& m,
                                const std::string& link) {
    for (std::size_t i = 0; i < link_states; ++i) {
        const auto state = static_cast<LinkState>(i);
        text.add({link + "," + PrometheusText::label({"state", to_string(state)}),
                  m.state() == state ? "1" : "0"});
    }
}
inline void failures_to_prometheus(PrometheusText& text, const LinkMetrics& m,
                                   const std::string& link) {
    const auto& failures = m.counters().failures;
    for (std::size_t i = 1; i < failures.size(); ++i) {
        const std::string_view cause = to_string(static_cast<Cause>(i));
        text.add(
            {link + "," + PrometheusText::label({"cause", cause}), std::to_string(failures[i])});
    }
}

}  // namespace detail

/// Appends the metrics of several links in the text format that Prometheus scrapes.
///
/// This is version 0.0.4 of the format, which OpenMetrics collectors read too. Pass all links in
/// one call, because a family of metrics may appear only once.
///
/// Complexity: O(links).   Throws: std::bad_alloc.
/// Source:     prometheus.io/docs/instrumenting/exposition_formats.
inline void to_prometheus(std::string& out, std::span<const LinkMetrics* const> links) {
    detail::PrometheusText text{out};
    const auto each = [&](auto&& f) {
        for (const LinkMetrics* const m : links)
            f(*m, detail::PrometheusText::label({"link", m->name()}));
    };
    const auto count = [&](const detail::PrometheusText::Family& family, auto member) {
        text.begin(family);
        each([&](const LinkMetrics& m, const std::string& link) {
            text.add({link, std::to_string(m.counters().*member)});
        });
    };
    using Counters = LinkMetrics::Counters;
    text.begin({"belay_link_state", "gauge", "1 for the state that the link is in."});
    each([&](const LinkMetrics& m, const std::string& link) {
        detail::state_to_prometheus(text, m, link);
    });
    count({"belay_link_attempts_total", "counter", "Attempts to connect."}, &Counters::attempts);
    count({"belay_link_connections_total", "counter", "Attempts that succeeded."},
          &Counters::connections);
    count({"belay_link_losses_total", "counter", "Connections that were lost."}, &Counters::losses);
    count({"belay_link_withdrawn_total", "counter",
           "Attempts and connections that this side ended in order to dial again."},
          &Counters::withdrawn);
    count({"belay_link_policy_conflicts_total", "counter",
           "Wishes of the peer that beat the own bounds."},
          &Counters::policy_conflicts);
    text.begin({"belay_link_failures_total", "counter", "Failed attempts and ended connections."});
    each([&](const LinkMetrics& m, const std::string& link) {
        detail::failures_to_prometheus(text, m, link);
    });
    text.begin({"belay_link_outage_seconds", "histogram", "From one connection to the next."});
    each([&](const LinkMetrics& m, const std::string& link) {
        text.histogram(link, m.counters().outages, LinkMetrics::outage_bounds);
    });
    text.begin({"belay_link_round_trip_seconds", "histogram", "From a ping to its answer."});
    each([&](const LinkMetrics& m, const std::string& link) {
        text.histogram(link, m.counters().round_trips, LinkMetrics::round_trip_bounds);
    });
}
/// Appends the metrics of one link in the same format.
inline void to_prometheus(std::string& out, const LinkMetrics& link) {
    const LinkMetrics* const one = &link;
    to_prometheus(out, std::span{&one, 1});
}

}}  // namespace belay
