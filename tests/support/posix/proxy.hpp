// SPDX-License-Identifier: MIT
/// \file tests/support/posix/proxy.hpp
/// Proxy: a bad network between a real client and a real server on the loopback, with scripted
/// faults.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <cstdint>
#include <list>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "support/posix/raw_socket.hpp"

namespace belay_test {

/// The fault in one direction of a connection.
struct ConnectionFault {
    enum class Then {
        pass,     ///< no fault
        hold,     ///< bytes wait while the fault lasts: a delay
        swallow,  ///< bytes and ends are dropped: a cable that was pulled
        end,      ///< its receiver gets an end, and the other direction continues
        cut,      ///< both sides get an end
        reset,    ///< both sides get a reset, and lose the bytes that they have not read
    };
    /// The fault begins after this many bytes, which pass.
    std::size_t bytes = 0;
    Then then = Then::pass;
    /// Sends each byte alone.
    bool trickle = false;
};

/// The faults of both directions.
struct Script {
    ConnectionFault to_server{};
    ConnectionFault to_client{};
};

/// Passes bytes on, on its own thread. Scripts and commands decide the faults, and time does not. A
/// test reads the progress from connections() and passed().
///
/// Thread safety: any thread.
class Proxy {
public:
    explicit Proxy(std::uint16_t server)
        : server_{server}, wake_{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)} {
        thread_ = std::thread{[this] { run(); }};
    }
    Proxy(const Proxy&) = delete;
    Proxy& operator=(const Proxy&) = delete;
    ~Proxy() {
        change([this] { ends_ = true; });
        thread_.join();
    }

    [[nodiscard]] std::uint16_t port() const { return listener_.port(); }

    /// Sets the faults of all connections that are accepted from now on.
    void script(const Script& script) {
        change([&] { script_ = script; });
    }
    /// Sets the fault in both directions of all present connections, at once. A connection that
    /// only its client has is not one of them, see connections().
    void now(ConnectionFault::Then then) {
        change([&] {
            for (Connection& c : connections_) {
                for (Flow& flow : c.flows) flow.fault = {0, then, false};
            }
        });
    }

    /// The number of accepted connections.
    [[nodiscard]] std::size_t connections() const { return look(accepted_); }
    /// The number of bytes that were passed on, in all connections.
    [[nodiscard]] std::size_t passed_to_server() const { return look(to_server_passed_); }
    [[nodiscard]] std::size_t passed_to_client() const { return look(to_client_passed_); }
    /// The number of dropped bytes.
    [[nodiscard]] std::size_t swallowed() const { return look(swallowed_); }

private:
    using Then = ConnectionFault::Then;
    static constexpr std::size_t waiting_max = 1 << 16;

    struct Flow {
        int from;
        int to;
        ConnectionFault fault;
        std::size_t& passed;
        std::string waiting{};
        bool received_end = false;  ///< from `from`
        bool reported_end = false;  ///< to `to`

        [[nodiscard]] bool is_over() const { return fault.then != Then::pass && fault.bytes == 0; }
        [[nodiscard]] bool reads() const {
            if (received_end) return false;
            return is_over() ? fault.then != Then::hold : waiting.size() < waiting_max;
        }
        [[nodiscard]] bool writes() const { return !waiting.empty() && !is_over(); }
    };
    struct Connection {
        Connection(RawSocket c, RawSocket s, Proxy& proxy)
            : client{std::move(c)},
              server{std::move(s)},
              flows{
                  Flow{client.fd(), server.fd(), proxy.script_.to_server, proxy.to_server_passed_},
                  Flow{server.fd(), client.fd(), proxy.script_.to_client,
                       proxy.to_client_passed_}} {}
        RawSocket client;
        RawSocket server;
        Flow flows[2];

        void reset() {
            client.reset();
            server.reset();
        }
        [[nodiscard]] bool is_gone() const {
            return client.fd() < 0 || (flows[0].reported_end && flows[1].reported_end &&
                                       flows[0].received_end && flows[1].received_end);
        }
    };

    template <class F>
    void change(F f) {
        const std::lock_guard lock{mutex_};
        f();
        ::eventfd_write(wake_.fd(), 1);
    }
    [[nodiscard]] std::size_t look(const std::size_t& count) const {
        const std::lock_guard lock{mutex_};
        return count;
    }

