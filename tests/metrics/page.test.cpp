// SPDX-License-Identifier: MIT
// Goal: the text of a Page can be parsed by the grammars of Prometheus and of OpenMetrics, for
// any names, and its limits hold. Method: a parser of both grammars; parts made for this test.
#include <belay/metrics/page.hpp>

#include <array>
#include <vector>

#include <belay/core/random.hpp>

#include "support/catch.hpp"
#include "support/default_member.hpp"
#include "support/metrics/exposition_parser.hpp"

using namespace belay;
using namespace std::chrono_literals;
using belay_test::Exposition;
using belay_test::parse_exposition;
using metrics::Format;
using metrics::Metric;
using metrics::Page;

namespace user {

/// A part that is not belay's.
struct Kitchen {
    std::uint64_t meals = 0;
    std::vector<std::string> cooks{};
};
template <class Visitor>
void visit_metrics(const Kitchen& kitchen, Visitor&& visitor) {
    visitor(Metric{.part = "kitchen", .name = "meals", .help = "Meals.", .value = kitchen.meals});
    for (const std::string& cook : kitchen.cooks) {
        visitor(Metric{.part = "kitchen",
                       .name = "cook",
                       .help = "\"Cooks\" by name\\\nand no more.",
                       .kind = Metric::Kind::gauge,
                       .value = 1,
                       .key = "cook",
                       .label = cook});
    }
}

/// Passes all of its members.
struct Anything {
    std::vector<Metric> all;
};
template <class Visitor>
void visit_metrics(const Anything& part, Visitor&& visitor) {
    for (const Metric& metric : part.all) visitor(metric);
}

}  // namespace user

namespace {

std::string text_of(const Page& page) {
    std::string text;
    to_prometheus(text, page);
    return text;
}
Exposition read(const Page& page) {
    const std::string text = text_of(page);
    INFO(text);
    const Exposition exposition = parse_exposition(text, page.options().format);
    CHECK(exposition.fault == "");
    return exposition;
}

constexpr std::array both_formats{Format::prometheus, Format::open_metrics};

}  // namespace

static_assert(belay_test::DefaultMember<Page>);

TEST_CASE("to_prometheus writes the bytes that the formats specify", "[metrics][page][golden]") {
    const auto of = [](Format format) {
        Page page{{.format = format}};
        CHECK(page.add("a\"b", user::Kitchen{.meals = 3, .cooks = {"x\ny"}}));
        CHECK(page.add("c", user::Kitchen{.meals = 4, .cooks = {"z"}}));
        CHECK(page.samples() == 4);
        return text_of(page);
    };
    CHECK(of(Format::prometheus) ==
          "# HELP belay_kitchen_meals_total Meals.\n"
          "# TYPE belay_kitchen_meals_total counter\n"
          "belay_kitchen_meals_total{kitchen=\"a\\\"b\"} 3\n"
          "belay_kitchen_meals_total{kitchen=\"c\"} 4\n"
          "# HELP belay_kitchen_cook \"Cooks\" by name\\\\\\nand no more.\n"
          "# TYPE belay_kitchen_cook gauge\n"
          "belay_kitchen_cook{kitchen=\"a\\\"b\",cook=\"x\\ny\"} 1\n"
          "belay_kitchen_cook{kitchen=\"c\",cook=\"z\"} 1\n");
    CHECK(of(Format::open_metrics) ==
          "# HELP belay_kitchen_meals Meals.\n"
          "# TYPE belay_kitchen_meals counter\n"
          "belay_kitchen_meals_total{kitchen=\"a\\\"b\"} 3\n"
          "belay_kitchen_meals_total{kitchen=\"c\"} 4\n"
          "# HELP belay_kitchen_cook \\\"Cooks\\\" by name\\\\\\nand no more.\n"
          "# TYPE belay_kitchen_cook gauge\n"
          "belay_kitchen_cook{kitchen=\"a\\\"b\",cook=\"x\\ny\"} 1\n"
          "belay_kitchen_cook{kitchen=\"c\",cook=\"z\"} 1\n"
          "# EOF\n");
    CHECK(metrics::content_type(Format::prometheus).find("0.0.4") != std::string_view::npos);
    CHECK(metrics::content_type(Format::open_metrics).find("openmetrics") !=
          std::string_view::npos);
}

