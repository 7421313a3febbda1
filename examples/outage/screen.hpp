// SPDX-License-Identifier: MIT
/// \file outage/screen.hpp
/// Screen: shows a run while it runs; a picture that moves on a terminal, lines elsewhere.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "schedule.hpp"

namespace outage {

/// Shows a run.
struct View {
    belay::Instant begin{};
    std::uint64_t total = 0;
    std::uint64_t delivered = 0;
    std::uint64_t waiting = 0;  ///< operations in the client's journal
    std::string state = "stopped";
    std::string why;  ///< the last failure, in words
    std::uint64_t attempt = 0;
    belay::Instant since{};
    belay::Instant retry_at = belay::never;
    std::string server = "starting";
    std::string client = "not started";
    std::size_t outages = 0;
    belay::Duration longest{};
    Counts done;
    Counts wanted;
};

/// Writes to standard output.
///
/// On a terminal, a few lines are drawn again and again. Otherwise each event() prints a line, and
/// from time to time a line reports the progress.
class Screen {
public:
    Screen();
    Screen(const Screen&) = delete;
    Screen& operator=(const Screen&) = delete;
    ~Screen() { close(); }

    /// Something happened: a line where the picture does not show it by itself.
    void event(const View& view, belay::Instant now, std::string_view text);
    /// Prints text that people must read in any case.
    void say(std::string_view text);
    /// Shows where things are.
    void show(const View& view, belay::Instant now);
    /// When show() is wanted next.
    [[nodiscard]] belay::Instant next() const noexcept { return next_; }
    /// Leaves the last picture where it is.
    void close();

private:
    void draw(const View& view, belay::Instant now);
    void erase();
    [[nodiscard]] std::string line(std::string_view name, const std::string& text) const;
    [[nodiscard]] std::string colour(std::string_view code, const std::string& text) const;

    bool live_;
    bool colours_;
    unsigned drawn_ = 0;
    unsigned width_ = 80;
    belay::Instant next_ = belay::always;
};

}  // namespace outage