    void run() {
        for (;;) {
            std::vector<pollfd> polled;
            {
                const std::lock_guard lock{mutex_};
                if (ends_) return;
                polled = interests();
            }
            ::poll(polled.data(), polled.size(), -1);
            const std::lock_guard lock{mutex_};
            std::uint64_t ignored = 0;
            ::eventfd_read(wake_.fd(), &ignored);
            // The connections that are accepted now were not polled.
            if (polled[1].revents != 0) accept();
            for (Connection& c : connections_) {
                for (Flow& flow : c.flows) {
                    if (c.client.fd() >= 0) pump(c, flow);
                }
            }
            connections_.remove_if([](const Connection& c) { return c.is_gone(); });
        }
    }
    [[nodiscard]] std::vector<pollfd> interests() {
        std::vector<pollfd> polled{{wake_.fd(), POLLIN, 0}, {listener_.fd(), POLLIN, 0}};
        for (const Connection& c : connections_) {
            for (const Flow& flow : c.flows) {
                if (flow.reads()) polled.push_back({flow.from, POLLIN, 0});
                if (flow.writes()) polled.push_back({flow.to, POLLOUT, 0});
            }
        }
        return polled;
    }
    void accept() {
        RawSocket client{::accept4(listener_.fd(), nullptr, nullptr, SOCK_CLOEXEC)};
        RawSocket server = RawSocket::try_connect(server_);
        if (server.fd() < 0) return client.reset();
        for (const RawSocket* const s : {&client, &server}) {
            const int on = 1;
            ::setsockopt(s->fd(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
            ::fcntl(s->fd(), F_SETFL, O_NONBLOCK);
        }
        ++accepted_;
        connections_.emplace_back(std::move(client), std::move(server), *this);
    }

    void pump(Connection& c, Flow& flow) {
        if (flow.is_over() && !act(c, flow)) return;
        if (flow.reads() && !read(flow)) return c.reset();
        if (flow.writes() && !write(flow)) return c.reset();
        if (flow.is_over() && !act(c, flow)) return;
        if (flow.received_end && flow.waiting.empty() && !flow.is_over()) report_end(flow);
    }
    /// Returns: false if the connection has ended.
    bool act(Connection& c, Flow& flow) {
        switch (flow.fault.then) {
            case Then::reset:
                c.reset();
                return false;
            case Then::cut:
                for (Flow& f : c.flows) {
                    f.fault = {0, Then::swallow, false};
                    report_end(f);
                }
                return true;
            case Then::end:
                report_end(flow);
                [[fallthrough]];
            case Then::swallow:
                swallowed_ += flow.waiting.size();
                flow.waiting.clear();
                return true;
            default:
                return true;
        }
    }
    static void report_end(Flow& flow) {
        if (!flow.reported_end) ::shutdown(flow.to, SHUT_WR);
        flow.reported_end = true;
    }
    bool read(Flow& flow) {
        char buffer[4096];
        const ssize_t n = ::recv(flow.from, buffer, sizeof buffer, 0);
        if (n < 0) return errno == EAGAIN;
        if (n == 0) flow.received_end = true;
        flow.waiting.append(buffer, static_cast<std::size_t>(n));
        return true;
    }
    bool write(Flow& flow) {
        std::size_t size = flow.fault.trickle ? 1 : flow.waiting.size();
        if (flow.fault.then != Then::pass) size = std::min(size, flow.fault.bytes);
        const ssize_t n = ::send(flow.to, flow.waiting.data(), size, MSG_NOSIGNAL);
        if (n < 0) return errno == EAGAIN;
        const auto sent = static_cast<std::size_t>(n);
        flow.waiting.erase(0, sent);
        if (flow.fault.then != Then::pass) flow.fault.bytes -= sent;
        flow.passed += sent;
        return true;
    }

    const std::uint16_t server_;
    const RawSocket listener_ = RawSocket::listen();
    const RawSocket wake_;
    mutable std::mutex mutex_;  // guards the members after it
    Script script_{};
    std::list<Connection> connections_{};
    std::size_t accepted_ = 0;
    std::size_t to_server_passed_ = 0;
    std::size_t to_client_passed_ = 0;
    std::size_t swallowed_ = 0;
    bool ends_ = false;
    std::thread thread_;
};

}  // namespace belay_test
