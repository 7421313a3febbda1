// SPDX-License-Identifier: MIT
/// \file belay/metrics/page.hpp
/// Page: the numbers of several parts, collected for one scrape; to_prometheus: writes them.
#pragma once

#include <cstddef>      // std::size_t
#include <cstdint>      // std::uint64_t, std::uint8_t
#include <map>          // std::map
#include <set>          // std::set
#include <string>       // std::string, std::to_string
#include <string_view>  // std::string_view
#include <utility>      // std::move
#include <vector>       // std::vector

#include <belay/core/assert.hpp>
#include <belay/core/detail/utf8.hpp>
#include <belay/core/text.hpp>
#include <belay/metrics/metric.hpp>

namespace belay { inline namespace BELAY_ABI {

namespace metrics { namespace detail {

/// Appends a text with the escapes of a label's value, or of a HELP line. Bytes that are not UTF-8
/// become U+FFFD, since one of them would make a collector reject everything. Prometheus rejects
/// an escaped quotation mark in a HELP line, and OpenMetrics requires it.
inline void append_escaped(std::string& out, std::string_view text, bool escapes_quotes = true) {
    while (!text.empty()) {
        const std::size_t length = belay::detail::utf8_character(text.data(), text.size());
        if (length == 0) {
            out += "\xEF\xBF\xBD";
        } else if (text.front() == '\n') {
            out += "\\n";
        } else {
            const char c = text.front();
            if (c == '\\' || (c == '"' && escapes_quotes)) out += '\\';
            out += text.substr(0, length);
        }
        text.remove_prefix(length == 0 ? 1 : length);
    }
}

/// Appends a name of a metric, or of a label: characters that neither may have become `_`.
inline void append_name(std::string& out, std::string_view name) {
    for (const char c : name) {
        const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        const bool digit = c >= '0' && c <= '9';
        if (digit && out.empty()) out += '_';
        out += letter || digit ? c : '_';
    }
}

/// Returns `key="value"`, with the escapes that the formats require.
// NOLINTNEXTLINE(bugprone-easily-swappable-parameters): in the order of the text
[[nodiscard]] inline std::string label(std::string_view key, std::string_view value) {
    std::string out;
    append_name(out, key);
    out += "=\"";
    append_escaped(out, value);
    return out += '"';
}

}}  // namespace metrics::detail

namespace metrics {

/// The text formats that collectors read.
enum class Format : std::uint8_t {
    prometheus,   ///< version 0.0.4 of the text format of Prometheus, which most collectors read
    open_metrics  ///< OpenMetrics 1.0, which ends with `# EOF`: nothing may follow it
};

/// Returns the value of the HTTP header `Content-Type` for a format.   Complexity: O(1).
[[nodiscard]] constexpr std::string_view content_type(Format format) noexcept {
    return format == Format::open_metrics
               ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
               : "text/plain; version=0.0.4; charset=utf-8";
}

/// The format and the limits of a Page.
struct PageOptions {
    /// The text format.
    Format format = Format::prometheus;
    /// The most samples, which are the lines that do not begin with #. A part that does not fit is
    /// left out as a whole.
    std::size_t samples_max = 10'000;
    /// The most bytes of the name of a part.
    std::size_t name_bytes_max = 256;
};

/// The numbers of several parts, collected for one scrape.
///
///     metrics::Page page;
///     page.add("payments", breaker);
///     page.add("payments", limiter);
///     std::string text;
///     to_prometheus(text, page);
///
/// `add` reads the numbers, and keeps no reference to the part. Make a new page for each scrape.
///
/// A sample is named `belay_<kind of part>_<name>`, and that of a counter ends with one `_total`.
/// The name of the part is the value of a label, whose key is the kind of part:
/// `belay_breaker_failures_total{breaker="payments"} 3`. In the values of labels, bytes that are
/// not UTF-8 become U+FFFD. In names and keys, characters that are not allowed become `_`.
///
/// Thread safety: distinct objects safe. `add` reads the part as `visit_metrics` does, so it must
///                run on the home thread of a part that has one.
class Page {
    struct Family {
        std::string name;  // without _total
        const char* help;
        Metric::Kind kind;
        std::string text;
    };

public:
    Page() : Page{PageOptions{}} {}
    /// Pre: the limits of `options` are > 0.
    explicit Page(PageOptions options) : options_{options} {
        BELAY_OPTION(options.samples_max > 0 && options.name_bytes_max > 0,
                     "PageOptions: samples_max and name_bytes_max must be > 0");
    }

