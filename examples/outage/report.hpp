// SPDX-License-Identifier: MIT
/// \file outage/report.hpp The reports of server and client to the demo that started them, and its
/// commands to them: lines of words.
///
/// Times are nanoseconds of the machine's steady clock, which all processes share.
///
///     server:  listening <port>
///              delivered <number>
///     client:  state <time> <state> <retry_at or 0> <attempt> <why>
///              queue <time> <taken> <acknowledged>
///     to the client:  upto <number>        read no line above it; none before the first
#pragma once

#include <cerrno>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include <unistd.h>

#include <belay/core/instant.hpp>
#include <belay/posix/poller.hpp>

#include "options.hpp"

namespace outage {

/// A pipe's end to write lines to; does nothing without one.
class Reporter {
public:
    explicit Reporter(int fd) noexcept : fd_{fd} {}

    [[nodiscard]] bool on() const noexcept { return fd_ != -1; }
    /// Blocks while the pipe is full: its reader is awake, or everything is stopped.
    void line(const std::string& words) noexcept {
        if (fd_ == -1) return;
        const std::string text = words + "\n";
        for (std::size_t done = 0; done < text.size();) {
            const ssize_t n = ::write(fd_, text.data() + done, text.size() - done);
            if (n < 0 && errno == EINTR) continue;
            // The demo has ended; the command pipe is closed, too.
            if (n < 0) return;
            done += static_cast<std::size_t>(n);
        }
    }

private:
    int fd_;
};

/// Reads lines from a pipe, on a loop: `on_line(std::string_view)` for each, `on_end()` at the end.
template <class OnLine, class OnEnd>
class LineReader {
public:
    LineReader(belay::posix::Poller& loop, int fd, OnLine on_line, OnEnd on_end)
        : fd_{fd},
          on_line_{std::move(on_line)},
          on_end_{std::move(on_end)},
          watch_{loop, this, [](void* self, short) { static_cast<LineReader*>(self)->read(); }} {
        if (fd != -1) watch_.start(fd, POLLIN);
    }
    LineReader(const LineReader&) = delete;
    LineReader& operator=(const LineReader&) = delete;
    ~LineReader() = default;

    /// Reads what is there.   Pre: the descriptor does not block, or is ready.
    void read() {
        char buffer[4096];
        const ssize_t n = ::read(fd_, buffer, sizeof buffer);
        if (n < 0 && (errno == EINTR || errno == EAGAIN)) return;
        if (n <= 0) {
            watch_.stop();
            if (!text_.empty()) on_line_(std::string_view{text_});
            text_.clear();
            return on_end_();
        }
        text_.append(buffer, static_cast<std::size_t>(n));
        std::size_t from = 0;
        for (std::size_t to; (to = text_.find('\n', from)) != text_.npos; from = to + 1) {
            on_line_(std::string_view{text_}.substr(from, to - from));
        }
        text_.erase(0, from);
    }
    [[nodiscard]] bool ended() const noexcept { return !watch_.active(); }

private:
    int fd_;
    OnLine on_line_;
    OnEnd on_end_;
    std::string text_;
    belay::posix::Watch watch_;
};

/// A moment in the form in which the processes exchange it.
[[nodiscard]] inline std::string to_words(belay::Instant t) {
    return std::to_string(t.time_since_epoch().count());
}

}  // namespace outage
