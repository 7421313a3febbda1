// SPDX-License-Identifier: MIT
// Charts of lines as one SVG file: enough for the pictures of these examples.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

/// One chart: lines over a common x, drawn in the order in which they were added.
struct Chart {
    struct Line {
        std::string name;
        std::vector<std::pair<double, double>> points;
    };
    std::string title;
    std::string x_label;
    std::string y_label;
    double y_most = 0;  ///< what is above it is cut off; 0: nothing is
    std::vector<Line> lines;
};

/// Charts in rows of `columns`, readable on light and dark backgrounds.
class ChartSheet {
public:
    ChartSheet(std::string title, unsigned columns) : title_{std::move(title)}, columns_{columns} {}

    void add(Chart chart) { charts_.push_back(std::move(chart)); }

    /// Whether the file could be written.
    [[nodiscard]] bool write(const char* path) const {
        std::FILE* const file = std::fopen(path, "w");
        if (file == nullptr) return false;
        const std::string text = draw();
        const bool written = std::fwrite(text.data(), 1, text.size(), file) == text.size();
        return (std::fclose(file) == 0) && written;
    }

private:
    static constexpr double wide = 360, high = 250, left = 52, right = 14, top = 34, bottom = 44;
    static constexpr const char* colours[] = {"#cf222e", "#0969da", "#1a7f37",
                                              "#8250df", "#bc4c00", "#9a6700"};
    static constexpr const char* style =
        "<style>svg { font-family: system-ui, \"DejaVu Sans\", sans-serif; font-size: 11px; }\n"
        ".paper { fill: #ffffff; } .ink { fill: #1f2328; } .soft { fill: #59636e; }\n"
        ".grid { stroke: #d1d9e0; } .line { fill: none; stroke-width: 1.4; }\n"
        ".title { font-size: 15px; font-weight: 600; } .head { font-weight: 600; }\n"
        "@media (prefers-color-scheme: dark) { .paper { fill: #0d1117; } .ink { fill: #e6edf3; }\n"
        ".soft { fill: #9198a1; } .grid { stroke: #2a313c; } }</style>\n";

    struct Scale {
        double x_least, x_most, y_most;
    };

    [[nodiscard]] std::string draw() const {
        const auto rows = (charts_.size() + columns_ - 1) / columns_;
        const double width = wide * columns_;
        const double height = 40 + high * static_cast<double>(rows);
        std::string out = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 " +
                          number(width) + ' ' + number(height) + "\" role=\"img\" aria-label=\"" +
                          title_ + "\">\n" + style + "<rect class=\"paper\" width=\"" +
                          number(width) + "\" height=\"" + number(height) + "\"/>\n" +
                          text(left, 26, "title ink", title_);
        for (std::size_t i = 0; i < charts_.size(); ++i) {
            const double x = wide * static_cast<double>(i % columns_);
            const double y = 40 + high * static_cast<double>(i / columns_);
            out += "<g transform=\"translate(" + number(x) + ' ' + number(y) + ")\">\n" +
                   draw(charts_[i]) + "</g>\n";
        }
        return out + "</svg>\n";
    }

    [[nodiscard]] static std::string draw(const Chart& chart) {
        const Scale s = scale_of(chart);
        std::string out = text(left, 16, "head ink", chart.title);
        const double y_step = step(s.y_most, 4);
        for (double y = 0; y <= s.y_most * 1.0001; y += y_step) {
            out += grid(s, s.x_least, y, s.x_most, y) +
                   text(left - 6, y_of(s, y) + 4, "soft", short_number(y), "end");
        }
        const double x_step = step(s.x_most - s.x_least, 5);
        for (double x = std::ceil(s.x_least / x_step) * x_step; x <= s.x_most * 1.0001;
             x += x_step) {
            out += text(x_of(s, x), high - bottom + 16, "soft", short_number(x), "middle");
        }
        out += text((left + wide - right) / 2, high - bottom + 32, "soft", chart.x_label, "middle");
        out += text(wide - right, 16, "soft", chart.y_label, "end");
        for (std::size_t i = 0; i < chart.lines.size(); ++i) {
            const std::string colour = colours[i % std::size(colours)];
            out += "<polyline class=\"line\" stroke=\"" + colour + "\" points=\"";
            const auto& points = chart.lines[i].points;
            for (std::size_t p = 0; p < points.size(); ++p) {
                const auto [x, y] = points[p];
                const bool inside = p != 0 && p + 1 < points.size();
                if (inside && points[p - 1].second == y && points[p + 1].second == y) continue;
                out += number(x_of(s, x)) + ',' + number(y_of(s, std::min(y, s.y_most))) + ' ';
            }
            out += "\"/>\n";
            if (chart.lines.size() == 1) break;
            out += "<text x=\"" + number(left + 8) + "\" y=\"" +
                   number(top + 12 + 14 * static_cast<double>(i)) + "\" fill=\"" + colour + "\">" +
                   chart.lines[i].name + "</text>\n";
        }
        return out;
    }

    static Scale scale_of(const Chart& chart) {
        Scale s{1e300, -1e300, chart.y_most};
        for (const Chart::Line& line : chart.lines) {
            for (const auto& [x, y] : line.points) {
                s.x_least = std::min(s.x_least, x);
                s.x_most = std::max(s.x_most, x);
                if (chart.y_most <= 0) s.y_most = std::max(s.y_most, y);
            }
        }
        return s;
    }
    static double x_of(const Scale& s, double x) {
        return left + (x - s.x_least) / (s.x_most - s.x_least) * (wide - left - right);
    }
    static double y_of(const Scale& s, double y) {
        return high - bottom - y / s.y_most * (high - top - bottom);
    }
    /// A round distance that fits about `count` times.
    static double step(double range, int count) {
        const double rough = range / count;
        const double power = std::pow(10, std::floor(std::log10(rough)));
        for (const double factor : {1.0, 2.0, 5.0}) {
            if (rough <= factor * power) return factor * power;
        }
        return 10 * power;
    }
    static std::string grid(const Scale& s, double x1, double y1, double x2, double y2) {
        return "<line class=\"grid\" x1=\"" + number(x_of(s, x1)) + "\" y1=\"" +
               number(y_of(s, y1)) + "\" x2=\"" + number(x_of(s, x2)) + "\" y2=\"" +
               number(y_of(s, y2)) + "\"/>\n";
    }
    static std::string text(double x, double y, const char* kind, const std::string& words,
                            const char* anchor = "start") {
        return "<text x=\"" + number(x) + "\" y=\"" + number(y) + "\" class=\"" + kind +
               "\" text-anchor=\"" + anchor + "\">" + words + "</text>\n";
    }
    static std::string formatted(const char* format, double value) {
        char buffer[32];
        std::snprintf(buffer, sizeof buffer, format, value);
        return buffer;
    }
    static std::string number(double value) { return formatted("%.1f", value); }
    static std::string short_number(double value) { return formatted("%g", value); }

    std::string title_;
    unsigned columns_;
    std::vector<Chart> charts_;
};
