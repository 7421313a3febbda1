// SPDX-License-Identifier: MIT
/// \file outage/signals.hpp
/// Signals: turns signals of the process into calls on its loop.
#pragma once

#include <cerrno>
#include <csignal>
#include <initializer_list>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <unistd.h>

#include <belay/posix/poller.hpp>

namespace outage {

/// Calls `on_signal(int)` on the loop's thread for each of the signals; one per process. A signal
/// that was ignored when the process started stays ignored.
template <class F>
class Signals {
public:
    /// Throws: std::system_error if the process has no descriptors left.
    Signals(belay::posix::Poller& loop, std::initializer_list<int> signals, F on_signal)
        : on_signal_{std::move(on_signal)},
          watch_{loop, this, [](void* self, short) { static_cast<Signals*>(self)->drain(); }} {
        if (::pipe(pipe_) != 0) throw std::system_error{errno, std::generic_category(), "pipe"};
        for (const int fd : pipe_) {
            ::fcntl(fd, F_SETFL, O_NONBLOCK);
            ::fcntl(fd, F_SETFD, FD_CLOEXEC);
        }
        sink() = pipe_[1];
        watch_.start(pipe_[0], POLLIN);
        for (const int signal : signals) {
            struct sigaction action {};
            if (::sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN)
                continue;
            action = {};
            action.sa_handler = &Signals::handle;
            action.sa_flags = SA_RESTART;
            ::sigaction(signal, &action, nullptr);
        }
    }
    Signals(const Signals&) = delete;
    Signals& operator=(const Signals&) = delete;
    ~Signals() {
        // A late signal finds no pipe, and does nothing.
        sink() = -1;
        watch_.stop();
        for (const int fd : pipe_) ::close(fd);
    }

private:
    static volatile std::sig_atomic_t& sink() {
        static volatile std::sig_atomic_t fd = -1;
        return fd;
    }
    static void handle(int signal) {
        const int saved = errno;
        const auto byte = static_cast<unsigned char>(signal);
        // A full pipe shows already that signals came.
        if (sink() != -1 && ::write(sink(), &byte, 1) != 1) errno = saved;
        errno = saved;
    }
    void drain() {
        unsigned char byte = 0;
        while (::read(pipe_[0], &byte, 1) == 1) on_signal_(static_cast<int>(byte));
    }

    F on_signal_;
    int pipe_[2] = {-1, -1};
    belay::posix::Watch watch_;
};

}  // namespace outage
