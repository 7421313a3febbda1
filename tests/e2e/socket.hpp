// SPDX-License-Identifier: MIT
// A bare TCP connection, to send bytes that belay's clients never send.
#pragma once

#include <string>

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>

#include "e2e/process.hpp"

namespace e2e {

class Socket {
public:
    explicit Socket(std::uint16_t port) : fd_{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)} {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(port);
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        connected_ =
            ::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    }
    Socket(const Socket&) = delete;
    Socket& operator=(const Socket&) = delete;
    ~Socket() { ::close(fd_); }

    [[nodiscard]] bool connected() const { return connected_; }

    /// Sends as much as the peer accepts within the time.   Returns: the number of bytes.
    std::size_t say(const std::string& bytes,
                    std::chrono::milliseconds patience = std::chrono::seconds{10}) {
        std::size_t done = 0;
        while (done < bytes.size()) {
            pollfd p{fd_, POLLOUT, 0};
            if (::poll(&p, 1, static_cast<int>(patience.count())) != 1) break;
            const ssize_t n =
                ::send(fd_, bytes.data() + done, bytes.size() - done, MSG_NOSIGNAL | MSG_DONTWAIT);
            if (n < 0) break;
            done += static_cast<std::size_t>(n);
        }
        return done;
    }
    /// Whether the peer ends the connection in time; its bytes before that are dropped.
    bool is_closed() {
        char buffer[4096];
        return eventually([&] {
            const ssize_t n = ::recv(fd_, buffer, sizeof buffer, MSG_DONTWAIT);
            return n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
        });
    }

private:
    int fd_;
    bool connected_ = false;
};

}  // namespace e2e
