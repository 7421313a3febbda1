// SPDX-License-Identifier: MIT
// The code that the programs of this folder share: blocking sockets, and lines over them.
#pragma once

#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <belay/sim.hpp>

#include "../bugs.hpp"

namespace bugs {

namespace sim = belay::sim;
using namespace std::chrono_literals;
using SteadyTime = std::chrono::steady_clock::time_point;

inline SteadyTime steady_now() { return std::chrono::steady_clock::now(); }
inline void rest(std::chrono::milliseconds time) {
    usleep(static_cast<useconds_t>(time.count() * 1000));
}

/// Makes a host that runs `main`.
void run_program(sim::World& world, const char* name, std::function<void()> main);

/// Returns a connection whose calls last for 1 s at most; -1 if there is none.
inline int dial(const char* host, std::uint16_t port) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    if (getaddrinfo(host, std::to_string(port).c_str(), &hints, &found) != 0) return -1;
    const int fd = socket(found->ai_family, found->ai_socktype, found->ai_protocol);
    const timeval limit{.tv_sec = 1, .tv_usec = 0};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    const bool is_connected = connect(fd, found->ai_addr, found->ai_addrlen) == 0;
    freeaddrinfo(found);
    if (is_connected) return fd;
    close(fd);
    return -1;
}
/// Returns a listening socket; -1 if the port is in use.
inline int listen_at(std::uint16_t port, bool reuses_address = true) {
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    const int on = reuses_address ? 1 : 0;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_port = htons(port);
    if (bind(fd, reinterpret_cast<const sockaddr*>(&at), sizeof at) == 0 && listen(fd, 16) == 0) {
        return fd;
    }
    close(fd);
    return -1;
}
inline bool put(int fd, std::string_view text) {
    return send(fd, text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size());
}
/// Reads a line, without its end.
inline bool get_line(int fd, std::string& line) {
    line.clear();
    for (char c = 0; recv(fd, &c, 1, 0) == 1; line += c) {
        if (c == '\n') return true;
    }
    return false;  // a part of a line may have arrived
}
/// Sends a line, and reads the answer.
inline bool ask(int fd, const std::string& line, std::string& answer) {
    return put(fd, line + "\n") && get_line(fd, answer);
}
/// Dials until `talk(fd)` returns true; it returns false when the connection is lost.
template <class F>
void keep_connected(const char* host, std::uint16_t port, F talk) {
    for (bool done = false; !done; rest(100ms)) {
        const int fd = dial(host, port);
        done = fd >= 0 && talk(fd);
        if (fd >= 0) close(fd);
    }
}

struct Guest {
    std::string in;  ///< what has arrived of a line
    bool is_admitted = false;
};
/// Answers each line of each connection by `answer(guest, line)`, for ever.
template <class F>
void serve_lines(int listener, F answer) {
    std::map<int, Guest> guests;
    const auto serve = [&](int fd, Guest& guest) {
        char bytes[256];
        const ssize_t n = recv(fd, bytes, sizeof bytes, 0);
        if (n <= 0) return false;
        guest.in.append(bytes, static_cast<std::size_t>(n));
        for (std::size_t end = 0; (end = guest.in.find('\n')) != std::string::npos;) {
            const std::string line = guest.in.substr(0, end);
            guest.in.erase(0, end + 1);
            if (!put(fd, std::string{answer(guest, line)} + "\n")) return false;
        }
        return true;
    };
    for (;;) {
        std::vector<pollfd> ready{{listener, POLLIN, 0}};
        for (const auto& [fd, guest] : guests) ready.push_back({fd, POLLIN, 0});
        poll(ready.data(), ready.size(), -1);
        for (const pollfd& r : ready) {
            if (r.revents == 0) continue;
            if (r.fd == listener) {
                if (const int fd = accept(listener, nullptr, nullptr); fd >= 0) guests[fd] = {};
            } else if (!serve(r.fd, guests[r.fd])) {
                close(r.fd);
                guests.erase(r.fd);
            }
        }
    }
}

}  // namespace bugs