    /// Adds the numbers of a part, under a name that is unique among the parts of its kind.
    ///
    /// Errors: returns false, adds nothing, and counts the part in dropped(), if
    /// - the page has no space for all samples of the part,
    /// - the name is too long,
    /// - the page has a part of this kind and name, or
    /// - a collector would reject the text. Then samples of two metrics have the same name, or a
    ///   sample is there twice. Or a label has no name, that of the first one, `le`, or one that
    ///   begins with `__`. Or a histogram lacks a count, or its bounds do not rise.
    ///
    /// Complexity: O(n log n), n the samples of the page and of the part. A part that does not fit
    ///             uses no more memory than one that does.
    /// Throws:     std::bad_alloc; what the visit throws.
    template <class Part>
    bool add(std::string_view name, const Part& part) {
        constexpr bool has_visit = requires(Draft& draft) { visit_metrics(part, draft); };
        static_assert(has_visit,
                      "Page::add: there is no visit_metrics for this type. Include the header of "
                      "its metrics, such as <belay/breaker/breaker_metrics.hpp>; see "
                      "docs/how-to/metrics.md");
        if constexpr (has_visit) {
            if (name.size() <= options_.name_bytes_max) {
                Draft draft{*this, name};
                visit_metrics(part, draft);
                if (draft.commit()) return true;
            }
        }
        ++dropped_;
        return false;
    }

    /// Returns the options.
    [[nodiscard]] const PageOptions& options() const noexcept { return options_; }
    /// Returns how many samples it has.
    [[nodiscard]] std::size_t samples() const noexcept { return samples_; }
    /// Returns how many parts were not added. If there are any, the text has them as the gauge
    /// `belay_metrics_dropped_parts`.
    [[nodiscard]] std::uint64_t dropped() const noexcept { return dropped_; }

    /// Appends the text; to_prometheus calls it.   Throws: std::bad_alloc.
    void write(std::string& out) const {
        const bool open = options_.format == Format::open_metrics;
        for (const Family& family : families_) {
            const bool counts = family.kind == Metric::Kind::counter;
            const std::string name = family.name + (counts && !open ? "_total" : "");
            out += "# HELP " + name + ' ';
            metrics::detail::append_escaped(out, family.help, open);
            out += "\n# TYPE " + name + ' ' + type_of(family.kind) + '\n' + family.text;
        }
        if (dropped_ != 0) {
            out +=
                "# HELP belay_metrics_dropped_parts Parts that the page left out.\n"
                "# TYPE belay_metrics_dropped_parts gauge\nbelay_metrics_dropped_parts " +
                std::to_string(dropped_) + '\n';
        }
        if (open) out += "# EOF\n";
    }

private:
    // The samples of one part, which become part of the page only if all of them do.
    class Draft {
    public:
        Draft(Page& page, std::string_view name) : page_{page} {
            metrics::detail::append_escaped(name_, name);
        }

        void operator()(const Metric& metric) {
            if (samples_ > space()) return;  // it does not fit
            std::string part;
            metrics::detail::append_name(part, metric.part);
            kinds_.insert(part + '=' + name_);
            begin_family("belay_" + part + '_', metric);
            std::string labels = part + "=\"" + name_ + '"';
            if (*metric.key != '\0') {
                std::string key;
                metrics::detail::append_name(key, metric.key);
                is_valid_ = is_valid_ && is_label(key) && key != part;
                labels += ',' + metrics::detail::label(metric.key, metric.label);
            }
            is_valid_ = is_valid_ && is_label(part) &&
                        series_.insert(families_.back().name + '{' + labels).second;
            if (metric.kind == Metric::Kind::histogram) return histogram(metric, labels);
            sample(metric.kind == Metric::Kind::counter ? "_total" : "", labels,
                   belay::detail::decimal_text(metric.value, metric.per_unit));
        }

        [[nodiscard]] bool commit() {
            Page& page = page_;
            if (!is_valid_ || samples_ > space()) return false;
            for (const std::string& kind : kinds_) {
                if (page.parts_.count(kind) != 0) return false;
            }
            Names names;
            for (const Family& family : families_) {
                const auto place = page.places_.find(family.name);
                if (place != page.places_.end()) {
                    if (page.families_[place->second].kind != family.kind) return false;
                    continue;  // the page has its names
                }
                for (std::string& name : names_of(family)) {
                    const Owner owner{family.name, family.kind};
                    const auto known = page.names_.find(name);
                    if (known != page.names_.end() && known->second != owner) return false;
                    if (names.emplace(std::move(name), owner).first->second != owner) return false;
                }
            }
            page.names_.merge(names);
            page.parts_.merge(kinds_);
            page.samples_ += samples_;
            for (Family& family : families_) {
                const auto [at, is_new] = page.places_.emplace(family.name, page.families_.size());
                if (is_new) {
                    page.families_.push_back(std::move(family));
                } else {
                    page.families_[at->second].text += family.text;
                }
            }
            return true;
        }