TEST_CASE("to_prometheus of an empty page is a valid text", "[metrics][page][unit]") {
    CHECK(text_of(Page{}) == "");
    CHECK(text_of(Page{{.format = Format::open_metrics}}) == "# EOF\n");
}

TEST_CASE("to_prometheus writes fractions exactly, independent of their size",
          "[metrics][page][unit]") {
    const auto value = [](std::uint64_t number, std::uint64_t per_unit) {
        Page page;
        REQUIRE(page.add("a", user::Anything{{Metric{.part = "p",
                                                     .name = "n",
                                                     .help = "h",
                                                     .kind = Metric::Kind::gauge,
                                                     .value = number,
                                                     .per_unit = per_unit}}}));
        return read(page).samples.at("belay_p_n{p=\"a\"}");
    };
    CHECK(value(0, 1) == "0");
    CHECK(value(18446744073709551615U, 1) == "18446744073709551615");
    CHECK(value(1, 1000) == "0.001");
    CHECK(value(2500, 1000) == "2.5");
    CHECK(value(9223372036854775807U, Metric::nanoseconds) == "9223372036.854775807");
}

TEST_CASE("to_prometheus writes a histogram with counts that add up", "[metrics][page][unit]") {
    const std::array<Duration, 2> bounds{100ms, 1s};
    const std::array<std::uint64_t, 3> counts{1, 0, 2};
    for (const Format format : both_formats) {
        Page page{{.format = format}};
        REQUIRE(page.add("a", user::Anything{{Metric{.part = "p",
                                                     .name = "wait_seconds",
                                                     .help = "h",
                                                     .kind = Metric::Kind::histogram,
                                                     .value = 2'000'000'000,
                                                     .per_unit = Metric::nanoseconds,
                                                     .bounds = bounds,
                                                     .counts = counts}}}));
        const auto samples = read(page).samples;
        const bool open = format == Format::open_metrics;
        CHECK(samples.at("belay_p_wait_seconds_bucket{p=\"a\",le=\"0.1\"}") == "1");
        CHECK(samples.at(open ? "belay_p_wait_seconds_bucket{p=\"a\",le=\"1.0\"}"
                              : "belay_p_wait_seconds_bucket{p=\"a\",le=\"1\"}") == "1");
        CHECK(samples.at("belay_p_wait_seconds_bucket{p=\"a\",le=\"+Inf\"}") == "3");
        CHECK(samples.at("belay_p_wait_seconds_sum{p=\"a\"}") == "2");
        CHECK(samples.at("belay_p_wait_seconds_count{p=\"a\"}") == "3");
        CHECK(page.samples() == samples.size());
    }
}

TEST_CASE("Page accepts any bytes as a name, and its text can still be parsed",
          "[metrics][page][property]") {
    CHECK(rc::check("each name that is added is one series",
                    [](const std::string& name, const std::string& label) {
                        for (const Format format : both_formats) {
                            Page page{{.format = format}};
                            if (!page.add(name, user::Kitchen{.cooks = {label}})) return;
                            const Exposition exposition = parse_exposition(text_of(page), format);
                            RC_ASSERT(exposition.fault == "");
                            RC_ASSERT(exposition.samples.size() == 2U);
                        }
                    }));
    for (const char* odd : {"", "\x80", "\xC0\xAF", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xE2\x82",
                            "\xF0\x9F\x98\x80", "a\r\n\tb", "\\", "\"", "\\n", "}"}) {
        for (const Format format : both_formats) {
            Page page{{.format = format}};
            CHECK(page.add(odd, user::Kitchen{.cooks = {odd}}));
            CHECK(read(page).samples.size() == 2);
        }
    }
}

