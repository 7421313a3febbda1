// SPDX-License-Identifier: MIT
#include "svg.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <utility>

namespace outage {

using belay::elapsed;

namespace {

constexpr double left = 96, right = 1176, width = 1200, height = 430;
constexpr double plot_top = 250, plot_bottom = 350;

constexpr std::string_view style = R"(<style>
svg { font-family: system-ui, "DejaVu Sans", sans-serif; font-size: 12px; }
.paper { fill: #ffffff; } .ink { fill: #1f2328; } .soft { fill: #59636e; }
.axis { stroke: #8c959f; stroke-width: 1; } .grid { stroke: #d1d9e0; stroke-width: 1; }
.up { fill: #2da44e; } .trying { fill: #d4a72c; } .waiting { fill: #eac54f; fill-opacity: .55; }
.down { fill: #8c959f; } .killed { fill: #cf222e; } .frozen { fill: #218bff; }
.outage { fill: #cf222e; fill-opacity: .10; } .try { stroke: #9a6700; stroke-width: 1.2; }
.depth { fill: #8250df; fill-opacity: .25; stroke: #8250df; stroke-width: 1.2; }
.title { font-size: 15px; font-weight: 600; }
@media (prefers-color-scheme: dark) {
.paper { fill: #0d1117; } .ink { fill: #e6edf3; } .soft { fill: #9198a1; }
.axis { stroke: #656c76; } .grid { stroke: #2a313c; }
.up { fill: #3fb950; } .trying { fill: #d29922; } .try { stroke: #e3b341; }
.outage { fill: #f85149; fill-opacity: .18; } .killed { fill: #f85149; } .frozen { fill: #58a6ff; }
.depth { fill: #a371f7; fill-opacity: .3; stroke: #a371f7; }
}
</style>
)";

std::string number(double value) {
    char text[32];
    std::snprintf(text, sizeof text, "%.1f", value);
    return text;
}

std::string escaped(std::string_view text) {
    std::string out;
    for (const char c : text) {
        if (c == '<')
            out += "&lt;";
        else if (c == '&')
            out += "&amp;";
        else
            out += c;
    }
    return out;
}

/// Draws one timeline.
class Picture {
public:
    explicit Picture(const Timeline& t) : t_{t} {
        seconds_ =
            std::max(0.1, std::chrono::duration<double>(elapsed(t.begin(), t.end())).count());
    }

    std::string draw(std::string_view title) {
        text(left, 26, "title ink", title);
        outages();
        connection();
        processes();
        depth();
        axis();
        legend();
        return "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 " + number(width) + " " +
               number(height) + "\" role=\"img\" aria-label=\"" + escaped(title) + "\">\n" +
               std::string{style} + "<rect class=\"paper\" width=\"" + number(width) +
               "\" height=\"" + number(height) + "\"/>\n" + out_ + "</svg>\n";
    }

private:
    // ---- pens ----------------------------------------------------------------------------------

    [[nodiscard]] double x(belay::Instant at) const {
        const double s = std::chrono::duration<double>(elapsed(t_.begin(), at)).count();
        return left + (right - left) * std::clamp(s / seconds_, 0.0, 1.0);
    }
    void rect(std::string_view kind, double from, double to, double top, double bottom) {
        out_ += "<rect class=\"" + std::string{kind} + "\" x=\"" + number(from) + "\" y=\"" +
                number(top) + "\" width=\"" + number(std::max(0.0, to - from)) + "\" height=\"" +
                number(bottom - top) + "\"/>\n";
    }
    void line(std::string_view kind, double x1, double y1, double x2, double y2) {
        out_ += "<line class=\"" + std::string{kind} + "\" x1=\"" + number(x1) + "\" y1=\"" +
                number(y1) + "\" x2=\"" + number(x2) + "\" y2=\"" + number(y2) + "\"/>\n";
    }
    void text(double at, double y, std::string_view kind, std::string_view words,
              std::string_view anchor = "start") {
        out_ += "<text class=\"" + std::string{kind} + "\" x=\"" + number(at) + "\" y=\"" +
                number(y) + "\" text-anchor=\"" + std::string{anchor} + "\">" + escaped(words) +
                "</text>\n";
    }

    // ---- rows ----------------------------------------------------------------------------------

    void outages() {
        double free_from = 0;
        for (const Timeline::Outage& o : t_.outages()) {
            const belay::Instant to = std::min(o.to, t_.end());
            rect("outage", x(o.from), std::max(x(to), x(o.from) + 1), 46, plot_bottom);
            const double middle = (x(o.from) + x(to)) / 2;
            if (middle - 20 < free_from) continue;
            text(middle, 60, "soft", in_seconds(elapsed(o.from, to)), "middle");
            free_from = middle + 24;
        }
    }

    void connection() {
        text(left - 10, 90, "ink", "connection", "end");
        text(left - 10, 126, "ink", "attempts", "end");
        const auto& states = t_.states();
        for (std::size_t i = 0; i < states.size(); ++i) {
            const std::string& name = states[i].name;
            const double from = x(states[i].at);
            const double to = x(i + 1 < states.size() ? states[i + 1].at : t_.end());
            const bool up = name == "connected", trying = name == "connecting";
            const bool down = name == "down" || name == "stopped";
            rect(up ? "up" : trying ? "trying" : down ? "down" : "waiting", from, to, 74, 98);
            if (trying) line("try", from, 110, from, 132);
        }
    }

    void processes() {
        text(left - 10, 168, "ink", "server", "end");
        text(left - 10, 206, "ink", "client", "end");
        rect("up", left, right, 152, 174);
        rect("up", left, right, 190, 212);
        for (const Timeline::TimedFault& b : t_.timed_faults()) {
            const bool client = b.fault == Fault::kill_client;
            const double top = client ? 190 : 152;
            const double to = std::max(x(std::min(b.undone, t_.end())), x(b.at) + 1.5);
            rect(b.fault == Fault::freeze_server ? "frozen" : "killed", x(b.at), to, top, top + 22);
        }
    }

    /// The most that waited in each pixel's time, so that no peak is lost.
    void depth() {
        std::uint64_t most = 1;
        for (const Timeline::Queue& q : t_.queue()) most = std::max(most, q.waiting);
        const auto y = [&](std::uint64_t waiting) {
            return plot_bottom - (plot_bottom - plot_top) * static_cast<double>(waiting) /
                                     static_cast<double>(most);
        };
        text(left - 10, plot_top - 12, "ink", "queue", "end");
        text(left - 10, plot_top + 4, "soft", std::to_string(most), "end");
        text(left - 10, plot_bottom + 4, "soft", "0", "end");
        line("grid", left, plot_top, right, plot_top);
        std::string path = 'M' + number(left) + " " + number(plot_bottom);
        std::uint64_t last = 0;
        const auto& queue = t_.queue();
        for (std::size_t i = 0; i < queue.size();) {
            const double pixel = std::floor(x(queue[i].at));
            std::uint64_t peak = last;
            for (; i < queue.size() && std::floor(x(queue[i].at)) == pixel; ++i) {
                peak = std::max(peak, queue[i].waiting);
                last = queue[i].waiting;
            }
            path += " H" + number(pixel) + " V" + number(y(peak)) + " H" + number(pixel + 1) +
                    " V" + number(y(last));
        }
        path += " H" + number(right) + " V" + number(plot_bottom) + " Z";
        out_ += "<path class=\"depth\" d=\"" + path + "\"/>\n";
    }

    void axis() {
        line("axis", left, plot_bottom, right, plot_bottom);
        double step = 1;
        for (const double wider : {2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0, 3600.0}) {
            if (seconds_ / step > 16) step = wider;
        }
        for (double s = 0; s <= seconds_; s += step) {
            const double at = left + (right - left) * s / seconds_;
            line("axis", at, plot_bottom, at, plot_bottom + 5);
            text(at, plot_bottom + 19, "soft", number(s).substr(0, number(s).size() - 2), "middle");
        }
        text(right, plot_bottom + 36, "soft", "seconds", "end");
    }

    void legend() {
        constexpr std::pair<std::string_view, std::string_view> entries[] = {
            {"up", "connected, running"},
            {"trying", "connecting"},
            {"waiting", "waiting to retry"},
            {"down", "no client"},
            {"killed", "killed"},
            {"frozen", "frozen"},
            {"outage", "outage"},
            {"depth", "operations waiting"}};
        double at = left;
        for (const auto& [kind, words] : entries) {
            rect(kind, at, at + 14, height - 26, height - 14);
            text(at + 20, height - 15.5, "ink", words);
            at += 44 + 6.6 * static_cast<double>(words.size());
        }
        line("try", at + 6, height - 27, at + 6, height - 13);
        text(at + 14, height - 15.5, "ink", "attempt");
    }

    const Timeline& t_;
    double seconds_;
    std::string out_;
};

}  // namespace

std::string draw_svg(const Timeline& timeline, std::string_view title) {
    return Picture{timeline}.draw(title);
}

}  // namespace outage
