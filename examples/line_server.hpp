// SPDX-License-Identifier: MIT
/// \file examples/line_server.hpp
/// LineServer: a process that answers each line with "ok" and the line, and that can be killed.
#pragma once

#include <arpa/inet.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#if defined(__linux__)
#    include <sys/prctl.h>
#endif

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

/// A server that knows nothing of belay.
class LineServer {
public:
    LineServer() { start(); }
    LineServer(const LineServer&) = delete;
    LineServer& operator=(const LineServer&) = delete;
    ~LineServer() { kill(); }

    [[nodiscard]] std::uint16_t port() const { return port_; }
    /// Starts the process again, on the same port.
    void start() {
        const int listener = listen();
        process_ = ::fork();
        if (process_ == 0) {
#if defined(__linux__)
            ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // it ends with this program
#endif
            serve(listener);
        }
        ::close(listener);
    }
    /// SIGKILL: what it has not read is lost.
    void kill() {
        if (process_ > 0) {
            ::kill(process_, SIGKILL);
            ::waitpid(process_, nullptr, 0);
        }
        process_ = -1;
    }

private:
    int listen() {
        const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        const int on = 1;
        ::setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        sockaddr_in at{};
        socklen_t size = sizeof at;
        at.sin_family = AF_INET;
        at.sin_port = htons(port_);
        at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        if (::bind(listener, reinterpret_cast<sockaddr*>(&at), sizeof at) != 0 ||
            ::listen(listener, 8) != 0 ||
            ::getsockname(listener, reinterpret_cast<sockaddr*>(&at), &size) != 0) {
            std::perror("cannot listen");
            std::exit(2);
        }
        port_ = ntohs(at.sin_port);
        return listener;
    }
    [[noreturn]] static void serve(int listener) {
        for (;;) {
            const int client = ::accept(listener, nullptr, nullptr);
            std::string line = "ok ";
            for (char c = 0; ::read(client, &c, 1) == 1;) {
                line += c;
                if (c != '\n') continue;
                if (::write(client, line.data(), line.size()) < 0) break;
                line = "ok ";
            }
            ::close(client);
        }
    }

    std::uint16_t port_ = 0;  // 0: the system chooses one
    pid_t process_ = -1;
};