TEST_CASE("Page converts names and keys of any characters to valid ones", "[metrics][page][unit]") {
    for (const Format format : both_formats) {
        Page page{{.format = format}};
        CHECK(page.add("a", user::Anything{{Metric{.part = "9 parts\n{}",
                                                   .name = "é-\"",
                                                   .help = "h",
                                                   .key = "1\"=",
                                                   .label = "l"}}}));
        CHECK(read(page).samples.size() == 1);
    }
}

TEST_CASE("Page leaves out a second part of the same kind and name, and counts it",
          "[metrics][page][unit]") {
    Page page;
    CHECK(page.add("a", user::Kitchen{.meals = 1}));
    CHECK_FALSE(page.add("a", user::Kitchen{.meals = 2}));
    CHECK(page.add("\x80", user::Kitchen{}));
    CHECK_FALSE(page.add("\x81", user::Kitchen{}));  // both become U+FFFD
    CHECK(page.dropped() == 2);
    const auto samples = read(page).samples;
    CHECK(samples.at("belay_kitchen_meals_total{kitchen=\"a\"}") == "1");
    CHECK(samples.at("belay_metrics_dropped_parts") == "2");
}

TEST_CASE("Page leaves out a part that has no space, as a whole", "[metrics][page][fault]") {
    Page page{{.samples_max = 5, .name_bytes_max = 3}};
    CHECK(page.add("a", user::Kitchen{.cooks = {"x", "y"}}));
    CHECK_FALSE(page.add("b", user::Kitchen{.cooks = {"x", "y"}}));
    CHECK(page.samples() == 3);
    CHECK_FALSE(page.add("long", user::Kitchen{}));
    CHECK(page.add("c", user::Kitchen{.cooks = {"x"}}));
    CHECK_FALSE(page.add("d", user::Kitchen{}));
    CHECK(page.dropped() == 3);
    CHECK(read(page).samples.size() == 6);  // with the number of dropped parts
}

TEST_CASE("Page leaves out a part whose metric is of another kind there",
          "[metrics][page][fault]") {
    const Metric counter{.part = "p", .name = "n", .help = "h"};
    const Metric gauge{.part = "p", .name = "n", .help = "h", .kind = Metric::Kind::gauge};
    Page page;
    CHECK(page.add("a", user::Anything{{counter}}));
    CHECK_FALSE(page.add("b", user::Anything{{gauge}}));
    CHECK_FALSE(page.add("c", user::Anything{{counter, gauge}}));
    CHECK(read(page).samples.size() == 2);
}

TEST_CASE("Page leaves out a part whose text a collector would reject",
          "[metrics][page][regression]") {
    const auto one = [](const char* part, const char* name, Metric::Kind kind, const char* key = "",
                        std::string_view label = {}) {
        return Metric{.part = part, .name = name, .kind = kind, .key = key, .label = label};
    };
    using Kind = Metric::Kind;
    static constexpr std::array<Duration, 1> bounds{1s};
    static constexpr std::array<std::uint64_t, 2> counts{1, 2};
    Metric histogram = one("a", "b", Kind::histogram);
    histogram.bounds = bounds;
    histogram.counts = counts;
    Metric histogram_with_le = histogram;
    histogram_with_le.key = "le";
    const std::vector<std::vector<Metric>> rejected{
        // The names of samples are equal, although those of the metrics differ.
        {one("a", "b", Kind::counter), one("a", "b_total", Kind::gauge)},
        {one("a", "b_total", Kind::gauge), one("a", "b", Kind::counter)},
        {histogram, one("a", "b_sum", Kind::gauge)},
        {histogram, one("a", "b_count", Kind::gauge)},
        {one("a", "b_bucket", Kind::gauge), histogram},
        // One name of two kinds, not next to each other.
        {one("a", "b", Kind::counter), one("a", "c", Kind::counter), one("a", "b", Kind::gauge)},
        // One sample twice.
        {one("a", "b", Kind::gauge), one("a", "b", Kind::gauge)},
        {one("a", "b", Kind::gauge, "k", "x"), one("a", "b", Kind::gauge, "k", "x")},
        {one("a", "b", Kind::gauge), one("a", "c", Kind::gauge), one("a", "b", Kind::gauge)},
        {one("a", "b", Kind::gauge, "k", "\xFF"), one("a", "b", Kind::gauge, "k", "\xFE")},
        // One label twice.
        {one("a", "b", Kind::gauge, "a", "x")},
        {one("a.b", "c", Kind::gauge, "a_b", "x")},
        {histogram_with_le},
        // A label without a name.
        {one("", "b", Kind::gauge)},
        // The gauge of the page itself.
        {one("metrics", "dropped_parts", Kind::gauge)},
    };
    for (const Format format : both_formats) {
        for (std::size_t i = 0; i < rejected.size(); ++i) {
            INFO(i);
            Page page{{.format = format}};
            CHECK_FALSE(page.add("x", user::Anything{rejected[i]}));
            CHECK(page.dropped() == 1);
            CHECK(page.samples() == 0);
            CHECK(read(page).samples.size() == 1);  // belay_metrics_dropped_parts
            // The same from two parts.
            Page parts{{.format = format}};
            std::size_t added = 0;
            for (const Metric& metric : rejected[i]) {
                added += parts.add(std::to_string(added), user::Anything{{metric}}) ? 1U : 0U;
            }
            static_cast<void>(read(parts));
        }
    }
}