    private:
        [[nodiscard]] std::size_t space() const noexcept {
            return page_.options_.samples_max - page_.samples_;
        }
        [[nodiscard]] static bool is_label(std::string_view key) noexcept {
            return !key.empty() && key != "le" && key.substr(0, 2) != "__";
        }
        void begin_family(std::string name, const Metric& metric) {
            constexpr std::string_view total = "_total";
            metrics::detail::append_name(name, metric.name);
            if (metric.kind == Metric::Kind::counter && name.size() >= total.size() &&
                name.compare(name.size() - total.size(), total.size(), total) == 0) {
                name.resize(name.size() - total.size());
            }
            if (families_.empty() || families_.back().name != name ||
                families_.back().kind != metric.kind) {
                families_.push_back({std::move(name), metric.help, metric.kind, {}});
            }
        }
        void sample(std::string_view suffix, std::string_view labels, std::string_view value) {
            Family& family = families_.back();
            family.text.append(family.name).append(suffix).append("{").append(labels);
            family.text.append("} ").append(value).append("\n");
            ++samples_;
        }
        void histogram(const Metric& metric, const std::string& labels) {
            const bool open = page_.options_.format == Format::open_metrics;
            std::uint64_t count = 0;
            is_valid_ = is_valid_ && metric.counts.size() == metric.bounds.size() + 1;
            for (std::size_t i = 0; i < metric.counts.size(); ++i) {
                count += metric.counts[i];
                std::string bound = "+Inf";
                if (i < metric.bounds.size()) {
                    is_valid_ = is_valid_ && (i == 0 || metric.bounds[i - 1] < metric.bounds[i]);
                    bound = belay::detail::decimal_text(metrics::detail::ticks(metric.bounds[i]),
                                                        Metric::nanoseconds);
                    // OpenMetrics: the canonical form of a bound has a point.
                    if (open && bound.find('.') == std::string::npos) bound += ".0";
                }
                sample("_bucket", labels + ',' + metrics::detail::label("le", bound),
                       std::to_string(count));
            }
            sample("_sum", labels, belay::detail::decimal_text(metric.value, metric.per_unit));
            sample("_count", labels, std::to_string(count));
        }

        Page& page_;
        std::string name_;
        std::vector<Family> families_;
        std::set<std::string> kinds_;
        std::set<std::string> series_;
        std::size_t samples_ = 0;
        bool is_valid_ = true;
    };

    [[nodiscard]] static const char* type_of(Metric::Kind kind) noexcept {
        return kind == Metric::Kind::counter ? "counter"
               : kind == Metric::Kind::gauge ? "gauge"
                                             : "histogram";
    }
    // The family that a name of a metric or of its samples belongs to.
    using Owner = std::pair<std::string, Metric::Kind>;
    using Names = std::map<std::string, Owner>;

    /// Returns the names that no other family may have or use for its samples.
    [[nodiscard]] static std::vector<std::string> names_of(const Family& family) {
        const std::string& name = family.name;
        if (family.kind == Metric::Kind::gauge) return {name};
        if (family.kind == Metric::Kind::counter) return {name, name + "_total"};
        return {name, name + "_bucket", name + "_sum", name + "_count"};
    }

    PageOptions options_;
    std::vector<Family> families_;
    std::map<std::string, std::size_t> places_;  // of the families, by name
    Names names_{{"belay_metrics_dropped_parts", {}}};
    std::set<std::string> parts_;
    std::size_t samples_ = 0;
    std::uint64_t dropped_ = 0;
};

}  // namespace metrics

/// Appends the numbers of a page in its format: the text that Prometheus and others scrape.
///
/// Complexity: O(the text).   Throws: std::bad_alloc.
/// Source:     prometheus.io/docs/instrumenting/exposition_formats; OpenMetrics 1.0.
inline void to_prometheus(std::string& out, const metrics::Page& page) { page.write(out); }

}}  // namespace belay
