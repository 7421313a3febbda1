// SPDX-License-Identifier: MIT
/// \file tests/support/posix/echo_server.hpp
/// EchoServer: sends every message back, on its own port or at a path; for check::transport.
#pragma once

#include <deque>
#include <list>
#include <string>

#include <belay/link/supervisor.hpp>
#include <belay/policy/rules.hpp>
#include <belay/posix/listener.hpp>

#include "support/catch.hpp"

namespace belay_test {

/// A message of a hundred bytes or more, which differs for each number.
inline std::string nth_text(std::uint64_t i) {
    return std::to_string(i) + std::string(100 + i % 7, static_cast<char>('a' + i % 26));
}
inline belay::Bytes nth_bytes(std::uint64_t i) { return belay::to_bytes(nth_text(i)); }

/// Sends every message back. A message for which there is no space is stored, and waits.
struct Echo {
    std::deque<belay::Bytes> kept{};
    void on_message(auto& link, belay::Bytes message) {
        kept.push_back(std::move(message));
        flush(link);
    }
    void on_writable(auto& link, belay::Lane) { flush(link); }
    void flush(auto& link) {
        while (!kept.empty() && link.send(kept.front()) == belay::SendResult::sent) {
            kept.pop_front();
        }
    }
};

using OneAttempt = belay::Policy<belay::MaxAttempts>;

template <belay::FramingLike Framing>
class EchoServer {
public:
    explicit EchoServer(belay::posix::Loop<>& loop, Framing framing = {})
        : EchoServer{loop, belay::posix::Endpoint{"127.0.0.1", 0}, framing} {}
    /// Listens at an Endpoint or a UnixPath.
    template <class Where>
        requires(!belay::FramingLike<Where>)
    EchoServer(belay::posix::Loop<>& loop, const Where& where, Framing framing = {})
        : loop_{loop}, listener_{loop, OnAccept{this}, framing} {
        REQUIRE_FALSE(listener_.listen(where));
    }
    [[nodiscard]] std::uint16_t port() const { return listener_.port(); }
    void hang_up() { served_connections_.clear(); }

private:
    using ServedConnection = belay::Supervisor<belay::posix::Accepted<Framing>, OneAttempt, Echo>;
    struct OnAccept {
        EchoServer* server;
        void operator()(belay::posix::Accepted<Framing> accepted) const {
            ServedConnection& served = server->served_connections_.emplace_back(
                std::move(accepted), OneAttempt{belay::MaxAttempts{1}}, belay::SupervisorOptions{},
                Echo{});
            server->loop_.attach(served);
            served.start();
        }
    };

    belay::posix::Loop<>& loop_;
    std::list<ServedConnection> served_connections_;
    belay::posix::Listener<OnAccept, Framing> listener_;
};

/// Runs the work of a loop that is due, or waits for a moment.
template <class Loop>
void run_once(Loop& loop) {
    static_cast<void>(loop.run_until([] { return false; }, std::chrono::milliseconds{1}));
}

}  // namespace belay_test
