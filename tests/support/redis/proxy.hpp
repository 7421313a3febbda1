// SPDX-License-Identifier: MIT
/// \file tests/support/redis/proxy.hpp
/// A proxy between one client and a redis-server, which breaks the connection at a chosen place.
#pragma once

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <atomic>
#include <cstring>
#include <functional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "support/temporary_directory.hpp"

namespace belay_test {

/// Passes bytes on in both directions, on its own thread, for one connection at a time.
class RedisProxy {
public:
    /// The fault at the next command; after it all bytes pass again.
    enum class Fault {
        none,
        lose_command,
        lose_reply,
        garbled_reply,
        double_reply,
        hold_command,
        endless_reply
    };

    explicit RedisProxy(std::string server) : server_{std::move(server)} {
        listener_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        const sockaddr_un address = address_of(socket());
        REQUIRE(::bind(listener_, as_socket(address), sizeof address) == 0);
        REQUIRE(::listen(listener_, 8) == 0);
        thread_ = std::thread{[this] { run(); }};
    }
    RedisProxy(const RedisProxy&) = delete;
    RedisProxy& operator=(const RedisProxy&) = delete;
    ~RedisProxy() {
        ends_ = true;
        // Wakes the thread.
        connect_to(socket());
        thread_.join();
        ::close(listener_);
    }

    [[nodiscard]] std::string socket() const { return directory_ / "proxy"; }
    void next(Fault fault) { fault_ = fault; }
    /// The reply after this many others is lost.
    void lose_reply_behind(int replies) {
        passing_ = replies;
        fault_ = Fault::lose_reply;
    }
    /// Redis has carried out a command when `f` is called, on the thread of the proxy.
    void call_before_next_reply(std::function<void()> f) {
        call_ = std::move(f);
        calls_ = true;
    }
    /// Delivers the command that hold_command held before it broke the connection. Returns when it
    /// is answered.
    void deliver_held() {
        while (fault_ != Fault::none) std::this_thread::yield();
        const int server = connect_to(server_);
        REQUIRE(pass(server, held_));
        char answer = 0;
        REQUIRE(::recv(server, &answer, 1, 0) == 1);
        ::close(server);
    }

private:
    static sockaddr_un address_of(const std::string& path) {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
        return address;
    }
    static const sockaddr* as_socket(const sockaddr_un& address) {
        return reinterpret_cast<const sockaddr*>(&address);
    }
    static int connect_to(const std::string& path) {
        const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        const sockaddr_un address = address_of(path);
        static_cast<void>(::connect(fd, as_socket(address), sizeof address));
        return fd;
    }
    static bool pass(int to, std::string_view bytes) {
        return ::send(to, bytes.data(), bytes.size(), MSG_NOSIGNAL) >= 0;
    }

    /// Sends a reply until the client closes the connection.
    static bool pour(int client) {
        const std::string bytes(65536, 'z');
        for (bool sent = pass(client, "$9000000000000000\r\n"); sent;) sent = pass(client, bytes);
        return false;
    }

    void run() {
        while (!ends_) {
            const int client = ::accept(listener_, nullptr, nullptr);
            const int server = connect_to(server_);
            while (!ends_ && one_piece(client, server)) continue;
            ::close(client);
            ::close(server);
        }
    }
    /// Returns false when the connection ends.
    bool one_piece(int client, int server) {
        pollfd polled[3] = {{client, POLLIN, 0}, {server, POLLIN, 0}, {listener_, POLLIN, 0}};
        ::poll(polled, 3, -1);
        const bool from_server = polled[1].revents != 0;
        if (!from_server && polled[0].revents == 0) return false;
        char buffer[65536];
        const ssize_t count = ::recv(from_server ? server : client, buffer, sizeof buffer, 0);
        if (count <= 0) return false;
        const std::string_view piece{buffer, static_cast<std::size_t>(count)};
        if (!from_server) {
            if (fault_ == Fault::hold_command) held_ = piece;
            if (fault_ == Fault::lose_command || fault_ == Fault::hold_command) {
                return fault_ = Fault::none, false;
            }
            return pass(server, piece);
        }
        if (calls_.exchange(false)) call_();
        if (passing_ != 0) return --passing_, pass(client, piece);
        const Fault fault = fault_.exchange(Fault::none);
        if (fault == Fault::lose_reply) return false;
        if (fault == Fault::endless_reply) return pour(client);
        if (fault == Fault::double_reply) return pass(client, std::string{piece} += piece);
        return pass(client, fault == Fault::garbled_reply ? "220 ready\r\n" : piece);
    }

    TemporaryDirectory directory_;
    std::string server_;
    int listener_ = -1;
    std::atomic<Fault> fault_ = Fault::none;
    std::atomic<int> passing_ = 0;
    std::string held_;
    std::function<void()> call_;
    std::atomic<bool> calls_ = false;
    std::atomic<bool> ends_ = false;
    std::thread thread_;
};

}  // namespace belay_test
