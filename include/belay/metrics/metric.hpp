// SPDX-License-Identifier: MIT
/// \file belay/metrics/metric.hpp
/// Metric: one number of a part, with its name and its unit, as a visitor receives it.
#pragma once

#include <cstddef>      // std::size_t
#include <cstdint>      // std::uint8_t, std::uint64_t
#include <span>         // std::span
#include <string_view>  // std::string_view

#include <belay/core/instant.hpp>
#include <belay/core/text.hpp>

namespace belay { inline namespace BELAY_ABI { namespace metrics {

/// One number of a part: a counter, a gauge or a histogram.
///
/// `visit_metrics(part, visitor)` calls `visitor(const Metric&)` for each number of the part.
/// Metrics of the same `part` and `name` that differ in `label` belong together, and follow each
/// other.
///
///     metrics::visit_metrics(breaker, [](const metrics::Metric& m) { ... });
///
/// The texts have static storage, except `label`, which is valid during the call.
///
/// Thread safety: a plain value.
struct Metric {
    /// The kind of a number, which a collector uses.
    enum class Kind : std::uint8_t {
        counter,   ///< never falls while the part lives
        gauge,     ///< rises and falls; the states of a part are gauges of 0 or 1
        histogram  ///< durations in buckets; `value` is their sum
    };

    /// The kind of part: "breaker". It is the prefix of the name, and the key of the first label.
    const char* part = "";
    /// The name, which ends with the unit: "failures", "wait_seconds", "held_bytes". For a counter,
    /// a text format adds `_total` if the name does not end with it.
    const char* name = "";
    /// One sentence, for people.
    const char* help = "";
    /// The kind of a number, which a collector uses.
    Kind kind = Kind::counter;
    /// The number, in units of `1 / per_unit`.
    std::uint64_t value = 0;
    /// 1 for numbers of things and of bytes, 1000 for thousandths, 10^9 for seconds.
    std::uint64_t per_unit = 1;
    /// The second label, such as state="open". An empty key means that there is none.
    const char* key = "";
    /// The value of that label.
    std::string_view label{};
    /// The upper bounds of a histogram's buckets, and the counts of each bucket alone. There is one
    /// more count than bounds, for durations above the last bound.
    std::span<const Duration> bounds{};
    /// The counts of the buckets.
    std::span<const std::uint64_t> counts{};

    /// The `per_unit` of durations.
    static constexpr std::uint64_t nanoseconds = 1'000'000'000;

    /// Returns the number in the unit of the name, rounded to what a double can hold.
    [[nodiscard]] constexpr double number() const noexcept {
        return static_cast<double>(value) / static_cast<double>(per_unit);
    }
};

namespace detail {

using belay::detail::Row;

/// Passes the members that a table lists.
template <class Numbers, class Number, std::size_t N, class Visitor>
constexpr void visit_rows(Metric head, const Numbers& numbers,
                          const Row<Numbers, Number> (&rows)[N], Visitor& visitor) {
    for (const Row<Numbers, Number>& row : rows) {
        head.name = row.name;
        head.help = row.help;
        head.value = static_cast<std::uint64_t>(numbers.*row.member);
        visitor(static_cast<const Metric&>(head));
    }
}

/// Passes one gauge: a number of things or bytes, or 1 for a condition that holds.
template <class Visitor>
// NOLINTNEXTLINE(bugprone-easily-swappable-parameters): in the order of Row
constexpr void visit_gauge(const char* part, const char* name, const char* help,
                           std::uint64_t value, Visitor& visitor, std::uint64_t per_unit = 1) {
    visitor(Metric{.part = part,
                   .name = name,
                   .help = help,
                   .kind = Metric::Kind::gauge,
                   .value = value,
                   .per_unit = per_unit});
}

/// Passes one gauge for each of `count` enumerators: 1 for `now`, 0 for the others.
template <class Enum, class Visitor>
constexpr void visit_states(Metric head, Enum now, std::size_t count, Visitor& visitor) {
    head.kind = Metric::Kind::gauge;
    for (std::size_t i = 0; i < count; ++i) {
        const auto one = static_cast<Enum>(i);
        head.label = to_string(one);
        head.value = one == now ? 1 : 0;
        visitor(static_cast<const Metric&>(head));
    }
}

/// Returns a duration as the value of a metric in seconds; negative ones are 0.
[[nodiscard]] constexpr std::uint64_t ticks(Duration d) noexcept {
    return d.count() > 0 ? static_cast<std::uint64_t>(d.count()) : 0;
}

/// Passes durations that are counted in buckets. `Times` has the members `sum` and `counts`, and
/// the static member `bounds`.
template <class Times, class Visitor>
void visit_times(Metric head, const Times& times, Visitor& visitor) {
    head.kind = Metric::Kind::histogram;
    head.value = ticks(times.sum);
    head.per_unit = Metric::nanoseconds;
    head.bounds = Times::bounds;
    head.counts = times.counts;
    visitor(static_cast<const Metric&>(head));
}

}  // namespace detail

}}}  // namespace belay::metrics