TEST_CASE("Page writes one _total after the name of a counter", "[metrics][page][unit]") {
    for (const Format format : both_formats) {
        Page page{{.format = format}};
        CHECK(page.add("x", user::Anything{{Metric{.part = "shop", .name = "orders_total"}}}));
        CHECK(page.add("y", user::Anything{{Metric{.part = "shop", .name = "orders"}}}));
        CHECK(read(page).samples.count("belay_shop_orders_total{shop=\"x\"}") == 1);
    }
}

TEST_CASE("Page leaves out a histogram that a collector would reject", "[metrics][page][unit]") {
    static constexpr std::array<Duration, 2> bounds{1s, 2s};
    static constexpr std::array<Duration, 2> falling{2s, 1s};
    static constexpr std::array<std::uint64_t, 3> counts{1, 2, 3};
    Metric metric{.part = "a", .name = "b_seconds", .kind = Metric::Kind::histogram};
    metric.bounds = bounds;
    metric.counts = counts;
    CHECK(Page{}.add("x", user::Anything{{metric}}));
    metric.bounds = falling;
    CHECK_FALSE(Page{}.add("x", user::Anything{{metric}}));
    metric.bounds = std::span{bounds}.first(1);
    CHECK_FALSE(Page{}.add("x", user::Anything{{metric}}));
    metric.bounds = bounds;
    metric.counts = std::span{counts}.first(2);
    CHECK_FALSE(Page{}.add("x", user::Anything{{metric}}));
}

