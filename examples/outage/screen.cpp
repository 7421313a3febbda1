// SPDX-License-Identifier: MIT
#include "screen.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>

#include <sys/ioctl.h>
#include <unistd.h>

namespace outage {

using belay::after;
using belay::elapsed;

namespace {

constexpr belay::Duration frame_time = std::chrono::milliseconds{100};
constexpr belay::Duration progress_line_time = std::chrono::seconds{5};

void put(const std::string& text) {
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
}

std::string percent(const View& v) {
    const double share =
        v.total == 0 ? 1 : static_cast<double>(v.delivered) / static_cast<double>(v.total);
    char text[16];
    std::snprintf(text, sizeof text, "%3.0f %%", 100 * share);
    return text;
}

std::string count_of(unsigned done, unsigned wanted) {
    return std::to_string(done) + "/" + std::to_string(wanted);
}

/// The state of the connection, and the event for which it waits.
std::string connection(const View& v, belay::Instant now) {
    if (v.state == "down") return "no client";
    std::string text = v.state;
    if (v.state == "stopped") return text;
    if (v.state == "connected") return text + " for " + in_seconds(elapsed(v.since, now));
    if (v.state == "connecting") text += ", attempt " + std::to_string(v.attempt);
    if (v.retry_at != belay::never) {
        text += ", attempt " + std::to_string(v.attempt + 1) + " in " +
                in_seconds(elapsed(now, v.retry_at));
    }
    return v.why.empty() || v.why == "none" ? text : text + " (" + v.why + ")";
}

/// The text's first `most` columns; bytes that continue a UTF-8 character take none.
std::string cut(const std::string& text, std::size_t most) {
    std::size_t columns = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if ((static_cast<unsigned char>(text[i]) & 0xC0U) != 0x80U && columns++ == most) {
            return text.substr(0, i);
        }
    }
    return text;
}

}  // namespace

Screen::Screen() {
    const char* const term = std::getenv("TERM");
    live_ = ::isatty(STDOUT_FILENO) == 1 && term != nullptr && std::string_view{term} != "dumb";
    colours_ = live_ && std::getenv("NO_COLOR") == nullptr;
    if (live_) put("\x1b[?25l");
}

void Screen::close() {
    if (live_) put("\r\x1b[K\x1b[?25h");
    live_ = false;
}

void Screen::event(const View& v, belay::Instant now, std::string_view text) {
    if (live_) return show(v, now);
    char stamp[32];
    std::snprintf(stamp, sizeof stamp, "%7.2f s  ",
                  std::chrono::duration<double>(elapsed(v.begin, now)).count());
    put(stamp + std::string{text} + "\n");
}

void Screen::say(std::string_view text) {
    erase();
    put(std::string{text} + "\n");
    next_ = belay::always;
}

void Screen::show(const View& v, belay::Instant now) {
    if (live_) {
        draw(v, now);
        next_ = after(now, frame_time);
        return;
    }
    if (now < next_) return;
    if (next_ != belay::always) {
        event(v, now,
              std::to_string(v.delivered) + " of " + std::to_string(v.total) + " delivered, " +
                  std::to_string(v.waiting) + " waiting, " + counted(v.outages, "outage"));
    }
    next_ = after(now, progress_line_time);
}

void Screen::erase() {
    if (drawn_ != 0) put("\r\x1b[" + std::to_string(drawn_) + "A\x1b[J");
    drawn_ = 0;
}

std::string Screen::colour(std::string_view code, const std::string& text) const {
    return colours_ ? "\x1b[" + std::string{code} + "m" + text + "\x1b[0m" : text;
}

std::string Screen::line(std::string_view name, const std::string& text) const {
    std::string title{name};
    title.resize(12, ' ');
    return colour("2", title) + text + "\x1b[K\n";
}

void Screen::draw(const View& v, belay::Instant now) {
    winsize size{};
    width_ = ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col != 0 ? size.ws_col : 80U;
    const std::size_t room = std::max(width_, 30U) - 14;

    const std::string numbers =
        "  " + std::to_string(v.delivered) + " / " + std::to_string(v.total) + " " + percent(v);
    const std::size_t bar = std::min<std::size_t>(60, room - std::min(room, numbers.size()));
    const std::size_t filled =
        v.total == 0 ? bar : static_cast<std::size_t>(v.delivered * bar / v.total);
    std::string blocks;
    for (std::size_t i = 0; i < bar; ++i) blocks += i < filled ? "█" : "░";

    const bool up = v.state == "connected";
    const bool running = v.server == "running";
    std::string faults = "server kills " + count_of(v.done.kills, v.wanted.kills) + ", freezes " +
                         count_of(v.done.freezes, v.wanted.freezes) + ", client kills " +
                         count_of(v.done.client_kills, v.wanted.client_kills);
    std::string outages = std::to_string(v.outages) + " so far";
    if (v.outages != 0) outages += ", the longest " + in_seconds(v.longest);

    // To the first column: the terminal may have echoed a key.
    std::string picture = drawn_ != 0 ? "\r\x1b[" + std::to_string(drawn_) + "A" : "";
    picture += line("delivered", colour("32", blocks) + numbers);
    picture += line("connection", colour(up ? "32" : "33", cut(connection(v, now), room)));
    picture += line("queue", std::to_string(v.waiting) + " waiting in the client's journal");
    picture += line("server", colour(running ? "0" : "31", v.server));
    picture += line("client", colour(v.client == "running" ? "0" : "31", v.client));
    picture += line("outages", cut(outages, room));
    picture += line("faults", cut(faults, room));
    drawn_ = 7;
    put(picture);
}

}  // namespace outage