TEST_CASE("Page stores no more samples than its limit of a part that does not fit",
          "[metrics][page][fault]") {
    user::Anything many;
    std::vector<std::string> labels(100'000);
    for (std::size_t i = 0; i < labels.size(); ++i) {
        labels[i] = std::to_string(i);
        many.all.push_back({.part = "a", .name = "b", .key = "k", .label = labels[i]});
    }
    Page page{{.samples_max = 100}};
    CHECK_FALSE(page.add("x", many));
    for (std::size_t i = 0; i < 100'000; ++i) {  // parts beyond the limit use no memory
        static_cast<void>(page.add(labels[i], user::Kitchen{.meals = i}));
    }
    CHECK(page.samples() == 100);
    CHECK(page.dropped() == 100'001 - 100);
    CHECK(text_of(page).size() < 10'000);
    CHECK(read(page).samples.size() == 101);
}

TEST_CASE("Page makes a valid text of any metrics", "[metrics][page][property]") {
    Random bits{Seed{11}};
    static constexpr std::array<const char*, 4> parts{"a", "a_b", "a.b", "metrics"};
    static constexpr std::array<const char*, 8> names{
        "b", "b_total", "b_sum", "b_count", "b_bucket", "dropped_parts", "c", "b_b"};
    static constexpr std::array<const char*, 5> keys{"", "", "k", "a", "le"};
    static constexpr std::array<const char*, 4> labels{"x", "y\n", "\"", "\xFF"};
    static constexpr std::array<Duration, 1> bounds{1s};
    static constexpr std::array<std::uint64_t, 2> counts{1, 2};
    std::size_t added = 0;
    for (int round = 0; round < 2'000; ++round) {
        const Format format = both_formats[bits() % 2];
        Page page{{.format = format, .samples_max = 12}};
        for (std::size_t part = bits() % 4; part != ~std::size_t{0}; --part) {
            user::Anything any;
            for (auto left = bits() % 4; left != 0; --left) {
                Metric metric{.part = parts[bits() % 4],
                              .name = names[bits() % 8],
                              .kind = static_cast<Metric::Kind>(bits() % 3),
                              .key = keys[bits() % 5],
                              .label = labels[bits() % 4]};
                if (metric.kind == Metric::Kind::histogram) {
                    metric.bounds = bounds;
                    metric.counts = counts;
                }
                any.all.push_back(metric);
            }
            added += page.add(labels[bits() % 4], any) ? 1U : 0U;
        }
        CHECK(page.samples() <= 12);
        const std::string text = text_of(page);
        const std::string fault = parse_exposition(text, format).fault;
        if (!fault.empty()) {
            INFO(text);
            CHECK(fault == "");
            break;
        }
    }
    CHECK(added > 500);
}

TEST_CASE("The parser of the formats detects each violation of them", "[metrics][page][unit]") {
    const auto broken = [](std::string_view text, Format format = Format::prometheus) {
        return !parse_exposition(text, format).fault.empty();
    };
    const std::string head = "# HELP a_total h\n# TYPE a_total counter\n";
    CHECK_FALSE(broken(head + "a_total{x=\"y\"} 1\na_total{x=\"z\"} 1.5\n"));
    CHECK(broken("a_total 1\n"));
    CHECK(broken(head + "a_total 1"));
    CHECK(broken(head + "a_total 1\n" + head + "a_total{x=\"y\"} 1\n"));
    CHECK(broken(head + "a_total 1\na_total 1\n"));
    CHECK(broken(head + "b_total 1\n"));
    CHECK(broken(head + "a_total{x=\"y} 1\n"));
    CHECK(broken(head + "a_total{x=\"\\y\"} 1\n"));
    CHECK(broken(head + "a_total{1x=\"y\"} 1\n"));
    CHECK(broken(head + "a_total{x=\"y\",} 1\n"));
    CHECK(broken(head + "a_total{x=\"\x80\"} 1\n"));
    CHECK(broken(head + "a_total one\n"));
    CHECK(broken("# HELP a h\n# TYPE a counter\na 1\n"));
    CHECK(broken(head + "a_total 1\n# EOF\n", Format::open_metrics));
    CHECK(broken("# HELP a h\n# TYPE a counter\na_total 1\n", Format::open_metrics));
    CHECK_FALSE(broken("# HELP a h\n# TYPE a counter\na_total 1\n# EOF\n", Format::open_metrics));
    CHECK(broken("# HELP a h\n# TYPE a counter\na_total 1\n# EOF\n\n", Format::open_metrics));
    const std::string histogram = "# HELP s h\n# TYPE s histogram\n";
    CHECK_FALSE(broken(histogram + "s_bucket{le=\"1\"} 1\ns_bucket{le=\"+Inf\"} 2\ns_sum 3\n"
                                   "s_count 2\n"));
    CHECK(broken(histogram + "s_bucket{le=\"1\"} 1\ns_sum 3\ns_count 1\n# TYPE t gauge\n"));
    CHECK(broken(histogram + "s_bucket{le=\"2\"} 1\ns_bucket{le=\"1\"} 2\n"));
    CHECK(broken(histogram + "s_bucket{le=\"1\"} 2\ns_bucket{le=\"+Inf\"} 1\n"));
    CHECK(broken(histogram + "s_bucket{le=\"+Inf\"} 2\ns_count 3\n"));
}
